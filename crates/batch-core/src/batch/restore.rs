//! Going on where an earlier run left off: [`RestoredTask`], and [`Restorer`], which builds a batch.
//!
//! Tasks that are added to a kept batch while it runs are restored as well, by [`Batch::restore`].

use std::sync::Arc;
use std::time::Duration;

use super::machine::Batch;
use super::operations::{AttemptEnd, ClaimToken};
use super::phase::Course;
use super::slots::Attempt;
use super::table::{Entry, State};
use crate::event::{Event, NextStep};
use crate::ids::{RunId, TaskId};
use crate::outcome::{Failure, Outcome};
use crate::plan::Needed;
use crate::settings::BatchSettings;
use crate::spec::TaskSpec;
use crate::status::{FailureKind, Priority, Status};
use crate::time::Time;
use crate::totals::Totals;

/// An unfinished task as an earlier run left it.
#[derive(Clone, Debug)]
pub struct RestoredTask {
    /// What it is.
    pub spec: Arc<TaskSpec>,
    /// The tasks that must end first.
    pub after: Vec<Needed>,
    /// Its priority, which may differ from that of the spec.
    pub priority: Priority,
    /// When it was submitted.
    pub created_at: Time,
    /// The number of its last attempt; 0 before the first.
    pub attempts: u32,
    /// Retries used.
    pub retries: u32,
    /// Where it stood.
    pub state: RestoredState,
}

/// Where an unfinished task stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoredState {
    /// It was ready, or waited for its dependencies.
    Queued,
    /// It waited for a retry.
    Delayed {
        /// When it becomes ready.
        until: Time,
    },
    /// It waited to be released.
    Held,
    /// It had been given out when its executor died, and is known not to have begun.
    GivenOut,
    /// It was running when its executor died.
    Running {
        /// When the attempt began.
        started: Time,
        /// When its executor was last known to live.
        last_seen: Time,
        /// How many executors died while it ran, this one included.
        deaths: u32,
    },
}

/// Builds a batch as earlier runs left it.
///
/// It is given each task that ever was, once, in the order of the ids: [`restore`](Self::restore) for an open
/// one, [`restore_finished`](Self::restore_finished), [`restore_removed`](Self::restore_removed). Restored
/// tasks give events, as an attempt that was interrupted goes the way that every attempt goes.
///
/// ```
/// use batch_core::restore::Restorer;
/// use batch_core::{BatchSettings, RunId, Status};
///
/// let mut restorer = Restorer::new(BatchSettings::default(), RunId(2));
/// let first = restorer.restore_finished(Status::Completed);
/// let batch = restorer.into_batch();
/// assert_eq!(batch.status(first), Some(Status::Completed));
/// assert_eq!(batch.open(), 0);
/// ```
#[derive(Debug)]
pub struct Restorer {
    batch: Batch,
}

impl Restorer {
    /// A batch without tasks, whose claims will belong to a run.
    pub fn new(settings: BatchSettings, run: RunId) -> Self {
        Self {
            batch: Batch::for_run(settings, run),
        }
    }

    /// The batch, ready for its first claim.
    pub fn into_batch(self) -> Batch {
        self.batch
    }

    /// Adds an open task; see [`Batch::restore`].
    ///
    /// # Panics
    /// When the batch would hold 2^32 tasks or more.
    pub fn restore(&mut self, task: RestoredTask, now: Time) -> TaskId {
        self.batch.restore(task, now)
    }

    /// Adds a finished task, with the next id: only its status is kept, for the tasks that depend on it and for
    /// the one who asks. It gives no event and does not count; see [`carry_over`](Self::carry_over).
    ///
    /// # Panics
    /// When the status is not a final one, or the batch would hold 2^32 tasks or more.
    pub fn restore_finished(&mut self, status: Status) -> TaskId {
        self.batch.restore_finished(status)
    }

    /// Takes the next id for a task that was cleared away: there is no such task any more, and those that
    /// depend on it need not wait. It gives no event and does not count.
    ///
    /// # Panics
    /// When the batch would hold 2^32 tasks or more.
    pub fn restore_removed(&mut self) -> TaskId {
        self.batch.restore_removed()
    }

    /// Adds what finished tasks amount to, and earlier attempts of open ones, to the statistics. Rates leave
    /// it out.
    pub fn carry_over(&mut self, finished: &Totals) {
        self.batch.carry_over(finished);
    }

    /// The id that the next task gets.
    ///
    /// # Panics
    /// When the batch holds 2^32 - 1 tasks.
    pub fn next_id(&self) -> TaskId {
        self.batch.next_id()
    }

    /// Moves what happened since the last call to the end of `into`.
    pub fn take_events(&mut self, into: &mut Vec<Event>) {
        self.batch.take_events(into);
    }
}

impl Batch {
    /// A task that was running at this many deaths of its executor is *quarantined*.
    pub const MAX_DEATHS: u32 = 3;

    /// Adds an unfinished task of an earlier run, with the next id.
    ///
    /// It may wait for tasks that are restored after it. What it waits for matters only while it is
    /// [`RestoredState::Queued`], or held before its first attempt: everything else a task becomes after its
    /// dependencies have completed. One
    /// that was running comes back as its `on_interrupt` says, without a retry used; after
    /// [`MAX_DEATHS`](Self::MAX_DEATHS) deaths of executors it has failed. In a batch that a failure has
    /// ended ([`Halt`](crate::settings::Halt)), a restored task is cancelled like all the others.
    ///
    /// # Panics
    /// When the batch would hold 2^32 tasks or more.
    pub fn restore(&mut self, past: RestoredTask, now: Time) -> TaskId {
        let id = self.add(past.spec, past.created_at);
        let entry = self.table.open_mut(id);
        entry.attempts = past.attempts;
        entry.retries = past.retries;
        self.put_priority(id, past.priority, past.created_at);
        match past.state {
            RestoredState::Queued => self.place(id, past.after.into_iter(), false, now),
            RestoredState::Delayed { until } if until > now => {
                self.transition(id, State::Delayed { until });
            }
            RestoredState::Delayed { .. } => self.transition(id, State::ready(now)),
            RestoredState::Held if past.attempts == 0 => {
                self.place(id, past.after.into_iter(), true, now);
            }
            RestoredState::Held => self.transition(id, State::Held { missing: 0 }),
            RestoredState::Running {
                started,
                last_seen,
                deaths,
            } => self.recover(id, started, last_seen.max(started), deaths, now),
            RestoredState::GivenOut => {
                let token = self.begin_again(id, now);
                self.take_back(token, now);
                let next = self.table.open(id).postponed(now);
                self.transition(id, next);
            }
        }
        if let Course::Over(why) = self.course
            && self.table.final_status(id).is_none()
        {
            self.cancel_late(id, why, now);
        }
        id
    }

    /// Gives a task that is in no queue yet a priority other than its spec's, and says so.
    pub(super) fn put_priority(&mut self, id: TaskId, priority: Priority, at: Time) {
        let entry = self.table.open_mut(id);
        let lane = entry.lane.with_priority(priority);
        if entry.lane != lane {
            self.index.change_lane(id, entry, lane);
            self.record(Event::PriorityChanged {
                task: id,
                at,
                priority,
            });
        }
    }

    /// Lets the attempt that was cut off begin and end once more, on the way that every attempt goes.
    fn recover(&mut self, id: TaskId, started: Time, at: Time, deaths: u32, now: Time) {
        let token = self.begin_again(id, started);
        let (outcome, then) = if deaths >= Self::MAX_DEATHS {
            (
                Outcome::Failed(Arc::new(quarantined(deaths))),
                NextStep::Final,
            )
        } else {
            self.after_interruption(id, None)
        };
        let end = AttemptEnd {
            token,
            outcome,
            ending: None,
            took: at.since(started),
            at,
        };
        self.conclude(end, then, now);
    }

    /// Lets the last attempt of an earlier run begin once more.
    fn begin_again(&mut self, id: TaskId, started: Time) -> ClaimToken {
        let entry = self.table.open_mut(id);
        entry.attempts = entry.attempts.max(1);
        let token = ClaimToken {
            task: id,
            attempt: entry.attempts,
            run: self.run,
        };
        let slot = self.index.slots.take(Attempt::new(id, started, None));
        self.transition(id, State::Running { slot });
        self.record_past_start(Event::Started {
            task: id,
            at: started,
            attempt: token.attempt,
            slot,
            waited: Duration::ZERO,
        });
        token
    }

    pub(super) fn restore_finished(&mut self, status: Status) -> TaskId {
        assert!(status.is_final(), "a finished task is not {status}");
        self.add_over(State::Done(status), status)
    }

    pub(super) fn restore_removed(&mut self) -> TaskId {
        self.add_over(State::Removed, Status::Completed)
    }

    fn add_over(&mut self, state: State, counts_as: Status) -> TaskId {
        let awaited = self.take_awaited();
        let id = self.table.push(Entry {
            dependents: awaited.chain,
            ..Entry::over(state)
        });
        self.settle_dependents(id, counts_as, id, awaited.since);
        id
    }

    pub(super) fn carry_over(&mut self, finished: &Totals) {
        self.stats.carry_over(finished);
    }

    /// The id that the next added task gets.
    ///
    /// # Panics
    /// When the batch holds 2^32 - 1 tasks.
    pub fn next_id(&self) -> TaskId {
        TaskId::from_index(self.table.len())
    }
}

fn quarantined(deaths: u32) -> Failure {
    let message = format!(
        "quarantined: it was running each of the {deaths} times that its executor died; see what it does \
         to the machine, then retry it"
    );
    Failure::new(FailureKind::Quarantined, message).permanent()
}
