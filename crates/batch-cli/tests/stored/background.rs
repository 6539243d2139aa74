//! A background executor on its own: no terminal, no files of the one who started it, and nothing left when it is stopped.

use std::process::Child;

use serde_json::{Value, json};

use crate::common::{Place, finish};
use crate::harness::{Live, code_of, staying};

#[test]
fn it_lives_on_when_the_terminal_closes() {
    const TERMINAL: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("sh", ["sh", "-c", '"$0" start && echo "be""gun"; read line', sys.argv[1]])
shown = b""
while b"begun" not in shown:
    shown += os.read(terminal, 4096)
os.close(terminal)
ended = os.waitpid(pid, 0)[1]
assert os.WIFSIGNALED(ended), ended
"#;
    let mut live = Live::new();
    live.add_waiting("true");
    live.add_waiting("true");
    let mut terminal = live.place.command("python3");
    terminal.args(["-c", TERMINAL, env!("CARGO_BIN_EXE_bex")]);
    finish(terminal, b"").expect(0);
    live.begun();
    live.let_go(2);
    live.bex(&["wait"], 0);
    for task in ["1", "2"] {
        assert_eq!(live.outcomes(task), ["completed"]);
    }
}

#[test]
fn it_holds_no_pipe_of_whoever_started_it() {
    for start in [
        r#""$0" start | cat"#,
        r#""$0" start 2>&1 >/dev/null | cat"#,
        r#""$0" start 7>&1 | cat"#,
    ] {
        let mut live = Live::new();
        live.add_waiting("true");
        let mut shell = live.place.command("sh");
        shell.args(["-c", start, env!("CARGO_BIN_EXE_bex")]);
        // Ends when nobody holds the pipe any more, and the task runs on.
        finish(shell, b"").expect(0);
        live.begun();
        assert_eq!(live.latest()["running"], 1, "{start}");
        live.let_go(1);
        live.bex(&["wait"], 0);
    }
}

#[test]
fn it_has_a_session_and_files_of_its_own() {
    let mut live = Live::new();
    live.add_waiting("true");
    let pid = live.json(&["start", "--json"], 0)["pid"].clone();
    live.begun();
    let of = |what: &str| format!("/proc/{pid}/{what}");
    let line = std::fs::read_to_string(of("stat")).unwrap();
    let fields: Vec<&str> = line.rsplit(") ").next().unwrap().split(' ').collect();
    let (session, terminal) = (fields[3], fields[4]);
    assert_eq!(terminal, "0", "it has no terminal");
    let own = std::fs::read_to_string("/proc/self/stat").unwrap();
    let own: Vec<&str> = own.rsplit(") ").next().unwrap().split(' ').collect();
    assert_ne!(session, own[3]);
    for (number, to) in [("0", "/dev/null"), ("1", "/dev/null")] {
        let link = std::fs::read_link(of(&format!("fd/{number}"))).unwrap();
        assert_eq!(link.to_str(), Some(to));
    }
    let log = std::fs::read_link(of("fd/2")).unwrap();
    assert!(log.starts_with(live.place.path("home/batches")), "{log:?}");
    live.let_go(1);
    live.bex(&["wait"], 0);
}

#[test]
fn stopping_leaves_no_process_and_uses_no_retry() {
    for how in ["--now", "--kill"] {
        let live = Live::new();
        live.bex(&["add", "--shell", staying(), "--max-retries", "1"], 0);
        let alive = live.alive();
        live.bex(&["start"], 0);
        live.begun();
        let stopped = live.bex(&["stop", how], 0);
        assert_eq!(stopped, "b1 is stopped; 1 task left (bex resume -b b1)\n");
        alive.ended();
        let task = live.json(&["show", "1", "--json"], 0);
        assert_eq!(
            (&task["status"], &task["retry_count"]),
            (&json!("queued"), &json!(0)),
            "{how}"
        );
        assert_eq!(live.outcomes("1"), ["interrupted"], "{how}");
    }
}

#[test]
fn a_cancelled_task_leaves_no_process() {
    let live = Live::new();
    live.bex(&["add", "--shell", staying()], 0);
    live.bex(&["add", "--shell", "true", "--tag", "later"], 0);
    let alive = live.alive();
    live.bex(&["start", "-j", "1"], 0);
    live.begun();
    assert_eq!(live.bex(&["cancel", "1"], 0), "1 task cancelled\n");
    live.bex(&["wait"], 1);
    alive.ended();
    assert_eq!(live.status()["cancelled"], 1);
}

#[test]
fn two_add_to_a_batch_while_a_third_runs_it() {
    let mut live = Live::new();
    live.add_waiting("true");
    live.bex(&["start"], 0);
    live.begun();
    let tasks: String = (0..300)
        .map(|_| r#"{"function": "simulate", "params": {"duration": 0}}"#.to_owned() + "\n")
        .collect();
    std::fs::write(live.place.path("many.jsonl"), tasks).unwrap();
    let adders: Vec<Child> = (0..2)
        .flat_map(|_| {
            let files = ["add", "--file", "many.jsonl"];
            let ones = ["add", "--", "true"];
            [live.spawn(&files), live.spawn(&ones)]
        })
        .collect();
    for adder in adders {
        assert_eq!(code_of(adder), Some(0));
    }
    live.bex(&["wait", "--until", "602"], 0);
    live.let_go(1);
    live.bex(&["wait"], 0);
    let results = live.json(&["results", "--json"], 0);
    let tasks = results["tasks"].as_array().unwrap();
    let once = |task: &Value| task["attempts"].as_array().unwrap().len() == 1;
    assert!(tasks.iter().all(once));
    let mut numbers: Vec<&str> = tasks.iter().filter_map(|t| t["task_id"].as_str()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 603);
}

#[test]
fn of_those_that_start_a_batch_at_once_one_does() {
    let mut live = Live::new();
    live.add_waiting("true");
    let starts: Vec<Child> = (0..4).map(|_| live.spawn(&["start"])).collect();
    let codes: Vec<Option<i32>> = starts.into_iter().map(code_of).collect();
    assert_eq!(codes, [Some(0); 4]);
    assert_eq!(live.status()["pid"], live.executor());
    live.begun();
    live.let_go(1);
    live.bex(&["wait"], 0);
    live.assert_none_begun();
}

#[test]
fn it_is_started_with_fewer_or_more_slots_for_this_run() {
    let mut live = Live::new();
    for _ in 0..3 {
        live.add_waiting("true");
    }
    live.bex(&["set", "-j", "1"], 0);
    live.bex(&["start", "-j", "3"], 0);
    let mut begun = [live.begun(), live.begun(), live.begun()];
    begun.sort_unstable();
    assert_eq!(begun, ["b1.1", "b1.2", "b1.3"]);
    live.let_go(3);
    live.bex(&["wait"], 0);
    assert_eq!(live.status()["max_concurrent"], 1);
}

#[test]
fn the_state_folder_is_where_the_system_keeps_such_things() {
    let place = Place::new();
    let add = |variables: &[(&str, &str)]| {
        let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
        for variable in ["BEX_HOME", "XDG_STATE_HOME"] {
            command.env_remove(variable);
        }
        for (variable, folder) in variables {
            command.env(variable, place.path(folder));
        }
        command.args(["add", "--", "true"]);
        finish(command, b"").expect(0);
    };
    add(&[("HOME", "user")]);
    assert!(place.has("user/.local/state/bex/batches/b1.db"));
    add(&[("HOME", "user"), ("XDG_STATE_HOME", "state")]);
    assert!(place.has("state/bex/batches/b1.db"));
    add(&[("XDG_STATE_HOME", "state"), ("BEX_HOME", "own")]);
    assert!(place.has("own/batches/b1.db"));
    assert!(!place.has("state/bex/batches/b2.db"));
    // The standard has a relative path ignored.
    for relative in ["state", "./state", "../state"] {
        let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
        command
            .env_remove("BEX_HOME")
            .env("XDG_STATE_HOME", relative);
        command.env("HOME", place.path("other"));
        command.args(["add", "--new", "--", "true"]);
        finish(command, b"").expect(0);
    }
    assert!(place.has("other/.local/state/bex/batches/b3.db"));
    assert!(!place.has("state/bex/batches/b2.db"));
}
