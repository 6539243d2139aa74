//! A batch belongs to one executor, by whatever name it is opened, and an executor that loses its batch says so.

use std::fs;
use std::process::{Child, Output};
use std::time::Instant;

use serde_json::json;

use crate::harness::{Live, shell_task, status_of, waiting};

/// A run of a batch of its own file, with its first task begun.
fn begun(live: &Live, tasks: usize) -> Child {
    let task = |id: usize| {
        shell_task(
            &id.to_string(),
            &waiting("echo $BEX_TASK_ID >> effects"),
            &json!({}),
        )
    };
    let tasks: Vec<_> = (1..=tasks).map(task).collect();
    live.place
        .tasks(&json!({ "max_concurrent": 1, "tasks": tasks }));
    let mut command = live.place.command(env!("CARGO_BIN_EXE_bex"));
    command.args(["run", "tasks.json", "--store", "b1.db", "-o", "out.json"]);
    let run = command.spawn().unwrap();
    live.begun();
    run
}

/// How a run ended, and what it said.
#[track_caller]
fn ended(child: Child) -> (Option<i32>, String) {
    let pid = child.id();
    let (sender, output) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    let output: Output = output
        .recv_timeout(crate::common::LIMIT)
        .unwrap_or_else(|_| panic!("process {pid} does not end"));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[track_caller]
fn assert_lost(run: Child, said: &str) {
    let (code, stderr) = ended(run);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains(said), "{said}: {stderr}");
}

#[test]
fn a_second_executor_waits_for_the_first_when_the_lease_is_removed() {
    let mut live = Live::new();
    let first = begun(&live, 2);
    fs::remove_file(live.place.path("b1.db.lease")).unwrap();
    live.let_go(3);
    let second = live
        .place
        .bex(&["resume", "--store", "b1.db", "--format", "none"]);
    second.expect(0);
    assert_lost(first, "b1.db.lease while it ran");
    let status = live.json(&["status", "--store", "b1.db", "--json"], 0);
    assert_eq!(status["completed"], 2);
}

#[test]
fn a_symbolic_link_is_the_same_batch() {
    let mut live = Live::new();
    let run = begun(&live, 1);
    std::os::unix::fs::symlink("b1.db", live.place.path("other.db")).unwrap();
    for verb in ["resume", "start"] {
        let told = live.bex(&[verb, "--store", "other.db"], 0);
        assert!(told.contains("running already"), "{verb}: {told}");
    }
    live.bex(
        &[
            "add",
            "--store",
            "other.db",
            "--shell",
            "echo added >> effects",
        ],
        0,
    );
    live.let_go(1);
    assert_eq!(status_of(run).code(), Some(0));
    assert_eq!(live.place.read("effects"), "b1.1\nadded\n");
    assert!(!live.place.has("other.db.lease") && !live.place.has("other.db.files"));
}

#[test]
fn a_hard_link_is_refused_by_every_verb() {
    let live = Live::new();
    live.bex(&["add", "--store", "b1.db", "--shell", "touch ran"], 0);
    fs::hard_link(live.place.path("b1.db"), live.place.path("b2.db")).unwrap();
    for verb in ["resume", "start", "status", "results", "retry", "pause"] {
        for name in ["b1.db", "b2.db"] {
            let refused = live.place.bex(&[verb, "--store", name]).expect(2);
            assert!(
                refused.stderr.contains("has 2 names"),
                "{verb}: {refused:?}"
            );
        }
    }
    assert!(!live.place.has("ran") && !live.place.has("b2.db-wal"));
    fs::remove_file(live.place.path("b2.db")).unwrap();
    live.bex(&["resume", "--store", "b1.db"], 0);
}

#[test]
fn a_batch_that_is_moved_while_it_runs_is_whole_where_it_lies() {
    let mut live = Live::new();
    let run = begun(&live, 3);
    live.let_go(1);
    live.begun();
    fs::rename(live.place.path("b1.db"), live.place.path("b2.db")).unwrap();
    assert_lost(run, "was moved to");
    let status = live.json(&["status", "--store", "b2.db", "--json"], 0);
    assert_eq!(
        (&status["completed"], &status["queued"]),
        (&json!(1), &json!(2))
    );
    live.let_go(2);
    live.bex(&["resume", "--store", "b2.db", "--format", "none"], 0);
    assert_eq!(live.place.read("effects"), "b1.1\nb1.2\nb1.3\n");
}

#[test]
fn the_whole_folder_can_be_moved_as_well() {
    let mut live = Live::new();
    fs::create_dir(live.place.path("one")).unwrap();
    live.bex(
        &[
            "add",
            "--store",
            "one/b1.db",
            "--shell",
            &waiting("echo done >> effects"),
        ],
        0,
    );
    let run = live.spawn(&["resume", "--store", "one/b1.db", "--format", "none"]);
    live.begun();
    fs::rename(live.place.path("one"), live.place.path("two")).unwrap();
    assert_eq!(status_of(run).code(), Some(3));
    live.let_go(1);
    live.bex(&["resume", "--store", "two/b1.db", "--format", "none"], 0);
    assert_eq!(live.place.read("effects"), "done\n");
}

#[test]
fn a_batch_that_is_removed_while_it_runs_is_no_success() {
    let mut live = Live::new();
    let run = begun(&live, 2);
    live.let_go(1);
    live.begun();
    for name in ["b1.db", "b1.db-wal", "b1.db-shm", "b1.db.lease"] {
        fs::remove_file(live.place.path(name)).unwrap();
    }
    assert_lost(run, "nothing of that batch is kept");
    // What was asked for elsewhere is written as far as it came.
    let results = live.place.read("out.json");
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results["metadata"]["completed"], 1);
    assert!(!live.place.has("b1.db"));
}

#[test]
fn a_run_that_is_over_before_anybody_looks_notices_it_too() {
    let live = Live::new();
    let args = [
        "run",
        "--store",
        "b1.db",
        "--shell",
        "rm b1.db; echo {}",
        ":::",
        "a",
    ];
    let ended = live.place.bex(&args).expect(3);
    assert!(
        ended.stderr.contains("nothing of that batch is kept"),
        "{ended:?}"
    );
}

#[test]
fn a_backup_put_in_its_place_is_not_written_to() {
    let live = Live::new();
    let run = begun(&live, 1);
    let other = [
        "run", "--store", "other.db", "--shell", "echo {}", ":::", "a",
    ];
    live.bex(&other, 0);
    fs::rename(live.place.path("other.db"), live.place.path("b1.db")).unwrap();
    assert_lost(run, "was removed or replaced");
    assert!(!live.place.has("b1.db-wal"), "the log of the other one");
    let status = live.json(&["status", "--store", "b1.db", "--json"], 0);
    assert_eq!(status["state"], "completed");
}

#[test]
fn a_batch_that_is_overwritten_stops_its_run() {
    let live = Live::new();
    let run = begun(&live, 1);
    fs::write(live.place.path("b1.db"), "something else").unwrap();
    assert_lost(run, "was overwritten while it ran");
    assert_eq!(live.place.read("b1.db"), "something else");
}

#[test]
fn a_log_that_is_removed_costs_nothing_that_has_finished() {
    let mut live = Live::new();
    let run = begun(&live, 2);
    live.let_go(1);
    live.begun();
    fs::remove_file(live.place.path("b1.db-wal")).unwrap();
    assert_lost(run, "b1.db-wal while it ran");
    let status = live.json(&["status", "--store", "b1.db", "--json"], 0);
    assert_eq!(
        (&status["completed"], &status["queued"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn kept_outputs_that_are_removed_end_the_run() {
    let live = Live::new();
    let run = begun(&live, 1);
    fs::remove_dir_all(live.place.path("b1.db.files")).unwrap();
    assert_lost(run, "b1.db.files while it ran");
}

#[test]
fn whoever_waits_hears_that_the_batch_was_taken_away() {
    for (taken, said) in [
        ("rm b1.db", "was removed"),
        ("mv b1.db c.db", "was moved to"),
    ] {
        for verb in [&["wait"][..], &["watch"], &["logs", "-f", "1"]] {
            let live = Live::new();
            let run = begun(&live, 1);
            let mut command = live.place.command(env!("CARGO_BIN_EXE_bex"));
            command.args(verb).args(["--store", "b1.db"]);
            let waits = command.spawn().unwrap();
            // It has the batch open.
            let open = format!("/proc/{}/fd", waits.id());
            let has_open = |name: &str| {
                let entries = fs::read_dir(&open).into_iter().flatten().flatten();
                let mut links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
                links.any(|link| link.ends_with(name))
            };
            let until = Instant::now() + crate::common::LIMIT;
            while !has_open("b1.db-shm") {
                assert!(Instant::now() < until, "{verb:?} does not open it");
            }
            let taken = live.place.command("sh").args(["-c", taken]).status();
            assert!(taken.unwrap().success());
            let (code, stderr) = ended(waits);
            assert_eq!(code, Some(3), "{verb:?}: {stderr}");
            assert!(stderr.contains(said), "{verb:?}: {stderr}");
            assert_lost(run, said);
        }
    }
}
