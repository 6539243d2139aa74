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

/// A build that ends with a code, and what depends on how it ends.
fn after_a_build(code: u8) -> Place {
    let place = Place::new();
    let says = |id: &str, on: &str| json!({"id": id, "shell": format!("echo {id} >> ran"), "depends_on": [{"task": "build", "on": on}]});
    place.tasks(&json!({
        "defaults": {"max_retries": 0},
        "tasks": [
            {"id": "tidy", "shell": "echo tidy >> ran", "finally": true},
            {"id": "build", "shell": format!("echo build >> ran; exit {code}")},
            says("deploy", "success"),
            says("alarm", "failure"),
            says("note", "finished"),
        ],
    }));
    place
}

fn ran(place: &Place) -> Vec<String> {
    let ran = place.read("ran");
    let mut lines: Vec<String> = ran.lines().map(str::to_owned).collect();
    assert_eq!(
        (lines[0].as_str(), lines.last().unwrap().as_str()),
        ("build", "tidy")
    );
    lines.sort_unstable();
    lines
}

fn status_and_reason(place: &Place, task: &str) -> (String, String) {
    let shown = place.bex(&["show", task, "--json"]).expect(0).json();
    let text = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"))
}

#[test]
fn dependencies_run_after_a_failure_where_they_ask_for_it() {
    let place = after_a_build(1);
    place.bex(&["run", "tasks.json"]).expect(1);
    assert_eq!(ran(&place), ["alarm", "build", "note", "tidy"]);
    let deploy = status_and_reason(&place, "deploy");
    assert_eq!(
        deploy,
        ("cancelled".to_owned(), "dependency failed".to_owned())
    );
}

#[test]
fn what_is_for_a_failure_that_did_not_come_is_not_needed() {
    let place = after_a_build(0);
    place.bex(&["run", "tasks.json"]).expect(0);
    assert_eq!(ran(&place), ["build", "deploy", "note", "tidy"]);
    let alarm = status_and_reason(&place, "alarm");
    assert_eq!(alarm, ("completed".to_owned(), "not needed".to_owned()));
    let why = place.bex(&["why", "alarm"]).expect(0).stdout;
    assert!(why.contains("not needed"), "{why}");
    let results = place.bex(&["results", "--format", "json"]).expect(0).json();
    assert_eq!(results["metadata"]["completed"], 5);
}

#[test]
fn conditions_are_kept_in_the_file() {
    let place = after_a_build(1);
    place.bex(&["add", "--file", "tasks.json"]).expect(0);
    place.bex(&["resume"]).expect(1);
    assert_eq!(ran(&place), ["alarm", "build", "note", "tidy"]);
}

#[test]
fn what_runs_at_the_end_runs_after_a_failure_that_ended_the_batch() {
    let place = after_a_build(1);
    place.bex(&["run", "--fail-fast", "tasks.json"]).expect(1);
    assert_eq!(ran(&place), ["build", "tidy"]);
}

#[test]
fn wrong_conditions_are_refused() {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "a", "shell": "true", "finally": true, "depends_on": ["b"]},
        {"id": "b", "shell": "true", "depends_on": [{"task": "c", "on": "sucess"}]},
        {"id": "c", "shell": "true", "depends_on": [{"on": "failure"}]},
        {"id": "d", "shell": "true", "depends_on": ["a"]},
    ]));
    let told = place.bex(&["run", "tasks.json"]).expect(2).stderr;
    for part in ["did you mean \"success\"?", "names no task"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    place.tasks(&json!([
        {"id": "a", "shell": "true", "finally": true, "depends_on": ["b"]},
        {"id": "b", "shell": "true"},
        {"id": "d", "shell": "true", "depends_on": ["a"]},
    ]));
    let told = place.bex(&["run", "tasks.json"]).expect(2).stderr;
    assert!(told.contains("runs after all others"), "{told}");
    assert!(told.contains("nothing can wait for it"), "{told}");
}

#[test]
fn tasks_are_held_and_scheduled_from_the_command_line() {
    let place = Place::new();
    let add = |args: &[&str]| {
        let mut words = vec!["add"];
        words.extend(args);
        words.extend(["--", "true"]);
        place.bex(&words)
    };
    for args in [
        &["--hold"][..],
        &["--after", "2h"],
        &["--at", "22:00"],
        &["--at", "2999-12-01T08:00"],
    ] {
        add(args).expect(0);
    }
    let reason = |task: &str| status_and_reason(&place, task).1;
    assert_eq!(
        ["1", "2", "3", "4"].map(reason),
        ["held", "delayed", "delayed", "delayed"]
    );
    let told = add(&["--at", "soon"]).expect(2).stderr;
    assert!(told.contains("22:00"), "{told}");
    add(&["--at", "22:00", "--after", "1h"]).expect(2);
}

#[test]
fn a_group_may_end_otherwise_than_completed() {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "t-a", "shell": "exit 1", "max_retries": 0},
        {"id": "t-b", "shell": "exit 1", "max_retries": 0},
        {"id": "after", "shell": "echo after >> ran", "depends_on": [{"task": "t-*", "on": "finished"}]},
        {"id": "alarm", "shell": "echo alarm >> ran", "depends_on": [{"task": "t-*", "on": "failure"}]},
    ]));
    place.bex(&["run", "-j1", "tasks.json"]).expect(1);
    assert_eq!(place.read("ran"), "after\nalarm\n");
}

#[test]
fn what_runs_at_the_end_uses_no_results() {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "a", "shell": "exit 1"},
        {"id": "z", "finally": true, "shell": "echo {{ tasks.a.result.exit_code }}"},
    ]));
    let told = place.bex(&["run", "tasks.json"]).expect(2).stderr;
    assert!(told.contains("finally runs after all others"), "{told}");
}
