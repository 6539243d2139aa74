//! The guardian: a small parent that ends what a killed executor would leave behind.
//!
//! A program that runs batches calls [`enter`] first thing in `main`. On Linux the process splits in
//! two. The parent, which is the one the shell knows, becomes the guardian; `enter` returns in the
//! child only, which goes on as the executor:
//!
//! ```text
//! shell ── guardian ── executor (own group, "batch-executor") ── tasks (own session each)
//! ```
//!
//! * The guardian passes INT, TERM, HUP, QUIT, USR1, USR2, TSTP and CONT on to the executor, stops when
//!   the executor stops, and ends as the executor ends: with its code, or by its signal.
//! * It adopts what the executor leaves (both are subreapers), so that `kill -9` of the executor ends
//!   every task process, also one that called `setsid` or has an empty environment.
//! * When the guardian itself is killed, a pipe tells the executor, which kills its tasks and ends:
//!   see [`ControlSignal::ParentDied`](crate::ControlSignal::ParentDied).
//! * The executor has a group of its own: Ctrl-C at the terminal and `kill -9 -- -GROUP` reach the
//!   guardian alone. SIGTTOU is blocked in it, so that it may write to the terminal all the same; it
//!   cannot read from it. SIGCHLD is blocked as well: code that waits for it, such as tokio's own
//!   processes, must not be used in the executor.
//!
//! On other systems [`enter`] does nothing.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as imp;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as imp;

use std::io::{self, PipeReader};

use crate::sweep::Leftover;

/// The executor's side of the guardian. Hand it to [`crate::ControlSignals::new`].
#[derive(Debug)]
pub struct Guarded {
    /// Closed by the end of the guardian; `None` without one.
    pub(crate) parent: Option<PipeReader>,
    /// Signals that the one who started us wants ignored, as `nohup` does.
    pub(crate) ignored: Vec<i32>,
}

impl Guarded {
    /// For a process without a guardian.
    pub fn alone() -> Self {
        Self {
            parent: None,
            ignored: imp::ignored(),
        }
    }
}

/// Tells people that the executor was killed, and of the processes, if any, that it left and the guardian may not end, as they
/// belong to another user, or cannot, as they hang in the kernel. Called in the guardian, before it ends.
pub type Tell = fn(&[Leftover]);

/// Puts a guardian above this process; returns in the executor only.
///
/// To be called first thing in `main`: before any thread is started, and before any file is opened
/// whose closing someone waits for (the guardian keeps what is open until it ends).
///
/// # Errors
/// When the process cannot be split, or has more than one thread. Nothing has changed then, and the
/// caller may go on with [`Guarded::alone`].
pub fn enter(tell: Tell) -> io::Result<Guarded> {
    imp::enter(tell)
}
