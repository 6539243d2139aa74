//! Verbs that change a batch on which nobody works: `cancel`, `retry`, `clear`, `pause`, `set`, `rm`, `prune`.

use serde_json::{Value, json};

use crate::common::Place;

/// A batch b1 of five tasks, of which none has run.
fn queued() -> Place {
    let place = Place::new();
    let task =
        |id: &str, tag: &str| json!({ "id": id, "command": ["test", "-e", id], "tags": [tag] });
    place.tasks(&json!({
        "defaults": { "max_retries": 0 },
        "tasks": [task("a", "x"), task("b", "x"), task("c", "y"), task("d", "y"),
            { "id": "e", "command": ["true"], "depends_on": ["d"] }],
    }));
    place.bex(&["add", "--file", "tasks.json"]).expect(0);
    place
}

/// The same, of which a to d have failed and e was cancelled.
fn failed() -> Place {
    let place = queued();
    place.bex(&["resume", "--format", "none"]).expect(1);
    place
}

fn counts(place: &Place) -> Value {
    let status = place.bex(&["status", "--json"]).expect(0).json();
    let names = ["queued", "completed", "failed", "cancelled"];
    names.iter().map(|name| status[name].clone()).collect()
}

fn state(place: &Place) -> Value {
    place.bex(&["status", "--json"]).expect(0).json()["state"].clone()
}

#[test]
fn cancel_wants_a_choice() {
    let place = queued();
    let refused = place.bex(&["cancel"]).expect(2);
    assert!(refused.stderr.contains("--all"), "{refused:?}");
    assert_eq!(counts(&place), json!([5, 0, 0, 0]));
    let one = place.bex(&["cancel", "a", "3"]).expect(0);
    assert_eq!(one.stdout, "2 tasks cancelled\n");
    assert_eq!(counts(&place), json!([3, 0, 0, 2]));
    place.bex(&["cancel", "--filter", "tag:x"]).expect(0);
    assert_eq!(counts(&place), json!([2, 0, 0, 3]));
    // What needs a cancelled task is cancelled with it.
    place.bex(&["cancel", "d"]).expect(0);
    assert_eq!(counts(&place), json!([0, 0, 0, 5]));
    let why = place.bex(&["why", "e"]).expect(0).stdout;
    assert!(why.contains("because b1.4, which it needs"), "{why}");
    assert_eq!(
        place.bex(&["why", "a"]).expect(0).stdout,
        "b1.1 (a) was cancelled by the user.\n"
    );
}

#[test]
fn cancel_all_and_its_reply() {
    let place = queued();
    let reply = place.bex(&["cancel", "--all", "--json"]).expect(0).json();
    assert_eq!(reply["refused_in_all"], 0);
    assert_eq!(counts(&place), json!([0, 0, 0, 5]));
    // What is over cannot be cancelled.
    let late = place.bex(&["cancel", "a"]).expect(2);
    assert!(late.stderr.contains("already cancelled"), "{late:?}");
    assert_eq!(
        place.bex(&["cancel", "--all"]).expect(0).stdout,
        "0 tasks cancelled\n"
    );
}

#[test]
fn retry_queues_what_failed_and_what_needs_it() {
    let place = failed();
    assert_eq!(counts(&place), json!([0, 0, 4, 1]));
    let again = place.bex(&["retry"]).expect(0);
    assert_eq!(again.stdout, "5 tasks queued again\n");
    assert!(again.stderr.contains("bex start -b b1"), "{again:?}");
    assert_eq!(counts(&place), json!([5, 0, 0, 0]));
    for file in ["a", "b", "c", "d"] {
        std::fs::write(place.path(file), "").unwrap();
    }
    place.bex(&["resume", "--format", "none"]).expect(0);
    assert_eq!(counts(&place), json!([0, 5, 0, 0]));
    let task = place.bex(&["show", "a", "--json"]).expect(0).json();
    assert_eq!(
        task["attempts"].as_array().unwrap().len(),
        2,
        "every attempt is kept"
    );
}

#[test]
fn retry_takes_a_choice() {
    let place = failed();
    let status = place.bex(&["status", "--json"]).json();
    let cause = status["causes"][0]["cause"].as_str().unwrap();
    place.bex(&["retry", "a"]).expect(0);
    assert_eq!(counts(&place), json!([1, 0, 3, 1]));
    place.bex(&["retry", "--filter", "tag:x"]).expect(0);
    assert_eq!(counts(&place), json!([2, 0, 2, 1]));
    place.bex(&["retry", "--cause", cause]).expect(0);
    assert_eq!(counts(&place), json!([5, 0, 0, 0]));
    let open = place.bex(&["retry", "a"]).expect(2);
    assert!(open.stderr.contains("queued"), "{open:?}");
}

#[test]
fn clear_forgets_finished_tasks_and_keeps_the_rest() {
    let place = failed();
    place.bex(&["retry", "a"]).expect(0);
    let cleared = place.bex(&["clear", "--status", "failed"]).expect(0);
    assert_eq!(cleared.stdout, "2 finished tasks cleared: 2 failed\n");
    // One stays, as a cancelled task waits for it.
    assert_eq!(counts(&place), json!([1, 0, 1, 1]));
    place.bex(&["show", "b"]).expect(2);
    // A number is never given twice.
    assert_eq!(place.bex(&["add", "--", "true"]).expect(0).stdout, "b1.6\n");
    assert_eq!(
        place.bex(&["clear"]).expect(0).stdout,
        "2 finished tasks cleared: 1 failed, 1 cancelled\n"
    );
    assert_eq!(counts(&place), json!([2, 0, 0, 0]));
    assert_eq!(
        place.bex(&["clear", "--json"]).expect(0).json()["changed"],
        0
    );
}

#[test]
fn pause_is_remembered_until_the_batch_is_resumed() {
    let place = queued();
    let paused = place.bex(&["pause"]).expect(0);
    assert!(paused.stdout.contains("bex resume -b b1"), "{paused:?}");
    assert_eq!(state(&place), "paused");
    let why = place.bex(&["why", "a"]).expect(0).stdout;
    assert!(why.contains("bex resume"), "{why}");
    // Nobody would ever let it go on.
    place.bex(&["wait"]).expect(5);
    place.bex(&["resume", "--format", "none"]).expect(1);
    assert_eq!(state(&place), "failed");
}

#[test]
fn set_changes_the_slots_and_the_priorities() {
    let place = queued();
    assert_eq!(
        place.bex(&["set", "-j", "16"]).expect(0).stdout,
        "16 tasks run at once\n"
    );
    let one = place
        .bex(&["set", "-j", "1", "--priority", "low", "a"])
        .expect(0);
    assert_eq!(
        one.stdout,
        "1 task runs at once, 1 task now has priority low\n"
    );
    let reply = place.bex(&["set", "--priority", "high", "--filter", "tag:y", "--json"]);
    assert_eq!(reply.expect(0).json()["changed"], 2);
    let priority = |task: &str| place.bex(&["show", task, "--json"]).json()["priority"].clone();
    let expected = [("a", "low"), ("b", "medium"), ("c", "high"), ("d", "high")];
    for (task, is) in expected {
        assert_eq!(priority(task), is, "{task}");
    }
    assert_eq!(place.bex(&["status", "--json"]).json()["max_concurrent"], 1);
    place.bex(&["resume", "--format", "none"]).expect(1);
    let results = place.bex(&["results", "--json"]).expect(0).json();
    let mut order: Vec<(&str, &str)> = results["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|task| Some((task["started_at"].as_str()?, task["id"].as_str()?)))
        .collect();
    order.sort_unstable();
    assert_eq!(order.first().unwrap().1, "c");
    assert_eq!(order.last().unwrap().1, "a");
    let reply = place.bex(&["set", "-j", "3", "--json"]).expect(0).json();
    assert_eq!(
        (&reply["max_concurrent"], &reply["changed"]),
        (&json!(3), &json!(0))
    );
    for args in [
        &["set"][..],
        &["set", "a"],
        &["set", "-j", "2", "a"],
        &["set", "-j", "0"],
    ] {
        place.bex(args).expect(2);
    }
}

#[test]
fn stop_wants_somebody_to_stop() {
    let refused = queued().bex(&["stop"]).expect(2);
    assert!(refused.stderr.contains("nothing runs b1"), "{refused:?}");
}

#[test]
fn wait_and_watch_say_that_nobody_works_on_a_batch() {
    let place = queued();
    for verb in ["wait", "watch"] {
        let ended = place.bex(&[verb]).expect(5);
        assert!(ended.stdout.contains("5 queued"), "{ended:?}");
    }
    place.bex(&["resume", "--format", "none"]).expect(1);
    for verb in ["wait", "watch"] {
        let ended = place.bex(&[verb]).expect(1);
        assert!(ended.stdout.contains("4 failed, 1 cancelled"), "{ended:?}");
    }
    place.bex(&["clear"]).expect(0);
    place.bex(&["wait"]).expect(0);
}

#[test]
fn rm_removes_batches_with_all_their_files() {
    let place = failed();
    place.bex(&["add", "--new", "--", "true"]).expect(0);
    let removed = place.bex(&["rm", "b2", "b1", "b2"]).expect(0);
    assert_eq!(removed.stdout, "b1, b2 removed\n");
    let left: Vec<_> = std::fs::read_dir(place.path("home/batches"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('b'))
        .collect();
    assert_eq!(left, [""; 0]);
    // Its number is not given again.
    assert_eq!(place.bex(&["add", "--", "true"]).expect(0).stdout, "b3.1\n");
}

#[test]
fn prune_removes_old_finished_batches_only() {
    let place = failed();
    place.bex(&["add", "--new", "--", "true"]).expect(0);
    let prune = |more: &[&str]| place.bex(&[&["prune"], more].concat()).expect(0).stdout;
    assert_eq!(prune(&[]), "nothing to remove\n");
    let all = ["--older-than", "0"];
    assert_eq!(
        prune(&[&all[..], &["--dry-run"]].concat()),
        "would remove b1\n"
    );
    assert_eq!(prune(&[&all[..], &["--json"]].concat()), "[\"b1\"]\n");
    let list = place.bex(&["list", "--json"]).json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["batch"], "b2");
}

#[test]
fn clear_tells_how_many_of_each_status_went() {
    let place = failed();
    place
        .bex(&[
            "run", "--store", "b.db", "--format", "none", "--", "true", ":::", "x",
        ])
        .expect(0);
    let all = ["clear", "--store", "b.db"];
    assert_eq!(
        place.bex(&all).expect(0).stdout,
        "1 finished task cleared: 1 completed\n"
    );
    assert_eq!(
        place.bex(&all).expect(0).stdout,
        "0 finished tasks cleared\n"
    );
    let reply = place.bex(&["clear", "--json"]).expect(0).json();
    assert_eq!(
        reply["removed"],
        json!({ "completed": 0, "failed": 4, "cancelled": 1 })
    );
}

#[test]
fn show_has_the_priority_that_was_set_last() {
    let place = queued();
    place.bex(&["set", "--priority", "high", "a"]).expect(0);
    let shown = place.bex(&["show", "a"]).expect(0).stdout;
    assert!(shown.contains("priority   high"), "{shown}");
    place.bex(&["set", "--priority", "medium", "a"]).expect(0);
    let usual = place.bex(&["show", "a"]).expect(0).stdout;
    assert!(!usual.contains("priority"), "{usual}");
}
