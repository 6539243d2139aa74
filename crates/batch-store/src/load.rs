//! From the file into a [`Restorer`]: all tasks when a run begins, and new ones while it goes on.
//!
//! What is finished costs two bits; what is open is read with its specification. Where a task was running
//! when its executor died, the batch itself decides what becomes of it, and the events that say so are handed
//! on like all others.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use batch_core::{
    Event, OnInterrupt, Status, TaskId, Time,
    restore::{Reopen, RestoredState, RestoredTask, Restorer},
    stats::Totals,
    status::UnknownName,
};
use rusqlite::{Connection, Row};

use crate::error::{RowError, StoreError};
use crate::shape::{self, task_id};
use crate::spec_rows::{SPEC_WIDTH, SpecReader, SpecRow, spec_columns};
use crate::store::Store;
use crate::totals;

/// How many events are handed on together.
const CHUNK: usize = 4_096;

/// How much longer than its rules allow a retry may be away before that is put down to a clock that was set.
const CLOCK_ERROR: Duration = Duration::from_secs(24 * 60 * 60);

/// What an earlier run left behind.
#[derive(Clone, Debug, Default)]
pub struct LeftBehind {
    /// Tasks that a dead executor had started, with the number of the attempt: from its lease. What is on
    /// record as running is known without.
    pub started: HashMap<TaskId, u32>,
    /// The lease is that of this run: what is on record as running and not among `started` had been given out, and
    /// did not begin.
    pub knows_all_starts: bool,
    /// The run that was.
    pub run: u32,
    /// When it was last known to live.
    pub last_seen: Time,
    /// Its executor did not die: it was stopped, and could not write all that it did.
    pub was_stopped: bool,
}

/// The states of tasks, as their rows say.
struct StateRow {
    task: TaskId,
    status: Status,
    reason: Option<String>,
    until: Option<Time>,
    attempts: u32,
    retries: u32,
    deaths: u32,
}

impl Store {
    /// Restores all tasks of the file, and gives out what happens on the way: that each open task was submitted,
    /// and what became of those that were running.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn load(
        &self,
        batch: &mut Restorer,
        left: &LeftBehind,
        now: Time,
        mut observe: impl FnMut(&[Event]),
    ) -> Result<(), StoreError> {
        let next = self.info()?.next_task;
        let mut loader = Loader {
            store: self,
            batch,
            left,
            now,
            reader: SpecReader::default(),
            events: Vec::new(),
            observe: &mut observe,
        };
        loader.load(next).map_err(|error| self.error(error))?;
        batch.carry_over(&self.finished()?);
        Ok(())
    }

    /// Reads tasks that were added since, from `next` on, at most `limit` of them.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn added_since(&self, next: TaskId, limit: u32) -> Result<Vec<RestoredTask>, StoreError> {
        let mut reader = SpecReader::default();
        self.read(|file| {
            let columns = spec_columns(self.has_items);
            let sql =
                format!("SELECT {columns} FROM specs s WHERE task >= ?1 ORDER BY task LIMIT ?2");
            let mut select = file.prepare_cached(&sql)?;
            let mut rows = select.query([next.get(), limit])?;
            let mut added: Vec<RestoredTask> = Vec::new();
            while let Some(row) = rows.next()? {
                let spec = reader.read(file, row)?;
                // Removed again before they were seen.
                if spec.task.index() != next.index() + added.len() {
                    return Err(RowError::in_task(spec.task, "it comes out of turn"));
                }
                added.push(queued(spec));
            }
            Ok(added)
        })
    }

    /// Reads finished tasks that are to run again.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be.
    pub fn reopenable(&self, tasks: &[TaskId]) -> Result<Vec<Reopen>, StoreError> {
        let mut reader = SpecReader::default();
        let columns = spec_columns(self.has_items);
        let sql = format!(
            "SELECT {columns}, t.attempts FROM specs s JOIN states t ON t.task = s.task
             WHERE s.task = ?1"
        );
        self.read(|file| {
            let mut select = file.prepare_cached(&sql)?;
            let mut found = Vec::with_capacity(tasks.len());
            for task in tasks {
                let mut rows = select.query([task.get()])?;
                if let Some(row) = rows.next()? {
                    let spec = reader.read(file, row)?;
                    found.push(Reopen {
                        task: spec.task,
                        spec: spec.spec,
                        after: spec.needs,
                        priority: spec.priority,
                        attempts: row.get(SPEC_WIDTH)?,
                    });
                }
            }
            Ok(found)
        })
    }

    /// What the finished tasks add up to.
    fn finished(&self) -> Result<Totals, StoreError> {
        let totals = totals::read(&self.connection).map_err(|error| self.error(error))?;
        Ok(totals.with_counts([(Status::Queued, 0), (Status::Running, 0)]))
    }
}

struct Loader<'a> {
    store: &'a Store,
    batch: &'a mut Restorer,
    left: &'a LeftBehind,
    now: Time,
    reader: SpecReader,
    events: Vec<Event>,
    observe: &'a mut dyn FnMut(&[Event]),
}

impl Loader<'_> {
    fn load(&mut self, next: u32) -> Result<(), RowError> {
        let store = self.store;
        let mut select = store
            .connection
            .prepare_cached(
                "SELECT task, status, reason, until_us, attempts, retries, deaths FROM states ORDER BY task",
            )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let state = state_row(row).map_err(|error| error.of_row(row))?;
            self.untouched(state.task.get())?;
            if state.status.is_final() {
                self.batch.restore_finished(state.status);
            } else {
                self.open(&state)?;
            }
        }
        self.untouched(next)?;
        if self.reader.needs_later {
            refuse_cycle(&store.connection)?;
        }
        self.give_out();
        Ok(())
    }

    /// Tasks before `end` that nothing has happened to, or that were removed.
    fn untouched(&mut self, end: u32) -> Result<(), RowError> {
        let first = self.batch.next_id().get();
        if first >= end {
            return Ok(());
        }
        let store = self.store;
        let columns = spec_columns(store.has_items);
        let sql =
            format!("SELECT {columns} FROM specs s WHERE task >= ?1 AND task < ?2 ORDER BY task");
        let mut select = store.connection.prepare_cached(&sql)?;
        let mut rows = select.query([first, end])?;
        while let Some(row) = rows.next()? {
            let spec = self.reader.read(&store.connection, row)?;
            self.removed(spec.task.get());
            let past = match self.left.started.get(&spec.task) {
                Some(attempt) => self.started_off_record(spec, *attempt, None)?,
                None => queued(spec),
            };
            self.restore(past);
        }
        self.removed(end);
        Ok(())
    }

    /// Places before `end` whose tasks were removed.
    fn removed(&mut self, end: u32) {
        while self.batch.next_id().get() < end {
            self.batch.restore_removed();
        }
    }

    /// A task to which something has happened, and which is not finished.
    fn open(&mut self, state: &StateRow) -> Result<(), RowError> {
        let store = self.store;
        let columns = spec_columns(store.has_items);
        let sql = format!("SELECT {columns} FROM specs s WHERE task = ?1");
        let mut select = store.connection.prepare_cached(&sql)?;
        let mut rows = select.query([state.task.get()])?;
        let row = rows
            .next()?
            .ok_or_else(|| RowError::in_task(state.task, "it has a state and no specification"))?;
        let spec = self.reader.read(&store.connection, row)?;
        let started = self.left.started.get(&state.task).copied();
        let attempt = started.unwrap_or_default().max(state.attempts);
        let past = if state.status == Status::Running && !self.had_begun(state, &spec) {
            RestoredTask {
                attempts: state.attempts,
                retries: state.retries,
                state: RestoredState::GivenOut,
                ..queued(spec)
            }
        } else if state.status == Status::Running {
            self.cut_off(spec, attempt, state.retries, state.deaths)?
        } else if attempt > state.attempts {
            self.started_off_record(spec, attempt, Some(state))?
        } else {
            RestoredTask {
                attempts: state.attempts,
                retries: state.retries,
                state: match (state.reason.as_deref(), state.until) {
                    (Some("held"), _) => RestoredState::Held,
                    // A task that has not been tried waits for its own time, if for any.
                    (_, Some(until)) if attempt > 0 && self.is_plausible(until, &spec) => {
                        RestoredState::Delayed { until }
                    }
                    _ => RestoredState::Queued,
                },
                ..queued(spec)
            }
        };
        self.restore(past);
        Ok(())
    }

    /// Whether an attempt that is on record as running may have begun. A task that must not run twice is taken to have.
    fn had_begun(&self, state: &StateRow, spec: &SpecRow) -> bool {
        let noted = self.left.started.get(&state.task);
        !self.left.knows_all_starts
            || noted.is_some_and(|attempt| *attempt >= state.attempts)
            || spec.spec.options.on_interrupt != OnInterrupt::Rerun
    }

    /// Whether a retry may be as far away as it is said to be. After the clock was set back it may be years
    /// ahead; then the task waits no longer.
    fn is_plausible(&self, until: Time, spec: &SpecRow) -> bool {
        let rules = &spec.spec.options.retry;
        let longest = rules.max.max(rules.max_wait);
        until.since(self.now) <= longest.saturating_add(CLOCK_ERROR)
    }

    /// A task that only the lease knows to have started. That what it depends on had completed may be off the
    /// record as well; then it has to wait for that again.
    fn started_off_record(
        &self,
        spec: SpecRow,
        attempt: u32,
        state: Option<&StateRow>,
    ) -> Result<RestoredTask, RowError> {
        let (attempts, retries, deaths) = state.map_or((0, 0, 0), |state| {
            (state.attempts, state.retries, state.deaths)
        });
        if self.store.missing(&spec.needs)? == 0 {
            return self.cut_off(spec, attempt, retries, deaths);
        }
        Ok(RestoredTask {
            attempts,
            retries,
            ..queued(spec)
        })
    }

    /// A task that was running when its executor died.
    fn cut_off(
        &self,
        spec: SpecRow,
        attempt: u32,
        retries: u32,
        deaths: u32,
    ) -> Result<RestoredTask, RowError> {
        let last_seen = self.left.last_seen;
        let mut select = self
            .store
            .connection
            .prepare_cached("SELECT started_us FROM attempts WHERE task = ?1 AND attempt = ?2")?;
        let mut rows = select.query([spec.task.get(), attempt])?;
        let started = match rows.next()? {
            Some(row) => shape::time(row.get(0)?),
            None => last_seen,
        };
        Ok(RestoredTask {
            attempts: attempt,
            retries,
            state: RestoredState::Running {
                started,
                last_seen: last_seen.max(started),
                deaths: deaths.saturating_add(u32::from(!self.left.was_stopped)),
            },
            ..queued(spec)
        })
    }

    fn restore(&mut self, past: RestoredTask) {
        self.batch.restore(past, self.now);
        self.batch.take_events(&mut self.events);
        if self.events.len() >= CHUNK {
            self.give_out();
        }
    }

    fn give_out(&mut self) {
        self.batch.take_events(&mut self.events);
        (self.observe)(&self.events);
        self.events.clear();
    }
}

/// Refuses tasks of which each needs the next: they would wait for ever.
fn refuse_cycle(connection: &Connection) -> Result<(), RowError> {
    let mut select = connection.prepare(
        "SELECT s.task, n.value FROM specs s, json_each(s.needs) n WHERE s.needs IS NOT NULL",
    )?;
    let mut needs: HashMap<u32, Vec<u32>> = HashMap::new();
    for edge in select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (task, need) = edge?;
        needs.entry(task).or_default().push(need);
    }
    // What needs only tasks that can end can end. A task waits in the list of one that it needs.
    let mut waiting: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut free: Vec<u32> = needs.values().flatten().copied().collect();
    free.retain(|task| !needs.contains_key(task));
    for (task, needed) in &needs {
        for need in needed {
            waiting.entry(*need).or_default().push(*task);
        }
    }
    while let Some(task) = free.pop() {
        for waits in waiting.remove(&task).unwrap_or_default() {
            let open = needs.get_mut(&waits);
            let is_free = open.is_some_and(|open| {
                open.retain(|need| *need != task);
                open.is_empty()
            });
            if is_free {
                needs.remove(&waits);
                free.push(waits);
            }
        }
    }
    // Each task that is left needs another one that is left, so the way from any of them comes to a cycle.
    let Some(mut task) = needs.keys().min().copied() else {
        return Ok(());
    };
    for _ in 0..needs.len() {
        task = needs[&task][0];
    }
    Err(RowError::in_task(task, "it needs itself, by way of others"))
}

fn queued(row: SpecRow) -> RestoredTask {
    let state = match row.spec.options.hold {
        true => RestoredState::Held,
        false => RestoredState::Queued,
    };
    RestoredTask {
        spec: row.spec,
        after: row.needs,
        priority: row.priority,
        created_at: row.created_at,
        attempts: 0,
        retries: 0,
        state,
    }
}

fn state_row(row: &Row<'_>) -> Result<StateRow, RowError> {
    let number: i64 = row.get(0)?;
    let bad = |what: &dyn fmt::Display| RowError::in_task(number, what);
    let status = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(StateRow {
        task: task_id(number).ok_or_else(|| bad(&"no such number"))?,
        status: status.parse().map_err(|error: UnknownName| bad(&error))?,
        reason: row.get(2)?,
        until: row.get::<_, Option<i64>>(3)?.map(shape::time),
        attempts: row.get(4)?,
        retries: row.get(5)?,
        deaths: row.get(6)?,
    })
}
