//! CSV: one row a task ([`CsvRows`]), cells quoted where they need it.
//!
//! Cells are written here and not by the `csv` crate because a cell can be an output of gigabytes that is
//! copied piece by piece. What is written is what that crate reads (RFC 4180, lines ended by `\n`).

use std::io::{self, Write};

use batch_core::{Output, Reason, Stream};
use batch_template::shown_params;

use crate::error::ExportError;
use crate::record::TaskRecord;
use crate::scalar::{Stamps, write_i64, write_seconds, write_task_id, write_u64};
use crate::stream;
use crate::task_json::write_result;

/// The columns: those of the contract, then further ones.
pub(crate) const HEADER: &str = "task_id,name,function,status,priority,created_at,started_at,completed_at,\
execution_time,wait_time,retry_count,result,error,id,reason,max_retries,flaky,attempts,exit_code,signal,\
tags,depends_on,params,cpu_time,peak_memory,cause";

/// Writes tasks as CSV rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct CsvRows {
    /// Put a `'` before texts that a spreadsheet would take for a formula.
    guard_formulas: bool,
    stamps: Stamps,
    scratch: Vec<u8>,
}

impl CsvRows {
    pub(crate) fn new(guard_formulas: bool) -> Self {
        Self {
            guard_formulas,
            ..Self::default()
        }
    }

    /// Writes the names of the columns.
    pub(crate) fn write_header<W: Write>(out: &mut W) -> io::Result<()> {
        out.write_all(HEADER.as_bytes())?;
        out.write_all(b"\n")
    }

    /// Writes one task.
    pub(crate) fn write<W: Write>(
        &mut self,
        out: &mut W,
        record: &TaskRecord,
    ) -> Result<(), ExportError> {
        let output = record.output.as_deref();
        if let Some(output) = output {
            stream::check(&output.stdout)?;
            stream::check(&output.stderr)?;
        }
        self.write_state(out, record)?;
        out.write_all(b",")?;
        self.write_result(out, &record.spec.function, output)?;
        self.text(out, record.error.as_deref())?;
        self.write_further(out, record)?;
        Ok(())
    }

    /// The columns from `task_id` to `retry_count`.
    fn write_state<W: Write>(&mut self, out: &mut W, record: &TaskRecord) -> io::Result<()> {
        write_task_id(out, record.id())?;
        self.text(out, record.spec.name.as_deref())?;
        self.text(out, Some(&record.spec.function))?;
        word(out, record.status.name())?;
        word(out, record.priority.name())?;
        for time in [
            Some(record.created_at),
            record.started_at,
            record.completed_at,
        ] {
            out.write_all(b",")?;
            if let Some(time) = time {
                out.write_all(self.stamps.text(time))?;
            }
        }
        for time in [record.execution_time, record.wait_time] {
            out.write_all(b",")?;
            if let Some(time) = time {
                write_seconds(out, time)?;
            }
        }
        number(out, Some(i64::from(record.retry_count)))
    }

    /// The columns from `id` on.
    fn write_further<W: Write>(&mut self, out: &mut W, record: &TaskRecord) -> io::Result<()> {
        let spec = &record.spec;
        self.text(out, spec.id.as_deref())?;
        word(out, record.reason.map_or("", Reason::name))?;
        number(out, Some(i64::from(spec.options.max_retries)))?;
        word(out, if record.flaky { "true" } else { "false" })?;
        number(out, i64::try_from(record.attempts.len()).ok())?;
        number(out, record.exit_code().map(i64::from))?;
        number(out, record.signal().map(i64::from))?;
        self.list(out, &spec.options.tags)?;
        self.list(out, &spec.depends_on)?;
        out.write_all(b",")?;
        cell(out, shown_params(spec).as_bytes())?;
        out.write_all(b",")?;
        if let Some(process) = record.output.as_ref().and_then(|output| output.process) {
            write_seconds(out, process.cpu_time)?;
            out.write_all(b",")?;
            write_u64(out, process.peak_memory)?;
        } else {
            out.write_all(b",")?;
        }
        match &record.cause {
            None => out.write_all(b",\n"),
            Some(cause) => writeln!(out, ",{}", cause.id()),
        }
    }

    /// The result as JSON text; empty without one. JSON never begins like a formula, except for a number.
    fn write_result<W: Write>(
        &mut self,
        out: &mut W,
        function: &str,
        output: Option<&Output>,
    ) -> Result<(), ExportError> {
        let Some(output) = output else {
            return Ok(());
        };
        let has_file = [&output.stdout, &output.stderr]
            .into_iter()
            .any(|stream| matches!(stream, Stream::File { .. }));
        if has_file && output.value.is_none() {
            out.write_all(b"\"")?;
            write_result(&mut Quoted(out), function, Some(output))?;
            return Ok(out.write_all(b"\"")?);
        }
        self.scratch.clear();
        write_result(&mut self.scratch, function, Some(output))?;
        if output.value.is_some() || self.scratch != b"null" {
            cell(out, &self.scratch)?;
        }
        Ok(())
    }

    /// A comma and a text of foreign origin.
    fn text<W: Write>(&mut self, out: &mut W, text: Option<&str>) -> io::Result<()> {
        out.write_all(b",")?;
        let bytes = text.unwrap_or_default().as_bytes();
        if !self.guard_formulas || !is_formula(bytes) {
            return cell(out, bytes);
        }
        self.scratch.clear();
        self.scratch.push(b'\'');
        self.scratch.extend_from_slice(bytes);
        cell(out, &self.scratch)
    }

    /// A comma and words joined by `;`.
    fn list<W: Write>(&mut self, out: &mut W, words: &[impl AsRef<str>]) -> io::Result<()> {
        match words {
            [] => out.write_all(b","),
            [word] => self.text(out, Some(word.as_ref())),
            _ => {
                let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
                self.text(out, Some(&words.join(";")))
            }
        }
    }
}

/// Whether a spreadsheet may take a cell for a formula.
fn is_formula(cell: &[u8]) -> bool {
    matches!(cell, [b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r', ..])
}

/// A comma and a word of ours that needs no quotes.
fn word<W: Write>(out: &mut W, word: &str) -> io::Result<()> {
    out.write_all(b",")?;
    out.write_all(word.as_bytes())
}

/// A comma and a number, if there is one.
fn number<W: Write>(out: &mut W, number: Option<i64>) -> io::Result<()> {
    out.write_all(b",")?;
    number.map_or(Ok(()), |number| write_i64(out, number))
}

/// A cell, in quotes if it needs them.
fn cell<W: Write>(out: &mut W, bytes: &[u8]) -> io::Result<()> {
    if !bytes
        .iter()
        .any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
    {
        return out.write_all(bytes);
    }
    out.write_all(b"\"")?;
    Quoted(out).write_all(bytes)?;
    out.write_all(b"\"")
}

/// Writes what stands between the quotes of a cell: quotes inside it are doubled.
struct Quoted<'a, W>(&'a mut W);

impl<W: Write> Write for Quoted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut pieces = bytes.split_inclusive(|byte| *byte == b'"');
        pieces.try_for_each(|piece| {
            self.0.write_all(piece)?;
            if piece.ends_with(b"\"") {
                self.0.write_all(b"\"")
            } else {
                Ok(())
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
