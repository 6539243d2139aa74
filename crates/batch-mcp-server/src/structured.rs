//! The state of a batch for programs: the facts of the text, as an object no longer than the text may be.

use batch_actions::{BatchStatus, State};
use batch_export::CauseGroup;
use serde_json::{Value, json};

use crate::page::{CAUSES_SHOWN, reason};
use crate::truncate::{truncate, visible};

/// The most bytes of causes, and of running tasks.
const CAUSES: usize = 3_400;
const RUNNING: usize = 1_000;

/// A status, with these causes.
pub(crate) fn full<'a>(
    status: &BatchStatus,
    causes: impl IntoIterator<Item = &'a CauseGroup>,
) -> Value {
    let running = status.running_tasks.as_ref().map(|running| {
        let shown = running.iter().map(|task| {
            let mut row = json!({ "task": task.task, "label": visible(&task.label, 60), "attempt": task.attempt });
            match status.state {
                // It does not run any more, and how long it did is unknown.
                State::Interrupted => row["cut_off"] = true.into(),
                _ => row["seconds"] = task.seconds.into(),
            }
            row
        });
        fitting(shown, RUNNING)
    });
    let light = BatchStatus {
        name: status.name.as_deref().map(|name| truncate(name, 60)),
        causes: Vec::new(),
        running_tasks: None,
        ..status.clone()
    };
    let mut full = serde_json::to_value(light).expect("a status is JSON");
    full["reason"] = reason(status).into();
    full["causes"] = causes_of(causes.into_iter().take(CAUSES_SHOWN));
    full["causes_in_all"] = status.causes.len().into();
    if let Some(running) = running {
        full["running_tasks"] = running;
    }
    full
}

/// The counts of a batch and nothing else of it: what the first sentence says.
pub(crate) fn counts(status: &BatchStatus) -> Value {
    let mut counts = json!({
        "batch": status.batch,
        "state": status.state,
        "total": status.total,
        "queued": status.queued,
        "running": status.running,
        "completed": status.completed,
        "failed": status.failed,
        "cancelled": status.cancelled,
        "flaky": status.flaky,
    });
    if let Some(name) = &status.name {
        counts["name"] = truncate(name, 60).into();
    }
    if let Some(reason) = reason(status) {
        counts["reason"] = reason.into();
    }
    counts
}

/// The causes of failures, as the text shows them.
pub(crate) fn causes_of<'a>(causes: impl Iterator<Item = &'a CauseGroup>) -> Value {
    let causes = causes.map(|cause| {
        json!({
            "cause": cause.cause.id().to_string(),
            "count": cause.tasks,
            "label": visible(cause.cause.label(), 160),
            "sample": visible(cause.cause.sample(), 160),
            "sample_task": cause.sample_task.to_string(),
        })
    });
    fitting(causes, CAUSES)
}

/// The first of some values, as many as fit into a number of bytes.
pub(crate) fn fitting(values: impl Iterator<Item = Value>, limit: usize) -> Value {
    let mut room = limit;
    let fitting = values.take_while(|value| {
        let length = value.to_string().len() + 1;
        let is_room = length <= room;
        room = room.saturating_sub(length);
        is_room
    });
    fitting.collect()
}
