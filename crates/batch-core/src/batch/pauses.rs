//! The pauses that other sides ask for: [`Pauses`].
//!
//! A server that has enough says for how long. Nothing goes to it for that time, and the task that it told so uses up no
//! retry, unless it was put off again and again for longer than it waits ([`RetrySpec::max_wait`]).
//!
//! [`RetrySpec::max_wait`]: crate::retry::RetrySpec::max_wait

use std::collections::HashMap;
use std::time::Duration;

use super::machine::Batch;
use super::table::State;
use crate::ids::TaskId;
use crate::outcome::Failure;
use crate::spec::TaskSpec;
use crate::time::Time;

/// Who is left alone, and until when.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// By the name of the host. What has passed is dropped with the next one that comes.
    hosts: HashMap<Box<str>, Time>,
    /// When an unfinished task was told to wait for the first time.
    since: HashMap<TaskId, Time>,
}

impl Pauses {
    /// Takes in what an attempt failed of. Gives whether that was a pause that uses up no retry: `longest` is the time
    /// that the task waits in all.
    pub(super) fn note(
        &mut self,
        id: TaskId,
        failure: &Failure,
        longest: Duration,
        now: Time,
    ) -> bool {
        let (Some(host), Some(pause)) = (&failure.host, failure.retry_after) else {
            return false;
        };
        if pause.is_zero() || pause > longest {
            return false;
        }
        let until = now.after(pause);
        self.hosts.retain(|_, until| *until > now);
        let known = self.hosts.entry(host.clone()).or_insert(until);
        *known = (*known).max(until);
        let since = *self.since.entry(id).or_insert(now);
        until.since(since) <= longest
    }

    /// A task is finished.
    pub(super) fn forget(&mut self, id: TaskId) {
        if !self.since.is_empty() {
            self.since.remove(&id);
        }
    }

    /// Until when nothing goes to a host.
    fn until(&self, host: &str, now: Time) -> Option<Time> {
        self.hosts.get(host).copied().filter(|until| *until > now)
    }
}

impl Batch {
    /// Whether some host is to be left alone, so that [`put_off`](Self::put_off) has something to do.
    pub fn has_pauses(&self, now: Time) -> bool {
        let hosts = &self.pauses.hosts;
        !hosts.is_empty() && hosts.values().any(|until| *until > now)
    }

    /// Puts off those of the next tasks that go to a host that asked for a pause, until that is over, so that a claim
    /// gives one that may start. `host_of` tells the host of a task, as a failure names it ([`Failure::host`]).
    pub fn put_off(&mut self, host_of: &dyn Fn(&TaskSpec) -> Option<String>, now: Time) {
        while let Some(id) = self.index.ready.first() {
            let host = host_of(self.table.open(id).spec());
            let Some(until) = host.and_then(|host| self.pauses.until(&host, now)) else {
                return;
            };
            self.transition(id, State::Delayed { until });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use super::*;
    use crate::retry::RetrySpec;
    use crate::{BatchSettings, FailureKind, Outcome, Status};

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn host_of(spec: &TaskSpec) -> Option<String> {
        spec.name.as_deref().map(str::to_owned)
    }

    fn batch(hosts: &[&str], max_wait: u64) -> (Batch, Vec<TaskId>) {
        let slots = NonZeroU32::new(2).unwrap();
        let mut batch = Batch::new(BatchSettings::with_slots(slots));
        let submit = |host: &&str| {
            let mut spec = TaskSpec::new("http").with_retry(RetrySpec {
                max_wait: Duration::from_secs(max_wait),
                ..RetrySpec::default()
            });
            spec.name = Some((*host).into());
            batch.submit_one(Arc::new(spec), &[], at(0))
        };
        let tasks = hosts.iter().map(submit).collect();
        (batch, tasks)
    }

    fn too_many(host: &str, pause: u64) -> Outcome {
        let mut failure = Failure::new(FailureKind::HttpStatus(429), "too many");
        failure.host = Some(host.into());
        failure.retry_after = Some(Duration::from_secs(pause));
        Outcome::Failed(Arc::new(failure))
    }

    /// As the runtime does: what was asked for is the delay.
    fn as_asked(_: &TaskSpec, failure: &Failure, _: u32) -> Option<Duration> {
        failure.retry_after
    }

    fn claim(batch: &mut Batch, now: Time) -> Option<crate::Claim> {
        batch.handle_timers(now);
        if batch.has_pauses(now) {
            batch.put_off(&host_of, now);
        }
        batch.claim(now)
    }

    #[test]
    fn nothing_goes_to_a_host_during_its_pause_and_no_retry_is_used() {
        let (mut batch, tasks) = batch(&["a", "a", "b", "a"], 100);
        let first = claim(&mut batch, at(0)).unwrap();
        batch
            .report(first.token, too_many("a", 10), &mut as_asked, at(1))
            .unwrap();
        let other = claim(&mut batch, at(2)).unwrap();
        assert_eq!(other.token.task, tasks[2], "the only one for another host");
        assert!(claim(&mut batch, at(2)).is_none());
        assert_eq!(batch.next_wakeup(), Some(at(11)));
        let done = Outcome::Completed(None);
        batch
            .report(other.token, done, &mut as_asked, at(3))
            .unwrap();
        for expected in [tasks[0], tasks[1]] {
            assert_eq!(claim(&mut batch, at(11)).unwrap().token.task, expected);
        }
        assert!(claim(&mut batch, at(11)).is_none(), "both slots are taken");
    }

    #[test]
    fn the_longest_of_several_pauses_holds() {
        let (mut batch, _) = batch(&["a", "a", "a"], 100);
        let claims = [
            claim(&mut batch, at(0)).unwrap(),
            claim(&mut batch, at(0)).unwrap(),
        ];
        for (claim, pause) in claims.iter().zip([20, 5]) {
            batch
                .report(claim.token, too_many("a", pause), &mut as_asked, at(0))
                .unwrap();
        }
        // The second was asked to come back sooner, and is put off with the others.
        assert!(claim(&mut batch, at(5)).is_none());
        assert_eq!(batch.next_wakeup(), Some(at(20)));
    }

    #[test]
    fn a_task_waits_no_longer_than_it_may() {
        let (mut batch, tasks) = batch(&["a"], 25);
        for (now, expected) in [
            (0, Status::Queued),
            (10, Status::Queued),
            (20, Status::Failed),
        ] {
            let claim = claim(&mut batch, at(now)).unwrap();
            batch
                .report(claim.token, too_many("a", 10), &mut as_asked, at(now))
                .unwrap();
            assert_eq!(batch.status(tasks[0]), Some(expected), "{now}");
        }
    }

    #[test]
    fn no_pause_and_one_that_is_too_long_are_failures_like_others() {
        for pause in [0, 26] {
            let (mut batch, tasks) = batch(&["a", "a"], 25);
            let first = claim(&mut batch, at(0)).unwrap();
            batch
                .report(first.token, too_many("a", pause), &mut as_asked, at(0))
                .unwrap();
            assert_eq!(batch.status(tasks[0]), Some(Status::Failed));
            assert!(
                claim(&mut batch, at(0)).is_some(),
                "the host is not left alone"
            );
        }
    }
}
