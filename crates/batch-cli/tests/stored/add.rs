//! `bex add` and `bex template`: what gets into a batch, and what does not.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::common::Place;

#[test]
fn one_task_gives_its_id_and_the_next_goes_to_the_same_batch() {
    let place = Place::new();
    let first = place.bex(&["add", "--", "echo", "hi"]).expect(0);
    assert_eq!(first.stdout, "b1.1\n");
    assert_eq!(
        first.stderr,
        "bex: 1 task added to b1; start it with: bex start -b b1\n"
    );
    let second = place.bex(&["add", "--shell", "echo $HOME"]).expect(0);
    assert_eq!(second.stdout, "b1.2\n");
}

#[test]
fn the_batch_is_the_latest_a_new_one_or_the_one_named() {
    let place = Place::new();
    let add = |more: &[&str]| {
        let args = [&["add"], more, &["--", "true"]].concat();
        place.bex(&args)
    };
    assert_eq!(add(&[]).expect(0).stdout, "b1.1\n");
    assert_eq!(add(&["--new"]).expect(0).stdout, "b2.1\n");
    assert_eq!(add(&[]).expect(0).stdout, "b2.2\n");
    assert_eq!(add(&["-b", "b1"]).expect(0).stdout, "b1.2\n");
    let unknown = add(&["-b", "b9"]).expect(2);
    assert!(unknown.stderr.contains("no batch b9"), "{unknown:?}");
    assert!(unknown.stderr.contains("latest is b2"), "{unknown:?}");
}

#[test]
fn a_file_gives_all_its_tasks_and_its_settings() {
    let place = Place::new();
    let task = json!({ "command": ["true"] });
    place.tasks(&json!({ "name": "three", "max_concurrent": 7, "tasks": [task, task, task] }));
    let added = place.bex(&["add", "--file", "tasks.json"]).expect(0);
    assert_eq!(added.stdout, "b1.1 to b1.3\n");
    assert!(added.stderr.contains("3 tasks added to b1"), "{added:?}");
    let status = place.bex(&["status", "--json"]).expect(0).json();
    assert_eq!(
        (&status["name"], &status["max_concurrent"]),
        (&json!("three"), &json!(7))
    );
}

#[test]
fn the_reply_as_json_has_all_that_was_added() {
    let place = Place::new();
    let lines = b"{\"command\": [\"true\"]}\n{\"command\": [\"false\"]}\n";
    let args = ["add", "--file", "-", "--input", "jsonl", "--json"];
    let reply = place.bex_with(lines, &args).expect(0);
    assert_eq!(reply.stderr, "");
    assert_eq!(
        reply.json(),
        json!({
            "batch": "b1", "first": "b1.1", "last": "b1.2", "added": 2, "existing": 0, "running": false,
            "file": place.path("home/batches/b1.db"),
        })
    );
}

#[test]
fn a_table_gives_a_task_a_row() {
    let place = Place::new();
    std::fs::write(place.path("rows.csv"), "word\none\ntwo\n").unwrap();
    let template = json!({ "command": ["echo", "{{ row.word }}"] }).to_string();
    std::fs::write(place.path("task.json"), template).unwrap();
    let args = ["add", "--file", "rows.csv", "--template", "task.json"];
    assert_eq!(place.bex(&args).expect(0).stdout, "b1.1 to b1.2\n");
    let shown = place.bex(&["show", "2", "--json"]).expect(0).json();
    assert_eq!(shown["params"]["argv"], json!(["echo", "two"]));
}

#[test]
fn a_task_of_the_command_line_is_as_it_was_asked_for() {
    let place = Place::new();
    place.bex(&["add", "--id", "first", "--", "true"]).expect(0);
    let options = [
        "--id=second",
        "--task-name=The second",
        "--priority=high",
        "--max-retries=2",
        "--timeout=1m30s",
        "--tag=a",
        "--tag=b",
        "--depends-on=first",
    ];
    let what = ["--function", "simulate", "--params", r#"{"duration": 0}"#];
    place
        .bex(&[&["add"], &options[..], &what].concat())
        .expect(0);
    let task = place.bex(&["show", "second", "--json"]).expect(0).json();
    let expected = json!({
        "task_id": "b1.2", "id": "second", "name": "The second", "function": "simulate",
        "params": { "duration": 0 }, "priority": "high", "max_retries": 2, "tags": ["a", "b"],
        "depends_on": ["first"],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&task[name], value, "{name}");
    }
    let shown = place.bex(&["show", "second"]).expect(0).stdout;
    assert!(shown.contains("timeout    1m30s"), "{shown}");
    let first = place.bex(&["show", "first", "--json"]).expect(0).json();
    assert_eq!(
        first["max_retries"], 0,
        "commands are retried only where asked"
    );
}

#[test]
fn mistakes_of_a_file_are_all_told_and_nothing_is_made() {
    let place = Place::new();
    let lines = b"{\"function\": \"shel\", \"params\": {}}\n{\"command\": [\"true\"], \"priority\": \"urgent\"}\n";
    std::fs::write(place.path("tasks.jsonl"), lines).unwrap();
    let refused = place.bex(&["add", "--file", "tasks.jsonl"]).expect(2);
    assert_eq!(refused.stdout, "");
    for part in ["tasks.jsonl:1", "tasks.jsonl:2", "\"shel", "urgent"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert_eq!(place.bex(&["list"]).expect(0).stdout, "no batches\n");
}

#[test]
fn wrong_usage_adds_nothing() {
    let place = Place::new();
    place.tasks(&json!([{ "command": ["true"] }]));
    for args in [
        &["add"][..],
        &["add", "--shell", "a", "--", "b"],
        &["add", "--file", "tasks.json", "--", "b"],
        // What is said of one task is not said of a file.
        &["add", "--file", "tasks.json", "--id", "x"],
        &["add", "--file", "tasks.json", "--tag", "x"],
        &["add", "--file", "tasks.json", "--priority", "low"],
        &["add", "--file", "tasks.json", "--depends-on", "x"],
        &["add", "--file", "missing.json"],
        &["add", "--function", "shel"],
        &["add", "--function", "shell", "--params", "{"],
        &["add", "--depends-on", "nobody", "--", "true"],
        &["add", "--priority", "urgent", "--", "true"],
    ] {
        let refused = place.bex(args).expect(2);
        assert_eq!(refused.stdout, "", "{args:?}");
        assert_ne!(refused.stderr, "", "{args:?}");
    }
    assert_eq!(place.bex(&["list"]).expect(0).stdout, "no batches\n");
}

#[test]
fn a_key_has_one_batch() {
    let place = Place::new();
    let add = |command: &str| place.bex(&["add", "--key", "nightly", "--", command]);
    assert_eq!(add("true").expect(0).stdout, "b1.1\n");
    place.bex(&["add", "--new", "--", "echo"]).expect(0);
    let again = add("true").expect(0);
    assert_eq!(again.stdout, "b1.1\n");
    assert!(
        again
            .stderr
            .contains("0 tasks added to b1, 1 already there")
    );
    let other = add("false").expect(2);
    for part in ["\"nightly\"", "b1", r#"["true"]"#, r#"["false"]"#] {
        assert!(other.stderr.contains(part), "{part}: {}", other.stderr);
    }
    assert_eq!(
        place
            .bex(&["list", "--json"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_batch_that_is_named_wins_over_the_key_of_a_file() {
    let place = Place::new();
    place.bex(&["add", "--", "true"]).expect(0);
    place.tasks(&json!({ "key": "own", "tasks": [{ "command": ["true"] }] }));
    let add = |more: &[&str]| place.bex(&[&["add", "--file", "tasks.json"], more].concat());
    assert_eq!(add(&[]).expect(0).stdout, "b2.1\n");
    assert_eq!(add(&["-b", "b1"]).expect(0).stdout, "b1.2\n");
}

#[test]
fn an_id_has_one_task() {
    let place = Place::new();
    let add = |command: &str| place.bex(&["add", "--id", "x", "--", command]);
    assert_eq!(add("true").expect(0).stdout, "b1.1\n");
    let again = add("true").expect(0);
    assert_eq!(again.stdout, "b1.1\n");
    assert!(
        again
            .stderr
            .contains("0 tasks added to b1, 1 already there")
    );
    let other = add("false").expect(2);
    for part in ["b1.1", r#"["true"]"#, r#"["false"]"#] {
        assert!(other.stderr.contains(part), "{part}: {}", other.stderr);
    }
    let status = place.bex(&["status", "--json"]).json();
    assert_eq!(status["total"], 1);
}

#[test]
fn a_batch_may_lie_anywhere_and_is_for_its_owner_only() {
    let place = Place::new();
    let add = || place.bex(&["add", "--store", "mine.db", "--", "true"]);
    add().expect(0);
    assert!(add().expect(0).stdout.ends_with(".2\n"));
    let status = place.bex(&["status", "--store", "mine.db", "--json"]);
    assert_eq!(status.expect(0).json()["total"], 2);
    assert_eq!(place.bex(&["list"]).expect(0).stdout, "no batches\n");
    let mode = std::fs::metadata(place.path("mine.db"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn a_template_is_saved_shown_run_and_removed() {
    let place = Place::new();
    let template = json!({
        "params": { "word": { "type": "text" }, "count": { "type": "integer", "default": 2 } },
        "tasks": [{ "command": ["echo", "{{ params.word }}", "{{ params.count }}"] }],
    });
    std::fs::write(place.path("greet.json"), template.to_string()).unwrap();
    let save = ["template", "save", "greet", "greet.json"];
    let saved = place.bex(&save).expect(0).stdout;
    assert!(saved.contains("1 task, 2 parameters"), "{saved}");
    let twice = place.bex(&save).expect(2);
    assert!(twice.stderr.contains("--replace"), "{twice:?}");
    place.bex(&[&save[..], &["--replace"]].concat()).expect(0);
    let list = place.bex(&["template", "list", "--json"]).expect(0).json();
    assert_eq!(list[0]["name"], "greet");
    let shown = place.bex(&["template", "show", "greet"]).expect(0).stdout;
    assert!(shown.contains("--param word=<text>"), "{shown}");
    assert!(shown.contains("[default: 2]"), "{shown}");
    let run = [
        "run",
        "--template",
        "greet",
        "--param",
        "word=hi",
        "--format=raw",
    ];
    assert_eq!(place.bex(&run).expect(0).stdout, "hi 2\n");
    place.bex(&["template", "rm", "greet"]).expect(0);
    for gone in ["rm", "show"] {
        let refused = place.bex(&["template", gone, "greet"]).expect(2);
        assert!(refused.stderr.contains("greet"), "{refused:?}");
    }
}

#[test]
fn run_does_not_take_a_file_that_is_there() {
    let place = Place::new();
    place
        .bex(&["add", "--store", "mine.db", "--", "true"])
        .expect(0);
    let refused = place
        .bex(&["run", "--store", "mine.db", "--", "true", ":::", "x"])
        .expect(2);
    assert!(
        refused.stderr.contains("bex resume --store mine.db"),
        "{refused:?}"
    );
    let status = place.bex(&["status", "--store", "mine.db", "--json"]);
    assert_eq!(status.expect(0).json()["total"], 1, "nothing was added");
}

#[test]
fn a_key_runs_the_same_items_once_and_refuses_others() {
    let place = Place::new();
    let run = |item: &str| {
        place.bex(&[
            "run",
            "--key",
            "k",
            "--shell",
            "echo {} >> effects",
            ":::",
            item,
        ])
    };
    run("a").expect(0);
    let again = run("a").expect(0);
    assert!(again.stderr.contains("b1 has this key"), "{again:?}");
    let other = run("b").expect(2);
    assert!(other.stderr.contains("use another key"), "{other:?}");
    assert_eq!(place.read("effects"), "a\n");
}

#[test]
fn a_key_that_exists_ends_as_its_batch_stands() {
    let place = Place::new();
    place.tasks(&json!([{ "command": ["test", "-e", "there"], "max_retries": 0 }]));
    let run = |code| {
        let ended = place.bex(&["run", "--key", "k", "tasks.json"]).expect(code);
        ended.stderr
    };
    place
        .bex(&["add", "--key", "k", "--file", "tasks.json"])
        .expect(0);
    let new = run(5);
    assert!(
        new.contains("is new: 1 queued; continue with: bex resume -b b1"),
        "{new}"
    );
    place.bex(&["resume", "--format", "none"]).expect(1);
    let failed = run(1);
    assert!(failed.contains("1 failed"), "{failed}");
    assert!(failed.contains("bex retry -b b1"), "{failed}");
    std::fs::write(place.path("there"), "").unwrap();
    place.bex(&["retry"]).expect(0);
    place.bex(&["resume", "--format", "none"]).expect(0);
    let completed = run(0);
    assert!(completed.contains("is completed"), "{completed}");
}

#[test]
fn hints_name_a_batch_that_lies_elsewhere_by_its_file() {
    let place = Place::new();
    let at = ["--store", "my batch.db"];
    let told = |args: &[&str], code| {
        let args = [&args[..1], &at, &args[1..]].concat();
        let ended = place.bex(&args).expect(code);
        let text = ended.stdout + &ended.stderr;
        assert!(!text.contains("-b b"), "{text}");
        text
    };
    let named = |text: &str, verb: &str| {
        let hint = format!("bex {verb} --store 'my batch.db'");
        assert!(text.contains(&hint), "{hint}: {text}");
    };
    named(&told(&["add", "--", "test", "-e", "there"], 0), "start");
    named(&told(&["why", "1"], 0), "start");
    named(&told(&["pause"], 0), "resume");
    told(&["resume", "--format", "none"], 1);
    named(&told(&["retry"], 0), "resume");
    named(&told(&["why", "1"], 0), "resume");
}
