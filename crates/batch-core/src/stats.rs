//! Counts and distributions: [`Stats`], a fold over events.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::event::{Event, Then};
use crate::outcome::Outcome;
use crate::status::Status;
use crate::time::Time;

/// What the events of a batch add up to. Fold the same events, get the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    counts: [u64; 5],
    /// Attempts that ended and counted.
    pub attempts: u64,
    /// Attempts that were cut off and did not count.
    pub interrupted: u64,
    /// Retries used by finished tasks.
    pub retries: u64,
    /// Tasks that completed on a later attempt.
    pub flaky: u64,
    /// How long attempts took.
    pub execution: Distribution,
    /// How long tasks were ready before they started.
    pub waits: Distribution,
    /// When the first attempt began.
    pub first_started: Option<Time>,
    /// When the last task finished so far.
    pub last_finished: Option<Time>,
}

/// How a set of durations is spread: exact count, sum and extremes, percentiles to 1 %.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
    sum: Duration,
}

impl Stats {
    /// Takes in one event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Submitted { .. } => self.counts[Status::Queued as usize] += 1,
            Event::Started { at, waited, .. } => {
                self.moved(Status::Queued, Status::Running);
                self.first_started.get_or_insert(*at);
                self.waits.add(*waited);
            }
            Event::AttemptEnded {
                took,
                outcome,
                then,
                ..
            } => {
                self.moved(Status::Running, Status::Queued);
                if matches!(outcome, Outcome::Interrupted) && *then != Then::Final {
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
            }
            _ => {}
        }
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

    /// Finished tasks per second since the first attempt began; 0 before that.
    pub fn rate(&self, now: Time) -> f64 {
        let Some(started) = self.first_started else {
            return 0.0;
        };
        let seconds = now.since(started).as_secs_f64();
        if seconds > 0.0 {
            self.finished() as f64 / seconds
        } else {
            0.0
        }
    }
}

impl Default for Distribution {
    fn default() -> Self {
        // From a microsecond to a day and a half; longer ones count as the longest.
        let histogram = Histogram::new_with_bounds(1, 1 << 37, 2).expect("the bounds are valid");
        Self {
            histogram,
            sum: Duration::ZERO,
        }
    }
}

impl Distribution {
    fn add(&mut self, duration: Duration) {
        self.sum += duration;
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(micros);
    }

    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Their mean; `None` when there are none.
    pub fn mean(&self) -> Option<Duration> {
        let count = self.count();
        (count > 0).then(|| self.sum.div_f64(count as f64))
    }

    /// The duration that `percent` per cent of them do not exceed, to 1 %; `None` when there are none.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let micros = self.histogram.value_at_percentile(percent);
        (self.count() > 0).then(|| Duration::from_micros(micros))
    }
}
