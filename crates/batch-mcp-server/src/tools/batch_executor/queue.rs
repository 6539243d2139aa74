//! The queue of `batch_executor`, and the answers about it: [`queue`], [`queue_answer`].

use batch_actions::{BatchStatus, status as read_status};
use batch_store::BatchFile;
use serde_json::json;

use crate::answer::Answer;
use crate::call_error::CallError;
use crate::page::{DEFAULT_LIMIT, Page, add_causes, sentence};
use crate::session::Session;
use crate::structured::full;
use crate::tools::samples::first_task;
use crate::tools::status::add_running;

/// The key of the queue's batch.
pub(super) const KEY: &str = "batch_executor";

/// The one queue; there is none before a task was added.
pub(crate) fn queue(session: &Session) -> Result<Option<BatchFile>, CallError> {
    Ok(session.home.of_key(KEY)?)
}

/// What was done, and the status of the queue.
pub(crate) fn queue_answer(
    session: &Session,
    file: Option<&BatchFile>,
    done: &str,
    notes: &[String],
) -> Result<Answer, CallError> {
    match file {
        Some(file) => Ok(answer(&read_status(file, false)?, done, None, notes)),
        None => Ok(empty(session, done, notes)),
    }
}

/// The answer while there is no queue.
fn empty(session: &Session, done: &str, notes: &[String]) -> Answer {
    let first = format!("{done} No tasks were added yet: 0 of 0 tasks finished.");
    let mut page = Page::new(DEFAULT_LIMIT, first.trim_start());
    page.line("Progress: 100.0%");
    page.notes(notes);
    page.next(KEY, &first_task(&session.limits), "adds a task");
    let structured = json!({
        "total": 0, "queued": 0, "running": 0, "completed": 0, "failed": 0, "cancelled": 0,
        "tasks": [], "done": done, "notes": notes,
    });
    Answer::done(page.finish("there is no more"), structured)
}

/// The status of the queue, with the line that loops look for.
pub(crate) fn answer(
    status: &BatchStatus,
    done: &str,
    summary: Option<&str>,
    notes: &[String],
) -> Answer {
    let first = match done {
        "" => sentence(status),
        done => format!("{done} {}", sentence(status)),
    };
    let mut page = Page::new(DEFAULT_LIMIT, &first);
    if let Some(summary) = summary {
        page.line(summary);
    }
    page.line(&format!("Progress: {:.1}%", shown_progress(status)));
    add_causes(&mut page, status, 5);
    add_running(&mut page, status);
    page.notes(notes);
    let (next, what) = match (status.pid, status.queued) {
        (Some(_), _) => (json!({ "action": "status" }), "shows the progress"),
        (None, 1..) => (json!({ "action": "start" }), "runs the queued tasks"),
        (None, 0) => (
            json!({ "action": "results", "format": "summary" }),
            "shows the results",
        ),
    };
    page.next(KEY, &next, what);
    let mut structured = full(status, &status.causes);
    structured["done"] = done.into();
    structured["notes"] = json!(notes);
    Answer::done(page.finish("use results"), structured)
}

/// Loops end at `100.0%`, so less is never rounded up to it.
fn shown_progress(status: &BatchStatus) -> f64 {
    match status.finished() < status.total {
        true => status.progress.min(99.9),
        false => status.progress,
    }
}
