//! Starting a background executor: [`start`] here, and its other half in the new process, [`tell_parent`].
//!
//! The new process has a session of its own, no terminal, and a log file for what it has to say. It tells its
//! parent in one line that it has the lease, or why not, so `bex start` returns with a true answer.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use batch_store::files::open_own;
use batch_store::{BatchFile, lock};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::ActionError;

/// What a background executor says of itself when it has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartReply {
    /// The batch.
    pub batch: String,
    /// The process.
    pub pid: u32,
    /// The number of the run.
    pub run: u32,
    /// Tasks that are not finished.
    pub open: u64,
    /// Tasks that were running when the last executor died.
    pub interrupted: u64,
}

impl StartReply {
    /// What an executor that has begun tells.
    ///
    /// # Errors
    /// When the batch file cannot be read.
    pub fn of(engine: &Engine) -> Result<Self, ActionError> {
        Ok(Self {
            batch: engine.info().batch.to_string(),
            pid: std::process::id(),
            run: engine.run_number(),
            open: lock(engine.store()).overview()?.totals.open(),
            interrupted: engine.interrupted(),
        })
    }
}

/// The first line of a background executor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FirstLine {
    Started(StartReply),
    Failed(StartFailure),
}

/// Why a background executor did not begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFailure {
    /// What to say.
    pub message: String,
    /// What was asked for is wrong, and not the state of the world.
    pub usage: bool,
}

impl From<&ActionError> for StartFailure {
    fn from(error: &ActionError) -> Self {
        Self {
            message: error.to_string(),
            usage: error.is_usage(),
        }
    }
}

/// Starts `command` as the background executor of a batch; returns when it has the lease.
///
/// # Errors
/// When it cannot be started, or says that it cannot work on the batch.
pub fn start(file: &BatchFile, mut command: Command) -> Result<StartReply, ActionError> {
    let path = file.log_path();
    let log = open_own(&path, file.path(), OpenOptions::new().append(true))
        .map_err(|error| ActionError::io("open", path, error))?;
    // Started from inside a task, it is no part of that task; and the token of a server is not for it.
    let mut child = command
        .env_remove("BEX_RUN")
        .env_remove("BEX_TASK_ID")
        .env_remove("BEX_MCP_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| ActionError::Start(error.to_string()))?;
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it was asked for");
    BufReader::new(stdout)
        .read_line(&mut line)
        .map_err(|error| ActionError::Start(error.to_string()))?;
    match serde_json::from_str(&line) {
        Ok(FirstLine::Started(reply)) => {
            // Its end must be taken by someone, or a server that starts many keeps a zombie for each. Without a
            // thread for that this is one more.
            let _ = std::thread::Builder::new().spawn(move || child.wait());
            Ok(reply)
        }
        Ok(FirstLine::Failed(failure)) => {
            let _ = child.wait();
            Err(match failure.usage {
                true => ActionError::Refused(failure.message),
                false => ActionError::Start(failure.message),
            })
        }
        Err(_) => {
            let ended = child.wait();
            let ended = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            let log = file.log_path();
            Err(ActionError::Start(format!(
                "it ended with {ended}; see {}",
                log.display()
            )))
        }
    }
}

/// Tells the parent that waits in [`start`] how it went.
pub fn tell_parent(begun: Result<StartReply, StartFailure>) {
    let line = begun.map_or_else(FirstLine::Failed, FirstLine::Started);
    let line = serde_json::to_string(&line).expect("texts and numbers are JSON");
    let mut out = std::io::stdout().lock();
    // A parent that does not wait any more needs no telling.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
