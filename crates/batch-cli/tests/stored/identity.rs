//! What makes a task the same work: how it is spelt does not, what it does does.

use serde_json::{Value, json};

use crate::common::Place;

/// One task in all spellings that mean the same.
const SPELLINGS: [&str; 7] = [
    r#"[{"id":"p","function":"shell","params":{"script":"echo ran >> r","stdin":"ä/"}}]"#,
    "[\n  {\n \"params\": { \"stdin\": \"ä/\", \"script\": \"echo ran >> r\" },\n \"function\": \"shell\", \"id\": \"p\"}\n]",
    r#"[{"id":"p","function":"shell","params":{"script":"echo\u0020ran >> r","stdin":"\u00e4\/"}}]"#,
    r#"[{"id":"p","function":"shell","params":{"script":"echo ran >> r","stdin":"ä/","cwd":null,"env":null},"cwd":null}]"#,
    r#"{"tasks":[{"id":"p","shell":"echo ran >> r","stdin":"ä/","env":{},"cwd":".","depends_on":[]}]}"#,
    r#"[{"id":"p","shell":"echo ran >> r","stdin":"ä/","timeout":9,"max_retries":1,"priority":"high","tags":["t"],"grace":1}]"#,
    r#"[{"id":"p","function":"shell","params":{"script":"no","script":"echo ran >> r","stdin":"ä/"}}]"#,
];

/// The line of `bex run --resume` on a file that was run with `before` in it and has `after` now.
fn resumed(place: &Place, file: &str, text: &str) -> String {
    std::fs::write(place.path(file), text).unwrap();
    let ended = place.bex(&["run", "--resume", "--store", "b.db", file]);
    let line = ended.stderr.lines().find(|line| line.contains(" kept, "));
    line.unwrap_or_else(|| panic!("{ended:?}"))
        .split_once(": continuing b1: ")
        .unwrap()
        .1
        .to_owned()
}

fn run(place: &Place, file: &str, text: &str) {
    std::fs::write(place.path(file), text).unwrap();
    place.bex(&["run", "--store", "b.db", file]);
}

const ONE_KEPT: &str = "1 kept, 0 new, 0 failed before, 0 unfinished, 0 gone";
const ONE_NEW: &str = "0 kept, 1 new, 0 failed before, 0 unfinished, 1 gone";

#[test]
fn a_task_that_is_spelt_in_another_way_is_not_run_again() {
    let place = Place::new();
    run(&place, "w.json", SPELLINGS[0]);
    for text in SPELLINGS {
        assert_eq!(resumed(&place, "w.json", text), ONE_KEPT, "{text}");
    }
    let yaml = "- id: p\n  shell: \"echo ran >> r\"\n  stdin: ä/\n";
    assert_eq!(resumed(&place, "w.yaml", yaml), ONE_KEPT);
    let line = r#"{"stdin": "ä/", "shell": "echo ran >> r", "id": "p"}"#;
    assert_eq!(resumed(&place, "w.jsonl", line), ONE_KEPT);
    let template = r#"{"id": "{{ row.id }}", "shell": "echo ran >> r", "stdin": "{{ row.in }}"}"#;
    std::fs::write(place.path("t.json"), template).unwrap();
    std::fs::write(place.path("w.csv"), "id,in\np,ä/\n").unwrap();
    let args = [
        "run",
        "--resume",
        "--store",
        "b.db",
        "--template",
        "t.json",
        "w.csv",
    ];
    assert!(place.bex(&args).expect(0).stderr.contains(ONE_KEPT));
    assert_eq!(place.read("r"), "ran\n");
}

#[test]
fn numbers_count_by_value_and_to_the_last_digit() {
    let task = |number: &str| {
        let code = "def process(n): return n";
        format!(
            r#"[{{"function":"custom_function","params":{{"code":"{code}","args":{{"n":{number}}}}}}}]"#
        )
    };
    for (before, after, kept) in [
        ("1", "1.0", true),
        ("1", "10e-1", true),
        ("0", "-0.0", true),
        ("0.10", "1E-1", true),
        ("1e-999999999", "10e-1000000000", true),
        (
            "12345678901234567890123",
            "1234567890123456789012.3e1",
            true,
        ),
        ("12345678901234567890123", "12345678901234567890124", false),
        ("9007199254740993", "9007199254740992", false),
        ("1", "true", false),
        ("1", "\"1\"", false),
        ("{}", "{\"a\": null}", false),
        ("[1, 2]", "[2, 1]", false),
    ] {
        let place = Place::new();
        let (before, after) = (task(before), task(after));
        place.bex_with(before.as_bytes(), &["run", "--store", "b.db", "-"]);
        let wanted = if kept { ONE_KEPT } else { ONE_NEW };
        assert_eq!(resumed(&place, "w.json", &after), wanted, "{after}");
    }
}

#[test]
fn the_order_of_dependencies_and_doubles_do_not_count_and_which_they_are_does() {
    let file = |needs: Value| {
        let shell = |id: &str| json!({ "id": id, "command": ["true"] });
        let mut last = shell("c");
        last["depends_on"] = needs;
        json!([shell("a"), shell("b"), last]).to_string()
    };
    let place = Place::new();
    run(&place, "w.json", &file(json!(["a", "b"])));
    let kept = "3 kept, 0 new, 0 failed before, 0 unfinished, 0 gone";
    for same in [json!(["b", "a"]), json!(["a", "a", "b", "a"])] {
        assert_eq!(resumed(&place, "w.json", &file(same)), kept);
    }
    let changed = "2 kept, 1 new, 0 failed before, 0 unfinished, 1 gone";
    assert_eq!(resumed(&place, "w.json", &file(json!(["b"]))), changed);
    assert_eq!(
        resumed(&place, "w.json", &file(json!("b"))),
        "3 kept, 0 new, 0 failed before, 0 unfinished, 1 gone"
    );
}

#[test]
fn the_env_and_the_folder_that_are_written_count() {
    let task = json!({ "id": "p", "shell": "echo $V in $(basename $PWD) >> $R", "env": { "V": "1", "R": "R" } });
    let with = |field: &str, value: Value| {
        let mut task = task.clone();
        task[field] = value;
        json!([task]).to_string()
    };
    let in_defaults = |mut defaults: Value| {
        let mut task = task.clone();
        if defaults.get("env").is_some() {
            task.as_object_mut().unwrap().remove("env");
        } else {
            defaults["env"] = json!({});
        }
        json!({ "defaults": defaults, "tasks": [task] }).to_string()
    };
    for (after, kept) in [
        (with("env", json!({ "V": "2", "R": "R" })), false),
        (with("env", json!({ "R": "R" })), false),
        (with("env", json!({ "R": "R", "V": 1 })), true),
        (in_defaults(json!({ "env": { "V": "1", "R": "R" } })), true),
        (in_defaults(json!({ "env": { "V": "2", "R": "R" } })), false),
        (with("cwd", json!("sub")), false),
        (in_defaults(json!({ "cwd": "sub" })), false),
        (in_defaults(json!({ "cwd": "./" })), true),
        (
            in_defaults(json!({ "timeout": 5, "tags": ["x"], "max_retries": 0 })),
            true,
        ),
    ] {
        let place = Place::new();
        std::fs::create_dir(place.path("sub")).unwrap();
        run(&place, "w.json", &json!([task]).to_string());
        let wanted = if kept { ONE_KEPT } else { ONE_NEW };
        assert_eq!(resumed(&place, "w.json", &after), wanted, "{after}");
    }
}

#[test]
fn the_folder_one_stands_in_does_not_count() {
    let place = Place::new();
    for folder in ["here", "there", "here/sub", "there/sub"] {
        std::fs::create_dir_all(place.path(folder)).unwrap();
    }
    let text = json!([{ "shell": "pwd" }, { "shell": "pwd; true", "cwd": "sub" }]).to_string();
    std::fs::write(place.path("w.json"), text).unwrap();
    let run_in = |folder: &str, more: &[&str]| {
        let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
        command.current_dir(place.path(folder));
        command.args([&["run", "--store", "../b.db", "../w.json"], more].concat());
        crate::common::finish(command, b"").expect(0)
    };
    let ran = run_in("here", &[]).stdout;
    assert!(
        ran.contains("/here\n") && ran.contains("/here/sub\n"),
        "{ran}"
    );
    let resumed = run_in("there", &["--resume"]).stderr;
    assert!(resumed.contains("2 kept, 0 new"), "{resumed}");
}

#[test]
fn a_key_takes_the_same_tasks_in_any_spelling_and_no_others() {
    let place = Place::new();
    let run = |text: &str| place.bex_with(text.as_bytes(), &["run", "--key", "k", "-"]);
    run(SPELLINGS[0]).expect(0);
    for text in SPELLINGS {
        let again = run(text).expect(0);
        assert!(again.stderr.contains("these tasks already"), "{again:?}");
    }
    let env = r#"[{"id":"p","shell":"echo ran >> r","stdin":"ä/","env":{"V":"secret"}}]"#;
    let refused = run(env).expect(2).stderr;
    assert!(
        refused.contains("task 1 differs: env V is not there and was given"),
        "{refused}"
    );
    assert!(!refused.contains("secret"), "{refused}");
    let cwd = r#"[{"id":"p","shell":"echo ran >> r","stdin":"ä/","cwd":"/"}]"#;
    let refused = run(cwd).expect(2).stderr;
    assert!(
        refused.contains("cwd none is there, / was given"),
        "{refused}"
    );
    assert_eq!(place.read("r"), "ran\n");
}

#[test]
fn an_id_is_added_once_in_any_spelling() {
    let place = Place::new();
    let add = |params: &str| {
        place.bex(&[
            "add",
            "--id",
            "a",
            "--function",
            "simulate",
            "--params",
            params,
        ])
    };
    add(r#"{"duration": 0.5, "fail": false}"#).expect(0);
    for same in [
        r#"{"fail":false,"duration":5e-1}"#,
        r#"{ "duration" : 0.50, "fail" : false, "x": 1, "x": null }"#,
        r#"{"\u0066ail": false, "duration": 0.5}"#,
    ] {
        let added = add(same);
        assert!(
            added
                .stderr
                .contains("0 tasks added to b1, 1 already there"),
            "{added:?}"
        );
    }
    let other = add(r#"{"duration": 0.6, "fail": false}"#).expect(2).stderr;
    assert!(
        other.contains("has this id and other content: params"),
        "{other}"
    );
    let needing = [
        "add",
        "--id",
        "a",
        "--depends-on",
        "a",
        "--function",
        "simulate",
    ];
    let needing = [
        &needing[..],
        &["--params", r#"{"duration": 0.5, "fail": false}"#],
    ]
    .concat();
    let other = place.bex(&needing).expect(2).stderr;
    assert!(other.contains("depends_on"), "{other}");
}

/// A file that the version before wrote: three tasks that completed, of a key, one with `env` and `cwd`.
fn old_file(place: &Place) {
    let old = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/first-identity.db");
    std::fs::copy(old, place.path("b.db")).unwrap();
}

fn old_tasks() -> Value {
    json!([
        { "id": "p", "shell": "echo ran", "cwd": "/", "env": { "V": "1" } },
        { "command": ["true"], "depends_on": "p" },
        { "function": "simulate", "params": { "fail": false, "duration": 0 } },
    ])
}

#[test]
fn a_file_of_the_version_before_goes_on_by_what_it_knows() {
    let place = Place::new();
    old_file(&place);
    let kept = "3 kept, 0 new, 0 failed before, 0 unfinished, 0 gone";
    assert_eq!(resumed(&place, "w.json", &old_tasks().to_string()), kept);
    // It does not tell a folder that was written from the one its author stood in.
    let mut tasks = old_tasks();
    tasks[0].as_object_mut().unwrap().remove("cwd");
    assert_eq!(resumed(&place, "w.json", &tasks.to_string()), kept);
    tasks[0]["env"]["V"] = json!("2");
    let changed = "1 kept, 2 new, 0 failed before, 0 unfinished, 2 gone";
    assert_eq!(resumed(&place, "w.json", &tasks.to_string()), changed);
}

#[test]
fn a_key_of_the_version_before_is_found_and_takes_the_same_tasks() {
    let place = Place::new();
    old_file(&place);
    let keys = place.path("home/batches/keys");
    std::fs::create_dir_all(&keys).unwrap();
    let name = "1a7fcefb1e1623ddfe8dfbfbe0f59d21";
    let noted = format!("b1\n{}", place.path("b.db").display());
    std::fs::write(keys.join(name), noted).unwrap();
    let run = |tasks: &Value| {
        let text = tasks.to_string();
        place.bex_with(text.as_bytes(), &["run", "--key", "old-key", "-"])
    };
    let known = run(&old_tasks()).expect(0).stderr;
    assert!(
        known.contains("b1 has this key and these tasks already"),
        "{known}"
    );
    let mut tasks = old_tasks();
    tasks[0]["env"]["V"] = json!("2");
    let refused = run(&tasks).expect(2).stderr;
    assert!(refused.contains("env V has another value"), "{refused}");
}

/// A file whose runs died and were stopped, from before the end of a run was kept as a name with data.
#[test]
fn a_file_with_runs_of_the_version_before_is_read_and_goes_on() {
    let place = Place::new();
    let old = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/first-run-ends.db");
    std::fs::copy(old, place.path("old.db")).unwrap();
    let bex = |args: &[&str], code| {
        place
            .bex(&[args, &["--store", "old.db"]].concat())
            .expect(code)
    };
    let status = bex(&["status", "--json"], 0).json();
    assert_eq!(status["state"], "stopped");
    let counts =
        ["completed", "failed", "cancelled", "queued", "flaky"].map(|name| status[name].clone());
    assert_eq!(counts, [4, 3, 1, 2, 1]);
    let why = bex(&["why", "9"], 0).stdout;
    assert!(why.contains("attempt 2 was interrupted"), "{why}");
    bex(&["cancel", "9"], 0);
    assert_eq!(bex(&["status", "--json"], 0).json()["state"], "failed");
    let done = bex(&["resume"], 1).stderr;
    assert!(
        done.contains("4 completed, 3 failed, 3 cancelled"),
        "{done}"
    );
}
