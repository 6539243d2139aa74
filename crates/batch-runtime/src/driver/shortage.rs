//! What a run does while the system is short of something that its tasks need to start: [`Shortage`].
//!
//! Fewer run at once, as many as there was room for. From time to time more are tried: after a delay that grows with
//! each try in vain, and by steps that grow with each one that is not. What ends makes room for another at once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use batch_core::{StopMode, Time};

use super::claim::Starts;
use super::{Abort, Driver};
use crate::handle::ResourceShortage;

/// Before the first try to run more at once,
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// and at most between two of them.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// When nothing runs and nothing could be started for this long, the run ends.
pub(crate) const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

/// A shortage that lasts.
#[derive(Debug)]
pub(super) struct Shortage {
    what: Arc<str>,
    /// How many at once could be started.
    slots: u32,
    /// How many more the next try allows.
    step: u32,
    delay: Duration,
    next_try: Time,
    /// No start has failed since the last try.
    trying: bool,
    /// Since when nothing has run, though it was tried.
    nothing_since: Option<Time>,
    last_failure: Time,
}

impl Shortage {
    fn begin(now: Time) -> Self {
        Self {
            what: Arc::from(""),
            slots: 0,
            step: 1,
            delay: FIRST_DELAY,
            next_try: now,
            trying: false,
            nothing_since: None,
            last_failure: now,
        }
    }

    /// A start failed while this many ran.
    fn failed(&mut self, what: Arc<str>, running: u32, now: Time) {
        if self.trying {
            self.trying = false;
            self.step = 1;
            self.delay = (self.delay * 2).min(LONGEST_DELAY);
        }
        self.what = what;
        self.slots = running;
        self.next_try = now.after(self.delay);
        if now.since(self.last_failure) > 2 * LONGEST_DELAY {
            // Nothing was tried meanwhile, as in a batch that was paused.
            self.nothing_since = None;
        }
        self.last_failure = now;
        if running == 0 {
            self.nothing_since.get_or_insert(now);
        }
    }

    /// Allows more at once when it is time.
    fn try_more(&mut self, running: u32, now: Time) {
        if now < self.next_try {
            return;
        }
        if self.trying {
            // None of the last try failed.
            self.step = self.step.saturating_mul(2);
            self.delay = (self.delay / 2).max(FIRST_DELAY);
            if running > 0 {
                self.nothing_since = None;
            }
        }
        self.slots = self.slots.saturating_add(self.step);
        self.trying = true;
        self.next_try = now.after(self.delay);
    }

    fn is_hopeless(&self, now: Time) -> bool {
        self.nothing_since
            .is_some_and(|since| now.since(since) >= GIVE_UP_AFTER)
    }
}

impl Driver {
    /// A task could not begin, as something is short, and has been given back.
    pub(super) fn start_failed(&mut self, what: Box<str>) {
        let (now, running) = (self.clock.now(), self.batch.running());
        let shortage = self.shortage.get_or_insert_with(|| Shortage::begin(now));
        shortage.failed(what.into(), running, now);
        if shortage.is_hopeless(now) && self.abort.is_none() {
            self.abort = Some(Abort::NothingStarts(Arc::clone(&shortage.what)));
            self.batch.stop(StopMode::End, now);
        }
        self.fit_slots();
    }

    /// An attempt has run.
    pub(super) fn has_run(&mut self) {
        if let Some(shortage) = &mut self.shortage {
            shortage.nothing_since = None;
        }
    }

    /// Allows more at once when it is time, until as many as were asked for.
    pub(super) fn try_more(&mut self) {
        let Some(shortage) = &mut self.shortage else {
            return;
        };
        shortage.try_more(self.batch.running(), self.clock.now());
        if shortage.slots >= self.allowed().get() {
            self.shortage = None;
        }
        self.fit_slots();
    }

    /// When more are to be tried, if there is anything to be started.
    pub(super) fn next_try(&self) -> Option<Time> {
        let shortage = self.shortage.as_ref()?;
        (self.starts == Starts::Allowed && self.batch.has_ready()).then_some(shortage.next_try)
    }

    /// Whether not even one more may start for now.
    pub(super) fn has_no_slot(&self) -> bool {
        self.shortage
            .as_ref()
            .is_some_and(|shortage| self.batch.running() >= shortage.slots)
    }

    /// What was asked for, as far as the limits of the system allow it at all.
    fn allowed(&self) -> NonZeroU32 {
        self.slot_limit
            .map_or(self.requested, |limit| limit.min(self.requested))
    }

    /// Makes the batch run as many at once as is possible now, and tells of it.
    pub(super) fn fit_slots(&mut self) {
        let allowed = self.allowed();
        let now = match &self.shortage {
            Some(shortage) => NonZeroU32::new(shortage.slots)
                .unwrap_or(NonZeroU32::MIN)
                .min(allowed),
            None => allowed,
        };
        self.batch.set_concurrency(now, self.clock.now());
        let short = self.shortage.as_ref().map(|shortage| ResourceShortage {
            what: Arc::clone(&shortage.what),
            slots: shortage.slots.min(allowed.get()),
            requested: allowed.get(),
        });
        self.short.send_if_modified(|told| {
            let changed = *told != short;
            *told = short;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    #[test]
    fn tries_in_vain_become_rare_and_others_grow() {
        let mut shortage = Shortage::begin(at(0));
        shortage.failed("files".into(), 7, at(0));
        let mut now = at(0);
        let mut delays = Vec::new();
        for _ in 0..9 {
            delays.push(shortage.next_try.since(now).as_millis());
            now = shortage.next_try;
            shortage.try_more(7, now);
            assert_eq!(shortage.slots, 8);
            shortage.failed("files".into(), 7, now);
        }
        assert_eq!(delays, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        let mut slots = Vec::new();
        for _ in 0..4 {
            now = shortage.next_try;
            shortage.try_more(shortage.slots, now);
            slots.push(shortage.slots);
        }
        assert_eq!(slots, [8, 10, 14, 22]);
        // Nothing is tried before it is time.
        shortage.try_more(22, now);
        assert_eq!(shortage.slots, 22);
    }

    #[test]
    fn it_is_hopeless_when_nothing_has_run_for_long() {
        let mut shortage = Shortage::begin(at(0));
        shortage.failed("files".into(), 1, at(0));
        shortage.failed("files".into(), 0, at(1_000));
        assert!(!shortage.is_hopeless(at(30_999)));
        assert!(shortage.is_hopeless(at(31_000)));
        // A pause is not held against it.
        shortage.failed("files".into(), 0, at(70_000));
        assert!(!shortage.is_hopeless(at(70_000)));
        shortage.try_more(0, at(2_000));
        // A task that has begun and runs on is as good as one that has ended.
        shortage.try_more(1, at(8_000));
        assert!(!shortage.is_hopeless(at(60_000)));
    }
}
