//! What all functions that start a process share: [`run`].

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use batch_core::{Failure, FailureKind, Output, ProcessEnd, Stream, Urgency};
use batch_process::{CaptureLimits, Ended, Process, Spec, signal_name};
use batch_runtime::{AttemptError, TaskContext};
use serde_json::Value;

use crate::check::bytes;

/// At most so much of the last line of standard error becomes part of the message.
const LAST_LINE: usize = 200;

/// The process of a task: its program and arguments, and what the parameters and the options of the
/// task say of its surroundings.
pub(crate) fn spec(
    task: &TaskContext,
    params: &Value,
    argv: Vec<OsString>,
    capture: &Arc<CaptureLimits>,
) -> Spec {
    let options = &task.spec.options;
    let text = |name: &str| params.get(name).and_then(Value::as_str);
    let mut env: Vec<(OsString, OsString)> = options
        .env
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    if let Some(own) = params.get("env").and_then(Value::as_object) {
        let own = own
            .iter()
            .filter_map(|(name, value)| Some((name.into(), value.as_str()?.into())));
        env.extend(own);
    }
    env.push(("BEX_BATCH_ID".into(), task.id.batch.to_string().into()));
    env.push(("BEX_ATTEMPT".into(), task.attempt.to_string().into()));
    env.push(("BEX_SLOT".into(), task.slot.to_string().into()));
    Spec {
        argv,
        cwd: text("cwd")
            .map(PathBuf::from)
            .or_else(|| options.cwd.clone()),
        env,
        stdin: params.get("stdin").and_then(bytes),
        task: task.id.to_string(),
        grace: options.grace,
        capture: Arc::clone(capture),
    }
}

/// Runs a process to its end, or ends it when the attempt is cancelled.
pub(crate) async fn run(task: &TaskContext, spec: &Spec) -> Result<Output, AttemptError> {
    let process = Process::spawn(spec).map_err(|error| {
        if error.is_busy() {
            return AttemptError::Busy(error.to_string());
        }
        let failure = Failure::new(FailureKind::SpawnError, error.to_string());
        AttemptError::from(if error.is_permanent() {
            failure.permanent()
        } else {
            failure
        })
    })?;
    let end = task.cancel.reached(Urgency::End);
    let ended = process.run(end, task.cancel.reached(Urgency::Kill)).await;
    for left in &ended.leftovers {
        tracing::warn!(
            pid = left.pid,
            command = left.command,
            "could not be killed"
        );
    }
    judge(ended)
}

/// A process has done well if it ended by itself with code 0 and its output could be kept.
fn judge(ended: Ended) -> Result<Output, AttemptError> {
    let Ended {
        end,
        stdout,
        stderr,
        output_error,
        ..
    } = ended;
    let output = Output {
        value: None,
        process: Some(end),
        stdout,
        stderr,
    };
    let (kind, message) = match (output_error, end.exit_code) {
        (Some(error), _) => (
            FailureKind::OutputError,
            format!("its output could not be kept: {error}"),
        ),
        (None, Some(0)) => return Ok(output),
        (None, Some(code)) => (
            FailureKind::ExitCode(code),
            described(&format!("exit code {code}"), &output),
        ),
        (None, None) => signalled(end, &output),
    };
    Err(Failure::new(kind, message).with_output(output).into())
}

fn signalled(end: ProcessEnd, output: &Output) -> (FailureKind, String) {
    let number = end.signal.unwrap_or_default();
    let what = format!(
        "signal {number} ({})",
        signal_name(number).unwrap_or("unknown")
    );
    (FailureKind::Signal(number), described(&what, output))
}

/// What happened, with the last line the process wrote to standard error.
fn described(what: &str, output: &Output) -> String {
    match last_line(&output.stderr) {
        Some(line) => format!("{what}: {line}"),
        None => what.to_owned(),
    }
}

/// The last line that is not blank. Spilled output is not read again for it.
pub(crate) fn last_line(stream: &Stream) -> Option<String> {
    let Stream::Inline(bytes) = stream else {
        return None;
    };
    let text = String::from_utf8_lossy(bytes);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())?;
    Some(line.chars().take(LAST_LINE).collect())
}

/// An argument of a command from its JSON: a text, or bytes.
pub(crate) fn argument(value: &Value) -> Option<OsString> {
    bytes(value).map(OsString::from_vec)
}
