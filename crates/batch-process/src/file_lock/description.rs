//! Locks of open file descriptions: Linux and macOS have them.

use std::io;
use std::os::fd::BorrowedFd;

use crate::sys::{self, RecordLock};

pub(super) fn try_lock(file: BorrowedFd<'_>) -> io::Result<bool> {
    match sys::set_record_lock(file, RecordLock::Write) {
        Ok(()) => Ok(true),
        Err(error) if is_held(&error) => Ok(false),
        // Only who may write to a file may keep others from it.
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
            Err(io::ErrorKind::PermissionDenied.into())
        }
        Err(error) => Err(error),
    }
}

pub(super) fn unlock(file: BorrowedFd<'_>) -> io::Result<()> {
    sys::set_record_lock(file, RecordLock::None)
}

pub(super) fn is_locked(file: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(sys::record_lock_in_the_way(file)? != RecordLock::None)
}

fn is_held(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES))
}
