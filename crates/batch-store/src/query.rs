//! Reading a batch: its tasks as [`TaskRecord`]s, its sums, its causes.

use std::sync::Arc;
use std::time::Duration;

use batch_core::{Output, Status, TaskId, plan::Needed, status::UnknownName};
use batch_export::{AttemptEnd, AttemptRecord, TaskRecord};

use crate::add::find;
use crate::error::{RowError, StoreError};
use crate::record_rows::RecordReader;
use crate::selection::Selection;
use crate::shape::time;
use crate::store::Store;

impl Store {
    /// Reads tasks in their order, until `give` says that it has had enough (by `false`).
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be; and what `give` says.
    pub fn for_each_task<E: From<StoreError>>(
        &self,
        selection: &Selection,
        mut give: impl FnMut(TaskRecord) -> Result<bool, E>,
    ) -> Result<(), E> {
        let sql = selection.sql(self.has_items);
        let failed = |error| self.error(error);
        // Not kept: each choice of tasks is another statement, and may be long.
        let mut select = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        let mut reader = RecordReader::new(self, !selection.without_outputs);
        while let Some(row) = rows.next().map_err(failed)? {
            let record = reader.read(row).map_err(|error| self.error(error))?;
            if !give(record)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads one task; `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn task(&self, task: TaskId) -> Result<Option<TaskRecord>, StoreError> {
        let selection = Selection {
            tasks: Some(vec![task]),
            ..Selection::default()
        };
        let mut found = None;
        self.for_each_task::<StoreError>(&selection, |record| {
            found = Some(record);
            Ok(false)
        })?;
        Ok(found)
    }

    /// Reads a task as it was after an attempt: what the file says of later ones is left out.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn task_after(&self, task: TaskId, attempt: u32) -> Result<Option<TaskRecord>, StoreError> {
        let Some(mut record) = self.task(task)? else {
            return Ok(None);
        };
        let before = record.attempts.len();
        record.attempts.retain(|made| made.attempt <= attempt);
        if record.attempts.len() < before {
            let took = record.attempts.iter().map(|made| made.took);
            record.execution_time = took.reduce(Duration::saturating_add);
            let told = |made: &&AttemptRecord| made.end != AttemptEnd::Interrupted;
            record.output = match record.attempts.iter().rfind(told) {
                Some(last) => self.output_of(task, last.attempt)?.map(Arc::new),
                None => None,
            };
        }
        Ok(Some(record))
    }

    /// Reads the open tasks from `first` to `last` that have begun before.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn begun(&self, first: TaskId, last: TaskId) -> Result<Vec<TaskRecord>, StoreError> {
        let begun = self.read(|file| {
            let mut select = file.prepare_cached(
                "SELECT task FROM states WHERE task BETWEEN ?1 AND ?2
                 AND status IN ('queued', 'running') AND started_us IS NOT NULL",
            )?;
            let rows = select.query_map([first.get(), last.get()], |row| row.get::<_, u32>(0))?;
            Ok(rows.collect::<rusqlite::Result<Vec<u32>>>()?)
        })?;
        let mut found = Vec::with_capacity(begun.len());
        if !begun.is_empty() {
            let selection = Selection {
                tasks: Some(begun.into_iter().filter_map(TaskId::new).collect()),
                ..Selection::default()
            };
            self.for_each_task::<StoreError>(&selection, |record| {
                found.push(record);
                Ok(true)
            })?;
        }
        Ok(found)
    }

    /// The task with an author's id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find(&self, id: &str) -> Result<Option<TaskId>, StoreError> {
        find(&self.connection, id).map_err(|error| self.error(error))
    }

    /// Whether there is a task of this number.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_task(&self, task: TaskId) -> Result<bool, StoreError> {
        self.read(|file| {
            Ok(file
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM specs WHERE task = ?1)")?
                .query_row([task.get()], |row| row.get(0))?)
        })
    }

    /// Some of the authors' ids, for suggestions.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn some_ids(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        self.read(|file| {
            Ok(file
                .prepare_cached("SELECT id FROM specs WHERE id IS NOT NULL LIMIT ?1")?
                .query_map([limit], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The tasks that must end before a task.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn needs_of(&self, task: TaskId) -> Result<Vec<TaskId>, StoreError> {
        let needs = self
            .connection
            .prepare_cached("SELECT needs FROM specs WHERE task = ?1")
            .and_then(|mut select| select.query_row([task.get()], |row| row.get(0)));
        let needs: Option<String> = match needs {
            Err(rusqlite::Error::QueryReturnedNoRows) => None,
            other => other.map_err(|error| self.error(error))?,
        };
        let numbers: Vec<u32> = serde_json::from_str(needs.as_deref().unwrap_or("[]"))
            .map_err(|error| self.error(RowError::in_task(task, error)))?;
        Ok(numbers.into_iter().filter_map(TaskId::new).collect())
    }

    /// What a completed task left, for one that uses it; `None` when it has not completed.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn result_of(&self, task: TaskId) -> Result<Option<Arc<Output>>, StoreError> {
        let record = self.task(task)?;
        let completed = record.filter(|record| record.status == Status::Completed);
        Ok(completed.map(|record| record.output.unwrap_or_default()))
    }

    /// The attempts of a task that are under way, with the time they began.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn under_way(&self, task: TaskId) -> Result<Option<(u32, batch_core::Time)>, StoreError> {
        use rusqlite::OptionalExtension;
        self.connection
            .prepare_cached(
                "SELECT attempt, started_us FROM attempts
                 WHERE task = ?1 AND ended_us IS NULL ORDER BY attempt DESC LIMIT 1",
            )
            .and_then(|mut select| {
                select
                    .query_row([task.get()], |row| Ok((row.get(0)?, time(row.get(1)?))))
                    .optional()
            })
            .map_err(|error| self.error(error))
    }

    /// How far each task has come that something has happened to: its status, and the number of its last attempt. Looks at
    /// all of them.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn for_each_state(
        &self,
        mut give: impl FnMut(TaskId, (Status, u32)),
    ) -> Result<(), StoreError> {
        let failed = |error| self.error(error);
        let mut select = self
            .connection
            .prepare_cached("SELECT task, status, attempts FROM states ORDER BY task")
            .map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let number: u32 = row.get(0).map_err(failed)?;
            let Some(task) = TaskId::new(number) else {
                continue;
            };
            let status = row.get_ref(1).map_err(failed)?.as_str().unwrap_or_default();
            let status = status
                .parse()
                .map_err(|error: UnknownName| self.error(RowError::in_task(task, error)))?;
            give(task, (status, row.get(2).map_err(failed)?));
        }
        Ok(())
    }

    /// What one attempt left; `None` when it left nothing.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn output_of(&self, task: TaskId, attempt: u32) -> Result<Option<Output>, StoreError> {
        RecordReader::new(self, true)
            .output(task, attempt)
            .map_err(|error| self.error(error))
    }

    /// How many of some tasks have not ended as they must.
    pub(crate) fn missing(&self, needs: &[Needed]) -> rusqlite::Result<u32> {
        let mut select = self.connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM specs WHERE task = ?1)
                AND NOT EXISTS (SELECT 1 FROM states WHERE task = ?1
                    AND (status = 'completed' AND ?2 OR status IN ('failed', 'cancelled') AND ?3))",
        )?;
        needs.iter().try_fold(0, |missing, need| {
            let fits = |status| need.on.fits(status);
            let ends = (fits(Status::Completed), fits(Status::Failed));
            let open: bool =
                select.query_row((need.task.get(), ends.0, ends.1), |row| row.get(0))?;
            Ok(missing + u32::from(open))
        })
    }
}
