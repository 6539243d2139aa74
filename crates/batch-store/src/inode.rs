//! The file of a batch itself, whatever it is called: [`Inode`], the one handle of this process on it.
//!
//! A lock on a name is worth nothing: a file can be moved, linked, and opened by many names. So what an executor
//! locks is the database. Closing any handle on a database drops the locks that SQLite has on it in this process,
//! which is why there is one handle here, shared by everybody in the process who has the database open, and closed
//! only when nobody has.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batch_process::{is_file_locked, try_lock_file, unlock_file};

/// What names a file for as long as it exists: its device and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

/// A database that this process has open.
#[derive(Debug)]
pub(crate) struct Inode {
    id: FileId,
    /// There until it is dropped.
    handle: Option<Arc<Handle>>,
}

#[derive(Debug)]
struct Handle {
    file: File,
    /// This process has it locked. The system does not tell a lock's owner of it.
    is_locked: AtomicBool,
}

/// The lock on a database. Given up when dropped, and by the end of the process in any case.
#[derive(Debug)]
pub(crate) struct InodeLock(Inode);

/// The databases that this process has open.
static OPEN: Mutex<Option<HashMap<FileId, Arc<Handle>>>> = Mutex::new(None);

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// The file at a path, if there is one.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(found) => Ok(Some(Self::of(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Display for FileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.device, self.inode)
    }
}

impl Inode {
    /// Opens a database, or shares the handle that this process has on it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut open = lock_open();
        let open = open.get_or_insert_default();
        let id = FileId::of(&fs::metadata(path)?);
        if let Some(handle) = open.get(&id) {
            return Ok(Self::shared(id, handle));
        }
        let options = OpenOptions::new().read(true).write(true).clone();
        // One that may only be read can be looked at all the same.
        let file = options.open(path).or_else(|_| File::open(path))?;
        let id = FileId::of(&file.metadata()?);
        match open.get(&id) {
            // Another file came to this path meanwhile, and it is open here.
            Some(handle) => {
                std::mem::forget(file);
                Ok(Self::shared(id, handle))
            }
            None => Ok(Self::keep(open, id, file)),
        }
    }

    /// Takes the handle of a file that nobody else in this process has open.
    pub(crate) fn of_new(file: File) -> io::Result<Self> {
        let id = FileId::of(&file.metadata()?);
        Ok(Self::keep(lock_open().get_or_insert_default(), id, file))
    }

    fn keep(open: &mut HashMap<FileId, Arc<Handle>>, id: FileId, file: File) -> Self {
        let handle = Arc::new(Handle {
            file,
            is_locked: AtomicBool::new(false),
        });
        let inode = Self::shared(id, &handle);
        open.insert(id, handle);
        inode
    }

    fn shared(id: FileId, handle: &Arc<Handle>) -> Self {
        Self {
            id,
            handle: Some(Arc::clone(handle)),
        }
    }

    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// How many names the file has; none once it was removed.
    pub(crate) fn links(&self) -> io::Result<u64> {
        Ok(self.handle().file.metadata()?.nlink())
    }

    /// Where the file is now, where the system tells.
    pub(crate) fn current_path(&self) -> Option<PathBuf> {
        use std::os::fd::AsRawFd;
        let handle = self.handle().file.as_raw_fd();
        let path = fs::read_link(format!("/proc/self/fd/{handle}")).ok()?;
        (FileId::at(&path).ok()? == Some(self.id)).then_some(path)
    }

    /// The first bytes of the file, past SQLite, as far as there are this many.
    pub(crate) fn first_bytes<const N: usize>(&self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while filled < N {
            match self
                .handle()
                .file
                .read_at(&mut bytes[filled..], filled as u64)?
            {
                0 => break,
                read => filled += read,
            }
        }
        Ok(bytes)
    }

    /// Locks the file; `None` when someone has it locked, in this process or another.
    pub(crate) fn try_lock(self) -> io::Result<Result<InodeLock, Self>> {
        let handle = self.handle();
        if handle.is_locked.swap(true, Ordering::AcqRel) {
            return Ok(Err(self));
        }
        let locked = try_lock_file(&handle.file);
        if !matches!(locked, Ok(true)) {
            handle.is_locked.store(false, Ordering::Release);
        }
        match locked? {
            true => Ok(Ok(InodeLock(self))),
            false => Ok(Err(self)),
        }
    }

    /// Whether this process has it locked.
    pub(crate) fn is_ours(&self) -> bool {
        self.handle().is_locked.load(Ordering::Acquire)
    }

    /// Whether anybody has it locked.
    pub(crate) fn is_locked(&self) -> io::Result<bool> {
        Ok(self.is_ours() || is_file_locked(&self.handle().file)?)
    }

    fn handle(&self) -> &Arc<Handle> {
        self.handle.as_ref().expect("it is there until the drop")
    }
}

impl Clone for Inode {
    fn clone(&self) -> Self {
        Self::shared(self.id, self.handle())
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        // Closed while nobody can open it.
        let mut open = lock_open();
        self.handle = None;
        let open = open.get_or_insert_default();
        if open
            .get(&self.id)
            .is_some_and(|handle| Arc::strong_count(handle) == 1)
        {
            open.remove(&self.id);
        }
    }
}

impl InodeLock {
    pub(crate) fn inode(&self) -> &Inode {
        &self.0
    }
}

impl Drop for InodeLock {
    fn drop(&mut self) {
        let handle = self.0.handle();
        // Others in this process may have the file open still, so that it is not closed.
        let _ = unlock_file(&handle.file);
        handle.is_locked.store(false, Ordering::Release);
    }
}

fn lock_open() -> MutexGuard<'static, Option<HashMap<FileId, Arc<Handle>>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_handle_on_a_file_until_nobody_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["a", "b"].map(|name| folder.path().join(name));
        fs::write(&path, "0123456789").unwrap();
        let first = Inode::open(&path).unwrap();
        fs::rename(&path, &other).unwrap();
        let second = Inode::open(&other).unwrap();
        assert!(Arc::ptr_eq(first.handle(), second.handle()));
        assert_eq!(
            second.current_path(),
            Some(fs::canonicalize(&other).unwrap())
        );
        assert_eq!(second.first_bytes::<4>().unwrap(), *b"0123");
        let id = first.id();
        let lock = first.try_lock().unwrap().unwrap();
        assert!(second.is_locked().unwrap());
        let second = second.try_lock().unwrap().unwrap_err();
        drop(lock);
        assert!(!second.is_locked().unwrap());
        fs::remove_file(&other).unwrap();
        assert_eq!((second.links().unwrap(), second.current_path()), (0, None));
        let is_open = || lock_open().as_ref().unwrap().contains_key(&id);
        assert!(is_open());
        drop(second);
        assert!(!is_open());
    }
}
