//! Private folders that live no longer than their process: [`Scratch`], and the end of those whose owner was killed:
//! [`remove_dead_scratch`].
//!
//! A folder is held by a lock on it, which ends with its owner. So whether the owner lives is seen from another container
//! as well, where its number says nothing.

use std::env;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What the names of these folders begin with; the number of the process follows, for people who look.
const PREFIX: &str = "bex-scratch-";

/// A cleaner may have a folder locked in the moment between its making and its own lock; this often another is made.
const TRIES: usize = 16;

/// A private folder of this process in the system's folder for temporary files: made when it is first asked for, for its
/// owner only whatever the umask, and removed with its last clone. When the process is killed, by its guardian or
/// the one who calls [`remove_dead_scratch`] next.
///
/// Not to be asked for before [`guard::enter`](crate::guard::enter).
#[derive(Clone, Debug, Default)]
pub struct Scratch(Arc<Mutex<Option<Folder>>>);

impl Scratch {
    /// The folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self) -> io::Result<PathBuf> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made.is_none() {
            *made = Some(Folder::new_in(&env::temp_dir())?);
        }
        Ok(made.as_ref().expect("it was just made").path.clone())
    }
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Held as long as the folder is ours.
    _lock: File,
}

impl Folder {
    fn new_in(parent: &Path) -> io::Result<Self> {
        let prefix = format!("{PREFIX}{}-", std::process::id());
        Self::first_held(|| {
            let mut made = tempfile::Builder::new();
            made.prefix(&prefix).permissions(private());
            Ok(made.tempdir_in(parent)?.keep())
        })
    }

    /// Makes folders until one is held before a cleaner has it.
    fn first_held(mut make: impl FnMut() -> io::Result<PathBuf>) -> io::Result<Self> {
        for _ in 0..TRIES {
            let path = make()?;
            match hold(&path) {
                Ok(Some(lock)) => return Ok(Self { path, _lock: lock }),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("another program locks each new folder"))
    }
}

/// Locks a new folder; `None` when a cleaner was faster. When the cleaner is done, the folder is not found.
fn hold(path: &Path) -> io::Result<Option<File>> {
    // A umask takes away from what was asked for.
    fs::set_permissions(path, private())?;
    let lock = open_folder(path)?;
    Ok((lock.try_lock().is_ok() && is_at(&lock, path)).then_some(lock))
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Else the next one who looks for it does it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the [`Scratch`] that processes of the same user left who were killed; gives how many folders there were. Whatever
/// a living process has stays.
pub fn remove_dead_scratch() -> usize {
    remove_dead_in(&env::temp_dir())
}

fn remove_dead_in(parent: &Path) -> usize {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
    });
    ours.filter(|entry| remove_if_dead(&entry.path())).count()
}

fn remove_if_dead(path: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let Ok(folder) = open_folder(path) else {
        return false;
    };
    let is_ours = folder.metadata().is_ok_and(|found| found.uid() == me);
    is_ours && folder.try_lock().is_ok() && is_at(&folder, path) && fs::remove_dir_all(path).is_ok()
}

fn private() -> Permissions {
    Permissions::from_mode(0o700)
}

/// Opens a folder and nothing else, not even by a link.
fn open_folder(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(path)
}

/// Whether a folder that was opened still has its name.
fn is_at(folder: &File, path: &Path) -> bool {
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    match (folder.metadata(), fs::symlink_metadata(path)) {
        (Ok(here), Ok(there)) => id(here) == id(there),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_a_cleaner_takes_before_it_is_held_is_made_again() {
        let parent = tempfile::tempdir().unwrap();
        let mut made = 0;
        let mut locks = Vec::new();
        let folder = Folder::first_held(|| {
            made += 1;
            let path = parent.path().join(made.to_string());
            fs::create_dir(&path)?;
            match made {
                // A cleaner is done with the first one, and has begun with the second one.
                1 => fs::remove_dir(&path)?,
                2 => {
                    let lock = open_folder(&path)?;
                    lock.lock()?;
                    locks.push(lock);
                }
                _ => {}
            }
            Ok(path)
        });
        assert_eq!(folder.unwrap().path, parent.path().join("3"));
        let missing = Folder::new_in(&parent.path().join("none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_a_living_process_has_stays_and_what_a_dead_one_left_goes() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Folder::new_in(parent.path()).unwrap();
        let mode = fs::metadata(&alive.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let dead = parent.path().join(format!("{PREFIX}1-abc"));
        fs::create_dir_all(dead.join("code")).unwrap();
        fs::write(dead.join("code/secret.py"), "1").unwrap();
        // None of ours: another name, a file, a link to something of someone.
        let other = parent.path().join("bex-other");
        let file = parent.path().join(format!("{PREFIX}2-file"));
        let link = parent.path().join(format!("{PREFIX}3-link"));
        fs::create_dir(&other).unwrap();
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();

        assert_eq!(remove_dead_in(parent.path()), 1);
        assert!(!dead.exists());
        for kept in [&alive.path, &other, &file, &link] {
            assert!(kept.symlink_metadata().is_ok(), "{}", kept.display());
        }
        let path = alive.path.clone();
        drop(alive);
        assert!(!path.exists());
    }
}
