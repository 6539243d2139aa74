//! Which batch a verb is about: the one named, by number, name, variable or in place of tasks; for `add` the one that
//! tasks are added to.

use serde_json::json;

use crate::common::{Ended, Place, finish};
use crate::harness::Live;

/// With a batch in `BEX_BATCH`.
fn with_variable(place: &Place, batch: &str, args: &[&str]) -> Ended {
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command.args(args).env("BEX_BATCH", batch);
    finish(command, b"")
}

fn batch_of(status: Ended) -> String {
    let status = status.expect(0).json();
    status["batch"].as_str().unwrap().to_owned()
}

/// Batches b1, named nightly, and b2.
fn two_batches() -> Place {
    let place = Place::new();
    let named = [
        "add", "--new", "--name", "nightly", "--id", "a", "--", "true",
    ];
    place.bex(&named).expect(0);
    place
        .bex(&["add", "--new", "--id", "b", "--", "true"])
        .expect(0);
    place
}

#[test]
fn a_batch_is_named_by_its_number_its_name_and_a_variable() {
    let place = two_batches();
    for name in ["b1", "1", "nightly"] {
        assert_eq!(
            batch_of(place.bex(&["status", "--json", "-b", name])),
            "b1",
            "{name}"
        );
        assert_eq!(
            batch_of(place.bex(&["status", "--json", name])),
            "b1",
            "{name}"
        );
        assert_eq!(
            batch_of(with_variable(&place, name, &["status", "--json"])),
            "b1"
        );
    }
    // What is named wins over the variable, and an empty one names nothing.
    assert_eq!(
        batch_of(with_variable(
            &place,
            "b1",
            &["status", "--json", "-b", "2"]
        )),
        "b2"
    );
    assert_eq!(
        batch_of(with_variable(&place, "b1", &["status", "--json", "b2"])),
        "b2"
    );
    assert_eq!(
        batch_of(with_variable(&place, "", &["status", "--json"])),
        "b2"
    );
    let shown = with_variable(&place, "b1", &["show", "b2.1", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["task_id"], "b2.1");

    let unknown = place.bex(&["status", "weekly"]).expect(2).stderr;
    assert!(
        unknown.contains("no batch named \"weekly\"") && unknown.contains("latest is b2"),
        "{unknown}"
    );
    let unknown = place.bex(&["status", "7"]).expect(2).stderr;
    assert!(unknown.contains("no batch b7"), "{unknown}");
    let unknown = with_variable(&place, "b9", &["status"]).expect(2).stderr;
    assert!(
        unknown.contains("BEX_BATCH: there is no batch b9"),
        "{unknown}"
    );
    place.bex(&["status", "b1", "-b", "b2"]).expect(2);
}

#[test]
fn the_latest_of_a_name_is_meant_and_a_number_is_a_number_first() {
    let place = two_batches();
    for name in ["nightly", "1", "77"] {
        place
            .bex(&["add", "--new", "--name", name, "--", "true"])
            .expect(0);
    }
    assert_eq!(batch_of(place.bex(&["status", "--json", "nightly"])), "b3");
    assert_eq!(batch_of(place.bex(&["status", "--json", "1"])), "b1");
    assert_eq!(batch_of(place.bex(&["status", "--json", "77"])), "b5");
}

#[test]
fn every_verb_takes_a_batch_where_tasks_may_stand() {
    let place = two_batches();
    let ids = |args: &[&str]| {
        let args = [args, &["--json"]].concat();
        let document = place.bex(&args).expect(0).json();
        let tasks = document["tasks"].as_array().unwrap().clone();
        tasks
            .iter()
            .map(|task| task["task_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&["results"]), ["b2.1"]);
    assert_eq!(ids(&["results", "b1"]), ["b1.1"]);
    assert_eq!(ids(&["results", "nightly", "a"]), ["b1.1"]);
    assert_eq!(ids(&["results", "b1", "1"]), ["b1.1"]);
    // A number is one of a task, and so is an id.
    assert_eq!(ids(&["results", "1"]), ["b2.1"]);
    assert_eq!(ids(&["results", "b"]), ["b2.1"]);
    place.bex(&["results", "b1", "b"]).expect(2);
    place.bex(&["results", "b9"]).expect(2);

    place.bex(&["export", "b1", "-o", "out.json"]).expect(0);
    assert!(place.read("out.json").contains("b1.1"));
    place.bex(&["set", "b1", "--priority", "high"]).expect(0);
    let shown = place.bex(&["show", "b1.1", "--json"]).expect(0).json();
    assert_eq!(shown["priority"], "high");
    place.bex(&["set", "nightly", "-j", "3"]).expect(0);
    let status = place.bex(&["status", "nightly", "--json"]).expect(0).json();
    assert_eq!(status["max_concurrent"], 3);
    place.bex(&["pause", "b1"]).expect(0);
    place.bex(&["wait", "1"]).expect(5);
    // All of it, as that is what is named.
    place.bex(&["cancel", "b1"]).expect(0);
    place.bex(&["cancel"]).expect(2);
    place.bex(&["wait", "b1"]).expect(1);
    place.bex(&["retry", "b1", "a"]).expect(0);
    place.bex(&["resume", "b1", "--progress", "none"]).expect(0);
    place.bex(&["clear", "b1"]).expect(0);
    assert_eq!(
        place.bex(&["status", "1", "--json"]).expect(0).json()["total"],
        0
    );
    let batch = place.bex(&["show", "b2"]).expect(2).stderr;
    assert!(
        batch.contains("b2 is a batch; name one of its tasks"),
        "{batch}"
    );
    place.bex(&["rm", "nightly", "2"]).expect(0);
    assert_eq!(place.bex(&["list"]).expect(0).stdout, "no batches\n");
}

#[test]
fn a_task_with_the_name_of_a_batch_is_the_task() {
    let place = two_batches();
    place
        .bex(&["add", "-b", "b2", "--id", "b1", "--", "true"])
        .expect(0);
    let shown = place.bex(&["show", "b1", "--json"]).expect(0).json();
    assert_eq!(shown["task_id"], "b2.2");
}

#[test]
fn tasks_are_added_to_what_was_added_and_is_not_finished() {
    let place = Place::new();
    let add = |more: &[&str]| {
        let args = [&["add"], more, &["--", "true"]].concat();
        place.bex(&args).expect(0).stdout
    };
    // The batch of a run is never taken unless it is named.
    place.bex(&["run", "--", "true", ":::", "a"]).expect(0);
    assert_eq!(add(&[]), "b2.1\n");
    place.bex(&["run", "--", "false", ":::", "a"]).expect(1);
    assert_eq!(add(&[]), "b2.2\n");
    assert_eq!(add(&["-b", "b1"]), "b1.2\n");
    // Nor one that is finished.
    place.bex(&["resume", "b2", "--progress", "none"]).expect(0);
    assert_eq!(add(&[]), "b4.1\n");
    place.bex(&["cancel", "b4"]).expect(0);
    assert_eq!(add(&[]), "b5.1\n");
    assert_eq!(add(&["--new"]), "b6.1\n");
    let args = ["add", "--", "true"];
    assert_eq!(
        with_variable(&place, "b5", &args).expect(0).stdout,
        "b5.2\n"
    );
    let args = ["add", "--new", "--", "true"];
    assert_eq!(
        with_variable(&place, "b5", &args).expect(0).stdout,
        "b7.1\n"
    );
    let status = place.bex(&["status", "b3", "--json"]).expect(0).json();
    assert_eq!(
        (&status["total"], &status["state"]),
        (&json!(1), &json!("failed"))
    );
}

#[test]
fn adds_of_one_moment_go_to_one_batch() {
    let live = Live::new();
    let adds: Vec<_> = (0..6).map(|_| live.spawn(&["add", "--", "true"])).collect();
    for add in adds {
        assert!(add.wait_with_output().unwrap().status.success());
    }
    let batches = live.json(&["list", "--json"], 0);
    assert_eq!(batches.as_array().unwrap().len(), 1);
    assert_eq!(live.status()["total"], 6);
}

#[test]
fn starting_what_runs_is_no_error_and_sets_how_many_run_at_once() {
    let mut live = Live::new();
    live.add_waiting("true");
    let started = live.place.bex(&["start", "-j", "1"]).expect(0);
    assert!(started.stderr.contains("bex watch -b b1"), "{started:?}");
    live.begun();
    let pid = live.executor();
    let again = live.bex(&["start", "b1"], 0);
    assert_eq!(again, format!("b1 is running already (process {pid})\n"));
    let again = live.bex(&["start", "-j", "4"], 0);
    assert!(again.contains("4 at once from now on"), "{again}");
    let reply = live.json(&["start", "--json"], 0);
    assert_eq!(
        (&reply["batch"], &reply["pid"]),
        (&json!("b1"), &json!(pid))
    );
    live.add_waiting("true");
    live.begun();
    assert_eq!(live.status()["max_concurrent"], 4);
    live.let_go(2);
    live.bex(&["wait"], 0);
}

#[test]
fn what_is_added_can_be_started_at_once() {
    let mut live = Live::new();
    let script = crate::harness::waiting("true");
    let first = live
        .place
        .bex(&["add", "--start", "--shell", &script])
        .expect(0);
    assert_eq!(first.stdout, "b1.1\n");
    assert!(
        first
            .stderr
            .contains("1 task added to b1; b1 started: process"),
        "{first:?}"
    );
    live.begun();
    // It runs already.
    let second = live
        .place
        .bex(&["add", "--start", "--json", "--shell", &script])
        .expect(0)
        .json();
    assert_eq!(
        (&second["first"], &second["running"]),
        (&json!("b1.2"), &json!(true))
    );
    live.let_go(2);
    live.bex(&["wait"], 0);
    let third = live.json(&["add", "--start", "--json", "--", "true"], 0);
    assert_eq!(
        (&third["first"], &third["running"]),
        (&json!("b2.1"), &json!(true))
    );
    assert!(third["started"]["pid"].is_u64(), "{third}");
    live.bex(&["wait"], 0);
}

#[test]
fn a_file_is_added_with_the_settings_that_agree_and_refused_with_others() {
    let place = Place::new();
    place.bex(&["add", "--new", "--", "true"]).expect(0);
    place.bex(&["set", "-j", "4"]).expect(0);
    let task = json!({ "command": ["true"], "limit": "gpu" });
    place.tasks(&json!({
        "name": "nightly", "max_concurrent": 4, "fail_fast": false, "limits": { "gpu": 1 }, "tasks": [task],
    }));
    let added = place.bex(&["add", "--file", "tasks.json"]).expect(0);
    assert_eq!(added.stdout, "b1.2\n");
    let status = place.bex(&["status", "nightly", "--json"]).expect(0).json();
    assert_eq!(
        (&status["batch"], &status["total"]),
        (&json!("b1"), &json!(2))
    );
    for (setting, value, told) in [
        ("name", json!("daily"), "name is \"nightly\", not \"daily\""),
        ("max_concurrent", json!(5), "max_concurrent is 4, not 5"),
        ("limits", json!({ "gpu": 2 }), "limits.gpu is 1, not 2"),
        ("fail_fast", json!(true), "halt is never, not now,fail=1"),
        (
            "halt",
            json!("soon,fail=2"),
            "halt is never, not soon,fail=2",
        ),
        (
            "batch_timeout",
            json!(60),
            "batch_timeout is none, not 1m00s",
        ),
        ("delay", json!(1), "delay is none, not 1.00s"),
    ] {
        place.tasks(&json!({ setting: value, "tasks": [{ "command": ["true"] }] }));
        let refused = place
            .bex(&["add", "-b", "b1", "--file", "tasks.json"])
            .expect(2);
        assert!(refused.stderr.contains(told), "{setting}: {refused:?}");
        assert!(
            refused.stderr.contains("bex add --new"),
            "{setting}: {refused:?}"
        );
        // A new batch has what it is asked for.
        place
            .bex(&["add", "--new", "--file", "tasks.json"])
            .expect(0);
    }
    assert_eq!(
        place.bex(&["status", "b1", "--json"]).expect(0).json()["total"],
        2
    );
    place.bex(&["resume", "b1", "--progress", "none"]).expect(0);
}

#[test]
fn a_limit_that_comes_with_tasks_holds_in_a_batch_that_runs() {
    let mut live = Live::new();
    live.add_waiting("true");
    live.bex(&["start", "-j", "4"], 0);
    live.begun();
    let script = crate::harness::waiting("true");
    let task = json!({ "shell": script, "limit": "one" });
    live.place
        .tasks(&json!({ "limits": { "one": 1 }, "tasks": [task, task] }));
    live.bex(&["add", "--file", "tasks.json"], 0);
    live.begun();
    // The answer to a request comes after all starts that are due.
    live.latest();
    live.assert_none_begun();
    let more = ["add", "--limit", "one", "--shell", &script];
    live.bex(&more, 0);
    live.latest();
    live.assert_none_begun();
    live.let_go(4);
    live.bex(&["wait"], 0);
}
