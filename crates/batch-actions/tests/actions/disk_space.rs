//! A full disk: nothing is lost, everybody is told, and it goes on when there is room.

use std::sync::Arc;
use std::time::Duration;

use batch_actions::{
    ActionError, Control, Engine, State, StateReason, Stop, Until, Waited, request, status, wait,
};
use batch_store::{BatchFile, LeaseNote, Store, lock};

use crate::common::{Place, attend, on_one_thread, task};

/// Lets the file of a batch grow no more, as a full disk does, as long as someone has it.
struct FullDisk(Arc<std::sync::Mutex<Store>>);

impl FullDisk {
    fn of(engine: &Engine) -> Self {
        let store = Arc::clone(engine.store());
        let limit = |pages: u32| lock(&store).limit_pages(pages).unwrap();
        limit(limit(0));
        Self(store)
    }

    fn end(self) {
        lock(&self.0).limit_pages(1_000_000).unwrap();
    }
}

fn large(number: usize) -> batch_core::TaskSpec {
    let params = format!("{number}{}", "x".repeat(20_000));
    task("fine").with_params(&params).unwrap()
}

/// Waits until the batch says that it hangs for lack of space.
async fn is_told(file: &BatchFile) {
    let limit = Duration::from_secs(60);
    let told = async {
        loop {
            let status = status(file, false).unwrap();
            if status.state == State::Paused {
                let full = StateReason::Noted(LeaseNote::DiskFull);
                assert_eq!(status.reason, Some(full));
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(limit, told).await.unwrap();
}

#[test]
fn a_batch_that_is_being_filled_waits_for_room_and_loses_nothing() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("wait")]);
        let engine = Arc::new(place.engine(&file, true).await);
        let disk = FullDisk::of(&engine);
        let adder = engine.adder();
        let adding = std::thread::spawn(move || {
            let tasks: Vec<_> = (0..50).map(large).collect();
            tasks
                .chunks(10)
                .try_for_each(|tasks| adder.add(tasks, false))
        });
        let attended = Arc::clone(&engine);
        let attending = tokio::task::spawn_local(async move { attended.watch_requests().await });
        is_told(&file).await;
        assert!(!adding.is_finished());

        // It is nobody's wish that it hangs, so nobody has to take it back.
        assert_eq!(
            Store::open_read(file.clone())
                .unwrap()
                .info()
                .unwrap()
                .paused,
            None
        );
        disk.end();
        tokio::task::spawn_blocking(move || adding.join().unwrap().unwrap())
            .await
            .unwrap();
        engine.all_added(true).await.unwrap();
        place.gate.notify_one();
        attending.await.unwrap().unwrap();
        let finished = Arc::into_inner(engine).unwrap().finish().await.unwrap();
        assert_eq!(finished.open, 0);
        let status = status(&file, false).unwrap();
        assert_eq!((status.state, status.completed), (State::Completed, 51));
    });
}

#[test]
fn a_full_disk_passes_no_requests_on_and_says_so() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("loud"); 30]);
        let engine = place.engine(&file, false).await;
        let disk = FullDisk::of(&engine);
        let run = attend(engine);
        is_told(&file).await;
        let refused = request(&file, Control::Resume).await.unwrap_err();
        assert!(matches!(refused, ActionError::NotNow { .. }), "{refused}");
        disk.end();
        let (waited, status) = wait(&file, Until::Done, Some(Duration::from_secs(60)))
            .await
            .unwrap();
        assert_eq!((waited, status.completed), (Waited::Reached, 30));
        assert_eq!(run.await.unwrap().open, 0);
    });
}

#[test]
fn a_run_without_room_can_be_stopped_and_goes_on_later() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("loud"); 30]);
        let engine = Arc::new(place.engine(&file, false).await);
        let disk = FullDisk::of(&engine);
        let attended = Arc::clone(&engine);
        let attending = tokio::task::spawn_local(async move { attended.watch_requests().await });
        is_told(&file).await;
        engine.stop(Stop::Now.into());
        attending.await.unwrap().unwrap();
        disk.end();
        Arc::into_inner(engine).unwrap().finish().await.unwrap();
        assert_eq!(place.finish(&file).await.open, 0);
        let status = status(&file, false).unwrap();
        assert_eq!((status.state, status.completed), (State::Completed, 30));
    });
}
