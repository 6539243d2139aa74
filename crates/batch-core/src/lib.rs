//! Pure, synchronous scheduling of task batches.
//!
//! A batch is a set of tasks with priorities, dependencies, retries and limits. This crate decides what runs
//! next and what becomes of it; it runs nothing itself. There is no clock, thread, file, socket or randomness
//! in it: time and policies are arguments, so the same calls give the same events, and tests need no sleep.
//!
//! The flow, in one direction:
//!
//! ```text
//! TaskSpec ─► Plan ─► Batch::submit ─► Batch::claim ─► (somebody runs it) ─► Batch::report ─► Event ─► Stats, sinks
//! ```
//!
//! - [`TaskSpec`]: what a task is, as its author wants it.
//! - [`Plan`]: tasks checked together, with all errors reported together.
//! - [`Batch`]: the queue, the dependencies, the state machine, the timers. Its page says which calls come in
//!   which order.
//! - [`Event`]: what happened; [`Stats`] is a fold over events, and so is everything downstream.
//!
//! What is used less is in modules by role: [`plan`] and [`catalog`] for checking, [`control`] and [`view`] for
//! steering and watching a batch, [`restore`] for going on after a crash, [`retry`], [`outcome`], [`status`],
//! [`event`], [`stats`], [`ids`], [`settings`], and [`duration`] and [`text`] for reading what people write.
//!
//! ```
//! use batch_core::{Batch, BatchSettings, no_retries, Outcome, Plan, Status, TaskSpec, Time};
//!
//! let tasks = vec![
//!     TaskSpec::new("bake").with_id("cake"),
//!     TaskSpec::new("eat").after("cake"),
//! ];
//! let plan = Plan::check(tasks, &["bake", "eat"][..]).expect("the functions are known");
//! let mut batch = Batch::new(BatchSettings::default());
//! let mut now = Time::from_micros(0);
//! batch.submit(plan, now);
//! let mut order = Vec::new();
//! while let Some(claim) = batch.claim(now) {
//!     order.push(claim.spec.function.to_string());
//!     now = now.after(std::time::Duration::from_secs(1));
//!     batch.report(claim.token, Outcome::Completed(None), &mut no_retries, now).unwrap();
//! }
//! assert_eq!(order, ["bake", "eat"]);
//! assert_eq!(batch.stats().count(Status::Completed), 2);
//! ```

#![forbid(unsafe_code)]

mod batch;
mod estimate;
mod group;
mod halt;
mod json;
mod signal;
mod spec;
mod time;
mod totals;

pub mod catalog;
pub mod duration;
pub mod event;
pub mod ids;
pub mod outcome;
pub mod plan;
pub mod retry;
pub mod settings;
pub mod stats;
pub mod status;
pub mod text;

/// Changing the course of a batch: what is asked of running attempts, and why a change is refused.
pub mod control {
    pub use crate::batch::{CancelError, CancelRequest, ReleaseError, StopMode, Urgency};
}

/// Going on where an earlier run ended: restored tasks, and finished ones that run again.
pub mod restore {
    pub use crate::batch::{Reopen, ReopenError, RestoredState, RestoredTask, Restorer};
}

/// What can be asked of a batch at a moment.
pub mod view {
    pub use crate::batch::{Remaining, TaskView};
}

pub use batch::{Batch, Claim, ClaimToken, StaleClaim, StopMode};
pub use event::Event;
pub use ids::{BatchId, RunId, TaskId};
pub use json::Json;
pub use outcome::{Failure, Outcome, Output};
pub use plan::Plan;
pub use settings::{BatchSettings, SettingsRequest};
pub use spec::{DependsOn, OnInterrupt, RunOn, TaskOptions, TaskSpec};
pub use stats::Stats;
pub use status::{FailureKind, Priority, Reason, Status};
pub use time::Time;

/// The policy that never retries.
pub fn no_retries(_: &TaskSpec, _: &Failure, _: u32) -> Option<std::time::Duration> {
    None
}
