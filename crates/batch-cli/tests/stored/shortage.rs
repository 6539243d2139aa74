//! What becomes of a run where the system has too little for it: open files, processes, threads, room in a file.

use std::fs::OpenOptions;
use std::process::Command;

use serde_json::Value;

use crate::common::{Ended, Place, finish};

const BEX: &str = env!("CARGO_BIN_EXE_bex");

/// Runs a script of the shell, with the binary as `$BEX`.
fn shell(place: &Place, script: &str) -> Ended {
    let mut command = place.command("bash");
    command.args(["-c", script]).env("BEX", BEX);
    finish(command, b"")
}

/// The outcomes of all attempts of a task.
fn attempts(place: &Place, task: &str) -> Vec<String> {
    let shown = place.bex(&["show", task, "--json"]).expect(0).json();
    let attempts = shown["attempts"].as_array().unwrap();
    let outcome = |attempt: &Value| attempt["outcome"].as_str().unwrap().to_owned();
    attempts.iter().map(outcome).collect()
}

fn batches(place: &Place) -> usize {
    let list = place.bex(&["list", "--json"]).expect(0).json();
    list.as_array().unwrap().len()
}

#[test]
fn few_open_files_mean_fewer_tasks_at_once_and_one_line() {
    let place = Place::new();
    let run = shell(&place, "ulimit -n 64; seq 300 | $BEX run -j50 -- true").expect(0);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{run:#?}");
    assert!(
        lines[0].contains("at once, not 50: the limit of open files"),
        "{run:#?}"
    );
    assert!(lines[1].starts_with("300 tasks: 300 completed"), "{run:#?}");
    assert!(lines[2].starts_with("execution time: "), "{run:#?}");
    for task in ["b1.1", "b1.40", "b1.300"] {
        assert_eq!(attempts(&place, task), ["completed"]);
    }
}

#[test]
fn too_few_open_files_for_one_task_are_an_error_before_anything_runs() {
    let place = Place::new();
    for limit in [8, 12, 20, 26] {
        let script = format!("ulimit -n {limit}; seq 30 | $BEX run -j50 -- touch ran");
        let run = shell(&place, &script).expect(3);
        let wanted = format!("open files (RLIMIT_NOFILE) is {limit}, and one task at a time needs");
        assert!(run.stderr.contains(&wanted), "{run:#?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    }
    assert!(!place.has("ran"));
    assert_eq!(batches(&place), 0);
    // Work that goes on in the background says the same.
    place.bex(&["add", "--", "touch", "ran"]).expect(0);
    for verb in ["start", "resume"] {
        let run = shell(&place, &format!("ulimit -n 22; $BEX {verb}")).expect(3);
        assert!(run.stderr.contains("the limit of open files"), "{run:#?}");
    }
    place.bex(&["resume"]).expect(0);
    assert!(place.has("ran"));
}

#[test]
fn a_program_that_stays_open_for_writing_fails_its_task() {
    let place = Place::new();
    std::fs::copy("/bin/true", place.path("tool")).unwrap();
    let open = OpenOptions::new().append(true).open(place.path("tool"));
    let open = open.unwrap();
    let args = ["run", "--max-retries", "0", "--", "./tool", ":::", "1"];
    let run = place.bex(&args).expect(1);
    assert!(run.stderr.contains("spawn error"), "{run:#?}");
    assert!(
        run.stderr.contains("\"./tool\" is open for writing"),
        "{run:#?}"
    );
    assert_eq!(attempts(&place, "b1.1"), ["failed"]);
    drop(open);
    place.bex(&args).expect(0);
}

#[test]
fn a_file_that_may_not_grow_is_an_error_of_ours_and_a_signal_for_tasks() {
    let place = Place::new();
    let script = "ulimit -f 8; $BEX run --durability none -- seq ::: 30000 > big";
    let run = shell(&place, script).expect(3);
    assert!(run.stderr.contains("File too large"), "{run:#?}");
    let script = "ulimit -f 2000; $BEX run --max-retries 0 --shell 'exec head -c 9000000 /dev/zero > f{}' ::: 1";
    let run = shell(&place, script).expect(1);
    assert!(run.stderr.contains("SIGXFSZ"), "{run:#?}");
}

/// Whether system calls can be made to fail here.
fn has_strace() -> bool {
    let there = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    there.is_ok_and(|ran| ran.status.success())
}

#[test]
fn a_system_that_refuses_a_thread_or_a_socket_gives_an_error_and_no_panic() {
    if !has_strace() {
        eprintln!("no strace here: not looked at");
        return;
    }
    let calls = [
        ("clone", "EAGAIN", 2),
        ("clone3", "EAGAIN", 10),
        ("socketpair", "EMFILE", 2),
        ("epoll_create1", "EMFILE", 1),
        ("eventfd2", "ENOMEM", 1),
        ("pipe2", "EMFILE", 3),
        ("prctl", "EAGAIN", 2),
        ("prlimit64", "EAGAIN", 4),
        ("pidfd_open", "EAGAIN", 2),
    ];
    for (call, error, times) in calls {
        for time in 1..=times {
            let place = Place::new();
            let mut command = place.command("strace");
            let inject = format!("inject={call}:error={error}:when={time}");
            command
                .args([
                    "-f",
                    "-qq",
                    "-o",
                    "/dev/null",
                    "-e",
                    &format!("trace={call}"),
                ])
                .args([
                    "-e", &inject, BEX, "run", "-j2", "--", "true", ":::", "1", "2",
                ]);
            let run = finish(command, b"");
            let told = run.stderr.contains("bex: ");
            assert!(
                run.code == Some(0) || (run.code == Some(3) && told),
                "{inject}: {run:#?}"
            );
            assert!(!run.stderr.contains("panicked"), "{inject}: {run:#?}");
        }
    }
}

#[test]
fn what_could_not_start_is_tried_again_and_is_no_attempt() {
    if !has_strace() {
        eprintln!("no strace here: not looked at");
        return;
    }
    let place = Place::new();
    let mut command = place.command("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pidfd_open"])
        .args(["-e", "inject=pidfd_open:error=EMFILE:when=2..5"])
        .args([BEX, "run", "-j1", "--", "true", ":::", "1", "2", "3"]);
    let run = finish(command, b"").expect(0);
    assert_eq!(
        run.stderr.matches("short of open files").count(),
        2,
        "{run:#?}"
    );
    assert_eq!(
        run.stderr.matches("no longer short of").count(),
        1,
        "{run:#?}"
    );
    for task in ["b1.1", "b1.2", "b1.3"] {
        assert_eq!(attempts(&place, task), ["completed"]);
    }
}
