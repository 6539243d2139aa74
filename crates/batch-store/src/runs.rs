//! Executors that worked on a batch: rows of `runs`.

use std::num::NonZeroU32;

use batch_core::Time;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::holder::Holder;
use crate::settings;
use crate::shape::{column, duration, micros as span, time};
use crate::store::{Store, micros};

/// One executor process working on a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number, from 1.
    pub run: u32,
    /// Its process.
    pub pid: u32,
    /// Its process and the time that began: `PID-START`.
    pub mark: String,
    /// The start of the system it ran on.
    pub boot: String,
    /// When it began.
    pub started_at: Time,
    /// When it last wrote something.
    pub seen_at: Time,
    /// When it ended; `None` while it works, and for one that was killed until someone notices.
    pub ended_at: Option<Time>,
    /// How it ended.
    pub end: Option<EndCause>,
    /// How many tasks run at once.
    pub concurrency: Option<u32>,
    /// Finished tasks a second, a moment ago.
    pub rate: Option<f64>,
    /// How long it will still take, as of `seen_at`.
    pub left: Option<std::time::Duration>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndCause {
    /// Everything was done.
    Finished,
    /// It was told to stop.
    Stopped,
    /// The time of the batch was up, or a failure ended it, as it asked for.
    CutShort,
    /// Nobody read its results any more.
    OutputClosed,
    /// It could not write.
    WriteFailed,
    /// No task could be started.
    NothingStarts,
    /// Its process was killed.
    Died,
    /// Something that a later version writes.
    Other(Box<str>),
}

/// What an executor says of itself while it works.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heartbeat {
    /// How many tasks run at once.
    pub concurrency: u32,
    /// Finished tasks a second.
    pub rate: f64,
    /// How long it will still take.
    pub left: Option<std::time::Duration>,
}

/// Whether a run may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndRun {
    /// It has ended.
    Ended,
    /// Something came in that it has not seen: tasks or a request.
    MoreToDo,
}

const COLUMNS: &str =
    "run, pid, mark, boot, started_us, seen_us, ended_us, end, concurrency, rate, left_us";

impl Store {
    /// Notes that the runs without an end have died, and drops what was asked of them and is not answered: who
    /// still waits for the answer asks again. Only for the holder of the lease.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mark_dead_runs(&mut self) -> Result<(), StoreError> {
        self.write(mark_dead)
    }

    /// Begins a run, after [marking](Self::mark_dead_runs) earlier ones as dead.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin_run(&mut self, holder: &Holder, now: Time) -> Result<u32, StoreError> {
        self.write(|connection| {
            mark_dead(connection)?;
            insert(connection, holder, now)
        })
    }

    /// Notes how a run is progressing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn heartbeat(
        &mut self,
        run: u32,
        heartbeat: &Heartbeat,
        now: Time,
    ) -> Result<(), StoreError> {
        self.write(|connection| {
            connection
                .prepare_cached(
                    "UPDATE runs SET seen_us = max(seen_us, ?2), concurrency = ?3, rate = ?4, left_us = ?5
                     WHERE run = ?1",
                )?
                .execute((
                    run,
                    micros(now),
                    heartbeat.concurrency,
                    heartbeat.rate,
                    heartbeat.left.map(|left| column(span(left))),
                ))
                .map(drop)
        })
    }

    /// Changes how many tasks run at once, as a setting of the batch, and at once also for the run under way: its
    /// next heartbeat would say so a while later.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_concurrency(&mut self, slots: NonZeroU32) -> Result<(), StoreError> {
        self.write(|connection| {
            settings::put(connection, "max_concurrent", &slots.get())?;
            connection
                .execute(
                    "UPDATE runs SET concurrency = ?1
                     WHERE run = (SELECT max(run) FROM runs) AND ended_us IS NULL",
                    [slots.get()],
                )
                .map(drop)
        })
    }

    /// Ends a run, unless tasks from `next_task` on or requests after `last_request` came in meanwhile: who
    /// added them was told that the run would see them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_run(
        &mut self,
        run: u32,
        end: &EndCause,
        now: Time,
        seen: Option<(u32, i64)>,
    ) -> Result<EndRun, StoreError> {
        self.write(|connection| end_run(connection, run, end, now, seen))
    }

    /// The last run, if there was one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn last_run(&self) -> Result<Option<Run>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM runs ORDER BY run DESC LIMIT 1");
        self.read(|file| Ok(file.prepare_cached(&sql)?.query_row([], run).optional()?))
    }

    /// The runs that have no end, the first one first: one that works, or one that died.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn unended_runs(&self) -> Result<Vec<Run>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE ended_us IS NULL ORDER BY run");
        self.read(|file| {
            Ok(file
                .prepare_cached(&sql)?
                .query_map([], run)?
                .collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Ends a run; see [`Store::end_run`].
pub(crate) fn end_run(
    connection: &Connection,
    run: u32,
    end: &EndCause,
    now: Time,
    seen: Option<(u32, i64)>,
) -> rusqlite::Result<EndRun> {
    if let Some((next_task, last_request)) = seen {
        let next: Option<u32> = settings::get(connection, "next_task")?;
        let more: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM requests WHERE request > ?1 AND done_us IS NULL)",
            [last_request],
            |row| row.get(0),
        )?;
        if more || next.is_some_and(|next| next > next_task) {
            return Ok(EndRun::MoreToDo);
        }
    }
    connection.execute(
        "UPDATE runs SET ended_us = ?2, end = ?3, seen_us = max(seen_us, ?2) WHERE run = ?1",
        (run, micros(now), end.name()),
    )?;
    Ok(EndRun::Ended)
}

/// Adds a run, and gives its number.
pub(crate) fn insert(connection: &Connection, holder: &Holder, now: Time) -> rusqlite::Result<u32> {
    connection.execute(
        "INSERT INTO runs (pid, mark, boot, version, started_us, seen_us)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        (
            holder.pid,
            &holder.mark,
            &holder.boot,
            env!("CARGO_PKG_VERSION"),
            micros(now),
        ),
    )?;
    Ok(u32::try_from(connection.last_insert_rowid()).unwrap_or(u32::MAX))
}

impl EndCause {
    const NAMED: [Self; 7] = [
        Self::Finished,
        Self::Stopped,
        Self::CutShort,
        Self::OutputClosed,
        Self::WriteFailed,
        Self::NothingStarts,
        Self::Died,
    ];

    /// The name in the file.
    pub fn name(&self) -> &str {
        match self {
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::CutShort => "cut short",
            Self::OutputClosed => "output closed",
            Self::WriteFailed => "broken",
            Self::NothingStarts => "nothing starts",
            Self::Died => "died",
            Self::Other(name) => name,
        }
    }

    fn of_name(name: String) -> Self {
        let known = Self::NAMED.into_iter().find(|end| end.name() == name);
        known.unwrap_or_else(|| Self::Other(name.into()))
    }
}

fn mark_dead(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "UPDATE runs SET ended_us = seen_us, end = 'died' WHERE ended_us IS NULL;
         DELETE FROM requests WHERE done_us IS NULL;",
    )
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        run: row.get(0)?,
        pid: row.get(1)?,
        mark: row.get(2)?,
        boot: row.get(3)?,
        started_at: time(row.get(4)?),
        seen_at: time(row.get(5)?),
        ended_at: row.get::<_, Option<i64>>(6)?.map(time),
        end: row.get::<_, Option<String>>(7)?.map(EndCause::of_name),
        concurrency: row.get(8)?,
        rate: row.get(9)?,
        left: row.get::<_, Option<i64>>(10)?.map(duration),
    })
}
