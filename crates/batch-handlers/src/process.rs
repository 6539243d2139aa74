//! What all functions that start a process share: [`spec`] and [`run`].

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use batch_core::{
    Failure, FailureKind, Output,
    catalog::ParamProblem,
    control::Urgency,
    outcome::{SignalNumber, Stream},
    text,
};
use batch_export::files::tail;
use batch_process::{
    CaptureLimits, Ended, Process, SpawnError, Spec, Stdin, until_space, when_written,
};
use batch_runtime::params::Fields;
use batch_runtime::{AttemptError, TaskContext, offload};
use batch_template::Encodings;

use crate::check::{ProcessFields as _, StdinFile, stdin_file};
use crate::masked_file::Masking;
use crate::masked_tap::MaskedTap;

/// At most this many characters of the last line of standard error become part of the message.
const LAST_LINE: usize = 200;

/// How many bytes at the end of standard error are searched for that line.
const TAIL: usize = 4 * 1024;

/// The process of a task: its program and arguments, and what the parameters and the options of the
/// task say of its context.
pub(crate) fn spec(
    task: &TaskContext,
    params: &Fields,
    argv: Vec<OsString>,
    capture: &Arc<CaptureLimits>,
) -> Result<Spec, ParamProblem> {
    let options = &task.spec.options;
    let defaults = options.env.iter();
    let defaults = defaults.map(|(name, value)| (name.into(), value.into()));
    let own = params.pairs("env")?.into_iter();
    let own = own.map(|(name, value)| (name.into(), value.into()));
    // The id of the task and the mark of the run are set by the process layer.
    let marks = [
        ("BEX_BATCH_ID", task.id.batch.to_string()),
        ("BEX_ATTEMPT", task.attempt.to_string()),
        ("BEX_SLOT", task.slot.to_string()),
    ];
    let marks = marks.map(|(name, value)| (name.into(), value.into()));
    // A relative one is meant in the folder of the task, not in that of the one who runs it.
    let cwd = match (options.working_folder(), params.text("cwd")?) {
        (Some(folder), Some(below)) => Some(folder.join(below)),
        (folder, below) => below
            .map(PathBuf::from)
            .or_else(|| folder.map(Path::to_owned)),
    };
    Ok(Spec {
        argv,
        cwd,
        env: defaults.chain(own).chain(marks).collect(),
        stdin: stdin(params, options.working_folder(), capture)?,
        task: task.id.to_string(),
        grace: options.grace,
        capture: Arc::clone(capture),
        tap: capture.live.as_ref().map(|live| {
            let tap = live.attempt(&task.id.to_string(), task.attempt);
            match task.secrets().is_empty() {
                true => tap,
                false => Arc::new(MaskedTap::new(tap, task.secrets().clone())),
            }
        }),
    })
}

/// What the process reads on standard input. A relative path is meant in the folder of the task.
fn stdin(
    params: &Fields,
    folder: Option<&Path>,
    capture: &CaptureLimits,
) -> Result<Option<Stdin>, ParamProblem> {
    match params.get("stdin").and_then(stdin_file) {
        Some(StdinFile::Path(path)) => {
            let path = folder.map_or_else(|| path.into(), |folder| folder.join(path));
            Ok(Some(Stdin::File(path)))
        }
        Some(StdinFile::Block(name)) => Ok(Some(Stdin::File(capture.folder.join(name)))),
        None => Ok(params.bytes("stdin")?.map(Stdin::Bytes)),
    }
}

/// Whether a place of the parameters is the value of a variable that the process is given.
pub(crate) fn is_variable(path: &str) -> bool {
    path.starts_with("env.") || path.starts_with("env[")
}

/// How the parameters of a process take values, beside what the function itself knows.
pub(crate) fn encodings() -> Encodings {
    Encodings::text().with_variables()
}

/// Runs a process to its end, or ends it when the attempt is cancelled.
pub(crate) async fn run(task: &TaskContext, spec: &Spec) -> Result<Output, AttemptError> {
    let start = when_written(|| Process::spawn(spec));
    let process = tokio::select! {
        biased;
        started = start => started.map_err(|error| not_started(&error))?,
        () = task.cancel.cancelled() => {
            let message = "it was to end before its program could be started";
            return Err(Failure::new(FailureKind::SpawnError, message).into());
        }
    };
    let end = task.cancel.reached(Urgency::End);
    let ended = process.run(end, task.cancel.reached(Urgency::Kill)).await;
    for left in &ended.leftovers {
        tracing::warn!("could not be ended: {left}, started by {}", task.id);
    }
    let ended = match task.secrets().is_empty() {
        true => ended,
        false => without_secrets(ended, task, &spec.capture).await,
    };
    judge(ended, &spec.capture.folder)
}

/// Masks secrets in the outputs, before a part of them is taken: a part of a secret is not found.
async fn without_secrets(mut ended: Ended, task: &TaskContext, capture: &CaptureLimits) -> Ended {
    for stream in [&mut ended.stdout, &mut ended.stderr] {
        match masked(stream, task, capture).await {
            Ok(masked) => *stream = masked,
            Err(error) => {
                if let Stream::File { path, .. } = std::mem::take(stream) {
                    let _ = std::fs::remove_file(path);
                }
                ended.output_error.get_or_insert(error);
            }
        }
    }
    ended
}

async fn masked(
    stream: &Stream,
    task: &TaskContext,
    capture: &CaptureLimits,
) -> io::Result<Stream> {
    let secrets = task.secrets().clone();
    match stream.clone() {
        Stream::Inline(bytes) => {
            let len = bytes.len();
            let mask = move || secrets.mask_bytes(&bytes).into();
            Ok(Stream::Inline(offload(len, mask).await))
        }
        Stream::File { path, .. } => {
            let masking = Arc::new(Mutex::new(Masking::open(&path, secrets)?));
            // Some file systems need room to write over what is there.
            let attempt = || {
                let masking = Arc::clone(&masking);
                let finish = move || {
                    let mut masking = masking.lock().unwrap_or_else(PoisonError::into_inner);
                    masking.finish()
                };
                offload(usize::MAX, finish)
            };
            let ended = task.cancel.reached(Urgency::End);
            let len = until_space(capture.disk_space.as_ref(), ended, attempt).await?;
            Ok(Stream::File { path, len })
        }
    }
}

fn not_started(error: &SpawnError) -> AttemptError {
    if let Some(what) = error.shortage() {
        return AttemptError::Busy(what);
    }
    let mut failure = Failure::new(FailureKind::SpawnError, error.to_string());
    failure.permanent = error.is_permanent();
    failure.into()
}

/// A process has done well if it ended by itself with code 0 and its output could be kept.
fn judge(ended: Ended, folder: &Path) -> Result<Output, AttemptError> {
    let end = ended.end;
    let output = Output {
        value: None,
        process: Some(end),
        stdout: ended.stdout,
        stderr: ended.stderr,
    };
    let (kind, what) = match (ended.output_error, end.exit_code) {
        (Some(error), _) => {
            let folder = folder.display();
            let message = format!(
                "its output could not be kept: {error}; see to space and permissions in {folder}"
            );
            return Err(Failure::new(FailureKind::OutputError, message)
                .with_output(output)
                .into());
        }
        (None, Some(0)) if !ended.cancelled => return Ok(output),
        (None, Some(0)) => (FailureKind::Error, "ended when asked to".to_owned()),
        (None, Some(code)) => (FailureKind::ExitCode(code), format!("exit code {code}")),
        (None, None) => of_signal(end.signal, ended.out_of_memory),
    };
    let what = match (kind, ended.out_of_memory) {
        (FailureKind::ExitCode(_), true) => {
            format!("{what}, the system killed one of its processes because memory ran out")
        }
        _ => what,
    };
    let message = match last_line(&output.stderr) {
        Some(line) => format!("{what}: {line}"),
        None => what,
    };
    Err(Failure::new(kind, message).with_output(output).into())
}

/// Why a process without an exit code has failed.
fn of_signal(signal: Option<i32>, out_of_memory: bool) -> (FailureKind, String) {
    let Some(number) = signal else {
        return (FailureKind::Error, "it could not be ended".to_owned());
    };
    let signal = SignalNumber(number);
    if out_of_memory {
        let message = format!("out of memory: the system killed it by {signal}");
        return (FailureKind::OutOfMemory, message);
    }
    (FailureKind::Signal(number), signal.to_string())
}

/// The last line that is not blank.
fn last_line(stream: &Stream) -> Option<String> {
    let (end, _) = tail(stream, TAIL).ok()?;
    let line = text::last_line(&end)?;
    Some(line.chars().take(LAST_LINE).collect())
}
