//! What changes the course of a batch: cancel, release, stop, pause, priorities, and the passing of time.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::machine::Batch;
use super::operations::ClaimToken;
use super::phase::Course;
use super::slots::EndCause;
use super::table::State;
use crate::event::Event;
use crate::ids::TaskId;
use crate::settings::{Halt, HaltMode};
use crate::status::{CancelReason, Priority, Reason, Status, StopReason};
use crate::time::Time;

/// A running attempt that is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CancelRequest {
    /// The attempt.
    pub token: ClaimToken,
    /// The slot it runs in.
    pub slot: u32,
    /// How it is to end.
    pub urgency: Urgency,
}

/// How urgently an attempt is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Ask it to end, and kill it after its time of grace.
    End,
    /// Kill it now.
    Kill,
}

/// How a batch is stopped. What is queued stays queued; what is cut off is not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopMode {
    /// Start nothing more; let running attempts end by themselves.
    Graceful,
    /// Ask running attempts to end as well.
    End,
    /// Kill running attempts.
    Kill,
}

/// The task cannot be cancelled or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// There is no such task.
    #[error("there is no task {0}")]
    Unknown(TaskId),
    /// It is finished.
    #[error("task {0} is already {1}")]
    Finished(TaskId, Status),
    /// It is running, and its place in the queue is past.
    #[error("task {0} is running")]
    Running(TaskId),
}

/// The task cannot be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// There is no such task.
    #[error("there is no task {0}")]
    Unknown(TaskId),
    /// Nobody holds it.
    #[error("task {0} is {1}, not held")]
    NotHeld(TaskId, Status),
}

impl Batch {
    /// Cancels a task: a queued one at once, with all that depends on it; a running one is asked to end.
    ///
    /// # Errors
    /// When there is no such task, or it is finished.
    pub fn cancel(&mut self, id: TaskId, now: Time) -> Result<(), CancelError> {
        if let State::Running { slot } = self.open_state(id)? {
            let cause = EndCause::Cancelled(CancelReason::User);
            self.request_end(slot, cause, Urgency::End);
        } else {
            let reason = Reason::Cancelled(CancelReason::User);
            self.finish(id, Status::Cancelled, Some(reason), now);
            self.settle_dependents(id, Status::Cancelled, id, now);
        }
        Ok(())
    }

    /// Lets a held task run: it is ready, or waits for its dependencies or its time.
    ///
    /// # Errors
    /// When there is no such task, or it is not held.
    pub fn release(&mut self, id: TaskId, now: Time) -> Result<(), ReleaseError> {
        let status = self.status(id).ok_or(ReleaseError::Unknown(id))?;
        match self.open_state(id) {
            Ok(State::Held { missing }) => {
                let next = self.placed(id, missing, now);
                self.transition(id, next);
            }
            _ => return Err(ReleaseError::NotHeld(id, status)),
        }
        self.record(Event::Released { task: id, at: now });
        Ok(())
    }

    /// The state of a task that can still be changed.
    fn open_state(&self, id: TaskId) -> Result<State, CancelError> {
        if let Some(status) = self.table.final_status(id) {
            return Err(CancelError::Finished(id, status));
        }
        match self.table.get(id).map(|entry| entry.state) {
            None | Some(State::Removed) => Err(CancelError::Unknown(id)),
            Some(state) => Ok(state),
        }
    }

    /// Ends the batch for good: queued tasks are cancelled, running ones asked to end, as *batch stopped*. What is to run
    /// when all others have ended does so.
    pub fn cancel_all(&mut self, now: Time) {
        if self.course == Course::Full {
            self.course = Course::CutShort;
        }
        self.cancel_open(StopReason::Requested, HaltMode::Now, now);
    }

    /// Ends the batch when a task has ended so, and as many have as its settings say.
    pub(super) fn halt_if_reached(&mut self, status: Status, now: Time) {
        let (halt, stats) = (self.settings.halt, &self.stats);
        if let Halt::When { mode, .. } = halt
            && !matches!(self.course, Course::Over(_))
            && halt.counts(status)
            && halt.is_reached(&|status| stats.count(status), stats.total())
        {
            let why = match halt {
                Halt::FAIL_FAST => StopReason::FailFast,
                _ => StopReason::Halted,
            };
            self.course = Course::Over(why);
            self.cancel_open(why, mode, now);
        }
    }

    /// Ends the batch for good, with the tasks that come later.
    fn end_for(&mut self, why: StopReason, now: Time) {
        self.course = Course::Over(why);
        self.cancel_open(why, HaltMode::Now, now);
    }

    /// Cancels what is queued, and what runs where the mode says so.
    fn cancel_open(&mut self, why: StopReason, mode: HaltMode, now: Time) {
        let reason = CancelReason::BatchStopped(why);
        let open: Vec<TaskId> = self.table.open_ids().collect();
        for id in open {
            let state = self.table.open(id).state;
            if let State::Running { slot } = state {
                if mode == HaltMode::Now {
                    self.request_end(slot, EndCause::Cancelled(reason), Urgency::End);
                }
            } else if !matches!(state, State::Last) {
                self.finish(id, Status::Cancelled, Some(Reason::Cancelled(reason)), now);
                // Its dependents are unfinished too and have their own turn in this loop.
                let chain = self.table.close(id);
                self.edges.take(chain);
            }
        }
    }

    /// Stops the batch: nothing more starts, what is queued stays queued.
    pub fn stop(&mut self, mode: StopMode, now: Time) {
        if !self.flow.is_stopping() {
            self.flow = self.flow.stopped();
            self.record(Event::Stopping { at: now });
        }
        let urgency = match mode {
            StopMode::Graceful => return,
            StopMode::End => Urgency::End,
            StopMode::Kill => Urgency::Kill,
        };
        for (_, slot) in self.index.slots.taken() {
            self.request_end(slot, EndCause::Shutdown, urgency);
        }
    }

    fn request_end(&mut self, slot: u32, cause: EndCause, urgency: Urgency) {
        let task = self.index.slots.get(slot).task;
        if self.index.end_attempt(slot, cause) || urgency == Urgency::Kill {
            self.cancel_requests.push(CancelRequest {
                token: ClaimToken {
                    task,
                    attempt: self.table.open(task).attempts,
                    run: self.run,
                },
                slot,
                urgency,
            });
        }
    }

    /// Starts no further attempts until [`resume`](Self::resume); running ones go on.
    pub fn pause(&mut self, now: Time) {
        if !self.flow.is_paused() {
            self.flow = self.flow.with_paused(true);
            self.record(Event::Paused { at: now });
        }
    }

    /// Starts attempts again.
    pub fn resume(&mut self, now: Time) {
        if self.flow.is_paused() {
            self.flow = self.flow.with_paused(false);
            self.record(Event::Resumed { at: now });
        }
    }

    /// Changes how many tasks run at once. Running ones above the new number go on to their end.
    pub fn set_concurrency(&mut self, slots: NonZeroU32, now: Time) {
        if self.index.slots.limit != slots.get() {
            self.index.slots.limit = slots.get();
            self.record(Event::ConcurrencyChanged {
                at: now,
                slots: slots.get(),
            });
        }
    }

    /// Adds named limits; those that are known stay as they are.
    pub fn add_limits(&mut self, limits: &BTreeMap<String, NonZeroU32>) {
        for (name, limit) in limits {
            if !self.settings.limits.contains_key(name) {
                self.settings.limits.insert(name.clone(), *limit);
                self.index.ready.add_limit(name, *limit);
            }
        }
    }

    /// Changes the priority of a task that is not running; it goes to the end of its new queue.
    ///
    /// # Errors
    /// When there is no such task, or it is running or finished.
    pub fn set_priority(
        &mut self,
        id: TaskId,
        priority: Priority,
        now: Time,
    ) -> Result<(), CancelError> {
        if let State::Running { .. } = self.open_state(id)? {
            return Err(CancelError::Running(id));
        }
        let entry = self.table.open_mut(id);
        let lane = entry.lane.with_priority(priority);
        self.index.change_lane(id, entry, lane);
        self.record(Event::PriorityChanged {
            task: id,
            at: now,
            priority,
        });
        Ok(())
    }

    /// The earliest time at which [`handle_timers`](Self::handle_timers) has something to do.
    pub fn next_wakeup(&self) -> Option<Time> {
        let timer = self.index.timers.first().map(|(at, _)| *at);
        let deadline = self.deadline.filter(|_| self.course == Course::Full);
        let start = self.next_start.filter(|_| self.has_ready());
        [timer, deadline, start].into_iter().flatten().min()
    }

    /// When the next scheduled task is due on the wall clock.
    pub fn next_scheduled(&self) -> Option<Time> {
        self.index.schedule.first().map(|(at, _)| *at)
    }

    /// Makes the tasks ready whose time has come on the wall clock, which may have been set or stood still with the
    /// machine; `now` is the time of the run.
    pub fn start_scheduled(&mut self, wall: Time, now: Time) {
        while let Some(&(at, id)) = self.index.schedule.first()
            && at <= wall
        {
            self.transition(id, State::ready(now));
        }
    }

    /// Does what is due: delayed tasks become ready, attempts past their deadline are asked to end, and a
    /// batch past its own is ended for good.
    pub fn handle_timers(&mut self, now: Time) {
        // From then on it wakes nobody any more.
        self.next_start.take_if(|start| *start <= now);
        let is_due = self.deadline.is_some_and(|deadline| deadline <= now);
        if is_due && self.course == Course::Full {
            self.end_for(StopReason::TimeLimit, now);
        }
        while let Some(&(at, id)) = self.index.timers.first() {
            if at > now {
                break;
            }
            match self.table.open(id).state {
                State::Delayed { .. } => self.transition(id, State::ready(at)),
                State::Running { slot } => {
                    self.request_end(slot, EndCause::Timeout, Urgency::End);
                }
                _ => unreachable!("only delayed and running tasks have timers"),
            }
        }
    }
}
