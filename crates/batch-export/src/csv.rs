//! CSV: one row for each task ([`CsvRows`]).
//!
//! A cell of more than 32,767 characters breaks spreadsheets, and one of more than 131,072 Python's reader. Cells are
//! therefore cut at a limit, and a mark says how many bytes there are and where all of them are.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use batch_core::{Output, Reason, outcome::Stream};
use batch_template::shown_params;
use csv::WriterBuilder;
use serde::{Serialize, Serializer};

use crate::error::ExportError;
use crate::json::{Shown, write_result};
use crate::number::{Seconds, Timestamp};
use crate::record::TaskRecord;
use crate::stream;
use crate::summary::Grouped;
use crate::writer::WriterOptions;

/// The columns: those of the contract, then further ones.
pub(crate) const HEADER: &str = "task_id,name,function,status,priority,created_at,started_at,completed_at,\
execution_time,wait_time,retry_count,result,error,id,reason,max_retries,flaky,attempts,exit_code,signal,\
tags,depends_on,params,cpu_time,peak_memory,cause\n";

/// Writes tasks as CSV rows.
pub(crate) struct CsvRows {
    /// Put a `'` before texts that a spreadsheet would take for a formula.
    guard_formulas: bool,
    /// The most bytes of a cell, without the mark of one that is cut.
    limit: usize,
    /// What keeps the whole of a cell that is cut.
    batch_file: Option<String>,
    result: Vec<u8>,
}

impl CsvRows {
    pub(crate) fn new(options: &WriterOptions) -> Self {
        let batch_file = options.batch_file.as_ref();
        Self {
            guard_formulas: options.guard_formulas,
            limit: match options.cell_limit {
                0 => usize::MAX,
                limit => limit,
            },
            batch_file: batch_file.map(|path| path.display().to_string()),
            result: Vec::new(),
        }
    }

    /// Writes one task.
    pub(crate) fn write<W: Write>(
        &mut self,
        out: &mut W,
        record: &TaskRecord,
    ) -> Result<(), ExportError> {
        let mut result = std::mem::take(&mut self.result);
        result.clear();
        if let Some(output) = record.output.as_deref() {
            stream::check(output)?;
            if self.limit == usize::MAX && is_in_file(output) {
                return self.write_whole(out, record, output);
            }
            self.write_result(&mut result, record, output)?;
        }
        let text = std::str::from_utf8(&result).expect("JSON is UTF-8");
        let row = (self.first_cells(record), text, self.last_cells(record));
        write_cells(out, &row)?;
        self.result = result;
        Ok(())
    }

    /// Writes one task whose result is as long as the files of its output, which are not held in memory.
    fn write_whole<W: Write>(
        &self,
        out: &mut W,
        record: &TaskRecord,
        output: &Output,
    ) -> Result<(), ExportError> {
        let mut first = Vec::new();
        write_cells(&mut first, &self.first_cells(record))?;
        first.pop();
        out.write_all(&first)?;
        out.write_all(b",\"")?;
        write_result(Quoted(out), &record.spec.function, output)?;
        out.write_all(b"\",")?;
        write_cells(out, &self.last_cells(record))
    }

    /// The result as JSON text; empty without one. JSON never begins like a formula, except for a number.
    fn write_result(
        &self,
        result: &mut Vec<u8>,
        record: &TaskRecord,
        output: &Output,
    ) -> Result<(), ExportError> {
        let mut limited = Limited {
            bytes: result,
            limit: self.limit,
            is_full: false,
        };
        let written = write_result(&mut limited, &record.spec.function, output);
        if limited.is_full {
            let kept = valid(result).len();
            result.truncate(kept);
            let bytes = match &output.value {
                Some(value) => value.as_str().len() as u64,
                None => output.stdout.len() + output.stderr.len(),
            };
            let mark = self.mark(record, bytes, output);
            result.extend_from_slice(mark.as_bytes());
            return Ok(());
        }
        if output.value.is_none() && result == b"null" {
            result.clear();
        }
        written
    }

    /// The cells before the result.
    fn first_cells<'r>(&self, record: &'r TaskRecord) -> impl Serialize + use<'r> {
        (
            Shown(record.id()),
            self.text(record, record.spec.name.as_deref().unwrap_or_default()),
            self.text(record, &record.spec.function),
            record.status.name(),
            record.priority.name(),
            Timestamp(record.created_at),
            record.started_at.map(Timestamp),
            record.completed_at.map(Timestamp),
            record.execution_time.map(Plain),
            record.wait_time.map(Plain),
            record.retry_count,
        )
    }

    /// The cells after the result.
    fn last_cells<'r>(&self, record: &'r TaskRecord) -> impl Serialize + use<'r> {
        let spec = &record.spec;
        let process = record.output.as_ref().and_then(|output| output.process);
        (
            self.text(record, record.error.as_deref().unwrap_or_default()),
            self.text(record, spec.id.as_deref().unwrap_or_default()),
            record.reason.map(Reason::name),
            spec.options.max_retries,
            record.flaky,
            record.attempts.len(),
            record.exit_code(),
            record.signal(),
            self.list(record, &spec.options.tags),
            self.list(record, &spec.depends_on),
            self.cut(record, shown_params(spec)),
            process.map(|process| Plain(process.cpu_time)),
            process.map(|process| process.peak_memory),
            record.cause.as_ref().map(|cause| Shown(cause.id())),
        )
    }

    /// A text of foreign origin.
    fn text<'t>(&self, record: &TaskRecord, text: &'t str) -> Cow<'t, str> {
        let text = self.cut(record, Cow::Borrowed(text));
        if self.guard_formulas && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            return Cow::Owned(format!("'{text}"));
        }
        text
    }

    /// Texts joined by `;`.
    fn list<'t>(&self, record: &TaskRecord, texts: &'t [impl AsRef<str>]) -> Cow<'t, str> {
        match texts {
            [] => Cow::Borrowed(""),
            [text] => self.text(record, text.as_ref()),
            _ => {
                let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
                Cow::Owned(self.text(record, &texts.join(";")).into_owned())
            }
        }
    }

    fn cut<'t>(&self, record: &TaskRecord, text: Cow<'t, str>) -> Cow<'t, str> {
        if text.len() <= self.limit {
            return text;
        }
        let kept = valid(&text.as_bytes()[..self.limit]);
        let mark = self.mark(record, text.len() as u64, &Output::default());
        Cow::Owned(format!("{kept}{mark}"))
    }

    /// What follows the beginning of a cell.
    fn mark(&self, record: &TaskRecord, bytes: u64, output: &Output) -> String {
        let files = [&output.stdout, &output.stderr].map(|stream| match stream {
            Stream::Inline(_) => None,
            Stream::File { path, .. } => Some(path.display()),
        });
        let place = match (&self.batch_file, files) {
            // Files of outputs go away with a batch that is not kept.
            (None, _) => "not kept".to_owned(),
            (Some(_), [Some(stdout), Some(stderr)]) => format!("whole in {stdout} and {stderr}"),
            (Some(_), [Some(path), None] | [None, Some(path)]) => format!("whole in {path}"),
            (Some(batch), [None, None]) => format!("whole in {} of {batch}", record.id()),
        };
        format!("… [cut: {} bytes in all, {place}]", Grouped(bytes))
    }
}

/// A duration in seconds, without the exponent that a very short one has in JSON: some readers of CSV know none.
struct Plain(Duration);

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 < Duration::from_micros(10) {
            serializer.collect_str(&Seconds(self.0))
        } else {
            Seconds(self.0).serialize(serializer)
        }
    }
}

/// Writes cells and the end of their line.
fn write_cells<W: Write>(out: &mut W, cells: &impl Serialize) -> Result<(), ExportError> {
    let mut writer = WriterBuilder::new()
        .has_headers(false)
        .buffer_capacity(1024)
        .from_writer(out);
    writer
        .serialize(cells)
        .map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            other => io::Error::other(format!("{other:?}")),
        })?;
    Ok(writer.flush()?)
}

fn is_in_file(output: &Output) -> bool {
    let is_file = |stream: &Stream| matches!(stream, Stream::File { .. });
    output.value.is_none() && (is_file(&output.stdout) || is_file(&output.stderr))
}

/// The text at the beginning of bytes.
fn valid(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// Takes bytes up to a limit.
struct Limited<'a> {
    bytes: &'a mut Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let space = self.limit - self.bytes.len();
        self.is_full = bytes.len() > space;
        let taken = bytes.len().min(space);
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what is between the quotes of a cell: quotes inside it are doubled.
struct Quoted<'a, W>(&'a mut W);

impl<W: Write> Write for Quoted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'"') {
            self.0.write_all(piece)?;
            if piece.ends_with(b"\"") {
                self.0.write_all(b"\"")?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
