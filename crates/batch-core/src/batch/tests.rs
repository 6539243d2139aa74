//! The behaviours that deserve a name.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::settings::Halt;
use crate::{
    BatchSettings, Event, Failure, FailureKind, Outcome, Plan, Priority, Reason, Status, TaskId,
    TaskSpec, Time, no_retries,
    status::{CancelReason, QueuedReason, StopReason},
};

fn slots(number: u32) -> BatchSettings {
    BatchSettings::with_slots(NonZeroU32::new(number).unwrap())
}

fn at(seconds: f64) -> Time {
    Time::from_micros((seconds * 1e6) as u64)
}

fn submit(batch: &mut Batch, tasks: Vec<TaskSpec>) {
    let plan = Plan::check(tasks, &["x"][..]).unwrap();
    batch.submit(plan, at(0.0));
}

fn id(number: u32) -> TaskId {
    TaskId::new(number).unwrap()
}

fn complete(batch: &mut Batch, token: ClaimToken, now: Time) {
    batch
        .report(token, Outcome::Completed(None), &mut no_retries, now)
        .unwrap();
}

fn fail(batch: &mut Batch, token: ClaimToken, now: Time) {
    let failure = Outcome::Failed(Arc::new(Failure::error("no")));
    let mut policy =
        |_: &TaskSpec, _: &Failure, retry: u32| Some(Duration::from_secs(retry.into()));
    batch.report(token, failure, &mut policy, now).unwrap();
}

#[test]
fn one_slot_runs_by_priority_and_then_in_order() {
    let mut batch = Batch::new(slots(1));
    let priorities = [
        Priority::Low,
        Priority::Medium,
        Priority::Critical,
        Priority::High,
        Priority::Critical,
    ];
    submit(
        &mut batch,
        priorities
            .map(|p| TaskSpec::new("x").with_priority(p))
            .to_vec(),
    );
    let mut order = Vec::new();
    while let Some(claim) = batch.claim(at(0.0)) {
        order.push(claim.token.task.get());
        complete(&mut batch, claim.token, at(0.0));
    }
    assert_eq!(order, [3, 5, 4, 2, 1]);
}

#[test]
fn a_failing_task_leaves_its_slot_while_it_waits() {
    let mut batch = Batch::new(slots(1));
    submit(
        &mut batch,
        vec![TaskSpec::new("x").with_max_retries(2), TaskSpec::new("x")],
    );
    let first = batch.claim(at(0.0)).unwrap();
    fail(&mut batch, first.token, at(1.0));
    assert_eq!(
        batch.task(id(1)).unwrap().reason,
        Some(QueuedReason::Delayed { until: at(2.0) })
    );
    let other = batch.claim(at(1.0)).unwrap();
    assert_eq!(other.token.task, id(2));
    complete(&mut batch, other.token, at(1.5));
    assert!(batch.claim(at(1.5)).is_none());
    assert_eq!(batch.next_wakeup(), Some(at(2.0)));
    for (attempt, now) in [(2, 2.0), (3, 5.0)] {
        batch.handle_timers(at(now));
        let again = batch.claim(at(now)).unwrap();
        assert_eq!((again.token.task, again.token.attempt), (id(1), attempt));
        fail(&mut batch, again.token, at(now));
    }
    assert_eq!(batch.status(id(1)), Some(Status::Failed));
    assert_eq!(batch.stats().retries, 2);
}

#[test]
fn an_interrupted_attempt_uses_up_no_retry() {
    let mut batch = Batch::new(slots(1));
    submit(&mut batch, vec![TaskSpec::new("x")]);
    for attempt in 1..=5 {
        let claim = batch.claim(at(0.0)).unwrap();
        assert_eq!(claim.token.attempt, attempt);
        batch
            .report(
                claim.token,
                Outcome::Interrupted(None),
                &mut no_retries,
                at(0.0),
            )
            .unwrap();
    }
    let last = batch.claim(at(0.0)).unwrap();
    complete(&mut batch, last.token, at(0.0));
    assert_eq!(batch.stats().interrupted, 5);
    assert_eq!(batch.stats().flaky, 0);
}

#[test]
fn a_fan_in_waits_for_all_twenty_thousand() {
    let mut batch = Batch::new(slots(100));
    let mut last = TaskSpec::new("x").with_id("last");
    last.depends_on = (0..20_000).map(|n| n.to_string().as_str().into()).collect();
    let parts = (0..20_000).map(|n| TaskSpec::new("x").with_id(&n.to_string()));
    submit(&mut batch, std::iter::once(last).chain(parts).collect());
    assert_eq!(
        batch.task(id(1)).unwrap().reason,
        Some(QueuedReason::WaitingForDependencies { missing: 20_000 })
    );
    let mut order = Vec::new();
    while let Some(claim) = batch.claim(at(0.0)) {
        order.push(claim.token.task);
        complete(&mut batch, claim.token, at(0.0));
    }
    assert_eq!(order.len(), 20_001);
    assert_eq!(order.last(), Some(&id(1)));
}

#[test]
fn all_that_hangs_on_a_failed_task_is_cancelled_for_it() {
    let mut batch = Batch::new(slots(1));
    // A chain as long as this would overflow the stack of a recursive walk.
    let link = |n: u32| {
        TaskSpec::new("x")
            .with_id(&n.to_string())
            .after(&(n - 1).to_string())
    };
    let head = TaskSpec::new("x").with_id("0");
    submit(
        &mut batch,
        std::iter::once(head).chain((1..50_000).map(link)).collect(),
    );
    let claim = batch.claim(at(0.0)).unwrap();
    fail(&mut batch, claim.token, at(0.0));
    assert_eq!(batch.stats().count(Status::Cancelled), 49_999);
    let mut events = Vec::new();
    batch.take_events(&mut events);
    let root = Reason::Cancelled(CancelReason::DependencyFailed { root: id(1) });
    let cancelled =
        |event: &&Event| matches!(event, Event::Finished { reason, .. } if *reason == Some(root));
    assert_eq!(events.iter().filter(cancelled).count(), 49_999);
    assert!(batch.is_settled());
}

#[test]
fn a_task_added_behind_a_failed_one_is_cancelled_at_once() {
    let mut batch = Batch::new(slots(1));
    submit(&mut batch, vec![TaskSpec::new("x")]);
    let claim = batch.claim(at(0.0)).unwrap();
    fail(&mut batch, claim.token, at(0.0));
    let late = batch.submit_one(Arc::new(TaskSpec::new("x")), &[id(1)], at(1.0));
    assert_eq!(batch.status(late), Some(Status::Cancelled));
}

#[test]
fn a_late_or_repeated_report_is_refused() {
    let mut batch = Batch::new(slots(1));
    submit(&mut batch, vec![TaskSpec::new("x").with_max_retries(1)]);
    let claim = batch.claim(at(0.0)).unwrap();
    fail(&mut batch, claim.token, at(0.0));
    let again = batch.report(
        claim.token,
        Outcome::Completed(None),
        &mut no_retries,
        at(0.0),
    );
    assert_eq!(again, Err(StaleClaim(claim.token)));
    batch.handle_timers(at(1.0));
    let next = batch.claim(at(1.0)).unwrap();
    assert!(
        batch
            .report(
                claim.token,
                Outcome::Completed(None),
                &mut no_retries,
                at(1.0)
            )
            .is_err()
    );
    complete(&mut batch, next.token, at(1.0));
    assert_eq!(batch.status(id(1)), Some(Status::Completed));
}

#[test]
fn a_timeout_asks_the_attempt_to_end_and_counts_as_a_timeout() {
    let mut batch = Batch::new(slots(1));
    submit(
        &mut batch,
        vec![TaskSpec::new("x").with_timeout(Duration::from_secs(3))],
    );
    let claim = batch.claim(at(0.0)).unwrap();
    assert_eq!(batch.next_wakeup(), Some(at(3.0)));
    batch.handle_timers(at(3.0));
    let requests = batch.take_cancel_requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].token, requests[0].urgency),
        (claim.token, Urgency::End)
    );
    batch.handle_timers(at(4.0));
    assert!(batch.take_cancel_requests().is_empty(), "asked once");
    let killed = Outcome::Failed(Arc::new(Failure::new(FailureKind::Signal(15), "")));
    batch
        .report(claim.token, killed, &mut no_retries, at(4.0))
        .unwrap();
    let mut events = Vec::new();
    batch.take_events(&mut events);
    let Some(Event::Finished { reason, .. }) = events.last() else {
        panic!("the task is finished");
    };
    assert_eq!(*reason, Some(Reason::Failed(FailureKind::Timeout)));
}

#[test]
fn a_stopped_batch_keeps_its_queue() {
    let mut batch = Batch::new(slots(1));
    submit(&mut batch, vec![TaskSpec::new("x"), TaskSpec::new("x")]);
    let claim = batch.claim(at(0.0)).unwrap();
    batch.stop(StopMode::End, at(1.0));
    batch.stop(StopMode::Kill, at(2.0));
    let urgencies: Vec<_> = batch
        .take_cancel_requests()
        .iter()
        .map(|r| r.urgency)
        .collect();
    assert_eq!(urgencies, [Urgency::End, Urgency::Kill]);
    assert!(!batch.is_settled());
    batch
        .report(
            claim.token,
            Outcome::Cancelled(None),
            &mut no_retries,
            at(2.0),
        )
        .unwrap();
    assert!(batch.is_settled());
    assert_eq!(batch.stats().count(Status::Queued), 2);
    assert!(batch.claim(at(3.0)).is_none());
}

#[test]
fn the_time_of_the_batch_ends_what_is_left() {
    let mut batch = Batch::new(BatchSettings {
        batch_timeout: Some(Duration::from_secs(10)),
        ..slots(1)
    });
    submit(&mut batch, vec![TaskSpec::new("x"), TaskSpec::new("x")]);
    let claim = batch.claim(at(5.0)).unwrap();
    assert_eq!(batch.next_wakeup(), Some(at(15.0)));
    batch.handle_timers(at(15.0));
    assert_eq!(batch.status(id(2)), Some(Status::Cancelled));
    batch
        .report(
            claim.token,
            Outcome::Cancelled(None),
            &mut no_retries,
            at(15.0),
        )
        .unwrap();
    assert_eq!(batch.status(id(1)), Some(Status::Cancelled));
    assert!(batch.was_cut_short());
    assert_eq!(batch.next_wakeup(), None);
    assert_eq!(stopped(&mut batch), [StopReason::TimeLimit; 2]);
}

/// Why each of the tasks that were cancelled with their batch was.
fn stopped(batch: &mut Batch) -> Vec<StopReason> {
    let mut events = Vec::new();
    batch.take_events(&mut events);
    let stopped = events.iter().filter_map(|event| match event {
        Event::Finished {
            reason: Some(Reason::Cancelled(CancelReason::BatchStopped(why))),
            ..
        } => Some(*why),
        _ => None,
    });
    stopped.collect()
}

#[test]
fn the_first_failure_ends_a_batch_that_fails_fast() {
    let mut batch = Batch::new(BatchSettings {
        halt: Halt::FAIL_FAST,
        ..slots(2)
    });
    submit(&mut batch, vec![TaskSpec::new("x"); 4]);
    let (first, second) = (batch.claim(at(0.0)).unwrap(), batch.claim(at(0.0)).unwrap());
    fail(&mut batch, first.token, at(0.0));
    assert_eq!(batch.stats().count(Status::Cancelled), 2);
    assert_eq!(batch.take_cancel_requests()[0].token, second.token);
    assert_eq!(stopped(&mut batch), [StopReason::FailFast; 2]);
}

#[test]
fn a_batch_that_is_halted_soon_lets_its_running_tasks_end_and_starts_none_again() {
    let mut batch = Batch::new(BatchSettings {
        halt: "soon,fail=2".parse().unwrap(),
        ..slots(4)
    });
    let spec = TaskSpec::new("x").with_max_retries(1);
    submit(
        &mut batch,
        vec![
            TaskSpec::new("x"),
            TaskSpec::new("x"),
            spec,
            TaskSpec::new("x"),
        ],
    );
    submit(&mut batch, vec![TaskSpec::new("x"); 2]);
    let claims: Vec<Claim> = (0..4).map(|_| batch.claim(at(0.0)).unwrap()).collect();
    fail(&mut batch, claims[0].token, at(1.0));
    assert_eq!(batch.stats().count(Status::Cancelled), 0);
    fail(&mut batch, claims[1].token, at(2.0));
    assert_eq!(batch.stats().count(Status::Cancelled), 2);
    assert_eq!(batch.take_cancel_requests(), []);
    fail(&mut batch, claims[2].token, at(3.0));
    complete(&mut batch, claims[3].token, at(4.0));
    assert_eq!(batch.stats().count(Status::Failed), 3);
    assert!(batch.is_settled() && batch.was_cut_short());
}

#[test]
fn starts_keep_the_delay_between_them() {
    let mut batch = Batch::new(BatchSettings {
        delay: Some(Duration::from_secs(2)),
        ..slots(4)
    });
    submit(&mut batch, vec![TaskSpec::new("x"); 2]);
    assert_eq!(batch.next_wakeup(), None);
    batch.claim(at(1.0)).unwrap();
    assert!(batch.claim(at(2.9)).is_none());
    assert_eq!(batch.next_wakeup(), Some(at(3.0)));
    batch.handle_timers(at(3.0));
    assert_eq!(batch.next_wakeup(), None);
    batch.claim(at(3.5)).unwrap();
    // Nothing waits for it any more.
    assert_eq!(batch.next_wakeup(), None);
}

#[test]
fn a_limit_that_comes_later_holds() {
    let mut batch = Batch::new(slots(4));
    let limits = BTreeMap::from([("one".to_owned(), NonZeroU32::MIN)]);
    batch.add_limits(&limits);
    let mut spec = TaskSpec::new("x");
    Arc::make_mut(&mut spec.options).limit = Some("one".to_owned());
    let spec = Arc::new(spec);
    batch.submit_one(Arc::clone(&spec), &[], at(0.0));
    batch.submit_one(spec, &[], at(0.0));
    let first = batch.claim(at(0.0)).unwrap();
    assert!(batch.claim(at(0.0)).is_none());
    complete(&mut batch, first.token, at(0.0));
    assert!(batch.claim(at(0.0)).is_some());
    assert_eq!(batch.settings().limits, limits);
}

#[test]
fn finished_tasks_of_a_long_stream_leave_no_slots_behind() {
    let mut batch = Batch::new(slots(8));
    let spec = Arc::new(TaskSpec::new("x"));
    let mut events = Vec::new();
    for _ in 0..100_000 {
        batch.submit_one(Arc::clone(&spec), &[], at(0.0));
        let claim = batch.claim(at(0.0)).unwrap();
        complete(&mut batch, claim.token, at(0.0));
        batch.take_events(&mut events);
        events.clear();
    }
    assert_eq!(batch.status(id(77_777)), Some(Status::Completed));
    assert_eq!(Arc::strong_count(&spec), 1);
}

/// Plays a batch through with durations drawn around a mean; yields (elapsed part, estimate, truth).
fn estimates(tasks: u32, concurrency: u32, spread: f64) -> Vec<(f64, f64, f64)> {
    let mut batch = Batch::new(slots(concurrency));
    submit(&mut batch, vec![TaskSpec::new("x"); tasks as usize]);
    let mut random = 12345u64;
    let mut draw = move || {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        1.0 + spread * ((random >> 33) as f64 / f64::from(1u32 << 31) * 2.0 - 1.0)
    };
    let mut running: Vec<(f64, ClaimToken)> = Vec::new();
    let (mut now, mut seen) = (0.0, Vec::new());
    loop {
        while let Some(claim) = batch.claim(at(now)) {
            running.push((now + draw(), claim.token));
        }
        running.sort_by(|a, b| b.0.total_cmp(&a.0));
        let Some((end, token)) = running.pop() else {
            break;
        };
        now = end;
        complete(&mut batch, token, at(now));
        let done = batch.stats().finished() as f64 / f64::from(tasks);
        if batch
            .stats()
            .finished()
            .is_multiple_of(u64::from(tasks.div_ceil(40)))
        {
            seen.push((done, now, batch.remaining(at(now))));
        }
    }
    let estimate = |(done, at, remaining): (f64, f64, Option<Remaining>)| {
        let likely = remaining.expect("known after the first wave").likely;
        (done, at + likely.as_secs_f64(), now)
    };
    seen.into_iter()
        .filter(|(done, ..)| *done >= 0.25)
        .map(estimate)
        .collect()
}

#[test]
fn from_the_first_quarter_on_the_estimate_is_right_within_a_fifth() {
    for (tasks, concurrency, spread) in [
        (40, 8, 0.5),
        (100, 64, 0.2),
        (1_000, 7, 0.9),
        (30_000, 16, 0.9),
        (9, 1, 0.3),
    ] {
        for (done, estimate, truth) in estimates(tasks, concurrency, spread) {
            let error = (estimate - truth).abs() / truth;
            assert!(
                error < 0.2,
                "{tasks} tasks, {concurrency} slots: {done} done, {estimate} for {truth}"
            );
        }
    }
}

#[test]
fn the_estimate_follows_a_chain() {
    let mut batch = Batch::new(slots(8));
    let head = TaskSpec::new("x").with_id("0");
    let link = |n: u32| {
        TaskSpec::new("x")
            .with_id(&n.to_string())
            .after(&(n - 1).to_string())
    };
    submit(
        &mut batch,
        std::iter::once(head).chain((1..10).map(link)).collect(),
    );
    for second in 0..3u32 {
        let claim = batch.claim(at(second.into())).unwrap();
        complete(&mut batch, claim.token, at((second + 1).into()));
    }
    let remaining = batch.remaining(at(3.0)).unwrap();
    assert_eq!(remaining.likely.as_secs(), 7);
}

#[test]
fn what_is_late_is_not_said_to_end_at_once() {
    let mut batch = Batch::new(slots(1));
    submit(&mut batch, vec![TaskSpec::new("x"); 5]);
    for _ in 0..4 {
        let claim = batch.claim(at(0.0)).unwrap();
        complete(&mut batch, claim.token, at(0.001));
    }
    batch.claim(at(0.0)).unwrap();
    let likely = |seconds| batch.remaining(at(seconds)).unwrap().likely.as_secs_f64();
    let (after_a_minute, after_an_hour) = (likely(60.0), likely(3_600.0));
    assert!((20.0..60.0).contains(&after_a_minute), "{after_a_minute}");
    assert!(after_an_hour > 1_000.0, "{after_an_hour}");
}

#[test]
fn nothing_is_estimated_that_nobody_waits_for() {
    for (seconds, is_told) in [
        (60.0, true),
        (3_600.0, true),
        (86_400.0 * 30.0, false),
        (1e12, false),
    ] {
        let mut batch = Batch::new(slots(1));
        submit(&mut batch, vec![TaskSpec::new("x"); 1_000]);
        let claim = batch.claim(at(0.0)).unwrap();
        complete(&mut batch, claim.token, at(seconds));
        for _ in 1..250 {
            let claim = batch.claim(at(seconds)).unwrap();
            complete(&mut batch, claim.token, at(seconds * 2.0));
        }
        let remaining = batch.remaining(at(seconds * 2.0));
        assert_eq!(remaining.is_some(), is_told, "{seconds}: {remaining:?}");
    }
}

#[test]
fn nothing_is_estimated_before_a_first_wave() {
    let mut batch = Batch::new(slots(4));
    assert_eq!(
        batch.remaining(at(0.0)).map(|r| r.likely),
        Some(Duration::ZERO),
        "nothing is left"
    );
    submit(&mut batch, vec![TaskSpec::new("x"); 100]);
    assert_eq!(batch.remaining(at(0.0)), None);
    let claims: Vec<_> = std::iter::from_fn(|| batch.claim(at(0.0))).collect();
    for claim in &claims[..3] {
        complete(&mut batch, claim.token, at(1.0));
        assert_eq!(batch.remaining(at(1.0)), None);
    }
    complete(&mut batch, claims[3].token, at(1.0));
    assert_eq!(
        batch.remaining(at(1.0)).unwrap().likely,
        Duration::from_secs(24)
    );
}
