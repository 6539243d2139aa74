//! A file that is there whole or not at all: [`AtomicFile`].

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::ExportError;

/// A file written beside its place under another name, and renamed by [`commit`](Self::commit).
///
/// Dropped without that, it leaves nothing, and an older file of the name stays as it was. A link is
/// followed. What is no plain file (`/dev/stdout`, a named pipe) is written to directly.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Beside(NamedTempFile),
    Direct(File),
}

impl AtomicFile {
    /// Begins a file.
    ///
    /// # Errors
    /// When the folder is not there or not writable, or the path is a folder.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, ExportError> {
        let path = path.into();
        match open(&path) {
            Ok(target) => Ok(Self { path, target }),
            Err(error) => Err(failed("create", &path, error)),
        }
    }

    /// A second handle to write by, for a writer that is to own it.
    ///
    /// # Errors
    /// When the system has no handles left.
    pub fn handle(&self) -> Result<FileHandle, ExportError> {
        let file = self.file().try_clone();
        Ok(FileHandle {
            file: file.map_err(|error| failed("write", &self.path, error))?,
            path: self.path.clone(),
        })
    }

    /// Makes sure that the bytes are on the disk and puts the file in its place.
    ///
    /// # Errors
    /// When one of these fails; then nothing is left behind.
    pub fn commit(self) -> Result<(), ExportError> {
        let Target::Beside(file) = self.target else {
            return Ok(());
        };
        file.as_file()
            .sync_all()
            .map_err(|error| failed("write", &self.path, error))?;
        let place = place_of(&self.path);
        file.persist(&place)
            .map_err(|error| failed("rename the finished file to", &self.path, error.error))?;
        sync_folder(folder_of(&place));
        Ok(())
    }

    fn file(&self) -> &File {
        match &self.target {
            Target::Beside(file) => file.as_file(),
            Target::Direct(file) => file,
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file().write(bytes);
        written.map_err(|error| named(&self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file().flush();
        flushed.map_err(|error| named(&self.path, error))
    }
}

/// A second handle on an [`AtomicFile`], whose errors name the file.
#[derive(Debug)]
pub struct FileHandle {
    file: File,
    path: PathBuf,
}

impl Write for FileHandle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        written.map_err(|error| named(&self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.flush();
        flushed.map_err(|error| named(&self.path, error))
    }
}

/// The same error with the name of the file.
fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn open(path: &Path) -> io::Result<Target> {
    let place = place_of(path);
    let old = match place.metadata() {
        Ok(old) if old.is_dir() => {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a folder",
            ));
        }
        Ok(old) if !old.is_file() => {
            return OpenOptions::new()
                .write(true)
                .open(place)
                .map(Target::Direct);
        }
        old => old.ok(),
    };
    let name = place
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".tmp-");
    // Made here and not by `tempfile`, whose files are private: results are as readable as other new files.
    // Its errors would also name the temporary file, which is of no use to anybody.
    let mut code = None;
    let file = tempfile::Builder::new()
        .prefix(&prefix)
        .make_in(folder_of(&place), |beside| {
            let made = OpenOptions::new().write(true).create_new(true).open(beside);
            made.inspect_err(|error| code = error.raw_os_error())
        })
        .map_err(|error| code.map_or(error, io::Error::from_raw_os_error))?;
    if let Some(old) = old {
        file.as_file().set_permissions(old.permissions())?;
    }
    Ok(Target::Beside(file))
}

/// The file itself, where the path is a link to it.
fn place_of(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn failed(action: &'static str, path: &Path, error: io::Error) -> ExportError {
    ExportError::File {
        action,
        path: path.to_owned(),
        error,
    }
}

/// Makes the rename itself last. Where a folder cannot be synced, it was renamed all the same.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"ne").unwrap();
        file.handle().unwrap().write_all(b"w").unwrap();
        let beside = names(folder.path());
        assert!(beside[0].starts_with(".out.csv.tmp-"), "{beside:?}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["out.csv"]);
    }

    #[test]
    fn dropped_it_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(folder.path().join("out.csv")).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn errors_name_the_file_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let error = AtomicFile::create(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("it is a folder"), "{error}");
        let path = folder.path().join("none").join("out.csv");
        let error = AtomicFile::create(&path).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot create {}: ", path.display())),
            "{error}"
        );
        assert!(!error.contains("tmp-"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut file = AtomicFile::create(&link).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o640
        );

        let mut full = AtomicFile::create("/dev/full").unwrap();
        for error in [full.write(b"x"), full.handle().unwrap().write(b"x")] {
            let error = error.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert!(error.to_string().starts_with("/dev/full: "), "{error}");
        }
        let mut file = AtomicFile::create("/dev/null").unwrap();
        file.write_all(b"gone").unwrap();
        file.commit().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
