//! What processes leave that are killed: it is private, and it goes with the guardian, the next verb or `bex prune`.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::common::{Ended, Place, finish};
use crate::harness::{Live, kill, parent_of, signal_of, waiting};

/// What is in the folder for temporary files.
fn temporary(live: &Live) -> Vec<String> {
    let entries = std::fs::read_dir(live.place.path("tmp")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn with_tmp(live: &Live, mut command: Command) -> Command {
    command.env("TMPDIR", live.place.path("tmp"));
    command
}

fn bex(live: &Live, args: &[&str]) -> Ended {
    let mut command = live.place.command(env!("CARGO_BIN_EXE_bex"));
    command.args(args);
    finish(with_tmp(live, command), b"")
}

/// A run of code that stays, with nothing taken away from what its files may be; gives the guardian.
fn run_code(live: &Live, options: &str) -> Child {
    let code = json!({ "tasks": [{ "function": "code_execution", "max_retries": 0,
        "params": { "runtime": "terminal", "code": "echo begun > marks; sleep 1000" } }] });
    live.place.tasks(&code);
    let run = format!("umask 000; exec $BEX run {options} --progress none tasks.json");
    let mut command = live.place.command("sh");
    command
        .args(["-c", &run])
        .env("BEX", env!("CARGO_BIN_EXE_bex"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    with_tmp(live, command).spawn().unwrap()
}

fn live_with_tmp() -> Live {
    let live = Live::new();
    std::fs::create_dir(live.place.path("tmp")).unwrap();
    live
}

/// The executor below a guardian.
fn executor_of(guardian: u32) -> u32 {
    let children = format!("/proc/{guardian}/task/{guardian}/children");
    let children = std::fs::read_to_string(children).unwrap();
    children.trim().parse().unwrap()
}

#[test]
fn code_of_a_killed_executor_goes_with_its_guardian() {
    for options in ["", "--durability none"] {
        let live = live_with_tmp();
        let run = run_code(&live, options);
        live.begun();
        let names = temporary(&live);
        assert_eq!(names.len(), 1, "{names:?}");
        let folder = live.place.path("tmp").join(&names[0]);
        let mode = folder.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(kill("KILL", executor_of(run.id())));
        assert_eq!(signal_of(run), Some(9));
        assert!(temporary(&live).is_empty());
    }
}

#[test]
fn what_a_killed_guardian_could_not_remove_the_next_verb_does() {
    type Verb = (&'static [&'static str], i32);
    let verbs: [Verb; 5] = [
        (&["prune"], 0),
        (&["add", "-b", "b1", "--shell", "true"], 0),
        (&["run", "--", "true", ":::", "1"], 0),
        (&["cancel", "--all", "-b", "b1"], 0),
        (
            &["run", "--durability", "none", "--shell", "true", ":::", "1"],
            0,
        ),
    ];
    for (verb, code) in verbs {
        let live = live_with_tmp();
        let other = run_code(&live, "--durability none");
        live.begun();
        let kept = temporary(&live);
        let run = run_code(&live, "");
        live.begun();
        let (guardian, executor) = (run.id(), executor_of(run.id()));
        assert_eq!(parent_of(executor), guardian);
        kill("STOP", guardian);
        assert!(kill("KILL", executor) && kill("KILL", guardian));
        assert_eq!(signal_of(run), Some(9));
        assert_eq!(temporary(&live).len(), 2);
        bex(&live, verb).expect(code);
        // The other one lives.
        assert_eq!(temporary(&live), kept);
        assert!(kill("KILL", executor_of(other.id())));
        signal_of(other);
    }
}

#[test]
fn a_killed_run_leaves_nothing_beside_the_file_of_its_results() {
    let live = live_with_tmp();
    let script = waiting("true");
    let args = [
        "run",
        "-o",
        "out.csv",
        "--progress",
        "none",
        "--shell",
        &script,
        ":::",
        "1",
    ];
    let run = live.spawn(&args);
    live.begun();
    assert!(kill("KILL", executor_of(run.id())));
    signal_of(run);
    let entries = std::fs::read_dir(live.place.path(".")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.contains("out.csv")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_batch_that_is_half_removed_is_none_and_is_removed_to_its_end() {
    let next = ["run", "--format", "none", "--", "true", ":::", "1"];
    for verb in [
        &["rm", "b1"][..],
        &["prune"],
        &["add", "--new", "--", "true"],
        &next,
    ] {
        let place = Place::new();
        let large = "printf %0400000d {}";
        for _ in 0..2 {
            let run = [
                "run",
                "--progress",
                "none",
                "--format",
                "none",
                "--shell",
                large,
                ":::",
                "1",
            ];
            place.bex(&run).expect(0);
        }
        // As `rm` leaves it that is killed after the first file.
        let batches = place.path("home/batches");
        std::fs::remove_file(batches.join("b1.db")).unwrap();
        for ending in ["-wal", "-shm", ".log", ".v1"] {
            std::fs::write(batches.join(format!("b1.db{ending}")), "").unwrap();
        }
        std::fs::write(batches.join(".new-abc"), "").unwrap();
        let list = place.bex(&["list", "--json"]).expect(0).json();
        assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
        place.bex(verb).expect(0);
        let names = std::fs::read_dir(&batches).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = names.filter(|name| name.starts_with("b1.")).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(place.bex(&["rm", "b1"]).code, Some(2));
        place.bex(&["status", "-b", "b2"]).expect(0);
        if verb == ["prune"] {
            assert!(!batches.join(".new-abc").exists());
        }
    }
}
