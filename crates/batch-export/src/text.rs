//! Results for people: a line for each task and its output below it ([`TextRows`]).
//!
//! ```text
//! completed b1.1  Fetch page 1  0.31s
//!   | 200 OK
//! failed    b1.2  Fetch page 2  1.20s (4 attempts)  c3fa21b
//!   error: exit code 3
//!   ! cannot resolve host
//! ```
//!
//! `|` precedes lines of standard output, `!` the last lines of standard error, `=` a returned value. The line of a
//! failed task ends with its cause.

use std::io::{self, Write};

use batch_core::{Output, duration::ShortDuration, outcome::Stream, text::Grouped};
use batch_template::{short_label, shown_result};

use crate::color::Color;
use crate::error::ExportError;
use crate::record::TaskRecord;
use crate::stream;
use crate::visible::{Visible, VisibleLines};

/// How many lines of standard error are shown.
const ERROR_LINES: usize = 10;
/// How many bytes of standard error are looked at for them.
const ERROR_BYTES: usize = 8 * 1024;

/// Writes tasks as text for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextRows {
    /// Escape control characters in outputs, for a terminal. In labels and errors they always are.
    pub(crate) escape_control: bool,
    /// Show what became of the tasks in colours.
    pub(crate) color: bool,
}

impl TextRows {
    /// Writes one task.
    pub(crate) fn write<W: Write>(
        self,
        out: &mut W,
        record: &TaskRecord,
    ) -> Result<(), ExportError> {
        let output = record.output.as_deref();
        if let Some(output) = output {
            stream::check(output)?;
        }
        self.write_head(out, record)?;
        if let Some(error) = &record.error {
            for (index, line) in error.trim_end().lines().enumerate() {
                let lead = if index == 0 { "error:" } else { "      " };
                writeln!(out, "  {lead} {}", VisibleLines(line))?;
            }
        }
        output.map_or(Ok(()), |output| self.write_output(out, record, output))
    }

    /// The line of a task.
    fn write_head<W: Write>(self, out: &mut W, record: &TaskRecord) -> io::Result<()> {
        let painted = |text: String, flaky: bool| match Color::of(record.status, flaky) {
            Some(color) if self.color => color.paint(&text),
            _ => text,
        };
        let status = painted(format!("{:<9}", record.status.name()), false);
        write!(
            out,
            "{status} {}  {}",
            record.id(),
            Visible(&short_label(&record.spec))
        )?;
        if let Some(time) = record.execution_time {
            write!(out, "  {}", ShortDuration(time))?;
        }
        match (record.flaky, record.attempts.len()) {
            (true, attempts) => {
                let flaky = painted(format!("(flaky, {attempts} attempts)"), true);
                write!(out, " {flaky}")?;
            }
            (false, 0 | 1) => {}
            (false, attempts) => write!(out, " ({attempts} attempts)")?,
        }
        match &record.cause {
            Some(cause) => writeln!(out, "  {}", cause.id()),
            None => out.write_all(b"\n"),
        }
    }

    fn write_output<W: Write>(
        self,
        out: &mut W,
        record: &TaskRecord,
        output: &Output,
    ) -> Result<(), ExportError> {
        if let Some(value) = &output.value {
            let mut lines = Lines::new(out, b"  = ");
            self.write_text(&mut lines, &shown_result(&record.spec.function, value))?;
            lines.end()?;
        }
        let mut lines = Lines::new(out, b"  | ");
        if self.escape_control {
            stream::for_each_text(
                &output.stdout,
                |text| Ok(self.write_text(&mut lines, text)?),
            )?;
        } else {
            stream::copy_stream(&output.stdout, &mut lines)?;
        }
        lines.end()?;
        self.write_errors(out, &output.stderr)
    }

    fn write_errors<W: Write>(self, out: &mut W, stderr: &Stream) -> Result<(), ExportError> {
        let (bytes, mut before) = stream::tail(stderr, ERROR_BYTES)?;
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let breaks = text
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n');
        let start = breaks
            .map(|(at, _)| at + 1)
            .nth(ERROR_LINES - 1)
            .unwrap_or(0);
        before += start as u64;
        if before > 0 {
            writeln!(out, "  ! … ({} bytes before this)", Grouped(before))?;
        }
        let mut lines = Lines::new(out, b"  ! ");
        if self.escape_control {
            self.write_text(&mut lines, &String::from_utf8_lossy(&bytes[start..]))?;
        } else {
            lines.write_all(&bytes[start..])?;
        }
        Ok(lines.end()?)
    }

    fn write_text<W: Write>(self, lines: &mut Lines<'_, W>, text: &str) -> io::Result<()> {
        if !self.escape_control {
            return lines.write_all(text.as_bytes());
        }
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => writeln!(lines, "{}", VisibleLines(line))?,
                None => write!(lines, "{}", VisibleLines(line))?,
            }
        }
        Ok(())
    }
}

/// Puts a lead before every line, and ends the last one.
pub(crate) struct Lines<'a, W> {
    out: &'a mut W,
    lead: &'a [u8],
    at_start: bool,
}

impl<'a, W: Write> Lines<'a, W> {
    pub(crate) const fn new(out: &'a mut W, lead: &'a [u8]) -> Self {
        Self {
            out,
            lead,
            at_start: true,
        }
    }

    pub(crate) fn end(self) -> io::Result<()> {
        if self.at_start {
            Ok(())
        } else {
            self.out.write_all(b"\n")
        }
    }
}

impl<W: Write> Write for Lines<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.at_start {
                self.out.write_all(self.lead)?;
            }
            self.out.write_all(line)?;
            self.at_start = line.ends_with(b"\n");
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
