//! A lock on a file itself, by whatever name it is opened: [`try_lock_file`].
//!
//! SQLite locks its databases with POSIX locks. The lock here is one of an *open file description*, on a byte that
//! SQLite never uses: the two do not meet, and SQLite's closing of the file does not take it away. The other way
//! round there is a trap: closing *any* handle on a file drops all POSIX locks that the process has on it, so
//! the one who locks a database keeps the handle open for as long as this process has the database open.

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod description;
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
use description as imp;
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod none;
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
use none as imp;

use std::io;
use std::os::fd::AsFd;

/// Locks a file for all other open file descriptions; `false` when one of them has it. The file must be open for
/// writing. The lock goes when the last handle on this description is closed, so at the latest with its process.
///
/// On systems without such locks (the BSDs) it is always given.
///
/// # Errors
/// When the file system has no locks, or the file is not open for writing.
pub fn try_lock_file(file: &impl AsFd) -> io::Result<bool> {
    imp::try_lock(file.as_fd())
}

/// Gives a lock of [`try_lock_file`] up before the file is closed.
///
/// # Errors
/// When the system refuses.
pub fn unlock_file(file: &impl AsFd) -> io::Result<()> {
    imp::unlock(file.as_fd())
}

/// Whether another open file description has a file locked by [`try_lock_file`]. Asking disturbs nobody.
///
/// # Errors
/// When the file system has no locks.
pub fn is_file_locked(file: &impl AsFd) -> io::Result<bool> {
    imp::is_locked(file.as_fd())
}

#[cfg(all(test, any(target_os = "linux", target_vendor = "apple")))]
mod tests {
    use std::fs::{self, File, OpenOptions};
    use std::path::Path;

    use super::*;

    fn open(path: &Path) -> File {
        let options = OpenOptions::new().read(true).write(true).clone();
        options.open(path).unwrap()
    }

    #[test]
    fn the_lock_is_that_of_the_file_by_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let [name, link, moved] = ["a", "b", "c"].map(|name| folder.path().join(name));
        fs::write(&name, "").unwrap();
        let first = open(&name);
        assert!(try_lock_file(&first).unwrap());
        fs::hard_link(&name, &link).unwrap();
        assert!(!try_lock_file(&open(&link)).unwrap());
        fs::rename(&name, &moved).unwrap();
        assert!(is_file_locked(&open(&moved)).unwrap());
        // Another handle comes and goes.
        drop(open(&moved));
        assert!(is_file_locked(&open(&moved)).unwrap());
        assert!(!is_file_locked(&first).unwrap(), "not for its owner");
        unlock_file(&first).unwrap();
        assert!(!is_file_locked(&open(&moved)).unwrap());
        assert!(try_lock_file(&first).unwrap());
        drop(first);
        assert!(try_lock_file(&open(&link)).unwrap());
    }
}
