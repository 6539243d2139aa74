//! How a batch stands, for programs: what the text says, as an object that is no longer than the text may be.

use batch_actions::{BatchStatus, State};
use batch_export::CauseGroup;
use serde_json::{Value, json};

use crate::cut::{shorten, visible};
use crate::page::{CAUSES_SHOWN, reason};

/// So many bytes of causes, and of running tasks.
const CAUSES: usize = 3_400;
const RUNNING: usize = 1_000;

/// The facts of a status, with these causes.
pub(crate) fn facts<'a>(
    status: &BatchStatus,
    causes: impl IntoIterator<Item = &'a CauseGroup>,
) -> Value {
    let running = status.running_tasks.as_ref().map(|running| {
        let shown = running.iter().map(|task| {
            let mut facts = json!({ "task": task.task, "label": visible(&task.label, 60), "attempt": task.attempt });
            match status.state {
                // Nothing runs any more, and nobody knows how long it did.
                State::Interrupted => facts["cut_off"] = true.into(),
                _ => facts["seconds"] = task.seconds.into(),
            }
            facts
        });
        within(shown, RUNNING)
    });
    let light = BatchStatus {
        name: status.name.as_deref().map(|name| shorten(name, 60)),
        causes: Vec::new(),
        running_tasks: None,
        ..status.clone()
    };
    let mut facts = serde_json::to_value(light).expect("a status is JSON");
    facts["reason"] = reason(status).into();
    facts["causes"] = told(causes.into_iter().take(CAUSES_SHOWN));
    facts["causes_in_all"] = status.causes.len().into();
    if let Some(running) = running {
        facts["running_tasks"] = running;
    }
    facts
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
        counts["name"] = shorten(name, 60).into();
    }
    if let Some(reason) = reason(status) {
        counts["reason"] = reason.into();
    }
    counts
}

/// Causes of failures, as the text tells them.
pub(crate) fn told<'a>(causes: impl Iterator<Item = &'a CauseGroup>) -> Value {
    let causes = causes.map(|cause| {
        json!({
            "cause": cause.cause.id().to_string(),
            "count": cause.tasks,
            "label": visible(cause.cause.label(), 160),
            "sample": visible(cause.cause.sample(), 160),
            "sample_task": cause.sample_task.to_string(),
        })
    });
    within(causes, CAUSES)
}

/// The first of some values that take no more than so many bytes together.
pub(crate) fn within(values: impl Iterator<Item = Value>, most: usize) -> Value {
    let mut room = most;
    let fitting = values.take_while(|value| {
        let length = value.to_string().len() + 1;
        let is_room = length <= room;
        room = room.saturating_sub(length);
        is_room
    });
    fitting.collect()
}
