//! The tables of a batch file and how a connection to it is opened: [`Connection`]s that are ready to use.
//!
//! `docs/batch-file.md` describes the tables for those who query them. What is asked for (`specs`) never
//! changes, so rows do not grow in place; what became of it (`states`, `attempts`, `outputs`) is added
//! when it happens. A million tasks are therefore written almost in the order of the file.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, MAIN_DB, OpenFlags, OptionalExtension};

use crate::error::StoreError;
use crate::file::BatchFile;

/// Marks a database as a batch file: "bexb".
pub const APPLICATION_ID: i64 = 0x6265_7862;

/// The version of the tables written here.
pub const VERSION: i64 = 1;

/// How long a command waits for others that write: so many milliseconds.
const BUSY_TRIES: i32 = 30_000;

/// How long an executor does, which comes back by itself and must hear of a stop in between.
const BRIEF_TRIES: i32 = 200;

/// The write-ahead log goes into the file when it has so many pages,
const LOG_PAGES: u64 = 4_096;

/// or fewer where that would be more than this part of the free disk,
const LOG_SHARE: u64 = 16;

/// or after each commit, where these would be.
const FEW_LOG_PAGES: u64 = 256;

const PAGE: u64 = 4_096;

/// How much of what happened survives what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// Each commit is on the disk: a finished task survives `kill -9` and a power failure.
    #[default]
    Full,
    /// Each commit is with the system: a finished task survives `kill -9`. After a power failure the last
    /// moments may be missing; the file is whole.
    Fast,
}

const TABLES: &str = "
CREATE TABLE settings (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE options (options INTEGER PRIMARY KEY, json TEXT NOT NULL UNIQUE);

CREATE TABLE specs (
    task INTEGER PRIMARY KEY,
    id TEXT,
    name TEXT,
    function TEXT NOT NULL,
    params TEXT NOT NULL,
    depends_on TEXT,
    needs TEXT,
    priority TEXT NOT NULL,
    options INTEGER NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX specs_by_id ON specs (id) WHERE id IS NOT NULL;

CREATE TABLE states (
    task INTEGER PRIMARY KEY,
    status TEXT NOT NULL,
    reason TEXT,
    detail INTEGER,
    until_us INTEGER,
    attempts INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    started_us INTEGER,
    completed_us INTEGER,
    execution_us INTEGER,
    error TEXT,
    cause INTEGER
);
CREATE INDEX states_by_cause ON states (cause) WHERE cause IS NOT NULL;

CREATE TABLE attempts (
    task INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    run INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    ended_us INTEGER,
    took_us INTEGER,
    outcome TEXT,
    reason TEXT,
    detail INTEGER,
    error TEXT,
    exit_code INTEGER,
    signal INTEGER,
    cpu_us INTEGER,
    peak_memory INTEGER,
    leaking INTEGER,
    PRIMARY KEY (task, attempt)
) WITHOUT ROWID;

CREATE TABLE outputs (
    task INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    value TEXT,
    stdout BLOB,
    stderr BLOB,
    stdout_file TEXT,
    stderr_file TEXT,
    stdout_bytes INTEGER NOT NULL,
    stderr_bytes INTEGER NOT NULL,
    PRIMARY KEY (task, attempt)
) WITHOUT ROWID;

CREATE TABLE causes (
    cause INTEGER PRIMARY KEY,
    label TEXT NOT NULL,
    sample TEXT NOT NULL,
    sample_task INTEGER NOT NULL,
    tasks INTEGER NOT NULL
);

CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO totals VALUES
    ('queued', 0), ('running', 0), ('completed', 0), ('failed', 0), ('cancelled', 0),
    ('flaky', 0), ('retries', 0), ('attempts', 0), ('executed', 0), ('execution_us', 0),
    ('first_us', 0), ('last_us', 0);

CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    mark TEXT NOT NULL,
    boot TEXT NOT NULL,
    version TEXT NOT NULL,
    started_us INTEGER NOT NULL,
    seen_us INTEGER NOT NULL,
    ended_us INTEGER,
    end TEXT,
    concurrency INTEGER,
    rate REAL,
    left_us INTEGER
);

CREATE TABLE requests (
    request INTEGER PRIMARY KEY AUTOINCREMENT,
    made_us INTEGER NOT NULL,
    body TEXT NOT NULL,
    done_us INTEGER,
    reply TEXT
);

CREATE VIEW tasks AS
SELECT s.task, s.id, s.name, s.function, s.params, s.priority,
    coalesce(t.status, 'queued') AS status, t.reason,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.created_us / 1e6, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', t.started_us / 1e6, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', t.completed_us / 1e6, 'unixepoch') AS completed_at,
    t.execution_us / 1e6 AS execution_time,
    coalesce(t.attempts, 0) AS attempts, coalesce(t.retries, 0) AS retry_count,
    coalesce(t.status = 'completed' AND t.retries > 0, 0) AS flaky,
    t.error, iif(t.cause IS NULL, NULL, printf('c%06x', t.cause)) AS cause,
    s.depends_on, o.json AS options
FROM specs s LEFT JOIN states t ON t.task = s.task LEFT JOIN options o ON o.options = s.options;
";

/// A whole database with the tables, filled by `fill`, as the bytes of its file.
pub(crate) fn image(
    path: &Path,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<Vec<u8>, StoreError> {
    let make = || {
        let mut connection = Connection::open_in_memory()?;
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        fill(&transaction)?;
        transaction.commit()?;
        let mut bytes = connection.serialize(MAIN_DB)?.to_vec();
        // Its header says that changes go through a write-ahead log, which memory has none of.
        bytes[WRITE_VERSION..=READ_VERSION].fill(WITH_LOG);
        Ok(bytes)
    };
    make().map_err(|error| StoreError::sqlite(path, error))
}

/// The bytes of the header that say how the file is written and read, and what they are with a log.
const WRITE_VERSION: usize = 18;
const READ_VERSION: usize = 19;
const WITH_LOG: u8 = 2;

/// Opens a file to read and write, or to read only; brings an older one up to date first.
pub(crate) fn open(
    file: &BatchFile,
    write: bool,
    durability: Durability,
) -> Result<Connection, StoreError> {
    let path = file.path();
    if !path.exists() {
        return Err(StoreError::Missing(file.shown().to_owned()));
    }
    // A reader too must be able to make the shared memory of the write-ahead log.
    let connection = match connect(path, durability, SHARED) {
        Err(error) if error.is_full() && !write => connect(path, durability, ALONE)?,
        connected => connected?,
    };
    let connection = match check(&connection, path) {
        Ok(()) => connection,
        Err(Outdated::Error(error)) => return Err(error),
        Err(Outdated::Old(version)) => {
            crate::migrate::bring_up_to_date(path, &connection, version)?;
            connection
        }
    };
    if !write {
        connection
            .pragma_update(None, "query_only", true)
            .map_err(|error| StoreError::sqlite(path, error))?;
    }
    Ok(connection)
}

/// How a connection uses a file: as others do, who share its memory beside it,
const SHARED: &str = "NORMAL";

/// or alone, where the disk has no room for that memory.
const ALONE: &str = "EXCLUSIVE";

fn connect(path: &Path, durability: Durability, locking: &str) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_handler(Some(|tries| wait_a_millisecond(tries, BUSY_TRIES)))?;
        connection.set_prepared_statement_cache_capacity(64);
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Fast => "NORMAL",
        };
        connection.execute_batch(&format!(
            "PRAGMA locking_mode = {locking};
             PRAGMA synchronous = {synchronous};
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -16384;
             PRAGMA wal_autocheckpoint = {};
             PRAGMA journal_size_limit = 67108864;",
            log_pages(path)
        ))?;
        Ok(connection)
    };
    open().map_err(|error| StoreError::sqlite(path, error))
}

/// How many pages the log of a file may have, given how much room its disk has. What is in the log and not in the file needs
/// room once more before the log can give any back, and on a full disk there is none.
fn log_pages(path: &Path) -> u64 {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let free = rustix::fs::statvfs(folder.unwrap_or(Path::new(".")));
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

enum Outdated {
    Error(StoreError),
    Old(i64),
}

fn check(connection: &Connection, path: &Path) -> Result<(), Outdated> {
    let read = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .optional()
            .map_err(|error| Outdated::Error(StoreError::sqlite(path, error)))
    };
    let application = read("application_id")?;
    let version = read("user_version")?.unwrap_or_default();
    if application != Some(APPLICATION_ID) || version < 1 {
        return Err(Outdated::Error(StoreError::NotABatch(path.to_owned())));
    }
    match version {
        VERSION => Ok(()),
        found if found > VERSION => Err(Outdated::Error(StoreError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        })),
        old => Err(Outdated::Old(old)),
    }
}
