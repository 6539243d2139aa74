//! Wrong calls: each is answered with the argument that is wrong and a right call.

use batch_mcp_server::Limits;
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
    Invalid argument `batch`: unknown batch b9; the nearest and latest is b1
    A valid call: {"batch":"b1"}
    "#);
    insta::assert_snapshot!(told("bex_wait", json!({ "bacth": "b1" })), @r#"
    Invalid argument `bacth`: unknown field "bacth"; did you mean "batch"?
    A valid call: {"batch":"b1","timeout_s":40}
    "#);
    insta::assert_snapshot!(told("bex_run", json!({ "tasks": [{ "function": "simualte" }, { "shell": "true", "priority": "urgent" }] })), @r#"
    Invalid argument `tasks`: tasks[0].function: unknown function "simualte"; did you mean "simulate"?; tasks[1].priority: unknown priority "urgent"; it is one of critical, high, medium, low
    A valid call: {"tasks":[{"function":"command","params":{"argv":["wc","-l","a.txt"]}}]}
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
    for tool in ["bex_wait", "bex_status", "bex_results", "bex_control"] {
        let answer = place.answer(tool, &json!({ "action": "resume" }));
        let answer = match tool {
            "bex_control" => answer,
            _ => place.answer(tool, &json!({})),
        };
        // Nothing was wrong in it, so no argument is named.
        assert!(answer.structured.get("field").is_none(), "{}", answer.text);
        let right =
            "Error: there is no batch yet; create one with bex_run\nA valid call: bex_run {";
        assert!(answer.text.starts_with(right), "{}", answer.text);
        assert_eq!(answer.structured["example_tool"], "bex_run");
        let named = json!({ "batch": "b7", "action": "resume" });
        if tool == "bex_control" {
            let text = place.mistake(tool, named, "batch");
            assert!(text.contains("\nA valid call: bex_run {"), "{text}");
        }
    }
    assert!(!place.path("home").exists());
}

/// Wrong arguments of a tool, in a place with two batches of a failed task: the right call that is shown has the argument,
/// names what there is, and works.
fn all_are_shown_right(tool: &str, wrong: &[(Value, &str)]) {
    let place = Place::new();
    place.run(json!({ "shell": "echo {}; exit 1", "items": ["a"] }));
    let batch = place.run(json!({ "shell": "echo {}; exit 1", "items": ["a"] }));
    for (arguments, field) in wrong {
        let mut right = place.right(tool, arguments.clone(), field);
        assert!(right.get(field).is_some(), "{tool} {arguments}: {right}");
        assert_eq!(right["batch"].as_str().unwrap_or(&batch), batch, "{right}");
        if tool == "bex_run" {
            right["plan"] = true.into();
        }
        // What is in a file, and what a template takes, is not known.
        if tool.starts_with("bex_") && !["file", "template"].contains(field) {
            place.call(tool, right);
        }
    }
}

#[test]
fn a_right_run_has_the_argument_that_was_wrong() {
    let items = |field: &str, value: Value| {
        let mut call = json!({ "shell": "true {}", "items": ["a"] });
        call[field] = value;
        call
    };
    all_are_shown_right(
        "bex_run",
        &[
            (json!({ "file": "missing.json" }), "file"),
            (json!({ "template": "none" }), "template"),
            (json!({ "tasks": 1 }), "tasks"),
            (json!({ "command": "wc -l", "items": [] }), "command"),
            (items("wait_s", json!("soon")), "wait_s"),
            (items("timeout", json!([])), "timeout"),
            (items("max_concurrent", json!(0)), "max_concurrent"),
            (items("max_retries", json!(-1)), "max_retries"),
            (items("fail_fast", json!(1)), "fail_fast"),
        ],
    );
    let place = Place::with(Limits {
        root: Some("/nonexistent".into()),
        ..Limits::default()
    });
    let cwd = json!({ "tasks": [{ "shell": "true", "cwd": "/" }] });
    let right = place.right("bex_run", cwd, "tasks[0].cwd");
    assert!(right["tasks"][0].get("cwd").is_some(), "{right}");
}

#[test]
fn a_right_task_has_the_field_that_was_wrong() {
    let place = Place::new();
    for (field, value) in [
        ("cwd", json!(7)),
        ("priority", json!("urgent")),
        ("timeout", json!("soon")),
        ("env", json!(7)),
        ("tags", json!(7)),
        ("grace", json!("x")),
        ("retry", json!({ "backoff": "x" })),
        ("on_interrupt", json!("x")),
        ("allow_code", json!("x")),
        ("depends_on", json!(["none"])),
        ("shell", json!(7)),
    ] {
        let mut task = json!({ "shell": "true" });
        task[field] = value;
        let call = json!({ "tasks": [{ "shell": "true" }, task] });
        let right = place.right("bex_run", call, "tasks");
        let tasks = right["tasks"].as_array().unwrap();
        assert!(tasks.last().unwrap().get(field).is_some(), "{right}");
        let mut plan = right.clone();
        plan["plan"] = true.into();
        place.call("bex_run", plan);
    }
    let right = place.answer("batch_executor", &json!({ "action": "export" }));
    assert_eq!(right.structured["example"]["action"], "add");
}

#[test]
fn a_right_look_has_the_argument_that_was_wrong() {
    all_are_shown_right(
        "bex_wait",
        &[
            (json!({ "until": 1 }), "until"),
            (json!({ "cursor": "x" }), "cursor"),
        ],
    );
    all_are_shown_right(
        "bex_status",
        &[
            (json!({ "task": "b2.99" }), "task"),
            (json!({ "all": 1 }), "all"),
        ],
    );
    all_are_shown_right(
        "bex_results",
        &[
            (json!({ "fields": ["x"] }), "fields"),
            (json!({ "output": "x" }), "output"),
            (json!({ "cursor": "x" }), "cursor"),
            (json!({ "tasks": ["b2.99"] }), "tasks"),
            (json!({ "cause": "x" }), "cause"),
            (json!({ "limit": "x" }), "limit"),
            (json!({ "path": "/nonexistent/x.json" }), "path"),
            (json!({ "filter": "statos:x" }), "filter"),
        ],
    );
}

#[test]
fn a_right_change_has_the_argument_that_was_wrong() {
    all_are_shown_right(
        "bex_control",
        &[
            (json!({ "action": "set", "priority": "x" }), "priority"),
            (json!({ "action": "retry", "dry_run": 1 }), "dry_run"),
            (
                json!({ "action": "set", "max_concurrent": 0 }),
                "max_concurrent",
            ),
            (json!({ "action": "stop", "now": 1 }), "now"),
        ],
    );
    all_are_shown_right(
        "batch_executor",
        &[
            (json!({ "action": "add_batch" }), "tasks"),
            (json!({ "action": "add", "function": "shel" }), "function"),
            (
                json!({ "action": "add", "shell": "a", "priority": "x" }),
                "priority",
            ),
            (json!({ "action": "start", "timeout": "x" }), "timeout"),
            (json!({ "action": "results", "limit": "x" }), "limit"),
            (
                json!({ "action": "export", "output_file": "x", "format": "y" }),
                "format",
            ),
        ],
    );
}

#[test]
fn an_unknown_argument_is_shown_by_the_one_that_may_have_been_meant() {
    let place = Place::new();
    place.run(json!({ "shell": "echo {}", "items": ["a"] }));
    let right = place.right("bex_wait", json!({ "timeot_s": 3 }), "timeot_s");
    assert_eq!(right, json!({ "batch": "b1", "timeout_s": 40 }));
    let stop = json!({ "action": "stop", "kill": true });
    assert_eq!(
        place.right("bex_control", stop, "kill"),
        json!({ "action": "stop", "batch": "b1" })
    );
}

#[test]
fn the_wrong_task_is_not_offered_to_be_ended() {
    let place = Place::new();
    let items: Vec<String> = (1..=9).map(|n| n.to_string()).collect();
    place.run(json!({ "shell": "true {}", "items": items }));
    for action in ["cancel", "remove", "retry", "set"] {
        let call = json!({ "action": action, "tasks": ["b1.99"], "priority": (action == "set").then_some("high") });
        let text = place.mistake("bex_control", call.clone(), "tasks");
        assert!(text.contains("its tasks are b1.1 to b1.9"), "{text}");
        let right = place.right("bex_control", call, "tasks");
        assert_eq!(right["dry_run"], true, "{right}");
    }
    let task = json!({ "action": "add", "function": "shell", "params": { "script": "true" } });
    place.call("batch_executor", task);
    let wrong = json!({ "action": "cancel", "task_id": "b2.99" });
    let text = place.mistake("batch_executor", wrong.clone(), "task_id");
    assert!(text.contains("its tasks are b2.1 to b2.1"), "{text}");
    let right = place.right("batch_executor", wrong, "task_id");
    assert_eq!(right, json!({ "action": "results" }));
}

#[test]
fn what_is_wrong_in_a_file_is_told_by_its_line_and_how_much_there_is() {
    let place = Place::new();
    let mut lines = "{\"shell\": \"true\"}\n".to_owned();
    lines.push_str("{\"function\": \"shell\", \"params\": {\"skript\": \"x\"}}\n");
    place.write("one.jsonl", &lines);
    let text = place.mistake("bex_run", json!({ "file": "one.jsonl" }), "file");
    assert!(
        text.contains("one.jsonl:2: task 2: ") && text.contains("skript"),
        "{text}"
    );
    place.write(
        "many.jsonl",
        &"{\"function\": \"simualte\"}\n".repeat(2_000),
    );
    let text = place.mistake("bex_run", json!({ "file": "many.jsonl" }), "file");
    assert!(text.contains("10 of 2000 problems: "), "{text}");
    assert!(text.contains("many.jsonl:10: task 10: "), "{text}");
    let many = vec![json!({ "function": "simualte" }); 20];
    let text = place.mistake("bex_run", json!({ "tasks": many }), "tasks");
    assert!(
        text.contains("10 of 20 problems: tasks[0].function: "),
        "{text}"
    );
    let limited = place.limited(Limits {
        denied_functions: ["http".to_owned()].into(),
        environment: Some(Default::default()),
        ..Limits::default()
    });
    limited.write(
        "http.jsonl",
        "{\"shell\": \"true\"}\n{\"http\": {\"url\": \"http://a/\"}}\n",
    );
    let text = limited.mistake("bex_run", json!({ "file": "http.jsonl" }), "file");
    assert!(
        text.contains("http.jsonl:2: task 2: the operator does not allow \"http\""),
        "{text}"
    );
}

#[test]
fn numbers_are_taken_as_models_write_them() {
    let place = Place::new();
    let call = json!({ "shell": "true {}", "items": ["a"], "max_concurrent": 4.0, "max_retries": "2.0", "wait_s": 30 });
    assert_eq!(place.call("bex_run", call).structured["max_concurrent"], 4);
    place.settled("b1");
    for wrong in [json!(0), json!(-1), json!(2.5), json!("x")] {
        let set = json!({ "action": "set", "max_concurrent": wrong });
        let text = place.mistake("bex_control", set, "max_concurrent");
        assert!(text.contains("a whole number, 1 or more"), "{text}");
    }
    let text = place.mistake("bex_wait", json!({ "n": 2.5 }), "n");
    assert!(text.contains("a whole number, 0 or more"), "{text}");
}

#[test]
fn a_name_that_two_tasks_have_is_an_error_of_that_argument() {
    let place = Place::new();
    place.run(json!({ "tasks": [{ "shell": "true" }, { "id": "1", "shell": "true" }] }));
    for tool in ["bex_results", "bex_control"] {
        let mut call = json!({ "tasks": ["1"] });
        if tool == "bex_control" {
            call["action"] = "retry".into();
        }
        let text = place.mistake(tool, call, "tasks");
        assert!(text.contains("say which, with its batch"), "{text}");
    }
}
