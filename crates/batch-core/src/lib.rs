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
//! - [`Plan`]: tasks checked together, with all that is wrong told at once.
//! - [`Batch`]: the queue, the dependencies, the state machine, the timers.
//! - [`Event`]: what happened; [`Stats`] is a fold over events, and so is everything downstream.
//! - [`Remaining`]: how long the rest will take, by playing the rest of the schedule through.
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
mod catalog;
mod counted;
mod duration;
mod estimate;
mod event;
mod ids;
mod json;
mod outcome;
mod plan;
mod retry;
mod settings;
mod signal;
mod spec;
mod stats;
mod status;
mod time;
mod totals;

pub use batch::{
    Batch, CancelError, CancelRequest, Claim, ClaimToken, ReleaseError, Remaining, Reopen,
    ReopenError, RestoredState, RestoredTask, RetryPolicy, StaleClaim, StopMode, TaskView, Urgency,
};
pub use catalog::{Catalog, ParamProblem, References, Suggestions, did_you_mean, nearest};
pub use counted::Counted;
pub use duration::{ParseDurationError, ShortDuration, duration_from_seconds, parse_duration};
pub use event::{Event, NextStep};
pub use ids::{BatchId, FullTaskId, ParseIdError, RunId, TaskId};
pub use json::Json;
pub use outcome::{Failure, Outcome, Output, ProcessEnd, Stream};
pub use plan::{Plan, PlanContext, PlanProblem};
pub use retry::{Backoff, Condition, ParseConditionError, RetrySpec, UnknownBackoff};
pub use settings::BatchSettings;
pub use signal::SignalNumber;
pub use spec::{OnInterrupt, TaskOptions, TaskSpec};
pub use stats::{Stats, Tally};
pub use status::{CancelReason, FailureKind, Priority, QueuedReason, Reason, Status, UnknownName};
pub use time::Time;
pub use totals::Totals;

/// The policy that never retries.
pub fn no_retries(_: &TaskSpec, _: &Failure, _: u32) -> Option<std::time::Duration> {
    None
}
