//! What a task can be, and why: the five statuses and the reasons on them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::TaskId;
use crate::time::Time;

/// How urgent a task is. Tasks of a higher priority start first; inside one, first in, first out.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// After everything else.
    Low,
    /// The default.
    #[default]
    Medium,
    /// Before medium and low.
    High,
    /// Before everything else.
    Critical,
}

/// What a task is at a moment. There are five, no more; a [`Reason`] says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not started, or waiting to be tried again.
    Queued,
    /// An attempt is under way.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly, with no retry left.
    Failed,
    /// Will not run, or was stopped while running, because someone or something said so.
    Cancelled,
}

/// Why a task is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuedReason {
    /// It starts as soon as a slot is free.
    Ready,
    /// How many tasks that it depends on have not ended.
    WaitingForDependencies {
        /// How many of them are open.
        missing: u32,
    },
    /// It is tried again at a time.
    Delayed {
        /// When it becomes ready.
        until: Time,
    },
    /// It is ready, but the batch is paused.
    Paused,
    /// It waits to be released: it was added so, or its attempt was cut off.
    Held,
}

/// Why a task was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Someone cancelled it.
    User,
    /// A task that it needs did not complete.
    DependencyFailed {
        /// The task that failed or was cancelled first, not the nearest one.
        root: TaskId,
    },
    /// The batch was stopped for good.
    BatchStopped(StopReason),
}

/// Why a batch was stopped for good. It shows as what became of the batch, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// All its tasks were cancelled together; or it is not known.
    Requested,
    /// Its time was up (`batch_timeout`).
    TimeLimit,
    /// A task failed (`fail_fast`).
    FailFast,
    /// How many tasks had ended as it asked for (`halt`).
    Halted,
}

/// What went wrong in an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// A process ended with this code, not 0.
    ExitCode(i32),
    /// A process was ended by this signal, which the executor did not send.
    Signal(i32),
    /// The attempt took longer than its timeout.
    Timeout,
    /// The process or interpreter could not be started.
    SpawnError,
    /// The attempt was ended because memory ran out.
    OutOfMemory,
    /// Its output could not be kept.
    OutputError,
    /// It was running each time the executor died.
    Quarantined,
    /// A shutdown or a crash cut it off, and it must not run again (`on_interrupt: fail`).
    Interrupted,
    /// A server answered with this status.
    HttpStatus(u16),
    /// The parameters could not be filled in or understood.
    InputError,
    /// The handler or the code said so.
    Error,
    /// The handler panicked.
    Panic,
}

/// Why a task has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It completed without running: it was for a failure that did not come.
    NotNeeded,
    /// Why it is queued.
    Queued(QueuedReason),
    /// Why it failed.
    Failed(FailureKind),
    /// Why it was cancelled.
    Cancelled(CancelReason),
}

impl Priority {
    /// All priorities, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The name in task files: `critical`, `high`, `medium`, `low`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }

    /// The place among [`Priority::ALL`]: 0 for critical, 3 for low.
    pub const fn rank(self) -> usize {
        match self {
            Self::Critical => 0,
            Self::High => 1,
            Self::Medium => 2,
            Self::Low => 3,
        }
    }
}

impl Status {
    /// All statuses, in the order of a task's life.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name in files and exports: `queued`, `running`, `completed`, `failed`, `cancelled`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether a task of this status changes no more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl FailureKind {
    /// One of each kind; those with a number have 0.
    const ALL: [Self; 12] = [
        Self::ExitCode(0),
        Self::Signal(0),
        Self::Timeout,
        Self::SpawnError,
        Self::OutOfMemory,
        Self::OutputError,
        Self::Quarantined,
        Self::Interrupted,
        Self::HttpStatus(0),
        Self::InputError,
        Self::Error,
        Self::Panic,
    ];

    /// The names of all kinds.
    pub const NAMES: [&'static str; 12] = {
        let mut names = [""; 12];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].name();
            at += 1;
        }
        names
    };

    /// The kind with a name, and with a number where it has one. `None` when there is no such kind, or the
    /// number is missing, out of range, or one too many.
    pub fn named(name: &str, number: Option<i64>) -> Option<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name)?;
        match (kind, number) {
            (Self::ExitCode(_), Some(number)) => number.try_into().ok().map(Self::ExitCode),
            (Self::Signal(_), Some(number)) => number.try_into().ok().map(Self::Signal),
            (Self::HttpStatus(_), Some(number)) => number.try_into().ok().map(Self::HttpStatus),
            (_, None) if kind.number().is_none() => Some(kind),
            _ => None,
        }
    }

    /// The number of its kind, where it has one: exit code, signal or status.
    pub const fn number(self) -> Option<i64> {
        match self {
            Self::ExitCode(number) | Self::Signal(number) => Some(number as i64),
            Self::HttpStatus(number) => Some(number as i64),
            _ => None,
        }
    }

    /// The kind without its number, as the `reason` of a failed task says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExitCode(_) => "exit code",
            Self::Signal(_) => "signal",
            Self::Timeout => "timeout",
            Self::SpawnError => "spawn error",
            Self::OutOfMemory => "out of memory",
            Self::OutputError => "output error",
            Self::Quarantined => "quarantined",
            Self::Interrupted => "interrupted",
            Self::HttpStatus(_) => "http status",
            Self::InputError => "input error",
            Self::Error => "error",
            Self::Panic => "panic",
        }
    }
}

impl Reason {
    /// The reason in the words of the results: `ready`, `exit code`, `dependency failed`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotNeeded => "not needed",
            Self::Queued(QueuedReason::Ready) => "ready",
            Self::Queued(QueuedReason::WaitingForDependencies { .. }) => "waiting for dependencies",
            Self::Queued(QueuedReason::Delayed { .. }) => "delayed",
            Self::Queued(QueuedReason::Paused) => "paused",
            Self::Queued(QueuedReason::Held) => "held",
            Self::Failed(kind) => kind.name(),
            Self::Cancelled(CancelReason::User) => "user",
            Self::Cancelled(CancelReason::DependencyFailed { .. }) => "dependency failed",
            Self::Cancelled(CancelReason::BatchStopped(_)) => "batch stopped",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "the batch was stopped",
            Self::TimeLimit => "the batch was ended: its time was up (batch_timeout)",
            Self::FailFast => "the batch was ended: a failure ended it (fail_fast)",
            Self::Halted => "the batch was ended: as many tasks had ended as it asked for (halt)",
        })
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for FailureKind {
    /// The kind with its number: `exit code 3`, `signal 9`, `http status 404`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => write!(f, "{} {number}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names nothing of the asked kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {text:?}; it is one of {}", .known.join(", "))]
pub struct UnknownName {
    what: &'static str,
    text: String,
    known: Vec<&'static str>,
}

impl UnknownName {
    pub(crate) fn new(what: &'static str, text: &str, known: &[&'static str]) -> Self {
        Self {
            what,
            text: text.to_owned(),
            known: known.to_vec(),
        }
    }
}

impl FromStr for Priority {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.name() == text)
            .ok_or_else(|| UnknownName::new("priority", text, &Self::ALL.map(Self::name)))
    }
}

impl FromStr for Status {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or_else(|| UnknownName::new("status", text, &Self::ALL.map(Self::name)))
    }
}
