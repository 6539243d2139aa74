//! Numbers at their ends, empty values, and files that are wrong in a hundred thousand places.
//!
//! The sizes are such that a look through all others for each would not end within the limit of a test.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::common::{Ended, Place};

#[track_caller]
fn refused(place: &Place, args: &[&str], wanted: &str) {
    let ended = place.bex(args).expect(2);
    assert!(ended.stderr.contains(wanted), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[test]
fn a_wait_that_ends_after_the_end_of_the_clock_is_one_without_a_limit() {
    let place = Place::new();
    place.bex(&["run", "--", "true", ":::", "a"]).expect(0);
    for long in ["213503982334601d", "18446744073709549568", "1e19"] {
        place.bex(&["wait", "--timeout", long]).expect(0);
    }
    for wrong in [
        "213503982334602d",
        "18446744073709551616s",
        "1e308",
        "-1",
        "nan",
        "inf",
        "",
        " ",
        "٣",
    ] {
        place
            .bex(&["wait", &format!("--timeout={wrong}")])
            .expect(2);
    }
    let wait = json!({ "tool": "bex_wait", "arguments": { "timeout_s": 1.8e19 } }).to_string();
    let answer = place.bex_with(wait.as_bytes(), &["tool"]).expect(0).json();
    assert!(answer["text"].is_string(), "{answer}");
}

#[test]
fn durations_of_ages_can_be_given_to_tasks() {
    let place = Place::new();
    let long = "213503982334601d";
    place.tasks(&json!({
        "batch_timeout": long,
        "tasks": [{
            "shell": "test -e x || { touch x; exit 1; }", "timeout": long, "grace": long, "max_retries": 1,
            "retry": { "backoff": "exponential", "initial": 0.001, "factor": 1e308, "max": 0.002 },
        }, { "function": "http", "params": { "url": "http://127.0.0.1:1/", "timeout": long }, "max_retries": 0 }]
    }));
    for durability in ["full", "none"] {
        let _ = std::fs::remove_file(place.path("x"));
        let ended = place
            .bex(&["run", "--durability", durability, "tasks.json"])
            .expect(1);
        let counts = "1 completed (1 flaky), 1 failed in";
        assert!(ended.stderr.contains(counts), "{ended:?}");
    }
}

#[test]
fn an_empty_function_is_a_function_that_there_is_not() {
    let place = Place::new();
    let empty = "the function is empty";
    for blank in ["", " "] {
        let function = ["--function", blank, "--params", "{}"];
        let run = [&["run"][..], &function, &[":::", "a"]].concat();
        refused(&place, &run, "--function is empty");
        refused(
            &place,
            &[&["add"][..], &function].concat(),
            "--function is empty",
        );
    }
    place.tasks(
        &json!([{ "function": "" }, { "function": 1 }, { "comand": ["a"] }, { "params": {} }]),
    );
    for args in [&["run", "tasks.json"][..], &["add", "--file", "tasks.json"]] {
        let ended = place.bex(args).expect(2).stderr;
        // Each is told once.
        assert!(ended.contains("4 problems in the input"), "{ended}");
    }
    let call =
        json!({ "tool": "bex_run", "arguments": { "tasks": [{ "function": "", "params": {} }] } });
    let answer = place
        .bex_with(call.to_string().as_bytes(), &["tool"])
        .expect(0)
        .json();
    assert!(answer["text"].as_str().unwrap().contains(empty), "{answer}");
    assert_eq!(answer["is_error"], true);
    refused(&place, &["list", "--no-such"], "--no-such");
    assert!(
        place
            .bex(&["list", "--json"])
            .expect(0)
            .stdout
            .contains("[]")
    );
}

/// A hundred problems are printed, and the number of the rest.
#[track_caller]
fn assert_cut(ended: &Ended, all: usize) {
    let text = &ended.stderr;
    assert!(
        text.contains(&format!("{all} problems in the input")),
        "{}",
        &text[..300]
    );
    let rest = format!("… and {} more problems", all - 100);
    assert!(text.contains(&rest), "{}", &text[text.len() - 300..]);
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("  tasks.json:"))
            .count(),
        100
    );
    assert!(text.len() < 100_000, "{}", text.len());
}

#[test]
fn misspelt_dependencies_and_functions_by_the_ten_thousand_are_told() {
    let place = Place::new();
    let tasks = |task: &dyn Fn(usize) -> Value| Value::from_iter((0..16_000).map(task));
    place.tasks(&tasks(&|n| {
        json!({ "id": format!("task-number-{n}"), "command": ["true"], "depends_on": format!("task-numbr-{n}") })
    }));
    let ended = place.bex(&["run", "tasks.json"]).expect(2);
    assert!(
        ended.stderr.contains("did you mean \"task-number-"),
        "{}",
        &ended.stderr[..300]
    );
    assert_cut(&ended, 16_000);
    place.tasks(&tasks(
        &|n| json!({ "function": format!("shel-{n}"), "params": {} }),
    ));
    assert_cut(&place.bex(&["run", "tasks.json"]).expect(2), 16_000);
    place.tasks(&tasks(&|_| json!({ "id": "a", "command": ["true"] })));
    assert_cut(&place.bex(&["run", "tasks.json"]).expect(2), 15_999);
}

#[test]
fn fields_tags_and_variables_by_the_hundred_thousand_are_read() {
    const MANY: usize = 100_000;
    let place = Place::new();
    let mut fields = String::from("[{\n\"shell\": \"true\"");
    (0..MANY).for_each(|n| write!(fields, ",\n\"shel{n}\": {n}").unwrap());
    std::fs::write(place.path("tasks.json"), fields + "}]").unwrap();
    assert_cut(&place.bex(&["run", "tasks.json"]).expect(2), MANY);

    let twice = ",\n\"env\": {}".repeat(MANY);
    std::fs::write(
        place.path("tasks.json"),
        format!("[{{\"shell\": \"true\"{twice}}}]"),
    )
    .unwrap();
    assert_cut(&place.bex(&["run", "tasks.json"]).expect(2), MANY - 1);

    let names = || (0..MANY).map(|n| format!("n{n}"));
    let variables: serde_json::Map<String, Value> =
        names().map(|name| (name, "1".into())).collect();
    let argv = Vec::from_iter(names());
    place.tasks(&json!({
        "defaults": { "tags": names().collect::<Vec<_>>() },
        "tasks": [{ "command": argv, "tags": names().collect::<Vec<_>>(), "env": variables }]
    }));
    place.bex(&["run", "--dry-run", "tasks.json"]).expect(0);
}

#[test]
fn a_long_cycle_is_told_in_a_line() {
    let place = Place::new();
    let task = |n: usize| {
        let next = (n + 1) % 20_000;
        json!({ "id": n.to_string(), "command": ["true"], "depends_on": next.to_string() })
    };
    place.tasks(&Value::from_iter((0..20_000).map(task)));
    let told = place.bex(&["run", "tasks.json"]).expect(2).stderr;
    assert!(
        told.contains("0 → 1 → ") && told.contains("(20000 tasks in all)"),
        "{told}"
    );
    assert!(told.len() < 1_000, "{told}");
}

#[test]
fn deep_texts_and_wide_tables_are_read_or_refused() {
    let place = Place::new();
    let deep = "[".repeat(10_000);
    for (name, text) in [
        ("a.json", deep.clone()),
        ("b.json", format!("{deep}{}", "]".repeat(10_000))),
        (
            "c.json",
            format!(
                "[{{\"function\":\"http\",\"params\":{{\"url\":\"http://h/\",\"body\":{deep}{}}}}}]",
                "]".repeat(10_000)
            ),
        ),
        ("d.yaml", deep.clone()),
        ("e.yaml", format!("{deep}{}", "]".repeat(10_000))),
        ("f.yaml", "- ".repeat(10_000)),
        ("g.jsonl", deep.clone()),
    ] {
        std::fs::write(place.path(name), text).unwrap();
        let ended = place.bex(&["run", name]).expect(2);
        assert!(ended.stderr.len() < 2_000, "{name}: {}", ended.stderr.len());
    }
    refused(
        &place,
        &["run", "--function", "http", "--params", &deep, ":::", "a"],
        "--params is not JSON",
    );

    let columns = || (0..20_000).map(|n| format!("c{n}"));
    let header = Vec::from_iter(columns()).join(",");
    std::fs::write(place.path("t.csv"), format!("{header}\n{header}\n")).unwrap();
    let argv = Vec::from_iter(columns().map(|name| format!("{{{{ row.{name} }}}}")));
    std::fs::write(place.path("t.json"), json!({ "command": argv }).to_string()).unwrap();
    place
        .bex(&["run", "--dry-run", "--template", "t.json", "t.csv"])
        .expect(0);
}

#[test]
fn a_configuration_that_cannot_be_used_stops_only_what_needs_it() {
    let place = Place::new();
    let folder = place.path("config/bex");
    std::fs::create_dir_all(folder.join("config.toml")).unwrap();
    let warning = "going on without the servers and functions of the configuration: cannot read";
    let ran = place.bex(&["run", "--", "echo", ":::", "a"]).expect(0);
    assert_eq!(ran.stdout, "a\n");
    assert_eq!(ran.stderr.matches(warning).count(), 1, "{ran:?}");
    place.bex(&["add", "--", "true"]).expect(0);
    place.bex(&["start"]).expect(0);
    place.bex(&["wait"]).expect(0);

    place.tasks(&json!([{ "function": "tool", "params": { "server": "s", "tool": "t" } }, { "function": "search" }]));
    let needed = place.bex(&["run", "tasks.json"]).expect(2).stderr;
    assert!(
        needed.contains("2 problems") && needed.contains("cannot be used"),
        "{needed}"
    );
    place.bex(&["tool"]).expect(2);

    // A batch that was added while the configuration was sound.
    std::fs::remove_dir(folder.join("config.toml")).unwrap();
    let config = "[mcp_servers.s]\ncommand = 'none'\n[functions]\nsearch = 's.query'\n";
    std::fs::write(folder.join("config.toml"), config).unwrap();
    place
        .bex(&["add", "--new", "--function", "search", "--params", "{}"])
        .expect(0);
    std::fs::write(folder.join("config.toml"), "functions = 1\n").unwrap();
    for verb in ["resume", "start"] {
        let stopped = place.bex(&[verb]).expect(2).stderr;
        assert!(
            stopped.contains("needs the configuration for \"search\""),
            "{stopped}"
        );
    }
    place.bex(&["cancel", "--all"]).expect(0);
    place.bex(&["run", "--", "true", ":::", "a"]).expect(0);
}
