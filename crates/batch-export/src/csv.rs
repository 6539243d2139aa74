//! CSV: one row for each task ([`CsvRows`]).
//!
//! The columns are the fields of the JSON object, by the same names: numbers and texts as they are, lists and objects as JSON, null as an empty
//! cell. A cell of more than 32,767 characters breaks spreadsheets, and one of more than 131,072 Python's reader. Cells are
//! therefore cut at a limit, and a mark says how many bytes there are and where all of them are.

use std::fmt::Display;
use std::io::{self, Write};

use batch_core::{Output, Reason, outcome::Stream, text::Grouped};
use batch_template::{shell_command, short_label, shown_params};
use serde::Serialize;

use crate::error::ExportError;
use crate::json::{has_result, write_result};
use crate::number::{Seconds, Timestamp};
use crate::record::TaskRecord;
use crate::stream;
use crate::writer::WriterOptions;

/// The columns: those of the contract, then further ones.
pub(crate) const HEADER: &str = "task_id,name,function,status,priority,created_at,started_at,completed_at,\
execution_time,wait_time,retry_count,result,error,id,reason,max_retries,flaky,attempts,exit_code,signal,\
tags,depends_on,params,cpu_time,peak_memory,cause,attempt_count,root_task,item,command,stdout,stderr\n";

/// Writes tasks as CSV rows.
pub(crate) struct CsvRows {
    /// Put a `'` before texts that a spreadsheet would take for a formula.
    guard_formulas: bool,
    /// The most bytes of a cell, without the mark of one that is cut.
    limit: usize,
    /// What keeps the whole of a cell that is cut.
    batch_file: Option<String>,
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
        }
    }

    /// Writes one task.
    pub(crate) fn write<W: Write>(
        &self,
        out: &mut W,
        record: &TaskRecord,
    ) -> Result<(), ExportError> {
        let output = record.output.as_deref();
        if let Some(output) = output {
            stream::check(output)?;
        }
        let mut row = Row {
            rows: self,
            record,
            out,
            is_first: true,
        };
        row.write_state()?;
        match output {
            Some(output) => row.result(output)?,
            None => row.empty()?,
        }
        row.write_rest()?;
        for stream in [
            output.map(|output| &output.stdout),
            output.map(|output| &output.stderr),
        ] {
            match stream {
                Some(stream) => row.stream(stream)?,
                None => row.empty()?,
            }
        }
        Ok(out.write_all(b"\n")?)
    }

    /// What follows the beginning of a cell.
    fn mark(&self, record: &TaskRecord, bytes: u64, streams: [Option<&Stream>; 2]) -> String {
        let files = streams.map(|stream| match stream {
            Some(Stream::File { path, .. }) => Some(path.display()),
            Some(Stream::Inline(_)) | None => None,
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

/// A row being written.
struct Row<'r, W> {
    rows: &'r CsvRows,
    record: &'r TaskRecord,
    out: &'r mut W,
    is_first: bool,
}

impl<W: Write> Row<'_, W> {
    /// The cells up to the result.
    fn write_state(&mut self) -> Result<(), ExportError> {
        let record = self.record;
        self.plain(Some(record.id()))?;
        self.text(Some(&short_label(&record.spec)))?;
        self.text(Some(&record.spec.function))?;
        self.plain(Some(record.status.name()))?;
        self.plain(Some(record.priority.name()))?;
        self.plain(Some(Timestamp(record.created_at)))?;
        self.plain(record.started_at.map(Timestamp))?;
        self.plain(record.completed_at.map(Timestamp))?;
        self.plain(record.execution_time.map(Seconds))?;
        self.plain(record.wait_time.map(Seconds))?;
        self.plain(Some(record.retry_count))
    }

    /// The cells after the result, but for the outputs.
    fn write_rest(&mut self) -> Result<(), ExportError> {
        let record = self.record;
        let spec = &record.spec;
        let process = record.output.as_ref().and_then(|output| output.process);
        self.text(record.error.as_deref())?;
        self.text(spec.id.as_deref())?;
        self.plain(record.reason.map(Reason::name))?;
        self.plain(Some(spec.options.max_retries))?;
        self.plain(Some(record.flaky))?;
        self.json(&record.attempts)?;
        self.plain(record.exit_code())?;
        self.plain(record.signal())?;
        self.json(&spec.options.tags)?;
        self.json(&spec.depends_on)?;
        self.cell(&shown_params(spec), false)?;
        self.plain(process.map(|process| Seconds(process.cpu_time)))?;
        self.plain(process.map(|process| process.peak_memory))?;
        self.plain(record.cause.as_ref().map(|cause| cause.id()))?;
        self.plain(Some(record.attempts.len()))?;
        self.plain(record.root())?;
        self.text(spec.item.as_deref())?;
        self.text(shell_command(&record.spec).as_deref())
    }

    fn comma(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.is_first) {
            true => Ok(()),
            false => self.out.write_all(b","),
        }
    }

    fn empty(&mut self) -> Result<(), ExportError> {
        Ok(self.comma()?)
    }

    /// What needs no quotes, or nothing.
    fn plain(&mut self, value: Option<impl Display>) -> Result<(), ExportError> {
        self.comma()?;
        match value {
            Some(value) => Ok(write!(self.out, "{value}")?),
            None => Ok(()),
        }
    }

    /// A text of foreign origin.
    fn text(&mut self, text: Option<&str>) -> Result<(), ExportError> {
        self.cell(text.unwrap_or_default(), self.rows.guard_formulas)
    }

    fn json(&mut self, value: &impl Serialize) -> Result<(), ExportError> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.cell(&text, false)
    }

    /// A text, cut where it is too long.
    fn cell(&mut self, text: &str, guard: bool) -> Result<(), ExportError> {
        if text.len() <= self.rows.limit {
            return self.whole_cell(text, guard);
        }
        let kept = valid(&text.as_bytes()[..self.rows.limit]);
        let mark = self.rows.mark(self.record, text.len() as u64, [None, None]);
        self.whole_cell(&format!("{kept}{mark}"), guard)
    }

    /// A text as it is, in quotes where it needs them.
    fn whole_cell(&mut self, text: &str, guard: bool) -> Result<(), ExportError> {
        self.comma()?;
        let mut cell = Cell::new(self.out, guard);
        if text.contains(['"', ',', '\n', '\r']) {
            cell.quoted(|cell| Ok(cell.write_all(text.as_bytes())?))
        } else {
            Ok(cell.write_all(text.as_bytes())?)
        }
    }

    /// The result as JSON, which never begins like a formula, except for a number. Without one the cell is empty.
    fn result(&mut self, output: &Output) -> Result<(), ExportError> {
        let is_null = output
            .value
            .as_ref()
            .is_some_and(|value| value.as_str() == "null");
        if is_null || !has_result(output) {
            return self.empty();
        }
        let function = &self.record.spec.function;
        let (bytes, streams) = match &output.value {
            Some(value) => (value.as_str().len() as u64, [None, None]),
            None => (
                output.stdout.len() + output.stderr.len(),
                [Some(&output.stdout), Some(&output.stderr)],
            ),
        };
        self.streamed(bytes, streams, false, |out| {
            write_result(out, function, output)
        })
    }

    /// What a task printed, as text.
    fn stream(&mut self, stream: &Stream) -> Result<(), ExportError> {
        let guard = self.rows.guard_formulas;
        self.streamed(stream.len(), [Some(stream), None], guard, |out| {
            stream::for_each_text(stream, |text| Ok(out.write_all(text.as_bytes())?)).map(drop)
        })
    }

    /// A cell of what `write` writes, `bytes` of it or so, out of `streams`. It is never held whole where it is long.
    fn streamed(
        &mut self,
        bytes: u64,
        streams: [Option<&Stream>; 2],
        guard: bool,
        write: impl Fn(&mut dyn Write) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let in_file = |stream: &Stream| matches!(stream, Stream::File { .. });
        let limit = self.rows.limit;
        if limit == usize::MAX && streams.into_iter().flatten().any(in_file) {
            self.comma()?;
            return Cell::new(self.out, guard).quoted(|cell| write(cell));
        }
        let mut limited = Limited {
            bytes: Vec::new(),
            limit,
            is_full: false,
        };
        let written = write(&mut limited);
        let mut kept = limited.bytes;
        if !limited.is_full {
            written?;
        }
        kept.truncate(valid(&kept).len());
        let mut text = String::from_utf8(kept).expect("what is valid was kept");
        if limited.is_full {
            text.push_str(&self.rows.mark(self.record, bytes, streams));
        }
        self.whole_cell(&text, guard)
    }
}

/// The text at the beginning of bytes.
fn valid(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// Takes bytes up to a limit.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl Write for Limited {
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

/// A cell being written: quotes inside quotes are doubled, and what looks like a formula is guarded.
struct Cell<'a, W> {
    out: &'a mut W,
    is_quoted: bool,
    /// Its first byte is still to be looked at.
    guard: bool,
}

impl<'a, W: Write> Cell<'a, W> {
    const fn new(out: &'a mut W, guard: bool) -> Self {
        Self {
            out,
            is_quoted: false,
            guard,
        }
    }

    /// Writes what `write` writes between quotes.
    fn quoted(
        mut self,
        write: impl FnOnce(&mut Self) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        self.out.write_all(b"\"")?;
        self.is_quoted = true;
        write(&mut self)?;
        Ok(self.out.write_all(b"\"")?)
    }
}

impl<W: Write> Write for Cell<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(first) = bytes.first() else {
            return Ok(0);
        };
        if std::mem::take(&mut self.guard)
            && matches!(first, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')
        {
            self.out.write_all(b"'")?;
        }
        if !self.is_quoted {
            self.out.write_all(bytes)?;
            return Ok(bytes.len());
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'"') {
            self.out.write_all(piece)?;
            if piece.ends_with(b"\"") {
                self.out.write_all(b"\"")?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
