//! Outputs that someone hears as they come: [`LiveOutput`] of all tasks, [`OutputTap`] of one attempt.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use batch_core::outcome::StreamKind;

/// Hears what the processes of all tasks print, as they print it.
pub trait LiveOutput: fmt::Debug + Send + Sync {
    /// An attempt of a task, such as `b1.7`, begins.
    fn attempt(&self, task: &str, attempt: u32) -> Arc<dyn OutputTap>;
}

/// Hears what a process prints, as it prints it.
pub trait OutputTap: fmt::Debug + Send + Sync {
    /// Whether there is room for more. Until there is, nothing more is read while the process runs, so it waits when its
    /// pipe is full; what is in the pipe at its end comes all the same.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// These bytes came next. Must not wait.
    fn printed(&self, stream: StreamKind, bytes: &[u8]);
}
