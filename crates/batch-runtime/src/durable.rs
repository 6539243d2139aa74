//! What a run whose batch is kept in a file brings along: [`ResultSource`], [`StartLog`].

use std::sync::{Arc, Mutex};

use batch_core::{ClaimToken, Output, TaskId};

/// Knows the results of tasks that completed before: in an earlier run, or before a task that uses them
/// was added.
///
/// It is asked on a thread that may wait for a disk, one question at a time, after every sink has synced
/// what happened so far; so a journal's file has the result even of a task that completed a moment ago.
pub trait ResultSource: Send + 'static {
    /// What a completed task left; `None` when that is nothing.
    ///
    /// # Errors
    /// When it cannot be read: the attempt that wants it fails, and may be tried again.
    fn result(&mut self, task: TaskId) -> Result<Option<Arc<Output>>, SourceError>;

    /// The task with an author's id. Asked where the batch does not know the id any more, as it finished
    /// in an earlier run.
    ///
    /// # Errors
    /// As for [`result`](Self::result).
    fn find(&mut self, id: &str) -> Result<Option<TaskId>, SourceError>;
}

/// Why a [`ResultSource`] could not be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SourceError(pub Box<dyn std::error::Error + Send + Sync>);

/// A source that several workers ask.
pub(crate) type SharedSource = Arc<Mutex<Box<dyn ResultSource>>>;

/// Is told which attempts start, right before they do: a task that kills its executor at once is still
/// known afterwards, though no sink had the time to keep that it started.
pub trait StartLog: Send + 'static {
    /// An attempt starts in a slot. It waits for this call, so that must be quick.
    fn starting(&mut self, slot: u32, claim: ClaimToken);

    /// The attempt that was to start in a slot did not begin after all.
    fn not_started(&mut self, slot: u32);
}

/// A log that all workers write into.
pub(crate) type SharedStartLog = Mutex<Box<dyn StartLog>>;
