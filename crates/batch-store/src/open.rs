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

/// How long one waits for others that write.
const BUSY_TRIES: i32 = 60_000;

/// So often is looked how a file can be read, as those who write it come and go.
const LOOKS: usize = 10;

/// Opens a file to read and write, or to read only; brings an older one up to date first.
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
        Ok(()) => How::Shared(OpenFlags::SQLITE_OPEN_READ_WRITE).connect(path)?,
        Err(error) if write => return Err(error),
        Err(_) => connect_unwritable(file)?,
    };
    let prepared = prepare(&connection, durability);
    prepared.map_err(|error| StoreError::sqlite(path, error))?;
    if let Some(old) = check(&connection, path)? {
        crate::migrate::bring_up_to_date(path, &connection, old)?;
    }
    if !write {
        connection
            .pragma_update(None, "query_only", true)
            .map_err(|error| StoreError::sqlite(path, error))?;
    }
    Ok(connection)
}

/// The ways in which a file can be used.
enum How {
    /// With others, by the index that they share.
    Shared(OpenFlags),
    /// Nobody has written anything beside the file, so it holds all.
    Alone,
    /// There is a log without an index, and nobody could make one. This process reads the log for itself.
    OwnIndex,
}

impl How {
    /// How a file can be read where nothing can be written.
    fn to_read(file: &BatchFile) -> Self {
        let [log, index] = file.log_and_index();
        match (log.exists(), index.exists()) {
            (false, _) => Self::Alone,
            (true, true) => Self::Shared(OpenFlags::SQLITE_OPEN_READ_ONLY),
            (true, false) => Self::OwnIndex,
        }
    }

    fn connect(&self, path: &Path) -> Result<Connection, StoreError> {
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let (name, flags) = match self {
            Self::Shared(flags) => (path.to_owned(), *flags),
            Self::Alone => (uri(path, "immutable=1"), read_only),
            // No locks can be taken without a file to write them to.
            Self::OwnIndex => (uri(path, "vfs=unix-none"), read_only),
        };
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let mut connection = Connection::open_with_flags(name, flags)?;
            connection.busy_handler(Some(wait_a_millisecond))?;
            if let Self::OwnIndex = self {
                connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
            }
            Ok(connection)
        };
        open().map_err(|error| StoreError::sqlite(path, error))
    }
}

/// Opens a file that can be read and nothing more: it, or its folder, is somebody else's or on a disk that takes nothing.
fn connect_unwritable(file: &BatchFile) -> Result<Connection, StoreError> {
    let path = file.path();
    let mut looks = 0;
    loop {
        looks += 1;
        let connection = How::to_read(file).connect(path)?;
        let found = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        match found.map_err(|error| (error.sqlite_error_code(), error)) {
            Ok(()) => return Ok(connection),
            // Whoever wrote it has just come or gone, with the log; or we may not read the log.
            Err((Some(ErrorCode::CannotOpen), _)) if looks < LOOKS => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err((Some(ErrorCode::CannotOpen), _)) => {
                let what = io::Error::from(io::ErrorKind::PermissionDenied);
                let [log, _] = file.log_and_index();
                return Err(StoreError::io(
                    "read what belongs to the batch:",
                    &log,
                    what,
                ));
            }
            Err((_, error)) => return Err(StoreError::sqlite(path, error)),
        }
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
fn prepare(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
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
         PRAGMA wal_autocheckpoint = 4096;
         PRAGMA journal_size_limit = 67108864;"
    ))
}

/// SQLite's own waiting backs off to a tenth of a second; a writer that commits every few milliseconds
/// would then leave others no chance.
fn wait_a_millisecond(tries: i32) -> bool {
    std::thread::sleep(Duration::from_millis(1));
    tries < BUSY_TRIES
}

/// Checks that a file is a batch, and gives its version where that is an older one.
fn check(connection: &Connection, path: &Path) -> Result<Option<i64>, StoreError> {
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
    check_tables(connection, path)?;
    Ok((version < VERSION).then_some(version))
}
