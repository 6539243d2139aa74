//! Batches in the background: an executor of their own ([`in_background`]), or the one that there is ([`join`]).

use std::fmt;
use std::num::NonZeroU32;
use std::process::Command;

use batch_actions::{
    ActionError, BatchStatus, Control, ControlReply, StartReply, State, Until, request_executor,
    start, status, until_complete, wait,
};
use batch_core::text::Counted;
use batch_store::BatchFile;
use serde::Serialize;

use crate::args::KeptDurability;
use crate::exit::{CliError, Exit};
use crate::hints::Naming;
use crate::reply::{print, tell};
use crate::runtime::runtime;

/// A batch that is to run in the background.
pub(crate) enum InBackground {
    /// A new executor works on it.
    Started(StartReply, Naming),
    /// An executor worked on it already.
    Joined(Joined),
    /// Everything in it is finished.
    Done(BatchStatus),
}

/// What is told of a batch in the background.
#[derive(Debug, Serialize)]
pub(crate) struct Reply {
    batch: String,
    pid: Option<u32>,
    /// The run that was begun.
    run: Option<u32>,
    open: u64,
    interrupted: u64,
}

/// A batch that an executor worked on already.
pub(crate) struct Joined {
    /// How it was progressing before.
    before: BatchStatus,
    pid: u32,
    slots: Option<NonZeroU32>,
    pub(crate) reply: ControlReply,
}

/// How a batch is to run in the background.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Background {
    pub(crate) max_concurrent: Option<NonZeroU32>,
    pub(crate) durability: KeptDurability,
    /// The executor waits for more tasks when all is done.
    pub(crate) stay: bool,
}

/// Has a batch run in the background, by the executor that works on it or else by one of its own.
pub(crate) fn in_background(
    file: &BatchFile,
    background: Background,
) -> Result<InBackground, CliError> {
    let max_concurrent = background.max_concurrent;
    if let Some(joined) = join(file, max_concurrent)? {
        return Ok(InBackground::Joined(joined));
    }
    runtime()?.block_on(until_complete(file))?;
    let status = status(file, false)?;
    if status.pid.is_none() && status.state.is_done() && !background.stay {
        return Ok(InBackground::Done(status));
    }
    match start(file, executor(file, background)?) {
        Ok(reply) => {
            let naming = Naming::new(&reply.batch, file.shown());
            Ok(InBackground::Started(reply, naming))
        }
        // Another one was faster by a moment.
        Err(error) => match join(file, max_concurrent)? {
            Some(joined) => Ok(InBackground::Joined(joined)),
            None => Err(error.into()),
        },
    }
}

/// Has the executor of a batch go on, with this many slots where that is asked for. `None` when there is none, or none any
/// more.
pub(crate) fn join(
    file: &BatchFile,
    slots: Option<NonZeroU32>,
) -> Result<Option<Joined>, CliError> {
    let before = status(file, false)?;
    let Some(pid) = before.pid else {
        return Ok(None);
    };
    runtime()?.block_on(async {
        if !before.is_stopping() {
            match go_on(file, slots).await {
                // Its run came to its end meanwhile.
                Ok(None) => return Ok(None),
                Ok(Some(reply)) => {
                    return Ok(Some(Joined {
                        before,
                        pid,
                        slots,
                        reply,
                    }));
                }
                // It was told to stop a moment ago.
                Err(_) if is_stopping(file)? => {}
                Err(error) => return Err(error.into()),
            }
        }
        let batch = &before.batch;
        tell(format_args!(
            "bex: {batch} is being stopped; waiting for its running tasks to end"
        ));
        wait(file, Until::AtRest, None).await?;
        Ok(None)
    })
}

async fn go_on(
    file: &BatchFile,
    slots: Option<NonZeroU32>,
) -> Result<Option<ControlReply>, ActionError> {
    if let Some(max_concurrent) = slots {
        request_executor(file, Control::SetConcurrency { max_concurrent }).await?;
    }
    request_executor(file, Control::Resume).await
}

fn is_stopping(file: &BatchFile) -> Result<bool, CliError> {
    let now = status(file, false)?;
    Ok(now.is_stopping() || now.pid.is_none())
}

impl InBackground {
    /// Says how it was begun, and what may be done next.
    pub(crate) fn tell(&self, json: bool) -> Result<Exit, CliError> {
        print(json, &self.json(), || self.to_string())?;
        if let (Self::Started(_, naming), false) = (self, json) {
            tell(format_args!(
                "bex: see it with: bex watch {naming}; its results, when it is done, with: bex wait {naming} && bex results {naming}"
            ));
        }
        Ok(Exit::Completed)
    }

    /// Whether an executor works on it.
    pub(crate) fn is_running(&self) -> bool {
        !matches!(self, Self::Done(_))
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Reply {
        match self {
            Self::Started(reply, _) => Reply {
                batch: reply.batch.clone(),
                pid: Some(reply.pid),
                run: Some(reply.run),
                open: reply.open,
                interrupted: reply.interrupted,
            },
            Self::Joined(Joined { before: status, .. }) | Self::Done(status) => Reply {
                batch: status.batch.clone(),
                pid: status.pid,
                run: None,
                open: status.queued + status.running,
                interrupted: 0,
            },
        }
    }
}

impl fmt::Display for InBackground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(reply, _) => f.write_str(&started(reply)),
            Self::Joined(joined) => joined.fmt(f),
            Self::Done(status) => f.write_str(&nothing_to_do_text(status)),
        }
    }
}

impl fmt::Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batch = &self.before.batch;
        if self.before.state == State::Paused {
            return write!(f, "{batch} continues");
        }
        write!(f, "{batch} is running already (process {})", self.pid)?;
        match self.slots {
            Some(slots) => write!(f, ", {slots} at once from now on"),
            None => Ok(()),
        }
    }
}

pub(crate) fn nothing_to_do_text(status: &BatchStatus) -> String {
    let (batch, state) = (&status.batch, status.state.predicate());
    format!("nothing to do: {batch} {state}: {}", status.counts())
}

fn executor(file: &BatchFile, background: Background) -> Result<Command, CliError> {
    let program = std::env::current_exe()
        .map_err(|error| CliError::System("find the program itself", error))?;
    let mut command = Command::new(program);
    command.arg("execute").arg(file.path());
    if let Some(slots) = background.max_concurrent {
        command.arg("--max-concurrent").arg(slots.to_string());
    }
    if background.durability == KeptDurability::Fast {
        command.args(["--durability", "fast"]);
    }
    if background.stay {
        command.arg("--stay");
    }
    Ok(command)
}

fn started(reply: &StartReply) -> String {
    let StartReply {
        batch,
        pid,
        open,
        interrupted,
        ..
    } = reply;
    let tasks = Counted(*open, "task");
    // One that was cut off may have failed by that, and is not to do any more.
    let again = match interrupted {
        0 => String::new(),
        n => format!(", {n} interrupted before"),
    };
    format!("{batch} started: process {pid}, {tasks} to do{again}")
}
