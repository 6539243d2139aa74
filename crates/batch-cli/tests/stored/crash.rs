//! Executors, guardians and both of them killed: nothing is left running, nothing is lost, nothing runs twice at once.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Live, kill, parent_of, shell_task, signal_of, staying, waiting};

/// `PRAGMA integrity_check` of the first batch file.
fn integrity(live: &Live) -> String {
    let file = rusqlite::Connection::open(live.place.path("home/batches/b1.db")).unwrap();
    let check = file.query_row("pragma integrity_check", [], |row| row.get(0));
    check.unwrap()
}

/// Adds tasks as a new batch that runs one at a time.
fn add(live: &Live, tasks: &[Value]) {
    live.place
        .tasks(&json!({ "max_concurrent": 1, "tasks": tasks }));
    live.bex(&["add", "--file", "tasks.json"], 0);
}

#[test]
fn a_killed_executor_leaves_no_process_and_a_sound_file() {
    let live = Live::new();
    live.bex(&["add", "--shell", staying()], 0);
    let alive = live.alive();
    live.bex(&["start"], 0);
    live.begun();
    live.kill_executor();
    alive.ended();
    assert_eq!(integrity(&live), "ok");
    assert_eq!(live.status()["state"], "interrupted");
}

#[test]
fn a_killed_guardian_ends_its_executor_and_all_tasks() {
    let mut live = Live::new();
    live.bex(&["add", "--shell", "echo one >> effects"], 0);
    let script = format!("test -e again || {{ touch again; {}; }}", staying());
    live.bex(&["add", "--shell", &script], 0);
    live.add_waiting("echo three >> effects");
    let alive = live.alive();
    live.bex(&["start", "-j", "1"], 0);
    assert_eq!(live.begun(), "b1.2");
    let executor = live.executor();
    assert!(kill("KILL", parent_of(executor)));
    live.bex(&["wait"], 5);
    alive.ended();

    live.bex(&["start", "-j", "1"], 0);
    assert_eq!(live.begun(), "b1.3");
    live.let_go(1);
    live.bex(&["wait"], 0);
    assert_eq!(live.place.read("effects"), "one\nthree\n");
    assert_eq!(live.outcomes("2"), ["interrupted", "completed"]);
    assert_eq!(live.outcomes("1"), ["completed"]);
}

#[test]
fn what_a_dead_executor_and_guardian_left_is_ended_before_its_task_runs_again() {
    let mut live = Live::new();
    // The lock is held by every process of an attempt.
    let alone = "exec 9> lock; flock -n 9 || touch twice; ";
    let rest = format!(
        "test -e again || {{ touch again; {}; }}; {}",
        staying(),
        waiting("true")
    );
    live.bex(&["add", "--shell", &format!("{alone}{rest}")], 0);
    let alive = live.alive();
    live.bex(&["start"], 0);
    live.begun();
    let executor = live.executor();
    let guardian = parent_of(executor);
    // A guardian that hangs sees nothing of the end of its executor.
    for (signal, pid) in [("STOP", guardian), ("KILL", executor), ("KILL", guardian)] {
        assert!(kill(signal, pid));
    }
    live.bex(&["wait"], 5);
    assert_eq!(live.status()["state"], "interrupted");
    assert_eq!(integrity(&live), "ok");

    live.bex(&["start"], 0);
    live.begun();
    alive.ended();
    live.let_go(1);
    live.bex(&["wait"], 0);
    assert!(!live.place.has("twice"), "two attempts ran at once");
    assert_eq!(live.outcomes("1"), ["interrupted", "completed"]);
}

#[test]
fn resume_tells_what_it_ended() {
    let live = Live::new();
    let script = format!("test -e again || {{ touch again; {}; }}", staying());
    live.bex(&["add", "--shell", &script], 0);
    let alive = live.alive();
    live.bex(&["start"], 0);
    live.begun();
    let executor = live.executor();
    let guardian = parent_of(executor);
    for (signal, pid) in [("STOP", guardian), ("KILL", executor), ("KILL", guardian)] {
        assert!(kill(signal, pid));
    }
    live.bex(&["wait"], 5);
    let resumed = live.place.bex(&["resume", "--format", "none"]).expect(0);
    for part in ["b1.1 outlived its executor", "(sleep)"] {
        assert!(resumed.stderr.contains(part), "{part}: {resumed:?}");
    }
    alive.ended();
}

#[test]
fn a_task_that_was_running_at_three_deaths_is_quarantined_until_it_is_retried() {
    let live = Live::new();
    add(
        &live,
        &[
            shell_task(
                "killer",
                "test -e tame || kill -9 $PPID; echo tame",
                &json!({ "max_retries": 5 }),
            ),
            shell_task("needy", "true", &json!({ "depends_on": ["killer"] })),
            shell_task("other", "echo other >> effects", &json!({})),
        ],
    );
    for death in 1..=3 {
        let resumed = live.spawn(&["resume", "--format", "none"]);
        assert_eq!(signal_of(resumed), Some(9), "death {death}");
        assert_eq!(live.status()["state"], "interrupted", "death {death}");
    }
    live.bex(&["resume", "--format", "none"], 1);
    let why = live.bex(&["why", "killer"], 0);
    for part in ["is quarantined", "three times", "bex retry b1.1"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let shown = live.json(&["show", "killer", "--json"], 0);
    assert_eq!(
        (&shown["status"], &shown["reason"], &shown["retry_count"]),
        (&json!("failed"), &json!("quarantined"), &json!(0))
    );
    assert_eq!(
        live.outcomes("killer"),
        ["interrupted", "interrupted", "failed"]
    );
    assert!(
        live.bex(&["why", "needy"], 0)
            .contains("because b1.1, which it needs")
    );
    assert_eq!(live.place.read("effects"), "other\n");

    // One death more is no fourth one.
    live.bex(&["retry", "killer"], 0);
    let resumed = live.spawn(&["resume", "--format", "none"]);
    assert_eq!(signal_of(resumed), Some(9));
    std::fs::write(live.place.path("tame"), "").unwrap();
    live.bex(&["resume", "--format", "none"], 0);
    assert_eq!(live.bex(&["logs", "killer"], 0), "tame\n");
    assert_eq!(live.status()["completed"], 3);
}

#[test]
fn a_task_that_is_to_be_held_waits_for_somebody_after_a_crash() {
    let mut live = Live::new();
    let script = waiting("echo paid >> effects");
    add(
        &live,
        &[
            shell_task("pay", &script, &json!({ "on_interrupt": "hold" })),
            shell_task("other", "true", &json!({})),
        ],
    );
    live.bex(&["start"], 0);
    live.begun();
    live.kill_executor();
    assert!(live.bex(&["why", "pay"], 0).contains("on_interrupt: hold"));

    // All but it is done, and the run does not wait for ever.
    let resumed = live.place.bex(&["resume", "--format", "none"]).expect(5);
    for part in ["1 task is held", "bex release --all -b b1"] {
        assert!(resumed.stderr.contains(part), "{part}: {resumed:?}");
    }
    live.assert_none_begun();
    let status = live.status();
    assert_eq!(
        (&status["completed"], &status["queued"]),
        (&json!(1), &json!(1))
    );
    let why = live.bex(&["why", "pay"], 0);
    assert!(why.contains("is held: it was interrupted"), "{why}");
    assert!(why.contains("bex retry b1.1"), "{why}");

    assert_eq!(live.bex(&["retry", "pay"], 0), "1 task queued again\n");
    live.bex(&["start"], 0);
    live.begun();
    live.let_go(1);
    live.bex(&["wait"], 0);
    assert_eq!(live.place.read("effects"), "paid\n");
    assert_eq!(live.outcomes("pay"), ["interrupted", "completed"]);
}

#[test]
fn a_task_that_is_to_fail_has_failed_after_a_crash() {
    let mut live = Live::new();
    let treated = json!({ "on_interrupt": "fail", "max_retries": 3 });
    add(
        &live,
        &[
            shell_task("pay", &waiting("true"), &treated),
            shell_task("receipt", "true", &json!({ "depends_on": ["pay"] })),
        ],
    );
    live.bex(&["start"], 0);
    live.begun();
    live.kill_executor();
    assert!(live.bex(&["why", "pay"], 0).contains("on_interrupt: fail"));
    live.bex(&["resume", "--format", "none"], 1);
    live.assert_none_begun();
    let why = live.bex(&["why", "pay"], 0);
    assert!(why.contains("failed because it was interrupted"), "{why}");
    let status = live.status();
    assert_eq!(
        (&status["failed"], &status["cancelled"]),
        (&json!(1), &json!(1))
    );
    live.bex(&["retry"], 0);
    live.bex(&["start"], 0);
    live.begun();
    live.let_go(1);
    live.bex(&["wait"], 0);
}

#[test]
fn a_batch_whose_executor_died_can_be_changed_before_it_goes_on() {
    let mut live = Live::new();
    live.add_waiting("echo one >> effects");
    live.add_waiting("echo two >> effects");
    live.bex(&["start", "-j", "1"], 0);
    live.begun();
    live.kill_executor();
    // Who takes the lease for a moment puts what was cut off back into the queue.
    assert_eq!(live.bex(&["cancel", "2"], 0), "1 task cancelled\n");
    assert_eq!(live.outcomes("1"), ["interrupted"]);
    assert_eq!(live.status()["state"], "interrupted");
    live.bex(&["add", "--shell", "echo three >> effects"], 0);
    live.bex(&["start", "-j", "1"], 0);
    assert_eq!(live.begun(), "b1.1");
    live.let_go(1);
    live.bex(&["wait"], 1);
    assert_eq!(live.place.read("effects"), "one\nthree\n");
}

#[test]
fn a_dead_executor_is_no_reason_to_refuse_a_new_one_nor_is_its_pid() {
    let live = Live::new();
    live.bex(&["add", "--shell", "kill -9 $PPID"], 0);
    // Whether it was still told that the executor began is a matter of luck.
    let mut start = live.place.command(env!("CARGO_BIN_EXE_bex"));
    start
        .arg("start")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    assert!(matches!(start.status().unwrap().code(), Some(0 | 3)));
    live.bex(&["wait"], 5);
    assert_eq!(live.status()["pid"], Value::Null);
    live.bex(&["rm", "b1"], 0);
    assert_eq!(live.bex(&["list"], 0), "no batches\n");
}
