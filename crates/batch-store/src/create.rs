//! Making a new batch file: [`Store::create`].

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use batch_core::TaskSpec;
use batch_export::files::{open_plain, private_file_in};

use crate::error::StoreError;
use crate::file::BatchFile;
use crate::holder::Holder;
use crate::inode::{Inode, InodeLock};
use crate::lease::Lease;
use crate::runs;
use crate::schema::{self, Durability};
use crate::settings::{self, NewBatch};
use crate::store::Store;
use crate::task_rows::TaskRows;

/// Others who put a batch into the same folder are done with that much sooner.
const FOLDER_TIMEOUT: Duration = Duration::from_secs(10);

impl Store {
    /// Makes a new batch file: a whole one or none, also after a crash.
    ///
    /// # Errors
    /// When there is a file already, or it cannot be made.
    pub fn create(
        file: BatchFile,
        new: &NewBatch,
        durability: Durability,
    ) -> Result<Self, StoreError> {
        let (store, lease) = Self::create_held(file, new, &[], durability, &Holder::default())?;
        let released = lease.release();
        released.map_err(|error| StoreError::io("release", store.path(), error))?;
        Ok(store)
    }

    /// Makes a new batch file with its lease: nobody else works on it before the one who made it. The first tasks, and the
    /// run that the holder begins, are in it from its first moment on.
    ///
    /// # Errors
    /// When there is a file already, a task cannot be stored, or the file cannot be made.
    pub fn create_held(
        file: BatchFile,
        new: &NewBatch,
        tasks: &[TaskSpec],
        durability: Durability,
        holder: &Holder,
    ) -> Result<(Self, Lease), StoreError> {
        let image = schema::image(file.path(), |connection| {
            let failed = |error| StoreError::sqlite(file.path(), error);
            settings::write_new(connection, new).map_err(failed)?;
            let mut rows = TaskRows::new(1, new.created_at, true);
            rows.add(connection, tasks.iter().map(|task| (task, Vec::new())))
                .map_err(|error| error.at(file.path()))?;
            rows.finish(connection).map_err(failed)?;
            if holder.run > 0 {
                runs::insert(connection, holder, new.created_at).map_err(failed)?;
            }
            Ok(())
        })?;
        let lease = place(&file, &image, holder)?;
        let store = Self::open_as(file, true, durability)?;
        Ok((store, lease))
    }
}

/// Puts a whole database into its place, for its owner only, and gives its lease: it is locked from its first
/// moment on. There is all of it or none, also after a crash.
///
/// # Errors
/// When there is a file already, or it cannot be made.
fn place(file: &BatchFile, database: &[u8], holder: &Holder) -> Result<Lease, StoreError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists if !is_batch(file.path()) => {
            StoreError::Occupied(file.shown().to_owned())
        }
        io::ErrorKind::AlreadyExists => StoreError::Exists(file.shown().to_owned()),
        _ => StoreError::io("create", file.shown(), error),
    };
    let write = || -> io::Result<InodeLock> {
        let new = private_file_in(file.place(), ".new-".as_ref())?;
        // RestoredTask `tempfile`, whose errors would name this file.
        new.as_file().write_all(database)?;
        new.as_file().sync_all()?;
        let (new, path) = new.into_parts();
        let lock = Inode::of_new(new)?.try_lock()?;
        let folder = lock_folder(file.place())?;
        if file.path().exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // The log and the lease of a database that is gone would be taken for those of this one.
        for stale in ["-wal", "-shm", ".lease"] {
            remove_if_there(&file.beside(stale))?;
        }
        path.persist_noclobber(file.path())?;
        folder.sync_all()?;
        Ok(lock.expect("nobody knew of the file"))
    };
    let lock = write().map_err(failed)?;
    Lease::of_new(file, lock, holder)
}

/// Whether a file looks like a batch: its header says so, whatever the rest of it is.
fn is_batch(path: &Path) -> bool {
    let mut header = [0; 72];
    let read = open_plain(path, OpenOptions::new().read(true))
        .and_then(|mut file| file.read_exact(&mut header));
    read.is_ok()
        && header.starts_with(b"SQLite format 3\0")
        && i64::from(u32::from_be_bytes([
            header[68], header[69], header[70], header[71],
        ])) == schema::APPLICATION_ID
}

/// Locks a folder for the moment in which a batch comes into it: the one who looks whether there is one and removes what is
/// beside it is alone. Who has it locked for long for reasons of his own, as by `flock FOLDER`, is not waited for.
fn lock_folder(path: &Path) -> io::Result<File> {
    let folder = File::open(path)?;
    let until = Instant::now() + FOLDER_TIMEOUT;
    while matches!(folder.try_lock(), Err(TryLockError::WouldBlock)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(folder)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_batch_that_another_one_made_meanwhile_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let batch = BatchFile::new(folder.path().join("b.db"));
        let names = ["b.db", "b.db-wal", "b.db-shm", "b.db.lease"];
        std::thread::scope(|scope| {
            let lock = lock_folder(folder.path()).unwrap();
            let second = scope.spawn(|| place(&batch, b"second", &Holder::default()).map(drop));
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            for name in names {
                let mut file = options.open(folder.path().join(name)).unwrap();
                file.write_all(b"first").unwrap();
            }
            drop(lock);
            let refused = second.join().unwrap();
            assert!(
                matches!(refused, Err(StoreError::Occupied(_))),
                "{refused:?}"
            );
        });
        for name in names {
            assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"first");
        }
    }
}
