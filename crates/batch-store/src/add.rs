//! How tasks get into a batch file: [`Adding`], one transaction of any number of them.

use std::path::Path;
use std::sync::Arc;

use batch_core::{BatchSettings, TaskId, TaskSpec, Time, plan::Needed};
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::error::{RowError, StoreError};
use crate::settings::{self, BatchInfo};
use crate::spec_rows::{SpecReader, spec_columns};
use crate::store::{Store, begin};
use crate::task_rows::{AddError, TaskRows};

/// Tasks on their way into a batch file. Nobody sees them before [`commit`](Self::commit); dropped without
/// it, none was added. Other writers wait meanwhile.
#[derive(Debug)]
pub struct Adding<'a> {
    transaction: Transaction<'a>,
    path: &'a Path,
    rows: TaskRows,
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

impl Store {
    /// Begins to add tasks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn adding(&mut self, now: Time) -> Result<Adding<'_>, StoreError> {
        let Self {
            connection,
            file,
            has_items,
            ..
        } = self;
        let has_items = *has_items;
        let path = file.path();
        let error = |error| StoreError::sqlite(path, error);
        let transaction = begin(connection).map_err(error)?;
        let next: i64 = settings::get(&transaction, "next_task")
            .map_err(error)?
            .unwrap_or_default();
        let next = u32::try_from(next)
            .ok()
            .filter(|next| *next > 0)
            .ok_or_else(|| settings::bad("next_task"))
            .map_err(|error| StoreError::of_row(path, error))?;
        Ok(Adding {
            transaction,
            path,
            rows: TaskRows::new(next, now, has_items),
        })
    }
}

impl Adding<'_> {
    /// The position of the first task to be added, from 0: what a plan is resolved with.
    pub fn first_index(&self) -> usize {
        self.rows.first as usize - 1
    }

    /// What the file says of the batch as a whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn info(&self) -> Result<BatchInfo, StoreError> {
        settings::read(&self.transaction).map_err(|error| self.error(error))
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
            let columns = spec_columns(self.rows.has_items);
            let sql = format!("SELECT {columns} FROM specs s WHERE s.task = ?1");
            let mut select = self.transaction.prepare_cached(&sql)?;
            let mut rows = select.query([task.get()])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            let row = SpecReader::default().read(&self.transaction, row)?;
            Ok(Some(row.spec))
        };
        read().map_err(|error| self.error(error))
    }

    /// Adds tasks, each with those that must end first.
    ///
    /// # Errors
    /// When an id is taken, there are too many tasks, or the file cannot be written: drop it all then.
    pub fn add<'t>(
        &mut self,
        tasks: impl IntoIterator<Item = (&'t TaskSpec, Vec<Needed>)>,
    ) -> Result<(), StoreError> {
        let added = self.rows.add(&self.transaction, tasks);
        added.map_err(|error| error.at(self.path))
    }

    /// Gives a task that is not finished, or failed, the options, priority and name of another one with the same
    /// content.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn treat_as(&mut self, task: TaskId, like: &TaskSpec) -> Result<(), StoreError> {
        let mut treat = || {
            let (connection, number) = (&self.transaction, task.get() as usize);
            let options = self.rows.options(connection, &like.options, number)?;
            let priority = like.options.priority.name();
            connection
                .prepare_cached(
                    "UPDATE specs SET options = ?2, priority = ?3, name = ?4 WHERE task = ?1",
                )?
                .execute((task.get(), options, priority, like.name.as_deref()))?;
            Ok(())
        };
        treat().map_err(|error: AddError| error.at(self.path))
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

    /// Changes with them how the batch is run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_settings(&mut self, new: &BatchSettings) -> Result<(), StoreError> {
        settings::write_settings(&self.transaction, new).map_err(|error| self.error(error))
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
        let finish = || {
            let count = self.rows.finish(&self.transaction)?;
            let live = is_live(&self.transaction)?;
            self.transaction.commit()?;
            Ok(Added {
                first: TaskId::new(self.rows.first).expect("tasks are counted from 1"),
                count,
                live,
            })
        };
        finish().map_err(|error| StoreError::sqlite(path, error))
    }

    fn error(&self, error: impl Into<RowError>) -> StoreError {
        StoreError::of_row(self.path, error.into())
    }
}

/// The task with an author's id.
pub(crate) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<TaskId>> {
    let task: Option<u32> = connection
        .prepare_cached("SELECT task FROM specs WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(task.and_then(TaskId::new))
}

/// Whether a run has begun and not ended. A run that died counts until someone notices.
pub(crate) fn is_live(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM runs WHERE ended_us IS NULL)")?
        .query_row([], |row| row.get(0))
}
