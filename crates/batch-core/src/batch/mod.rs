//! The batch itself: [`Batch`] and its parts.
//!
//! - `table`: where the tasks are kept, in chunks that are let go once all in them are finished
//! - `ready`: the queues of tasks that could start
//! - `edges`: who waits for whom
//! - `machine`: the one place that writes a task's state
//! - `operations`: what can be done to a batch
//! - `views`: what can be asked

mod edges;
mod machine;
mod operations;
mod ready;
mod table;
mod views;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

pub use machine::Batch;
pub use operations::{
    CancelError, CancelRequest, Claim, ClaimToken, RetryPolicy, StaleClaim, StopMode, Urgency,
};
pub use views::{Remaining, TaskView};
