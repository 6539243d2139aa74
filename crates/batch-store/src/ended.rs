//! How an attempt ended, as a row.

use batch_core::{Outcome, TaskId, Time};

use crate::rows::AttemptRow;
use crate::store::micros;

/// An attempt that ended.
pub(crate) struct Ended {
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
    pub(crate) started: Time,
    pub(crate) at: Time,
    pub(crate) took_us: i64,
}

pub(crate) fn attempt_row(run: u32, ended: &Ended, outcome: &Outcome) -> AttemptRow {
    let failure = match outcome {
        Outcome::Failed(failure) => Some(failure),
        _ => None,
    };
    AttemptRow {
        task: ended.task.get(),
        attempt: ended.attempt,
        run,
        started_us: micros(ended.started),
        ended_us: micros(ended.at),
        took_us: ended.took_us,
        outcome: match outcome {
            Outcome::Completed(_) => "completed",
            Outcome::Failed(_) => "failed",
            Outcome::Cancelled(_) => "cancelled",
            Outcome::Interrupted(_) => "interrupted",
        },
        reason: failure.map(|failure| failure.kind.name()),
        detail: failure.and_then(|failure| failure.kind.number()),
        error: failure.map(|failure| failure.message.clone()),
        process: outcome.output().and_then(|output| output.process),
    }
}
