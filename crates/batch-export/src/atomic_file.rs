//! A file that is there whole or not at all: [`AtomicFile`].

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::ExportError;
use crate::plain_file::{MOST_LINKS, refuse_links_of_others};
use crate::unnamed;

/// A file written without a name, or where there is no such thing beside its place under another one, and put there by
/// [`commit`](Self::commit).
///
/// Dropped without that, it leaves nothing, and an older file of the name stays as it was; nor does it leave anything when
/// its process is killed, but where it has another name. A link is followed. What is no plain file (a named pipe), and what is
/// open already (`/dev/stdout`, also where that is a plain file), is written to directly. A new file is readable by its owner alone; one that is replaced keeps its permissions.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Unnamed(File),
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
        if let Target::Direct(_) = self.target {
            return Ok(());
        }
        self.file()
            .sync_all()
            .map_err(|error| failed("write", &self.path, error))?;
        let place = place_of(&self.path);
        let renamed = match self.target {
            Target::Direct(_) => Ok(()),
            Target::Beside(file) => persist(file, &place),
            // A name that is taken cannot be given.
            Target::Unnamed(file) => prefix_beside(&place)
                .and_then(|prefix| {
                    tempfile::Builder::new()
                        .prefix(&prefix)
                        .make_in(folder_of(&place), |path| unnamed::name(&file, path))
                })
                .and_then(|named| persist(named, &place)),
        };
        renamed.map_err(|error| failed("rename the finished file to", &self.path, error))?;
        sync_folder(folder_of(&place));
        Ok(())
    }

    fn file(&self) -> &File {
        self.target.file()
    }
}

impl Target {
    fn file(&self) -> &File {
        match self {
            Self::Beside(file) => file.as_file(),
            Self::Unnamed(file) | Self::Direct(file) => file,
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = write(self.file(), bytes);
        written.map_err(|error| with_name(&self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file().flush();
        flushed.map_err(|error| with_name(&self.path, error))
    }
}

/// A handle on a file, such as a second one on an [`AtomicFile`], whose errors name the file.
#[derive(Debug)]
pub struct FileHandle {
    file: File,
    path: PathBuf,
}

impl Write for FileHandle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = write(&self.file, bytes);
        written.map_err(|error| with_name(&self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.flush();
        flushed.map_err(|error| with_name(&self.path, error))
    }
}

impl FileHandle {
    /// A file that grows while others read it, and is not whole before its end; with `goes_on` after what is there.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn growing(path: &Path, goes_on: bool) -> Result<Self, ExportError> {
        let open = || {
            refuse_links_of_others(path)?;
            #[cfg(unix)]
            if let Some(opened) = crate::descriptor::open_descriptor(path) {
                return opened;
            }
            let mut options = OpenOptions::new();
            match goes_on {
                true => options.append(true),
                false => options.write(true).truncate(true),
            };
            private(options.create(true)).open(path)
        };
        match open() {
            Ok(file) => Ok(Self {
                file,
                path: path.to_owned(),
            }),
            Err(error) => Err(failed("create", path, error)),
        }
    }

    /// Whether there is nothing in it yet, as far as that can be told.
    pub fn is_empty(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.len() == 0)
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for FileHandle {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Writes to a file, which may be a pipe or a terminal that others share.
#[cfg(unix)]
fn write(file: &File, bytes: &[u8]) -> io::Result<usize> {
    crate::blocking::Blocking::new(file).write(bytes)
}

#[cfg(not(unix))]
fn write(mut file: &File, bytes: &[u8]) -> io::Result<usize> {
    file.write(bytes)
}

/// The same error with the name of the file.
fn with_name(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn open(path: &Path) -> io::Result<Target> {
    refuse_links_of_others(path)?;
    #[cfg(unix)]
    if let Some(opened) = crate::descriptor::open_descriptor(path) {
        return opened.map(Target::Direct);
    }
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
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        old => old.ok(),
    };
    if place.file_name().is_none() {
        return Err(names_no_file());
    }
    let target = match unnamed::create(folder_of(&place)) {
        Some(file) => Target::Unnamed(file),
        None => Target::Beside(named(&place)?),
    };
    if let Some(old) = old {
        target.file().set_permissions(old.permissions())?;
    }
    Ok(target)
}

/// A file under a name beside a place that nothing has.
fn named(place: &Path) -> io::Result<NamedTempFile> {
    private_file_in(folder_of(place), &prefix_beside(place)?)
}

/// Makes a file for its owner only in a folder, under a new name that begins in some way. Made here and not by `tempfile`,
/// whose errors would name the temporary file, which is of no use to anybody.
///
/// # Errors
/// When the system refuses.
pub fn private_file_in(folder: &Path, prefix: &OsStr) -> io::Result<NamedTempFile> {
    let mut code = None;
    let made = tempfile::Builder::new()
        .prefix(prefix)
        .make_in(folder, |path| {
            let mut options = OpenOptions::new();
            let made = private(options.read(true).write(true).create_new(true)).open(path);
            made.inspect_err(|error| code = error.raw_os_error())
        });
    made.map_err(|error| code.map_or(error, io::Error::from_raw_os_error))
}

/// How many characters of a name, of up to four bytes, are in that of its temporary file.
const MOST_CHARS: usize = 50;

/// How a name begins that is beside a place for a while.
fn prefix_beside(place: &Path) -> io::Result<OsString> {
    let name = place.file_name().ok_or_else(names_no_file)?;
    // With what is added, the whole of a name that is as long as names may be would be too long.
    let name: String = name.to_string_lossy().chars().take(MOST_CHARS).collect();
    Ok(OsString::from(format!(".{name}.tmp-")))
}

fn names_no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it names no file")
}

fn persist<T>(file: NamedTempFile<T>, place: &Path) -> io::Result<()> {
    file.persist(place).map(drop).map_err(|error| error.error)
}

/// Results may hold anything, so a new file is for its owner alone.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// The file itself, where the path is a link to it, also to one that is not there yet.
fn place_of(path: &Path) -> PathBuf {
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = place.read_link() else {
            break;
        };
        place = folder_of(&place).join(target);
    }
    place
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

pub(crate) fn failed(action: &'static str, path: &Path, error: io::Error) -> ExportError {
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
        if cfg!(target_os = "linux") {
            // A process that is killed here leaves nothing.
            assert_eq!(names(folder.path()), ["out.csv"]);
        }
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

    #[test]
    fn a_name_may_be_as_long_as_names_may_be() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x".repeat(255), format!("{}.json", "ä".repeat(125))] {
            let path = folder.path().join(&name);
            // The second one replaces the first, and has another way to its place.
            for text in ["old", "new"] {
                let mut file = AtomicFile::create(&path).unwrap();
                file.write_all(text.as_bytes()).unwrap();
                file.commit().unwrap();
            }
            fs::write(&path, "newer").unwrap();
            let beside = named(&path).unwrap();
            persist(beside, &path).unwrap();
        }
        assert_eq!(names(folder.path()).len(), 2);
        let error = AtomicFile::create(folder.path().join("x".repeat(256)));
        assert!(error.unwrap_err().to_string().contains("too long"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_what_is_not_there_yet_is_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        symlink("hop", path("link")).unwrap();
        symlink(path("new"), path("hop")).unwrap();
        let mut file = AtomicFile::create(path("link")).unwrap();
        file.write_all(b"text").unwrap();
        file.commit().unwrap();
        assert!(path("link").is_symlink() && path("hop").is_symlink());
        assert_eq!(fs::read(path("new")).unwrap(), b"text");

        symlink("nowhere/new", path("lost")).unwrap();
        symlink("round", path("round")).unwrap();
        for name in ["lost", "round"] {
            AtomicFile::create(path(name)).expect_err(name);
            assert!(path(name).is_symlink());
        }
    }

    /// A process of its own writes, whose standard output and file 3 are files that hold something.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_open_already_is_written_to_and_not_replaced() {
        if let Some(path) = std::env::var_os("ATOMIC_FILE_TEST") {
            let mut file = AtomicFile::create(&path).unwrap();
            file.write_all(b"new\n").unwrap();
            file.handle().unwrap().write_all(b"more\n").unwrap();
            file.commit().unwrap();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::os::unix::fs::symlink("/dev/stdout", folder.path().join("link")).unwrap();
        let link = folder.path().join("link");
        let paths = [
            "/dev/stdout",
            "/dev/fd/1",
            "/proc/self/fd/1",
            "/proc/thread-self/fd/1",
            "/dev/fd/3",
            "/dev/../dev/stdout",
        ];
        let test = "atomic_file::tests::what_is_open_already_is_written_to_and_not_replaced";
        for path in paths.into_iter().map(Path::new).chain([&*link]) {
            fs::write(&log, "").unwrap();
            let script = format!("echo old; \"$0\" --exact {test} --nocapture 3>&1; echo last");
            let ended = std::process::Command::new("sh")
                .args(["-c", &script])
                .arg(std::env::current_exe().unwrap())
                .env("ATOMIC_FILE_TEST", path)
                .stdout(File::options().write(true).open(&log).unwrap())
                .status();
            assert!(ended.unwrap().success(), "{path:?}");
            let text = fs::read_to_string(&log).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(
                (lines[0], *lines.last().unwrap()),
                ("old", "last"),
                "{path:?}: {text}"
            );
            assert!(text.contains("new\nmore\n"), "{path:?}: {text}");
        }
        let own = File::create(folder.path().join("own")).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&own);
        for number in [number, 1000] {
            let error = AtomicFile::create(format!("/dev/fd/{number}")).unwrap_err();
            assert!(
                error.to_string().contains("no file was open there"),
                "{error}"
            );
        }
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
