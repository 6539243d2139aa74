//! What waits to be written: [`Rows`], and the statements that write them.

use std::sync::Arc;

use batch_core::{
    Failure, Output, Status, TaskId,
    outcome::{ProcessEnd, Stream},
    stats::Totals,
    status::CancelReason,
};
use batch_export::Cause;
use rusqlite::{CachedStatement, Connection};

use crate::error::StoreError;
use crate::kept::KeptName;
use crate::shape::{column, micros};
use crate::store::Store;
use crate::totals::Deltas;

const PUT_STATE: &str =
    "INSERT INTO states (task, status, reason, detail, until_us, attempts, retries,
        deaths, started_us, completed_us, execution_us, error, cause)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, coalesce(?14, ?7), ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT (task) DO UPDATE SET
        status = excluded.status, reason = excluded.reason, detail = excluded.detail,
        until_us = excluded.until_us, attempts = max(attempts, excluded.attempts),
        retries = coalesce(?14, retries + ?7), deaths = deaths + excluded.deaths,
        started_us = coalesce(started_us, excluded.started_us),
        completed_us = excluded.completed_us,
        execution_us = coalesce(execution_us + ?11, execution_us, ?11),
        error = excluded.error, cause = excluded.cause";

const PUT_ATTEMPT: &str =
    "INSERT OR REPLACE INTO attempts (task, attempt, run, started_us, ended_us,
        took_us, outcome, reason, detail, error, exit_code, signal, cpu_us, peak_memory, leaking)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

const PUT_OUTPUT: &str = "INSERT OR REPLACE INTO outputs (task, attempt, value, stdout, stderr,
        stdout_file, stderr_file, stdout_bytes, stderr_bytes)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// The causes of the task lose one first: it may have failed before.
const REOPEN: &str =
    "UPDATE states SET status = 'queued', reason = NULL, detail = NULL, until_us = NULL,
        retries = 0, deaths = 0, completed_us = NULL, error = NULL, cause = NULL WHERE task = ?1";

/// Everything that happened since the last flush, in rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) states: Vec<StateRow>,
    pub(crate) attempts: Vec<AttemptRow>,
    pub(crate) outputs: Vec<OutputRow>,
    /// Attempts that are on record as running and did not begin after all.
    pub(crate) postponed: Vec<(u32, u32)>,
    pub(crate) causes: Vec<(u32, Cause)>,
    /// Failed tasks whose cause is not found yet, by the place of their state.
    pub(crate) failed: Vec<(usize, Arc<Failure>)>,
    /// Cancelled tasks that are not explained yet.
    pub(crate) cancelled: Vec<Cancelled>,
    pub(crate) last_failure: Option<(TaskId, Arc<Failure>)>,
    /// Tasks that were reopened, each before the state at this place.
    pub(crate) reopened: Vec<(usize, u32)>,
    pub(crate) priorities: Vec<(u32, &'static str)>,
    pub(crate) paused: Option<bool>,
    pub(crate) totals: Deltas,
}

/// A cancelled task whose explanation is not found yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cancelled {
    /// The place of its state among the rows.
    pub(crate) place: usize,
    pub(crate) why: CancelReason,
    /// What became of the task that it needed, where that is known.
    pub(crate) root: Option<Status>,
}

/// A row of `states`. Attempts, retries, deaths and the execution time are added to what is there.
#[derive(Debug, Default)]
pub(crate) struct StateRow {
    pub(crate) task: u32,
    pub(crate) status: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) detail: Option<i64>,
    pub(crate) until_us: Option<i64>,
    pub(crate) attempts: u32,
    pub(crate) retries: u32,
    /// All retries, once they are known.
    pub(crate) retries_in_all: Option<u32>,
    pub(crate) deaths: u32,
    pub(crate) started_us: Option<i64>,
    pub(crate) completed_us: Option<i64>,
    pub(crate) execution_us: Option<i64>,
    pub(crate) error: Option<String>,
    pub(crate) cause: Option<u32>,
}

/// A row of `attempts`, ended.
#[derive(Debug)]
pub(crate) struct AttemptRow {
    pub(crate) task: u32,
    pub(crate) attempt: u32,
    pub(crate) run: u32,
    pub(crate) started_us: i64,
    pub(crate) ended_us: i64,
    pub(crate) took_us: i64,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) detail: Option<i64>,
    pub(crate) error: Option<String>,
    pub(crate) process: Option<ProcessEnd>,
}

/// A row of `outputs`.
#[derive(Debug)]
pub(crate) struct OutputRow {
    pub(crate) task: u32,
    pub(crate) attempt: u32,
    pub(crate) output: Arc<Output>,
}

impl StateRow {
    /// A task back in the queue.
    pub(crate) fn queued(task: u32) -> Self {
        Self {
            task,
            status: Status::Queued.name(),
            ..Self::default()
        }
    }

    fn write(&self, put: &mut CachedStatement<'_>) -> rusqlite::Result<usize> {
        put.execute(rusqlite::params![
            self.task,
            self.status,
            self.reason,
            self.detail,
            self.until_us,
            self.attempts,
            self.retries,
            self.deaths,
            self.started_us,
            self.completed_us,
            self.execution_us,
            self.error,
            self.cause,
            self.retries_in_all,
        ])
    }
}

impl AttemptRow {
    fn write(&self, put: &mut CachedStatement<'_>) -> rusqlite::Result<usize> {
        let process = self.process.as_ref();
        put.execute(rusqlite::params![
            self.task,
            self.attempt,
            self.run,
            self.started_us,
            self.ended_us,
            self.took_us,
            self.outcome,
            self.reason,
            self.detail,
            self.error,
            process.and_then(|process| process.exit_code),
            process.and_then(|process| process.signal),
            process.map(|process| column(micros(process.cpu_time))),
            process.map(|process| column(process.peak_memory)),
            process.map(|process| process.leaking),
        ])
    }
}

impl OutputRow {
    fn write(&self, put: &mut CachedStatement<'_>) -> rusqlite::Result<usize> {
        let output = &self.output;
        put.execute(rusqlite::params![
            self.task,
            self.attempt,
            output.value.as_ref().map(batch_core::Json::as_str),
            inline(&output.stdout),
            inline(&output.stderr),
            kept(&output.stdout).as_ref().map(KeptName::as_str),
            kept(&output.stderr).as_ref().map(KeptName::as_str),
            column(output.stdout.len()),
            column(output.stderr.len()),
        ])
    }
}

/// The file of an output, which is in the batch's own folder.
fn kept(stream: &Stream) -> Option<KeptName> {
    match stream {
        Stream::Inline(_) => None,
        Stream::File { path, .. } => KeptName::of_path(path),
    }
}

fn inline(stream: &Stream) -> Option<&[u8]> {
    match stream {
        Stream::Inline(bytes) if !bytes.is_empty() => Some(bytes),
        _ => None,
    }
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.states.len()
            + self.attempts.len()
            + self.postponed.len()
            + self.reopened.len()
            + self.priorities.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0 && self.paused.is_none()
    }

    /// Forgets what was written; keeps the room.
    pub(crate) fn clear(&mut self) {
        self.states.clear();
        self.attempts.clear();
        self.outputs.clear();
        self.postponed.clear();
        self.causes.clear();
        self.failed.clear();
        self.cancelled.clear();
        self.reopened.clear();
        self.priorities.clear();
        self.paused = None;
        self.totals = Deltas::default();
    }

    /// Writes all rows in one transaction, and whatever `more` writes. `running` are attempts under way that the file does
    /// not know yet.
    pub(crate) fn write<T>(
        &self,
        store: &mut Store,
        (run, seen_us): (u32, i64),
        running: &[(u32, u32, i64)],
        totals: &Deltas,
        recovering: bool,
        more: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        store.write(|connection| {
            // Before the states: a task that is reopened takes its failure off its cause again.
            self.write_causes(connection)?;
            let mut totals = totals.clone();
            // Before all else that happened to their tasks since.
            self.take_back_postponed(connection)?;
            self.write_states(connection, &mut totals)?;
            self.write_attempts(connection)?;
            write_running(connection, run, running)?;
            self.write_rest(connection)?;
            if recovering {
                self.end_lost_attempts(connection)?;
                nothing_runs(connection)?;
            }
            totals.write(connection)?;
            connection
                .prepare_cached("UPDATE runs SET seen_us = max(seen_us, ?2) WHERE run = ?1")?
                .execute((run, seen_us))?;
            more(connection)
        })
    }

    fn write_states(&self, connection: &Connection, totals: &mut Deltas) -> rusqlite::Result<()> {
        let mut put = connection.prepare_cached(PUT_STATE)?;
        let mut reopened = self.reopened.iter().peekable();
        for (place, row) in self.states.iter().enumerate() {
            while let Some((_, task)) = reopened.next_if(|(before, _)| *before <= place) {
                reopen(connection, *task, totals)?;
            }
            row.write(&mut put)?;
            // Only the file knows whether a task that ended in the queue had run before.
            if row.completed_us.is_some() && row.execution_us.is_none() {
                totals.plus.executed += u64::from(has_run(connection, row.task)?);
            }
        }
        for (_, task) in reopened {
            reopen(connection, *task, totals)?;
        }
        Ok(())
    }

    /// Makes attempts undone that the file says are running, and that did not begin.
    fn take_back_postponed(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut remove = connection.prepare_cached(
            "DELETE FROM attempts WHERE task = ?1 AND attempt = ?2 AND ended_us IS NULL",
        )?;
        let mut queue = connection.prepare_cached(
            "UPDATE states SET status = 'queued', reason = NULL, until_us = NULL, attempts = ?2 - 1,
                started_us = iif(?2 = 1, NULL, started_us)
             WHERE task = ?1 AND (status = 'running' OR (status = 'queued' AND attempts < ?2))",
        )?;
        for row in &self.postponed {
            remove.execute(*row)?;
            queue.execute(*row)?;
        }
        Ok(())
    }

    /// Ends attempts that are on record as running though a later one of the same task had begun: how they
    /// ended was lost with their executor.
    fn end_lost_attempts(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut end = connection.prepare_cached(
            "UPDATE attempts SET ended_us = max(started_us, ?3), outcome = 'interrupted'
             WHERE task = ?1 AND attempt < ?2 AND ended_us IS NULL",
        )?;
        for row in &self.attempts {
            end.execute((row.task, row.attempt, row.started_us))?;
        }
        Ok(())
    }

    fn write_attempts(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut put = connection.prepare_cached(PUT_ATTEMPT)?;
        for row in &self.attempts {
            row.write(&mut put)?;
        }
        if self.outputs.is_empty() {
            return Ok(());
        }
        let mut put = connection.prepare_cached(PUT_OUTPUT)?;
        for row in &self.outputs {
            row.write(&mut put)?;
        }
        Ok(())
    }

    fn write_causes(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (task, cause) in &self.causes {
            connection
                .prepare_cached(
                    "INSERT INTO causes (cause, label, sample, sample_task, tasks) VALUES (?1, ?2, ?3, ?4, 1)
                     ON CONFLICT (cause) DO UPDATE SET
                        sample = iif(tasks = 0, excluded.sample, sample),
                        sample_task = iif(tasks = 0, excluded.sample_task, sample_task),
                        tasks = tasks + 1",
                )?
                .execute((cause.id().get(), cause.label(), cause.sample(), task))?;
        }
        Ok(())
    }

    fn write_rest(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (task, priority) in &self.priorities {
            connection
                .prepare_cached("UPDATE specs SET priority = ?2 WHERE task = ?1")?
                .execute((task, priority))?;
        }
        match self.paused {
            Some(true) => connection
                .prepare_cached("INSERT OR IGNORE INTO settings VALUES ('paused', 'by the user')")?
                .execute([])
                .map(drop),
            Some(false) => connection
                .prepare_cached("DELETE FROM settings WHERE name = 'paused'")?
                .execute([])
                .map(drop),
            None => Ok(()),
        }
    }
}

/// Whatever ran when an executor died runs no more.
fn nothing_runs(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "UPDATE totals SET value = value + (SELECT value FROM totals WHERE name = 'running')
            WHERE name = 'queued';
         UPDATE totals SET value = 0 WHERE name = 'running';",
    )
}

/// Queues a finished task again, and takes off the sums what it had added to them.
fn reopen(connection: &Connection, task: u32, totals: &mut Deltas) -> rusqlite::Result<()> {
    let (retries, flaky): (u32, bool) = connection
        .prepare_cached(
            "SELECT retries, status = 'completed' AND retries > 0 FROM states WHERE task = ?1",
        )?
        .query_row([task], |row| Ok((row.get(0)?, row.get(1)?)))?;
    totals.minus += Totals {
        retries: u64::from(retries),
        flaky: u64::from(flaky),
        executed: u64::from(has_run(connection, task)?),
        ..Totals::default()
    };
    connection
        .prepare_cached(
            "UPDATE causes SET tasks = tasks - 1
             WHERE cause = (SELECT cause FROM states WHERE task = ?1)",
        )?
        .execute([task])?;
    connection.prepare_cached(REOPEN)?.execute([task]).map(drop)
}

/// Whether an attempt of a task has ended.
fn has_run(connection: &Connection, task: u32) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT execution_us IS NOT NULL FROM states WHERE task = ?1")?
        .query_row([task], |row| row.get(0))
}

fn write_running(
    connection: &Connection,
    run: u32,
    running: &[(u32, u32, i64)],
) -> rusqlite::Result<()> {
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO attempts (task, attempt, run, started_us) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut put_state = connection.prepare_cached(PUT_STATE)?;
    for (task, attempt, started_us) in running {
        put.execute((task, attempt, run, started_us))?;
        let mut row = StateRow::queued(*task);
        row.status = Status::Running.name();
        row.attempts = *attempt;
        row.started_us = Some(*started_us);
        row.write(&mut put_state)?;
    }
    Ok(())
}
