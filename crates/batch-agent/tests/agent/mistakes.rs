//! Wrong calls: each is answered with the argument that is wrong and a right call.

use serde_json::{Value, json};

use crate::place::Place;

/// Wrong arguments of a tool, each with the one that is to be named, in a place with one batch.
fn all_are_named(tool: &str, wrong: &[(Value, &str)]) {
    let place = Place::new();
    place.run(json!({ "shell": "echo {}", "items": ["a"] }));
    for (arguments, field) in wrong {
        place.mistake(tool, arguments.clone(), field);
    }
}

#[test]
fn what_cannot_be_run_is_named() {
    let items = || json!(["a"]);
    all_are_named(
        "bex_run",
        &[
            (json!({ "shel": "x" }), "shel"),
            (json!({ "shell": "echo {}" }), "items"),
            (json!({ "shell": "echo '{}'", "items": items() }), "shell"),
            (
                json!({ "shell": "a", "command": ["a"], "items": [] }),
                "command",
            ),
            (json!({ "command": "wc -l", "items": items() }), "command"),
            (json!({ "command": [], "items": items() }), "command"),
            (json!({ "command": ["a"], "items": [{}] }), "items"),
            (json!({ "tasks": "x" }), "tasks"),
            (
                json!({ "tasks": [{ "shell": "true" }], "items": items() }),
                "items",
            ),
            (json!({ "tasks": [{ "function": "simualte" }] }), "tasks"),
            (json!({ "file": "missing.json" }), "file"),
            (json!({ "template": "none" }), "template"),
            (
                json!({ "shell": "true", "items": items(), "max_concurrent": 0 }),
                "max_concurrent",
            ),
            (
                json!({ "shell": "true", "items": items(), "wait_s": "soon" }),
                "wait_s",
            ),
            (
                json!({ "shell": "true", "items": items(), "timeout": [] }),
                "timeout",
            ),
        ],
    );
}

#[test]
fn what_cannot_be_waited_for_is_named() {
    all_are_named(
        "bex_wait",
        &[
            (json!({ "batch": "b999" }), "batch"),
            (json!({ "batch": 7 }), "batch"),
            (json!({ "cursor": "x" }), "cursor"),
            (json!({ "until": "never" }), "until"),
            (json!({ "until": "n" }), "n"),
            (json!({ "until": "done", "n": 3 }), "n"),
        ],
    );
    all_are_named(
        "bex_status",
        &[
            (json!({ "batch": "seven" }), "batch"),
            (json!({ "task": "b1.99999" }), "task"),
            (json!({ "all": true, "batch": "b1" }), "batch"),
        ],
    );
}

#[test]
fn what_has_no_results_is_named() {
    all_are_named(
        "bex_results",
        &[
            (json!({ "filter": "statos:failed" }), "filter"),
            (json!({ "cause": "c000000" }), "cause"),
            (json!({ "status": ["done"] }), "status"),
            (json!({ "output": "loud" }), "output"),
            (json!({ "fields": ["nmae"] }), "fields"),
            (json!({ "path": "results" }), "path"),
            (
                json!({ "path": "results.json", "fields": ["name"] }),
                "fields",
            ),
            (json!({ "batch": "b1", "tasks": ["b2.1"] }), "tasks"),
        ],
    );
}

#[test]
fn what_cannot_be_done_is_named() {
    all_are_named(
        "bex_control",
        &[
            (json!({}), "action"),
            (json!({ "action": "explode" }), "action"),
            (json!({ "action": "set" }), "max_concurrent"),
            (json!({ "action": "set", "priority": "urgent" }), "priority"),
        ],
    );
}

#[test]
fn long_nonsense_has_a_short_answer() {
    let place = Place::new();
    let long = "x\u{1b}\n".repeat(50_000);
    let mut unknown = serde_json::Map::new();
    unknown.insert(long.clone(), 1.into());
    for arguments in [
        unknown.into(),
        json!({ "batch": long }),
        json!({ "cursor": long }),
        json!({ "until": long }),
        json!({ "timeout_s": [long] }),
    ] {
        // Its length and its characters are checked in every call.
        assert!(place.answer("bex_wait", &arguments).is_error);
    }
}

#[test]
fn the_nearest_is_offered() {
    let place = Place::new();
    place.run(json!({ "shell": "echo {}", "items": ["a"] }));
    let told = |tool: &str, arguments: Value| place.answer(tool, &arguments).text;
    insta::assert_snapshot!(told("bex_status", json!({ "batch": "b9" })), @r#"
    Wrong argument `batch`: there is no batch b9; the nearest and latest is b1
    A right call: {"batch":"b7"}
    "#);
    insta::assert_snapshot!(told("bex_wait", json!({ "bacth": "b1" })), @r#"
    Wrong argument `bacth`: it is unknown; did you mean `batch`?
    A right call: {"batch":"b7","timeout_s":40}
    "#);
    insta::assert_snapshot!(told("bex_run", json!({ "tasks": [{ "function": "simualte" }, { "shell": "true", "priority": "urgent" }] })), @r#"
    Wrong argument `tasks`: tasks:1: task 2: unknown priority "urgent"; it is one of critical, high, medium, low
    A right call: {"items":["a.txt","b.txt"],"key":"count","shell":"wc -l {}"}
    "#);
}

#[test]
fn unknown_tools_and_no_batch_are_mistakes_too() {
    let place = Place::new();
    let arguments = serde_json::Map::new();
    let answer = place
        .agent()
        .call("bex_waits", &arguments, &Default::default());
    assert!(
        answer.is_error && answer.text.contains("did you mean bex_wait?"),
        "{}",
        answer.text
    );
    for tool in ["bex_wait", "bex_status", "bex_results"] {
        place.mistake(tool, json!({}), "batch");
    }
    assert!(!place.path("home").exists());
}
