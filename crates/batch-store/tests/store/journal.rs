//! Random lives of a batch: whatever happens and whenever its executors die, the file tells the truth.

use std::collections::HashMap;
use std::time::Duration;

use crate::common::{Bench, completed, failed};
use batch_core::{OnInterrupt, Outcome, QueuedReason, Reopen, Status, TaskId, TaskSpec};
use batch_store::{Selection, lock};
use proptest::prelude::*;

/// Something that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Op {
    Add(Vec<NewTask>),
    Claim,
    End(u8, Ending),
    Cancel(u8),
    Retry(u8),
    Release(u8),
    Pass(u8),
    Flush,
    Die,
    TakeOver,
}

#[derive(Clone, Debug)]
struct NewTask {
    needs: Vec<u8>,
    max_retries: u8,
    on_interrupt: OnInterrupt,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Completed,
    Failed(bool),
    Interrupted,
}

fn new_task() -> impl Strategy<Value = NewTask> {
    let on_interrupt = prop_oneof![
        6 => Just(OnInterrupt::Rerun),
        1 => Just(OnInterrupt::Hold),
        1 => Just(OnInterrupt::Fail),
    ];
    (
        proptest::collection::vec(any::<u8>(), 0..3),
        0_u8..3,
        on_interrupt,
    )
        .prop_map(|(needs, max_retries, on_interrupt)| NewTask {
            needs,
            max_retries,
            on_interrupt,
        })
}

fn op() -> impl Strategy<Value = Op> {
    let ending = prop_oneof![
        4 => Just(Ending::Completed),
        2 => any::<bool>().prop_map(Ending::Failed),
        1 => Just(Ending::Interrupted),
    ];
    prop_oneof![
        2 => proptest::collection::vec(new_task(), 1..4).prop_map(Op::Add),
        5 => Just(Op::Claim),
        5 => (any::<u8>(), ending).prop_map(|(which, ending)| Op::End(which, ending)),
        1 => any::<u8>().prop_map(Op::Cancel),
        1 => any::<u8>().prop_map(Op::Retry),
        1 => any::<u8>().prop_map(Op::Release),
        1 => any::<u8>().prop_map(Op::Pass),
        2 => Just(Op::Flush),
        1 => Just(Op::Die),
        1 => Just(Op::TakeOver),
    ]
}

fn chosen(bench: &Bench, number: u8) -> Option<TaskId> {
    let count = bench.batch.next_id().index();
    (count > 0).then(|| TaskId::from_index(number as usize % count))
}

fn apply(bench: &mut Bench, op: &Op) {
    match op {
        Op::Add(tasks) => add(bench, tasks),
        Op::Claim => {
            bench.claim();
        }
        Op::End(which, ending) => {
            if !bench.claims.is_empty() {
                let outcome = match ending {
                    Ending::Completed => completed("out"),
                    Ending::Failed(one) => {
                        failed(1, if *one { "no such file: a" } else { "denied" })
                    }
                    Ending::Interrupted => Outcome::Interrupted,
                };
                bench.report(*which as usize % bench.claims.len(), outcome);
            }
        }
        Op::Cancel(number) => {
            if let Some(task) = chosen(bench, *number) {
                // A finished one refuses.
                let _ = bench.batch.cancel(task, bench.now);
                bench.record();
            }
        }
        Op::Retry(number) => retry(bench, *number),
        Op::Release(number) => {
            if let Some(task) = chosen(bench, *number) {
                let _ = bench.batch.release(task, bench.now);
                bench.record();
            }
        }
        Op::Pass(seconds) => bench.pass(Duration::from_millis(u64::from(*seconds) * 20)),
        Op::Flush => bench.journal.flush().unwrap(),
        Op::Die => die(bench),
        Op::TakeOver => bench.take_over(),
    }
}

fn add(bench: &mut Bench, tasks: &[NewTask]) {
    let known = bench.batch.next_id().index();
    let specs: Vec<_> = tasks
        .iter()
        .map(|task| {
            let spec = TaskSpec::new("command")
                .with_max_retries(task.max_retries.into())
                .with_on_interrupt(task.on_interrupt);
            let mut needs: Vec<TaskId> = task
                .needs
                .iter()
                .filter(|_| known > 0)
                .map(|number| TaskId::from_index(*number as usize % known))
                .collect();
            needs.sort_unstable();
            needs.dedup();
            (spec, needs)
        })
        .collect();
    bench.add(&specs);
}

/// As `bex retry` does: what is finished, from the file.
fn retry(bench: &mut Bench, number: u8) {
    let Some(task) = chosen(bench, number) else {
        return;
    };
    bench.journal.flush_all().unwrap();
    let finished = matches!(
        bench.batch.status(task),
        Some(Status::Failed | Status::Cancelled)
    );
    if finished {
        let again: Vec<Reopen> = lock(&bench.store).reopenable(&[task]).unwrap();
        assert_eq!(again.len(), 1);
        bench.batch.reopen(again, bench.now).unwrap();
        bench.record();
    }
}

/// What is on record at the death of an executor holds afterwards.
fn die(bench: &mut Bench) {
    let before = bench.on_record();
    bench.die();
    for (task, status) in before {
        let after = bench.batch.status(task).unwrap();
        if status.is_final() {
            assert_eq!(after, status, "task {task} was finished");
        } else {
            assert_ne!(after, Status::Completed, "task {task} had not ended");
            assert_ne!(after, Status::Running, "nobody runs task {task}");
        }
    }
}

/// Runs everything to its end.
fn drain(bench: &mut Bench) {
    for _ in 0..10_000 {
        while bench.claim().is_some() {}
        while !bench.claims.is_empty() {
            bench.report(0, completed("end"));
        }
        if bench.batch.is_settled() {
            break;
        }
        bench.pass(Duration::from_secs(10));
    }
    assert!(bench.batch.is_settled());
}

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
            bench.report(index, Outcome::Interrupted);
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
