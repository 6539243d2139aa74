//! The guardian, with a program that is in for `bex`.
#![cfg(target_os = "linux")]

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use common::{Lifeline, PATIENCE, kill};

/// What a task might do to escape, in the hands of `sh`. Its processes hold the lifeline.
const ESCAPES: &str = "env -i setsid sh -c 'echo out >&9; sleep 1000' & \
    (env -i setsid sleep 1000 &); setsid sleep 1000 & sleep 1000 & trap '' TERM; \
    echo ready >&9; while :; do sleep 1000; done";

struct Fixture {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Fixture {
    fn start(arguments: &[&str]) -> Self {
        Self::from(Command::new(env!("CARGO_BIN_EXE_batch-process-fixture")).args(arguments))
    }

    fn from(command: &mut Command) -> Self {
        let mut child = command
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").unwrap()
    }

    /// The pids of the executor and of its task.
    fn ids(&mut self) -> (i64, i64) {
        let line = self.line();
        let words: Vec<&str> = line.split(' ').collect();
        (words[1].parse().unwrap(), words[3].parse().unwrap())
    }

    fn pid(&self) -> i64 {
        self.child.id().into()
    }

    fn status(&mut self) -> (Option<i32>, Option<i32>) {
        let status = self.child.wait().unwrap();
        (status.code(), status.signal())
    }
}

impl Drop for Fixture {
    /// A failed test leaves nothing: the executor ends with its guardian.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn escaping() -> (Lifeline, Fixture, (i64, i64)) {
    let line = Lifeline::new();
    let script = format!("{}{ESCAPES}", line.hold());
    let mut fixture = Fixture::start(&["run", &script]);
    let ids = fixture.ids();
    let mut lines = [line.line(), line.line()];
    lines.sort();
    assert_eq!(lines, ["out", "ready"]);
    (line, fixture, ids)
}

/// The letter for the state of a process: `T` when it is stopped.
fn state(pid: i64) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// There is no event for the stop of a process that is not one's child.
fn until_state(pid: i64, wanted: impl Fn(char) -> bool) {
    let begun = Instant::now();
    while !state(pid).is_some_and(&wanted) {
        assert!(begun.elapsed() < PATIENCE, "{pid} is {:?}", state(pid));
        std::thread::yield_now();
    }
}

#[test]
fn the_guardian_ends_as_the_executor_ends() {
    for code in [0, 1, 130] {
        let mut fixture = Fixture::start(&["exit", &code.to_string()]);
        assert_eq!(fixture.status(), (Some(code), None));
    }
    let line = Lifeline::new();
    let mut fixture = Fixture::start(&["run", &format!("{}sleep 1000", line.hold())]);
    let (executor, _) = fixture.ids();
    kill("-ALRM", executor);
    assert_eq!(fixture.status(), (None, Some(14)));
    line.all_gone();
}

#[test]
fn a_killed_executor_leaves_nothing() {
    let (line, mut fixture, (executor, _)) = escaping();
    kill("-KILL", executor);
    assert_eq!(fixture.status(), (None, Some(9)));
    line.all_gone();
}

#[test]
fn a_killed_guardian_leaves_nothing() {
    let (line, mut fixture, _) = escaping();
    kill("-KILL", fixture.pid());
    line.all_gone();
    assert_eq!(fixture.status(), (None, Some(9)));
}

#[test]
fn a_killed_group_leaves_nothing() {
    let (line, fixture, (executor, _)) = escaping();
    assert_ne!(executor, fixture.pid());
    kill("-KILL", -fixture.pid());
    line.all_gone();
}

/// Whether the main thread of a process blocks a signal.
fn blocks(pid: i64, signal: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
    mask & (1 << (signal - 1)) != 0
}

#[test]
fn the_executor_blocks_what_would_disturb_it_and_tasks_do_not() {
    const CHLD: u32 = 17;
    const TTOU: u32 = 22;
    let line = Lifeline::new();
    let script = format!("{}echo go >&9; exec sleep 1000", line.hold());
    let mut fixture = Fixture::start(&["run", &script]);
    let (executor, task) = fixture.ids();
    line.line();
    assert!([CHLD, TTOU].iter().all(|signal| blocks(executor, *signal)));
    assert!([CHLD, TTOU].iter().all(|signal| !blocks(task, *signal)));
    let name = std::fs::read_to_string(format!("/proc/{executor}/comm")).unwrap();
    assert_eq!(name, "batch-executor\n");
}

#[test]
fn signals_are_passed_on() {
    let mut fixture = Fixture::start(&["run", "sleep 1000"]);
    fixture.ids();
    for (signal, name) in [("-INT", "Interrupt"), ("-HUP", "Hangup"), ("-QUIT", "Quit")] {
        kill(signal, fixture.pid());
        assert_eq!(fixture.line(), name);
    }
    kill("-TERM", fixture.pid());
    assert_eq!(fixture.line(), "Terminate");
    assert_eq!(fixture.status(), (Some(143), None));
}

#[test]
fn what_is_to_be_ignored_stays_ignored() {
    let program = env!("CARGO_BIN_EXE_batch-process-fixture");
    let script = format!("trap '' HUP INT; exec '{program}' run 'sleep 1000'");
    let mut fixture = Fixture::from(Command::new("sh").args(["-c", &script]));
    let (executor, _) = fixture.ids();
    for pid in [fixture.pid(), executor] {
        kill("-HUP", pid);
        kill("-INT", pid);
    }
    kill("-TERM", fixture.pid());
    assert_eq!(fixture.line(), "Terminate");
    assert_eq!(fixture.status(), (Some(143), None));
}

#[test]
fn a_stop_stops_guardian_executor_and_tasks_and_they_go_on() {
    let mut fixture = Fixture::start(&["run", "exec sleep 1000"]);
    let (executor, task) = fixture.ids();
    kill("-TSTP", fixture.pid());
    assert_eq!(fixture.line(), "Suspend");
    for pid in [task, executor, fixture.pid()] {
        until_state(pid, |state| state == 'T');
    }
    kill("-CONT", fixture.pid());
    assert_eq!(fixture.line(), "resumed");
    assert_eq!(fixture.line(), "Continue");
    for pid in [task, executor, fixture.pid()] {
        until_state(pid, |state| state != 'T');
    }
    kill("-TERM", fixture.pid());
    assert_eq!(fixture.status(), (Some(143), None));
}

#[test]
fn a_stopped_executor_stops_its_guardian_and_goes_on_with_it() {
    let mut fixture = Fixture::start(&["run", "exec sleep 1000"]);
    let (executor, _) = fixture.ids();
    kill("-STOP", executor);
    until_state(fixture.pid(), |state| state == 'T');
    kill("-CONT", fixture.pid());
    assert_eq!(fixture.line(), "Continue");
    kill("-TERM", fixture.pid());
    assert_eq!(fixture.line(), "Terminate");
    assert_eq!(fixture.status(), (Some(143), None));
}

#[test]
fn the_guardian_of_a_detached_executor_does_not_stop_with_it() {
    let program = env!("CARGO_BIN_EXE_batch-process-fixture");
    let line = Lifeline::new();
    let script = format!("{}exec sleep 1000", line.hold());
    let mut fixture =
        Fixture::from(Command::new("setsid").args(["--wait", program, "run", &script]));
    let (executor, _) = fixture.ids();
    let guardian = parent(executor);
    kill("-STOP", executor);
    until_state(executor, |state| state == 'T');
    // It has seen that when no signal waits for it any more; had it stopped, it would be stopped then.
    while pending(guardian) != 0 {
        std::thread::yield_now();
    }
    until_state(guardian, |state| state == 'S' || state == 'T');
    assert_eq!(state(guardian), Some('S'));
    // Nobody would wake it: it must still see the end of the executor and end what that leaves.
    kill("-KILL", executor);
    line.all_gone();
    fixture.status();
}

fn parent(pid: i64) -> i64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The signals that wait for a process to take them.
fn pending(pid: i64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let set = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    u64::from_str_radix(set.unwrap().trim(), 16).unwrap()
}

/// `unshare` into a pid namespace of its own, where this machine lets us have one.
fn pid_namespace() -> Option<Command> {
    let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    ways.into_iter().find_map(|way| {
        let unshare = |program: &str| {
            let mut command = Command::new("unshare");
            command
                .args(way)
                .args(["--pid", "--fork", "--mount-proc", program]);
            command
        };
        let works = unshare("true").stderr(Stdio::null()).status();
        works
            .is_ok_and(|status| status.success())
            .then(|| unshare("sh"))
    })
}

/// As in a container: the session's leader has no id that this process could see, and it may be process 1.
#[test]
fn a_session_led_from_outside_the_pid_namespace_is_guarded_too() {
    let Some(_) = pid_namespace() else {
        eprintln!("!!! not tested: this machine gives us no pid namespace");
        return;
    };
    let program = env!("CARGO_BIN_EXE_batch-process-fixture");
    for script in [
        format!("'{program}' exit 5"),
        format!("exec '{program}' exit 5"),
    ] {
        let mut command = pid_namespace().unwrap();
        let mut fixture = Fixture::from(command.args(["-c", &script]));
        assert_eq!(fixture.status(), (Some(5), None), "{script}");
    }
}

#[test]
fn a_sweep_ends_what_tasks_left_and_names_it() {
    let line = Lifeline::new();
    let script = format!(
        "{}(setsid sleep 1001 &); env -i setsid sleep 1002 & sleep 1003 & (trap '' TERM; sleep 1004) &",
        line.hold()
    );
    let mut fixture = Fixture::start(&["sweep", &script]);
    let lines: Vec<String> = fixture.lines.by_ref().map(Result::unwrap).collect();
    let count = |wanted: &str| lines.iter().filter(|line| *line == wanted).count();
    // What ignores the request is killed after it.
    assert_eq!(count("b1.42 sleep"), 3, "{lines:?}");
    assert_eq!(count("- sleep"), 1, "{lines:?}");
    assert_eq!(fixture.status(), (Some(0), None));
    line.all_gone();
}

#[test]
fn a_sweep_without_leftovers_says_nothing() {
    let mut fixture = Fixture::start(&["sweep", "true"]);
    assert_eq!(fixture.lines.by_ref().count(), 0);
    assert_eq!(fixture.status(), (Some(0), None));
}

#[test]
fn orphans_that_ended_are_reaped_and_ends_of_tasks_left_alone() {
    let script = "for i in 1 2 3; do (sh -c : &); done; exit 5";
    let mut fixture = Fixture::start(&["reap", script, "3"]);
    assert_eq!(fixture.line(), "reaped 3, ended Some(5)");
    assert_eq!(fixture.status(), (Some(0), None));
}

#[test]
fn no_more_open_files_is_no_fault_of_the_task() {
    let program = env!("CARGO_BIN_EXE_batch-process-fixture");
    // Whatever they run out for, it is before the program begins.
    for limit in 40..46 {
        let script = format!("ulimit -n {limit}; exec '{program}' unguarded busy");
        let mut fixture = Fixture::from(Command::new("sh").args(["-c", &script]));
        assert_eq!(fixture.line(), "busy true permanent false", "{limit}");
    }
}

#[test]
fn the_limit_of_open_files_is_raised_and_given_back() {
    let program = env!("CARGO_BIN_EXE_batch-process-fixture");
    let script = format!("ulimit -Sn 100; exec '{program}' unguarded limits 50");
    let mut fixture = Fixture::from(Command::new("sh").args(["-c", &script]));
    assert_eq!(fixture.line(), "tasks 50");
    assert_eq!(fixture.line(), "100");
}
