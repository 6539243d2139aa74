//! The file itself: who may read it, what is refused, what is cleared, who adds at the same time, and that files of
//! every version can still be read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::common::{Bench, completed, failed, settings};
use batch_core::{BatchId, Status, TaskId, TaskSpec, Time};
use batch_store::schema::{APPLICATION_ID, VERSION};
use batch_store::{
    BatchFile, Durability, NewBatch, Obstacle, Origin, Selection, Store, StoreError, lock,
};
use rusqlite::Connection;

fn new_store(folder: &Path) -> Store {
    let new = NewBatch {
        batch: BatchId::new(7).unwrap(),
        settings: settings(),
        origin: Origin::default(),
        created_at: Time::ZERO,
    };
    let file = BatchFile::new(folder.join("b7.db"));
    Store::create(file, &new, Durability::Fast).unwrap()
}

fn task(number: u32) -> TaskId {
    TaskId::new(number).unwrap()
}

#[test]
fn only_its_owner_may_read_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(folder.path());
    for file in ["b7.db", "b7.db-wal", "b7.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(store.batch().to_string(), "b7");
}

#[test]
fn a_new_file_takes_no_other_ones_place_and_no_other_ones_log() {
    let folder = tempfile::tempdir().unwrap();
    // Of a database that is gone.
    for left in ["b7.db-wal", "b7.db.lease"] {
        std::fs::write(folder.path().join(left), [7; 40_000]).unwrap();
    }
    let mut store = new_store(folder.path());
    let mut adding = store.adding(Time::ZERO).unwrap();
    let command = TaskSpec::new("command");
    adding.add([(&command, Vec::new())]).unwrap();
    adding.commit().unwrap();
    let file = store.file().clone();
    drop(store);

    let new = NewBatch {
        batch: BatchId::default(),
        settings: settings(),
        origin: Origin::default(),
        created_at: Time::ZERO,
    };
    let refused = Store::create(file.clone(), &new, Durability::Full).unwrap_err();
    assert!(matches!(refused, StoreError::Exists(_)), "{refused}");
    let there = Store::open(file, Durability::Full).unwrap();
    assert_eq!(there.batch().to_string(), "b7");
    assert!(there.has_task(task(1)).unwrap());
    drop(there);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "nothing but the database and its lease");
    let lease = std::fs::metadata(folder.path().join("b7.db.lease")).unwrap();
    assert_eq!(lease.len(), 0);
}

#[test]
fn what_is_no_batch_file_of_ours_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let open = || Store::open(BatchFile::new(&path), Durability::Full).unwrap_err();
    assert!(matches!(open(), StoreError::Missing(_)));

    std::fs::write(
        &path,
        "some text that is long enough to be no header of anything at all ".repeat(20),
    )
    .unwrap();
    assert!(matches!(open(), StoreError::NotABatch(_)), "{}", open());

    std::fs::remove_file(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(matches!(open(), StoreError::NotABatch(_)), "{}", open());

    let newer = VERSION + 1;
    other
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {newer}"
        ))
        .unwrap();
    let error = open().to_string();
    assert!(
        error.contains(&format!("format {newer}")) && error.ends_with("use a newer bex"),
        "{error}"
    );
}

#[test]
fn adders_and_a_journal_take_turns() {
    const EACH: usize = 200;
    let mut bench = Bench::new();
    let file = bench.file.clone();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let file = file.clone();
            scope.spawn(move || {
                let mut store = Store::open(file, Durability::Fast).unwrap();
                for _ in 0..EACH {
                    let mut adding = store.adding(Time::ZERO).unwrap();
                    let spec = TaskSpec::new("x").with_name(name);
                    adding
                        .add([(&spec, Vec::new()), (&spec, Vec::new())])
                        .unwrap();
                    adding.commit().unwrap();
                }
            });
        }
        while bench.batch.next_id().index() < 3 * 2 * EACH {
            bench.admit();
            while bench.claim().is_some() {}
            while !bench.claims.is_empty() {
                bench.report(0, completed(""));
            }
            bench.flush().unwrap();
        }
    });
    bench.check();
    assert_eq!(bench.batch.next_id().index(), 3 * 2 * EACH);
}

#[test]
fn clearing_takes_finished_tasks_and_leaves_what_open_ones_need() {
    let mut bench = Bench::new();
    bench.add(&[
        (TaskSpec::new("x").with_id("needed"), vec![]),
        (TaskSpec::new("x").with_id("spilled"), vec![]),
        (TaskSpec::new("x").with_id("failed"), vec![]),
        (TaskSpec::new("x").with_id("open"), vec![task(1)]),
        (TaskSpec::new("x").with_id("cancelled"), vec![task(3)]),
    ]);
    let folder = bench.file.create_folder().unwrap();
    let spilled = folder.join("b1.2-abc.stdout");
    std::fs::write(&spilled, "much").unwrap();
    let stray = folder.join("b1.4-abc.stdout");
    std::fs::write(&stray, "cut off").unwrap();
    for _ in 0..3 {
        bench.claim().unwrap();
    }
    let stream = batch_core::outcome::Stream::File {
        path: spilled.clone(),
        len: 4,
    };
    let output = batch_core::Output {
        stdout: stream.clone(),
        ..batch_core::Output::default()
    };
    bench.report(2, failed(1, "no"));
    bench.report(1, batch_core::Outcome::Completed(Some(output.into())));
    bench.report(0, completed("for later"));
    bench.check();
    let mut store = lock(&bench.store);
    let kept = store.task(task(2)).unwrap().unwrap().output.unwrap();
    assert_eq!(kept.stdout, stream);
    assert_eq!(store.remove_stray_files().unwrap(), 1);
    assert!(!stray.exists() && spilled.exists());

    let all: Vec<TaskId> = (1..=5).map(task).collect();
    assert_eq!(store.clear(&all).unwrap().removed, 3);
    assert!(!spilled.exists());
    let mut left = Vec::new();
    store
        .for_each_task::<StoreError>(&Selection::default(), |record| {
            left.push((record.task.get(), record.status));
            Ok(true)
        })
        .unwrap();
    assert_eq!(left, [(1, Status::Completed), (4, Status::Queued)]);
    assert!(store.causes().unwrap().is_empty());
    assert_eq!(store.overview().unwrap().totals.tasks(), 2);
    drop(store);
    // The places of the cleared tasks stay taken.
    let read = bench.read_back();
    assert_eq!((read.next_id(), read.open()), (task(6), 1));
    bench.add(&[(TaskSpec::new("x").with_id("failed"), vec![task(1)])]);
    assert_eq!(lock(&bench.store).find("failed").unwrap(), Some(task(6)));
}

#[test]
fn a_flush_without_room_keeps_everything_for_the_next() {
    let mut bench = Bench::new();
    bench.add(&vec![(TaskSpec::new("x"), vec![]); 40]);
    let pages = |limit: u32| {
        let store = lock(&bench.store);
        store.limit_pages(limit).unwrap()
    };
    let now = pages(0);
    pages(now);
    let mut done = 0;
    while bench.claim().is_some() {
        bench.report(0, completed(&"much ".repeat(1_000)));
        done += 1;
    }
    let error = bench.flush_all().unwrap_err();
    assert!(error.is_full(), "{error}");
    assert!(
        bench
            .on_record()
            .values()
            .all(|status| *status == Status::Queued)
    );
    lock(&bench.store).limit_pages(1_000_000).unwrap();
    bench.check();
    let completed = bench
        .on_record()
        .values()
        .filter(|status| **status == Status::Completed)
        .count();
    assert_eq!((completed, done), (40, 40));
}

#[test]
fn a_write_that_meets_another_program_says_what_to_do_and_succeeds_later() {
    let bench = Bench::new();
    let other = Connection::open(bench.file.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut store = lock(&bench.store);
    store.wait_briefly().unwrap();
    let error = store.set_paused(Some("by the user")).unwrap_err();
    assert_eq!(error.obstacle(), Some(Obstacle::Busy));
    let text = error.to_string();
    assert!(text.contains("is held by another program"), "{text}");
    assert!(text.contains("b1.db") && !text.contains("locked"), "{text}");
    // Who only reads is not held up, and holds up nobody.
    assert_eq!(store.info().unwrap().paused, None);
    other
        .execute_batch("ROLLBACK; BEGIN; SELECT count(*) FROM specs")
        .unwrap();
    store.set_paused(Some("by the user")).unwrap();
    assert!(store.info().unwrap().paused.is_some());
}

/// `tests/files/vN.db` was written by the version of that number. To make one for a new version, run this test with
/// `BEX_WRITE_OLD_FILE=1`.
#[test]
fn files_of_every_version_are_read() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    if std::env::var_os("BEX_WRITE_OLD_FILE").is_some() {
        write_old_file(&files.join(format!("v{VERSION}.db")));
    }
    for version in 1..=VERSION {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b1.db");
        std::fs::copy(files.join(format!("v{version}.db")), &path).unwrap();
        let mut store = Store::open(BatchFile::new(&path), Durability::Full).unwrap();
        let mut found = Vec::new();
        store
            .for_each_task::<StoreError>(&Selection::default(), |record| {
                found.push(format!(
                    "{} {} {:?} {}",
                    record.id(),
                    record.status,
                    record.error,
                    record.attempts.len()
                ));
                Ok(true)
            })
            .unwrap();
        assert_eq!(
            found,
            [
                "b1.1 completed None 1",
                "b1.2 failed Some(\"exit code 3\") 2",
                match version {
                    1 => "b1.3 cancelled Some(\"b1.2 did not complete\") 0",
                    _ => "b1.3 cancelled Some(\"b1.2 failed\") 0",
                },
                "b1.4 running None 0",
                "b1.5 queued None 0",
            ],
            "version {version}"
        );
        assert_eq!(store.overview().unwrap().totals.tasks(), 5);
        // It takes further tasks, as one of its version.
        let mut adding = store.adding(Time::from_micros(1)).unwrap();
        let mut spec = TaskSpec::new("command");
        spec.item = Some("photo.jpg".into());
        adding.add([(&spec, Vec::new())]).unwrap();
        let first = adding.commit().unwrap().first;
        let item = store.task(first).unwrap().unwrap().spec.item.clone();
        assert_eq!(item.as_deref(), (version > 1).then_some("photo.jpg"));
    }
}

fn write_old_file(path: &Path) {
    let mut bench = Bench::new();
    bench.add(&[
        (TaskSpec::new("command").with_id("one"), vec![]),
        (TaskSpec::new("command").with_max_retries(1), vec![]),
        (TaskSpec::new("command"), vec![task(2)]),
        (TaskSpec::new("shell"), vec![]),
        (TaskSpec::new("shell").with_name("last"), vec![task(4)]),
    ]);
    bench.claim().unwrap();
    bench.report(0, completed("done\n"));
    bench.claim().unwrap();
    bench.report(0, failed(3, "no\n"));
    bench.pass(std::time::Duration::from_secs(2));
    bench.claim().unwrap();
    bench.report(0, failed(3, "no\n"));
    bench.claim().unwrap();
    bench.check();
    lock(&bench.store).checkpoint().unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::copy(bench.file.path(), path).unwrap();
}
