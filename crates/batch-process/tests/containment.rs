//! What a task starts to outlive its end: it does not, whatever it does.
#![cfg(target_os = "linux")]

mod common;

use std::future::pending;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use batch_process::{Process, Spec, end_run, process_alive};
use common::{Lifeline, PATIENCE, kill};

const PROGRAM: &str = env!("CARGO_BIN_EXE_batch-process-fixture");

/// A process that lost its parents, its group, its session and its environment.
const ESCAPED: &str = "(env -i setsid sh -c 'sleep 1000 & exit' &); ";

/// Processes that start another one like themselves and end, over and over, as quickly as they can.
fn chains() -> [(&'static str, String); 5] {
    let python = |body: &str| {
        format!("env -i python3 -SE -c '\nimport os\nwhile True:\n{body}' >/dev/null 2>&1 & ")
    };
    [
        ("in one group", python(" if os.fork(): os._exit(0)\n")),
        (
            "in sessions of their own",
            python(" if os.fork(): os._exit(0)\n os.setsid()\n"),
        ),
        (
            "twice over",
            python(" if os.fork(): os._exit(0)\n os.setsid()\n if os.fork(): os._exit(0)\n"),
        ),
        (
            "that stay for a moment",
            python(" if os.fork(): os.sched_yield(); os._exit(0)\n os.setsid()\n"),
        ),
        (
            "of other programs",
            "env -i setsid sh -c 'chain() { env -i setsid sh -c \"$1\" sh \"$1\" & }; chain \"$1\"' sh \
             'env -i setsid sh -c \"$1\" sh \"$1\" & exit' & "
                .to_owned(),
        ),
    ]
}

struct Fixture {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Fixture {
    /// Starts a script as a task of a guarded executor.
    fn start(how: &str, script: &str) -> Self {
        Self::of(Command::new(PROGRAM).args([how, script]))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").unwrap()
    }

    fn executor(&mut self) -> i64 {
        self.line().split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `PID-START` of a process.
fn mark_of(pid: i64) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(") ").next().unwrap();
    format!("{pid}-{}", fields.split(' ').nth(19).unwrap())
}

/// Has a guarded executor end a task in some way, and waits until nothing of it is left.
fn ended_by(how: &str, signal: &str, what: &str, script: &str) {
    let line = Lifeline::new();
    let script = format!("{}{script} echo ready >&9; sleep 1000; :", line.hold());
    let mut fixture = Fixture::start(how, &script);
    fixture.executor();
    assert_eq!(line.line(), "ready", "{what}");
    kill(signal, fixture.child.id().into());
    line.all_gone();
    fixture.child.wait().unwrap();
}

#[test]
fn what_escaped_ends_with_its_task() {
    ended_by("end", "-TERM", "escaped", ESCAPED);
    // Here the run of the task is dropped.
    ended_by("run", "-TERM", "escaped", ESCAPED);
}

#[test]
fn what_starts_itself_over_and_over_ends_with_its_task() {
    for (what, chain) in chains() {
        ended_by("end", "-TERM", what, &chain);
        ended_by("end", "-TERM", what, &chain.repeat(3));
    }
}

#[test]
fn what_starts_itself_over_and_over_ends_with_its_executor() {
    for (what, chain) in chains() {
        let line = Lifeline::new();
        let script = format!("{}{chain} echo ready >&9; sleep 1000; :", line.hold());
        let mut fixture = Fixture::start("run", &script);
        let executor = fixture.executor();
        assert_eq!(line.line(), "ready", "{what}");
        kill("-KILL", executor);
        line.all_gone();
    }
}

/// Both at one moment: the guardian first, which the executor hears of a moment later.
fn kill_both(fixture: &mut Fixture, executor: i64) {
    kill("-STOP", fixture.child.id().into());
    kill("-KILL", executor);
    kill("-KILL", fixture.child.id().into());
    fixture.child.wait().unwrap();
}

#[test]
fn the_process_of_a_task_dies_with_executor_and_guardian() {
    let line = Lifeline::new();
    let script = format!("{}echo ready >&9; exec sleep 1000", line.hold());
    let mut fixture = Fixture::start("run", &script);
    let executor = fixture.executor();
    assert_eq!(line.line(), "ready");
    kill_both(&mut fixture, executor);
    line.all_gone();
}

#[tokio::test]
async fn what_escaped_is_found_when_executor_and_guardian_are_dead() {
    let chains = chains().map(|(_, chain)| chain);
    for script in [ESCAPED, &chains[0], &chains[1]] {
        let line = Lifeline::new();
        let script = format!("{}{script} echo ready >&9; sleep 1000; :", line.hold());
        let mut fixture = Fixture::start("run", &script);
        let executor = fixture.executor();
        assert_eq!(line.line(), "ready");
        let mark = mark_of(executor);
        kill_both(&mut fixture, executor);
        let found = tokio::time::timeout(PATIENCE, end_run(&mark, Duration::from_millis(50)));
        let found = found.await.unwrap();
        assert!(found.iter().all(|left| left.ended), "{found:?}");
        line.all_gone();
        assert!(!process_alive(&mark));
    }
}

/// The tests' own threads end before the process does.
#[test]
fn the_end_of_the_thread_that_started_a_process_does_not_end_it() {
    let line = Arc::new(Lifeline::new());
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let script = format!("{}echo ready >&9; exec sleep 1000", line.hold());
    let spawn = move || {
        let runtime = runtime();
        let process = runtime.block_on(async { Process::spawn(&Spec::new(["sh", "-c", &script])) });
        // With its runtime, which its outputs are read by.
        (process.unwrap(), runtime)
    };
    let (process, runtime) = std::thread::spawn(spawn).join().unwrap();
    assert_eq!(line.line(), "ready");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    assert!(!stat.contains(") Z "), "{stat}");
    let ended = runtime.block_on(process.run(async {}, pending()));
    assert_eq!(ended.end.signal, Some(15));
    line.all_gone();
}

/// A shell of another user, as a program that runs as its owner gives one. For root only.
#[test]
fn what_belongs_to_another_user_is_told_of_and_not_waited_for() {
    let Some(helper) = Helper::make() else {
        eprintln!("!!! not tested: only root can make a program that runs as its owner");
        return;
    };
    for (script, left) in [
        (format!("{} & ", helper.sleep()), 1),
        // The leader itself.
        (format!("exec {}; ", helper.sleep()), 1),
        // A child and an orphan.
        (format!("({0} &); {0} & ", helper.sleep()), 2),
    ] {
        let mut fixture = helper.fixture(&format!("{script} sleep 1000; :"));
        let ids = fixture.line();
        helper.running(left);
        kill("-TERM", fixture.child.id().into());
        let mut told: Vec<String> = Vec::new();
        loop {
            match &*fixture.line() {
                "ended" => break,
                line => told.push(line.to_owned()),
            }
        }
        assert_eq!(told.len(), left, "{ids}: {told:?}");
        for told in told {
            assert!(told.starts_with("could not be ended: process "), "{told}");
            assert!(told.contains(" of user 0 ("), "{told}");
        }
        assert_eq!(fixture.child.wait().unwrap().code(), Some(0));
        helper.end();
    }
}

/// A copy of `setpriv` that runs as root, the one who starts it, and makes a `sleep` of root's.
struct Helper {
    folder: tempfile::TempDir,
    /// For how long; it names the processes.
    seconds: String,
}

impl Helper {
    const NOBODY: &str = "65534";

    fn make() -> Option<Self> {
        let setpriv = std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join("setpriv"))
            .find(|path| path.exists())?;
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o755);
        for (from, to, mode) in [
            (setpriv.as_path(), "rootly", 0o4755),
            (Path::new(PROGRAM), "fixture", 0o755),
        ] {
            let to = folder.path().join(to);
            std::fs::copy(from, &to).unwrap();
            set_mode(&to, mode);
        }
        let seconds = format!("1000.{}", std::process::id());
        let helper = Self { folder, seconds };
        // As another user than root, or on a file system that does not heed the bit, there is no change of user.
        let user = format!(
            "{} --reuid 0 id -u",
            helper.folder.path().join("rootly").display()
        );
        let user = helper.command().args(["sh", "-c", &user]).output().ok()?;
        (user.stdout == b"0\n").then_some(helper)
    }

    /// Starts a process of root's.
    fn sleep(&self) -> String {
        let program = self.folder.path().join("rootly");
        format!("{} --reuid 0 sleep {}", program.display(), self.seconds)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            Self::NOBODY,
            "--regid",
            Self::NOBODY,
            "--clear-groups",
        ]);
        command
    }

    /// The fixture as another user, who may not signal what is root's.
    fn fixture(&self, script: &str) -> Fixture {
        let mut command = self.command();
        command.arg(self.folder.path().join("fixture"));
        Fixture::of(command.args(["end", script]))
    }

    fn pids(&self) -> Vec<i64> {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let line = format!("sleep\0{}\0", self.seconds);
        let runs = |pid: &i64| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|read| read == line.as_bytes())
        };
        pids.filter(runs).collect()
    }

    /// Waits until this many processes of root's run.
    fn running(&self, count: usize) {
        let begun = Instant::now();
        while self.pids().len() != count {
            assert!(begun.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
    }

    fn end(&self) {
        self.pids().into_iter().for_each(|pid| kill("-KILL", pid));
        self.running(0);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        for pid in self.pids() {
            let _ = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status();
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
