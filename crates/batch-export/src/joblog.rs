//! A log of the tasks with the columns of GNU parallel, for what reads those: [`JobLog`].

use std::io::Write;
use std::time::Duration;

use batch_core::Time;
use batch_template::{shell_command, shown_params};

use crate::error::ExportError;
use crate::ordered::{Blocks, Out};
use crate::record::{AttemptEnd, TaskRecord};
use crate::summary::Summary;
use crate::writer::ResultWriter;

const HEADER: &[u8] =
    b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// A line for each task that ran, as it ends: its number, the host (`:`, this one), when its last attempt began, in
/// seconds since 1970, how long that took, bytes sent (0) and received, exit code, signal, command.
pub(crate) struct JobLog<'a>(Blocks<'a>);

impl<'a> JobLog<'a> {
    pub(crate) fn new(out: Out<'a>, has_header: bool) -> Result<Self, ExportError> {
        let mut blocks = Blocks::new(out, false, None);
        if has_header {
            blocks.head().write_all(HEADER)?;
            blocks.flush()?;
        }
        Ok(Self(blocks))
    }
}

impl ResultWriter for JobLog<'_> {
    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        let Some(last) = record.attempts.last().filter(|_| record.status.is_final()) else {
            return Ok(());
        };
        let received = record
            .output
            .as_ref()
            .map_or(0, |output| output.stdout.len());
        let (code, signal) = exit_of(record);
        let (start, took) = (seconds(since_epoch(last.started_at)), seconds(last.took));
        let command = command(record).replace(['\n', '\r', '\t'], " ");
        self.0.put(record.task, |out| {
            Ok(writeln!(
                out,
                "{}\t:\t{start}\t{took:>10}\t0\t{received}\t{code}\t{signal}\t{command}",
                record.task.get()
            )?)
        })
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.0.flush()
    }

    fn finish(&mut self, _summary: &Summary) -> Result<(), ExportError> {
        self.0.finish()
    }
}

/// The exit code and the signal of a task, as a shell knows them where no process tells: 0 of one that completed, 127 of
/// one whose program did not start, else 1; -1 of one that a signal or a timeout ended.
pub(crate) fn exit_of(record: &TaskRecord) -> (i32, i32) {
    use batch_core::{FailureKind, Status};
    match (record.exit_code(), record.signal()) {
        (Some(code), _) => (code, 0),
        (None, Some(signal)) => (-1, signal),
        (None, None) => match (record.status, record.attempts.last().map(|last| last.end)) {
            (Status::Completed, _) => (0, 0),
            (_, Some(AttemptEnd::Failed(FailureKind::SpawnError))) => (127, 0),
            _ => (1, 0),
        },
    }
}

/// The line of shell that a task is, else its function and parameters.
pub(crate) fn command(record: &TaskRecord) -> String {
    let other = || format!("{} {}", record.spec.function, shown_params(&record.spec));
    shell_command(&record.spec).unwrap_or_else(other)
}

fn since_epoch(time: Time) -> Duration {
    time.since(Time::ZERO)
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}
