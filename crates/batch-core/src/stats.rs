//! Counts and distributions: [`Stats`], a fold over events.

use std::time::Duration;

use crate::event::{Event, NextStep};
use crate::outcome::Outcome;
use crate::status::Status;
use crate::time::Time;
pub use crate::totals::Totals;

/// What the events of a batch add up to. Fold the same events, get the same numbers.
///
/// Two things come on top when a batch goes on where an earlier run left off: what the tasks amount to that
/// had finished before ([`Restorer::carry_over`](crate::restore::Restorer::carry_over)), and that attempts which began
/// before do not count as the first start or as waiting.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    counts: [u64; 5],
    /// How many times a task finished, without what was carried over.
    ended: u64,
    /// Attempts that ended and counted.
    pub attempts: u64,
    /// Attempts that were cut off and did not count.
    pub interrupted: u64,
    /// Retries used by tasks that finished. What a task used before it was reopened stays counted.
    pub retries: u64,
    /// How often a task completed on a later attempt. A task that completed so and was then reopened stays
    /// counted, and counts once more if it completes so again.
    pub flaky: u64,
    /// How long attempts took.
    pub execution: Tally,
    /// How long tasks were ready before they started. One whose start was postponed counts for each.
    pub waits: Tally,
    /// When the first attempt began that this run made.
    pub first_started: Option<Time>,
    /// When the last task finished so far.
    pub last_finished: Option<Time>,
}

/// What a set of durations adds up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tally {
    /// How many there are.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
}

impl Stats {
    /// Takes in one event.
    #[inline(always)]
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Submitted { .. } => self.counts[Status::Queued as usize] += 1,
            Event::Started { at, waited, .. } => {
                self.moved(Status::Queued, Status::Running);
                self.first_started.get_or_insert(*at);
                self.waits.add(*waited);
            }
            Event::StartPostponed { .. } => self.moved(Status::Running, Status::Queued),
            Event::AttemptEnded {
                took,
                outcome,
                then,
                ..
            } => {
                self.moved(Status::Running, Status::Queued);
                if matches!(outcome, Outcome::Interrupted(_)) && *then != NextStep::Final {
                    self.interrupted += 1;
                } else {
                    self.attempts += 1;
                    self.execution.add(*took);
                }
            }
            Event::Finished {
                at,
                status,
                retries,
                ..
            } => {
                self.moved(Status::Queued, *status);
                self.retries += u64::from(*retries);
                self.flaky += u64::from(*retries > 0 && *status == Status::Completed);
                self.last_finished = Some(*at);
                self.ended += 1;
            }
            Event::Reopened { from, .. } => {
                // A task whose end nobody carried over was never counted.
                let counted = &mut self.counts[*from as usize];
                *counted = counted.saturating_sub(1);
                self.counts[Status::Queued as usize] += 1;
            }
            _ => {}
        }
    }

    /// Adds what the finished tasks of earlier runs amount to.
    pub(crate) fn carry_over(&mut self, finished: &Totals) {
        for status in Status::ALL {
            self.counts[status as usize] += finished.count(status);
        }
        self.flaky += finished.flaky;
        self.retries += finished.retries;
        self.attempts += finished.attempts;
    }

    /// A task runs in an attempt that an earlier run began.
    pub(crate) fn began_before(&mut self) {
        self.moved(Status::Queued, Status::Running);
    }

    /// How many times a task finished, without what was carried over.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    fn moved(&mut self, from: Status, to: Status) {
        self.counts[from as usize] -= 1;
        self.counts[to as usize] += 1;
    }

    /// How many tasks have a status.
    pub fn count(&self, status: Status) -> u64 {
        self.counts[status as usize]
    }

    /// How many tasks there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many tasks are completed, failed or cancelled.
    pub fn finished(&self) -> u64 {
        self.total() - self.count(Status::Queued) - self.count(Status::Running)
    }

    /// Finished tasks per second since the first attempt of this run began; 0 before that. What was carried
    /// over from earlier runs does not count.
    pub fn rate(&self, now: Time) -> f64 {
        let Some(started) = self.first_started else {
            return 0.0;
        };
        let seconds = now.since(started).as_secs_f64();
        if seconds > 0.0 {
            self.ended as f64 / seconds
        } else {
            0.0
        }
    }
}

impl Tally {
    fn add(&mut self, duration: Duration) {
        self.count += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    /// Their mean; `None` when there are none.
    pub fn mean(&self) -> Option<Duration> {
        (self.count > 0).then(|| self.sum.div_f64(self.count as f64))
    }
}
