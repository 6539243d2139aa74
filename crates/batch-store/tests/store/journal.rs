//! Random lives of a batch: whatever happens and whenever its executors die, the file tells the truth.

use std::collections::HashMap;
use std::time::Duration;

use crate::common::{Bench, completed, failed};
use crate::ops::{apply, drain, op};
use batch_core::{
    Batch, Failure, FailureKind, Outcome, Priority, Status, TaskId, TaskSpec, Time,
    retry::RetrySpec, status::QueuedReason,
};
use batch_store::{EndCause, Selection, lock};
use proptest::prelude::*;

fn completed_attempts(bench: &Bench) -> HashMap<TaskId, usize> {
    let mut found = HashMap::new();
    lock(&bench.store)
        .for_each_task::<batch_store::StoreError>(&Selection::default(), |record| {
            let completed = record
                .attempts
                .iter()
                .filter(|attempt| attempt.end.name() == "completed");
            found.insert(record.task, completed.count());
            Ok(true)
        })
        .unwrap();
    found
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_file_tells_the_truth(ops in proptest::collection::vec(op(), 1..60)) {
        let mut bench = Bench::new();
        for (index, op) in ops.iter().enumerate() {
            apply(&mut bench, op);
            if index % 7 == 0 {
                bench.check();
            }
        }
        bench.check();
        drain(&mut bench);
        bench.check();
        // A completed task is never retried here, so it completed once.
        for (task, count) in completed_attempts(&bench) {
            let once = usize::from(bench.batch.status(task) == Some(Status::Completed));
            prop_assert_eq!(count, once, "task {}", task);
        }
    }

    #[test]
    fn a_file_read_back_is_the_batch(ops in proptest::collection::vec(op(), 1..40)) {
        let mut bench = Bench::new();
        for op in &ops {
            apply(&mut bench, op);
        }
        for index in (0..bench.claims.len()).rev() {
            bench.report(index, Outcome::Interrupted(None));
        }
        bench.check();
        let read = bench.read_back();
        prop_assert_eq!(read.next_id(), bench.batch.next_id());
        prop_assert_eq!(read.open(), bench.batch.open());
        for (lived, read) in bench.batch.unfinished().zip(read.unfinished()) {
            prop_assert_eq!(lived.task, read.task);
            prop_assert_eq!(lived.reason, read.reason, "task {}", lived.task);
            prop_assert_eq!(lived.attempts, read.attempts, "task {}", lived.task);
            prop_assert_eq!(&lived.spec.options, &read.spec.options);
        }
    }
}

fn claim_all(batch: &mut Batch, now: Time) -> Vec<TaskId> {
    let mut order = Vec::new();
    while let Some(claim) = batch.claim(now) {
        let mut never = |_: &TaskSpec, _: &Failure, _: u32| None;
        order.push(claim.token.task);
        batch
            .report(claim.token, Outcome::Completed(None), &mut never, now)
            .unwrap();
    }
    order
}

#[test]
fn tasks_are_claimed_in_the_same_order_by_an_heir() {
    let mut bench = Bench::new();
    let priorities = [
        Priority::Low,
        Priority::Medium,
        Priority::Critical,
        Priority::High,
    ];
    let tasks = (0..24).map(|number| {
        let spec = TaskSpec::new("x").with_priority(priorities[number * 7 % 4]);
        (spec, vec![])
    });
    bench.add(&tasks.collect::<Vec<_>>());
    for _ in 0..3 {
        bench.claim().unwrap();
        bench.report(0, completed(""));
    }
    bench.flush_all().unwrap();
    let heir = claim_all(&mut bench.read_back(), bench.now);
    assert_eq!(heir.len(), 21);
    assert_eq!(heir, claim_all(&mut bench.batch, bench.now));
}

#[test]
fn a_retry_does_not_wait_for_years_after_the_clock_was_set_back() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let mut bench = Bench::new();
    bench.add(&[(TaskSpec::new("x").with_max_retries(1), vec![])]);
    bench.pass(year);
    bench.claim().unwrap();
    bench.report(0, failed(1, "no"));
    bench.check();
    let delayed = bench.read_back();
    assert!(delayed.task(TaskId::from_index(0)).unwrap().reason != Some(QueuedReason::Ready));
    // The next executor finds the clock a year back.
    bench.now = batch_core::Time::from_micros(bench.now.as_micros() - year.as_micros() as u64);
    bench.take_over();
    let task = bench.batch.task(TaskId::from_index(0)).unwrap();
    assert_eq!(task.reason, Some(QueuedReason::Ready));
    assert_eq!(task.attempts, 1);
    drain(&mut bench);
    bench.check();
}

#[test]
fn a_pause_that_a_server_asked_for_holds_for_the_next_executor() {
    let day = Duration::from_secs(24 * 60 * 60);
    let rules = RetrySpec {
        max_wait: 4 * day,
        ..RetrySpec::default()
    };
    let mut bench = Bench::new();
    bench.add(&[(TaskSpec::new("http").with_retry(rules), vec![])]);
    bench.claim().unwrap();
    let mut failure = Failure::new(FailureKind::HttpStatus(429), "too many");
    failure.retry_after = Some(3 * day);
    failure.host = Some("h:80".into());
    bench.report(0, Outcome::Failed(failure.into()));
    bench.check();
    let until = bench.now.after(3 * day);
    bench.take_over();
    let task = bench.batch.task(TaskId::from_index(0)).unwrap();
    assert_eq!(task.reason, Some(QueuedReason::Delayed { until }));
    bench.pass(3 * day);
    bench.claim().unwrap();
    bench.report(0, completed("out"));
    bench.check();
    bench.flush_all().unwrap();
    let record = &bench.records()[0];
    assert_eq!(
        (record.retry_count, record.attempts.len(), record.flaky),
        (0, 2, false)
    );
}

#[test]
fn the_time_between_two_runs_is_no_part_of_the_batch() {
    let mut bench = Bench::new();
    let task = TaskSpec::new("command");
    bench.add(&[(task.clone(), Vec::new()), (task, Vec::new())]);
    for (work, rest) in [(2, 3_600), (5, 60)] {
        bench.claim().unwrap();
        bench.pass(Duration::from_secs(work));
        bench.report(0, completed("out"));
        bench.take_over_after(Duration::from_secs(rest));
    }
    let overview = lock(&bench.store).overview().unwrap();
    assert_eq!(overview.elapsed(), Some(Duration::from_secs(7)));

    // Nor is what comes after the last.
    bench.add(&[(TaskSpec::new("command"), Vec::new())]);
    bench.take_over_after(Duration::ZERO);
    lock(&bench.store)
        .end_run(bench.run, &EndCause::Stopped, bench.now, None)
        .unwrap();
    bench.pass(Duration::from_secs(1_000));
    bench
        .batch
        .cancel(TaskId::from_index(2), bench.now)
        .unwrap();
    bench.record();
    bench.flush_all().unwrap();
    let overview = lock(&bench.store).overview().unwrap();
    assert_eq!(overview.elapsed(), Some(Duration::from_secs(7)));
}
