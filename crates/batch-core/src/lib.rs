//! Pure, synchronous scheduling of task batches.

#![forbid(unsafe_code)]

mod batch;
mod catalog;
mod code_words;
mod duration;
mod estimate;
mod event;
mod fill;
mod filter;
mod ids;
mod json;
mod outcome;
mod plan;
mod retry;
mod settings;
mod shell_words;
mod spec;
mod stats;
mod status;
mod template;
mod time;

pub use batch::{
    Batch, CancelError, CancelRequest, Claim, ClaimToken, Remaining, RetryPolicy, StaleClaim,
    StopMode, TaskView, Urgency,
};
pub use catalog::{Catalog, ParamProblem, nearest};
pub use duration::{ParseDurationError, ShortDuration, duration_from_seconds, parse_duration};
pub use event::{Event, Then};
pub use fill::{Encoding, escape_braces, fill, fill_root, placeholders};
pub use filter::{Filter, follow};
pub use ids::{BatchId, FullTaskId, ParseIdError, RunId, TaskId};
pub use json::Json;
pub use outcome::{Failure, Outcome, Output, ProcessEnd, Stream};
pub use plan::{Plan, PlanProblem, Surroundings};
pub use retry::{Backoff, Condition, ParseConditionError, RetrySpec, UnknownBackoff};
pub use settings::BatchSettings;
pub use shell_words::{Quoting, quote_for_shell, quoting_at};
pub use spec::{TaskOptions, TaskSpec};
pub use stats::{Distribution, Stats};
pub use status::{CancelReason, FailureKind, Priority, QueuedReason, Reason, Status, UnknownName};
pub use template::{Placeholder, Segment, Template, TemplateError};
pub use time::Time;

/// The policy that never retries.
pub fn no_retries(_: &TaskSpec, _: &Failure, _: u32) -> Option<std::time::Duration> {
    None
}
