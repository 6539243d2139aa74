//! What becomes of processes: after a timeout, a signal and a kill of `bex` itself, nothing is left.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// For whole runs; far longer than they take.
const LIMIT: Duration = Duration::from_secs(120);

/// For processes to go once `bex` was killed.
const GONE: Duration = Duration::from_secs(10);

/// A run of `bex` in a folder of its own; its output goes to files.
struct Run {
    folder: TempDir,
    bex: Child,
}

impl Run {
    fn start(args: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = |name| File::create(folder.path().join(name)).unwrap();
        let bex = Command::new(env!("CARGO_BIN_EXE_bex"))
            .args(args)
            .current_dir(folder.path())
            .env("BEX_HOME", folder.path().join("home"))
            .env("XDG_CONFIG_HOME", folder.path().join("config"))
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        Self { folder, bex }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap()).into_owned()
    }

    /// Runs another `bex` in the same place.
    fn bex(&self, args: &[&str]) -> std::process::ExitStatus {
        let mut bex = Command::new(env!("CARGO_BIN_EXE_bex"));
        bex.args(args).env("BEX_HOME", self.path("home"));
        bex.stdout(Stdio::null()).status().unwrap()
    }

    fn signal(&self, name: &str) {
        kill(name, self.bex.id());
    }

    /// The exit code, once it has ended.
    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let mut status = None;
        let ended = holds_within(LIMIT, || {
            status = self.bex.try_wait().unwrap();
            status.is_some()
        });
        assert!(
            ended,
            "the run does not end; stderr: {}",
            self.read("stderr")
        );
        status.unwrap().code()
    }
}

impl Drop for Run {
    /// Leaves nothing running where a test fails.
    fn drop(&mut self) {
        if self.bex.try_wait().is_ok_and(|status| status.is_none()) {
            kill("TERM", self.bex.id());
            if !holds_within(GONE, || matches!(self.bex.try_wait(), Ok(Some(_)))) {
                let _ = self.bex.kill();
            }
        }
    }
}

fn kill(signal: &str, pid: u32) {
    let kill = format!("kill -{signal} {pid}");
    // Who is gone already needs no signal; a test sees so by itself.
    let _ = Command::new("sh").args(["-c", &kill]).status();
}

/// Polls until it is true, or the limit is over.
fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A duration for `sleep` that no other process has, to find it by.
fn mark(number: u32) -> String {
    format!("{number}.{}", std::process::id())
}

/// Ids and arguments of all processes.
fn processes() -> Vec<(u32, Vec<String>)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            Some((
                pid,
                line.split_terminator('\0').map(str::to_owned).collect(),
            ))
        })
        .collect()
}

/// The processes that run `sleep` with the mark.
fn sleepers(mark: &str) -> Vec<u32> {
    processes()
        .into_iter()
        .filter(|(_, args)| args.len() == 2 && args[0].ends_with("sleep") && args[1] == mark)
        .map(|(pid, _)| pid)
        .collect()
}

#[track_caller]
fn wait_for_sleepers(mark: &str, count: usize) {
    let started = holds_within(LIMIT, || sleepers(mark).len() == count);
    assert!(started, "{} of {count} processes run", sleepers(mark).len());
}

/// Fails where a process with the mark among its arguments is still there after the limit.
#[track_caller]
fn assert_gone(mark: &str, limit: Duration) {
    let left = || -> Vec<(u32, Vec<String>)> {
        let marked = |args: &[String]| args.iter().any(|arg| arg.contains(mark));
        processes()
            .into_iter()
            .filter(|(_, args)| marked(args))
            .collect()
    };
    if !holds_within(limit, || left().is_empty()) {
        let left = left();
        sleepers(mark).iter().for_each(|pid| kill("KILL", *pid));
        panic!("left behind: {left:?}");
    }
}

/// A script that starts the sleep three times: as a child, in a session of its own, and as an orphan.
fn three_sleeps(mark: &str) -> String {
    format!("setsid sleep {mark} & (setsid sh -c 'sleep {mark} & wait' &) ; sleep {mark}; : {{}}")
}

#[test]
fn a_timeout_leaves_nothing_behind() {
    let mark = mark(98_761);
    let script = three_sleeps(&mark);
    let mut run = Run::start(&["run", "--timeout", "1", "--shell", &script, ":::", "a"]);
    assert_eq!(run.end(), Some(1), "{}", run.read("stderr"));
    assert_gone(&mark, Duration::ZERO);
}

/// Neither parents nor group, session or environment lead to it.
fn escaped_sleep(mark: &str) -> String {
    format!("(env -i setsid sh -c 'sleep {mark} & exit' &); sleep {mark}; : {{}}")
}

/// A run of a task that escapes and of one that keeps the run from its end, which would end all below it.
fn run_escaped(mark: &str, options: &[&str]) -> Run {
    let keeps = "while [ ! -e over ]; do sleep 0.05; done";
    let script = format!(
        "case {{}} in a) {};; b) {keeps};; esac",
        escaped_sleep(mark)
    );
    let items = ["--shell", &script, ":::", "a", "b"];
    let run = Run::start(&[&["run", "-j", "2"], options, &items].concat());
    wait_for_sleepers(mark, 2);
    run
}

#[test]
fn a_cancel_ends_what_has_neither_parents_nor_environment() {
    let mark = mark(98_770);
    let mut run = run_escaped(&mark, &[]);
    assert!(run.bex(&["cancel", "1"]).success());
    wait_for_sleepers(&mark, 0);
    fs::write(run.path("over"), "").unwrap();
    assert_eq!(run.end(), Some(1), "{}", run.read("stderr"));
}

#[test]
fn a_timeout_ends_what_has_neither_parents_nor_environment() {
    let mark = mark(98_771);
    let mut run = run_escaped(&mark, &["--timeout", "5"]);
    wait_for_sleepers(&mark, 0);
    fs::write(run.path("over"), "").unwrap();
    assert_eq!(run.end(), Some(1), "{}", run.read("stderr"));
    // There was nothing left to end at the end of the run.
    assert!(
        !run.read("stderr").contains("left process"),
        "{}",
        run.read("stderr")
    );
}

#[test]
fn an_ended_task_leaves_nothing_behind() {
    let mark = mark(98_762);
    let script = format!("setsid sleep {mark} >/dev/null 2>&1 & echo {{}}");
    let mut run = Run::start(&["run", "--shell", &script, ":::", "a"]);
    assert_eq!(run.end(), Some(0), "{}", run.read("stderr"));
    assert_eq!(run.read("stdout"), "a\n");
    assert_gone(&mark, Duration::ZERO);
}

#[test]
fn a_background_child_does_not_hold_the_run() {
    let mark = mark(98_763);
    // It has the pipes of the task open for more than a day.
    let script = format!("sleep {mark} & echo hi");
    let mut run = Run::start(&["run", "--", "sh", "-c", &script, "{}", ":::", "a"]);
    assert_eq!(run.end(), Some(0), "{}", run.read("stderr"));
    assert_eq!(run.read("stdout"), "hi\n");
    assert_gone(&mark, Duration::ZERO);
}

#[test]
fn an_interrupt_lets_the_running_task_end() {
    let script = "touch started{}; until [ -e go ]; do sleep 0.05; done; touch ended{}";
    let mut run = Run::start(&["run", "-j", "1", "--shell", script, ":::", "1", "2", "3"]);
    assert!(holds_within(LIMIT, || run.path("started1").exists()));
    run.signal("INT");
    let heard = holds_within(LIMIT, || run.read("stderr").contains("stopping"));
    assert!(heard, "{}", run.read("stderr"));
    fs::write(run.path("go"), "").unwrap();
    assert_eq!(run.end(), Some(130), "{}", run.read("stderr"));
    assert!(run.path("ended1").exists(), "the running task was cut off");
    assert!(!run.path("started2").exists(), "another task was started");
    let summary = run.read("stderr");
    assert!(summary.contains("1 completed"), "no summary: {summary}");
}

#[test]
fn more_interrupts_end_the_running_task() {
    let mark = mark(98_764);
    let mut run = Run::start(&["run", "--shell", &three_sleeps(&mark), ":::", "a"]);
    wait_for_sleepers(&mark, 3);
    run.signal("INT");
    assert!(holds_within(LIMIT, || run
        .read("stderr")
        .contains("stopping")));
    run.signal("INT");
    assert_eq!(run.end(), Some(130), "{}", run.read("stderr"));
    assert_gone(&mark, Duration::ZERO);
}

#[test]
fn a_termination_leaves_nothing_behind() {
    let mark = mark(98_765);
    let script = three_sleeps(&mark);
    let mut run = Run::start(&["run", "-j", "2", "--shell", &script, ":::", "a", "b"]);
    wait_for_sleepers(&mark, 6);
    run.signal("TERM");
    assert_eq!(run.end(), Some(143), "{}", run.read("stderr"));
    assert_gone(&mark, Duration::ZERO);
}

#[test]
fn a_termination_ends_a_task_that_ignores_it() {
    let mark = mark(98_766);
    let script = format!("trap '' TERM INT HUP; sleep {mark}; : {{}}");
    let mut run = Run::start(&["run", "--shell", &script, ":::", "a"]);
    wait_for_sleepers(&mark, 1);
    run.signal("TERM");
    assert_eq!(run.end(), Some(143), "{}", run.read("stderr"));
    assert_gone(&mark, Duration::ZERO);
}

#[test]
fn a_killed_bex_leaves_nothing_behind() {
    let mark = mark(98_767);
    let script = three_sleeps(&mark);
    let mut run = Run::start(&["run", "-j", "2", "--shell", &script, ":::", "a", "b"]);
    wait_for_sleepers(&mark, 6);
    run.signal("KILL");
    run.end();
    assert_gone(&mark, GONE);
}

/// The child of a process that runs `bex` too, where there is one.
fn inner_bex(outer: u32) -> Option<u32> {
    let bex = fs::canonicalize(env!("CARGO_BIN_EXE_bex")).unwrap();
    let parent = |pid: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        line.trim().parse().ok()
    };
    let runs_bex = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == bex);
    let mut all = processes().into_iter().map(|(pid, _)| pid);
    all.find(|pid| parent(*pid) == Some(outer) && runs_bex(*pid))
}

#[test]
fn a_killed_child_of_bex_leaves_nothing_behind() {
    let mark = mark(98_768);
    let script = three_sleeps(&mark);
    let mut run = Run::start(&["run", "-j", "2", "--shell", &script, ":::", "a", "b"]);
    wait_for_sleepers(&mark, 6);
    let inner = inner_bex(run.bex.id()).expect("bex runs under a guardian");
    kill("KILL", inner);
    assert_ne!(run.end(), Some(0), "a killed run is no success");
    assert_gone(&mark, GONE);
}

#[test]
fn twenty_megabytes_are_kept_to_the_last_byte() {
    let script = "head -c 20000000 /dev/zero | tr '\\0' {}";
    let mut run = Run::start(&["run", "-o", "out.jsonl", "--shell", script, ":::", "x"]);
    assert_eq!(run.end(), Some(0), "{}", run.read("stderr"));
    let task: Value = serde_json::from_str(run.read("out.jsonl").trim_end()).unwrap();
    let stdout = task["result"]["stdout"].as_str().unwrap();
    assert_eq!(stdout.len(), 20_000_000);
    assert!(stdout.bytes().all(|byte| byte == b'x'));
}
