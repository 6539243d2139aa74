//! What happened: [`Event`], facts in the past tense.
//!
//! Everything downstream of a batch (statistics, progress, exports, the store) is a fold over these
//! events, so the parts cannot disagree.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::TaskId;
use crate::outcome::Outcome;
use crate::spec::TaskSpec;
use crate::status::{Priority, Reason, Status};
use crate::time::Time;

/// Something that happened to a batch or one of its tasks.
///
/// Of each task come, in this order: one `Submitted`; for each attempt one `Started` and one
/// `AttemptEnded`, or `StartPostponed` where it did not begin after all; and at most one `Finished`. After that comes at most a `Reopened`, with which the
/// attempts begin anew.
#[derive(Clone, Debug)]
pub enum Event {
    /// A task entered the batch.
    Submitted {
        /// The task.
        task: TaskId,
        /// When.
        at: Time,
        /// What it is.
        spec: Arc<TaskSpec>,
    },
    /// An attempt began.
    Started {
        /// The task.
        task: TaskId,
        /// When.
        at: Time,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// The slot it runs in, from 0.
        slot: u32,
        /// How long it had been ready for a slot.
        waited: Duration,
    },
    /// An attempt ended.
    AttemptEnded {
        /// The task.
        task: TaskId,
        /// When.
        at: Time,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// How long it took.
        took: Duration,
        /// What it ended as.
        outcome: Outcome,
        /// What comes next.
        then: NextStep,
    },
    /// An attempt that was said to have begun did not: it was postponed, or its task was cancelled before. There was
    /// no such attempt; the next one has its number.
    StartPostponed {
        /// The task.
        task: TaskId,
        /// When.
        at: Time,
        /// The number that the attempt would have had.
        attempt: u32,
    },
    /// A task reached its final status.
    Finished {
        /// The task.
        task: TaskId,
        /// When.
        at: Time,
        /// Completed, failed or cancelled.
        status: Status,
        /// Why, unless it completed.
        reason: Option<Reason>,
        /// How many retries it used.
        retries: u32,
    },
    /// The priority of a queued task was changed.
    PriorityChanged {
        /// The task.
        task: TaskId,
        /// When.
        at: Time,
        /// The new priority.
        priority: Priority,
    },
    /// A held task is ready again.
    Released {
        /// The task.
        task: TaskId,
        /// When.
        at: Time,
    },
    /// A finished task is queued again, with fresh retries. Its attempts are counted on.
    Reopened {
        /// The task.
        task: TaskId,
        /// When.
        at: Time,
        /// What it had finished as.
        from: Status,
        /// The number of its last attempt; 0 where it had none.
        attempts: u32,
        /// What it is.
        spec: Arc<TaskSpec>,
    },
    /// No further attempts start until the batch is resumed.
    Paused {
        /// When.
        at: Time,
    },
    /// Attempts start again.
    Resumed {
        /// When.
        at: Time,
    },
    /// The number of slots was changed.
    ConcurrencyChanged {
        /// When.
        at: Time,
        /// The new number of slots.
        slots: u32,
    },
    /// The batch was told to stop; what is queued stays queued.
    Stopping {
        /// When.
        at: Time,
    },
}

/// What comes after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// The task is finished; the event `Finished` follows.
    Final,
    /// A retry at this time.
    RetryAt(Time),
    /// Another attempt at this time, as the other side asked for a pause: it uses up no retry.
    PausedUntil(Time),
    /// Back in the queue: the attempt did not count.
    Requeued,
    /// It waits to be released: the attempt was cut off, and the task is not to run again by itself
    /// (`on_interrupt: hold`).
    Held,
}
