//! Whose batch it is: after a death, during the start, and while it is removed.

use std::sync::Arc;
use std::time::Duration;

use batch_actions::{ActionError, Choice, Control, State, merge, prune, remove, request, status};
use batch_core::settings::Halt;
use batch_store::{BatchFile, Durability, Holder, Lease, Store, StoreError};

use crate::common::{Place, cancel, on_one_thread, task};

fn dead(run: u32) -> Holder {
    Holder {
        pid: 1,
        mark: "1-1".to_owned(),
        boot: "another boot".to_owned(),
        run,
        ..Holder::default()
    }
}

/// A batch whose executor died in the middle.
fn interrupted(place: &Place) -> BatchFile {
    let file = place.batch(vec![task("fine"), task("fine")]);
    let mut store = Store::open(file.clone(), Durability::Fast).unwrap();
    let run = store.begin_run(&dead(0), batch_actions::now()).unwrap();
    // Dropped, as by the end of its process.
    Lease::take(&file, &dead(run)).unwrap();
    assert_eq!(status(&file, false).unwrap().state, State::Interrupted);
    file
}

#[test]
fn a_batch_that_is_cancelled_after_the_death_of_its_executor_is_over() {
    on_one_thread(async {
        let place = Place::new();
        let file = interrupted(&place);
        assert!(!place.add_to(&file, vec![task("fine")]).running);
        request(&file, cancel(Choice::default())).await.unwrap();
        assert_eq!(status(&file, false).unwrap().state, State::Failed);
    });
}

#[test]
fn a_batch_that_is_changed_after_the_death_of_its_executor_stays_interrupted() {
    on_one_thread(async {
        let place = Place::new();
        let file = interrupted(&place);
        let slots = 3.try_into().unwrap();
        let set = Control::SetConcurrency {
            max_concurrent: slots,
        };
        request(&file, set).await.unwrap();
        assert_eq!(status(&file, false).unwrap().state, State::Interrupted);
        assert_eq!(place.finish(&file).await.open, 0);
        assert_eq!(status(&file, false).unwrap().state, State::Completed);
    });
}

#[test]
fn an_executor_is_seen_from_its_first_moment() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("fine")]);
        let options_seen = std::cell::Cell::new(None);
        let registry = |_: &std::path::Path, _: Arc<dyn batch_process::DiskSpaceWatch>| {
            options_seen.set(Some(status(&file, false).unwrap().state));
            batch_runtime::Registry::new()
        };
        let options = batch_actions::EngineOptions {
            file: file.clone(),
            durability: Durability::Fast,
            mode: batch_actions::Mode::Execute,
            registry: &registry,
            observe: Some(&mut |_, _| {
                // While the tasks are read.
                assert_eq!(status(&file, false).unwrap().state, State::Running);
            }),
            sinks: Vec::new(),
            feeding: false,
            stay: false,
            max_concurrent: None,
            most_at_once: None,
            unpause: true,
        };
        let engine = batch_actions::Engine::start(options).await.unwrap();
        assert_eq!(options_seen.get(), Some(State::Running));
        engine.stop(batch_core::StopMode::Kill);
        engine.finish().await.unwrap();
    });
}

#[test]
fn a_removed_batch_is_missing_and_leaves_nothing() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("fine")]);
        remove(std::slice::from_ref(&file)).await.unwrap();
        let refused = request(&file, Control::Pause).await.unwrap_err();
        assert!(
            matches!(refused, ActionError::Store(StoreError::Missing(_))),
            "{refused}"
        );
        assert!(!file.lease_path().exists());
    });
}

#[test]
fn what_is_no_batch_is_left_as_it_was() {
    on_one_thread(async {
        let place = Place::new();
        let path = place.path().join("notes");
        std::fs::write(&path, "no database").unwrap();
        let file = BatchFile::new(&path);
        let refused = request(&file, Control::Pause).await.unwrap_err();
        assert!(
            matches!(refused, ActionError::Store(StoreError::NotABatch(_))),
            "{refused}"
        );
        assert!(!file.lease_path().exists());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "no database");
    });
}

#[test]
fn an_executor_waits_for_who_has_the_lease_for_a_moment() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("fine")]);
        let (lease, _) = Lease::take(&file, &dead(0)).unwrap();
        let finish = place.finish(&file);
        let let_go = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(lease);
        };
        assert_eq!(tokio::join!(finish, let_go).0.open, 0);
    });
}

#[test]
fn a_run_that_is_being_stopped_says_so_whoever_stops_it() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("wait")]);
        let engine = place.engine(&file, false).await;
        engine.run().snapshot().await.unwrap();
        engine.run().stop(batch_core::StopMode::Graceful);
        engine.run().sync().await.unwrap();
        assert!(status(&file, false).unwrap().is_stopping());
        assert!(!place.add_to(&file, vec![task("fine")]).running);
        place.gate.notify_one();
        engine.finish().await.unwrap();
    });
}

#[test]
fn one_who_brings_a_batch_into_line_with_its_file_has_it_until_its_run() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("fine")]);
        let plan = place.plan(vec![task("fine"), task("bad")]);
        let mut settings = place.request(None).settings;
        settings.halt = Halt::FAIL_FAST;
        let both = || merge(&file, &plan, &settings, Durability::Fast);
        let (one, other) = tokio::join!(both(), both());
        let (merged, claim) = one.unwrap();
        assert_eq!(merged.new, 1);
        let refused = other.unwrap_err();
        assert!(matches!(refused, ActionError::Running { .. }), "{refused}");
        assert_eq!(status(&file, false).unwrap().state, State::Running);
        drop(claim);
        assert_eq!(both().await.unwrap().0.new, 0);
        let store = Store::open_read(file.clone()).unwrap();
        assert_eq!(store.overview().unwrap().totals.tasks(), 2);
        assert_eq!(store.info().unwrap().settings.halt, Halt::FAIL_FAST);
    });
}

#[test]
fn pruning_leaves_alone_what_is_worked_on_or_cannot_be_read() {
    on_one_thread(async {
        let place = Place::new();
        let over = place.batch(Vec::new());
        let held = place.batch(Vec::new());
        let broken = place.batch(Vec::new());
        std::fs::write(broken.path(), "no database").unwrap();
        let (_lease, _) = Lease::take(&held, &dead(0)).unwrap();
        let batch = |file: &BatchFile| Store::open_read(file.clone()).unwrap().batch();
        let expected = vec![batch(&over)];
        let pruned = prune(&place.home, Duration::ZERO, false).await.unwrap();
        assert_eq!(pruned.removed, expected);
        assert!(pruned.failed.is_empty());
        assert!(!over.path().exists());
        assert!(held.path().exists() && broken.path().exists());
    });
}
