//! `bex start --stay`: an executor that waits for more tasks.

use crate::harness::Live;

#[test]
fn an_executor_that_stays_runs_what_is_added_later() {
    let live = Live::new();
    live.bex(&["add", "--shell", "echo one >> ran"], 0);
    live.bex(&["start", "--stay"], 0);
    live.bex(&["wait"], 0);
    let status = live.status();
    assert_eq!(
        (&status["state"], &status["completed"]),
        (&"idle".into(), &1.into())
    );
    assert!(status["pid"].is_number(), "{status}");

    live.bex(&["add", "-b", "b1", "--shell", "echo two >> ran"], 0);
    live.bex(&["wait", "--until", "2"], 0);
    assert_eq!(live.place.read("ran"), "one\ntwo\n");

    assert_eq!(live.bex(&["stop", "--wait"], 0), "b1 is completed\n");
    let status = live.status();
    assert_eq!(
        (&status["state"], &status["pid"]),
        (&"completed".into(), &serde_json::Value::Null)
    );
}

#[test]
fn a_batch_that_is_done_can_be_kept_open() {
    let live = Live::new();
    live.bex(&["run", "--", "true", ":::", "x"], 0);
    let started = live.json(&["start", "--stay", "-b", "b1", "--json"], 0);
    assert!(started["pid"].is_number(), "{started}");
    assert_eq!(live.status()["state"], "idle");
    live.bex(&["stop", "--wait"], 0);
}
