//! How a connection to a batch file is opened: [`open`], to write, to read, and to read where nothing can be written.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use crate::error::StoreError;
use crate::file::BatchFile;
use crate::schema::{APPLICATION_ID, Durability, VERSION, check_tables};

/// How long a command waits for others that write: this many milliseconds.
const BUSY_TRIES: i32 = 30_000;

/// How long an executor does, which comes back by itself, starts nothing meanwhile and must hear of a stop in between.
const BRIEF_TRIES: i32 = 50;

/// The write-ahead log goes into the file when it has this many pages,
const LOG_PAGES: u64 = 4_096;

/// or fewer where that would be more than this part of the free disk,
const LOG_SHARE: u64 = 16;

/// or after each commit, where these would be.
const FEW_LOG_PAGES: u64 = 256;

const PAGE: u64 = 4_096;

/// How often it is checked how a file can be read, as those who write it come and go.
const OPEN_TRIES: usize = 10;

/// Opens a file to read and write, or to read only.
pub(crate) fn open(
    file: &BatchFile,
    write: bool,
    durability: Durability,
) -> Result<Connection, StoreError> {
    let path = file.path();
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(StoreError::NotABatch(file.shown().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::Missing(file.shown().to_owned()));
        }
        Err(error) => return Err(StoreError::io("open", path, error)),
    }
    let connection = match file.check_writable() {
        // A reader too must be able to make the shared memory of the write-ahead log.
        Ok(()) => match How::Together.open(path, durability) {
            Err(error) if error.is_full() && !write => How::Exclusive.open(path, durability)?,
            opened => opened?,
        },
        Err(error) if write => return Err(error),
        Err(_) => open_unwritable(file, durability)?,
    };
    if !write {
        connection
            .pragma_update(None, "query_only", true)
            .map_err(|error| StoreError::sqlite(path, error))?;
    }
    Ok(connection)
}

/// The ways in which a file can be used.
enum How {
    /// With others, by the index of the log that they share.
    Together,
    /// Alone, where the disk has no room for that index.
    Exclusive,
    /// With others, where nothing can be written and the index is there.
    Reading,
    /// Where nothing can be written and nobody has written anything beside the file, so that it holds all.
    Whole,
    /// Where nothing can be written and there is a log without an index: this process reads the log for itself.
    OwnIndex,
}

impl How {
    /// How a file can be read where nothing can be written.
    fn to_read(file: &BatchFile) -> Self {
        let [log, index] = file.log_and_index();
        match (log.exists(), index.exists()) {
            (false, _) => Self::Whole,
            (true, true) => Self::Reading,
            (true, false) => Self::OwnIndex,
        }
    }

    /// Opens a file in this way, and checks that it is a batch.
    fn open(&self, path: &Path, durability: Durability) -> Result<Connection, StoreError> {
        let connect = || {
            let connection = self.connect(path)?;
            prepare(&connection, path, durability)?;
            Ok(connection)
        };
        let connection = connect().map_err(|error| StoreError::sqlite(path, error))?;
        check(&connection, path)?;
        Ok(connection)
    }

    fn connect(&self, path: &Path) -> rusqlite::Result<Connection> {
        let write = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let read = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let (name, flags) = match self {
            Self::Together | Self::Exclusive => (path.to_owned(), write),
            Self::Reading => (path.to_owned(), read),
            Self::Whole => (uri(path, "immutable=1"), read | OpenFlags::SQLITE_OPEN_URI),
            // No lock that excludes others can be had on a file that cannot be written.
            Self::OwnIndex => (
                uri(path, "vfs=unix-none"),
                read | OpenFlags::SQLITE_OPEN_URI,
            ),
        };
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(name, flags)?;
        connection.busy_handler(Some(|tries| wait_a_millisecond(tries, BUSY_TRIES)))?;
        if let Self::Exclusive | Self::OwnIndex = self {
            connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
        }
        Ok(connection)
    }
}

/// Opens a file that can be read and nothing more: it, or its folder, is someone else's or on a disk that takes nothing.
fn open_unwritable(file: &BatchFile, durability: Durability) -> Result<Connection, StoreError> {
    let mut looks = 0;
    loop {
        looks += 1;
        let opened = How::to_read(file).open(file.path(), durability);
        let cannot_open = matches!(&opened, Err(StoreError::Sqlite { error, .. })
            if error.sqlite_error_code() == Some(ErrorCode::CannotOpen));
        if !cannot_open {
            return opened;
        }
        // The one who wrote it has just come or gone, with the log; or we may not read that.
        if looks == OPEN_TRIES {
            let denied = io::Error::from(io::ErrorKind::PermissionDenied);
            let [log, _] = file.log_and_index();
            let path = match log.exists() {
                true => log.as_path(),
                false => file.path(),
            };
            return Err(StoreError::io("read", path, denied));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A file as SQLite takes it with options.
fn uri(path: &Path, options: &str) -> PathBuf {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("{uri}?{options}").into()
}

/// What a file says is data and no more: what its tables could do by themselves they do not.
fn prepare(connection: &Connection, path: &Path, durability: Durability) -> rusqlite::Result<()> {
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    ] {
        connection.set_db_config(config, on)?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Fast => "NORMAL",
    };
    connection.execute_batch(&format!(
        "PRAGMA cell_size_check = ON;
         PRAGMA synchronous = {synchronous};
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384;
         PRAGMA wal_autocheckpoint = {};
         PRAGMA journal_size_limit = 67108864;",
        log_pages(path)
    ))
}

/// How many pages the log of a file may have, given how much room its disk has. What is in the log and not in the file needs
/// room once more before the log can give any back, and on a full disk there is none.
fn log_pages(path: &Path) -> u64 {
    let free = rustix::fs::statvfs(path.parent().unwrap_or(path));
    // Where nobody knows, there is enough.
    let free = free.map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    match free / LOG_SHARE / PAGE {
        few if few < FEW_LOG_PAGES => 1,
        pages => pages.min(LOG_PAGES),
    }
}

/// Has a connection wait only briefly for others, as its owner tries again.
pub(crate) fn wait_briefly(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(|tries| wait_a_millisecond(tries, BRIEF_TRIES)))
}

/// SQLite's own waiting backs off to a tenth of a second; a writer that commits every few milliseconds
/// would then leave others no chance.
fn wait_a_millisecond(tries: i32, most: i32) -> bool {
    std::thread::sleep(Duration::from_millis(1));
    tries < most
}

/// Checks that a file is a batch.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let read = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .optional()
            .map_err(|error| StoreError::sqlite(path, error))
    };
    let application = read("application_id")?;
    let version = read("user_version")?.unwrap_or_default();
    if application != Some(APPLICATION_ID) || version < 1 {
        return Err(StoreError::NotABatch(path.to_owned()));
    }
    if version > VERSION {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version,
            known: VERSION,
        });
    }
    check_tables(connection, path, version)
}
