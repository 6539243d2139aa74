//! The batch itself: [`Batch`] and its parts.
//!
//! - `table`: where the tasks are kept, in chunks that are dropped once all in them are finished
//! - `slots`: the attempts that run
//! - `ready`: the queues of tasks that could start
//! - `edges`: who waits for whom
//! - `index`: the one place that writes a task's state, and where tasks are found by it
//! - `machine`: the batch, and the end of a task
//! - `phase`: whether attempts start, and whether all tasks have their turn
//! - `submit`: the way in
//! - `operations`: the attempts: claim and report
//! - `pauses`: hosts that asked to be left alone for a while
//! - `steering`: what changes the course: cancel, release, stop, pause, and the passing of time
//! - `restore`: going on where an earlier run left off
//! - `reopen`: finished tasks that run again
//! - `views`: what can be asked

mod edges;
mod index;
mod machine;
mod operations;
mod pauses;
mod phase;
mod ready;
mod reopen;
mod restore;
mod slots;
mod steering;
mod submit;
mod table;
mod views;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod tests;

pub use machine::Batch;
pub use operations::{Claim, ClaimToken, RetryPolicy, StaleClaim};
pub use reopen::{Reopen, ReopenError};
pub use restore::{RestoredState, RestoredTask, Restorer};
pub use steering::{CancelError, CancelRequest, ReleaseError, StopMode, Urgency};
pub use views::{Remaining, TaskView};
