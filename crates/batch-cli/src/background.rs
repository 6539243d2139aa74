//! Starting an executor in the background: [`in_background`].

use std::num::NonZeroU32;
use std::process::Command;

use batch_actions::{BatchStatus, StartReply, start, status, until_complete};
use batch_core::text::Counted;
use batch_store::BatchFile;
use serde_json::json;

use crate::args::KeptDurability;
use crate::exit::{CliError, Exit};
use crate::reply::print;
use crate::runtime::runtime;

/// Starts an executor of its own for a batch, and tells of it.
pub(crate) fn in_background(
    file: &BatchFile,
    max_concurrent: Option<NonZeroU32>,
    durability: KeptDurability,
    json: bool,
) -> Result<Exit, CliError> {
    runtime()?.block_on(until_complete(file))?;
    let status = status(file, false)?;
    if status.pid.is_none() && status.state.is_done() {
        return nothing_to_do(&status, json);
    }
    let reply = start(file, executor(file, max_concurrent, durability)?)?;
    print(json, &reply, || sentence(&reply))?;
    Ok(Exit::Completed)
}

/// No executor is started where everything is finished.
fn nothing_to_do(status: &BatchStatus, json: bool) -> Result<Exit, CliError> {
    let batch = &status.batch;
    let reply = json!({ "batch": batch, "pid": null, "run": null, "open": 0, "interrupted": 0 });
    print(json, &reply, || nothing_to_do_text(status))?;
    Ok(Exit::Completed)
}

pub(crate) fn nothing_to_do_text(status: &BatchStatus) -> String {
    let (batch, state) = (&status.batch, status.state.predicate());
    format!("nothing to do: {batch} {state}: {}", status.counts())
}

fn executor(
    file: &BatchFile,
    max_concurrent: Option<NonZeroU32>,
    durability: KeptDurability,
) -> Result<Command, CliError> {
    let program = std::env::current_exe()
        .map_err(|error| CliError::System("find the program itself", error))?;
    let mut command = Command::new(program);
    command.arg("execute").arg(file.path());
    if let Some(slots) = max_concurrent {
        command.arg("--max-concurrent").arg(slots.to_string());
    }
    if durability == KeptDurability::Fast {
        command.args(["--durability", "fast"]);
    }
    Ok(command)
}

fn sentence(reply: &StartReply) -> String {
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
