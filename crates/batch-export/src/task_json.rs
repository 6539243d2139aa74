//! The task object of the JSON and JSONL exports: [`TaskJson`].
//!
//! Fields of the contract, always there and in this order: `task_id, id, name, function, params, priority,
//! status, reason, created_at, started_at, completed_at, execution_time, wait_time, retry_count,
//! max_retries, flaky, result, error`. Then `tags, depends_on, cpu_time, peak_memory, attempts, cause`; and, only
//! where there is something to say, `root_task` (whose failure cancelled this one) and `stdout`, `stderr`
//! (what was printed beside a returned value). Secrets in `params` and in the headers of an answer are masked.

use std::io::{self, Write};

use batch_core::{Output, Reason};
use batch_template::{shown_params, shown_result};

use crate::error::ExportError;
use crate::json_text::{
    write_bool, write_list, write_opt_i64, write_opt_seconds, write_opt_str, write_opt_time,
    write_str, write_stream,
};
use crate::record::{AttemptEnd, AttemptRecord, TaskRecord};
use crate::scalar::{Stamps, write_task_id, write_u64};
use crate::stream;

/// Writes tasks as JSON objects, each in one line without a line break at its end.
///
/// Outputs that lie in files are copied piece by piece and never held whole.
#[derive(Clone, Debug, Default)]
pub struct TaskJson {
    stamps: Stamps,
}

impl TaskJson {
    /// A writer; keep it for many tasks, it remembers how the last time is spelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes one task.
    ///
    /// # Errors
    /// When `out` refuses it, or an output cannot be read back whole; then part of the object may be
    /// written.
    pub fn write<W: Write>(&mut self, out: &mut W, record: &TaskRecord) -> Result<(), ExportError> {
        let output = record.output.as_deref();
        if let Some(output) = output {
            stream::check(&output.stdout)?;
            stream::check(&output.stderr)?;
        }
        write_what(out, record)?;
        self.write_state(out, record)?;
        out.write_all(b",\"result\":")?;
        write_result(out, &record.spec.function, output)?;
        out.write_all(b",\"error\":")?;
        write_opt_str(out, record.error.as_deref())?;
        self.write_further(out, record)?;
        if let Some(output) = output
            && output.value.is_some()
        {
            for (name, stream) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
                if !stream.is_empty() {
                    write_stream(out, name, stream)?;
                }
            }
        }
        out.write_all(b"}")?;
        Ok(())
    }

    fn write_state<W: Write>(&mut self, out: &mut W, record: &TaskRecord) -> io::Result<()> {
        out.write_all(b",\"priority\":\"")?;
        out.write_all(record.priority.name().as_bytes())?;
        out.write_all(b"\",\"status\":\"")?;
        out.write_all(record.status.name().as_bytes())?;
        out.write_all(b"\",\"reason\":")?;
        write_opt_str(out, record.reason.map(Reason::name))?;
        out.write_all(b",\"created_at\":")?;
        write_opt_time(out, &mut self.stamps, Some(record.created_at))?;
        out.write_all(b",\"started_at\":")?;
        write_opt_time(out, &mut self.stamps, record.started_at)?;
        out.write_all(b",\"completed_at\":")?;
        write_opt_time(out, &mut self.stamps, record.completed_at)?;
        out.write_all(b",\"execution_time\":")?;
        write_opt_seconds(out, record.execution_time)?;
        out.write_all(b",\"wait_time\":")?;
        write_opt_seconds(out, record.wait_time)?;
        out.write_all(b",\"retry_count\":")?;
        write_u64(out, u64::from(record.retry_count))?;
        out.write_all(b",\"max_retries\":")?;
        write_u64(out, u64::from(record.spec.options.max_retries))?;
        out.write_all(b",\"flaky\":")?;
        write_bool(out, record.flaky)
    }

    fn write_further<W: Write>(&mut self, out: &mut W, record: &TaskRecord) -> io::Result<()> {
        out.write_all(b",\"tags\":")?;
        write_list(out, &record.spec.options.tags)?;
        out.write_all(b",\"depends_on\":")?;
        write_list(out, &record.spec.depends_on)?;
        let process = record.output.as_ref().and_then(|output| output.process);
        out.write_all(b",\"cpu_time\":")?;
        write_opt_seconds(out, process.map(|process| process.cpu_time))?;
        out.write_all(b",\"peak_memory\":")?;
        match process {
            Some(process) => write_u64(out, process.peak_memory)?,
            None => out.write_all(b"null")?,
        }
        out.write_all(b",\"attempts\":[")?;
        for (index, attempt) in record.attempts.iter().enumerate() {
            if index > 0 {
                out.write_all(b",")?;
            }
            self.write_attempt(out, attempt)?;
        }
        match &record.cause {
            None => out.write_all(b"],\"cause\":null")?,
            Some(cause) => write!(out, "],\"cause\":\"{}\"", cause.id())?,
        }
        if let Some(root) = record.root() {
            out.write_all(b",\"root_task\":\"")?;
            write_task_id(out, root)?;
            out.write_all(b"\"")?;
        }
        Ok(())
    }

    fn write_attempt<W: Write>(&mut self, out: &mut W, attempt: &AttemptRecord) -> io::Result<()> {
        out.write_all(b"{\"attempt\":")?;
        write_u64(out, u64::from(attempt.attempt))?;
        out.write_all(b",\"started_at\":")?;
        write_opt_time(out, &mut self.stamps, Some(attempt.started_at))?;
        out.write_all(b",\"ended_at\":")?;
        write_opt_time(out, &mut self.stamps, Some(attempt.ended_at))?;
        out.write_all(b",\"execution_time\":")?;
        write_opt_seconds(out, Some(attempt.took))?;
        out.write_all(b",\"outcome\":\"")?;
        out.write_all(attempt.end.name().as_bytes())?;
        out.write_all(b"\",\"reason\":")?;
        let reason = match attempt.end {
            AttemptEnd::Failed(kind) => Some(kind.name()),
            _ => None,
        };
        write_opt_str(out, reason)?;
        out.write_all(b",\"error\":")?;
        write_opt_str(out, attempt.error.as_deref())?;
        out.write_all(b"}")
    }
}

/// The fields that say what the task is, from the opening brace on.
fn write_what<W: Write>(out: &mut W, record: &TaskRecord) -> io::Result<()> {
    out.write_all(b"{\"task_id\":\"")?;
    write_task_id(out, record.id())?;
    out.write_all(b"\",\"id\":")?;
    write_opt_str(out, record.spec.id.as_deref())?;
    out.write_all(b",\"name\":")?;
    write_opt_str(out, record.spec.name.as_deref())?;
    out.write_all(b",\"function\":")?;
    write_str(out, &record.spec.function)?;
    out.write_all(b",\"params\":")?;
    out.write_all(shown_params(&record.spec).as_bytes())
}

/// Writes the result of a task of a function: the returned value, else how the process ended and what it printed,
/// else `null`.
pub(crate) fn write_result<W: Write>(
    out: &mut W,
    function: &str,
    output: Option<&Output>,
) -> Result<(), ExportError> {
    let Some(output) = output else {
        return Ok(out.write_all(b"null")?);
    };
    if let Some(value) = &output.value {
        return Ok(out.write_all(shown_result(function, value).as_bytes())?);
    }
    if output.process.is_none() && output.stdout.is_empty() && output.stderr.is_empty() {
        return Ok(out.write_all(b"null")?);
    }
    let process = output.process.unwrap_or_default();
    out.write_all(b"{\"exit_code\":")?;
    write_opt_i64(out, process.exit_code.map(i64::from))?;
    write_stream(out, "stdout", &output.stdout)?;
    write_stream(out, "stderr", &output.stderr)?;
    if let Some(signal) = process.signal {
        out.write_all(b",\"signal\":")?;
        write_opt_i64(out, Some(i64::from(signal)))?;
    }
    if process.leaking {
        out.write_all(b",\"leaking\":true")?;
    }
    out.write_all(b"}")?;
    Ok(())
}
