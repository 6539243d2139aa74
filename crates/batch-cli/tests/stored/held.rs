//! Another program holds the batch file: what starts, what a run that is stopped meanwhile leaves, and what is told of it.

use crate::busy::{hold, is_told};
use crate::harness::{Live, waiting};
use rusqlite::Connection;

#[test]
fn hardly_a_task_starts_before_that_is_noticed() {
    let mut live = Live::new();
    live.bex(&["add", "--shell", &waiting("true")], 0);
    // Two seconds pass before it is told; each task takes a part of them.
    for _ in 0..40 {
        live.bex(&["add", "--shell", "echo 1 >> effects; sleep 0.05"], 0);
    }
    live.bex(&["start", "-j", "1"], 0);
    live.begun();
    let other = hold(&live, "begin immediate");
    live.let_go(1);
    let status = is_told(&live);
    assert!(status["seconds_left"].is_null(), "{status}");
    let started = live.place.read("effects").lines().count();
    assert!(started <= 8, "{started}");
    drop(other);
    live.bex(&["wait"], 0);
    assert_eq!(live.place.read("effects").lines().count(), 40);
}

#[test]
fn a_run_that_is_stopped_meanwhile_was_stopped_and_did_not_die() {
    // Three deaths would keep the task from running again.
    let mut live = Live::new();
    let script = format!("test ! -e go || exit 0; {}", waiting("true"));
    live.bex(&["add", "--shell", &script], 0);
    live.bex(&["add", "--shell", "true"], 0);
    for _ in 0..3 {
        live.bex(&["start", "-j", "1"], 0);
        live.begun();
        let other = hold(&live, "begin immediate");
        live.let_go(1);
        is_told(&live);
        live.bex(&["stop"], 0);
        live.bex(&["wait"], 5);
        let status = live.status();
        assert_eq!(status["state"], "stopped", "{status}");
        let reason = status["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("its last run was stopped") && reason.contains("bex resume -b b1"),
            "{reason}"
        );
        let why = live.bex(&["why", "1"], 0);
        assert!(!why.contains("died"), "{why}");
        drop(other);
    }
    std::fs::write(live.place.path("go"), "").unwrap();
    live.bex(&["resume", "--progress", "none"], 0);
    assert_eq!(live.status()["completed"], 2);
    let file = Connection::open(live.place.path("home/batches/b1.db")).unwrap();
    let ends: String = file
        .query_row("select group_concat(end) from runs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(ends, "stopped,stopped,stopped,finished");
}
