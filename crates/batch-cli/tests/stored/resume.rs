//! Going on with what was not finished: after Ctrl-C, after a change of the file, and where the batch is.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Stdio};

use serde_json::{Value, json};

use crate::common::Place;
use crate::harness::{Live, code_of, kill, signal_of, waiting};

/// Runs a, b and c one after the other. All note themselves in `effects`; b and c say that they have begun, and wait.
const THREE: &[&str] = &[
    "run",
    "-j1",
    "--format=none",
    "--shell",
    "echo {} >> effects; test {} = a || { echo {} > marks; read line < gate; }",
    ":::",
    "a",
    "b",
    "c",
];

/// A run whose messages are read.
struct Run {
    bex: Child,
    messages: BufReader<ChildStderr>,
}

impl Run {
    fn start(live: &Live, args: &[&str]) -> Self {
        let mut command = live.place.command(env!("CARGO_BIN_EXE_bex"));
        command.args(args).stdout(Stdio::null());
        let mut bex = command.spawn().unwrap();
        let messages = BufReader::new(bex.stderr.take().unwrap());
        Self { bex, messages }
    }

    /// Sends what Ctrl-C sends, and waits until it is handled.
    fn interrupt(&mut self, message: &str) {
        assert!(kill("INT", self.bex.id()));
        let mut said = String::new();
        while !said.contains(message) {
            let count = self.messages.read_line(&mut said).unwrap();
            assert_ne!(count, 0, "{said}");
        }
    }

    #[track_caller]
    fn ends_with(self, code: i32) {
        let Self { bex, messages } = self;
        assert_eq!(code_of(bex), Some(code));
        drop(messages);
    }
}

#[test]
fn a_run_that_ctrl_c_stopped_goes_on_with_what_was_queued() {
    let mut live = Live::new();
    let mut run = Run::start(&live, THREE);
    assert_eq!(live.begun(), "b");
    run.interrupt("running tasks end first");
    live.let_go(1);
    run.ends_with(130);
    let status = live.status();
    assert_eq!(
        (&status["state"], &status["completed"], &status["queued"]),
        (&json!("stopped"), &json!(2), &json!(1))
    );
    live.let_go(1);
    live.bex(&["resume", "--format", "none"], 0);
    assert_eq!(live.place.read("effects"), "a\nb\nc\n");
}

#[test]
fn a_task_that_ctrl_c_ended_runs_again_and_has_used_no_retry() {
    let mut live = Live::new();
    let mut run = Run::start(&live, THREE);
    assert_eq!(live.begun(), "b");
    run.interrupt("running tasks end first");
    run.interrupt("terminating");
    run.ends_with(130);
    assert_eq!(live.outcomes("2"), ["interrupted"]);
    let why = live.bex(&["why", "2"], 0);
    assert!(
        why.contains("attempt 1 was interrupted and does not count"),
        "{why}"
    );
    live.let_go(2);
    live.bex(&["resume", "--format", "none"], 0);
    let task = live.json(&["show", "2", "--json"], 0);
    assert_eq!(
        (&task["retry_count"], &task["flaky"], &task["status"]),
        (&json!(0), &json!(false), &json!("completed"))
    );
    assert_eq!(live.place.read("effects"), "a\nb\nb\nc\n");
}

#[test]
fn a_run_that_was_killed_is_interrupted_and_goes_on() {
    let mut live = Live::new();
    let run = Run::start(&live, THREE);
    assert_eq!(live.begun(), "b");
    // The process that the shell knows, which guards the executor.
    assert!(kill("KILL", run.bex.id()));
    assert_eq!(signal_of(run.bex), Some(9));
    live.bex(&["wait"], 5);
    let status = live.status();
    assert_eq!(
        (&status["state"], &status["running"], &status["completed"]),
        (&json!("interrupted"), &json!(0), &json!(1))
    );
    live.let_go(2);
    live.bex(&["resume", "--format", "none"], 0);
    assert_eq!(live.place.read("effects"), "a\nb\nb\nc\n");
}

#[test]
fn results_of_a_resumed_batch_are_those_of_all_its_tasks() {
    let mut live = Live::new();
    let mut run = Run::start(&live, THREE);
    live.begun();
    run.interrupt("running tasks end first");
    live.let_go(1);
    run.ends_with(130);
    live.let_go(1);
    let resumed = live.place.bex(&["resume", "-o", "all.json"]).expect(0);
    assert_eq!(resumed.stdout, "");
    let document: Value = serde_json::from_str(&live.place.read("all.json")).unwrap();
    assert_eq!(document["metadata"]["total_tasks"], 3);
    assert_eq!(document["metadata"]["completed"], 3);
    let ids = document["tasks"].as_array().unwrap().iter();
    let ids: Vec<&Value> = ids.map(|task| &task["task_id"]).collect();
    assert_eq!(ids, ["b1.1", "b1.2", "b1.3"]);
    // The same as is told later.
    let exported = live.json(&["results", "--json"], 0);
    assert_eq!(exported["tasks"], document["tasks"]);
}

#[test]
fn a_wrong_item_stops_a_batch_and_makes_none_where_it_is_the_first() {
    let place = Place::new();
    let run = ["run", "-j2", "--format=none", "--", "true"];
    let input = |good: usize| {
        let mut lines: String = (0..good).map(|n| format!("{n}\n")).collect();
        lines.push_str("not\0good\n");
        lines.into_bytes()
    };
    let refused = place.bex_with(&input(1), &run).expect(2);
    assert!(
        refused.stderr.contains("line 2: it holds a NUL byte"),
        "{refused:?}"
    );
    assert_eq!(place.bex(&["list", "--json"]).json(), json!([]));
    // How many that the first of them are tasks before the wrong one is read; then all before it are.
    let stopped = place.bex_with(&input(5_500), &run).expect(5);
    assert!(
        stopped.stderr.contains("line 5501: it holds"),
        "{stopped:?}"
    );
    assert!(
        stopped.stderr.contains("continue with: bex resume"),
        "{stopped:?}"
    );
    let total = place.bex(&["status", "--json"]).json()["total"].clone();
    assert_eq!(total, 5_500);
    let unkept = [&["run", "--durability=none"], &run[1..]].concat();
    place.bex_with(&input(300), &unkept).expect(5);
}

#[test]
fn a_batch_whose_time_was_up_ends_alike_for_all_who_ask() {
    let place = Place::new();
    place.tasks(&json!({ "batch_timeout": 0.1, "tasks": [{ "command": ["sleep", "1000"] }] }));
    for args in [
        &["run", "--format", "none", "tasks.json"][..],
        &["wait"],
        &["resume", "--format", "none"],
    ] {
        place.bex(args).expect(5);
    }
}

#[test]
fn a_known_batch_gives_the_results_that_are_asked_for() {
    let place = Place::new();
    let run = |more: &[&str]| {
        let args = [&["run", "--key", "k"], more, &["--", "echo", ":::", "a"]].concat();
        place.bex(&args).expect(0)
    };
    run(&["--format", "none"]);
    let known = run(&["--format", "json"]).json();
    assert_eq!(known["tasks"][0]["result"]["stdout"], "a\n");
    run(&["-o", "known.csv"]);
    assert_eq!(crate::look::rows(&place.read("known.csv")), 1);
    assert_eq!(run(&[]).stdout, "");
}

#[test]
fn resume_gives_one_document_where_json_is_asked_for() {
    let place = Place::new();
    let items = ["--", "echo", ":::", "a", "b"];
    place.bex(&[&["run", "-j1"], &items[..]].concat()).expect(0);
    // Also of a batch in which there is nothing to do.
    let document = place.bex(&["resume", "--json"]).expect(0).json();
    assert_eq!(document["metadata"]["completed"], 2);
    assert_eq!(document["tasks"][1]["result"]["stdout"], "b\n");
    place
        .bex(&["resume", "--json", "--format", "csv"])
        .expect(2);
}

#[test]
fn resume_runs_nothing_again_that_is_finished() {
    let place = Place::new();
    let script = "echo {} >> effects; test {} = good";
    let items = ["--shell", script, ":::", "good", "bad"];
    place
        .bex(&[&["run", "-j1", "--format=none"], &items[..]].concat())
        .expect(1);
    place.bex(&["resume", "--format", "none"]).expect(1);
    assert_eq!(place.read("effects"), "good\nbad\n");
}

/// A file with a task a line, each of which notes its words in `effects`.
fn lines(place: &Place, scripts: &[&str]) {
    let line = |script: &&str| format!("{}\n", json!({ "shell": script, "max_retries": 0 }));
    let text: String = scripts.iter().map(line).collect();
    std::fs::write(place.path("tasks.jsonl"), text).unwrap();
}

/// What ran since it was asked last, in the order of the alphabet.
fn effects(place: &Place) -> Vec<String> {
    let ran = std::fs::read_to_string(place.path("effects")).unwrap_or_default();
    let _ = std::fs::remove_file(place.path("effects"));
    let mut ran: Vec<String> = ran.lines().map(str::to_owned).collect();
    ran.sort_unstable();
    ran
}

const RESUME: &[&str] = &["run", "--resume", "tasks.jsonl", "--format", "none"];

#[test]
fn a_file_goes_on_by_content_and_not_by_place() {
    let place = Place::new();
    let bad = "echo bad >> effects; test -e mended";
    let [first, kept, changed, removed] =
        ["first", "kept", "changed", "removed"].map(|name| format!("echo {name} >> effects"));
    lines(&place, &[&kept, bad, &changed, &removed]);
    let begun = place.bex(RESUME).expect(1);
    assert!(
        begun.stderr.contains("no batch of this file yet"),
        "{begun:?}"
    );
    assert_eq!(effects(&place), ["bad", "changed", "kept", "removed"]);

    std::fs::write(place.path("mended"), "").unwrap();
    lines(
        &place,
        &[&first, &kept, bad, "echo changed anew >> effects"],
    );
    let resumed = place.bex(RESUME).expect(0);
    assert!(
        resumed
            .stderr
            .contains("continuing b1: 1 kept, 2 new, 1 failed before, 0 unfinished, 2 gone"),
        "{resumed:?}"
    );
    assert_eq!(effects(&place), ["bad", "changed anew", "first"]);

    let again = place.bex(RESUME).expect(0);
    assert!(again.stderr.contains("4 kept, 0 new"), "{again:?}");
    assert_eq!(effects(&place), [""; 0]);
    let list = place.bex(&["list", "--json"]).expect(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1);
}

#[test]
fn the_same_line_twice_is_two_tasks() {
    let place = Place::new();
    let once = "echo once >> effects";
    lines(&place, &[once]);
    place.bex(RESUME).expect(0);
    assert_eq!(effects(&place), ["once"]);
    lines(&place, &[once, once]);
    let resumed = place.bex(RESUME).expect(0);
    assert!(resumed.stderr.contains("1 kept, 1 new"), "{resumed:?}");
    assert_eq!(effects(&place), ["once"]);
}

#[test]
fn what_was_not_run_yet_and_is_gone_from_the_file_is_not_run() {
    let mut live = Live::new();
    let waits = waiting("echo waited >> effects");
    let (gone, kept) = ("echo gone >> effects", "echo kept >> effects");
    lines(&live.place, &[&waits, gone, kept]);
    let options = ["run", "tasks.jsonl", "-j1", "--format", "none"];
    let run = live.spawn(&options);
    live.begun();
    // While someone works on it, the file and the batch are not brought into line.
    let refused = live.place.bex(RESUME).expect(2);
    assert!(refused.stderr.contains("process"), "{refused:?}");
    live.kill_executor();
    assert_eq!(code_of(run), None);

    lines(&live.place, &[&waits, kept]);
    live.let_go(1);
    let resumed = live.place.bex(RESUME).expect(0);
    assert!(
        resumed
            .stderr
            .contains("0 kept, 0 new, 0 failed before, 2 unfinished, 1 gone"),
        "{resumed:?}"
    );
    assert_eq!(effects(&live.place), ["kept", "waited"]);
    assert_eq!(live.status()["total"], 2);
}

#[test]
fn another_file_is_another_batch_and_the_same_one_by_another_name_is_not() {
    let place = Place::new();
    lines(&place, &["echo one >> effects"]);
    place.bex(RESUME).expect(0);
    std::fs::copy(place.path("tasks.jsonl"), place.path("other.jsonl")).unwrap();
    let other = ["run", "--resume", "other.jsonl", "--format", "none"];
    place.bex(&other).expect(0);
    assert_eq!(effects(&place), ["one", "one"]);
    assert_eq!(
        place.bex(&["status", "--json"]).expect(0).json()["batch"],
        "b2"
    );
    // By another name, and from another folder, it is the same file.
    let mut elsewhere = place.command(env!("CARGO_BIN_EXE_bex"));
    elsewhere
        .current_dir(place.path("home"))
        .args(["run", "--resume", "../tasks.jsonl"]);
    let ended = crate::common::finish(elsewhere, b"").expect(0);
    assert!(ended.stderr.contains("continuing b1"), "{ended:?}");
}

#[test]
fn a_batch_that_is_not_kept_leaves_no_file() {
    let place = Place::new();
    let run = ["run", "--durability", "none", "--", "echo", ":::", "a"];
    assert_eq!(place.bex(&run).expect(0).stdout, "a\n");
    assert!(!place.has("home"));
    let status = place.bex(&["status"]).expect(2);
    assert!(status.stderr.contains("no batch yet"), "{status:?}");
}

#[test]
fn a_batch_elsewhere_is_run_stopped_and_resumed_there() {
    let mut live = Live::new();
    let store = ["--store", "here.db"];
    let mut run = Run::start(&live, &[&THREE[..1], &store, &THREE[1..]].concat());
    live.begun();
    run.interrupt("running tasks end first");
    live.let_go(1);
    run.ends_with(130);
    assert_eq!(live.bex(&["list"], 0), "no batches\n");
    live.let_go(1);
    let on = |verb: &'static str, more: &[&'static str]| [&[verb], &store[..], more].concat();
    live.bex(&on("start", &[]), 0);
    live.bex(&on("wait", &[]), 0);
    assert_eq!(live.place.read("effects"), "a\nb\nc\n");
    let results = live.json(&on("results", &["--json"]), 0);
    assert_eq!(results["metadata"]["completed"], 3);
}

#[test]
fn going_on_with_a_file_does_what_is_asked_now() {
    let place = Place::new();
    let failing =
        |number: u32| json!({"shell": format!("echo {number} >> ran; exit 1"), "max_retries": 0});
    place.tasks(&(1..5).map(failing).collect());
    place
        .bex(&["run", "-j1", "--format=none", "tasks.json"])
        .expect(1);
    let again = [
        "run",
        "--resume",
        "-j1",
        "--fail-fast",
        "--format=none",
        "tasks.json",
    ];
    let ended = place.bex(&again).expect(1);
    assert!(ended.stderr.contains("1 failed, 3 cancelled"), "{ended:?}");

    let kept = place.read("ran");
    let refused = place.bex(&["run", "--resume", "--durability", "none", "tasks.json"]);
    let refused = refused.expect(2);
    assert!(
        refused.stderr.contains("--durability none keeps none"),
        "{refused:?}"
    );
    let detached = place
        .bex(&["resume", "-d", "--durability", "none"])
        .expect(2);
    assert!(
        detached.stderr.contains("--durability none"),
        "{detached:?}"
    );
    assert_eq!(place.read("ran"), kept);
}

#[test]
fn items_that_were_not_read_are_not_passed_over_in_silence() {
    let place = Place::new();
    let items: String = (0..30_000).map(|n| format!("{n}\n")).collect();
    let run = [
        "run",
        "-j2",
        "--batch-timeout",
        "0.3",
        "--format=none",
        "--",
        "sleep",
        "100",
    ];
    let ended = place.bex_with(items.as_bytes(), &run).expect(5);
    assert!(ended.stderr.contains("not read to its end"), "{ended:?}");
    // The time of the batch has ended all that was read.
    let counts = place.bex(&["status", "--json"]).expect(0).json();
    assert_eq!(
        (&counts["queued"], &counts["completed"]),
        (&json!(0), &json!(0))
    );
    let status = place.bex(&["status"]).expect(0).stdout;
    assert!(
        status.contains("b1 is stopped: its input was not read to its end"),
        "{status}"
    );
    let wait = place.bex(&["wait"]).expect(5);
    assert!(wait.stdout.contains("nothing runs b1"), "{wait:?}");
    let resumed = place.bex(&["resume", "--format=none"]).expect(5);
    assert!(
        resumed.stderr.contains("not read to its end"),
        "{resumed:?}"
    );
    // There is nothing left to do in it.
    let pruned = place.bex(&["prune", "--older-than", "0"]).expect(0);
    assert_eq!(pruned.stdout, "removed b1\n");
    // One whose input was read says nothing of it.
    place
        .bex_with(b"1\n2\n", &["run", "--format=none", "--", "true"])
        .expect(0);
    assert_eq!(
        place.bex(&["status", "--json"]).expect(0).json()["state"],
        "completed"
    );
}

#[test]
fn what_comes_back_into_a_file_is_not_run_again() {
    let place = Place::new();
    let pay =
        |who: &str, how: &str| json!({"id": who, "shell": format!("echo {who} {how} >> paid")});
    let run = |tasks: Value| {
        place.tasks(&tasks);
        let ended = place.bex(&["run", "--resume", "--format=none", "tasks.json"]);
        ended.expect(0).stderr
    };
    run(json!([pay("ann", "once"), pay("bob", "once")]));
    run(json!([pay("ann", "once")]));
    let back = run(json!([pay("ann", "once"), pay("bob", "once")]));
    assert!(back.contains("2 kept, 0 new"), "{back}");
    // Another task with the id, and the first one again.
    run(json!([pay("bob", "otherwise")]));
    let back = run(json!([pay("bob", "once"), pay("ann", "once")]));
    assert!(back.contains("2 kept, 0 new"), "{back}");
    assert_eq!(place.read("paid").lines().count(), 3);
    assert_eq!(place.bex(&["logs", "bob"]).expect(0).stdout, "");
}
