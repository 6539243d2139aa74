//! Where a batch is: [`BatchFile`], the database and the files beside it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use batch_export::files::open_plain;
use batch_process::is_mounted;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use crate::error::StoreError;
use crate::inode::Inode;
use crate::own_file::own_folder;

/// The database of a batch and the names of what is beside it.
///
/// The name that it was made with is kept to be shown. Everything else goes by one absolute path, found when the value
/// is made, without links: whatever a link to the batch or the present folder says later, the files beside the batch
/// are the same, and two names of one batch are equal.
///
/// | file | what |
/// |---|---|
/// | `b7.db` | the batch: one SQLite database |
/// | `b7.db-wal`, `b7.db-shm` | SQLite's own, while someone has the batch open and after a crash |
/// | `b7.db.lease` | locked by the executor that works on the batch |
/// | `b7.db.files/` | outputs too large for the database |
/// | `b7.db.log` | what a background executor had to say |
#[derive(Clone, Debug)]
pub struct BatchFile {
    path: PathBuf,
    given: PathBuf,
}

impl PartialEq for BatchFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for BatchFile {}

impl BatchFile {
    /// The batch in a database, whether there is one or not. A relative path is meant in the present folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let given = path.into();
        Self {
            path: absolute(&given),
            given,
        }
    }

    /// The database: an absolute path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database as it was named, to be shown.
    pub fn shown(&self) -> &Path {
        &self.given
    }

    /// The folder that the database and all that belongs to it are in.
    pub(crate) fn place(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The file that the executor locks.
    pub fn lease_path(&self) -> PathBuf {
        self.beside(".lease")
    }

    /// The folder of large outputs.
    pub fn folder(&self) -> PathBuf {
        self.beside(".files")
    }

    /// The log of a background executor.
    pub fn log_path(&self) -> PathBuf {
        self.beside(".log")
    }

    /// Copies from before a change of the tables, `b7.db.v1`.
    fn copies(&self) -> Vec<PathBuf> {
        let mut before = OsString::from(self.path.file_name().unwrap_or_default());
        before.push(".v");
        let is_copy = |name: &OsStr| {
            let version = name
                .as_encoded_bytes()
                .strip_prefix(before.as_encoded_bytes());
            version
                .is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        };
        let entries = fs::read_dir(self.place()).into_iter().flatten().flatten();
        entries
            .filter(|entry| is_copy(&entry.file_name()))
            .map(|entry| entry.path())
            .collect()
    }

    /// SQLite's own: the write-ahead log, and the memory that its users share.
    pub(crate) fn log_and_memory(&self) -> (PathBuf, PathBuf) {
        (self.beside("-wal"), self.beside("-shm"))
    }

    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        let mut path = OsString::from(&self.path);
        path.push(ending);
        path.into()
    }

    /// Opens the database past SQLite.
    ///
    /// # Errors
    /// When there is none, or what is in it does not be here alone: a file with several names, or one that is
    /// mounted without its folder.
    pub(crate) fn open_inode(&self) -> Result<Inode, StoreError> {
        let path = &self.path;
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(self.given.clone()),
            _ => StoreError::io("open", &self.given, error),
        };
        if !path.metadata().map_err(failed)?.is_file() {
            return Err(StoreError::NotABatch(self.given.clone()));
        }
        let inode = Inode::open(path).map_err(failed)?;
        match inode.links().map_err(failed)? {
            links @ 2.. => Err(StoreError::Linked {
                path: self.given.clone(),
                links,
            }),
            _ if is_mounted(path).map_err(failed)? => {
                Err(StoreError::MountedAlone(self.given.clone()))
            }
            _ => Ok(inode),
        }
    }

    /// Fails where this process may not change the batch: the database, or the folder that its log is in.
    ///
    /// # Errors
    /// When that is so. What cannot be told is left to be found by trying.
    pub(crate) fn check_writable(&self) -> Result<(), StoreError> {
        for path in [self.place(), self.path.as_path()] {
            let found = accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
            if let Err(Errno::ACCESS | Errno::ROFS | Errno::PERM) = found {
                return Err(StoreError::ReadOnly(self.given.clone()));
            }
        }
        Ok(())
    }

    /// SQLite's log of what is not in the database yet, and the index of it that those who use it share.
    pub(crate) fn log_and_index(&self) -> [PathBuf; 2] {
        [self.beside("-wal"), self.beside("-shm")]
    }

    /// Makes the folder of large outputs, for its owner only.
    ///
    /// # Errors
    /// When it cannot be made, or there is something else in its place.
    pub fn create_folder(&self) -> Result<PathBuf, StoreError> {
        let folder = self.folder();
        own_folder(&folder, &self.path)
            .map_err(|error| StoreError::io("make the folder", &folder, error))?;
        Ok(folder)
    }

    /// Whether the batch itself is gone and something that was beside it is not: the one who removed it was killed.
    ///
    /// Nothing is said of a batch whose executor still works on it, which holds its lease.
    pub fn is_half_removed(&self) -> bool {
        let is_there = |path: PathBuf| path.symlink_metadata().is_ok();
        !is_there(self.path.clone())
            && (self.parts().into_iter().any(is_there) || is_there(self.folder()))
            && !is_locked(&self.lease_path())
    }

    /// The files beside the database.
    fn parts(&self) -> Vec<PathBuf> {
        let mut parts = vec![self.beside("-wal"), self.beside("-shm"), self.log_path()];
        parts.extend(self.copies());
        parts.push(self.lease_path());
        parts
    }

    /// Removes the batch with all that is beside it. What is gone already is no error.
    ///
    /// # Errors
    /// At the first file that cannot be removed. The database goes first, so that what is left of a batch half removed
    /// is no batch, and the lease last: while someone holds it, nobody else removes the rest.
    pub fn remove(&self) -> Result<(), StoreError> {
        let mut files = vec![self.path.clone()];
        files.extend(self.parts());
        if self.given.is_symlink() {
            files.push(self.given.clone());
        }
        let gone = |path: &Path, result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", path, error))
            }
            _ => Ok(()),
        };
        for file in &files {
            if *file == self.lease_path() {
                gone(&self.folder(), fs::remove_dir_all(self.folder()))?;
            }
            gone(file, fs::remove_file(file))?;
        }
        Ok(())
    }
}

/// A path from the root on, with links resolved as far as there is something to resolve.
fn absolute(path: &Path) -> PathBuf {
    // In a folder that is gone, a name is still no more than a name: SQLite takes some for commands.
    let whole = std::path::absolute(path).unwrap_or_else(|_| Path::new(".").join(path));
    resolved(&whole)
}

fn resolved(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(folder), Some(name)) => resolved(folder).join(name),
        (Err(_), ..) => path.to_owned(),
    }
}

/// Whether someone holds a lock on a file.
fn is_locked(path: &Path) -> bool {
    let Ok(file) = open_plain(path, OpenOptions::new().read(true)) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Removes files of a folder that were to get another name, and whose owners were killed before that: those that begin
/// with `prefix` and that nobody holds locked.
pub fn remove_dead_files(folder: &Path, prefix: &str) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let begun = entries.filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().starts_with(prefix.as_bytes())
    });
    for entry in begun {
        // Locked until it is gone, so that a new owner waits and sees it.
        if let Ok(file) = open_plain(&entry.path(), OpenOptions::new().read(true))
            && file.try_lock().is_ok()
        {
            // Else the next one who looks for it does it.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_one_path_however_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().canonicalize().unwrap();
        fs::create_dir(place.join("real")).unwrap();
        std::os::unix::fs::symlink("real", place.join("linked")).unwrap();
        let real = BatchFile::new(place.join("real/b1.db"));
        assert_eq!(real.path(), place.join("real/b1.db"));
        for name in ["linked/b1.db", "linked/../real/./b1.db"] {
            let named = BatchFile::new(place.join(name));
            assert_eq!(named, real, "{name}");
            assert_eq!(named.shown(), place.join(name));
        }
        fs::write(real.path(), "").unwrap();
        std::os::unix::fs::symlink("real/b1.db", place.join("b.db")).unwrap();
        let link = BatchFile::new(place.join("b.db"));
        assert_eq!(link.folder(), place.join("real/b1.db.files"));
        // What is not there yet has the path that it will have.
        let new = BatchFile::new(place.join("linked/new/b2.db"));
        assert_eq!(new.path(), place.join("real/new/b2.db"));
        for name in ["x.db", ":memory:", "file:x.db?mode=memory"] {
            let here = std::env::current_dir().unwrap().canonicalize().unwrap();
            assert_eq!(BatchFile::new(name).path(), here.join(name));
        }
    }

    #[test]
    fn a_batch_goes_with_its_copies_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let names = [
            "b1.db",
            "b1.db-wal",
            "b1.db.log",
            "b1.db.v1",
            "b1.db.v12",
            "b1.db.vx",
            "b1.db.v",
            "b12.db",
            "b12.db.v1",
        ];
        for name in names {
            fs::write(path(name), "").unwrap();
        }
        BatchFile::new(path("b1.db")).remove().unwrap();
        let left: Vec<&str> = names
            .into_iter()
            .filter(|name| path(name).exists())
            .collect();
        assert_eq!(left, ["b1.db.vx", "b1.db.v", "b12.db", "b12.db.v1"]);
    }
}
