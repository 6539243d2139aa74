//! A batch at a glance: [`Overview`], read from a few rows however many tasks there are.

use std::sync::Arc;
use std::time::Duration;

use batch_core::{BatchId, Reason, TaskId, Time, outcome::Stream, stats::Totals};
use batch_export::{Cause, CauseGroup, CauseId, cause_of};
use batch_template::short_label;
use rusqlite::{Connection, Row};

use crate::error::StoreError;
use crate::runs::Run;
use crate::selection::Selection;
use crate::settings::{self, BatchInfo};
use crate::shape::{column, duration, number};
use crate::store::Store;
use crate::totals;

/// Of this many causes the sample task is named without having a name.
const MOST_DERIVED: u32 = 100;

/// A batch at a glance.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What the file says of the batch as a whole.
    pub info: BatchInfo,
    /// The last run, if there was one.
    pub run: Option<Run>,
    /// Why tasks failed, the most frequent cause first.
    pub causes: Vec<CauseGroup>,
    /// What its tasks add up to.
    pub totals: Totals,
    /// How long nobody worked on it between the first start and the last end.
    idle: Duration,
}

impl Store {
    /// Reads a batch at a glance, all of it as of one moment.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn overview(&self) -> Result<Overview, StoreError> {
        let begun = self.connection.unchecked_transaction();
        let _moment = begun.map_err(|error| self.error(error))?;
        let error = |error| self.error(error);
        let totals = totals::read(&self.connection).map_err(error)?;
        Ok(Overview {
            info: self.info()?,
            run: self.last_run()?,
            causes: self.causes()?,
            idle: idle(&self.connection, &totals).map_err(error)?,
            totals,
        })
    }

    /// Why tasks failed, the most frequent cause first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn causes(&self) -> Result<Vec<CauseGroup>, StoreError> {
        let read = || -> rusqlite::Result<Vec<(CauseGroup, bool)>> {
            self.connection
                .prepare_cached(
                    "SELECT found.cause, label, sample, tasks, found.task, is_told,
                        substr(coalesce(s.name, s.id), 1, 80)
                     FROM (
                        SELECT c.cause, label, sample, tasks, t.cause IS c.cause AS is_told,
                            iif(t.cause IS c.cause, sample_task,
                                (SELECT min(task) FROM states WHERE cause = c.cause)) AS task
                        FROM causes c LEFT JOIN states t ON t.task = sample_task WHERE tasks > 0) found
                     LEFT JOIN specs s ON s.task = found.task ORDER BY tasks DESC, found.cause",
                )?
                .query_map([], |row| cause_group(row, self.batch()))?
                .filter_map(Result::transpose)
                .collect()
        };
        let found = read().map_err(|error| self.error(error))?;
        let mut derived = 0;
        let complete = |(mut group, is_told): (CauseGroup, bool)| {
            if group.sample_name.is_empty() && derived < MOST_DERIVED {
                derived += 1;
                group.sample_name = self.label_of(group.sample_task.task)?;
            }
            match is_told {
                true => Ok(group),
                false => self.with_sample(group),
            }
        };
        found.into_iter().map(complete).collect()
    }

    /// What people know a task by that has no name.
    fn label_of(&self, task: TaskId) -> Result<String, StoreError> {
        let selection = Selection {
            tasks: Some(vec![task]),
            without_outputs: true,
            ..Selection::default()
        };
        let mut label = String::new();
        self.for_each_task::<StoreError>(&selection, |record| {
            label = short_label(&record.spec).into_owned();
            Ok(false)
        })?;
        Ok(label)
    }

    /// The sample of a cause, taken from its sample task: the one before runs again, or was cleared away.
    fn with_sample(&self, mut group: CauseGroup) -> Result<CauseGroup, StoreError> {
        let Some(record) = self.task(group.sample_task.task)? else {
            return Ok(group);
        };
        if let (Some(Reason::Failed(kind)), Some(error)) = (record.reason, &record.error) {
            let none = Stream::default();
            let output = record.output.as_ref();
            let stderr = output.map_or(&none, |output| &output.stderr);
            let cause = cause_of(&record.spec.function, kind, error, stderr);
            // Told otherwise by a later version, or its output is gone: the old sample must do.
            if cause.id() == group.cause.id() {
                group.cause = Arc::new(cause);
            }
        }
        Ok(group)
    }

    /// How many tasks are held until someone releases them. Looks at every task.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn held(&self) -> Result<u64, StoreError> {
        let count = "SELECT count(*) FROM states WHERE status = 'queued' AND reason = 'held'";
        let held = self
            .connection
            .query_row(count, [], |row| row.get::<_, u32>(0));
        held.map(u64::from).map_err(|error| self.error(error))
    }

    /// The row of `settings` in which others of this project keep something.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn extra(&self, name: &str) -> Result<Option<String>, StoreError> {
        settings::get(&self.connection, name).map_err(|error| self.error(error))
    }
}

/// How long nobody worked on the batch between its first start and its last end: the gaps between the runs, and
/// what comes after the last of them, as when a task is cancelled while nobody runs the batch.
fn idle(connection: &Connection, totals: &Totals) -> rusqlite::Result<Duration> {
    let at = |time: Option<Time>| column(time.unwrap_or_default().as_micros());
    connection
        .prepare_cached(
            "SELECT coalesce(sum(max(0, min(began, ?2) - max(ended, ?1))), 0) FROM (
                SELECT started_us AS began,
                    lag(coalesce(ended_us, seen_us)) OVER (ORDER BY run) AS ended FROM runs
                UNION ALL SELECT ?2, ended_us FROM runs WHERE run = (SELECT max(run) FROM runs))
             WHERE ended IS NOT NULL",
        )?
        .query_row([at(totals.first_start), at(totals.last_end)], |row| {
            row.get(0)
        })
        .map(duration)
}

impl Overview {
    /// How long was worked on it, from the first start to the last end without the time between the runs.
    pub fn elapsed(&self) -> Option<Duration> {
        let whole = self.totals.last_end?.since(self.totals.first_start?);
        Some(whole.saturating_sub(self.idle))
    }
}

/// A cause with its tasks, and whether its sample is of its sample task; `None` when it cannot be one.
fn cause_group(row: &Row<'_>, batch: BatchId) -> rusqlite::Result<Option<(CauseGroup, bool)>> {
    let id = CauseId::new(row.get(0)?);
    let sample_task = row.get::<_, Option<u32>>(4)?.and_then(TaskId::new);
    let (Some(id), Some(sample_task)) = (id, sample_task) else {
        return Ok(None);
    };
    let name: Option<String> = row.get(6)?;
    let group = CauseGroup {
        cause: Arc::new(Cause::from_parts(id, row.get(1)?, row.get(2)?)),
        tasks: number(row.get(3)?),
        sample_task: batch.task(sample_task),
        sample_name: name.unwrap_or_default(),
    };
    Ok(Some((group, row.get(5)?)))
}
