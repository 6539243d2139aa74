//! What a batch file says of the batch as a whole: [`BatchInfo`], kept as rows of the table `settings`.

use std::collections::{BTreeMap, HashMap};

use batch_core::{BatchId, BatchSettings, Time, settings::Halt};
use rusqlite::types::{FromSql, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql};

use crate::content::Identity;
use crate::error::RowError;
use crate::shape;

/// A batch that is to be made.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// Its number.
    pub batch: BatchId,
    /// Its settings.
    pub settings: BatchSettings,
    /// Where it came from.
    pub origin: Origin,
    /// When.
    pub created_at: Time,
}

/// How a batch came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The way: `run`, `add`, `template`, …
    pub way: String,
    /// The task file, where there was one.
    pub file: Option<String>,
    /// The command that its tasks were made of, with its placeholders.
    pub command: Option<String>,
    /// The format in which its results are shown unless another is asked for.
    pub format: Option<String>,
    /// Its items come one by one, and have not been read to their end.
    pub unread: bool,
    /// How many tasks are to be written before it is a batch; until then it is incomplete. `None` once they are there.
    pub missing: Option<u32>,
}

/// What a batch file says of the batch as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchInfo {
    /// Its number.
    pub batch: BatchId,
    /// Its settings, as they are now.
    pub settings: BatchSettings,
    /// Where it came from.
    pub origin: Origin,
    /// When it was made.
    pub created_at: Time,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// The number that the next task gets.
    pub next_task: u32,
    /// The rule by which its tasks are compared with others.
    pub identity: Identity,
}

/// One row, for writing.
pub(crate) fn put(connection: &Connection, name: &str, value: &dyn ToSql) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)")?
        .execute((name, value))
        .map(drop)
}

/// One row, away with it.
pub(crate) fn remove(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM settings WHERE name = ?1")?
        .execute([name])
        .map(drop)
}

/// One row, for reading.
pub(crate) fn get<T: FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    let found: Option<Option<T>> = connection
        .prepare_cached("SELECT value FROM settings WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

/// Writes all rows of a new batch.
pub(crate) fn write_new(connection: &Connection, new: &NewBatch) -> rusqlite::Result<()> {
    put(connection, "batch", &new.batch.get())?;
    put(
        connection,
        "created_us",
        &shape::column(new.created_at.as_micros()),
    )?;
    put(connection, "identity", &Identity::default().number())?;
    put(connection, "way", &new.origin.way)?;
    put(connection, "file", &new.origin.file)?;
    put(connection, "format", &new.origin.format)?;
    if let Some(command) = &new.origin.command {
        put(connection, "command", command)?;
    }
    if new.origin.unread {
        put(connection, "unread", &true)?;
    }
    if let Some(missing) = new.origin.missing {
        put(connection, "missing", &missing)?;
    }
    write_settings(connection, &new.settings)
}

/// Writes the rows that say how the batch is run.
pub(crate) fn write_settings(
    connection: &Connection,
    settings: &BatchSettings,
) -> rusqlite::Result<()> {
    let limits: BTreeMap<&str, u32> = settings
        .limits
        .iter()
        .map(|(name, most)| (name.as_str(), most.get()))
        .collect();
    let limits = serde_json::to_string(&limits).expect("names and numbers are JSON");
    let timeout = settings
        .batch_timeout
        .map(|timeout| shape::column(shape::micros(timeout)));
    put(connection, "name", &settings.name)?;
    put(connection, "key", &settings.key)?;
    put(connection, "max_concurrent", &settings.max_concurrent.get())?;
    put(connection, "batch_timeout_us", &timeout)?;
    put(connection, "limits", &limits)?;
    let delay = settings
        .delay
        .map(|delay| shape::column(shape::micros(delay)));
    put(connection, "delay_us", &delay)?;
    put(connection, "halt", &settings.halt.to_string())
}

/// Reads all rows.
pub(crate) fn read(connection: &Connection) -> Result<BatchInfo, RowError> {
    let rows = Rows::read(connection)?;
    let whole = |name: &'static str| -> Result<u32, RowError> {
        let number = rows.get::<i64>(name)?;
        let whole = number.and_then(|number| u32::try_from(number).ok());
        whole.filter(|number| *number > 0).ok_or_else(|| bad(name))
    };
    let is_set = |name| Ok::<_, RowError>(rows.get::<i64>(name)?.is_some_and(|number| number != 0));
    let text = |name| rows.get::<String>(name);
    let limits = text("limits")?.unwrap_or_else(|| "{}".to_owned());
    let missing = rows.get::<i64>("missing")?;
    let halt = match text("halt")? {
        Some(text) => text.parse().map_err(|_| bad("halt"))?,
        // Earlier versions know of the first failure and nothing else.
        None if is_set("fail_fast")? => Halt::FAIL_FAST,
        None => Halt::Never,
    };
    Ok(BatchInfo {
        batch: BatchId::new(whole("batch")?).ok_or_else(|| bad("batch"))?,
        settings: BatchSettings {
            name: text("name")?,
            key: text("key")?,
            max_concurrent: whole("max_concurrent")?
                .try_into()
                .map_err(|_| bad("max_concurrent"))?,
            batch_timeout: rows.get("batch_timeout_us")?.map(shape::duration),
            limits: serde_json::from_str(&limits).map_err(|_| bad("limits"))?,
            halt,
            delay: rows.get("delay_us")?.map(shape::duration),
        },
        origin: Origin {
            way: text("way")?.unwrap_or_default(),
            file: text("file")?,
            command: text("command")?,
            format: text("format")?,
            unread: is_set("unread")?,
            missing: missing.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        },
        created_at: shape::time(rows.get("created_us")?.unwrap_or_default()),
        paused: text("paused")?,
        next_task: whole("next_task")?,
        identity: Identity::of_number(rows.get("identity")?).ok_or_else(|| bad("identity"))?,
    })
}

pub(crate) fn bad(name: &str) -> RowError {
    RowError::Corrupt(format!("the setting {name:?} is missing or wrong"))
}

/// All rows, by their names.
struct Rows(HashMap<String, Value>);

impl Rows {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        connection
            .prepare_cached("SELECT name, value FROM settings")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()
            .map(Self)
    }

    fn get<T: FromSql>(&self, name: &str) -> Result<Option<T>, RowError> {
        let value = self.0.get(name).map_or(ValueRef::Null, ValueRef::from);
        Option::<T>::column_result(value).map_err(|_| bad(name))
    }
}
