//! What a crash leaves: a file with a torn end, tasks that were running, executors that keep dying.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::{Bench, completed, failed};
use batch_core::{
    FailureKind, OnInterrupt, Reason, Status, TaskId, TaskSpec, status::QueuedReason,
};
use batch_store::{BatchFile, Durability, Selection, Store, StoreError};
use proptest::prelude::*;
use rusqlite::Connection;

type Statuses = BTreeMap<TaskId, Status>;

/// Copies the file as it is on the disk, with the log that nobody has moved into it: what `kill -9` leaves.
fn copy_as_killed(bench: &Bench, folder: &Path) -> BatchFile {
    let copy = folder.join("b1.db");
    for ending in ["", "-wal"] {
        let name = |path: &Path| format!("{}{ending}", path.display());
        std::fs::copy(name(bench.file.path()), name(&copy)).unwrap();
    }
    BatchFile::new(copy)
}

fn statuses(store: &Store) -> Statuses {
    let mut found = BTreeMap::new();
    store
        .for_each_task::<StoreError>(&Selection::default(), |record| {
            found.insert(record.task, record.status);
            Ok(true)
        })
        .unwrap();
    found
}

fn is_whole(file: &BatchFile) -> bool {
    let connection = Connection::open(file.path()).unwrap();
    let said: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    said == "ok"
}

/// A batch that was written many times, and what the file said after each.
fn much_written() -> (Bench, Vec<Statuses>) {
    let mut bench = Bench::new();
    bench.add(&vec![(TaskSpec::new("x"), vec![]); 12]);
    let mut said = vec![bench.on_record()];
    while bench.claim().is_some() {
        let number = said.len();
        let outcome = match number % 3 {
            0 => failed(1, "no"),
            _ => completed(&"much ".repeat(number * 100)),
        };
        bench.report(0, outcome);
        bench.flush_all().unwrap();
        said.push(bench.on_record());
    }
    (bench, said)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_torn_end_costs_the_last_commits_and_no_more(
        torn in 1_usize..60_000, garbage in proptest::option::of(any::<u8>())
    ) {
        let (bench, said) = much_written();
        let folder = tempfile::tempdir().unwrap();
        let file = copy_as_killed(&bench, folder.path());
        let log = folder.path().join("b1.db-wal");
        let mut bytes = std::fs::read(&log).unwrap();
        // The head of the log and the tasks themselves stay.
        let from = bytes.len() - torn.min(bytes.len() / 3);
        match garbage {
            Some(mask) => bytes[from..].iter_mut().for_each(|byte| *byte ^= mask | 1),
            None => bytes.truncate(from),
        }
        std::fs::write(&log, bytes).unwrap();

        let store = Store::open(file.clone(), Durability::Full).unwrap();
        let found = statuses(&store);
        prop_assert!(said.contains(&found), "{found:?} was never said");
        prop_assert!(found != said[said.len() - 1], "the last commit is torn");
        let overview = store.overview().unwrap();
        for status in Status::ALL {
            let count = found.values().filter(|found| **found == status).count();
            prop_assert_eq!(overview.totals.count(status), count as u64);
        }
        drop(store);
        prop_assert!(is_whole(&file));
    }
}

#[test]
fn what_was_written_survives_a_kill() {
    let (bench, said) = much_written();
    let folder = tempfile::tempdir().unwrap();
    let file = copy_as_killed(&bench, folder.path());
    let store = Store::open(file.clone(), Durability::Full).unwrap();
    assert_eq!(Some(&statuses(&store)), said.last());
    assert!(is_whole(&file));
}

fn task() -> TaskId {
    TaskId::from_index(0)
}

#[test]
fn a_task_that_runs_at_three_deaths_is_quarantined() {
    let mut bench = Bench::new();
    bench.add(&[
        (TaskSpec::new("x"), vec![]),
        (TaskSpec::new("x"), vec![task()]),
    ]);
    for death in 1..=3 {
        assert_eq!(
            bench.batch.status(task()),
            Some(Status::Queued),
            "before death {death}"
        );
        bench.claim().unwrap();
        // On record or only in the lease: it is the same.
        if death == 2 {
            bench.flush_all().unwrap();
        }
        bench.die();
        bench.check();
    }
    let records = bench.records();
    assert_eq!(
        records[0].reason,
        Some(Reason::Failed(FailureKind::Quarantined))
    );
    assert_eq!((records[0].retry_count, records[0].attempts.len()), (0, 3));
    assert_eq!(records[1].status, Status::Cancelled);
    // It stays so for the next heir.
    bench.die();
    bench.check();
    assert_eq!(bench.batch.status(task()), Some(Status::Failed));
}

#[test]
fn a_task_comes_back_as_it_asked_for() {
    let cut_off = |on_interrupt, written: bool| {
        let mut bench = Bench::new();
        bench.add(&[(TaskSpec::new("x").with_on_interrupt(on_interrupt), vec![])]);
        bench.claim().unwrap();
        if written {
            bench.flush_all().unwrap();
        }
        bench.die();
        bench.check();
        bench.die();
        bench.check();
        let record = bench.records().remove(0);
        assert_eq!((record.attempts.len(), record.retry_count), (1, 0));
        record.reason.unwrap()
    };
    for written in [false, true] {
        let queued = |reason| Reason::Queued(reason);
        assert_eq!(
            cut_off(OnInterrupt::Rerun, written),
            queued(QueuedReason::Ready)
        );
        assert_eq!(
            cut_off(OnInterrupt::Hold, written),
            queued(QueuedReason::Held)
        );
        let failed = Reason::Failed(FailureKind::Interrupted);
        assert_eq!(cut_off(OnInterrupt::Fail, written), failed);
    }
}

#[test]
fn an_attempt_whose_end_was_lost_is_not_on_record_as_running() {
    let mut bench = Bench::new();
    bench.add(&[(TaskSpec::new("x").with_max_retries(2), vec![])]);
    bench.claim().unwrap();
    bench.flush_all().unwrap();
    // It fails and begins once more; the file never hears of it.
    bench.report(0, failed(1, "no"));
    bench.pass(std::time::Duration::from_secs(2));
    bench.claim().unwrap();
    bench.die();
    bench.check();
    let record = bench.records().remove(0);
    let ends: Vec<_> = record
        .attempts
        .iter()
        .map(|one| (one.attempt, one.end.name()))
        .collect();
    assert_eq!(ends, [(1, "interrupted"), (2, "interrupted")]);
}

#[test]
fn what_was_given_out_and_did_not_begin_is_no_death_and_no_attempt() {
    let mut bench = Bench::new();
    let held = TaskSpec::new("x").with_on_interrupt(OnInterrupt::Hold);
    bench.add(&[(TaskSpec::new("x"), vec![]), (held, vec![])]);
    let [first, second] = [0, 1].map(TaskId::from_index);
    for _ in 0..4 {
        assert!(bench.claim().is_some());
        bench.flush_all().unwrap();
        bench.die_before_starts();
        bench.check();
    }
    let records = bench.records();
    assert!(records[0].attempts.is_empty(), "{records:?}");
    assert_eq!(records[0].started_at, None);
    assert_eq!(bench.batch.status(first), Some(Status::Queued));
    // Of one that must not run twice nobody takes the risk.
    while bench.claim().is_some() {}
    bench.flush_all().unwrap();
    bench.die_before_starts();
    let reason = bench.batch.task(second).unwrap().reason;
    assert_eq!(reason, Some(QueuedReason::Held));
    let token = bench.claim().unwrap();
    assert_eq!((token.task, token.attempt), (first, 1));
}

#[test]
fn a_start_that_was_put_off_leaves_no_trace_in_the_file() {
    let mut bench = Bench::new();
    bench.add(&[(TaskSpec::new("x"), vec![])]);
    for _ in 0..3 {
        bench.claim().unwrap();
        // On record as running.
        bench.flush_all().unwrap();
        bench.postpone(0);
        bench.check();
    }
    let record = &bench.records()[0];
    assert_eq!((record.attempts.len(), record.started_at), (0, None));
    bench.claim().unwrap();
    bench.report(0, completed("out"));
    bench.check();
    assert_eq!(bench.records()[0].attempts.len(), 1);
}
