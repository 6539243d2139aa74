//! Requests: handled once, by the executor they were meant for, and by nobody when nobody waits for the answer.

use std::time::Duration;

use batch_actions::{Control, State, Stop, request, request_executor, status};
use batch_core::Status;
use batch_store::{Durability, Store};

use crate::common::{Place, about, attend, cancel, clear, on_one_thread, retry, task};

#[test]
fn what_was_asked_of_an_executor_that_died_is_no_matter_of_the_next() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("fine")]);
        let mut store = Store::open(file.clone(), Durability::Fast).unwrap();
        let stop = r#"{"do":"stop","how":"now"}"#;
        store.add_request(stop, batch_actions::now()).unwrap();
        let finished = place.finish(&file).await;
        assert_eq!(finished.open, 0);
        assert_eq!(status(&file, false).unwrap().state, State::Completed);
    });
}

#[test]
fn a_request_that_nobody_waits_for_is_taken_back() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("wait")]);
        // Nobody attends to it, so nothing is answered.
        let engine = place.engine(&file, false).await;
        let asked = request(&file, Control::Pause);
        let limit = Duration::from_millis(50);
        assert!(tokio::time::timeout(limit, asked).await.is_err());
        let store = Store::open_read(file.clone()).unwrap();
        assert_eq!(store.requests_after(0).unwrap(), []);
        engine.stop(batch_core::StopMode::Kill);
        engine.finish().await.unwrap();
    });
}

#[test]
fn a_running_executor_answers() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("wait"), task("wait")]);
        let run = attend(place.engine(&file, false).await);
        let reply = request(&file, about(&[2], cancel)).await.unwrap();
        assert_eq!((reply.changed, reply.refused_in_all), (1, 0));
        let added = place.add_to(&file, vec![task("fine")]);
        assert!(added.running);
        request(&file, Control::Stop { how: Stop::Kill })
            .await
            .unwrap();
        assert_eq!(run.await.unwrap().open, 1);
        assert!(!place.add_to(&file, vec![task("fine")]).running);
    });
}

#[test]
fn only_an_executor_is_asked_where_nobody_else_is_to_do_it() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![task("wait")]);
        request(&file, Control::Pause).await.unwrap();
        let paused = || status(&file, false).unwrap().state == State::Paused;
        // That it goes on would be said of a batch that nobody runs.
        assert_eq!(
            request_executor(&file, Control::Resume).await.unwrap(),
            None
        );
        assert!(paused());
        let run = attend(place.engine(&file, false).await);
        let reply = request_executor(&file, Control::Resume).await.unwrap();
        assert!(reply.is_some() && !paused());
        request(&file, Control::Stop { how: Stop::Kill })
            .await
            .unwrap();
        run.await.unwrap();
    });
}

#[test]
fn clearing_a_failure_lets_nothing_run_that_needs_it() {
    on_one_thread(async {
        let place = Place::new();
        let file = place.batch(vec![
            task("fine").with_id("first"),
            task("bad").with_id("needy").after("first"),
        ]);
        place.finish(&file).await;
        // Its results may be wanted when the other one is retried.
        assert_eq!(request(&file, about(&[1], clear)).await.unwrap().changed, 0);
        assert_eq!(
            request(&file, about(&[1, 2], clear)).await.unwrap().changed,
            2
        );

        let file = place.batch(vec![
            task("bad").with_id("a"),
            task("fine").with_id("b").after("a"),
            task("fine").after("b"),
            task("bad"),
        ]);
        place.finish(&file).await;
        // What failed is needed by the two that were cancelled for it.
        let reply = request(&file, about(&[1, 2, 4], clear)).await.unwrap();
        assert_eq!(reply.changed, 1);
        let reply = request(&file, about(&[3], retry)).await.unwrap();
        assert_eq!((reply.changed, reply.refused_in_all), (0, 1));
        assert!(reply.refused[0].why.contains("which failed; retry"));
        place.finish(&file).await;
        let store = Store::open_read(file.clone()).unwrap();
        let overview = store.overview().unwrap();
        assert_eq!(overview.totals.count(Status::Completed), 0);
        assert_eq!(overview.totals.tasks(), 3);
        // All of them together can go.
        let reply = request(&file, about(&[1, 2, 3], clear)).await.unwrap();
        assert_eq!(reply.changed, 3);
    });
}
