//! What can go wrong with a batch file: [`StoreError`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{ErrorCode, Row};

/// Why a batch file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such file.
    #[error("there is no batch file {}", .0.display())]
    Missing(PathBuf),
    /// A new batch was to be made where something is already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The file exists, and it is something else.
    #[error("{} is not a batch file of bex", .0.display())]
    NotABatch(PathBuf),
    /// A new batch was to be made where something else than a batch is.
    #[error(
        "{} exists already and is not a batch file of bex; choose another name",
        .0.display()
    )]
    Occupied(PathBuf),
    /// The file has several names, and the data beside it belongs to one of them.
    #[error(
        "{} has {links} names (hard links), and the files beside a batch belong to one name; remove the others, or copy the file",
        path.display()
    )]
    Linked {
        /// The file.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// The file alone is mounted here, without the data beside it.
    #[error(
        "{} is mounted without the files beside it; mount its folder in place of the file",
        .0.display()
    )]
    MountedAlone(PathBuf),
    /// Someone works on the file under another name, or with a lease that was removed.
    #[error(
        "{} is being worked on under another name, or its lease was removed; wait for that run to stop",
        .0.display()
    )]
    Elsewhere(PathBuf),
    /// An executor lost the batch that it worked on.
    #[error("{} {loss}", path.display())]
    Lost {
        /// The file.
        path: PathBuf,
        /// What it lost.
        loss: Loss,
    },
    /// The file was written by a later version.
    #[error(
        "{} has the format {found} and this version of bex knows up to {known}; use a newer bex",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: i64,
        /// The latest version known here.
        known: i64,
    },
    /// The tables in it are not those that bex makes.
    #[error(
        "{} was not made by bex in this form: {what}; nothing was read from it",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The batch may be read and not changed.
    #[error(
        "{} cannot be changed: it is read-only here, or its folder is; copy the batch to a folder of your own, with all files whose names begin like this one",
        .0.display()
    )]
    ReadOnly(PathBuf),
    /// The disk or the quota is full.
    #[error("the disk is full: {} cannot be written", .0.display())]
    Full(PathBuf),
    /// A file would become larger than files may.
    #[error(
        "{} cannot be written: no file of this process may have more than {limit} bytes; raise that, as with ulimit -f unlimited",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// Another program held the file all the time.
    #[error(
        "{path} is held by another program, which did not release it; end that program (fuser -v {path} shows it) and try again",
        path = .0.display()
    )]
    Busy(PathBuf),
    /// A value in the file is none that bex writes.
    #[error("{}: {what}; was the file changed by hand?", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A task cannot be kept as it is.
    #[error("task {number} cannot be stored: {what}")]
    Unstorable {
        /// Its place among the tasks given, from 1.
        number: usize,
        /// Why.
        what: String,
    },
    /// The system refused something.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was tried, as in "create".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// SQLite refused something else.
    #[error("{}: {error}{}", path.display(), remedy(error))]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        error: rusqlite::Error,
    },
}

/// What can be done about an error of SQLite.
fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt) => {
            "; the file is damaged: copy it, then recover what can be read into a new file with sqlite3 (sqlite3 FILE .recover | sqlite3 NEWFILE)"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "; the disk or its file system failed: see the log of the system, and copy the file while it can be read"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "; check the permissions of the file and its folder"
        }
        Some(ErrorCode::FileLockingProtocolFailed) => {
            "; files cannot be locked there: move the batch to a local disk"
        }
        Some(ErrorCode::OutOfMemory) => "; end what uses the memory, and try again",
        _ => "",
    }
}

/// What an executor lost while it worked on a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The batch file was removed, or another one put in its place, and with it all of the batch has gone.
    Removed,
    /// The batch file was moved; where to, as far as that is known. All that is known of the batch is in it.
    Moved(Option<PathBuf>),
    /// The content of the batch file was overwritten.
    Overwritten,
    /// A file or folder beside it was removed or replaced. All else that is known of the batch is in the batch file.
    Beside(PathBuf),
}

impl Loss {
    /// Whether the batch file is still there with all that is known of the batch.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Moved(_) | Self::Beside(_))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => {
                f.write_str("was removed or replaced while it ran, so the run was stopped; nothing of that batch is kept")
            }
            Self::Moved(None) => f.write_str(
                "was moved while it ran, so the run was stopped; what has finished is in the moved file, which can be resumed",
            ),
            Self::Moved(Some(path)) => write!(
                f,
                "was moved to {} while it ran, so the run was stopped",
                path.display()
            ),
            Self::Overwritten => f.write_str(
                "was overwritten while it ran, so the run was stopped; what was put there may be damaged: put it there again, without -wal and -shm files beside it",
            ),
            Self::Beside(path) => write!(
                f,
                "lost {} while it ran, so the run was stopped; what is left of the batch is kept",
                path.display()
            ),
        }
    }
}

/// What keeps a batch file from being written for a while, though nothing is wrong with it: the same write succeeds
/// when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// There is no room on the disk, or the quota is used up.
    DiskFull,
    /// Another program holds the file.
    Busy,
}

impl Obstacle {
    /// The error of a write to a file that met this.
    pub fn error(self, path: &Path) -> StoreError {
        match self {
            Self::DiskFull => StoreError::Full(path.to_owned()),
            Self::Busy => StoreError::Busy(path.to_owned()),
        }
    }
}

impl StoreError {
    /// What was in the way, where the same can be tried again; `None` for any other error.
    pub fn obstacle(&self) -> Option<Obstacle> {
        match self {
            Self::Busy(_) => Some(Obstacle::Busy),
            _ if self.is_full() => Some(Obstacle::DiskFull),
            _ => None,
        }
    }

    /// Whether there was no room to write.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Io { error, .. } => is_disk_full(error),
            _ => false,
        }
    }

    /// Whether this user may not do what was tried.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// What SQLite refused, or what in the file is not understood.
    pub(crate) fn of_row(path: &Path, error: RowError) -> Self {
        match error {
            RowError::Sqlite(error) => Self::sqlite(path, error),
            RowError::Corrupt(what) => Self::Corrupt {
                path: path.to_owned(),
                what,
            },
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::FileTooLarge
            && let Some(limit) = file_size_limit()
        {
            let path = path.to_owned();
            return Self::TooLarge { path, limit };
        }
        Self::Io {
            what,
            path: path.to_owned(),
            error,
        }
    }

    /// Names the file in an error of SQLite, and the causes that people can fix.
    pub(crate) fn sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(path),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(path),
            Some(ErrorCode::NotADatabase) => Self::NotABatch(path),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(path),
            // A write that the system cut short for lack of space comes as a plain I/O error.
            Some(ErrorCode::SystemIoFailure) if has_no_space(&path) => Self::Full(path),
            Some(ErrorCode::SystemIoFailure) => match limit_reached(&path) {
                Some(limit) => Self::TooLarge { path, limit },
                None => Self::Sqlite { path, error },
            },
            _ => Self::Sqlite { path, error },
        }
    }
}

/// Why a row could not be read.
#[derive(Debug)]
pub(crate) enum RowError {
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// A value is not understood.
    Corrupt(String),
}

impl RowError {
    /// Names the task in whose row a value is not of the kind that it must be.
    pub(crate) fn of_task(self, task: impl fmt::Display) -> Self {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType,
        };
        match self {
            Self::Sqlite(InvalidColumnType(_, column, kind)) => {
                Self::in_task(task, format_args!("{column} cannot be {kind}"))
            }
            Self::Sqlite(IntegralValueOutOfRange(_, value)) => {
                Self::in_task(task, format_args!("the number {value} is out of range"))
            }
            Self::Sqlite(FromSqlConversionFailure(_, _, error)) => Self::in_task(task, error),
            other => other,
        }
    }

    /// The same for a row that begins with the number of its task.
    pub(crate) fn of_row(self, row: &Row<'_>) -> Self {
        match row.get_ref(0) {
            Ok(ValueRef::Integer(task)) => self.of_task(task),
            Ok(ValueRef::Text(text)) => {
                self.of_task(format_args!("{:?}", String::from_utf8_lossy(text)))
            }
            _ => self.of_task("without a number"),
        }
    }

    /// Something in the row of a task is not understood.
    pub(crate) fn in_task(task: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self::Corrupt(format!("task {task}: {what}"))
    }
}

impl From<rusqlite::Error> for RowError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// How large the files of this process may be, where that is limited.
fn file_size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// The limit of the size of files, where a database or its log has come close to it.
fn limit_reached(path: &Path) -> Option<u64> {
    const CLOSE: u64 = 1 << 20;
    let limit = file_size_limit()?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let size = |path: &Path| path.metadata().map_or(0, |found| found.len());
    let largest = size(path).max(size(log.as_ref()));
    (largest.saturating_add(CLOSE) >= limit).then_some(limit)
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Whether the folder of a file takes no more bytes, found by trying.
fn has_no_space(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::tempfile_in(folder)?;
        io::Write::write_all(&mut file, &[0; 64 * 1024])?;
        file.sync_data()
    };
    write().is_err_and(|error: io::Error| is_disk_full(&error))
}
