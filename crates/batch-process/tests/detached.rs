//! An executor in the background: in a session of its own, without a terminal.
#![cfg(target_os = "linux")]

mod common;

use std::io::{BufRead, BufReader, Lines};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{Lifeline, kill};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

const PROGRAM: &str = env!("CARGO_BIN_EXE_batch-process-fixture");

/// Something that is told of by lines on standard error.
struct Told {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Told {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").unwrap()
    }

    /// The pids of the guardian and of the executor.
    fn ids(&mut self) -> (i64, i64) {
        let line = self.line();
        let executor = line.split(' ').nth(1).unwrap().parse().unwrap();
        (fields(executor)[PARENT], executor)
    }
}

impl Drop for Told {
    /// A failed test leaves nothing: the executor ends with its guardian.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The numbers in `/proc/PID/stat` after the state.
fn fields(pid: i64) -> Vec<i64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split_whitespace();
    let numbers = fields.skip(1).take(4);
    numbers.map(|field| field.parse().unwrap()).collect()
}

const PARENT: usize = 0;
const GROUP: usize = 1;
const SESSION: usize = 2;
const TERMINAL: usize = 3;

#[test]
fn a_detached_executor_has_a_session_without_terminal_and_no_standard_input_or_output() {
    let line = Lifeline::new();
    let script = format!("{}echo ready >&9; exec sleep 1000", line.hold());
    let mut told = Told::start(
        Command::new(PROGRAM)
            .args(["detached", "run", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let (guardian, executor) = told.ids();
    assert_eq!(guardian, i64::from(told.child.id()));
    line.line();
    for (pid, group) in [(guardian, guardian), (executor, executor)] {
        let fields = fields(pid);
        let found = (fields[GROUP], fields[SESSION], fields[TERMINAL]);
        assert_eq!(found, (group, guardian, 0));
        for fd in [0, 1] {
            let open = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
            assert_eq!(open.to_str(), Some("/dev/null"));
        }
    }
    kill("-TERM", guardian);
    assert_eq!(told.line(), "Terminate");
    assert_eq!(told.child.wait().unwrap().code(), Some(143));
    line.all_gone();
}

#[test]
fn a_killed_executor_leaves_nothing_in_the_background_either() {
    const ESCAPES: &str = "env -i setsid sh -c 'echo out >&9; sleep 1000' & \
        (env -i setsid sleep 1000 &); trap '' TERM; echo ready >&9; while :; do sleep 1000; done";
    for victim in ["executor", "guardian"] {
        let line = Lifeline::new();
        let script = format!("{}{ESCAPES}", line.hold());
        let mut told = Told::start(Command::new(PROGRAM).args(["detached", "run", &script]));
        let (guardian, executor) = told.ids();
        let mut lines = [line.line(), line.line()];
        lines.sort();
        assert_eq!(lines, ["out", "ready"]);
        let victim = if victim == "executor" {
            executor
        } else {
            guardian
        };
        kill("-KILL", victim);
        assert_eq!(told.child.wait().unwrap().signal(), Some(9));
        line.all_gone();
    }
}

/// A terminal: the side that is held by what draws it, and the name of the other one.
fn terminal() -> (OwnedFd, String) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    (master, name.into_string().unwrap())
}

#[test]
fn the_end_of_the_terminal_does_not_end_a_detached_executor() {
    for (how, told_of_it) in [("", true), ("detached", false)] {
        let (master, name) = terminal();
        let line = Lifeline::new();
        let task = format!("{}echo ready >&9; exec sleep 1000", line.hold());
        // The first terminal that the leader of a session opens becomes its own.
        let script = format!(
            "exec <'{name}' >'{name}'; [ -n '{how}' ] || exec >&2; \
             \"$0\" {how} run \"$1\" & wait"
        );
        let shell = ["sh", "-c", &script, PROGRAM, &task];
        let mut told = Told::start(Command::new("setsid").args(shell));
        let (guardian, executor) = told.ids();
        line.line();
        let shell = i64::from(told.child.id());
        assert_ne!(fields(shell)[TERMINAL], 0);
        assert_eq!(fields(executor)[SESSION] == shell, told_of_it);

        drop(master);
        // SIGHUP is sent to the shell and its group at once.
        assert_eq!(told.child.wait().unwrap().signal(), Some(1));
        if told_of_it {
            while told.line() != "Hangup" {}
        } else {
            // A SIGHUP would be told before this one.
            kill("-CONT", guardian);
            assert_eq!(told.line(), "Continue");
        }
        kill("-TERM", guardian);
        // The end of a terminal sends SIGCONT as well.
        while told.line() != "Terminate" {}
        line.all_gone();
    }
}

#[test]
fn the_leader_of_a_group_cannot_leave_its_session() {
    let mut told = Told::start(
        Command::new(PROGRAM)
            .args(["detached", "exit", "0"])
            .process_group(0)
            .stdout(Stdio::null()),
    );
    assert_eq!(told.child.wait().unwrap().code(), Some(99));
}
