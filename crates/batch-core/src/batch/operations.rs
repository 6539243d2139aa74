//! What can be done to a batch: submit, claim, report, cancel, pause, stop, and the passing of time.

use std::sync::Arc;
use std::time::Duration;

use super::machine::Batch;
use super::table::{Ending, Slot, State};
use crate::event::{Event, Then};
use crate::ids::{RunId, TaskId};
use crate::outcome::{Failure, Outcome, Output};
use crate::plan::{Dependency, Plan};
use crate::spec::TaskSpec;
use crate::status::{CancelReason, FailureKind, Priority, Reason, Status};
use crate::time::Time;

/// The right to perform one attempt, given out by [`Batch::claim`] and handed back with the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimToken {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: u32,
    /// The run the claim belongs to.
    pub run: RunId,
}

/// An attempt to start.
#[derive(Clone, Debug)]
pub struct Claim {
    /// To be handed back with the report.
    pub token: ClaimToken,
    /// The slot it runs in, from 0.
    pub slot: u32,
    /// What to do.
    pub spec: Arc<TaskSpec>,
}

/// A running attempt that is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The report belongs to no claim that is out: it came late, twice, or from another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attempt {} of task {} is not running in this run", .0.attempt, .0.task)]
pub struct StaleClaim(pub ClaimToken);

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

/// Picks the delay before a retry. Lives outside the core, as it may draw random numbers.
pub trait RetryPolicy {
    /// The delay before retry number `retry` (from 1) of a task after a failure; `None` to give up.
    fn delay(&mut self, spec: &TaskSpec, failure: &Failure, retry: u32) -> Option<Duration>;
}

impl<F> RetryPolicy for F
where
    F: FnMut(&TaskSpec, &Failure, u32) -> Option<Duration>,
{
    fn delay(&mut self, spec: &TaskSpec, failure: &Failure, retry: u32) -> Option<Duration> {
        self(spec, failure, retry)
    }
}

impl Batch {
    /// Adds all tasks of a checked plan; returns the id of the first. The others follow it in order.
    ///
    /// # Panics
    /// When the batch would hold 2^32 tasks or more.
    pub fn submit(&mut self, plan: Plan, now: Time) -> Option<TaskId> {
        let first = self.table.len();
        let tasks = plan.into_tasks();
        for task in &tasks {
            self.add(Arc::clone(&task.spec), now);
        }
        for (index, task) in tasks.iter().enumerate() {
            let after = task.after.iter().map(|dependency| match *dependency {
                Dependency::InPlan(index) => TaskId::from_index(first + index),
                Dependency::Submitted(id) => id,
            });
            self.place(TaskId::from_index(first + index), after, now);
        }
        (!tasks.is_empty()).then(|| TaskId::from_index(first))
    }

    /// Adds one task that starts after `after` have completed. The quick way in for tasks that need no
    /// plan; `depends_on` of the spec is not looked at.
    ///
    /// # Panics
    /// When the batch would hold 2^32 tasks or more.
    pub fn submit_one(&mut self, spec: Arc<TaskSpec>, after: &[TaskId], now: Time) -> TaskId {
        let id = self.add(spec, now);
        self.place(id, after.iter().copied(), now);
        id
    }

    fn add(&mut self, spec: Arc<TaskSpec>, now: Time) -> TaskId {
        let slot = Slot {
            state: State::Waiting { missing: 0 },
            attempts: 0,
            retries: 0,
            dependents: 0,
            group: self.ready.group(spec.options.limit.as_deref()),
            kind: self.kind(&spec.function),
            priority: spec.options.priority,
            spec: Some(Arc::clone(&spec)),
        };
        self.durations.entered(slot.kind);
        let id = self.table.push(slot);
        self.open += 1;
        if let Some(name) = &spec.id {
            self.ids.insert(name.clone(), id);
        }
        self.record(Event::Submitted {
            task: id,
            at: now,
            spec,
        });
        id
    }

    /// Brings a new task where it belongs: into the queue, behind its dependencies, or to its end.
    fn place(&mut self, id: TaskId, after: impl Iterator<Item = TaskId>, now: Time) {
        let mut missing = 0;
        for dependency in after {
            match self.table.final_status(dependency) {
                Some(Status::Completed) => {}
                Some(_) => return self.cancel_for(id, dependency, now),
                None => {
                    let slot = self.table.open_mut(dependency);
                    slot.dependents = self.edges.prepend(id, slot.dependents);
                    missing += 1;
                }
            }
        }
        if missing == 0 {
            self.transition(id, State::ready(now, false));
        } else {
            self.transition(id, State::Waiting { missing });
        }
    }

    fn cancel_for(&mut self, id: TaskId, root: TaskId, now: Time) {
        let reason = Reason::Cancelled(CancelReason::DependencyFailed { root });
        self.finish(id, Status::Cancelled, Some(reason), now);
        self.settle_dependents(id, Status::Cancelled, root, now);
    }

    /// Gives out the next attempt, if a slot is free and a task fits its limits.
    pub fn claim(&mut self, now: Time) -> Option<Claim> {
        if self.paused || self.stopping || !self.slots.has_room() {
            return None;
        }
        let id = self.ready.first(&self.table)?;
        self.start_clock(now);
        let slot = self.table.open_mut(id);
        let State::Ready(ready) = slot.state else {
            unreachable!("the queue holds ready tasks");
        };
        slot.attempts += 1;
        let attempt = slot.attempts;
        let spec = Arc::clone(slot.spec.as_ref().expect("an unfinished task has its spec"));
        let deadline = spec.options.timeout.map(|timeout| now.after(timeout));
        let number = self.slots.next();
        self.transition(
            id,
            State::Running {
                slot: number,
                started: now,
                deadline,
                ending: None,
            },
        );
        self.record(Event::Started {
            task: id,
            at: now,
            attempt,
            slot: number,
            waited: now.since(ready.since),
        });
        Some(Claim {
            token: ClaimToken {
                task: id,
                attempt,
                run: self.run,
            },
            slot: number,
            spec,
        })
    }

    fn start_clock(&mut self, now: Time) {
        if self.deadline.is_none() {
            self.deadline = self
                .settings
                .batch_timeout
                .map(|timeout| now.after(timeout));
        }
    }

    /// Takes in what an attempt ended as.
    ///
    /// The policy is asked only where a retry is due: the attempt failed, and the task has one left.
    ///
    /// # Errors
    /// [`StaleClaim`] when the attempt is not running in this run; nothing is changed then.
    pub fn report(
        &mut self,
        token: ClaimToken,
        outcome: Outcome,
        policy: &mut impl RetryPolicy,
        now: Time,
    ) -> Result<(), StaleClaim> {
        let (started, ending) = self.check(token)?;
        let outcome = judge(outcome, ending, || self.timeout_of(token.task));
        let took = now.since(started);
        let then = match &outcome {
            Outcome::Completed(_) | Outcome::Cancelled(_) => Then::Final,
            Outcome::Interrupted => Then::Requeued,
            Outcome::Failed(failure) => self.after_failure(token.task, failure, policy, now),
        };
        if !matches!(outcome, Outcome::Interrupted) {
            let kind = self.table.open_mut(token.task).kind;
            self.durations.add(kind, took);
        }
        self.conclude(token, outcome, ending, then, took, now);
        Ok(())
    }

    /// Takes back an attempt that could not begin for want of resources; it is offered again after a
    /// delay and does not count.
    ///
    /// # Errors
    /// [`StaleClaim`] when the attempt is not running in this run; nothing is changed then.
    pub fn postpone(
        &mut self,
        token: ClaimToken,
        delay: Duration,
        now: Time,
    ) -> Result<(), StaleClaim> {
        let (started, ending) = self.check(token)?;
        let took = now.since(started);
        match judge(Outcome::Interrupted, ending, || self.timeout_of(token.task)) {
            cancelled @ Outcome::Cancelled(_) => {
                self.conclude(token, cancelled, ending, Then::Final, took, now);
            }
            _ => {
                let then = Then::RetryAt(now.after(delay));
                self.conclude(token, Outcome::Interrupted, ending, then, took, now);
            }
        }
        Ok(())
    }

    fn check(&self, token: ClaimToken) -> Result<(Time, Option<Ending>), StaleClaim> {
        let stale = StaleClaim(token);
        let slot = self.table.get(token.task).ok_or(stale)?;
        match slot.state {
            State::Running {
                started, ending, ..
            } if slot.attempts == token.attempt && self.run == token.run => Ok((started, ending)),
            _ => Err(stale),
        }
    }

    fn timeout_of(&self, id: TaskId) -> Duration {
        self.table
            .get(id)
            .and_then(|slot| slot.spec.as_ref()?.options.timeout)
            .unwrap_or_default()
    }

    fn after_failure(
        &mut self,
        id: TaskId,
        failure: &Failure,
        policy: &mut impl RetryPolicy,
        now: Time,
    ) -> Then {
        let slot = self.table.open_mut(id);
        let spec = slot.spec.as_ref().expect("a running task has its spec");
        let retry = slot.retries + 1;
        if retry > spec.options.max_retries {
            return Then::Final;
        }
        match policy.delay(spec, failure, retry) {
            Some(delay) => {
                slot.retries = retry;
                Then::RetryAt(now.after(delay))
            }
            None => Then::Final,
        }
    }

    fn conclude(
        &mut self,
        token: ClaimToken,
        outcome: Outcome,
        ending: Option<Ending>,
        then: Then,
        took: Duration,
        now: Time,
    ) {
        let (status, reason) = match &outcome {
            Outcome::Completed(_) => (Status::Completed, None),
            Outcome::Failed(failure) => (Status::Failed, Some(Reason::Failed(failure.kind))),
            Outcome::Cancelled(_) | Outcome::Interrupted => {
                let why = match ending {
                    Some(Ending::Cancelled(why)) => why,
                    _ => CancelReason::User,
                };
                (Status::Cancelled, Some(Reason::Cancelled(why)))
            }
        };
        let id = token.task;
        self.record(Event::AttemptEnded {
            task: id,
            at: now,
            attempt: token.attempt,
            took,
            outcome,
            then,
        });
        match then {
            Then::RetryAt(until) if until > now => self.transition(id, State::Delayed { until }),
            Then::RetryAt(_) | Then::Requeued => self.transition(id, State::ready(now, true)),
            Then::Final => {
                self.finish(id, status, reason, now);
                self.settle_dependents(id, status, id, now);
                if status == Status::Failed && self.settings.fail_fast {
                    self.cancel_all(now);
                }
            }
        }
    }

    /// Cancels a task: a queued one at once, with all that depends on it; a running one is asked to end.
    ///
    /// # Errors
    /// When there is no such task, or it is finished.
    pub fn cancel(&mut self, id: TaskId, now: Time) -> Result<(), CancelError> {
        if let Some(status) = self.table.final_status(id) {
            return Err(CancelError::Finished(id, status));
        }
        let slot = self.table.get(id).ok_or(CancelError::Unknown(id))?;
        if matches!(slot.state, State::Running { .. }) {
            self.request_end(id, Ending::Cancelled(CancelReason::User), Urgency::End);
        } else {
            let reason = Reason::Cancelled(CancelReason::User);
            self.finish(id, Status::Cancelled, Some(reason), now);
            self.settle_dependents(id, Status::Cancelled, id, now);
        }
        Ok(())
    }

    /// Ends the batch for good: queued tasks are cancelled, running ones asked to end, as *batch stopped*.
    pub fn cancel_all(&mut self, now: Time) {
        self.stopped_early = true;
        let reason = CancelReason::BatchStopped;
        let open: Vec<TaskId> = self.table.open_ids().collect();
        for id in open {
            if matches!(self.table.open_mut(id).state, State::Running { .. }) {
                self.request_end(id, Ending::Cancelled(reason), Urgency::End);
            } else {
                self.finish(id, Status::Cancelled, Some(Reason::Cancelled(reason)), now);
                // Its dependents are unfinished too and have their own turn in this loop.
                self.table.close(id);
            }
        }
    }

    /// Stops the batch: nothing more starts, what is queued stays queued.
    pub fn stop(&mut self, mode: StopMode, now: Time) {
        if !self.stopping {
            self.stopping = true;
            self.record(Event::Stopping { at: now });
        }
        let urgency = match mode {
            StopMode::Graceful => return,
            StopMode::End => Urgency::End,
            StopMode::Kill => Urgency::Kill,
        };
        for id in self.running_ids() {
            self.request_end(id, Ending::Shutdown, urgency);
        }
    }

    /// The running tasks, in the order of their ids.
    pub(super) fn running_ids(&self) -> Vec<TaskId> {
        let mut running: Vec<TaskId> = self.slots.holders().collect();
        running.sort_unstable();
        running
    }

    fn request_end(&mut self, id: TaskId, cause: Ending, urgency: Urgency) {
        let first = self.end_attempt(id, cause);
        let slot = self.table.open_mut(id);
        let State::Running { slot: number, .. } = slot.state else {
            unreachable!("only a running attempt can be asked to end");
        };
        if first || urgency == Urgency::Kill {
            self.cancel_requests.push(CancelRequest {
                token: ClaimToken {
                    task: id,
                    attempt: slot.attempts,
                    run: self.run,
                },
                slot: number,
                urgency,
            });
        }
    }

    /// Starts no further attempts until [`resume`](Self::resume); running ones go on.
    pub fn pause(&mut self, now: Time) {
        if !self.paused {
            self.paused = true;
            self.record(Event::Paused { at: now });
        }
    }

    /// Starts attempts again.
    pub fn resume(&mut self, now: Time) {
        if self.paused {
            self.paused = false;
            self.record(Event::Resumed { at: now });
        }
    }

    /// Changes how many tasks run at once. Running ones above the new number go on to their end.
    pub fn set_concurrency(&mut self, slots: std::num::NonZeroU32, now: Time) {
        if self.slots.limit != slots.get() {
            self.slots.limit = slots.get();
            self.record(Event::ConcurrencyChanged {
                at: now,
                slots: slots.get(),
            });
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
        if let Some(status) = self.table.final_status(id) {
            return Err(CancelError::Finished(id, status));
        }
        let slot = self.table.get_mut(id).ok_or(CancelError::Unknown(id))?;
        match slot.state {
            State::Running { .. } => return Err(CancelError::Running(id)),
            State::Ready(ready) => {
                self.ready.remove(&mut self.table, id);
                self.table.open_mut(id).priority = priority;
                self.ready
                    .push(&mut self.table, id, ready.since, ready.again);
            }
            _ => slot.priority = priority,
        }
        self.record(Event::PriorityChanged {
            task: id,
            at: now,
            priority,
        });
        Ok(())
    }

    /// The earliest time at which [`handle_timers`](Self::handle_timers) has something to do.
    pub fn next_wakeup(&self) -> Option<Time> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let deadline = self
            .deadline
            .filter(|_| !self.stopped_early && self.open > 0);
        match (timer, deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Does what is due: delayed tasks become ready, attempts past their deadline are asked to end, and a
    /// batch past its own is ended for good.
    pub fn handle_timers(&mut self, now: Time) {
        if !self.stopped_early && self.deadline.is_some_and(|deadline| deadline <= now) {
            self.cancel_all(now);
        }
        while let Some(&(at, id)) = self.timers.first() {
            if at > now {
                break;
            }
            match self.table.open_mut(id).state {
                State::Delayed { .. } => self.transition(id, State::ready(at, true)),
                State::Running { .. } => self.request_end(id, Ending::Timeout, Urgency::End),
                _ => unreachable!("only delayed and running tasks have timers"),
            }
        }
    }

    /// Moves what happened since the last call to the end of `into`.
    pub fn take_events(&mut self, into: &mut Vec<Event>) {
        if into.is_empty() {
            std::mem::swap(into, &mut self.events);
        } else {
            into.append(&mut self.events);
        }
    }

    /// Takes the running attempts that are to end.
    pub fn take_cancel_requests(&mut self) -> Vec<CancelRequest> {
        std::mem::take(&mut self.cancel_requests)
    }
}

/// What an attempt counts as, given why it was asked to end. What completed has completed.
fn judge(outcome: Outcome, ending: Option<Ending>, timeout: impl FnOnce() -> Duration) -> Outcome {
    match (ending, outcome) {
        (_, done @ Outcome::Completed(_)) => done,
        (Some(Ending::Timeout), other) => timed_out(timeout(), other.output().cloned()),
        (Some(Ending::Cancelled(_)), other) => Outcome::Cancelled(other.output().cloned()),
        (Some(Ending::Shutdown), _) => Outcome::Interrupted,
        (None, Outcome::Cancelled(_)) => Outcome::Interrupted,
        (None, other) => other,
    }
}

fn timed_out(timeout: Duration, output: Option<Arc<Output>>) -> Outcome {
    Outcome::Failed(Arc::new(Failure {
        output,
        ..Failure::new(
            FailureKind::Timeout,
            format!("timeout: it took longer than {}s", timeout.as_secs_f64()),
        )
    }))
}
