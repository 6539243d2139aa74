//! Outputs while their tasks run: [`LiveLines`] for people; for programs there are
//! [`EventLines`](crate::events::EventLines).
//!
//! Both hand on whole lines, never a part of one mixed with a part of another, and hold at most [`LONGEST`] bytes of a
//! line that does not end. What a task leaves of a line at its end is one too.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

use batch_core::{TaskId, Time, ids::FullTaskId, outcome::StreamKind};
use batch_template::short_label;

use crate::error::ExportError;
use crate::ordered::Out;
use crate::record::TaskRecord;
use crate::summary::Summary;
use crate::visible::Visible;
use crate::writer::ResultWriter;

/// The longest line, in bytes; a longer one is given in pieces of it.
const LONGEST: usize = 64 * 1024;

/// How outputs are shown while their tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveStyle {
    /// One task runs at a time: what it prints goes through as it is, at once, without a name in front.
    pub alone: bool,
    /// In colours, one a task.
    pub color: bool,
}

/// What an attempt printed.
#[derive(Clone, Copy, Debug)]
pub struct Printed<'a> {
    /// The task.
    pub task: FullTaskId,
    /// The attempt.
    pub attempt: u32,
    /// Which of its outputs.
    pub stream: StreamKind,
    /// What came.
    pub bytes: &'a [u8],
    /// When it came.
    pub at: Time,
}

/// How an attempt began.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// Its number, from 1.
    pub attempt: u32,
    /// When.
    pub at: Time,
}

/// What of its lines an attempt has not ended.
#[derive(Default)]
pub(crate) struct Partial([Vec<u8>; 2]);

impl Partial {
    /// Adds what came, and takes the lines that are whole.
    pub(crate) fn push(&mut self, stream: StreamKind, bytes: &[u8]) -> Vec<u8> {
        let held = &mut self.0[stream as usize];
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => {
                let mut lines = std::mem::take(held);
                lines.extend_from_slice(&bytes[..=end]);
                held.extend_from_slice(&bytes[end + 1..]);
                lines
            }
            None => {
                held.extend_from_slice(bytes);
                match held.len() > LONGEST {
                    true => std::mem::take(held),
                    false => Vec::new(),
                }
            }
        }
    }

    /// Takes what was left of a line in each of the outputs.
    pub(crate) fn end(&mut self) -> impl Iterator<Item = (StreamKind, Vec<u8>)> + use<> {
        let left = std::mem::take(&mut self.0).into_iter();
        let left = [StreamKind::Stdout, StreamKind::Stderr]
            .into_iter()
            .zip(left);
        left.filter(|(_, line)| !line.is_empty())
    }
}

/// Lines with the name of their task in front, as they come.
pub(crate) struct LiveLines<'a> {
    out: BufWriter<Out<'a>>,
    err: BufWriter<Out<'a>>,
    style: LiveStyle,
    running: BTreeMap<TaskId, Running>,
}

struct Running {
    lead: Vec<u8>,
    partial: Partial,
    /// What went through as it was has not ended its line.
    is_mid_line: [bool; 2],
}

impl<'a> LiveLines<'a> {
    pub(crate) fn new(out: BufWriter<Out<'a>>, err: Out<'a>, style: LiveStyle) -> Self {
        Self {
            out,
            err: BufWriter::new(err),
            style,
            running: BTreeMap::new(),
        }
    }

    fn write(&mut self, stream: StreamKind, lead: &[u8], lines: &[u8]) -> Result<(), ExportError> {
        let out = match stream {
            StreamKind::Stdout => &mut self.out,
            StreamKind::Stderr => &mut self.err,
        };
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            out.write_all(lead)?;
            out.write_all(line)?;
            if !line.ends_with(b"\n") {
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// The lines of several tasks are told apart from now on.
    fn end_alone(&mut self) -> Result<(), ExportError> {
        self.style.alone = false;
        for stream in [StreamKind::Stdout, StreamKind::Stderr] {
            let mut running = self.running.values_mut();
            if running.any(|task| std::mem::take(&mut task.is_mid_line[stream as usize])) {
                self.write(stream, b"", b"\n")?;
            }
        }
        Ok(())
    }

    fn end(&mut self, task: TaskId) -> Result<(), ExportError> {
        if let Some(mut ended) = self.running.remove(&task) {
            for (stream, line) in ended.partial.end() {
                self.write(stream, &ended.lead, &line)?;
            }
        }
        Ok(())
    }
}

impl ResultWriter for LiveLines<'_> {
    fn started(&mut self, record: &TaskRecord, _attempt: &Started) -> Result<(), ExportError> {
        if self.style.alone && !self.running.is_empty() {
            self.end_alone()?;
        }
        let lead = lead_of(record, self.style.color);
        let begun = Running {
            lead,
            partial: Partial::default(),
            is_mid_line: [false; 2],
        };
        self.running.insert(record.task, begun);
        Ok(())
    }

    fn printed(&mut self, printed: &Printed<'_>) -> Result<(), ExportError> {
        let stream = printed.stream;
        let Some(task) = self.running.get_mut(&printed.task.task) else {
            return Ok(());
        };
        if self.style.alone {
            task.is_mid_line[stream as usize] = !printed.bytes.ends_with(b"\n");
            let out = match stream {
                StreamKind::Stdout => &mut self.out,
                StreamKind::Stderr => &mut self.err,
            };
            return Ok(out.write_all(printed.bytes)?);
        }
        let lines = task.partial.push(stream, printed.bytes);
        let lead = std::mem::take(&mut task.lead);
        let written = self.write(stream, &lead, &lines);
        if let Some(task) = self.running.get_mut(&printed.task.task) {
            task.lead = lead;
        }
        written
    }

    fn attempt_ended(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        self.end(record.task)
    }

    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        self.end(record.task)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.out.flush()?;
        Ok(self.err.flush()?)
    }

    fn finish(&mut self, _summary: &Summary) -> Result<(), ExportError> {
        while let Some(task) = self.running.keys().next().copied() {
            self.end(task)?;
        }
        self.flush()
    }
}

/// What is before the lines of a task: what it is called, and a tab.
pub(crate) fn lead_of(record: &TaskRecord, color: bool) -> Vec<u8> {
    let label = short_label(&record.spec);
    let called = match record.spec.name.is_some() || record.spec.id.is_some() {
        true => Visible(&label).to_string(),
        false => format!("{} {}", record.id(), Visible(&label)),
    };
    match color {
        // Of the six colours that are neither black nor white.
        true => format!("\x1b[{}m{called}\x1b[0m\t", 31 + record.task.get() % 6),
        false => format!("{called}\t"),
    }
    .into_bytes()
}
