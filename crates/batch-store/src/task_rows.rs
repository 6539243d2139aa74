//! Rows of new tasks: [`TaskRows`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use batch_core::{TaskOptions, TaskSpec, Time, plan::Needed};
use rusqlite::Connection;

use crate::error::StoreError;
use crate::settings;
use crate::shape::{self, StoredOptions};

const INSERT: &str = "INSERT INTO specs
    (task, id, name, function, params, depends_on, needs, priority, options, created_us, item)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// Of a file whose tasks have no items.
const INSERT_WITHOUT_ITEM: &str = "INSERT INTO specs
    (task, id, name, function, params, depends_on, needs, priority, options, created_us)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE ?11 IS NULL OR TRUE";

const TOO_MANY: &str = "a batch holds fewer than 2^32 tasks";

/// Rows of new tasks, in the order of their numbers.
#[derive(Debug)]
pub(crate) struct TaskRows {
    pub(crate) first: u32,
    next: u32,
    now: Time,
    /// The file keeps the items of tasks.
    pub(crate) has_items: bool,
    last_options: Option<(Arc<TaskOptions>, i64)>,
    known_options: HashMap<String, i64>,
}

/// Why a task could not be added.
#[derive(Debug)]
pub(crate) enum AddError {
    Sqlite(rusqlite::Error),
    /// The task at this place among those given, from 1, cannot be kept as it is.
    Unstorable(usize, String),
}

impl AddError {
    /// The error for the file at a path.
    pub(crate) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Sqlite(error) => StoreError::sqlite(path, error),
            Self::Unstorable(number, what) => StoreError::Unstorable { number, what },
        }
    }
}

impl From<rusqlite::Error> for AddError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl TaskRows {
    /// Begins with the task of a number.
    pub(crate) fn new(first: u32, now: Time, has_items: bool) -> Self {
        Self {
            first,
            next: first,
            now,
            has_items,
            last_options: None,
            known_options: HashMap::new(),
        }
    }

    /// Writes tasks, each with those that must complete first.
    pub(crate) fn add<'t>(
        &mut self,
        connection: &Connection,
        tasks: impl IntoIterator<Item = (&'t TaskSpec, Vec<Needed>)>,
    ) -> Result<(), AddError> {
        let mut insert = connection.prepare_cached(match self.has_items {
            true => INSERT,
            false => INSERT_WITHOUT_ITEM,
        })?;
        for (spec, needs) in tasks {
            let number = (self.next - self.first) as usize + 1;
            let options = self.options(connection, &spec.options, number)?;
            let needs: Vec<u32> = needs.into_iter().map(|need| need.task.get()).collect();
            insert.execute((
                self.next,
                spec.id.as_deref(),
                spec.name.as_deref(),
                &*spec.function,
                spec.params.as_str(),
                json_list(&spec.depends_on),
                json_list(&needs),
                spec.options.priority.name(),
                options,
                shape::column(self.now.as_micros()),
                spec.item.as_deref(),
            ))?;
            self.hold_back(connection, spec)?;
            self.next = self
                .next
                .checked_add(1)
                .ok_or(AddError::Unstorable(number, TOO_MANY.to_owned()))?;
        }
        Ok(())
    }

    /// The state of a task that does not start yet, as everybody who looks at it sees it.
    fn hold_back(&self, connection: &Connection, spec: &TaskSpec) -> rusqlite::Result<()> {
        let (reason, until) = match (spec.options.hold, spec.options.not_before) {
            (true, _) => ("held", None),
            (false, Some(at)) if at > self.now => ("delayed", Some(shape::column(at.as_micros()))),
            (false, _) => return Ok(()),
        };
        connection
            .prepare_cached(
                "INSERT INTO states (task, status, reason, until_us, attempts, retries, deaths)
                 VALUES (?1, 'queued', ?2, ?3, 0, 0, 0)",
            )?
            .execute((self.next, reason, until))?;
        Ok(())
    }

    /// Writes what the file says of all of them together, and gives their number.
    pub(crate) fn finish(&self, connection: &Connection) -> rusqlite::Result<u32> {
        let count = self.next - self.first;
        settings::put(connection, "next_task", &self.next)?;
        connection
            .prepare_cached("UPDATE totals SET value = value + ?1 WHERE name = 'queued'")?
            .execute([count])?;
        Ok(count)
    }

    /// The row of the options of the task at a place, made where there is none.
    pub(crate) fn options(
        &mut self,
        connection: &Connection,
        options: &Arc<TaskOptions>,
        number: usize,
    ) -> Result<i64, AddError> {
        if let Some((last, row)) = &self.last_options
            && Arc::ptr_eq(last, options)
        {
            return Ok(*row);
        }
        let json = serde_json::to_string(&StoredOptions::from(&**options)).map_err(|error| {
            AddError::Unstorable(number, format!("its options are not JSON: {error}"))
        })?;
        let row = match self.known_options.get(&json) {
            Some(row) => *row,
            None => {
                let row = intern(connection, &json)?;
                self.known_options.insert(json, row);
                row
            }
        };
        self.last_options = Some((Arc::clone(options), row));
        Ok(row)
    }
}

fn intern(connection: &Connection, json: &str) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO options (json) VALUES (?1)")?
        .execute([json])?;
    connection
        .prepare_cached("SELECT options FROM options WHERE json = ?1")?
        .query_row([json], |row| row.get(0))
}

fn json_list<T: serde::Serialize>(list: &[T]) -> Option<String> {
    (!list.is_empty()).then(|| serde_json::to_string(list).expect("texts and numbers are JSON"))
}
