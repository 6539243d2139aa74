//! Locks of open file descriptions on one byte of a file, far behind what SQLite locks and any file reaches.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// A lock on the byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordLock {
    None,
    Write,
}

const BYTE: libc::off_t = libc::off_t::MAX - 1;

/// Changes the lock that a file's description has; it does not wait.
pub(crate) fn set_record_lock(file: BorrowedFd<'_>, lock: RecordLock) -> io::Result<()> {
    control(file, libc::F_OFD_SETLK, lock).map(drop)
}

/// The lock of another description that keeps us from a write lock.
pub(crate) fn record_lock_in_the_way(file: BorrowedFd<'_>) -> io::Result<RecordLock> {
    control(file, libc::F_OFD_GETLK, RecordLock::Write)
}

fn control(file: BorrowedFd<'_>, command: i32, lock: RecordLock) -> io::Result<RecordLock> {
    // SAFETY: zeroes are a value of the type; the number of the process must be 0 for these locks.
    let mut record: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    record.l_type = match lock {
        RecordLock::None => libc::F_UNLCK,
        RecordLock::Write => libc::F_WRLCK,
    } as _;
    record.l_whence = libc::SEEK_SET as _;
    record.l_start = BYTE;
    record.l_len = 1;
    // SAFETY: the handle is open and the pointer to live memory of the right type.
    check(unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut record) })?;
    Ok(match record.l_type == libc::F_UNLCK as libc::c_short {
        true => RecordLock::None,
        false => RecordLock::Write,
    })
}
