//! The attempts of a task: claim and report.

use std::sync::Arc;
use std::time::Duration;

use super::machine::Batch;
use super::phase::{Course, Flow};
use super::slots::{Attempt, EndCause};
use super::steering::CancelRequest;
use super::table::{Entry, State};
use crate::event::{Event, NextStep};
use crate::ids::{RunId, TaskId};
use crate::outcome::{Failure, Outcome, Output};
use crate::spec::{OnInterrupt, TaskSpec};
use crate::status::{CancelReason, FailureKind, Reason, Status};
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
#[non_exhaustive]
pub struct Claim {
    /// To be handed back with the report.
    pub token: ClaimToken,
    /// The slot it runs in, from 0.
    pub slot: u32,
    /// What to do.
    pub spec: Arc<TaskSpec>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) struct AttemptEnd {
    pub(super) token: ClaimToken,
    pub(super) outcome: Outcome,
    /// Why it was asked to end.
    pub(super) ending: Option<EndCause>,
    pub(super) took: Duration,
    pub(super) at: Time,
}

/// The report belongs to no claim that is out: it came late, twice, or from another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attempt {} of task {} is not running in this run", .0.attempt, .0.task)]
pub struct StaleClaim(pub ClaimToken);

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
    /// Gives out the next attempt, if a slot is free and a task fits its limits.
    pub fn claim(&mut self, now: Time) -> Option<Claim> {
        let is_early = self.next_start.is_some_and(|start| now < start);
        if self.flow != Flow::Open || is_early || !self.index.slots.has_room() {
            return None;
        }
        if self.only_the_last_are_open() {
            self.start_the_last(now);
        }
        let id = self.index.ready.first()?;
        self.start_clock(now);
        self.next_start = self.settings.delay.map(|delay| now.after(delay));
        let entry = self.table.open_mut(id);
        let State::Ready(ready) = entry.state else {
            unreachable!("the queues are of ready tasks");
        };
        entry.attempts += 1;
        let attempt = entry.attempts;
        let spec = Arc::clone(entry.spec());
        let deadline = spec.options.timeout.map(|timeout| now.after(timeout));
        let slot = self.index.slots.take(Attempt::new(id, now, deadline));
        self.index.transition(id, entry, State::Running { slot });
        self.record(Event::Started {
            task: id,
            at: now,
            attempt,
            slot,
            waited: now.since(ready.since),
        });
        Some(Claim {
            token: ClaimToken {
                task: id,
                attempt,
                run: self.run,
            },
            slot,
            spec,
        })
    }

    /// Makes the tasks ready that run when all others have ended.
    fn start_the_last(&mut self, now: Time) {
        for id in std::mem::take(&mut self.index.last) {
            self.transition(id, State::ready(now));
        }
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
    /// An attempt that was cut off uses up no retry; what becomes of its task says
    /// [`OnInterrupt`](crate::OnInterrupt). The policy is asked only where a retry is due: the attempt failed, and the task has one
    /// left or was asked for a pause, which uses up none.
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
        let (entry, attempt) = self.check(token)?;
        let ending = attempt.ending;
        let took = now.since(attempt.started);
        let outcome = judge(outcome, ending, || {
            entry.spec().options.timeout.unwrap_or_default()
        });
        if !matches!(outcome, Outcome::Interrupted(_)) {
            self.index.durations.add(entry.kind, took);
        }
        let (outcome, then) = match outcome {
            Outcome::Interrupted(output) => self.after_interruption(token.task, output),
            Outcome::Failed(failure) => {
                let then = self.after_failure(token.task, &failure, policy, now);
                (Outcome::Failed(failure), then)
            }
            done => (done, NextStep::Final),
        };
        let end = AttemptEnd {
            token,
            outcome,
            ending,
            took,
            at: now,
        };
        self.conclude(end, then, now);
        Ok(())
    }

    /// Takes back an attempt that did not begin after all, as the system was short of something or it was told to
    /// end before. It never was: its number is given out again. The task is the next of its priority, or cancelled
    /// where that was asked for meanwhile.
    ///
    /// # Errors
    /// [`StaleClaim`] when the attempt is not running in this run; nothing is changed then.
    pub fn postpone(&mut self, token: ClaimToken, now: Time) -> Result<(), StaleClaim> {
        let ending = self.check(token)?.1.ending;
        self.take_back(token, now);
        if let Some(EndCause::Cancelled(why)) = ending {
            let reason = Reason::Cancelled(why);
            self.finish(token.task, Status::Cancelled, Some(reason), now);
            self.settle_dependents(token.task, Status::Cancelled, token.task, now);
        } else {
            let next = self.table.open(token.task).postponed(now);
            self.queue_again(token.task, next, now);
        }
        Ok(())
    }

    /// Makes undone that an attempt began. Where its task goes next is for the caller to say.
    pub(super) fn take_back(&mut self, token: ClaimToken, now: Time) {
        self.table.open_mut(token.task).attempts -= 1;
        self.record(Event::StartPostponed {
            task: token.task,
            at: now,
            attempt: token.attempt,
        });
    }

    /// The entry and the attempt of a claim that is out.
    fn check(&self, token: ClaimToken) -> Result<(&Entry, &Attempt), StaleClaim> {
        let entry = self.table.get(token.task).ok_or(StaleClaim(token))?;
        match entry.state {
            State::Running { slot } if entry.attempts == token.attempt && self.run == token.run => {
                Ok((entry, self.index.slots.get(slot)))
            }
            _ => Err(StaleClaim(token)),
        }
    }

    fn after_failure(
        &mut self,
        id: TaskId,
        failure: &Failure,
        policy: &mut impl RetryPolicy,
        now: Time,
    ) -> NextStep {
        let entry = self.table.open_mut(id);
        let spec = entry.spec();
        let retry = entry.retries + 1;
        let longest = spec.options.retry.max_wait;
        let is_pause = self.pauses.note(id, failure, longest, now);
        // What is to run when all others have ended does so also where those were ended.
        let is_ended = matches!(self.course, Course::Over(_)) && !spec.options.finally;
        if is_ended || (retry > spec.options.max_retries && !is_pause) {
            return NextStep::Final;
        }
        match policy.delay(spec, failure, retry) {
            Some(delay) if is_pause => NextStep::PausedUntil(now.after(delay)),
            Some(delay) => {
                entry.retries = retry;
                NextStep::RetryAt(now.after(delay))
            }
            None => NextStep::Final,
        }
    }

    /// What an attempt that was cut off counts as, and what comes next: the task itself says.
    pub(super) fn after_interruption(
        &self,
        id: TaskId,
        output: Option<Arc<Output>>,
    ) -> (Outcome, NextStep) {
        match self.table.open(id).spec().options.on_interrupt {
            OnInterrupt::Hold => (Outcome::Interrupted(output), NextStep::Held),
            OnInterrupt::Fail => {
                let message = "interrupted: it was cut off while it ran, and is not to run again \
                               (on_interrupt: fail)";
                let mut failure = Failure::new(FailureKind::Interrupted, message).permanent();
                failure.output = output;
                (Outcome::Failed(Arc::new(failure)), NextStep::Final)
            }
            OnInterrupt::Rerun => (Outcome::Interrupted(output), NextStep::Requeued),
        }
    }

    /// Writes down the end of an attempt and brings its task where it goes next.
    pub(super) fn conclude(&mut self, end: AttemptEnd, then: NextStep, now: Time) {
        let AttemptEnd {
            token,
            outcome,
            ending,
            took,
            at,
        } = end;
        let (status, reason) = match &outcome {
            Outcome::Completed(_) => (Status::Completed, None),
            Outcome::Failed(failure) => (Status::Failed, Some(Reason::Failed(failure.kind))),
            Outcome::Cancelled(_) | Outcome::Interrupted(_) => {
                let why = match ending {
                    Some(EndCause::Cancelled(why)) => why,
                    _ => CancelReason::User,
                };
                (Status::Cancelled, Some(Reason::Cancelled(why)))
            }
        };
        let id = token.task;
        self.record(Event::AttemptEnded {
            task: id,
            at,
            attempt: token.attempt,
            took,
            outcome,
            then,
        });
        match then {
            NextStep::RetryAt(until) | NextStep::PausedUntil(until) if until > now => {
                self.transition(id, State::Delayed { until })
            }
            NextStep::RetryAt(_) | NextStep::PausedUntil(_) | NextStep::Requeued => {
                self.queue_again(id, State::ready(now), now);
            }
            NextStep::Held => self.transition(id, State::Held { missing: 0 }),
            NextStep::Final => {
                self.finish(id, status, reason, now);
                self.settle_dependents(id, status, id, now);
                self.halt_if_reached(status, now);
            }
        }
    }

    /// Puts a task that ran back into the queue. Where the batch was ended meanwhile it has no other turn; where it is
    /// only stopped, it has one in the next run.
    fn queue_again(&mut self, id: TaskId, state: State, now: Time) {
        let is_last = self.table.open(id).spec().options.finally;
        match self.course {
            Course::Over(why) if !is_last && !self.flow.is_stopping() => {
                self.cancel_late(id, why, now);
            }
            _ => self.transition(id, state),
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
fn judge(
    outcome: Outcome,
    ending: Option<EndCause>,
    timeout: impl FnOnce() -> Duration,
) -> Outcome {
    match (ending, outcome) {
        (_, done @ Outcome::Completed(_)) => done,
        (Some(EndCause::Timeout), other) => timed_out(timeout(), other.output().cloned()),
        (Some(EndCause::Cancelled(_)), other) => Outcome::Cancelled(other.output().cloned()),
        (Some(EndCause::Shutdown), other) => Outcome::Interrupted(other.output().cloned()),
        (None, Outcome::Cancelled(output)) => Outcome::Interrupted(output),
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
