//! The time: [`wall_clock`], and that of a run, [`Clock`].

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use batch_core::Time;
use tokio::time::Instant;

/// The time on the wall clock; [`Time::ZERO`] where that is before 1970.
pub fn wall_clock() -> Time {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time::ZERO.after(since_epoch.unwrap_or_default())
}

/// What tells the time on the wall clock.
pub(crate) type WallClock = Arc<dyn Fn() -> Time + Send + Sync>;

/// Takes the wall clock once, at the start, and moves on by the monotonic clock of tokio: setting the wall
/// clock changes nothing for a run, and tests can make time pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Time,
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            began: wall_clock(),
            origin: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.began.after(self.origin.elapsed())
    }

    pub(crate) fn instant_of(&self, time: Time) -> Instant {
        self.origin + time.since(self.began)
    }

    /// Takes time out of the run, in which it stood still.
    pub(crate) fn exclude(&mut self, time: Duration) {
        self.origin += time.min(self.origin.elapsed());
    }
}
