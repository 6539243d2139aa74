//! Options that set what the tasks of a command are given, and those that choose tasks of a file or results.

use serde_json::{Value, json};

use super::task;
use crate::common::{Ended, Place, finish};

/// Tasks `smoke`, which needs `build`, and `deploy`, which says that it ran.
fn three_tasks() -> Place {
    let place = Place::new();
    place.tasks(&json!([
        { "id": "deploy", "shell": "touch deployed", "tags": ["deploy"] },
        { "id": "smoke", "shell": "echo $BEX_TASK_ID", "tags": ["smoke"], "depends_on": "build" },
        { "id": "build", "shell": "echo built" },
    ]));
    place
}

fn results(place: &Place) -> Value {
    place.bex(&["results", "--json"]).expect(0).json()
}

#[test]
fn only_some_tasks_of_a_file_run_with_what_they_need() {
    let place = three_tasks();
    let run = [
        "run",
        "--only",
        "tag:smoke",
        "tasks.json",
        "--progress",
        "none",
    ];
    place.bex(&run).expect(0);
    assert!(!place.has("deployed"));
    let document = results(&place);
    assert_eq!(document["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(task(&document, "smoke")["status"], "completed");
    assert_eq!(task(&document, "build")["status"], "completed");

    let none = place
        .bex(&["run", "--only", "tag:smok", "tasks.json"])
        .expect(2);
    assert!(
        none.stderr
            .contains("no task of tasks.json fits --only tag:smok"),
        "{none:?}"
    );
    let wrong = place
        .bex(&["run", "--only", "colour:red", "tasks.json"])
        .expect(2);
    assert!(wrong.stderr.contains("--only: "), "{wrong:?}");
    let plan = place
        .bex(&["run", "--dry-run", "--only", "tag:smoke", "tasks.json"])
        .expect(0);
    assert_eq!(plan.stdout.lines().count(), 2, "{plan:?}");
    // All that is wrong with the file is told, also with what does not run.
    place.tasks(&json!([{ "id": "a", "shell": "true" }, { "id": "b", "shel": "true" }]));
    place
        .bex(&["run", "--only", "id:a", "tasks.json"])
        .expect(2);
}

#[test]
fn results_are_shown_of_some_and_all_tasks_run() {
    let place = three_tasks();
    let run = [
        "run",
        "--show",
        "tag:smoke",
        "--format",
        "jsonl",
        "tasks.json",
    ];
    let shown = place.bex(&run).expect(0);
    assert_eq!(shown.json()["id"], "smoke");
    assert!(place.has("deployed"));
    let run = [
        "run",
        "--show",
        "status:failed",
        "--shell",
        "exit {}",
        ":::",
        "0",
        "1",
    ];
    place.bex(&run).expect(1);
}

#[test]
fn what_would_hide_results_of_tasks_that_run_is_refused_with_advice() {
    let place = three_tasks();
    for option in ["--tag", "--priority", "--filter", "--status"] {
        let value = if option == "--priority" {
            "high"
        } else {
            "failed"
        };
        let refused = place.bex(&["run", option, value, "tasks.json"]).expect(2);
        assert!(
            refused.stderr.contains("--only") && refused.stderr.contains("--show"),
            "{option}: {refused:?}"
        );
    }
    for option in [
        &["--env", "A=b"][..],
        &["--cwd", "x"],
        &["--limit", "a=1"],
        &["--retry", "2"],
        &["--grace", "1"],
        &["--shell-program", "bash"],
        &["--id", "x"],
        &["--task-name", "x"],
        &["--depends-on", "x"],
    ] {
        let refused = place
            .bex(&[&["run", "tasks.json"], option].concat())
            .expect(2);
        assert!(
            refused
                .stderr
                .contains("in a task file write it into the task"),
            "{refused:?}"
        );
    }
    for option in ["--filter", "--status"] {
        place
            .bex(&["run", option, "failed", "--", "touch", ":::", "deployed"])
            .expect(2);
        place.bex(&["resume", option, "failed"]).expect(2);
    }
    assert!(!place.has("deployed"));
    assert_eq!(place.bex(&["list"]).expect(0).stdout, "no batches\n");
}

#[test]
fn the_tasks_of_a_command_get_what_is_given() {
    let place = Place::new();
    std::fs::create_dir(place.path("sub")).unwrap();
    let mut run = place.command(env!("CARGO_BIN_EXE_bex"));
    run.env("FROM_HERE", "{{ env.HOME }}").args([
        "run",
        "--tag",
        "a",
        "--tag",
        "b",
        "--priority",
        "high",
        "--env",
        "GIVEN=x=y",
        "--env",
        "FROM_HERE",
        "--cwd",
        "sub",
        "--limit",
        "one=1",
        "--retry",
        "2,backoff=none,on=3",
        "--grace",
        "7",
        "--name",
        "batch",
        "--shell",
        "echo $GIVEN $FROM_HERE; pwd; test {} = 1 || exit 3",
        ":::",
        "1",
        "2",
    ]);
    finish(run, b"").expect(1);
    let document = results(&place);
    let tasks = document["tasks"].as_array().unwrap();
    for task in tasks {
        assert_eq!(
            (&task["tags"], &task["priority"]),
            (&json!(["a", "b"]), &json!("high"))
        );
        let printed = task["result"]["stdout"].as_str().unwrap();
        assert!(printed.starts_with("x=y {{ env.HOME }}\n"), "{printed}");
        assert!(printed.trim_end().ends_with("/sub"), "{printed}");
    }
    assert_eq!(tasks[1]["retry_count"], 2);
    let shown = place.bex(&["show", "2"]).expect(0).stdout;
    assert!(shown.contains("limit      one"), "{shown}");
    assert_eq!(
        place.bex(&["status", "batch", "--json"]).expect(0).json()["batch"],
        "b1"
    );
}

#[test]
fn what_cannot_be_given_to_a_command_is_refused() {
    let place = Place::new();
    let refused = |args: &[&str], part: &str| {
        let args = [&["run"], args, &["--", "touch", ":::", "marker"]].concat();
        let ended: Ended = place.bex(&args).expect(2);
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    };
    refused(&["--limit", "gpu"], "--limit gpu=2");
    refused(&["--depends-on", "x"], "a run is a batch of its own");
    refused(&["--only", "tag:x"], "--only goes with a task file");
    refused(&["--env", "NOT_SET_98761"], "is not set");
    refused(&["--env", "=x"], "write it as NAME=VALUE");
    refused(&["--env", "A=1", "--env", "A=2"], "given twice");
    refused(&["--retry", "backoff=slow"], "unknown backoff");
    refused(
        &["--shell-program", "bash"],
        "--shell-program goes with --shell",
    );
    refused(&["--halt", "later,fail=1"], "does not say when to halt");
    refused(
        &["--fail-fast", "--halt", "now,fail=1"],
        "cannot be used with",
    );
    assert!(!place.has("marker"));
}

#[test]
fn a_batch_is_halted_as_it_asks_for() {
    let place = Place::new();
    let run = |halt: &str, code: i32| {
        // The first, third and fifth fail.
        let items = [
            "--shell", "exit {}", ":::", "1", "0", "1", "0", "1", "0", "1", "0", "1", "0",
        ];
        let args = [
            &["run", "-j1", "--progress", "none", "--halt", halt],
            &items[..],
        ]
        .concat();
        place.bex(&args).expect(code);
        let status = place.bex(&["status", "--json"]).expect(0).json();
        let count = |name: &str| status[name].as_u64().unwrap();
        (count("completed"), count("failed"), count("cancelled"))
    };
    assert_eq!(run("now,fail=2", 1), (1, 2, 7));
    assert_eq!(run("soon,fail=20%", 1), (1, 2, 7));
    assert_eq!(run("soon,success=2", 0), (2, 2, 6));
    assert_eq!(run("now,done=3", 1), (1, 2, 7));
    assert_eq!(run("never", 1), (5, 5, 0));
    let why = place.bex(&["why", "-b", "b2", "9"]).expect(0).stdout;
    assert!(why.contains("(halt)"), "{why}");
    place.bex(&["wait", "b3"]).expect(0);
    place.bex(&["wait", "b1"]).expect(1);
}

#[test]
fn starts_are_apart_by_the_delay() {
    let place = Place::new();
    let args = [
        "run", "-j4", "--delay", "0.2", "--format", "json", "--", "true", ":::", "a", "b", "c",
    ];
    let document = place.bex(&args).expect(0).json();
    let tasks = document["tasks"].as_array().unwrap();
    let mut starts: Vec<String> = tasks
        .iter()
        .map(|t| t["started_at"].as_str().unwrap().to_owned())
        .collect();
    starts.sort_unstable();
    let millis = |time: &str| {
        let parts: Vec<f64> = time[11..23]
            .split(':')
            .map(|part| part.parse().unwrap())
            .collect();
        (parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]) * 1e3
    };
    for pair in starts.windows(2) {
        let apart = (millis(&pair[1]) - millis(&pair[0])).rem_euclid(86_400_000.0);
        // Times are shown in milliseconds.
        assert!(apart >= 199.0, "{pair:?}");
    }
}
