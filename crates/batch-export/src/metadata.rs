//! The `metadata` object of the JSON export.

use batch_core::Status;
use serde::Serialize;

use crate::causes::CauseGroup;
use crate::number::Timestamp;
use crate::summary::Summary;
use crate::times::TimeSpread;

/// What the JSON export says about the batch as a whole. Durations are seconds.
#[derive(Serialize)]
pub(crate) struct Metadata<'a> {
    batch_id: String,
    name: Option<&'a str>,
    exported_at: Timestamp,
    total_tasks: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
    queued: u64,
    running: u64,
    /// How many tasks follow: fewer than all when a filter kept some out.
    exported_tasks: u64,
    flaky: u64,
    retries: u64,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    wall_time: Option<f64>,
    total_execution_time: f64,
    average_task_time: Option<f64>,
    #[serde(flatten)]
    times: TimeSpread,
    /// Why tasks failed, the largest group first.
    causes: Vec<&'a CauseGroup>,
    /// Failed tasks that are in no group, where there are very many causes.
    other_failed: u64,
}

impl<'a> Metadata<'a> {
    pub(crate) fn new(summary: &'a Summary, exported_tasks: u64) -> Self {
        let totals = summary.totals();
        Self {
            batch_id: summary.batch.to_string(),
            name: summary.name.as_deref(),
            exported_at: Timestamp(summary.exported_at),
            total_tasks: totals.tasks(),
            completed: totals.count(Status::Completed),
            failed: totals.count(Status::Failed),
            cancelled: totals.count(Status::Cancelled),
            queued: totals.count(Status::Queued),
            running: totals.count(Status::Running),
            exported_tasks,
            flaky: totals.flaky,
            retries: totals.retries,
            started_at: totals.first_start.map(Timestamp),
            completed_at: totals.last_end.map(Timestamp),
            wall_time: summary.wall_time().map(|time| time.as_secs_f64()),
            total_execution_time: totals.execution_time.as_secs_f64(),
            average_task_time: totals.average_task_time().map(|time| time.as_secs_f64()),
            times: summary.times.spread(),
            causes: summary.causes().largest_first(),
            other_failed: summary.causes().other(),
        }
    }
}
