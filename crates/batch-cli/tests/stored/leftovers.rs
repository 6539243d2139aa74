//! Executor and guardian killed at one moment: what dies with them, and who ends the rest.

use serde_json::json;

use crate::harness::{Alive, Live, kill, parent_of, waiting};

/// A process that lost its parents, its group, its session and its environment, besides that of the task.
const ESCAPES: &str = "exec 3> alive; (env -i setsid sh -c 'sleep 1000 & wait' &); \
    echo $BEX_TASK_ID > marks; sleep 1000; :";

/// A guardian that hangs sees nothing of the end of its executor.
fn kill_both(live: &Live) {
    let executor = live.executor();
    let guardian = parent_of(executor);
    for (signal, pid) in [("STOP", guardian), ("KILL", executor), ("KILL", guardian)] {
        assert!(kill(signal, pid));
    }
    live.bex(&["wait"], 5);
}

/// A batch whose executor and guardian were killed while its task ran, with what tells of the end of its processes.
fn dead(script: &str) -> (Live, Alive) {
    let live = Live::new();
    live.bex(&["add", "--shell", script], 0);
    let alive = live.alive();
    live.bex(&["start"], 0);
    live.begun();
    kill_both(&live);
    (live, alive)
}

#[test]
fn the_process_of_a_task_dies_with_executor_and_guardian() {
    let (_live, alive) = dead("exec 3> alive; echo $BEX_TASK_ID > marks; exec sleep 1000");
    alive.ended();
}

#[test]
fn a_batch_is_removed_with_what_its_dead_executor_left() {
    let (live, alive) = dead(ESCAPES);
    let removed = live.place.bex(&["rm", "b1"]).expect(0);
    assert_eq!(removed.stdout, "b1 removed\n");
    let told = &removed.stderr;
    assert!(
        told.contains("outlived its executor (sleep); ended"),
        "{told}"
    );
    alive.ended();
}

#[test]
fn every_change_of_a_batch_ends_what_its_dead_executor_left() {
    for change in [
        &["stop"][..],
        &["stop", "--kill", "--wait"],
        &["add", "-b", "b1", "--shell", "true"],
        &["prune", "--older-than", "0"],
        &["cancel", "1"],
        &["pause"],
        &["retry", "1"],
        &["clear"],
        &["set", "-j", "3"],
        &["start"],
    ] {
        let script = format!("test ! -e again || exit 0; touch again; {ESCAPES}");
        let (live, alive) = dead(&script);
        let ended = live.place.bex(change);
        if change != ["start"] {
            // A batch in the background tells its log.
            let told = &ended.stderr;
            assert!(told.contains("outlived its executor"), "{change:?}: {told}");
            if ["stop", "add", "prune"].contains(&change[0]) {
                assert_eq!(ended.code, Some(0), "{change:?}: {told}");
            }
        }
        alive.ended();
    }
}

#[test]
fn an_executor_started_inside_a_task_does_not_end_with_that_task() {
    let mut live = Live::new();
    live.add_waiting("echo inner >> effects");
    let bex = env!("CARGO_BIN_EXE_bex");
    let starts = format!("exec 3> alive; '{bex}' start -b b1; sleep 1000; :");
    // The other task keeps the outer run from its end, which would end all below it.
    live.place.tasks(&json!({ "max_concurrent": 2, "tasks": [
        { "shell": starts, "max_retries": 0 },
        { "shell": waiting("true") },
    ] }));
    live.bex(&["add", "--new", "--file", "tasks.json"], 0);
    let alive = live.alive();
    live.bex(&["start", "-b", "b2"], 0);
    let mut begun = [live.begun(), live.begun()];
    begun.sort();
    assert_eq!(begun, ["b1.1", "b2.2"]);
    live.bex(&["cancel", "b2.1"], 0);
    alive.ended();
    live.let_go(2);
    live.bex(&["wait", "-b", "b1"], 0);
    assert_eq!(live.place.read("effects"), "inner\n");
    live.bex(&["wait", "-b", "b2"], 1);
}
