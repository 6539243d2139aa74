//! What the file says of a task is what the events say of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::common::{Bench, completed, failed};
use crate::ops::{Ending, NewTask, Op, apply, op};
use batch_core::{
    BatchId, Json, OnInterrupt, Outcome, Output, Status, TaskId, TaskSpec,
    outcome::{ProcessEnd, Stream},
};
use batch_export::{Records, TaskRecord};
use batch_store::lock;
use proptest::prelude::*;

/// All tasks as the events tell of them, those that are not finished as well.
fn from_events(bench: &Bench) -> BTreeMap<TaskId, TaskRecord> {
    let mut records = Records::new(BatchId::default());
    let finished = bench.events.iter().filter_map(|event| records.apply(event));
    let finished: Vec<TaskRecord> = finished.collect();
    let all = finished.into_iter().chain(records.unfinished());
    all.map(|record| (record.task, record)).collect()
}

fn same(told: &TaskRecord, read: &TaskRecord) {
    let task = read.task;
    assert_eq!((told.batch, told.task), (read.batch, task));
    // Neither can be compared, but both can be shown.
    assert_eq!(shown(&told.spec), shown(&read.spec), "{task}");
    assert_eq!(
        (told.status, told.reason),
        (read.status, read.reason),
        "{task}"
    );
    assert_eq!(told.priority, read.priority, "{task}");
    assert_eq!(
        (told.retry_count, told.flaky),
        (read.retry_count, read.flaky),
        "{task}"
    );
    assert_eq!(told.cause, read.cause, "{task}");
    assert_eq!(told.attempts, read.attempts, "{task}");
    assert_eq!(times(told), times(read), "{task}");
    let nothing = Arc::default();
    let output = |record: &TaskRecord| Arc::clone(record.output.as_ref().unwrap_or(&nothing));
    assert_eq!(shown(&output(told)), shown(&output(read)), "{task}");
    // That an earlier attempt failed is told by the attempts; of an open task the error is what it waits for.
    if told.status.is_final() {
        assert_eq!(told.error, read.error, "{task}");
    }
}

fn shown(what: &impl std::fmt::Debug) -> String {
    format!("{what:?}")
}

fn times(record: &TaskRecord) -> impl PartialEq + std::fmt::Debug {
    (
        [
            Some(record.created_at),
            record.started_at,
            record.completed_at,
        ],
        [record.execution_time, record.wait_time],
    )
}

/// Within one run. An heir tells the submissions again, and a task that is reopened begins anew in the events,
/// while the file keeps all of its attempts.
fn within_a_run(op: &Op) -> bool {
    !matches!(op, Op::Die(_) | Op::TakeOver(_) | Op::Retry(_))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_record_of_the_file_is_that_of_the_events(
        ops in proptest::collection::vec(op().prop_filter("within a run", within_a_run), 1..60)
    ) {
        same_after(&ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever ran before: what a run shows live of its tasks is what the file says of them.
    #[test]
    fn a_record_of_the_file_is_what_the_run_shows(ops in proptest::collection::vec(op(), 1..80)) {
        let mut bench = Bench::new();
        for op in &ops {
            apply(&mut bench, op);
        }
        bench.flush_all().unwrap();
        let read = bench.records();
        let open = std::mem::replace(&mut bench.live.records, Records::new(BatchId::default()));
        let mut told = std::mem::take(&mut bench.live.finished);
        told.extend(open.unfinished().map(|record| (record.task, record)));
        for read in read.iter().filter(|read| told.contains_key(&read.task)) {
            same(&told[&read.task], read);
        }
        let open = read.iter().filter(|read| !read.status.is_final());
        prop_assert!(open.map(|read| read.task).all(|task| told.contains_key(&task)));
    }
}

fn same_after(ops: &[Op]) {
    let mut bench = Bench::new();
    for op in ops {
        apply(&mut bench, op);
    }
    bench.flush_all().unwrap();
    let (told, read) = (from_events(&bench), bench.records());
    assert_eq!(told.len(), read.len());
    for read in &read {
        same(&told[&read.task], read);
    }
}

#[test]
fn a_retry_that_could_not_begin_waits_for_nothing() {
    let task = NewTask {
        needs: vec![],
        max_retries: 1,
        on_interrupt: OnInterrupt::Rerun,
    };
    // Its failure is written before, or at the same time.
    for pass in [None, Some(Op::Flush)] {
        let failed = [
            Op::Add(vec![task.clone()]),
            Op::Claim,
            Op::End(0, Ending::Failed(false)),
        ];
        let again = [Op::Pass(50), Op::Claim, Op::Postpone(0)];
        same_after(
            &failed
                .into_iter()
                .chain(pass)
                .chain(again)
                .collect::<Vec<_>>(),
        );
    }
}

#[test]
fn outputs_of_every_kind_come_back() {
    let mut bench = Bench::new();
    bench.add(&vec![(TaskSpec::new("x"), vec![]); 4]);
    let folder = bench.file.create_folder().unwrap();
    let spilled = |name: &str| Stream::File {
        path: folder.join(name),
        len: 7,
    };
    let process = ProcessEnd {
        exit_code: Some(3),
        signal: None,
        cpu_time: std::time::Duration::from_micros(1_234),
        peak_memory: 5 << 20,
        leaking: true,
    };
    let outputs = [
        Output {
            value: Some(Json::parse(r#"{"a":[1,null]}"#).unwrap()),
            ..Output::default()
        },
        Output {
            process: Some(process),
            stdout: spilled("b1.2-a.stdout"),
            stderr: vec![0, 0xff, b'\n'].into(),
            ..Output::default()
        },
        Output {
            stderr: spilled("b1.3-a.stderr"),
            ..Output::default()
        },
        Output {
            process: Some(ProcessEnd {
                exit_code: None,
                signal: Some(9),
                ..process
            }),
            ..Output::default()
        },
    ];
    for output in outputs.clone() {
        bench.claim().unwrap();
        bench.report(0, Outcome::Completed(Some(Arc::new(output))));
    }
    bench.flush_all().unwrap();
    let (told, read) = (from_events(&bench), bench.records());
    for (read, output) in read.iter().zip(outputs) {
        same(&told[&read.task], read);
        assert_eq!(shown(&read.output), shown(&Some(&output)));
        let alone = lock(&bench.store).output_of(read.task, 1).unwrap();
        assert_eq!(shown(&alone), shown(&Some(&output)));
    }
}

#[test]
fn a_cancelled_task_says_which_one_it_needed() {
    let task = |index| TaskId::from_index(index);
    let mut bench = Bench::new();
    bench.add(&[
        (TaskSpec::new("x").with_id("login"), vec![]),
        (TaskSpec::new("x").after("login"), vec![task(0)]),
        (TaskSpec::new("x"), vec![]),
        (TaskSpec::new("x"), vec![task(2)]),
        (TaskSpec::new("x"), vec![task(3)]),
    ]);
    bench.claim().unwrap();
    bench.report(0, failed(1, "no"));
    bench.batch.cancel(task(2), bench.now).unwrap();
    bench.record();
    bench.check();
    let errors: Vec<_> = bench
        .records()
        .into_iter()
        .map(|record| record.error.unwrap())
        .collect();
    assert_eq!(
        errors,
        [
            "exit code 1",
            "b1.1 (login) failed",
            "cancelled by the user",
            "b1.3 was cancelled",
            "b1.3 was cancelled",
        ]
    );
    for (told, read) in from_events(&bench).values().zip(&bench.records()) {
        same(told, read);
    }
}

#[test]
fn a_cause_keeps_a_sample_of_its_own() {
    let mut bench = Bench::new();
    bench.add(&vec![(TaskSpec::new("x"), vec![]); 3]);
    for number in 1..=3 {
        bench.claim().unwrap();
        bench.report(0, failed(1, &format!("error: page {number}\n")));
    }
    bench.check();
    let sample = |bench: &Bench| {
        let causes = lock(&bench.store).causes().unwrap();
        assert_eq!(causes.len(), 1);
        (
            causes[0].sample_task.task.get(),
            causes[0].cause.sample().to_owned(),
            causes[0].tasks,
        )
    };
    assert_eq!(sample(&bench), (1, "error: page 1".to_owned(), 3));
    let again = lock(&bench.store)
        .reopenable(&[TaskId::from_index(0)])
        .unwrap();
    bench.batch.reopen(again, bench.now).unwrap();
    bench.record();
    bench.check();
    assert_eq!(sample(&bench), (2, "error: page 2".to_owned(), 2));
    lock(&bench.store).clear(&[TaskId::from_index(1)]).unwrap();
    assert_eq!(sample(&bench), (3, "error: page 3".to_owned(), 1));
    // It completes this time, and the sums follow.
    bench.claim().unwrap();
    bench.report(0, completed("done"));
    bench.flush_all().unwrap();
    let overview = lock(&bench.store).overview().unwrap();
    assert_eq!(
        (
            overview.totals.count(Status::Completed),
            overview.totals.executed
        ),
        (1, 2)
    );
}
