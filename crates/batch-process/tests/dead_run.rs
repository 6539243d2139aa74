//! What is left when executor and guardian were both killed, and what the marks of executors tell.
#![cfg(target_os = "linux")]

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use batch_process::{Leftover, Signal, boot_id, end_run, own_mark, process_alive, signal_process};
use common::{Lifeline, PATIENCE, kill};

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(3_600);

/// A task of a run that never was.
struct Task(Child);

impl Task {
    fn start(mark: &str, script: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0);
        command.stderr(Stdio::null());
        command.envs([("BEX_RUN", mark), ("BEX_TASK_ID", "b5.7")]);
        Self(command.spawn().unwrap())
    }

    /// What it would be called if it were an executor.
    fn mark(&self) -> String {
        mark_of(self.0.id().into())
    }

    /// The signal that ended it.
    fn signal(mut self) -> Option<i32> {
        self.0.wait().unwrap().signal()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A mark of this test alone; no process can have that number.
fn mark(number: u32) -> String {
    format!("2147483647-{number}{:010}", std::process::id())
}

fn mark_of(pid: i64) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(") ").next().unwrap();
    // Field 22 of the line; the first one here is field 3.
    format!("{pid}-{}", fields.split(' ').nth(19).unwrap())
}

async fn end(mark: &str, grace: Duration) -> Vec<Leftover> {
    let ended = tokio::time::timeout(PATIENCE, end_run(mark, grace)).await;
    ended.expect("an end in time")
}

/// The one that called itself so, by `echo NAME > /proc/self/comm`.
fn named<'a>(found: &'a [Leftover], name: &str) -> &'a Leftover {
    let mut named = found.iter().filter(|left| left.program == name);
    named
        .next()
        .unwrap_or_else(|| panic!("{name} is not in {found:?}"))
}

#[tokio::test]
async fn the_tree_of_a_dead_run_is_ended_and_another_run_is_not_touched() {
    let (line, other) = (Lifeline::new(), Lifeline::new());
    // All are there when they are ready. One in a session of its own, one without marks below it, one that lost its parents, and one
    // without marks that lost its parents but stayed in the group.
    let script = "comm=/proc/self/comm; echo five > $comm; echo='echo ready >&9'; \
        setsid sh -c \"echo two > $comm; env -i sh -c 'echo one > $comm; sleep 1000 & $echo; wait' & wait; :\" & \
        (setsid sh -c \"echo three > $comm; sleep 1000 & $echo; wait\" &); \
        (env -i sh -c \"echo four > $comm; sleep 1000 & $echo; wait\" &); wait; :";
    let task = Task::start(&mark(1), &format!("{}{script}", line.hold()));
    let ready = format!("{}echo ready >&9; exec sleep 1004", other.hold());
    let bystander = Task::start(&mark(2), &ready);
    for line in [&line, &line, &line, &other] {
        assert_eq!(line.line(), "ready");
    }

    // The grace is not waited for when all end. Nobody takes the end of the task meanwhile.
    let found = end(&mark(1), LONG).await;
    line.all_gone();
    let tasks = ["one", "two", "three", "four", "five"];
    let tasks = tasks.map(|name| named(&found, name).task.as_deref());
    let marked = Some("b5.7");
    assert_eq!(tasks, [None, marked, marked, None, marked]);
    let other = i32::try_from(bystander.0.id()).unwrap();
    assert!(found.iter().all(|left| left.pid != other));
    assert!(!process_alive(&task.mark()));
    assert!(process_alive(&bystander.mark()));
}

#[tokio::test]
async fn what_ignores_the_request_is_killed_with_what_it_starts() {
    let line = Lifeline::new();
    let script = "trap '' TERM; echo ready >&9; while :; do env -i setsid sleep 0.01; done";
    let task = Task::start(&mark(3), &format!("{}{script}", line.hold()));
    assert_eq!(line.line(), "ready");
    end(&mark(3), Duration::ZERO).await;
    line.all_gone();
    assert_eq!(task.signal(), Some(9));
}

#[tokio::test]
async fn what_lost_its_parents_to_the_request_is_not_lost() {
    let line = Lifeline::new();
    // Nothing but its parent, which ends when asked to, connects the inner one with the run.
    let script = "env -i setsid sh -c \"trap '' TERM; echo ready >&9; \
        while :; do sleep 1000; done\" & wait";
    let _task = Task::start(&mark(7), &format!("{}{script}", line.hold()));
    assert_eq!(line.line(), "ready");
    end(&mark(7), Duration::from_millis(50)).await;
    line.all_gone();
}

#[tokio::test]
async fn what_this_process_started_is_spared() {
    let task = Task::start(own_mark(), "exec sleep 1000");
    assert_eq!(end(own_mark(), LONG).await, []);
    assert!(process_alive(&task.mark()));
}

#[tokio::test]
async fn what_is_stopped_is_ended_too() {
    let line = Lifeline::new();
    let script = format!("{}echo ready >&9; exec sleep 1000", line.hold());
    let task = Task::start(&mark(4), &script);
    assert_eq!(line.line(), "ready");
    kill("-STOP", task.0.id().into());
    assert_eq!(end(&mark(4), LONG).await.len(), 1);
    line.all_gone();
    assert_eq!(task.signal(), Some(15));
}

#[tokio::test]
async fn a_run_that_left_nothing_is_quickly_done() {
    let mut zombie = Task::start(&mark(5), "exit 0");
    until_zombie(&zombie);
    assert_eq!(end(&mark(5), LONG).await, []);
    assert_eq!(zombie.0.wait().unwrap().code(), Some(0));
}

/// Waits until a child has ended and leaves it a zombie.
fn until_zombie(task: &Task) {
    let begun = std::time::Instant::now();
    while process_alive(&task.mark()) {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn when_executor_and_guardian_are_killed_their_tasks_are_found() {
    const TREE: &str = "echo inner > /proc/self/comm; \
        setsid sh -c 'echo outer > /proc/self/comm; env -i sleep 1000 & echo out >&9; wait' & \
        trap '' TERM; echo ready >&9; while :; do sleep 1000; done";
    let line = Lifeline::new();
    let mut guardian = Command::new(env!("CARGO_BIN_EXE_batch-process-fixture"))
        .args(["run", &format!("{}{TREE}", line.hold())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(guardian.stdout.take().unwrap()).lines();
    let told = told.next().unwrap().unwrap();
    let executor: i64 = told.split(' ').nth(1).unwrap().parse().unwrap();
    let mark = mark_of(executor);
    assert!(process_alive(&mark));
    let mut lines = [line.line(), line.line()];
    lines.sort();
    assert_eq!(lines, ["out", "ready"]);

    // Stopped first, so that it has no time to clean up after the executor.
    kill("-STOP", guardian.id().into());
    kill("-KILL", executor);
    kill("-KILL", guardian.id().into());
    guardian.wait().unwrap();

    let found = end(&mark, Duration::from_millis(50)).await;
    line.all_gone();
    assert!(!process_alive(&mark));
    // What the executor had started itself has died with it.
    assert!(
        found.iter().all(|left| left.program != "inner"),
        "{found:?}"
    );
    assert_eq!(named(&found, "outer").task.as_deref(), Some("b1.42"));
    assert_eq!(end(&mark, LONG).await, []);
}

#[test]
fn a_signal_reaches_the_named_process_or_nobody() {
    let task = Task::start(&mark(6), "exec sleep 1000");
    let named = task.mark();
    let (pid, start) = named.split_once('-').unwrap();
    let later = format!("{pid}-{}", start.parse::<u64>().unwrap() + 1);
    for nobody in ["", "1", later.as_str(), &mark(0)] {
        assert!(!signal_process(nobody, Signal::Kill).unwrap(), "{nobody}");
        assert!(!process_alive(nobody), "{nobody}");
    }
    assert!(process_alive(&named));
    assert!(signal_process(&named, Signal::Interrupt).unwrap());
    assert_eq!(task.signal(), Some(2));
    assert!(!process_alive(&named));
    assert!(!signal_process(&named, Signal::Kill).unwrap());
}

#[test]
fn this_process_is_alive_in_this_boot() {
    assert!(process_alive(own_mark()));
    assert_eq!(own_mark(), mark_of(std::process::id().into()));
    assert_eq!((boot_id().len(), boot_id()), (36, boot_id()));
}
