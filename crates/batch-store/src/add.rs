//! How tasks get into a batch file: [`Adding`], one transaction of any number of them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use batch_core::{TaskId, TaskOptions, TaskSpec, Time};
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::error::StoreError;
use crate::settings::{self, BatchInfo};
use crate::shape::StoredOptions;
use crate::spec_rows::{RowError, SPEC_COLUMNS, SpecReader};
use crate::store::{Store, begin, micros};

const INSERT: &str = "INSERT INTO specs
    (task, id, name, function, params, depends_on, needs, priority, options, created_us)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Tasks on their way into a batch file. Nobody sees them before [`commit`](Self::commit); dropped without
/// it, none was added. Other writers wait meanwhile.
#[derive(Debug)]
pub struct Adding<'a> {
    transaction: Transaction<'a>,
    path: &'a Path,
    first: u32,
    next: u32,
    now: Time,
    options: Options,
}

/// What was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// The first of them, or the one that would have been.
    pub first: TaskId,
    /// How many there are.
    pub count: u32,
    /// Whether there is a run that will see them, unless its executor has died.
    pub live: bool,
}

/// The rows of options used so far.
#[derive(Debug, Default)]
struct Options {
    last: Option<(Arc<TaskOptions>, i64)>,
    known: HashMap<String, i64>,
}

impl Store {
    /// Begins to add tasks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn adding(&mut self, now: Time) -> Result<Adding<'_>, StoreError> {
        let Self {
            connection, file, ..
        } = self;
        let path = file.path();
        let error = |error| StoreError::sqlite(path, error);
        let transaction = begin(connection).map_err(error)?;
        let next: i64 = settings::get(&transaction, "next_task")
            .map_err(error)?
            .unwrap_or_default();
        let next = u32::try_from(next)
            .ok()
            .filter(|next| *next > 0)
            .ok_or_else(|| StoreError::corrupt(path, "the number of the next task is wrong"))?;
        Ok(Adding {
            transaction,
            path,
            first: next,
            next,
            now,
            options: Options::default(),
        })
    }
}

impl Adding<'_> {
    /// The position of the first task to be added, from 0: what a plan is resolved with.
    pub fn first_index(&self) -> usize {
        self.first as usize - 1
    }

    /// What the file says of the batch as a whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn info(&self) -> Result<BatchInfo, StoreError> {
        settings::read(&self.transaction).map_err(|error| match error {
            Ok(what) => StoreError::corrupt(self.path, what),
            Err(error) => self.error(error),
        })
    }

    /// The task of the batch with an author's id, these included.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find(&self, id: &str) -> Result<Option<TaskId>, StoreError> {
        find(&self.transaction, id).map_err(|error| self.error(error))
    }

    /// A task of the batch as it was added, these included.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn spec(&self, task: TaskId) -> Result<Option<Arc<TaskSpec>>, StoreError> {
        let read = || -> Result<_, RowError> {
            let sql = format!("SELECT {SPEC_COLUMNS} FROM specs s WHERE s.task = ?1");
            let mut select = self.transaction.prepare_cached(&sql).map_err(Err)?;
            let mut rows = select.query([task.get()]).map_err(Err)?;
            let Some(row) = rows.next().map_err(Err)? else {
                return Ok(None);
            };
            let row = SpecReader::default().read(&self.transaction, row)?;
            Ok(Some(row.spec))
        };
        read().map_err(|error| match error {
            Ok(what) => StoreError::corrupt(self.path, what),
            Err(error) => self.error(error),
        })
    }

    /// Adds tasks, each with those that must complete first.
    ///
    /// # Errors
    /// When an id is taken, there are too many tasks, or the file cannot be written: drop it all then.
    pub fn add<'t>(
        &mut self,
        tasks: impl IntoIterator<Item = (&'t TaskSpec, Vec<TaskId>)>,
    ) -> Result<(), StoreError> {
        let path = self.path;
        let error = |error| StoreError::sqlite(path, error);
        let mut insert = self.transaction.prepare_cached(INSERT).map_err(error)?;
        for (spec, needs) in tasks {
            let unstorable = |what: String| StoreError::Unstorable {
                number: (self.next - self.first) as usize + 1,
                what,
            };
            let options = self.options.row(&self.transaction, &spec.options);
            let options = options.map_err(|error| match error {
                Ok(what) => unstorable(what),
                Err(error) => StoreError::sqlite(path, error),
            })?;
            let needs: Vec<u32> = needs.into_iter().map(TaskId::get).collect();
            insert
                .execute((
                    self.next,
                    spec.id.as_deref(),
                    spec.name.as_deref(),
                    &*spec.function,
                    spec.params.as_str(),
                    json_list(&spec.depends_on),
                    json_list(&needs),
                    spec.options.priority.name(),
                    options,
                    micros(self.now),
                ))
                .map_err(error)?;
            self.next = self
                .next
                .checked_add(1)
                .ok_or_else(|| unstorable("a batch holds fewer than 2^32 tasks".to_owned()))?;
        }
        Ok(())
    }

    /// Gives a task that is not finished, or failed, the options, priority and name of another one with the same
    /// content.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn treat_as(&mut self, task: TaskId, like: &TaskSpec) -> Result<(), StoreError> {
        let path = self.path;
        let options = self
            .options
            .row(&self.transaction, &like.options)
            .map_err(|error| match error {
                Ok(what) => StoreError::Unstorable {
                    number: task.get() as usize,
                    what,
                },
                Err(error) => StoreError::sqlite(path, error),
            })?;
        self.transaction
            .prepare_cached(
                "UPDATE specs SET options = ?2, priority = ?3, name = ?4 WHERE task = ?1",
            )
            .and_then(|mut update| {
                update.execute((
                    task.get(),
                    options,
                    like.options.priority.name(),
                    like.name.as_deref(),
                ))
            })
            .map(drop)
            .map_err(|error| self.error(error))
    }

    /// Gives a task another author's id.
    ///
    /// # Errors
    /// When another task has it, or the file cannot be written.
    pub fn rename(&mut self, task: TaskId, id: &str) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("UPDATE specs SET id = ?2 WHERE task = ?1")
            .and_then(|mut update| update.execute((task.get(), id)))
            .map(drop)
            .map_err(|error| self.error(error))
    }

    /// Notes with them that these are the last items of the batch.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_all_read(&mut self) -> Result<(), StoreError> {
        settings::remove(&self.transaction, "unread").map_err(|error| self.error(error))
    }

    /// Notes with them that these are the tasks that the batch was made for.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_complete(&mut self) -> Result<(), StoreError> {
        settings::remove(&self.transaction, "missing").map_err(|error| self.error(error))
    }

    /// Writes with them a row of `settings` in which others of this project keep something.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_extra(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        settings::put(&self.transaction, name, &value).map_err(|error| self.error(error))
    }

    /// Makes them part of the batch.
    ///
    /// # Errors
    /// When the file cannot be written; none is added then.
    pub fn commit(self) -> Result<Added, StoreError> {
        let path = self.path;
        let count = self.next - self.first;
        let finish = || {
            settings::put(&self.transaction, "next_task", &self.next)?;
            self.transaction
                .prepare_cached("UPDATE totals SET value = value + ?1 WHERE name = 'queued'")?
                .execute([count])?;
            let live = is_live(&self.transaction)?;
            self.transaction.commit()?;
            Ok(live)
        };
        let live = finish().map_err(|error| StoreError::sqlite(path, error))?;
        Ok(Added {
            first: TaskId::new(self.first).expect("tasks are counted from 1"),
            count,
            live,
        })
    }

    fn error(&self, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(self.path, error)
    }
}

impl Options {
    /// The row of some options, made where there is none; `Err(Ok(text))` where they cannot be stored.
    fn row(
        &mut self,
        connection: &Connection,
        options: &Arc<TaskOptions>,
    ) -> Result<i64, Result<String, rusqlite::Error>> {
        if let Some((last, row)) = &self.last
            && Arc::ptr_eq(last, options)
        {
            return Ok(*row);
        }
        let json = serde_json::to_string(&StoredOptions::from(&**options))
            .map_err(|error| Ok(format!("its options are not JSON: {error}")))?;
        let row = match self.known.get(&json) {
            Some(row) => *row,
            None => {
                let row = intern(connection, &json).map_err(Err)?;
                self.known.insert(json, row);
                row
            }
        };
        self.last = Some((Arc::clone(options), row));
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

/// The task with an author's id.
pub(crate) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<TaskId>> {
    let task: Option<u32> = connection
        .prepare_cached("SELECT task FROM specs WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(task.and_then(TaskId::new))
}

/// Whether a run has begun and not ended. A run that died counts until somebody notices.
pub(crate) fn is_live(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM runs WHERE ended_us IS NULL)")?
        .query_row([], |row| row.get(0))
}

fn json_list<T: serde::Serialize>(list: &[T]) -> Option<String> {
    (!list.is_empty()).then(|| serde_json::to_string(list).expect("texts and numbers are JSON"))
}
