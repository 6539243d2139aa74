//! What can happen to a batch and its file, chosen at random: [`Op`].

use std::time::Duration;

use crate::common::{Bench, completed, failed};
use batch_core::{OnInterrupt, Outcome, Priority, Status, TaskId, TaskSpec, restore::Reopen};
use batch_store::lock;
use proptest::prelude::*;

/// Something that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Add(Vec<NewTask>),
    Claim,
    End(u8, Ending),
    Postpone(u8),
    Cancel(u8),
    Retry(u8),
    Release(u8),
    Pass(u8),
    Priority(u8, Priority),
    Flush,
    /// A flush while the file cannot grow.
    FullDisk,
    /// The executor is killed; its heir finds the clock this many hours back.
    Die(u8),
    TakeOver(u8),
}

#[derive(Clone, Debug)]
pub(crate) struct NewTask {
    pub(crate) needs: Vec<u8>,
    pub(crate) max_retries: u8,
    pub(crate) on_interrupt: OnInterrupt,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
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

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let ending = prop_oneof![
        4 => Just(Ending::Completed),
        2 => any::<bool>().prop_map(Ending::Failed),
        1 => Just(Ending::Interrupted),
    ];
    prop_oneof![
        2 => proptest::collection::vec(new_task(), 1..4).prop_map(Op::Add),
        5 => Just(Op::Claim),
        5 => (any::<u8>(), ending).prop_map(|(which, ending)| Op::End(which, ending)),
        2 => any::<u8>().prop_map(Op::Postpone),
        1 => any::<u8>().prop_map(Op::Cancel),
        1 => any::<u8>().prop_map(Op::Retry),
        1 => any::<u8>().prop_map(Op::Release),
        1 => any::<u8>().prop_map(Op::Pass),
        1 => (any::<u8>(), priority()).prop_map(|(which, priority)| Op::Priority(which, priority)),
        2 => Just(Op::Flush),
        1 => Just(Op::FullDisk),
        1 => hours().prop_map(Op::Die),
        1 => hours().prop_map(Op::TakeOver),
    ]
}

/// Mostly none.
fn hours() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0), 1 => 1_u8..60]
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![
        Just(Priority::Critical),
        Just(Priority::High),
        Just(Priority::Medium),
        Just(Priority::Low),
    ]
}

fn chosen(bench: &Bench, number: u8) -> Option<TaskId> {
    let count = bench.batch.next_id().index();
    (count > 0).then(|| TaskId::from_index(number as usize % count))
}

pub(crate) fn apply(bench: &mut Bench, op: &Op) {
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
                    Ending::Interrupted => Outcome::Interrupted(None),
                };
                bench.report(*which as usize % bench.claims.len(), outcome);
            }
        }
        Op::Postpone(which) => {
            if !bench.claims.is_empty() {
                bench.postpone(*which as usize % bench.claims.len());
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
        Op::Priority(number, priority) => {
            if let Some(task) = chosen(bench, *number) {
                // Only a queued one can be given another.
                let _ = bench.batch.set_priority(task, *priority, bench.now);
                bench.record();
            }
        }
        Op::Flush => bench.flush().unwrap(),
        Op::FullDisk => flush_without_room(bench),
        Op::Die(back) => {
            bench.set_back(*back);
            die(bench);
        }
        Op::TakeOver(back) => {
            bench.set_back(*back);
            bench.take_over();
        }
    }
}

fn flush_without_room(bench: &mut Bench) {
    let limit = |pages: u32| lock(&bench.store).limit_pages(pages).unwrap();
    limit(limit(0));
    let flushed = bench.flush();
    lock(&bench.store).limit_pages(1_000_000).unwrap();
    if let Err(error) = flushed {
        assert!(error.is_full(), "{error}");
    }
}

fn add(bench: &mut Bench, tasks: &[NewTask]) {
    let known = bench.batch.next_id().index();
    let specs: Vec<_> = tasks
        .iter()
        .enumerate()
        .map(|(place, task)| {
            let spec = TaskSpec::new("command")
                .with_id(&format!("t{}", known + place))
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
            let after = |spec: TaskSpec, need: &TaskId| spec.after(&format!("t{}", need.index()));
            (needs.iter().fold(spec, after), needs)
        })
        .collect();
    bench.add(&specs);
}

/// As `bex retry` does: what is finished, from the file.
fn retry(bench: &mut Bench, number: u8) {
    let Some(task) = chosen(bench, number) else {
        return;
    };
    bench.flush_all().unwrap();
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
    bench.check_record();
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
pub(crate) fn drain(bench: &mut Bench) {
    for _ in 0..10_000 {
        while bench.claim().is_some() {}
        while !bench.claims.is_empty() {
            bench.report(0, completed("end"));
        }
        if bench.batch.is_settled() {
            break;
        }
        bench.pass(Duration::from_secs(3_600));
    }
    assert!(bench.batch.is_settled());
}
