//! Reading a batch: its tasks as [`TaskRecord`]s, its sums, its causes.

use std::path::Path;
use std::sync::Arc;

use batch_core::{
    Cause, CauseId, Json, Output, ProcessEnd, QueuedReason, Reason, Status, Stream, TaskId,
};
use batch_export::{AttemptEnd, AttemptRecord, TaskRecord};
use rusqlite::Row;

use crate::add::find;
use crate::error::StoreError;
use crate::shape::{self, duration, time};
use crate::spec_rows::{RowError, SPEC_COLUMNS, SPEC_WIDTH, SpecReader, SpecRow};
use crate::store::Store;

/// Which tasks are read, as far as the file can tell quickly. A filter over records says the rest.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of these statuses only; empty for all.
    pub statuses: Vec<Status>,
    /// Of this cause only.
    pub cause: Option<CauseId>,
    /// From this task on.
    pub from: Option<TaskId>,
    /// These tasks only.
    pub tasks: Option<Vec<TaskId>>,
    /// Leave out what the tasks printed and returned.
    pub without_outputs: bool,
}

const STATE_COLUMNS: &str = "t.status, t.reason, t.detail, t.until_us, t.attempts, t.retries,
    t.started_us, t.completed_us, t.execution_us, t.error, t.cause, c.label, c.sample";

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
        let sql = sql_of(selection);
        let failed = |error| self.error(error);
        // Not kept: each choice of tasks is another statement, and may be long.
        let mut select = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        let mut reader = RecordReader::new(self, selection);
        while let Some(row) = rows.next().map_err(failed)? {
            let record = reader.read(row).map_err(|error| match error {
                Ok(what) => self.corrupt(what),
                Err(error) => failed(error),
            })?;
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
        self.connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM specs WHERE task = ?1)")
            .and_then(|mut select| select.query_row([task.get()], |row| row.get(0)))
            .map_err(|error| self.error(error))
    }

    /// Some of the authors' ids, for suggestions.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn some_ids(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            self.connection
                .prepare_cached("SELECT id FROM specs WHERE id IS NOT NULL LIMIT ?1")?
                .query_map([limit], |row| row.get(0))?
                .collect()
        };
        read().map_err(|error| self.error(error))
    }

    /// The tasks that must complete before a task.
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
            .map_err(|error| self.corrupt(format!("task {task}: {error}")))?;
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

    /// What one attempt left; `None` when it left nothing.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn output_of(&self, task: TaskId, attempt: u32) -> Result<Option<Output>, StoreError> {
        RecordReader::new(self, &Selection::default())
            .output(task, attempt)
            .map_err(|error| match error {
                Ok(what) => self.corrupt(what),
                Err(error) => self.error(error),
            })
    }

    /// How many of some tasks have not completed.
    pub(crate) fn missing(&self, needs: &[TaskId]) -> rusqlite::Result<u32> {
        let mut select = self.connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM specs WHERE task = ?1)
                AND NOT EXISTS (SELECT 1 FROM states WHERE task = ?1 AND status = 'completed')",
        )?;
        needs.iter().try_fold(0, |missing, task| {
            let open: bool = select.query_row([task.get()], |row| row.get(0))?;
            Ok(missing + u32::from(open))
        })
    }

    pub(crate) fn function_of(&self, task: u32) -> Result<String, StoreError> {
        self.connection
            .prepare_cached("SELECT function FROM specs WHERE task = ?1")
            .and_then(|mut select| select.query_row([task], |row| row.get(0)))
            .map_err(|error| self.error(error))
    }
}

fn sql_of(selection: &Selection) -> String {
    let mut terms: Vec<String> = Vec::new();
    if let Some(from) = selection.from {
        terms.push(format!("s.task >= {from}"));
    }
    if let Some(tasks) = &selection.tasks {
        let list: Vec<String> = tasks.iter().map(TaskId::to_string).collect();
        terms.push(format!("s.task IN ({})", list.join(",")));
    }
    if let Some(cause) = selection.cause {
        terms.push(format!("t.cause = {}", cause.get()));
    }
    if !selection.statuses.is_empty() {
        let names: Vec<String> = selection
            .statuses
            .iter()
            .map(|status| format!("'{}'", status.name()))
            .collect();
        let names = names.join(",");
        // A task that nothing has happened to has no row of its own.
        terms.push(match selection.statuses.contains(&Status::Queued) {
            true => format!("coalesce(t.status, 'queued') IN ({names})"),
            false => format!("t.status IN ({names})"),
        });
    }
    let terms = match terms.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", terms.join(" AND ")),
    };
    format!(
        "SELECT {SPEC_COLUMNS}, {STATE_COLUMNS} FROM specs s LEFT JOIN states t ON t.task = s.task
         LEFT JOIN causes c ON c.cause = t.cause{terms} ORDER BY s.task"
    )
}

/// Makes records of rows.
struct RecordReader<'a> {
    store: &'a Store,
    specs: SpecReader,
    paused: bool,
    with_outputs: bool,
}

/// The columns of a state that need no more than being read.
struct Plain {
    status: Option<String>,
    reason: Option<String>,
    detail: Option<i64>,
    until_us: Option<i64>,
    attempts: Option<u32>,
    cause: Option<u32>,
}

impl<'a> RecordReader<'a> {
    fn new(store: &'a Store, selection: &Selection) -> Self {
        Self {
            store,
            specs: SpecReader::default(),
            paused: crate::settings::get::<String>(&store.connection, "paused")
                .is_ok_and(|reason| reason.is_some()),
            with_outputs: !selection.without_outputs,
        }
    }

    fn read(&mut self, row: &Row<'_>) -> Result<TaskRecord, RowError> {
        let SpecRow {
            task,
            spec,
            needs,
            priority,
            created_at,
        } = self.specs.read(&self.store.connection, row)?;
        let mut record = TaskRecord::queued(self.store.batch, task, spec, created_at);
        record.priority = priority;
        let plain = plain(row).map_err(Err)?;
        let bad = |what: String| Ok(format!("task {task}: {what}"));
        if let Some(status) = &plain.status {
            record.status = status
                .parse()
                .map_err(|error: batch_core::UnknownName| bad(error.to_string()))?;
        }
        read_times(&mut record, row).map_err(Err)?;
        record.reason = self
            .reason(&record, &plain, &needs)
            .map_err(|error| match error {
                Ok(what) => bad(what),
                Err(error) => Err(error),
            })?;
        record.flaky = record.status == Status::Completed && record.retry_count > 0;
        record.cause = cause(row, plain.cause).map_err(Err)?.map(Arc::new);
        if plain.attempts.unwrap_or_default() > 0 {
            record.attempts = self.attempts(task)?;
            let last = record
                .attempts
                .iter()
                .rfind(|attempt| attempt.end != AttemptEnd::Interrupted);
            if let Some(last) = last.filter(|_| self.with_outputs) {
                record.output = self.output(task, last.attempt)?.map(Arc::new);
            }
        }
        Ok(record)
    }

    fn reason(
        &self,
        record: &TaskRecord,
        plain: &Plain,
        needs: &[TaskId],
    ) -> Result<Option<Reason>, RowError> {
        let name = plain.reason.as_deref();
        Ok(match (record.status, name) {
            (Status::Failed, Some(name)) => Some(Reason::Failed(
                shape::failure_kind(name, plain.detail).map_err(Ok)?,
            )),
            (Status::Cancelled, Some(name)) => Some(Reason::Cancelled(
                shape::cancel_reason(name, plain.detail).map_err(Ok)?,
            )),
            (Status::Queued, name) => {
                let reason = shape::queued_reason(name, plain.until_us.map(time));
                let ready = reason == QueuedReason::Ready;
                let missing = match ready && !needs.is_empty() {
                    true => self.store.missing(needs).map_err(Err)?,
                    false => 0,
                };
                Some(Reason::Queued(match missing {
                    0 if ready && self.paused => QueuedReason::Paused,
                    0 => reason,
                    missing => QueuedReason::WaitingForDependencies { missing },
                }))
            }
            _ => None,
        })
    }

    fn attempts(&self, task: TaskId) -> Result<Vec<AttemptRecord>, RowError> {
        let mut select = self
            .store
            .connection
            .prepare_cached(
                "SELECT attempt, started_us, ended_us, took_us, outcome, reason, detail, error
                 FROM attempts WHERE task = ?1 AND ended_us IS NOT NULL ORDER BY attempt",
            )
            .map_err(Err)?;
        let mut rows = select.query([task.get()]).map_err(Err)?;
        let mut attempts = Vec::new();
        while let Some(row) = rows.next().map_err(Err)? {
            attempts.push(attempt(row, task)?);
        }
        Ok(attempts)
    }

    /// What an attempt left: how its process ended, what it returned and printed.
    fn output(&self, task: TaskId, attempt: u32) -> Result<Option<Output>, RowError> {
        let process = self.process(task, attempt).map_err(Err)?;
        let mut select = self
            .store
            .connection
            .prepare_cached(
                "SELECT value, stdout, stderr, stdout_file, stderr_file, stdout_bytes, stderr_bytes
                 FROM outputs WHERE task = ?1 AND attempt = ?2",
            )
            .map_err(Err)?;
        let mut rows = select.query([task.get(), attempt]).map_err(Err)?;
        let Some(row) = rows.next().map_err(Err)? else {
            return Ok(process.map(|process| Output {
                process: Some(process),
                ..Output::default()
            }));
        };
        let value: Option<String> = row.get(0).map_err(Err)?;
        let folder = self.store.file.folder();
        Ok(Some(Output {
            value: value
                .map(|text| Json::parse(&text))
                .transpose()
                .map_err(|error| Ok(format!("task {task}: its result: {error}")))?,
            process,
            stdout: stream(row, 1, &folder).map_err(Err)?,
            stderr: stream(row, 2, &folder).map_err(Err)?,
        }))
    }

    fn process(&self, task: TaskId, attempt: u32) -> rusqlite::Result<Option<ProcessEnd>> {
        let mut select = self.store.connection.prepare_cached(
            "SELECT exit_code, signal, cpu_us, peak_memory, leaking FROM attempts
             WHERE task = ?1 AND attempt = ?2",
        )?;
        let mut rows = select.query([task.get(), attempt])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let Some(cpu_us) = row.get::<_, Option<i64>>(2)? else {
            return Ok(None);
        };
        Ok(Some(ProcessEnd {
            exit_code: row.get(0)?,
            signal: row.get(1)?,
            cpu_time: duration(cpu_us),
            peak_memory: u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default(),
            leaking: row.get(4)?,
        }))
    }
}

fn plain(row: &Row<'_>) -> rusqlite::Result<Plain> {
    let at = |offset: usize| SPEC_WIDTH + offset;
    Ok(Plain {
        status: row.get(at(0))?,
        reason: row.get(at(1))?,
        detail: row.get(at(2))?,
        until_us: row.get(at(3))?,
        attempts: row.get(at(4))?,
        cause: row.get(at(10))?,
    })
}

fn read_times(record: &mut TaskRecord, row: &Row<'_>) -> rusqlite::Result<()> {
    let micros = |offset: usize| row.get::<_, Option<i64>>(SPEC_WIDTH + offset);
    record.retry_count = row
        .get::<_, Option<u32>>(SPEC_WIDTH + 5)?
        .unwrap_or_default();
    record.started_at = micros(6)?.map(time);
    record.completed_at = micros(7)?.map(time);
    record.execution_time = micros(8)?.map(duration);
    record.wait_time = record
        .started_at
        .map(|start| start.since(record.created_at));
    record.error = row.get(SPEC_WIDTH + 9)?;
    Ok(())
}

fn cause(row: &Row<'_>, id: Option<u32>) -> rusqlite::Result<Option<Cause>> {
    let Some(id) = id.and_then(CauseId::new) else {
        return Ok(None);
    };
    let label: Option<String> = row.get(SPEC_WIDTH + 11)?;
    let sample: Option<String> = row.get(SPEC_WIDTH + 12)?;
    Ok(Some(Cause::from_parts(
        id,
        label.unwrap_or_default(),
        sample.unwrap_or_default(),
    )))
}

fn attempt(row: &Row<'_>, task: TaskId) -> Result<AttemptRecord, RowError> {
    let read = || {
        let outcome: Option<String> = row.get(4)?;
        let reason: Option<String> = row.get(5)?;
        let detail: Option<i64> = row.get(6)?;
        let record = AttemptRecord {
            attempt: row.get(0)?,
            started_at: time(row.get(1)?),
            ended_at: time(row.get(2)?),
            took: duration(row.get::<_, Option<i64>>(3)?.unwrap_or_default()),
            end: AttemptEnd::Interrupted,
            error: row.get(7)?,
        };
        Ok((record, outcome, reason, detail))
    };
    let (mut record, outcome, reason, detail) = read().map_err(Err)?;
    record.end = match outcome.as_deref() {
        Some("completed") => AttemptEnd::Completed,
        Some("cancelled") => AttemptEnd::Cancelled,
        Some("interrupted") => AttemptEnd::Interrupted,
        Some("failed") => {
            let kind = shape::failure_kind(reason.as_deref().unwrap_or_default(), detail);
            AttemptEnd::Failed(kind.map_err(|what| Ok(format!("task {task}: {what}")))?)
        }
        other => return Err(Ok(format!("task {task}: the outcome {other:?} is unknown"))),
    };
    Ok(record)
}

/// An output: its bytes, or the file it lies in.
fn stream(row: &Row<'_>, column: usize, folder: &Path) -> rusqlite::Result<Stream> {
    if let Some(name) = row.get::<_, Option<String>>(column + 2)? {
        let len = row.get::<_, i64>(column + 4)?;
        return Ok(Stream::File {
            path: folder.join(name),
            len: u64::try_from(len).unwrap_or_default(),
        });
    }
    let bytes: Option<Vec<u8>> = row.get(column)?;
    Ok(Stream::Inline(bytes.unwrap_or_default().into()))
}
