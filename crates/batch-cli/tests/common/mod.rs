//! What tests of the built binary share: a folder of its own with its own state folder, and how a command ended.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Far longer than any test takes; a run that hangs fails instead of blocking.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A folder that runs take place in.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn tasks(&self, tasks: &Value) {
        std::fs::write(self.path("tasks.json"), tasks.to_string()).unwrap();
    }

    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.0.path())
            .env("BEX_HOME", self.path("home"))
            // The configuration of the one who runs the tests is no part of them.
            .env("XDG_CONFIG_HOME", self.path("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn bex(&self, args: &[&str]) -> Ended {
        self.bex_with(b"", args)
    }

    pub(crate) fn bex_with(&self, input: &[u8], args: &[&str]) -> Ended {
        let mut command = self.command(env!("CARGO_BIN_EXE_bex"));
        command.args(args).stdin(Stdio::piped());
        finish(command, input)
    }
}

/// What a run ended as.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

pub(crate) fn finish(mut command: Command, input: &[u8]) -> Ended {
    let mut child = command.spawn().unwrap();
    let pid = child.id();
    let stdin = child.stdin.take();
    let input = input.to_vec();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            // A run that wants no input may close it.
            let _ = stdin.write_all(&input);
        }
        sender.send(child.wait_with_output().unwrap())
    });
    let Ok(output) = receiver.recv_timeout(LIMIT) else {
        let kill = format!("kill -TERM {pid}");
        let _ = Command::new("sh").args(["-c", &kill]).status();
        panic!("{command:?} does not end");
    };
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    Ended {
        code: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}
