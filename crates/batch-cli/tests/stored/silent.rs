//! An executor that hangs: nobody waits for it without end, and `stop --kill` ends it.

use std::time::Instant;

use serde_json::json;

use crate::common::LIMIT;
use crate::harness::{Live, kill, parent_of};

/// A batch whose executor is stopped, with its two processes.
fn stopped(live: &Live) -> u32 {
    live.add_waiting("true");
    live.bex(&["start"], 0);
    live.begun();
    let executor = live.executor();
    assert!(kill("STOP", executor));
    executor
}

#[test]
fn every_verb_says_so_and_kill_ends_it() {
    let live = Live::new();
    let executor = stopped(&live);
    let silent = format!("process {executor} has given no sign of life for");
    // The first one waits until it is certain.
    let verbs: [(&[&str], i32); 12] = [
        (&["stop"], 3),
        (&["stop", "--now", "--wait"], 3),
        (&["pause"], 3),
        (&["set", "-j", "2"], 3),
        (&["cancel", "1"], 3),
        (&["resume"], 3),
        (&["resume", "-d"], 3),
        (&["wait"], 6),
        (&["watch"], 6),
        (&["rm", "b1"], 3),
        (&["start"], 3),
        (&["logs", "-f", "1"], 3),
    ];
    for (verb, code) in verbs {
        let ended = live.place.bex(verb).expect(code);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            said.contains(&silent) && said.contains("bex stop --kill"),
            "{verb:?}: {said}"
        );
    }
    let status = live.status();
    assert!(
        status["reason"].as_str().unwrap().contains(&silent),
        "{status}"
    );
    let why = live.bex(&["why", "1"], 0);
    assert!(why.contains(&silent), "{why}");
    let added = live.place.bex(&["add", "--shell", "true"]).expect(0);
    assert!(added.stderr.contains(&silent), "{added:?}");

    live.bex(&["stop", "--kill"], 0);
    assert_eq!(live.status()["state"], "interrupted");
}

#[test]
fn its_tasks_end_with_it_even_if_its_guardian_stands_still() {
    let live = Live::new();
    live.bex(&["add", "--shell", crate::harness::staying()], 0);
    let alive = live.alive();
    live.bex(&["start"], 0);
    live.begun();
    let executor = live.executor();
    let guardian = parent_of(executor);
    assert!(kill("STOP", guardian) && kill("STOP", executor));
    live.bex(&["wait"], 6);
    live.bex(&["stop", "--kill", "--wait"], 0);
    alive.ended();
    // It went on, and so it has gone; nobody may have waited for it.
    let until = Instant::now() + LIMIT;
    let status = format!("/proc/{guardian}/status");
    let runs = || std::fs::read_to_string(&status).is_ok_and(|status| !status.contains("(zombie)"));
    while runs() {
        assert!(Instant::now() < until, "the guardian does not end");
    }
    assert_eq!(live.status()["state"], json!("interrupted"));
}

#[test]
fn one_that_goes_on_is_no_longer_silent() {
    let mut live = Live::new();
    let executor = stopped(&live);
    live.bex(&["wait"], 6);
    assert!(kill("CONT", executor));
    live.let_go(1);
    // It may still be before its first sign.
    while live.place.bex(&["wait"]).code == Some(6) {}
    assert_eq!(live.status()["state"], "completed");
}
