//! The batch itself: [`Batch`] and its parts.
//!
//! - `table`: where the tasks are kept, in chunks that are let go once all in them are finished
//! - `ready`: the queues of tasks that could start
//! - `edges`: who waits for whom
//! - `machine`: the one place that writes a task's state
//! - `submit`: the way in
//! - `operations`: the attempts: claim and report
//! - `steering`: what changes the course: cancel, release, stop, pause, and the passing of time
//! - `restore`: going on where an earlier run left off
//! - `reopen`: finished tasks that run again
//! - `views`: what can be asked

mod edges;
mod machine;
mod operations;
mod ready;
mod reopen;
mod restore;
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
pub use restore::{Carried, Past, PastState};
pub use steering::{CancelError, CancelRequest, ReleaseError, StopMode, Urgency};
pub use views::{Remaining, TaskView};
