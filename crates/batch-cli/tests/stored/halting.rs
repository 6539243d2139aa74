//! What becomes of running tasks when a batch is halted.

use serde_json::json;

use crate::harness::{Live, shell_task, waiting};

/// A task that runs, one that fails beside it, and one that has not started by then.
fn halted(halt: &str) -> Live {
    let live = Live::new();
    let tasks = [
        shell_task("runs", &waiting("true"), &json!({})),
        shell_task("fails", "exit 1", &json!({})),
        shell_task("waits", "true", &json!({ "depends_on": "runs" })),
    ];
    live.place
        .tasks(&json!({ "halt": halt, "max_concurrent": 1, "tasks": tasks }));
    live.bex(&["add", "--file", "tasks.json"], 0);
    live.bex(&["start"], 0);
    live.begun();
    live.bex(&["set", "-j", "2"], 0);
    live
}

#[test]
fn soon_they_end_by_themselves() {
    let mut live = halted("soon,fail=1");
    live.bex(&["wait", "--until", "2"], 1);
    let status = live.status();
    assert_eq!(
        (&status["running"], &status["cancelled"]),
        (&json!(1), &json!(1))
    );
    live.let_go(1);
    live.bex(&["wait"], 1);
    assert_eq!(live.outcomes("runs"), ["completed"]);
    assert!(live.bex(&["why", "waits"], 0).contains("(halt)"));
}

#[test]
fn now_they_are_ended() {
    let live = halted("now,fail=1");
    live.bex(&["wait"], 1);
    assert_eq!(live.outcomes("runs"), ["cancelled"]);
    assert!(
        live.bex(&["why", "waits"], 0)
            .contains("a failure ended it")
    );
}
