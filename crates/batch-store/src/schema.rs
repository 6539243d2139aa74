//! The tables of a batch file: how they are made, and how a file is told by them.
//!
//! `docs/batch-file.md` describes the tables for those who query them. What is asked for (`specs`) never
//! changes, so rows do not grow in place; what became of it (`states`, `attempts`, `outputs`) is added
//! when it happens. A million tasks are therefore written almost in the order of the file.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, MAIN_DB};

use crate::error::StoreError;

/// Marks a database as a batch file: "bexb".
pub const APPLICATION_ID: i64 = 0x6265_7862;

/// The version of the tables written here.
pub const VERSION: i64 = 2;

/// The version from which on tasks have the item that they were made of.
pub(crate) const ITEMS_SINCE: i64 = 2;

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
    created_us INTEGER NOT NULL,
    item TEXT
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

";

/// The view of the tasks for people.
const VIEW: &str = "
CREATE VIEW tasks AS
SELECT s.task, (SELECT 'b' || value FROM settings WHERE name = 'batch') || '.' || s.task AS task_id,
    s.id, s.name, s.item, s.function, s.params, s.priority,
    coalesce(t.status, 'queued') AS status, t.reason,
    strftime('%Y-%m-%dT%H:%M:%S', s.created_us / 1000000, 'unixepoch') || printf('.%03dZ', s.created_us / 1000 % 1000) AS created_at,
    strftime('%Y-%m-%dT%H:%M:%S', t.started_us / 1000000, 'unixepoch') || printf('.%03dZ', t.started_us / 1000 % 1000) AS started_at,
    strftime('%Y-%m-%dT%H:%M:%S', t.completed_us / 1000000, 'unixepoch') || printf('.%03dZ', t.completed_us / 1000 % 1000) AS completed_at,
    t.execution_us / 1e6 AS execution_time,
    max(t.started_us - s.created_us, 0) / 1e6 AS wait_time,
    (SELECT count(*) FROM attempts a WHERE a.task = s.task AND a.ended_us IS NOT NULL) AS attempt_count,
    coalesce(t.retries, 0) AS retry_count, o.json ->> 'max_retries' AS max_retries,
    coalesce(t.status = 'completed' AND t.retries > 0, 0) AS flaky,
    (SELECT exit_code FROM attempts a WHERE a.task = s.task AND a.ended_us IS NOT NULL
        AND a.outcome <> 'interrupted' ORDER BY attempt DESC LIMIT 1) AS exit_code,
    (SELECT signal FROM attempts a WHERE a.task = s.task AND a.ended_us IS NOT NULL
        AND a.outcome <> 'interrupted' ORDER BY attempt DESC LIMIT 1) AS signal,
    t.error, iif(t.cause IS NULL, NULL, printf('c%06x', t.cause)) AS cause,
    coalesce(o.json ->> 'tags', '[]') AS tags, coalesce(s.depends_on, '[]') AS depends_on, o.json AS options
FROM specs s LEFT JOIN states t ON t.task = s.task LEFT JOIN options o ON o.options = s.options;
";

/// The view of version 1, whose tasks have no items.
const VIEW_1: &str = "
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

/// The statements that make the tables of a version.
fn tables(version: i64) -> String {
    match version < ITEMS_SINCE {
        true => format!("{}{VIEW_1}", TABLES.replace(",\n    item TEXT", "")),
        false => format!("{TABLES}{VIEW}"),
    }
}

/// A whole database with the tables, filled by `fill`, as the bytes of its file.
pub(crate) fn image(
    path: &Path,
    fill: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Result<Vec<u8>, StoreError> {
    let failed = |error| StoreError::sqlite(path, error);
    let mut connection = Connection::open_in_memory().map_err(failed)?;
    let make = |sql: &str| connection.execute_batch(sql).map_err(failed);
    make(&format!(
        "BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; {}",
        tables(VERSION)
    ))?;
    fill(&connection)?;
    make("COMMIT")?;
    let mut bytes = connection.serialize(MAIN_DB).map_err(failed)?.to_vec();
    // Its header says that changes go through a write-ahead log, which memory has none of.
    bytes[WRITE_VERSION..=READ_VERSION].fill(WITH_LOG);
    Ok(bytes)
}

/// The bytes of the header that say how the file is written and read, and what they are with a log.
const WRITE_VERSION: usize = 18;
const READ_VERSION: usize = 19;
const WITH_LOG: u8 = 2;

/// Refuses a file with other tables than those of its version. A view or a trigger of its own would have the one who looks at a
/// file do what its author wants.
pub(crate) fn check_tables(
    connection: &Connection,
    path: &Path,
    version: i64,
) -> Result<(), StoreError> {
    let foreign = |what: String| StoreError::Foreign {
        path: path.to_owned(),
        what,
    };
    let failed = |error| StoreError::sqlite(path, error);
    let tables = tables(version);
    let mut missing: HashSet<&str> = statements(&tables).collect();
    let mut select = connection
        .prepare("SELECT type, name, sql FROM sqlite_schema")
        .map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let text = |column: usize| row.get::<_, Option<String>>(column).map_err(failed);
        let (kind, name, sql) = (text(0)?, text(1)?.unwrap_or_default(), text(2)?);
        let is_known = match &sql {
            // Its own are those that SQLite keeps: numbers given out, and what ANALYZE has found.
            Some(sql) => missing.remove(sql.as_str()) || sql.starts_with("CREATE TABLE sqlite_"),
            // The index of a key.
            None => name.starts_with("sqlite_autoindex_"),
        };
        if !is_known {
            let kind = kind.unwrap_or_default();
            return Err(foreign(format!("the {kind} {name:?} in it is not bex's")));
        }
    }
    match missing.iter().min() {
        None => Ok(()),
        Some(statement) => {
            let what = statement
                .split(['(', '\n'])
                .next()
                .unwrap_or_default()
                .trim();
            Err(foreign(format!("it lacks what {what:?} makes")))
        }
    }
}

/// The statements that make the tables, as SQLite keeps them.
fn statements(tables: &str) -> impl Iterator<Item = &str> {
    tables
        .split(';')
        .map(str::trim)
        .filter(|statement| statement.starts_with("CREATE "))
}
