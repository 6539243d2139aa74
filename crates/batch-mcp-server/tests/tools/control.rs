//! `bex_control`: changing a batch, and trying out what would change.

use serde_json::json;

use crate::place::{Place, count};

/// Five tasks: the first fails, the others wait for the file `go`.
fn held(place: &Place) -> String {
    let tasks = json!([
        { "id": "bad", "shell": "exit 3", "max_retries": 0, "priority": "critical" },
        { "id": "w1", "shell": "while [ ! -e go ]; do sleep 0.02; done" },
        { "id": "w2", "shell": "true", "tags": ["slow"] },
        { "id": "w3", "shell": "true", "tags": ["slow"] },
        { "id": "last-one", "shell": "true" },
    ]);
    place.call(
        "bex_run",
        json!({ "tasks": tasks, "max_concurrent": 1, "wait_s": 0 }),
    );
    place.call("bex_wait", json!({ "until": "first_failure" }));
    "b1".to_owned()
}

/// What only the actions change, whatever the executor does meanwhile.
fn counts(place: &Place) -> [u64; 3] {
    let status = place.call("bex_status", json!({}));
    ["total", "failed", "cancelled"].map(|what| count(&status, what))
}

#[test]
fn a_batch_is_paused_and_goes_on() {
    let place = Place::new();
    let batch = held(&place);
    let paused = place.call("bex_control", json!({ "batch": batch, "action": "pause" }));
    assert_eq!(paused.structured["state"], "paused");
    // Waiting for what nobody lets go on would be in vain.
    assert!(
        paused
            .text
            .contains("\nNext: bex_control {\"action\":\"resume\""),
        "{}",
        paused.text
    );
    place.write("go", "");
    place.call("bex_control", json!({ "batch": batch, "action": "resume" }));
    place.settled(&batch);
    let resumed = place.call("bex_control", json!({ "batch": batch, "action": "resume" }));
    assert!(
        resumed.text.starts_with("All tasks are finished."),
        "{}",
        resumed.text
    );
}

#[test]
fn a_stopped_batch_is_gone_on_with() {
    let place = Place::new();
    let batch = held(&place);
    place.call(
        "bex_control",
        json!({ "batch": batch, "action": "stop", "now": true }),
    );
    while place
        .call("bex_status", json!({ "batch": batch }))
        .structured["pid"]
        .is_u64()
    {
        std::thread::yield_now();
    }
    let stopped = place.call("bex_status", json!({ "batch": batch }));
    assert_eq!(stopped.structured["state"], "stopped", "{}", stopped.text);
    assert!(
        stopped
            .text
            .contains("Next: bex_control {\"action\":\"resume\""),
        "{}",
        stopped.text
    );
    place.write("go", "");
    place.call("bex_control", json!({ "batch": batch, "action": "resume" }));
    place.settled(&batch);
    let done = place.call("bex_status", json!({ "batch": batch }));
    assert_eq!((count(&done, "completed"), count(&done, "failed")), (4, 1));
}

#[test]
fn a_trial_names_what_the_action_then_changes() {
    let place = Place::new();
    let batch = held(&place);
    for (mut call, named) in [
        (
            json!({ "action": "cancel", "filter": "tag:slow" }),
            vec!["b1.3", "b1.4"],
        ),
        (
            json!({ "action": "set", "priority": "high", "tasks": ["last-one", "bad"] }),
            vec!["b1.5"],
        ),
        (
            json!({ "action": "remove", "all": true }),
            vec!["b1.1", "b1.3", "b1.4"],
        ),
    ] {
        call["batch"] = batch.clone().into();
        call["dry_run"] = true.into();
        let before = counts(&place);
        let would = place.call("bex_control", call.clone());
        assert_eq!(would.structured["first"], json!(named), "{}", would.text);
        assert_eq!(before, counts(&place), "a trial changes nothing");
        call.as_object_mut().unwrap().remove("dry_run");
        let next = format!("\nNext: bex_control {call}");
        assert!(would.text.contains(&next), "{} {next}", would.text);
        let done = place.call("bex_control", call);
        let count = format!("{} task", named.len());
        assert!(done.text.starts_with(&count), "{}", done.text);
    }
    place.write("go", "");
    place.settled(&batch);
}

#[test]
fn a_retry_is_told_as_it_is_done() {
    let place = Place::new();
    let tasks = json!([
        { "id": "a", "shell": "exit 1", "max_retries": 0 },
        { "id": "b", "shell": "true", "depends_on": ["a"] },
        { "id": "c", "shell": "true" },
    ]);
    let batch = place.run(json!({ "tasks": tasks }));
    let would = place.call("bex_control", json!({ "action": "retry", "dry_run": true }));
    // With a task come those that were cancelled because of it.
    assert_eq!(would.structured["first"], json!(["b1.1", "b1.2"]));
    let named = json!({ "action": "retry", "tasks": ["b1.3"], "dry_run": true });
    assert_eq!(
        place.call("bex_control", named).structured["first"],
        json!(["b1.3"])
    );
    let done = place.call("bex_control", json!({ "batch": batch, "action": "retry" }));
    // With a task go those that were cancelled because of it.
    assert!(
        done.text.starts_with("2 tasks queued again."),
        "{}",
        done.text
    );
    place.settled(&batch);
}

#[test]
fn what_an_action_would_ignore_is_refused() {
    let place = Place::new();
    let batch = held(&place);
    place.mistake(
        "bex_control",
        json!({ "action": "pause", "tasks": ["w1"] }),
        "tasks",
    );
    place.mistake(
        "bex_control",
        json!({ "action": "retry", "max_concurrent": 2 }),
        "max_concurrent",
    );
    place.mistake(
        "bex_control",
        json!({ "action": "cancel", "all": true, "now": true }),
        "now",
    );
    place.mistake("bex_control", json!({ "action": "cancel" }), "tasks");
    let text = place.mistake(
        "bex_control",
        json!({ "action": "remove", "batch": batch }),
        "tasks",
    );
    let right =
        "A valid call: {\"action\":\"remove\",\"all\":true,\"batch\":\"b1\",\"dry_run\":true}";
    assert!(text.ends_with(right), "{text}");
    place.mistake(
        "bex_control",
        json!({ "action": "pause", "dry_run": true }),
        "dry_run",
    );
    place.mistake(
        "bex_control",
        json!({ "action": "cancel", "cause": "c000000" }),
        "cause",
    );
    let text = place.mistake(
        "bex_control",
        json!({ "action": "cancel", "tasks": ["last-oen"] }),
        "tasks",
    );
    assert!(text.contains("did you mean \"last-one\"?"), "{text}");
    let status = place.call("bex_status", json!({ "batch": batch }));
    assert_eq!(
        (count(&status, "cancelled"), &status.structured["state"]),
        (0, &json!("running"))
    );
    place.write("go", "");
    place.settled(&batch);
}

#[test]
fn tasks_by_their_full_names_bring_their_batch() {
    let place = Place::new();
    place.run(json!({ "shell": "echo one {}", "items": ["a"] }));
    place.run(json!({ "shell": "echo two {}", "items": ["a"] }));
    let results = place.call("bex_results", json!({ "tasks": ["b1.1"] }));
    assert!(results.text.contains("| one a"), "{}", results.text);
}

#[test]
fn an_empty_choice_is_not_all_tasks() {
    let place = Place::new();
    let batch = held(&place);
    for action in ["cancel", "remove", "retry", "set"] {
        for (field, nothing) in [
            ("tasks", json!([])),
            ("tasks", json!("")),
            ("tasks", json!([" "])),
            ("status", json!([])),
            ("filter", json!("")),
            ("filter", json!(" ")),
            ("cause", json!("")),
        ] {
            for dry_run in [true, false] {
                let mut call = json!({ "batch": batch, "action": action, "dry_run": dry_run });
                call[field] = nothing.clone();
                if action == "set" {
                    call["priority"] = "high".into();
                }
                let text = place.mistake("bex_control", call, field);
                assert!(text.contains("all: true"), "{text}");
            }
        }
    }
    assert_eq!(counts(&place), [5, 1, 0]);
    place.write("go", "");
    place.settled(&batch);
}

#[test]
fn a_trial_tells_what_would_be_set() {
    let place = Place::new();
    let batch = held(&place);
    let set = json!({ "batch": batch, "action": "set", "max_concurrent": 5, "dry_run": true });
    let trial = place.call("bex_control", set);
    let told =
        "set would change max_concurrent from 1 to 5. Nothing was changed.\nNext: bex_control {";
    assert!(trial.text.starts_with(told), "{}", trial.text);
    assert_eq!(
        (
            &trial.structured["max_concurrent"],
            &trial.structured["tasks"]
        ),
        (&json!(5), &json!(0))
    );
    let both = json!({ "action": "set", "max_concurrent": 5, "priority": "low", "filter": "tag:slow", "dry_run": true });
    let both = place.call("bex_control", both);
    let told = "set would change max_concurrent from 1 to 5, and 2 tasks: b1.3, b1.4. ";
    assert!(both.text.starts_with(told), "{}", both.text);
    place.mistake(
        "bex_control",
        json!({ "action": "set", "dry_run": true }),
        "max_concurrent",
    );
    place.write("go", "");
    place.settled(&batch);
}

#[test]
fn what_was_cut_off_is_not_said_to_run() {
    let place = Place::new();
    let batch = held(&place);
    // That it runs is on record a moment after it began.
    let running = loop {
        let status = place.call("bex_status", json!({ "batch": batch }));
        if status.text.contains("\n  running b1.2 ") {
            break status;
        }
        std::thread::yield_now();
    };
    let pid = running.structured["pid"].to_string();
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid])
        .status();
    assert!(killed.unwrap().success());
    let status = loop {
        let status = place.call("bex_status", json!({ "batch": batch }));
        if status.structured["state"] == "interrupted" {
            break status;
        }
        std::thread::yield_now();
    };
    assert!(
        status.text.contains("\n  interrupted b1.2 "),
        "{}",
        status.text
    );
    assert!(!status.text.contains("running"), "{}", status.text);
    let cut = &status.structured["running_tasks"][0];
    assert_eq!(
        (&cut["cut_off"], cut.get("seconds")),
        (&json!(true), None),
        "{cut}"
    );
    place.write("go", "");
    place.call("bex_control", json!({ "batch": batch, "action": "resume" }));
    place.settled(&batch);
}
