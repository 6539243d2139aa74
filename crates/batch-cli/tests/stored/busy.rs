//! Another program holds the batch file: the executor waits and says so, and nothing is lost.

use std::time::Instant;

use rusqlite::Connection;
use serde_json::Value;

use crate::common::LIMIT;
use crate::harness::{Live, code_of, kill, waiting};

/// Another program that holds the file of the first batch by a statement, until it is dropped.
pub(crate) fn hold(live: &Live, statement: &str) -> Connection {
    let file = Connection::open(live.place.path("home/batches/b1.db")).unwrap();
    file.busy_timeout(LIMIT).unwrap();
    file.execute_batch(statement).unwrap();
    file
}

/// Waits until the executor says that it waits for the file; each look at it takes a moment.
#[track_caller]
pub(crate) fn is_told(live: &Live) -> Value {
    let until = Instant::now() + LIMIT;
    loop {
        let status = live.status();
        if status["state"] == "paused" {
            return status;
        }
        assert!(Instant::now() < until, "{status}");
    }
}

#[test]
fn what_ran_while_the_file_was_held_is_on_record_afterwards() {
    for statement in ["begin immediate", "begin exclusive"] {
        let mut live = Live::new();
        live.bex(&["add", "--shell", &waiting("echo 1 >> effects")], 0);
        live.bex(&["add", "--shell", "echo 2 >> effects"], 0);
        live.bex(&["start", "-j", "1"], 0);
        live.begun();
        let other = hold(&live, statement);
        live.let_go(1);
        let status = is_told(&live);
        let reason = status["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("waiting for the batch file: another program holds it"),
            "{reason}"
        );
        let why = live.bex(&["why", "b1.2"], 0);
        assert!(why.contains("another program holds it"), "{why}");
        drop(other);
        live.bex(&["wait"], 0);
        assert_eq!(live.place.read("effects"), "1\n2\n");
        assert_eq!(live.outcomes("1"), ["completed"]);
        assert_eq!(live.outcomes("2"), ["completed"]);
        let log = live.place.read("home/batches/b1.db.log");
        let said = |what: &str| log.matches(what).count();
        assert_eq!(said("paused: waiting for the batch file"), 1, "{log}");
        assert_eq!(said("the batch file is free again"), 1, "{log}");
        assert!(!log.contains("database is locked"), "{log}");
        assert!(log.lines().all(|line| line.starts_with("bex: ")), "{log}");
    }
}

#[test]
fn a_run_can_be_stopped_while_the_file_is_held() {
    let mut live = Live::new();
    live.add_waiting("echo 1 >> effects");
    live.bex(&["add", "--shell", "echo 2 >> effects"], 0);
    live.bex(&["start", "-j", "1"], 0);
    live.begun();
    let other = hold(&live, "begin immediate");
    live.let_go(1);
    is_told(&live);
    live.bex(&["stop"], 0);
    live.bex(&["wait"], 5);
    drop(other);
    live.let_go(1);
    live.bex(&["resume", "--progress", "none"], 0);
    let status = live.status();
    assert_eq!(
        (&status["completed"], &status["failed"]),
        (&2.into(), &0.into())
    );
}

#[test]
fn signals_end_a_run_whose_file_is_held() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut live = Live::new();
        let script = waiting("echo {} >> effects");
        let script = format!("test {{}} = 2 || {{ {script}; }}");
        let run = ["run", "-j", "1", "--progress", "none", "--shell", &script];
        let run = live.spawn(&[&run[..], &[":::", "1", "2"]].concat());
        live.begun();
        let other = hold(&live, "begin immediate");
        live.let_go(1);
        is_told(&live);
        assert!(kill(signal, run.id()));
        assert_eq!(code_of(run), Some(code));
        drop(other);
        live.let_go(1);
        live.bex(&["resume", "--progress", "none"], 0);
        assert_eq!(live.status()["completed"], 2);
    }
}

#[test]
fn a_reader_that_stays_for_long_holds_up_nobody() {
    let mut live = Live::new();
    live.add_waiting("true");
    let other = hold(&live, "begin; select count(*) from specs");
    live.bex(&["start"], 0);
    live.begun();
    live.bex(&["add", "--shell", "head -c 100000 /dev/zero"], 0);
    live.let_go(1);
    live.bex(&["wait"], 0);
    assert_eq!(live.status()["completed"], 2);
    drop(other);
}
