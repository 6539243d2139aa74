//! What the operator allows wins over what a call asks for.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use batch_mcp_server::Limits;
use serde_json::json;

use crate::place::Place;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_is_lowered_is_told() {
    let place = Place::with(Limits {
        max_concurrent: NonZeroU32::new(2),
        max_timeout: Some(Duration::from_secs(30)),
        ..Limits::default()
    });
    let call =
        json!({ "shell": "echo {}", "items": ["a", "b"], "max_concurrent": 50, "timeout": "1h" });
    let run = place.call("bex_run", call);
    assert_eq!(run.structured["max_concurrent"], 2);
    assert!(
        run.text
            .contains("\nNote: max_concurrent lowered from 50 to 2, the operator's limit"),
        "{}",
        run.text
    );
    assert!(
        run.text
            .contains("\nNote: the timeout of 2 tasks is 30 s, the operator's limit"),
        "{}",
        run.text
    );
    place.settled("b1");
    let set = place.call(
        "bex_control",
        json!({ "action": "set", "max_concurrent": 9 }),
    );
    assert_eq!(set.structured["max_concurrent"], 2, "{}", set.text);
    assert!(set.text.contains("lowered from 9 to 2"), "{}", set.text);
}

#[test]
fn a_batch_that_somebody_else_made_is_run_within_the_limit() {
    let place = Place::new();
    let batch = place.run(json!({ "shell": "exit 1; : {}", "items": ["a"], "max_concurrent": 50 }));
    let place = place.limited(Limits {
        max_concurrent: NonZeroU32::new(2),
        ..Limits::default()
    });
    let retried = place.call("bex_control", json!({ "batch": batch, "action": "retry" }));
    assert!(
        retried.text.contains("lowered from 50 to 2"),
        "{}",
        retried.text
    );
    place.settled(&batch);
    let status = place.call("bex_status", json!({ "batch": batch }));
    assert_eq!(status.structured["max_concurrent"], 2);
}

#[test]
fn nothing_leaves_the_root() {
    let place = Place::new();
    std::fs::create_dir(place.path("root")).unwrap();
    place.write("secret.json", "{\"tasks\": []}");
    std::os::unix::fs::symlink(place.path(""), place.path("root/out")).unwrap();
    std::os::unix::fs::symlink(place.path("new"), place.path("root/dangling")).unwrap();
    let root = place.path("root");
    let place = place.limited(Limits {
        root: Some(root),
        ..Limits::default()
    });
    let shell = |more: serde_json::Value| json!({ "tasks": [more] });
    for wrong in ["..", "/", "root/out", "root/dangling"] {
        place.mistake(
            "bex_run",
            shell(json!({ "shell": "true", "cwd": wrong })),
            "tasks[0].cwd",
        );
        let params = json!({ "function": "shell", "params": { "script": "true", "cwd": wrong } });
        place.mistake("bex_run", shell(params), "tasks[0].cwd");
    }
    // A folder of parameters is meant in that of the task.
    let in_sub = |cwd: &str| json!({ "function": "command", "params": { "argv": ["touch", "here"], "cwd": cwd }, "cwd": "root" });
    std::fs::create_dir_all(place.path("root/sub")).unwrap();
    std::os::unix::fs::symlink(place.path("root/sub"), place.path("root/within")).unwrap();
    for wrong in ["..", "sub/../..", "out", "out/new", "dangling"] {
        place.mistake("bex_run", shell(in_sub(wrong)), "tasks[0].cwd");
    }
    place.run(shell(in_sub("within")));
    assert!(place.path("root/sub/here").exists());
    for wrong in ["secret.json", "root/out/secret.json", "root/../secret.json"] {
        place.mistake("bex_run", json!({ "file": wrong }), "file");
    }
    place.run(shell(json!({ "shell": "pwd", "cwd": "root" })));
    for wrong in [
        "x.json",
        "root/out/x.json",
        "root/dangling/x.json",
        "/tmp/x.json",
    ] {
        place.mistake("bex_results", json!({ "path": wrong }), "path");
    }
    place.call("bex_results", json!({ "path": "root/x.json" }));
    let export = json!({ "action": "export", "output_file": "/tmp/x.json" });
    place.mistake("batch_executor", export, "output_file");
}

#[test]
fn files_below_the_root_are_read_and_written_over() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("sub")).unwrap();
    place.write("t.json", r#"[{"shell": "echo top"}]"#);
    place.write("sub/t.json", r#"[{"shell": "echo sub"}]"#);
    std::os::unix::fs::symlink("sub/t.json", place.path("link.json")).unwrap();
    let root = place.path("");
    let absolute = root.join("t.json");
    let place = place.limited(Limits {
        root: Some(root),
        ..Limits::default()
    });
    for file in [
        "t.json",
        "sub/t.json",
        "link.json",
        absolute.to_str().unwrap(),
    ] {
        place.run(json!({ "file": file }));
    }
    let task = json!({ "action": "add", "function": "shell", "params": { "script": "true" } });
    place.call("batch_executor", task);
    // A second time, over what is there.
    for _ in 0..2 {
        for path in ["x.json", "sub/x.json"] {
            place.call("bex_results", json!({ "batch": "b1", "path": path }));
            assert!(place.read(path).contains("top"), "{path}");
        }
        let export = json!({ "action": "export", "output_file": "y.json" });
        place.call("batch_executor", export);
        assert!(place.read("y.json").contains("\"tasks\""));
    }
}

#[test]
fn functions_variables_sizes_and_numbers_are_limited() {
    let place = Place::with(Limits {
        denied_functions: names(&["http"]),
        environment: Some(names(&["LANG"])),
        max_tasks: Some(3),
        max_bytes: Some(200),
        ..Limits::default()
    });
    let task = |task: serde_json::Value| json!({ "tasks": [{ "shell": "true" }, task] });
    let http = task(json!({ "http": { "url": "http://127.0.0.1:1/" } }));
    place.mistake("bex_run", http, "tasks[1].function");
    let env = task(json!({ "shell": "true", "env": { "PATH": "/x" } }));
    place.mistake("bex_run", env, "tasks[1].env");
    let long = task(json!({ "shell": "x".repeat(300) }));
    place.mistake("bex_run", long, "tasks[1].params");
    let many = json!({ "shell": "echo {}", "items": ["a", "b", "c", "d"] });
    place.mistake("bex_run", many, "items");
    // Bit by bit is not more either.
    let add =
        || json!({ "action": "add_batch", "tasks": [{ "shell": "true" }, { "shell": "true" }] });
    place.call("batch_executor", add());
    place.mistake("batch_executor", add(), "tasks");
    let only = place.limited(Limits {
        allowed_functions: names(&["simulate"]),
        ..Limits::default()
    });
    let text = only.mistake(
        "bex_run",
        task(json!({ "shell": "true" })),
        "tasks[0].function",
    );
    assert!(text.contains("allowed: simulate"), "{text}");
}
