//! What tasks add up to: [`Totals`].

use std::ops::AddAssign;
use std::time::Duration;

use crate::status::Status;
use crate::time::Time;

/// What a set of tasks adds up to. Sums of two sets are added by `+=`.
///
/// ```
/// use batch_core::{stats::Totals, Status};
///
/// let mut totals = Totals::default().with_counts([(Status::Completed, 5), (Status::Failed, 2)]);
/// totals += Totals { retries: 3, ..Totals::default().with_counts([(Status::Failed, 1)]) };
/// assert_eq!((totals.tasks(), totals.count(Status::Failed), totals.retries), (8, 3, 3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tasks of each status, in the order of [`Status::ALL`].
    pub counts: [u64; 5],
    /// Tasks of which an attempt ended.
    pub executed: u64,
    /// Attempts that ended and counted.
    pub attempts: u64,
    /// How long all attempts took together.
    pub execution_time: Duration,
    /// Retries that were used.
    pub retries: u64,
    /// Tasks that completed on a later attempt.
    pub flaky: u64,
    /// When the first attempt began.
    pub first_start: Option<Time>,
    /// When the last task ended.
    pub last_end: Option<Time>,
}

impl Totals {
    /// With as many tasks of these statuses, in place of those that it had.
    #[must_use]
    pub fn with_counts(mut self, counts: impl IntoIterator<Item = (Status, u64)>) -> Self {
        for (status, count) in counts {
            self.counts[status as usize] = count;
        }
        self
    }

    /// Adds tasks of a status.
    pub const fn count_more(&mut self, status: Status, tasks: u64) {
        self.counts[status as usize] += tasks;
    }

    /// How many tasks have a status.
    pub const fn count(&self, status: Status) -> u64 {
        self.counts[status as usize]
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many tasks are neither completed nor failed nor cancelled.
    pub const fn open(&self) -> u64 {
        self.count(Status::Queued) + self.count(Status::Running)
    }

    /// The mean time of the tasks that had an attempt; `None` without one.
    pub fn average_task_time(&self) -> Option<Duration> {
        let mean = self
            .execution_time
            .as_nanos()
            .checked_div(u128::from(self.executed))?;
        Some(Duration::from_nanos(
            u64::try_from(mean).unwrap_or(u64::MAX),
        ))
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.executed += other.executed;
        self.attempts += other.attempts;
        self.execution_time = self.execution_time.saturating_add(other.execution_time);
        self.retries += other.retries;
        self.flaky += other.flaky;
        let starts = [self.first_start, other.first_start];
        self.first_start = starts.into_iter().flatten().min();
        self.last_end = self.last_end.max(other.last_end);
    }
}
