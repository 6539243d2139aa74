//! The time on the clock, and looking again and again: [`now`], [`Poll`].

use std::time::Duration;

pub use batch_runtime::wall_clock as now;
use tokio::time::{Instant, sleep};

/// Looking again and again, until the time for that is up.
pub(crate) struct Poll {
    every: Duration,
    began: Instant,
    /// None for no limit.
    limit: Option<Duration>,
}

impl Poll {
    /// Looks once every so often, for as long as it takes.
    pub(crate) fn every(every: Duration) -> Self {
        Self {
            every,
            began: Instant::now(),
            limit: None,
        }
    }

    /// The same, for no longer than that where there is a limit.
    pub(crate) fn within(self, limit: impl Into<Option<Duration>>) -> Self {
        Self {
            limit: limit.into(),
            ..self
        }
    }

    /// How long it has been looked.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until it is time to look again; `false` at once when the time is up.
    pub(crate) async fn again(&self) -> bool {
        let left = self.limit.map(|limit| limit.saturating_sub(self.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return false;
        }
        sleep(left.map_or(self.every, |left| left.min(self.every))).await;
        true
    }
}
