//! What happens, as JSON: [`EventLines`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use batch_core::{
    Reason, TaskId, Time, ids::FullTaskId, outcome::StreamKind, status::QueuedReason,
};
use serde::Serialize;

use crate::error::ExportError;
use crate::json::{Shown, write_task_json};
use crate::live::{Partial, Printed, Started};
use crate::number::{Seconds, Timestamp};
use crate::ordered::Out;
use crate::record::{AttemptEnd, AttemptRecord, TaskRecord};
use crate::stream::{self, PIECE, for_each_piece};
use crate::summary::Summary;
use crate::writer::ResultWriter;

/// What happens, as JSON, a line each: `started`, `output`, `attempt_ended` and `finished`.
pub(crate) struct EventLines<'a> {
    out: BufWriter<Out<'a>>,
    /// Of tasks that have begun and not finished: the attempts whose end was told, and what the running one printed.
    begun: BTreeMap<TaskId, (u32, Partial)>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum EventLine<'a> {
    Started {
        at: Timestamp,
        task_id: Shown<FullTaskId>,
        id: Option<&'a str>,
        name: Option<&'a str>,
        function: &'a str,
        attempt: u32,
    },
    Output {
        at: Timestamp,
        task_id: Shown<FullTaskId>,
        attempt: u32,
        stream: &'a str,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    },
    AttemptEnded {
        at: Timestamp,
        task_id: Shown<FullTaskId>,
        attempt: u32,
        outcome: &'a str,
        reason: Option<&'a str>,
        exit_code: Option<i32>,
        signal: Option<i32>,
        execution_time: Seconds,
        error: Option<&'a str>,
        retry_at: Option<Timestamp>,
    },
}

impl<'a> EventLines<'a> {
    pub(crate) fn new(out: BufWriter<Out<'a>>) -> Self {
        Self {
            out,
            begun: BTreeMap::new(),
        }
    }

    fn line(&mut self, line: &EventLine<'_>) -> Result<(), ExportError> {
        serde_json::to_writer(&mut self.out, line).map_err(std::io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    fn output(&mut self, printed: &Printed<'_>) -> Result<(), ExportError> {
        if printed.bytes.is_empty() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(printed.bytes);
        let is_text = matches!(text, Cow::Borrowed(_));
        self.line(&EventLine::Output {
            at: Timestamp(printed.at),
            task_id: Shown(printed.task),
            attempt: printed.attempt,
            stream: printed.stream.name(),
            text: &text,
            base64: (!is_text).then(|| STANDARD.encode(printed.bytes)),
        })
    }

    /// What the running attempt left of its lines.
    fn end_output(&mut self, record: &TaskRecord, at: Time) -> Result<(), ExportError> {
        let Some((ended, partial)) = self.begun.get_mut(&record.task) else {
            return Ok(());
        };
        let (attempt, left) = (*ended + 1, partial.end());
        for (stream, bytes) in left {
            let printed = Printed {
                task: record.id(),
                attempt,
                stream,
                bytes: &bytes,
                at,
            };
            self.output(&printed)?;
        }
        Ok(())
    }

    fn attempt(&mut self, record: &TaskRecord, attempt: &AttemptRecord) -> Result<(), ExportError> {
        let is_last = record.attempts.last() == Some(attempt);
        let process = record.output.as_ref().and_then(|output| output.process);
        let process = process.filter(|_| is_last && attempt.end != AttemptEnd::Interrupted);
        let retry_at = match record.reason {
            Some(Reason::Queued(QueuedReason::Delayed { until })) if is_last => Some(until),
            _ => None,
        };
        self.line(&EventLine::AttemptEnded {
            at: Timestamp(attempt.ended_at),
            task_id: Shown(record.id()),
            attempt: attempt.attempt,
            outcome: attempt.end.name(),
            reason: match attempt.end {
                AttemptEnd::Failed(kind) => Some(kind.name()),
                _ => None,
            },
            exit_code: process.and_then(|process| process.exit_code),
            signal: process.and_then(|process| process.signal),
            execution_time: Seconds(attempt.took),
            error: attempt.error.as_deref(),
            retry_at: retry_at.map(Timestamp),
        })
    }

    /// Tells of attempts that ended unseen, the last one with what it printed.
    fn catch_up(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        let told = self.begun.get(&record.task).map_or(0, |(told, _)| *told);
        for attempt in record
            .attempts
            .iter()
            .filter(|attempt| attempt.attempt > told)
        {
            let started = Started {
                attempt: attempt.attempt,
                at: attempt.started_at,
            };
            self.started(record, &started)?;
            let is_last = record.attempts.last() == Some(attempt);
            if let Some(output) = record.output.as_deref().filter(|_| is_last) {
                let streams = [
                    (StreamKind::Stdout, &output.stdout),
                    (StreamKind::Stderr, &output.stderr),
                ];
                for (stream, kept) in streams {
                    let mut replay = |bytes: &[u8]| {
                        self.printed(&Printed {
                            task: record.id(),
                            attempt: attempt.attempt,
                            stream,
                            bytes,
                            at: attempt.ended_at,
                        })
                    };
                    // In pieces as they come from a file.
                    for_each_piece(kept, |bytes| bytes.chunks(PIECE).try_for_each(&mut replay))?;
                }
            }
            self.end_output(record, attempt.ended_at)?;
            self.attempt(record, attempt)?;
            self.begun
                .insert(record.task, (attempt.attempt, Partial::default()));
        }
        Ok(())
    }
}

impl ResultWriter for EventLines<'_> {
    fn started(&mut self, record: &TaskRecord, started: &Started) -> Result<(), ExportError> {
        self.begun
            .insert(record.task, (started.attempt - 1, Partial::default()));
        self.line(&EventLine::Started {
            at: Timestamp(started.at),
            task_id: Shown(record.id()),
            id: record.spec.id.as_deref(),
            name: record.spec.name.as_deref(),
            function: &record.spec.function,
            attempt: started.attempt,
        })
    }

    fn printed(&mut self, printed: &Printed<'_>) -> Result<(), ExportError> {
        let Some((_, partial)) = self.begun.get_mut(&printed.task.task) else {
            return Ok(());
        };
        let lines = partial.push(printed.stream, printed.bytes);
        let whole = Printed {
            bytes: &lines,
            ..*printed
        };
        self.output(&whole)
    }

    fn attempt_ended(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        let Some(last) = record.attempts.last() else {
            return Ok(());
        };
        self.end_output(record, last.ended_at)?;
        self.attempt(record, last)?;
        self.begun
            .insert(record.task, (last.attempt, Partial::default()));
        Ok(())
    }

    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        if let Some(output) = &record.output {
            stream::check(output)?;
        }
        self.catch_up(record)?;
        self.begun.remove(&record.task);
        if !record.status.is_final() {
            return Ok(());
        }
        self.out.write_all(b"{\"type\":\"finished\",")?;
        write_task_json(AfterBrace(&mut self.out, false), record)?;
        Ok(self.out.write_all(b"\n")?)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(self.out.flush()?)
    }

    fn finish(&mut self, _summary: &Summary) -> Result<(), ExportError> {
        self.flush()
    }
}

/// Passes on a JSON object without its opening brace.
struct AfterBrace<W>(W, bool);

impl<W: Write> Write for AfterBrace<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if !bytes.is_empty() && !std::mem::replace(&mut self.1, true) {
            self.0.write_all(&bytes[1..])?;
            return Ok(bytes.len());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
