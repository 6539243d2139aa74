//! What can be asked of the process that works on a batch: [`Control`] and its [`ControlReply`].
//!
//! These travel as JSON through the batch file. Who works on a batch, a background executor or a command that
//! took the lease for a moment, carries them out by `handle_command`.

use std::num::NonZeroU32;

use batch_core::{BatchId, Priority, StopMode, TaskId, ids::FullTaskId};
use batch_process::Leftover;
use serde::{Deserialize, Serialize};

use crate::choice::Choice;
use crate::error::ActionError;

/// Something asked of the process that works on a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Control {
    /// Cancel tasks that are not finished; running ones are ended.
    Cancel {
        /// Which.
        tasks: Choice,
    },
    /// Run finished tasks again, and let held ones go: the failed ones unless others are named.
    Retry {
        /// Which.
        tasks: Choice,
    },
    /// Let held tasks run.
    Release {
        /// Which.
        tasks: Choice,
    },
    /// Start nothing more for now.
    Pause,
    /// Start tasks again.
    Resume,
    /// Change how many tasks run at once.
    SetConcurrency {
        /// How many.
        max_concurrent: NonZeroU32,
    },
    /// Change the priority of queued tasks.
    SetPriority {
        /// Which.
        tasks: Choice,
        /// To what.
        priority: Priority,
    },
    /// End the run; what is queued stays queued.
    Stop {
        /// How.
        how: Stop,
    },
    /// Remove finished tasks from the batch.
    Clear {
        /// Which.
        tasks: Choice,
    },
}

/// How a run is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Running tasks end by themselves.
    #[default]
    Graceful,
    /// Running tasks are asked to end, and killed after their time of grace.
    Now,
    /// Running tasks are killed.
    Kill,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ControlReply {
    /// How many tasks it changed.
    pub changed: u64,
    /// What it could not change, and why; the first few.
    pub refused: Vec<Refused>,
    /// How many it could not change.
    pub refused_in_all: u64,
    /// How many tasks run at once from now on, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<NonZeroU32>,
    /// What was cleared, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// What a dead executor had left, where nobody worked on the batch: it was ended first. An executor tells of
    /// that itself.
    #[serde(skip)]
    pub leftovers: Vec<Leftover>,
}

/// How many tasks of each status were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Removed {
    /// Completed ones.
    pub completed: u64,
    /// Failed ones.
    pub failed: u64,
    /// Cancelled ones.
    pub cancelled: u64,
}

/// A task that could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The task.
    pub task: String,
    /// Why.
    pub why: String,
}

/// An answer, as it is in the file.
pub(crate) type Answer = Result<ControlReply, Refusal>;

/// Why something was not done, as it is in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Refusal {
    OtherBatch { batch: String, task: String },
    Other(String),
}

impl From<ActionError> for Refusal {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::OtherBatch { batch, task } => Self::OtherBatch {
                batch: batch.to_string(),
                task: task.to_string(),
            },
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<Refusal> for ActionError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::OtherBatch { batch, task } => match (batch.parse(), task.parse()) {
                (Ok(batch), Ok(task)) => Self::OtherBatch { batch, task },
                _ => Self::Refused(format!("{task} is not a task of {batch}")),
            },
            Refusal::Other(text) => Self::Refused(text),
        }
    }
}

impl Control {
    /// Whether it ends the run.
    pub(crate) const fn is_stop(&self) -> bool {
        matches!(self, Self::Stop { .. })
    }
}

impl From<Stop> for StopMode {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Graceful => Self::Graceful,
            Stop::Now => Self::End,
            Stop::Kill => Self::Kill,
        }
    }
}

/// How many refused tasks are named.
const NAMED: usize = 20;

impl ControlReply {
    pub(crate) fn of(batch: BatchId, asked: usize, refused: Vec<(TaskId, String)>) -> Self {
        let count = refused.len() as u64;
        let name = |task: TaskId| FullTaskId { batch, task }.to_string();
        Self {
            changed: (asked as u64).saturating_sub(count),
            refused: refused
                .into_iter()
                .take(NAMED)
                .map(|(task, why)| Refused {
                    task: name(task),
                    why,
                })
                .collect(),
            refused_in_all: count,
            ..Self::default()
        }
    }
}
