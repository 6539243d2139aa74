//! Tasks that do not start yet: held until they are released, or scheduled.

use serde_json::json;

use crate::common::Place;

/// A batch of which the second task is held and needs the first, and nothing was run yet.
fn with_a_held_task() -> Place {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "first", "shell": "echo one >> ran"},
        {"id": "second", "shell": "echo two >> ran", "hold": true, "depends_on": ["first"]},
    ]));
    place.bex(&["add", "--file", "tasks.json"]).expect(0);
    place
}

#[test]
fn a_held_task_waits_for_its_release() {
    let place = with_a_held_task();
    let held =
        |place: &Place| place.bex(&["show", "second", "--json"]).expect(0).json()["reason"].clone();
    assert_eq!(held(&place), "held");
    let ended = place.bex(&["resume"]).expect(5);
    assert_eq!(
        (place.read("ran").as_str(), held(&place)),
        ("one\n", "held".into())
    );
    assert!(ended.stderr.contains("1 task is held"), "{}", ended.stderr);
    place.bex(&["release", "second"]).expect(0);
    place.bex(&["resume"]).expect(0);
    assert_eq!(place.read("ran"), "one\ntwo\n");
}

#[test]
fn a_released_task_still_waits_for_what_it_needs() {
    let place = with_a_held_task();
    place.bex(&["release", "second"]).expect(0);
    assert_eq!(
        place.bex(&["show", "second", "--json"]).expect(0).json()["reason"],
        "waiting for dependencies"
    );
    place.bex(&["resume", "-j1"]).expect(0);
    assert_eq!(place.read("ran"), "one\ntwo\n");
}

#[test]
fn only_held_tasks_are_released() {
    let place = with_a_held_task();
    let refused = place.bex(&["release", "first"]).expect(2);
    assert!(refused.stderr.contains("not held"), "{}", refused.stderr);
    place.bex(&["release", "--all"]).expect(0);
    place.bex(&["resume"]).expect(0);
}

#[test]
fn a_task_does_not_start_before_its_time() {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "later", "shell": "date +%s.%N > later", "not_before": "+1s"},
        {"id": "never", "shell": "true", "not_before": "2999-01-01T08:00:00Z"},
    ]));
    let before = std::time::SystemTime::now();
    place.bex(&["add", "--file", "tasks.json"]).expect(0);
    let never = place.bex(&["show", "never", "--json"]).expect(0).json();
    assert_eq!(never["reason"], "delayed");
    place.bex(&["cancel", "never"]).expect(0);
    place.bex(&["resume"]).expect(1);
    let seconds: f64 = place.read("later").trim().parse().unwrap();
    let since = before
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    assert!(
        seconds - since >= 1.0,
        "started after {} s",
        seconds - since
    );
    assert_eq!(
        place.bex(&["show", "later", "--json"]).expect(0).json()["status"],
        "completed"
    );
}

#[test]
fn a_time_that_is_none_is_refused() {
    let place = Place::new();
    place.tasks(&json!([{"shell": "true", "not_before": "soon"}]));
    let refused = place.bex(&["run", "tasks.json"]).expect(2);
    assert!(
        refused.stderr.contains("\"soon\" is no time"),
        "{}",
        refused.stderr
    );
}
