//! What happened, on its way into the file: [`Journal`].
//!
//! Events become rows in memory ([`Journal::take`]); a [`flush`](Journal::flush) writes all of them in one
//! transaction. An attempt that begins and ends between two flushes costs one row, not two. When a flush fails
//! nothing is lost: the rows stay, and the next one writes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batch_core::{
    Event, Failure, Outcome, Output, Reason, Status, TaskId, Time, event::NextStep, stats::Totals,
    status::CancelReason,
};

use rusqlite::Connection;

use crate::ended::{Ended, attempt_row};
use crate::error::StoreError;
use crate::load::LeftBehind;
use crate::rows::{Cancelled, OutputRow, Rows, StateRow};
use crate::runs::{EndCause, EndRun, end_run};
use crate::shape::{self, reason_columns};
use crate::store::{Store, micros};

/// Writes what happens to a batch into its file.
#[derive(Debug)]
pub struct Journal {
    store: Arc<Mutex<Store>>,
    run: u32,
    /// The run whose executor died, while what it left is recovered: an interruption then is its death.
    recovering: Option<u32>,
    /// What is cut off then was cut off by a death.
    counts_deaths: bool,
    /// Attempts under way.
    under_way: HashMap<TaskId, UnderWay>,
    /// What waits for the next flush.
    rows: Rows,
    /// When something last happened.
    seen: Time,
    /// The task that last failed or was cancelled on its own account: its dependents follow at once.
    root: Option<(TaskId, Status)>,
}

#[derive(Debug)]
struct UnderWay {
    attempt: u32,
    started: Time,
    record: Record,
}

/// How far an attempt under way has come into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    /// It has begun since the last flush. Most end before the next one, and need no row for having begun.
    New,
    /// It was there at the last flush, and is written by the next.
    Seen,
    /// The file says that it runs.
    Written,
}

impl Journal {
    /// The journal of a run of the batch in a store.
    pub fn new(store: Arc<Mutex<Store>>, run: u32) -> Self {
        Self {
            store,
            run,
            recovering: None,
            counts_deaths: false,
            under_way: HashMap::new(),
            rows: Rows::default(),
            seen: Time::ZERO,
            root: None,
        }
    }

    /// Says that what comes now is the recovery of what a run left: whatever was cut off was cut off by its end, which
    /// is counted where that was the death of its executor. `None` ends it.
    pub fn set_recovering(&mut self, left: Option<&LeftBehind>) {
        self.recovering = left.map(|left| left.run);
        self.counts_deaths = left.is_some_and(|left| !left.was_stopped);
    }

    /// How many rows wait for the next flush.
    pub fn waiting(&self) -> usize {
        self.rows.len()
    }

    /// Takes in what happened.
    pub fn take(&mut self, events: &[Event]) {
        for event in events {
            self.take_one(event);
        }
    }

    fn take_one(&mut self, event: &Event) {
        match event {
            // Tasks come in by the file.
            Event::Submitted { .. } | Event::ConcurrencyChanged { .. } | Event::Stopping { .. } => {
            }
            Event::Started {
                task, at, attempt, ..
            } => self.started(*task, *at, *attempt),
            Event::StartPostponed { task, at, attempt } => self.postponed(*task, *at, *attempt),
            Event::AttemptEnded {
                task,
                at,
                attempt,
                took,
                outcome,
                then,
            } => {
                let began = self.ended(*task, *at);
                let ended = Ended {
                    task: *task,
                    attempt: *attempt,
                    started: began.map_or(*at, |began| began.started),
                    at: *at,
                    took_us: shape::column(shape::micros(*took)),
                };
                self.attempt_ended(ended, outcome, *then);
            }
            Event::Finished {
                task,
                at,
                status,
                reason,
                retries,
            } => self.finished(*task, *at, *status, *reason, *retries),
            Event::PriorityChanged { task, priority, .. } => {
                self.rows.priorities.push((task.get(), priority.name()));
            }
            Event::Released { task, .. } => self.rows.states.push(StateRow::queued(task.get())),
            Event::Reopened { task, from, .. } => {
                self.rows.totals.moved(*from, Status::Queued, 1);
                self.rows
                    .reopened
                    .push((self.rows.states.len(), task.get()));
            }
            Event::Paused { .. } => self.rows.paused = Some(true),
            Event::Resumed { .. } => self.rows.paused = Some(false),
        }
    }

    fn started(&mut self, task: TaskId, at: Time, attempt: u32) {
        self.seen = at;
        self.rows.totals.plus.first_start.get_or_insert(at);
        let under_way = UnderWay {
            attempt,
            started: at,
            record: Record::New,
        };
        self.under_way.insert(task, under_way);
    }

    /// An attempt is under way no more.
    fn ended(&mut self, task: TaskId, at: Time) -> Option<UnderWay> {
        self.seen = at;
        let began = self.under_way.remove(&task)?;
        if began.record == Record::Written {
            self.rows.totals.moved(Status::Running, Status::Queued, 1);
        }
        Some(began)
    }

    /// An attempt did not begin after all. Where the file says that it runs, that is taken back.
    fn postponed(&mut self, task: TaskId, at: Time, attempt: u32) {
        let began = self.ended(task, at);
        let on_record = began.is_some_and(|began| began.record == Record::Written);
        // A retry had waited for its time, and the file or a row that is not written yet still says so.
        if on_record || self.recovering.is_some() || attempt > 1 {
            self.rows.postponed.push((task.get(), attempt));
        }
        let mut unwritten = self.rows.states.iter_mut().rev();
        if attempt > 1
            && let Some(row) = unwritten.find(|row| row.task == task.get())
        {
            row.reason = None;
            row.until_us = None;
        }
    }

    fn attempt_ended(&mut self, ended: Ended, outcome: &Outcome, then: NextStep) {
        let interrupted = matches!(outcome, Outcome::Interrupted(_));
        let failure = match outcome {
            Outcome::Failed(failure) => Some(failure),
            _ => None,
        };
        self.rows.totals.plus.attempts += u64::from(!interrupted);
        self.rows.totals.plus.execution_time += shape::duration(ended.took_us);
        self.rows.attempts.push(attempt_row(
            self.recovering.unwrap_or(self.run),
            &ended,
            outcome,
        ));
        if let Some(output) = outcome.output().filter(|output| has_content(output)) {
            self.rows.outputs.push(OutputRow {
                task: ended.task.get(),
                attempt: ended.attempt,
                output: Arc::clone(output),
            });
        }
        let mut row = StateRow::queued(ended.task.get());
        row.attempts = ended.attempt;
        row.started_us = Some(micros(ended.started));
        row.execution_us = Some(ended.took_us);
        let died = self.counts_deaths
            && (interrupted || failure.is_some_and(|failure| is_by_death(failure)));
        row.deaths = u32::from(died);
        match then {
            NextStep::Final => {
                row.error = failure.map(|failure| failure.message.clone());
                self.rows.last_failure = failure.map(|f| (ended.task, Arc::clone(f)));
            }
            NextStep::RetryAt(until) | NextStep::PausedUntil(until) => {
                row.error = failure.map(|failure| failure.message.clone());
                row.reason = Some("delayed");
                row.until_us = Some(micros(until));
                row.retries = u32::from(failure.is_some() && then == NextStep::RetryAt(until));
            }
            NextStep::Held => row.reason = Some("held"),
            NextStep::Requeued => {}
        }
        self.rows.states.push(row);
    }

    fn finished(
        &mut self,
        task: TaskId,
        at: Time,
        status: Status,
        reason: Option<Reason>,
        retries: u32,
    ) {
        self.seen = at;
        let totals = &mut self.rows.totals;
        totals.moved(Status::Queued, status, 1);
        totals.plus += Totals {
            retries: u64::from(retries),
            flaky: u64::from(status == Status::Completed && retries > 0),
            last_end: Some(at),
            ..Totals::default()
        };
        // The row of its last attempt is the one before, unless it ended without one.
        let at_once = self
            .rows
            .states
            .last()
            .is_some_and(|row| row.task == task.get() && row.completed_us.is_none());
        if !at_once {
            self.rows.states.push(StateRow::queued(task.get()));
        }
        let failure = self.rows.last_failure.take();
        let row = self
            .rows
            .states
            .last_mut()
            .expect("one was there or pushed");
        totals.plus.executed += u64::from(row.execution_us.is_some());
        row.status = status.name();
        row.retries_in_all = Some(retries);
        row.completed_us = Some(micros(at));
        row.until_us = None;
        (row.reason, row.detail) = match reason {
            Some(reason) => {
                let (name, detail) = reason_columns(reason);
                (Some(name), detail)
            }
            None => (None, None),
        };
        let place = self.rows.states.len() - 1;
        if let Some(Reason::Cancelled(why)) = reason {
            let root = self.root.filter(|root| needed(why) == Some(root.0));
            let root = root.map(|(_, status)| status);
            self.rows.cancelled.push(Cancelled { place, why, root });
        }
        if status != Status::Completed && reason.is_none_or(|reason| !is_by_another(reason)) {
            self.root = Some((task, status));
        }
        if status == Status::Failed
            && let Some((_, failure)) = failure.filter(|(failed, _)| *failed == task)
        {
            self.rows.failed.push((place, failure));
        }
    }

    /// Writes everything that waits, in one transaction, but for attempts that have only just begun: those are
    /// written by the second flush after, if they still run.
    ///
    /// # Errors
    /// When it cannot be written; everything still waits then.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.write(Record::Seen)?;
        for attempt in self.under_way.values_mut() {
            if attempt.record == Record::New {
                attempt.record = Record::Seen;
            }
        }
        Ok(())
    }

    /// Writes everything, attempts that have just begun as well.
    ///
    /// # Errors
    /// When it cannot be written; everything still waits then.
    pub fn flush_all(&mut self) -> Result<(), StoreError> {
        self.write(Record::New)
    }

    /// Writes everything, and with it that the run has finished, as [`Store::end_run`] does.
    ///
    /// # Errors
    /// When it cannot be written; everything still waits then.
    pub fn finish(&mut self, now: Time, seen: (u32, i64)) -> Result<EndRun, StoreError> {
        let run = self.run;
        self.write_with(Record::New, |connection| {
            end_run(connection, run, &EndCause::Finished, now, Some(seen))
        })
    }

    /// Whether the file does not say yet of some attempt that it runs.
    pub fn has_unwritten_attempts(&self) -> bool {
        self.under_way
            .values()
            .any(|attempt| attempt.record != Record::Written)
    }

    /// Writes what waits, and of the attempts under way those that have come as far as `least`.
    fn write(&mut self, least: Record) -> Result<(), StoreError> {
        let is_due = |record| record == Record::Seen || record == least;
        let none_due = !self.under_way.values().any(|one| is_due(one.record));
        if self.rows.is_empty() && none_due {
            return Ok(());
        }
        self.write_with(least, |_| Ok(()))
    }

    /// The same, and whatever `more` writes, in one transaction.
    fn write_with<T>(
        &mut self,
        least: Record,
        more: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let due = |record: Record| record == Record::Seen || record == least;
        let running: Vec<_> = self
            .under_way
            .iter()
            .filter(|(_, attempt)| due(attempt.record))
            .map(|(task, attempt)| (task.get(), attempt.attempt, micros(attempt.started)))
            .collect();
        let mut store = lock(&self.store);
        self.rows.explain(&store)?;
        let mut totals = self.rows.totals.clone();
        totals.moved(Status::Queued, Status::Running, running.len() as u64);
        let done = self.rows.write(
            &mut store,
            (self.run, micros(self.seen)),
            &running,
            &totals,
            self.recovering.is_some(),
            more,
        )?;
        drop(store);
        self.rows.clear();
        for attempt in self.under_way.values_mut().filter(|a| due(a.record)) {
            attempt.record = Record::Written;
        }
        Ok(done)
    }

    /// Tries to make room after a flush that found none: what is in the write-ahead log goes into the file.
    pub fn shrink_log(&self) {
        lock(&self.store).shrink_log();
    }
}

/// Whether a failure says that the death of an executor ended the attempt.
fn is_by_death(failure: &Failure) -> bool {
    use batch_core::FailureKind::{Interrupted, Quarantined};
    matches!(failure.kind, Interrupted | Quarantined)
}

fn has_content(output: &Output) -> bool {
    output.value.is_some() || !output.stdout.is_empty() || !output.stderr.is_empty()
}

/// The task for whose sake one was cancelled.
fn needed(why: CancelReason) -> Option<TaskId> {
    match why {
        CancelReason::DependencyFailed { root } => Some(root),
        CancelReason::User | CancelReason::BatchStopped(_) => None,
    }
}

fn is_by_another(reason: Reason) -> bool {
    matches!(reason, Reason::Cancelled(why) if needed(why).is_some())
}

/// The store of this process, for one transaction.
pub fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // A transaction that panicked was rolled back; the store is as it was.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
