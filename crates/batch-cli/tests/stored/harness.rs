//! A place whose batches are worked on by executors: [`Live`].
//!
//! Nothing sleeps to wait for something. Tasks tell by one pipe that they have begun, and go on when a line comes by
//! another; that all processes of a task are gone is told by the end of a third; everything else is waited for with
//! `bex wait`.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::common::{Ended, LIMIT, Place};

/// A place with the pipes, whose executors and tasks end with it.
pub(crate) struct Live {
    pub(crate) place: Place,
    marks: Receiver<String>,
    gate: File,
}

impl Live {
    pub(crate) fn new() -> Self {
        let place = Place::new();
        for name in ["marks", "gate", "alive"] {
            let made = place.command("mkfifo").arg(name).status();
            assert!(made.unwrap().success());
        }
        let (sender, marks) = channel();
        let lines = BufReader::new(both_ends(&place, "marks")).lines();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let gate = both_ends(&place, "gate");
        Self { place, marks, gate }
    }

    /// Adds a task that says it has begun, waits to be let go, and does something then.
    pub(crate) fn add_waiting(&self, then: &str) -> Ended {
        let script = waiting(then);
        self.place.bex(&["add", "--shell", &script]).expect(0)
    }

    /// The next task that has begun.
    #[track_caller]
    pub(crate) fn begun(&self) -> String {
        self.marks.recv_timeout(LIMIT).expect("a task begins")
    }

    /// Fails where a task has begun that nobody took notice of.
    #[track_caller]
    pub(crate) fn assert_none_begun(&self) {
        assert_eq!(self.marks.try_recv().ok(), None);
    }

    /// Lets this many waiting tasks go on.
    pub(crate) fn let_go(&mut self, tasks: usize) {
        self.gate.write_all("\n".repeat(tasks).as_bytes()).unwrap();
    }

    #[track_caller]
    pub(crate) fn bex(&self, args: &[&str], code: i32) -> String {
        self.place.bex(args).expect(code).stdout
    }

    /// The reply of a verb as JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str], code: i32) -> Value {
        self.place.bex(args).expect(code).json()
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.json(&["status", "--json"], 0)
    }

    /// How the latest batch is progressing, with all that has happened: its executor writes a few milliseconds
    /// later that a task has begun, but all of it before it answers a request.
    #[track_caller]
    pub(crate) fn latest(&self) -> Value {
        self.bex(&["resume"], 0);
        self.status()
    }

    /// The outcomes of the attempts of a task.
    #[track_caller]
    pub(crate) fn outcomes(&self, task: &str) -> Vec<String> {
        let shown = self.json(&["show", task, "--json"], 0);
        let attempts = shown["attempts"].as_array().unwrap();
        let outcome = |attempt: &Value| attempt["outcome"].as_str().unwrap().to_owned();
        attempts.iter().map(outcome).collect()
    }

    /// A command that goes on while the test does something else.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.place.command(env!("CARGO_BIN_EXE_bex"));
        command.args(args).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// The executor of the latest batch.
    #[track_caller]
    pub(crate) fn executor(&self) -> u32 {
        let pid = self.status()["pid"].as_u64();
        u32::try_from(pid.expect("an executor works on it")).unwrap()
    }

    /// Kills the executor of the latest batch, and waits until that is noticed.
    pub(crate) fn kill_executor(&self) {
        assert!(kill("KILL", self.executor()));
        self.bex(&["wait"], 5);
    }

    /// To be asked for while a task holds the pipe `alive` open: ends when no process does any more.
    pub(crate) fn alive(&self) -> Alive {
        // Only its other end tells when it is closed.
        let both = both_ends(&self.place, "alive");
        let pipe = File::open(self.place.path("alive")).unwrap();
        Alive { pipe, both }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let list = self.place.bex(&["list", "--json"]);
        let list: Value = serde_json::from_str(&list.stdout).unwrap_or_default();
        for batch in list.as_array().into_iter().flatten() {
            if let (Some(batch), false) = (batch["batch"].as_str(), batch["pid"].is_null()) {
                let _ = self.place.bex(&["stop", "--kill", "-b", batch]);
            }
        }
        kill_all_in(&self.place);
    }
}

/// Tells when the last process is gone that holds a pipe open.
pub(crate) struct Alive {
    pipe: File,
    both: File,
}

impl Alive {
    /// Waits for it.
    #[track_caller]
    pub(crate) fn ended(self) {
        let Self { mut pipe, both } = self;
        drop(both);
        let (sender, end) = channel();
        std::thread::spawn(move || sender.send(pipe.read_to_end(&mut Vec::new())));
        let end = end.recv_timeout(LIMIT).expect("every process ends");
        assert_eq!(end.unwrap(), 0);
    }
}

/// What a task does that says it has begun, waits to be let go, and does something then.
pub(crate) fn waiting(then: &str) -> String {
    format!("echo $BEX_TASK_ID > marks; read line < gate; {then}")
}

/// A script that starts processes in every way there is to be forgotten, says it has begun, and stays.
pub(crate) fn staying() -> &'static str {
    "exec 3> alive; setsid sleep 1000 & (setsid sh -c 'sleep 1000 & wait' &); echo $BEX_TASK_ID > marks; sleep 1000"
}

/// A task of a file, which runs once and is treated in some way.
pub(crate) fn shell_task(id: &str, script: &str, more: &Value) -> Value {
    let mut task = json!({ "id": id, "shell": script, "max_retries": 0 });
    let fields = task.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    task
}

/// Opens a pipe at both ends, so that nobody waits for the other one to open it.
fn both_ends(place: &Place, name: &str) -> File {
    let options = OpenOptions::new().read(true).write(true).clone();
    options.open(place.path(name)).unwrap()
}

/// Kills what has the state folder of a place in its environment.
fn kill_all_in(place: &Place) {
    let home = format!("BEX_HOME={}", place.path("home").display());
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        if variables.any(|variable| variable == home.as_bytes())
            && let Some(pid) = process
                .file_name()
                .to_str()
                .and_then(|pid| pid.parse().ok())
        {
            kill("KILL", pid);
        }
    }
}

pub(crate) fn kill(signal: &str, pid: u32) -> bool {
    let kill = format!("kill -{signal} {pid}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &kill]).stderr(Stdio::null());
    shell.status().unwrap().success()
}

/// The process that started another.
pub(crate) fn parent_of(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.unwrap().trim().parse().unwrap()
}

#[track_caller]
pub(crate) fn status_of(child: Child) -> ExitStatus {
    let pid = child.id();
    let (sender, ended) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap().status));
    ended.recv_timeout(LIMIT).unwrap_or_else(|_| {
        kill("TERM", pid);
        panic!("process {pid} does not end")
    })
}

#[track_caller]
pub(crate) fn code_of(child: Child) -> Option<i32> {
    status_of(child).code()
}

/// The signal that ended a process.
#[track_caller]
pub(crate) fn signal_of(child: Child) -> Option<i32> {
    status_of(child).signal()
}
