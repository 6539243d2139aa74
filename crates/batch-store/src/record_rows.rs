//! From rows to [`TaskRecord`]s: [`RecordReader`].

use std::path::Path;
use std::sync::Arc;

use batch_core::{
    Json, Output, Reason, Status, TaskId,
    outcome::{ProcessEnd, Stream},
    plan::Needed,
    status::{QueuedReason, UnknownName},
};
use batch_export::{AttemptEnd, AttemptRecord, TaskRecord};
use batch_export::{Cause, CauseId};
use rusqlite::Row;

use crate::error::RowError;
use crate::kept::KeptName;
use crate::shape::{self, duration, time};
use crate::spec_rows::{SPEC_WIDTH, SpecReader, SpecRow};
use crate::store::Store;

/// The columns that [`RecordReader::read`] wants behind those of the specification.
pub(crate) const STATE_COLUMNS: &str =
    "t.status, t.reason, t.detail, t.until_us, t.attempts, t.retries,
    t.started_us, t.completed_us, t.execution_us, t.error, t.cause, c.label, c.sample";

/// Makes records of rows.
pub(crate) struct RecordReader<'a> {
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
    pub(crate) fn new(store: &'a Store, with_outputs: bool) -> Self {
        Self {
            store,
            specs: SpecReader::default(),
            paused: crate::settings::get::<String>(&store.connection, "paused")
                .is_ok_and(|reason| reason.is_some()),
            with_outputs,
        }
    }

    pub(crate) fn read(&mut self, row: &Row<'_>) -> Result<TaskRecord, RowError> {
        self.record(row).map_err(|error| error.of_row(row))
    }

    fn record(&mut self, row: &Row<'_>) -> Result<TaskRecord, RowError> {
        let SpecRow {
            task,
            spec,
            needs,
            priority,
            created_at,
        } = self.specs.read(&self.store.connection, row)?;
        let mut record = TaskRecord::queued(self.store.batch, task, spec, created_at);
        record.priority = priority;
        let plain = plain(row)?;
        if let Some(status) = &plain.status {
            record.status = status
                .parse()
                .map_err(|error: UnknownName| RowError::in_task(task, error))?;
        }
        read_times(&mut record, row)?;
        record.reason = self.reason(&record, &plain, &needs)?;
        record.flaky = record.status == Status::Completed && record.retry_count > 0;
        record.cause = cause(row, plain.cause)?.map(Arc::new);
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
        needs: &[Needed],
    ) -> Result<Option<Reason>, RowError> {
        let name = plain.reason.as_deref();
        let bad = |what: String| RowError::in_task(record.task, what);
        Ok(match (record.status, name) {
            (Status::Failed, Some(name)) => Some(Reason::Failed(
                shape::failure_kind(name, plain.detail).map_err(bad)?,
            )),
            (Status::Completed, Some("not needed")) => Some(Reason::NotNeeded),
            (Status::Cancelled, Some(name)) => Some(Reason::Cancelled(
                shape::cancel_reason(name, plain.detail).map_err(bad)?,
            )),
            (Status::Queued, name) => {
                let reason = shape::queued_reason(name, plain.until_us.map(time));
                let ready = reason == QueuedReason::Ready;
                let missing = match ready && !needs.is_empty() {
                    true => self.store.missing(needs)?,
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
        let mut select = self.store.connection.prepare_cached(
            "SELECT attempt, started_us, ended_us, took_us, outcome, reason, detail, error
                 FROM attempts WHERE task = ?1 AND ended_us IS NOT NULL ORDER BY attempt",
        )?;
        let mut rows = select.query([task.get()])?;
        let mut attempts = Vec::new();
        while let Some(row) = rows.next()? {
            attempts.push(attempt(row, task)?);
        }
        Ok(attempts)
    }

    /// What an attempt left: how its process ended, what it returned and printed.
    pub(crate) fn output(&self, task: TaskId, attempt: u32) -> Result<Option<Output>, RowError> {
        let output = self.output_row(task, attempt);
        output.map_err(|error| error.of_task(task))
    }

    fn output_row(&self, task: TaskId, attempt: u32) -> Result<Option<Output>, RowError> {
        let process = self.process(task, attempt)?;
        let mut select = self.store.connection.prepare_cached(
            "SELECT value, stdout, stderr, stdout_file, stderr_file, stdout_bytes, stderr_bytes
                 FROM outputs WHERE task = ?1 AND attempt = ?2",
        )?;
        let mut rows = select.query([task.get(), attempt])?;
        let Some(row) = rows.next()? else {
            return Ok(process.map(|process| Output {
                process: Some(process),
                ..Output::default()
            }));
        };
        let value: Option<String> = row.get(0)?;
        let folder = self.store.file.folder();
        Ok(Some(Output {
            value: value
                .map(|text| Json::parse(&text))
                .transpose()
                .map_err(|error| RowError::in_task(task, format_args!("its result: {error}")))?,
            process,
            stdout: stream(row, 1, &folder, task)?,
            stderr: stream(row, 2, &folder, task)?,
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
    let bad = |what: String| RowError::in_task(task, what);
    let (outcome, reason): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
    let end = match outcome.as_deref() {
        Some("completed") => AttemptEnd::Completed,
        Some("cancelled") => AttemptEnd::Cancelled,
        Some("interrupted") => AttemptEnd::Interrupted,
        Some("failed") => {
            let kind = shape::failure_kind(reason.as_deref().unwrap_or_default(), row.get(6)?);
            AttemptEnd::Failed(kind.map_err(bad)?)
        }
        other => return Err(bad(format!("the outcome {other:?} is unknown"))),
    };
    Ok(AttemptRecord {
        attempt: row.get(0)?,
        started_at: time(row.get(1)?),
        ended_at: time(row.get(2)?),
        took: duration(row.get::<_, Option<i64>>(3)?.unwrap_or_default()),
        end,
        error: row.get(7)?,
    })
}

/// An output: its bytes, or the file in the batch's folder that it is in.
fn stream(row: &Row<'_>, column: usize, folder: &Path, task: TaskId) -> Result<Stream, RowError> {
    let Some(name) = row.get::<_, Option<String>>(column + 2)? else {
        let bytes: Option<Vec<u8>> = row.get(column)?;
        return Ok(Stream::Inline(bytes.unwrap_or_default().into()));
    };
    let kept = KeptName::of_row(&name, task.get()).ok_or_else(|| {
        let what = format_args!("{name:?} is not an output file in the batch's own folder");
        RowError::in_task(task, what)
    })?;
    let len: i64 = row.get(column + 4)?;
    Ok(Stream::File {
        path: folder.join(kept.as_str()),
        len: u64::try_from(len).unwrap_or_default(),
    })
}
