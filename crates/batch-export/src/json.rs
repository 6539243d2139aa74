//! The task object of the JSON and JSONL exports: [`write_task_json`].
//!
//! Fields of the contract first: `task_id, id, name, function, params, priority, status, reason, created_at, started_at,
//! completed_at, execution_time, wait_time, retry_count, max_retries, flaky, result, error`; then further ones. All of
//! them are always there, and the columns of CSV are the same, as `docs/results.md` says. Only beside an output that is
//! not UTF-8 is its base64. Secrets in `params` and in the headers of an answer are masked.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::io::Write;

use batch_core::{Output, Reason, outcome::Stream};
use batch_template::{shell_command, short_label, shown_params, shown_result};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::value::RawValue;

use crate::error::ExportError;
use crate::number::{Seconds, Timestamp};
use crate::record::{AttemptEnd, AttemptRecord, TaskRecord};
use crate::stream;

/// Writes a task as a JSON object, in one line without a line break at its end.
///
/// Outputs that are kept in files are copied piece by piece and never held whole.
///
/// # Errors
/// When `out` refuses it, or an output cannot be read back whole; then part of the object may be written.
pub fn write_task_json<W: Write>(out: W, record: &TaskRecord) -> Result<(), ExportError> {
    if let Some(output) = &record.output {
        stream::check(output)?;
    }
    let unread = Unread::default();
    let task = TaskObject {
        record,
        unread: &unread,
    };
    unread.write(out, &task)
}

/// Writes the result of a task as JSON: the returned value, else how the process ended and what it printed, else
/// `null`.
pub(crate) fn write_result<W: Write>(
    out: W,
    function: &str,
    output: &Output,
) -> Result<(), ExportError> {
    let unread = Unread::default();
    let result = ResultObject {
        function,
        output,
        unread: &unread,
    };
    unread.write(out, &result)
}

/// Whether a task left a result: a value, or a process or what it printed.
pub(crate) fn has_result(output: &Output) -> bool {
    let is_empty = output.stdout.is_empty() && output.stderr.is_empty();
    output.value.is_some() || output.process.is_some() || !is_empty
}

/// Why an output could not be read while it was written: an error of `fmt` cannot say it.
#[derive(Default)]
struct Unread(Cell<Option<ExportError>>);

impl Unread {
    fn write<W: Write>(&self, out: W, value: &impl Serialize) -> Result<(), ExportError> {
        let written = serde_json::to_writer(out, value);
        match self.0.take() {
            Some(error) => Err(error),
            None => written.map_err(|error| ExportError::Write(error.into())),
        }
    }

    /// What a `Display` returns that wrote an output. `serde_json` takes an error of it for one of the writer.
    fn keep(&self, written: Result<(), ExportError>) -> fmt::Result {
        match written {
            Ok(()) => Ok(()),
            Err(ExportError::Write(_)) => Err(fmt::Error),
            Err(error) => {
                self.0.set(Some(error));
                Ok(())
            }
        }
    }
}

struct TaskObject<'a> {
    record: &'a TaskRecord,
    unread: &'a Unread,
}

impl Serialize for TaskObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { record, unread } = *self;
        let mut object = serializer.serialize_struct("Task", 32)?;
        write_state(&mut object, record)?;
        match record.output.as_deref() {
            Some(output) => {
                let function = &record.spec.function;
                let result = ResultObject {
                    function,
                    output,
                    unread,
                };
                object.serialize_field("result", &result)?;
            }
            None => object.serialize_field("result", &())?,
        }
        write_rest(&mut object, record)?;
        match &record.output {
            Some(output) => write_output(&mut object, output, unread)?,
            None => {
                object.serialize_field("stdout", &())?;
                object.serialize_field("stderr", &())?;
            }
        }
        object.end()
    }
}

/// The fields from `task_id` to `flaky`.
fn write_state<S: SerializeStruct>(object: &mut S, record: &TaskRecord) -> Result<(), S::Error> {
    let spec = &record.spec;
    object.serialize_field("task_id", &Shown(record.id()))?;
    object.serialize_field("id", &spec.id.as_deref())?;
    object.serialize_field("name", &*short_label(spec))?;
    object.serialize_field("function", &*spec.function)?;
    object.serialize_field("params", &Raw(&shown_params(spec)))?;
    object.serialize_field("priority", record.priority.name())?;
    object.serialize_field("status", record.status.name())?;
    object.serialize_field("reason", &record.reason.map(Reason::name))?;
    object.serialize_field("created_at", &Timestamp(record.created_at))?;
    object.serialize_field("started_at", &record.started_at.map(Timestamp))?;
    object.serialize_field("completed_at", &record.completed_at.map(Timestamp))?;
    object.serialize_field("execution_time", &record.execution_time.map(Seconds))?;
    object.serialize_field("wait_time", &record.wait_time.map(Seconds))?;
    object.serialize_field("retry_count", &record.retry_count)?;
    object.serialize_field("max_retries", &spec.options.max_retries)?;
    object.serialize_field("flaky", &record.flaky)
}

/// The fields from `error` on.
fn write_rest<S: SerializeStruct>(object: &mut S, record: &TaskRecord) -> Result<(), S::Error> {
    let process = record.output.as_ref().and_then(|output| output.process);
    let cpu_time = process.map(|process| Seconds(process.cpu_time));
    let peak_memory = process.map(|process| process.peak_memory);
    object.serialize_field("error", &record.error)?;
    object.serialize_field("tags", &record.spec.options.tags)?;
    object.serialize_field("depends_on", &record.spec.depends_on)?;
    object.serialize_field("cpu_time", &cpu_time)?;
    object.serialize_field("peak_memory", &peak_memory)?;
    object.serialize_field("attempts", &record.attempts)?;
    let cause = record.cause.as_ref().map(|cause| Shown(cause.id()));
    object.serialize_field("cause", &cause)?;
    object.serialize_field("attempt_count", &record.attempts.len())?;
    object.serialize_field("exit_code", &record.exit_code())?;
    object.serialize_field("signal", &record.signal())?;
    object.serialize_field("root_task", &record.root().map(Shown))?;
    object.serialize_field("item", &record.spec.item)?;
    object.serialize_field("command", &shell_command(&record.spec))
}

/// As in the field `attempts` of a task.
impl Serialize for AttemptRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reason = match self.end {
            AttemptEnd::Failed(kind) => Some(kind.name()),
            _ => None,
        };
        let mut object = serializer.serialize_struct("Attempt", 7)?;
        object.serialize_field("attempt", &self.attempt)?;
        object.serialize_field("started_at", &Timestamp(self.started_at))?;
        object.serialize_field("ended_at", &Timestamp(self.ended_at))?;
        object.serialize_field("execution_time", &Seconds(self.took))?;
        object.serialize_field("outcome", self.end.name())?;
        object.serialize_field("reason", &reason)?;
        object.serialize_field("error", &self.error)?;
        object.end()
    }
}

struct ResultObject<'a> {
    function: &'a str,
    output: &'a Output,
    unread: &'a Unread,
}

impl Serialize for ResultObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let output = self.output;
        if let Some(value) = &output.value {
            return Raw(&shown_result(self.function, value)).serialize(serializer);
        }
        if !has_result(output) {
            return serializer.serialize_unit();
        }
        let process = output.process.unwrap_or_default();
        let mut object = serializer.serialize_struct("Result", 3)?;
        object.serialize_field("exit_code", &process.exit_code)?;
        write_output(&mut object, output, self.unread)?;
        if let Some(signal) = process.signal {
            object.serialize_field("signal", &signal)?;
        }
        if process.leaking {
            object.serialize_field("leaking", &true)?;
        }
        object.end()
    }
}

/// The fields `stdout` and `stderr` as lossy text, with the bytes in base64 after them where they are not UTF-8.
fn write_output<S: SerializeStruct>(
    object: &mut S,
    output: &Output,
    unread: &Unread,
) -> Result<(), S::Error> {
    let outputs = [
        ("stdout", "stdout_base64", &output.stdout),
        ("stderr", "stderr_base64", &output.stderr),
    ];
    for (name, base64, stream) in outputs {
        if let Stream::Inline(bytes) = stream
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            object.serialize_field(name, text)?;
            continue;
        }
        let is_text = Cell::new(true);
        let text = Streamed(|f: &mut fmt::Formatter<'_>| {
            let give = |text: &str| f.write_str(text).map_err(stream::refused);
            let written = stream::for_each_text(stream, give);
            unread.keep(written.map(|valid| is_text.set(valid)))
        });
        object.serialize_field(name, &Shown(text))?;
        if !is_text.get() {
            let bytes =
                Streamed(|f: &mut fmt::Formatter<'_>| unread.keep(stream::write_base64(f, stream)));
            object.serialize_field(base64, &Shown(bytes))?;
        }
    }
    Ok(())
}

/// A text that is written as it is shown, piece by piece.
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Shows what a function writes.
struct Streamed<F>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> Display for Streamed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0(f)
    }
}

/// A text that is JSON already.
struct Raw<'a>(&'a str);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(self.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => serializer.serialize_str(self.0),
        }
    }
}
