//! `simulate`, in virtual time.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::time::Duration;

use common::{Handlers, task};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn it_takes_its_time_and_no_real_one() {
    let begun = tokio::time::Instant::now();
    Handlers::new()
        .output("simulate", json!({"duration": "2h"}))
        .await;
    assert_eq!(begun.elapsed(), Duration::from_secs(7_200));
}

#[tokio::test(start_paused = true)]
async fn it_fails_always_never_or_the_first_times() {
    let handlers = Handlers::new();
    for (fail, fails) in [
        (json!(true), [true, true, true]),
        (json!(false), [false, false, false]),
        (json!(2), [true, true, false]),
        (json!(null), [false, false, false]),
    ] {
        for (attempt, fails) in (1..).zip(fails) {
            let mut task = task("simulate", json!({"fail": fail, "duration": 0.1}));
            task.attempt = attempt;
            assert_eq!(
                handlers.run_task(&task).await.is_err(),
                fails,
                "{fail} at {attempt}"
            );
        }
    }
}

#[test]
fn mistakes_are_named() {
    let handlers = Handlers::new();
    let problems = handlers.problems(
        "simulate",
        json!({"duration": "soon", "fial": 1, "fail": -1}),
    );
    assert_eq!(problems.len(), 3, "{problems:#?}");
}
