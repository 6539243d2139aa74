//! The read model: a [`TaskRecord`] is all that is known of a task.
//!
//! [`Records`](crate::Records) makes them from events; everything that shows or exports results (formats,
//! filters, totals, the summary) reads them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::cause::Cause;
use batch_core::{
    BatchId, FailureKind, Output, Priority, Reason, Status, TaskId, TaskSpec, Time,
    ids::FullTaskId, stats::Totals, status::CancelReason,
};

/// All that is known of one task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskRecord {
    /// The batch.
    pub batch: BatchId,
    /// The task.
    pub task: TaskId,
    /// The task as submitted.
    pub spec: Arc<TaskSpec>,
    /// How urgent it is now; the specification says what it was at first.
    pub priority: Priority,
    /// What it is.
    pub status: Status,
    /// Why, where there is something to say.
    pub reason: Option<Reason>,
    /// When it was submitted.
    pub created_at: Time,
    /// When its first attempt began.
    pub started_at: Option<Time>,
    /// When it completed, failed or was cancelled.
    pub completed_at: Option<Time>,
    /// How long its attempts took together; `None` before one ended.
    pub execution_time: Option<Duration>,
    /// From its submission to its first attempt.
    pub wait_time: Option<Duration>,
    /// How many retries it used.
    pub retry_count: u32,
    /// It completed, but not on the first try.
    pub flaky: bool,
    /// What its last attempt left.
    pub output: Option<Arc<Output>>,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// Why it failed, told as like failures are; `None` for a task that did not fail.
    pub cause: Option<Arc<Cause>>,
    /// Its attempts, the first one first, without one that is still under way.
    pub attempts: Vec<AttemptRecord>,
}

/// One try at a task.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    /// Its number, from 1.
    pub attempt: u32,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Time,
    /// How long it took.
    pub took: Duration,
    /// What it ended as.
    pub end: AttemptEnd,
    /// What went wrong, for people.
    pub error: Option<String>,
}

/// What an attempt ended as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It did what it should.
    Completed,
    /// It did not.
    Failed(FailureKind),
    /// It was stopped because the task was cancelled.
    Cancelled,
    /// It was cut off, and did not count.
    Interrupted,
}

impl AttemptEnd {
    /// The name in exports: `completed`, `failed`, `cancelled`, `interrupted`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

impl TaskRecord {
    /// A task that was just submitted.
    pub fn queued(batch: BatchId, task: TaskId, spec: Arc<TaskSpec>, created_at: Time) -> Self {
        Self {
            batch,
            task,
            priority: spec.options.priority,
            spec,
            status: Status::Queued,
            reason: None,
            created_at,
            started_at: None,
            completed_at: None,
            execution_time: None,
            wait_time: None,
            retry_count: 0,
            flaky: false,
            output: None,
            error: None,
            cause: None,
            attempts: Vec::new(),
        }
    }

    /// The task with its batch, as in `b1.42`.
    pub fn id(&self) -> FullTaskId {
        self.batch.task(self.task)
    }

    /// What it is like: its first tag, else the program of a command, else its function.
    pub fn group(&self) -> Cow<'_, str> {
        let spec = &self.spec;
        if let Some(tag) = spec.options.tags.first() {
            return tag.into();
        }
        let program = || {
            let params: Value = serde_json::from_str(spec.params.as_str()).ok()?;
            let program = params.get("argv")?.get(0)?.as_str()?;
            let name = program.rsplit('/').next().filter(|name| !name.is_empty());
            Some(name?.to_owned())
        };
        match &*spec.function {
            "command" => program().map_or(Cow::Borrowed("command"), Cow::Owned),
            function => function.into(),
        }
    }

    /// The exit code of its last process.
    pub fn exit_code(&self) -> Option<i32> {
        match self.output.as_ref().and_then(|output| output.process) {
            Some(process) => process.exit_code,
            None => match self.reason {
                Some(Reason::Failed(FailureKind::ExitCode(code))) => Some(code),
                _ => None,
            },
        }
    }

    /// The signal that ended its last process.
    pub fn signal(&self) -> Option<i32> {
        match self.output.as_ref().and_then(|output| output.process) {
            Some(process) => process.signal,
            None => match self.reason {
                Some(Reason::Failed(FailureKind::Signal(signal))) => Some(signal),
                _ => None,
            },
        }
    }

    /// What it adds to the sums of its batch.
    pub fn totals(&self) -> Totals {
        Totals {
            executed: u64::from(self.execution_time.is_some()),
            attempts: self.attempts.len() as u64,
            execution_time: self.execution_time.unwrap_or_default(),
            retries: u64::from(self.retry_count),
            flaky: u64::from(self.flaky),
            first_start: self.started_at,
            last_end: self.completed_at,
            ..Totals::default().with_counts([(self.status, 1)])
        }
    }

    /// The task whose failure or cancellation cancelled this one.
    pub fn root(&self) -> Option<FullTaskId> {
        match self.reason {
            Some(Reason::Cancelled(CancelReason::DependencyFailed { root })) => {
                Some(self.batch.task(root))
            }
            _ => None,
        }
    }
}
