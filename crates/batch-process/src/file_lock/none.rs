//! No lock can be had here that does not get into SQLite's way.

use std::io;
use std::os::fd::BorrowedFd;

pub(super) fn try_lock(_: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(true)
}

pub(super) fn unlock(_: BorrowedFd<'_>) -> io::Result<()> {
    Ok(())
}

pub(super) fn is_locked(_: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(false)
}
