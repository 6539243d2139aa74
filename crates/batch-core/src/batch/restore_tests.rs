//! Going on after an earlier run, holding, and running again: the behaviours that deserve a name.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::settings::Halt;
use crate::{
    BatchSettings, Event, Failure, FailureKind, OnInterrupt, Outcome, Plan, Priority, Reason,
    Status, TaskId, TaskSpec, Time,
    event::NextStep,
    no_retries,
    plan::PlanContext,
    stats::Totals,
    status::{CancelReason, QueuedReason, StopReason},
};

fn batch(slots: u32) -> Batch {
    Batch::new(BatchSettings::with_slots(NonZeroU32::new(slots).unwrap()))
}

fn at(seconds: u64) -> Time {
    Time::from_micros(seconds * 1_000_000)
}

fn id(number: u32) -> TaskId {
    TaskId::new(number).unwrap()
}

fn past(spec: TaskSpec, after: &[u32], attempts: u32, state: RestoredState) -> RestoredTask {
    RestoredTask {
        priority: spec.options.priority,
        spec: Arc::new(spec),
        after: after.iter().map(|number| id(*number).into()).collect(),
        created_at: at(1),
        attempts,
        retries: 0,
        state,
    }
}

fn queued(after: &[u32]) -> RestoredTask {
    past(TaskSpec::new("x"), after, 0, RestoredState::Queued)
}

fn running(on_interrupt: OnInterrupt, deaths: u32) -> RestoredTask {
    let state = RestoredState::Running {
        started: at(10),
        last_seen: at(14),
        deaths,
    };
    past(
        TaskSpec::new("x").with_on_interrupt(on_interrupt),
        &[],
        2,
        state,
    )
}

fn reopened(task: u32, after: &[u32]) -> Reopen {
    let RestoredTask {
        spec,
        after,
        priority,
        ..
    } = queued(after);
    Reopen {
        task: id(task),
        spec,
        after,
        priority,
        attempts: 0,
    }
}

fn end(batch: &mut Batch, token: ClaimToken, outcome: Outcome) {
    batch
        .report(token, outcome, &mut no_retries, at(200))
        .unwrap();
}

fn failure() -> Outcome {
    Outcome::Failed(Arc::new(Failure::error("no")))
}

/// Runs all that can run; every attempt completes. Tells the order.
fn run(batch: &mut Batch) -> Vec<u32> {
    let mut order = Vec::new();
    while let Some(claim) = batch.claim(at(200)) {
        order.push(claim.token.task.get());
        end(batch, claim.token, Outcome::Completed(None));
    }
    order
}

fn reason(batch: &Batch, number: u32) -> Option<QueuedReason> {
    batch.task(id(number)).and_then(|view| view.reason)
}

fn events(batch: &mut Batch) -> Vec<Event> {
    let mut events = Vec::new();
    batch.take_events(&mut events);
    events
}

/// Why a task ended as it did.
fn end_of(events: &[Event], number: u32) -> Option<Reason> {
    events.iter().rev().find_map(|event| match event {
        Event::Finished { task, reason, .. } if task.get() == number => *reason,
        _ => None,
    })
}

fn by(root: u32) -> Option<Reason> {
    let root = id(root);
    Some(Reason::Cancelled(CancelReason::DependencyFailed { root }))
}

#[test]
fn what_was_running_is_queued_again_and_all_of_it_is_told() {
    let mut batch = batch(1);
    batch.restore(running(OnInterrupt::Rerun, 1), at(100));
    let told = events(&mut batch);
    let [
        Event::Submitted { at: created, .. },
        Event::Started {
            attempt: 2,
            at: started,
            ..
        },
        Event::AttemptEnded {
            attempt: 2,
            at: ended,
            took,
            outcome: Outcome::Interrupted(_),
            then: NextStep::Requeued,
            ..
        },
    ] = told.as_slice()
    else {
        panic!("{told:?}");
    };
    assert_eq!((*created, *started, *ended), (at(1), at(10), at(14)));
    assert_eq!(*took, Duration::from_secs(4));
    assert_eq!(batch.running(), 0);
    let stats = batch.stats();
    assert_eq!(
        (stats.interrupted, stats.attempts, stats.retries),
        (1, 0, 0)
    );
    let again = batch.claim(at(101)).unwrap();
    assert_eq!(again.token.attempt, 3);
    // Neither its first start nor the time without an executor count.
    assert_eq!(batch.stats().first_started, Some(at(101)));
    assert_eq!(batch.stats().waits.sum, Duration::from_secs(1));
    assert_eq!(batch.stats().waits.count, 1);
}

#[test]
fn more_tasks_than_slots_may_have_been_running() {
    let mut batch = batch(1);
    for _ in 0..5 {
        batch.restore(running(OnInterrupt::Rerun, 1), at(100));
    }
    batch.restore(queued(&[]), at(100));
    let claim = batch.claim(at(100)).unwrap();
    assert_eq!(claim.slot, 0);
    assert!(batch.claim(at(100)).is_none());
    end(&mut batch, claim.token, Outcome::Completed(None));
    assert_eq!(run(&mut batch), [2, 3, 4, 5, 6]);
}

#[test]
fn a_clock_set_back_takes_no_time_away() {
    let mut batch = batch(1);
    let state = RestoredState::Running {
        started: at(10),
        last_seen: at(3),
        deaths: 1,
    };
    batch.restore(past(TaskSpec::new("x"), &[], 1, state), at(5));
    let told = events(&mut batch);
    assert!(
        matches!(told.last(), Some(Event::AttemptEnded { at: ended, took, .. })
            if *ended == at(10) && *took == Duration::ZERO),
        "{told:?}"
    );
}

#[test]
fn a_task_that_ran_at_three_deaths_of_its_executor_is_quarantined() {
    for on_interrupt in OnInterrupt::ALL {
        let mut batch = batch(1);
        batch.restore(running(on_interrupt, Batch::MAX_DEATHS), at(100));
        batch.restore(queued(&[1]), at(100));
        assert_eq!(batch.status(id(1)), Some(Status::Failed));
        assert_eq!(batch.status(id(2)), Some(Status::Cancelled));
        let told = events(&mut batch);
        let quarantined = FailureKind::Quarantined;
        assert_eq!(end_of(&told, 1), Some(Reason::Failed(quarantined)));
        assert_eq!(end_of(&told, 2), by(1));
        let says = |event: &Event| {
            matches!(event, Event::AttemptEnded { outcome: Outcome::Failed(failure), .. }
                if failure.kind == quarantined && failure.message.contains("3 times"))
        };
        assert!(told.iter().any(says), "{told:?}");
        assert!(batch.is_settled());
    }
    let mut batch = batch(1);
    batch.restore(running(OnInterrupt::Rerun, Batch::MAX_DEATHS - 1), at(100));
    assert_eq!(reason(&batch, 1), Some(QueuedReason::Ready));
}

#[test]
fn a_held_task_waits_until_it_is_released() {
    let mut batch = batch(2);
    batch.restore(running(OnInterrupt::Hold, 1), at(100));
    batch.restore(queued(&[1]), at(100));
    batch.restore(queued(&[]), at(100));
    assert_eq!(reason(&batch, 1), Some(QueuedReason::Held));
    assert!(!batch.is_settled(), "task 3 can run");
    assert_eq!(run(&mut batch), [3]);
    assert!(batch.is_settled());
    batch.pause(at(200));
    assert!(batch.is_settled(), "resuming it would start nothing");
    batch.resume(at(200));
    assert_eq!(
        batch.release(id(2), at(200)),
        Err(ReleaseError::NotHeld(id(2), Status::Queued))
    );
    assert_eq!(
        batch.release(id(9), at(200)),
        Err(ReleaseError::Unknown(id(9)))
    );
    batch.release(id(1), at(200)).unwrap();
    assert!(matches!(
        events(&mut batch).last(),
        Some(Event::Released { .. })
    ));
    assert!(!batch.is_settled());
    assert_eq!(run(&mut batch), [1, 2]);
    let finished = ReleaseError::NotHeld(id(1), Status::Completed);
    assert_eq!(batch.release(id(1), at(200)), Err(finished));
}

#[test]
fn a_held_task_can_be_cancelled_and_moved() {
    let mut batch = batch(1);
    for _ in 0..2 {
        batch.restore(
            past(TaskSpec::new("x"), &[], 1, RestoredState::Held),
            at(100),
        );
    }
    batch.restore(queued(&[1]), at(100));
    batch
        .set_priority(id(2), Priority::Critical, at(100))
        .unwrap();
    assert_eq!(batch.task(id(2)).unwrap().priority, Priority::Critical);
    batch.cancel(id(1), at(100)).unwrap();
    assert_eq!(batch.status(id(3)), Some(Status::Cancelled));
    assert!(batch.is_settled());
    batch.cancel(id(2), at(100)).unwrap();
    assert_eq!(batch.open(), 0);
    assert!(batch.is_settled());
}

#[test]
fn a_shutdown_cuts_off_as_the_task_says() {
    let mut batch = batch(3);
    for on_interrupt in OnInterrupt::ALL {
        let spec = TaskSpec::new("x").with_on_interrupt(on_interrupt);
        batch.submit_one(Arc::new(spec), &[], at(0));
    }
    let tokens: Vec<ClaimToken> = std::iter::from_fn(|| batch.claim(at(1)))
        .map(|claim| claim.token)
        .collect();
    batch.stop(StopMode::End, at(2));
    for token in tokens {
        end(&mut batch, token, Outcome::Cancelled(None));
    }
    assert_eq!(reason(&batch, 1), Some(QueuedReason::Ready));
    assert_eq!(reason(&batch, 2), Some(QueuedReason::Held));
    assert_eq!(batch.status(id(3)), Some(Status::Failed));
    let told = events(&mut batch);
    assert_eq!(
        end_of(&told, 3),
        Some(Reason::Failed(FailureKind::Interrupted))
    );
    assert_eq!(batch.stats().interrupted, 2);
}

#[test]
fn what_could_not_begin_is_offered_again_whatever_the_task_says() {
    let mut batch = batch(1);
    for on_interrupt in [OnInterrupt::Hold, OnInterrupt::Fail] {
        let spec = Arc::new(TaskSpec::new("x").with_on_interrupt(on_interrupt));
        let id = batch.submit_one(spec, &[], at(0));
        let claim = batch.claim(at(1)).unwrap();
        batch.postpone(claim.token, at(1)).unwrap();
        assert_eq!(
            batch.postpone(claim.token, at(1)),
            Err(StaleClaim(claim.token))
        );
        assert_eq!(batch.task(id).unwrap().reason, Some(QueuedReason::Ready));
        batch.cancel(id, at(1)).unwrap();
    }
}

#[test]
fn what_could_not_begin_is_no_attempt_and_keeps_its_turn() {
    let mut batch = batch(2);
    let ids: Vec<TaskId> = (0..4)
        .map(|_| batch.submit_one(Arc::new(TaskSpec::new("x")), &[], at(0)))
        .collect();
    let claims = [batch.claim(at(1)).unwrap(), batch.claim(at(1)).unwrap()];
    for claim in &claims {
        batch.postpone(claim.token, at(1)).unwrap();
    }
    let stats = batch.stats();
    assert_eq!(
        (
            stats.count(Status::Queued),
            stats.interrupted,
            stats.attempts
        ),
        (4, 0, 0)
    );
    for id in &ids[..2] {
        let claim = batch.claim(at(2)).unwrap();
        assert_eq!((claim.token.task, claim.token.attempt), (*id, 1));
    }
    // One that is cancelled before it could begin has had no attempt.
    batch.cancel(ids[0], at(3)).unwrap();
    batch.postpone(claims[0].token, at(3)).unwrap();
    assert_eq!(batch.status(ids[0]), Some(Status::Cancelled));
    let mut events = Vec::new();
    batch.take_events(&mut events);
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::AttemptEnded { .. }))
    );
    assert_eq!(batch.stats().count(Status::Cancelled), 1);
}

#[test]
fn what_a_dead_executor_had_not_begun_is_no_attempt() {
    let mut batch = batch(1);
    let past = RestoredTask {
        attempts: 3,
        state: RestoredState::GivenOut,
        ..running(OnInterrupt::Rerun, 2)
    };
    batch.restore(past, at(100));
    let claim = batch.claim(at(101)).unwrap();
    assert_eq!(claim.token.attempt, 3);
    assert_eq!(batch.stats().interrupted, 0);
}

#[test]
fn a_restored_failure_ends_a_batch_that_fails_fast() {
    let mut batch = Batch::new(BatchSettings {
        halt: Halt::FAIL_FAST,
        ..BatchSettings::default()
    });
    batch.restore(queued(&[]), at(100));
    batch.restore(running(OnInterrupt::Fail, 1), at(100));
    batch.restore(queued(&[]), at(100));
    batch.restore(queued(&[3]), at(100));
    assert!(batch.was_cut_short() && batch.is_settled());
    let told = events(&mut batch);
    let stopped = Some(Reason::Cancelled(CancelReason::BatchStopped(
        StopReason::FailFast,
    )));
    assert_eq!([end_of(&told, 1), end_of(&told, 3)], [stopped, stopped]);
    assert_eq!(batch.stats().count(Status::Cancelled), 3);
    // The one who has it run again wants it to go on.
    batch.reopen(vec![reopened(2, &[])], at(101)).unwrap();
    batch.restore(queued(&[]), at(101));
    assert_eq!(run(&mut batch), [2, 5]);
}

#[test]
fn a_delay_that_is_over_is_no_delay() {
    let mut batch = batch(1);
    for until in [99, 100, 101] {
        let state = RestoredState::Delayed { until: at(until) };
        batch.restore(past(TaskSpec::new("x"), &[], 1, state), at(100));
    }
    assert_eq!(reason(&batch, 1), Some(QueuedReason::Ready));
    assert_eq!(reason(&batch, 2), Some(QueuedReason::Ready));
    assert_eq!(
        reason(&batch, 3),
        Some(QueuedReason::Delayed { until: at(101) })
    );
    assert_eq!(batch.next_wakeup(), Some(at(101)));
}

#[test]
fn used_retries_stay_used() {
    let mut batch = batch(1);
    let spec = TaskSpec::new("x").with_max_retries(2);
    batch.restore(
        RestoredTask {
            retries: 2,
            ..past(spec, &[], 3, RestoredState::Queued)
        },
        at(100),
    );
    let claim = batch.claim(at(100)).unwrap();
    assert_eq!(claim.token.attempt, 4);
    let mut always = |_: &TaskSpec, _: &Failure, _: u32| Some(Duration::ZERO);
    batch
        .report(claim.token, failure(), &mut always, at(101))
        .unwrap();
    assert_eq!(batch.status(id(1)), Some(Status::Failed));
    assert_eq!(batch.stats().retries, 2);
}

#[test]
fn a_changed_priority_is_told_and_kept() {
    let mut batch = batch(1);
    batch.restore(queued(&[]), at(100));
    batch.restore(
        RestoredTask {
            priority: Priority::High,
            ..queued(&[])
        },
        at(100),
    );
    let changed = |event: &&Event| matches!(event, Event::PriorityChanged { .. });
    let told = events(&mut batch);
    let changes: Vec<_> = told.iter().filter(changed).collect();
    assert!(
        matches!(changes[..], [Event::PriorityChanged { task, priority: Priority::High, .. }] if *task == id(2)),
        "{changes:?}"
    );
    assert_eq!(run(&mut batch), [2, 1]);
}

#[test]
fn a_task_may_wait_for_tasks_that_come_later() {
    let mut batch = batch(1);
    batch.restore(queued(&[4, 5, 6, 7]), at(100));
    batch.restore(queued(&[8]), at(100));
    batch.restore(queued(&[9]), at(100));
    assert_eq!(
        reason(&batch, 1),
        Some(QueuedReason::WaitingForDependencies { missing: 4 })
    );
    batch.restore(queued(&[]), at(100));
    batch.restore_finished(Status::Completed);
    batch.restore_removed();
    assert_eq!(
        reason(&batch, 1),
        Some(QueuedReason::WaitingForDependencies { missing: 2 })
    );
    batch.submit_one(Arc::new(TaskSpec::new("x")), &[], at(100));
    batch.restore_finished(Status::Failed);
    assert_eq!(batch.status(id(2)), Some(Status::Cancelled));
    assert_eq!(batch.next_id(), id(9));
    batch.restore(running(OnInterrupt::Fail, 1), at(100));
    assert_eq!(batch.status(id(3)), Some(Status::Cancelled));
    let told = events(&mut batch);
    assert_eq!([end_of(&told, 2), end_of(&told, 3)], [by(8), by(9)]);
    assert_eq!(run(&mut batch), [4, 7, 1]);
    assert!(batch.awaited.is_empty());
}

#[test]
fn a_fan_in_on_twenty_thousand_later_tasks_is_linear() {
    let many: Vec<u32> = (2..20_002).collect();
    let mut batch = batch(1);
    batch.restore(queued(&many), at(100));
    for number in &many {
        if number % 2 == 0 {
            batch.restore_finished(Status::Completed);
        } else {
            batch.restore(queued(&[]), at(100));
        }
    }
    let order = run(&mut batch);
    assert_eq!((order.len(), order.last()), (10_001, Some(&1)));
}

#[test]
fn a_task_that_was_cleared_away_is_gone() {
    let mut batch = batch(1);
    for _ in 0..3_000 {
        batch.restore_removed();
    }
    batch.restore(queued(&[1, 2_900]), at(100));
    for gone in [id(1), id(2_900)] {
        assert_eq!(batch.status(gone), None);
        assert!(batch.task(gone).is_none());
        assert_eq!(batch.cancel(gone, at(100)), Err(CancelError::Unknown(gone)));
        assert_eq!(
            batch.release(gone, at(100)),
            Err(ReleaseError::Unknown(gone))
        );
        let refused = batch.reopen(vec![reopened(gone.get(), &[])], at(100));
        assert_eq!(refused, Err(ReopenError::Unknown(gone)));
    }
    assert_eq!((batch.open(), batch.stats().total()), (1, 1));
    assert_eq!(run(&mut batch), [3_001]);
    assert!(batch.table.get(id(5)).is_none(), "its chunk was let go");
}

#[test]
fn tasks_of_a_chunk_that_was_let_go_run_again() {
    let mut batch = batch(1);
    for number in 1..=3_000u32 {
        batch.restore_finished(match number % 3 {
            0 => Status::Completed,
            1 => Status::Failed,
            _ => Status::Cancelled,
        });
    }
    let thousand = [Status::Completed, Status::Failed, Status::Cancelled].map(|end| (end, 1_000));
    batch.carry_over(&Totals {
        flaky: 7,
        ..Totals::default().with_counts(thousand)
    });
    assert!(events(&mut batch).is_empty());
    assert!(batch.table.get(id(4)).is_none(), "its chunk was let go");
    let again = vec![reopened(8, &[4]), reopened(4, &[3]), reopened(1_500, &[8])];
    batch.reopen(again, at(100)).unwrap();
    let told: Vec<_> = events(&mut batch)
        .iter()
        .map(|event| match event {
            Event::Reopened { task, from, .. } => (task.get(), *from),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (8, Status::Cancelled),
        (4, Status::Failed),
        (1_500, Status::Completed),
    ];
    assert_eq!(told, expected);
    let counts = |batch: &Batch| Status::ALL.map(|status| batch.stats().count(status));
    assert_eq!(counts(&batch), [3, 0, 999, 999, 999]);
    for number in [1, 2, 3, 1_023, 1_024, 1_025, 3_000] {
        let kept = [Status::Completed, Status::Failed, Status::Cancelled];
        assert_eq!(batch.status(id(number)), Some(kept[number as usize % 3]));
    }
    assert_eq!(run(&mut batch), [4, 8, 1_500]);
    assert_eq!(counts(&batch), [0, 0, 1_002, 999, 999]);
    assert_eq!(batch.stats().flaky, 7);
    assert!(
        batch.table.get(id(4)).is_none(),
        "its chunk is let go again"
    );
    assert_eq!(batch.status(id(8)), Some(Status::Completed));
}

#[test]
fn a_failed_task_and_what_was_cancelled_for_it_run_again() {
    let mut batch = batch(1);
    let spec = || Arc::new(TaskSpec::new("x").with_max_retries(1));
    batch.submit_one(spec(), &[], at(0));
    batch.submit_one(spec(), &[id(1)], at(0));
    batch.submit_one(spec(), &[id(1), id(2)], at(0));
    let claim = batch.claim(at(0)).unwrap();
    end(&mut batch, claim.token, failure());
    assert_eq!(batch.stats().finished(), 3);
    // This one is ready for longer, but has not been tried yet.
    batch.submit_one(spec(), &[], at(1));
    let again = vec![reopened(3, &[1, 2]), reopened(1, &[]), reopened(2, &[1])];
    batch.reopen(again, at(2)).unwrap();
    let stale = batch.report(claim.token, failure(), &mut no_retries, at(2));
    assert_eq!(stale, Err(StaleClaim(claim.token)));
    let second = batch.claim(at(3)).unwrap();
    assert_eq!((second.token.task, second.token.attempt), (id(1), 2));
    let stale = batch.report(claim.token, failure(), &mut no_retries, at(3));
    assert_eq!(stale, Err(StaleClaim(claim.token)));
    end(&mut batch, second.token, Outcome::Completed(None));
    assert_eq!(run(&mut batch), [4, 2, 3]);
    assert_eq!(batch.stats().count(Status::Completed), 4);
}

#[test]
fn a_reopened_task_whose_dependency_stays_failed_is_cancelled_again() {
    let mut batch = batch(1);
    batch.restore_finished(Status::Failed);
    batch.restore_finished(Status::Cancelled);
    batch.restore_finished(Status::Cancelled);
    let again = vec![reopened(3, &[2]), reopened(2, &[1])];
    batch.reopen(again, at(100)).unwrap();
    let told = events(&mut batch);
    assert_eq!([end_of(&told, 2), end_of(&told, 3)], [by(1), by(1)]);
    assert_eq!(batch.open(), 0);
}

#[test]
fn all_are_reopened_or_none() {
    let mut batch = batch(1);
    batch.restore_finished(Status::Failed);
    batch.restore(queued(&[]), at(100));
    events(&mut batch);
    let before = format!("{batch:?}");
    let cases = [
        (vec![1, 9], ReopenError::Unknown(id(9))),
        (vec![1, 2], ReopenError::Unfinished(id(2), Status::Queued)),
        (vec![1, 1], ReopenError::Twice(id(1))),
    ];
    for (tasks, problem) in cases {
        let tasks = tasks.into_iter().map(|number| reopened(number, &[]));
        assert_eq!(batch.reopen(tasks.collect(), at(101)), Err(problem));
        assert_eq!(format!("{batch:?}"), before);
    }
}

#[test]
fn a_task_that_was_cancelled_while_it_waited_waits_anew() {
    let mut batch = batch(1);
    for after in [&[][..], &[], &[1, 2]] {
        batch.restore(queued(after), at(100));
    }
    batch.cancel(id(3), at(100)).unwrap();
    batch.reopen(vec![reopened(3, &[1, 2])], at(100)).unwrap();
    let claim = batch.claim(at(100)).unwrap();
    end(&mut batch, claim.token, Outcome::Completed(None));
    // What it waited for before must not count a second time.
    assert_eq!(
        reason(&batch, 3),
        Some(QueuedReason::WaitingForDependencies { missing: 1 })
    );
    assert_eq!(run(&mut batch), [2, 3]);
}

#[test]
fn what_was_cancelled_while_it_waited_for_later_tasks_waits_anew() {
    let mut batch = batch(1);
    batch.restore(queued(&[2, 3]), at(100));
    batch.cancel(id(1), at(100)).unwrap();
    batch.reopen(vec![reopened(1, &[2, 3])], at(100)).unwrap();
    batch.restore_finished(Status::Completed);
    assert_eq!(
        reason(&batch, 1),
        Some(QueuedReason::WaitingForDependencies { missing: 1 })
    );
    batch.restore_finished(Status::Completed);
    assert_eq!(run(&mut batch), [1]);
}

#[test]
fn what_was_all_cancelled_at_once_runs_again_in_order() {
    let mut batch = batch(1);
    for after in [&[][..], &[], &[1, 2]] {
        batch.restore(queued(after), at(100));
    }
    batch.cancel_all(at(100));
    let again = vec![reopened(1, &[]), reopened(2, &[]), reopened(3, &[1, 2])];
    batch.reopen(again, at(101)).unwrap();
    let claim = batch.claim(at(101)).unwrap();
    end(&mut batch, claim.token, Outcome::Completed(None));
    assert_eq!(
        reason(&batch, 3),
        Some(QueuedReason::WaitingForDependencies { missing: 1 })
    );
    assert_eq!(run(&mut batch), [2, 3]);
}

#[test]
fn a_rate_is_that_of_this_run() {
    let mut batch = batch(1);
    batch.restore_finished(Status::Completed);
    let counts = [(Status::Completed, 1), (Status::Failed, 5_000)];
    batch.carry_over(&Totals {
        attempts: 5_001,
        ..Totals::default().with_counts(counts)
    });
    batch.restore(running(OnInterrupt::Rerun, 1), at(100));
    assert_eq!(batch.stats().rate(at(150)), 0.0);
    let claim = batch.claim(at(190)).unwrap();
    end(&mut batch, claim.token, Outcome::Completed(None));
    assert_eq!(batch.stats().rate(at(200)), 0.1);
    assert_eq!(batch.stats().finished(), 5_002);
    assert_eq!(batch.stats().attempts, 5_002);
}

#[test]
fn an_estimate_needs_no_second_wave_for_what_was_done_before() {
    let mut batch = batch(8);
    batch.carry_over(&Totals::default().with_counts([(Status::Completed, 1_000_000)]));
    batch.restore(queued(&[]), at(100));
    batch.restore(queued(&[]), at(100));
    assert!(batch.remaining(at(100)).is_none());
    let claim = batch.claim(at(190)).unwrap();
    end(&mut batch, claim.token, Outcome::Completed(None));
    let remaining = batch.remaining(at(200)).unwrap();
    assert_eq!(remaining.likely, Duration::from_secs(10));
}

#[test]
fn a_plan_tells_the_ids_that_its_tasks_will_wait_for() {
    let tasks = vec![
        TaskSpec::new("x").with_id("b").after("a").after("old"),
        TaskSpec::new("x").with_id("a"),
    ];
    let context = PlanContext {
        catalog: &["x"][..],
        limits: &std::collections::BTreeMap::new(),
        submitted: &|name| (name == "old").then_some(id(3)),
    };
    let plan = Plan::check_in(tasks, &context).unwrap();
    let resolved: Vec<Vec<u32>> = plan
        .resolved(10)
        .map(|(_, after)| after.iter().map(|needed| needed.task.get()).collect())
        .collect();
    assert_eq!(resolved, [vec![12, 3], vec![]]);
}

#[test]
fn what_to_do_when_cut_off_has_names() {
    for what in OnInterrupt::ALL {
        assert_eq!(what.to_string().parse(), Ok(what));
    }
    let error = "stop".parse::<OnInterrupt>().unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown on_interrupt \"stop\"; it is one of rerun, hold, fail"
    );
}
