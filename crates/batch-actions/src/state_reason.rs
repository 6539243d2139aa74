//! Why a batch is in its state: [`StateReason`], and what can be done about it: [`Advice`].

use std::fmt;
use std::time::Duration;

use batch_core::{duration::ShortDuration, ids::FullTaskId, settings::Halt};
use batch_runtime::ResourceShortage;
use batch_store::{EndCause, Holder, LeaseNote};
use serde::{Serialize, Serializer};

/// Why a batch is in its state. It shows as a sentence without a subject, and is stored and serialized nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateReason {
    /// A process is writing the tasks that the batch was made for.
    BeingWritten {
        /// The process.
        pid: u32,
        /// How many tasks.
        missing: u32,
    },
    /// The tasks that the batch was made for were never written.
    TasksMissing(MissingTasks),
    /// What the executor says of its run.
    Noted(LeaseNote),
    /// The executor gives no sign of life.
    Silent(Silence),
    /// Someone paused it, and how.
    Paused(String),
    /// Nobody has run it yet.
    NotStarted,
    /// The executor died.
    ExecutorDied,
    /// Not all of its items were read.
    InputUnread,
    /// The time limit of the batch was reached.
    TimeLimit,
    /// As many tasks had ended as the batch asked for.
    Halted(Halt),
    /// How its last run ended, with tasks left.
    LastRun(EndCause),
    /// The same, where the run could not write all that it did.
    EndUnwritten(EndCause),
}

/// The tasks of a batch that were never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingTasks {
    /// How many.
    pub count: u32,
    /// The task file they come from.
    pub file: Option<String>,
}

/// An executor that gives no sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its process.
    pub pid: u32,
    /// For how long.
    pub time: Duration,
}

/// What can be done next. Each front end says how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Start the batch.
    Start,
    /// Resume the batch.
    Resume,
    /// Kill the executor of the batch.
    Kill,
    /// Give the tasks of the batch again, or remove it.
    GiveAgain(MissingTasks),
    /// Run a task again.
    Retry(FullTaskId),
    /// Release a held task.
    Release(FullTaskId),
    /// See why another task is as it is.
    Explain(FullTaskId),
    /// Let these processes go on, which a signal stopped.
    Continue(Vec<i32>),
}

impl StateReason {
    /// What can be done about it, where there is something.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::TasksMissing(missing) => Some(Advice::GiveAgain(missing.clone())),
            Self::Silent(_) => Some(Advice::Kill),
            Self::ExecutorDied
            | Self::EndUnwritten(_)
            | Self::LastRun(EndCause::OutputClosed | EndCause::NothingStarts) => {
                Some(Advice::Resume)
            }
            _ => None,
        }
    }
}

impl Silence {
    /// The silence of a holder that gives no sign of life.
    pub(crate) fn of(holder: &Holder) -> Option<Self> {
        Some(Self {
            pid: holder.pid,
            time: holder.silence()?,
        })
    }
}

/// What the lease says of a run that the system is short of something for.
pub(crate) fn short_note(short: &ResourceShortage) -> LeaseNote {
    LeaseNote::Short {
        what: short.what.to_string(),
        slots: short.slots,
        asked_for: short.requested,
    }
}

impl From<&ResourceShortage> for StateReason {
    fn from(short: &ResourceShortage) -> Self {
        Self::Noted(short_note(short))
    }
}

impl fmt::Display for StateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeingWritten { pid, missing } => {
                write!(f, "process {pid} is writing its {missing} tasks")
            }
            Self::TasksMissing(missing) => missing.fmt(f),
            Self::Noted(note) => fmt_note(note, f),
            Self::Silent(silence) => silence.fmt(f),
            Self::Paused(how) => write!(f, "paused {how}"),
            Self::NotStarted => f.write_str("not started yet"),
            Self::ExecutorDied => f.write_str("its executor died"),
            Self::InputUnread => f.write_str(
                "its input was not read to its end; what was not read is not in the batch",
            ),
            Self::TimeLimit => f.write_str("its time was up (batch_timeout)"),
            Self::Halted(Halt::FAIL_FAST) => f.write_str("a failure ended it (fail_fast)"),
            Self::Halted(halt) => write!(f, "it was ended as it asks for (halt: {halt})"),
            Self::LastRun(end) => match end {
                EndCause::Finished => f.write_str("tasks were added or held after its last run"),
                EndCause::OutputClosed => f.write_str("its output was closed"),
                EndCause::WriteFailed => f.write_str("its executor could not write"),
                EndCause::NothingStarts => f.write_str("its executor could start no task"),
                other => write!(f, "its last run was {}", other.name()),
            },
            Self::EndUnwritten(end) => write!(
                f,
                "{}, and its last changes were not written",
                Self::LastRun(end.clone())
            ),
        }
    }
}

fn fmt_note(note: &LeaseNote, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match note {
        LeaseNote::Ended(end) => write!(f, "it has ended: {}", end.name()),
        LeaseNote::Stopping => f.write_str("it is being stopped"),
        LeaseNote::Staying => f.write_str("its executor waits for more tasks"),
        LeaseNote::DiskFull => f.write_str("the disk is full; it continues when there is free space"),
        LeaseNote::FileBusy => f.write_str(
            "waiting for the batch file: another program holds it; it continues when that program releases it",
        ),
        LeaseNote::Short {
            what,
            slots,
            asked_for,
        } => match slots {
            0 => write!(
                f,
                "short of {what}; no task can start for now, and it is tried again"
            ),
            1 => write!(
                f,
                "short of {what}; running 1 task at once, not {asked_for}"
            ),
            _ => write!(
                f,
                "short of {what}; running {slots} tasks at once, not {asked_for}"
            ),
        },
        LeaseNote::Other(words) => f.write_str(words),
        _ => f.write_str("it waits"),
    }
}

impl fmt::Display for MissingTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => f.write_str("its task was")?,
            count => write!(f, "its {count} tasks were")?,
        }
        f.write_str(" not written before the process that made it ended, so none can run")
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} has given no sign of life for ", self.pid)?;
        match self.time.as_secs() {
            seconds @ 0..60 => write!(f, "{seconds} s"),
            _ => ShortDuration(self.time).fmt(f),
        }
    }
}

impl Serialize for StateReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
