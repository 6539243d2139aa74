//! One task with all that is known of it: [`show`], and why it is as it is: [`why`].

use std::fmt::{self, Write as _};

use batch_core::{
    BatchId, FailureKind, OnInterrupt, Reason, Status, TaskId, Time,
    duration::ShortDuration,
    status::{CancelReason, QueuedReason},
    text::Counted,
};
use batch_export::{AttemptEnd, TaskRecord};
use batch_process::{Leftover, stopped_processes};
use batch_store::{BatchFile, Store};
use batch_template::short_label;

use crate::choice::find_task;
use crate::clock::now;
use crate::error::ActionError;
use crate::live_view::LiveView;
use crate::state_reason::{Advice, StateReason};
use crate::status::{BatchStatus, State, status_of};

/// One task with all that is known of it.
#[derive(Clone, Debug)]
pub struct TaskDetails {
    /// The task, with its finished attempts and what the last of them left.
    pub record: TaskRecord,
    /// The attempt under way, and when it began.
    pub under_way: Option<(u32, Time)>,
    /// It was running when its executor died.
    pub was_cut_off: bool,
    /// The tasks it needs, and how they are.
    pub needs: Vec<(TaskId, Option<Status>)>,
    /// Its processes that a signal has stopped.
    pub stopped: Vec<Leftover>,
    /// The batch at this moment.
    pub batch: BatchStatus,
}

/// Reads one task.
///
/// # Errors
/// When there is none, or the file cannot be read.
pub fn show(file: &BatchFile, task: &str) -> Result<TaskDetails, ActionError> {
    let store = Store::open_read(file.clone())?;
    let id = find_task(&store, task)?;
    let view = LiveView::of(&store)?;
    let mut record = store.task(id)?.ok_or_else(|| ActionError::UnknownTask {
        batch: store.batch(),
        task: task.to_owned(),
        help: None,
    })?;
    let mut needs = Vec::new();
    for need in store.needs_of(id)? {
        let status = store.task(need)?.map(|record| record.status);
        needs.push((need, status));
    }
    let was_cut_off = record.status == Status::Running && view.executor().is_none();
    view.show(&mut record);
    let stopped = match (record.status, view.executor()) {
        (Status::Running, Some(executor)) => {
            stopped_processes(&executor.mark, &record.id().to_string())
        }
        _ => Vec::new(),
    };
    Ok(TaskDetails {
        record,
        was_cut_off,
        stopped,
        under_way: store.under_way(id)?,
        needs,
        batch: status_of(&store)?,
    })
}

/// Why a task is as it is, and what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One or two sentences, without the full stop.
    pub text: String,
    /// What can be done next.
    pub next: Option<Advice>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.text)
    }
}

impl Explanation {
    fn then(text: impl Into<String>, next: Advice) -> Self {
        Self {
            text: text.into(),
            next: Some(next),
        }
    }
}

impl From<String> for Explanation {
    fn from(text: String) -> Self {
        Self { text, next: None }
    }
}

/// Says why a task is as it is.
pub fn why(details: &TaskDetails) -> Explanation {
    let record = &details.record;
    let id = record.id();
    let spec = &record.spec;
    let label = match [&spec.name, &spec.item, &spec.id] {
        [None, None, None] => id.to_string(),
        _ => format!("{id} ({})", short_label(&record.spec)),
    };
    if details.was_cut_off {
        let next = on_resume(record);
        let end = match details.batch.state {
            State::Stopped => "its run was stopped",
            _ => "the executor died",
        };
        let text = format!("{label} was running when {end}; when the batch is resumed, {next}");
        return Explanation::then(text, Advice::Resume);
    }
    match record.status {
        Status::Completed => completed(record, &label).into(),
        Status::Failed => failed(record, &label),
        Status::Cancelled => cancelled(details, &label),
        Status::Running => running(details, &label),
        Status::Queued => queued(details, &label),
    }
}

fn completed(record: &TaskRecord, label: &str) -> String {
    if record.reason == Some(Reason::NotNeeded) {
        return format!(
            "{label} was not needed: it runs after a failure, and what it depends on did not fail"
        );
    }
    let attempts = record.attempts.len();
    let mut text = match record.execution_time {
        Some(time) => format!("{label} completed after {}", ShortDuration(time)),
        None => format!("{label} completed"),
    };
    if record.flaky {
        let _ = write!(text, " on attempt {attempts}; it is flaky");
        if let Some(error) = last_error(record) {
            let _ = write!(text, ", as it failed before with: {error}");
        }
    }
    text
}

fn failed(record: &TaskRecord, label: &str) -> Explanation {
    let retry = Advice::Retry(record.id());
    match record.reason {
        Some(Reason::Failed(FailureKind::Quarantined)) => Explanation::then(
            format!(
                "{label} is quarantined: it was running each of the three times its executor died, so it is not run again by itself"
            ),
            retry,
        ),
        Some(Reason::Failed(FailureKind::Interrupted)) => Explanation::then(
            format!(
                "{label} failed because it was interrupted, and its task says on_interrupt: fail"
            ),
            retry,
        ),
        _ => failed_by_itself(record, label).into(),
    }
}

fn failed_by_itself(record: &TaskRecord, label: &str) -> String {
    let counted = record
        .attempts
        .iter()
        .filter(|attempt| attempt.end != AttemptEnd::Interrupted);
    let attempts = Counted(counted.count() as u64, "attempt");
    let error = first_line(record.error.as_deref().unwrap_or("no message"));
    let mut text = format!("{label} failed after {attempts} with: {error}");
    let max = record.spec.options.max_retries;
    let retries = Counted(max.into(), "retry");
    let _ = match record.retry_count {
        used if used >= max => write!(text, "; {retries} allowed"),
        used => write!(
            text,
            "; {used} of {retries} used, as this failure is not retried"
        ),
    };
    if let Some(cause) = &record.cause {
        let _ = write!(text, ". Cause {}: {}", cause.id(), cause.label());
    }
    text
}

fn cancelled(details: &TaskDetails, label: &str) -> Explanation {
    let record = &details.record;
    match record.reason {
        Some(Reason::Cancelled(CancelReason::DependencyFailed { root })) => {
            let root = record.batch.task(root);
            let text =
                format!("{label} was cancelled because {root}, which it needs, did not complete");
            Explanation::then(text, Advice::Explain(root))
        }
        Some(Reason::Cancelled(CancelReason::BatchStopped(why))) => {
            format!("{label} was cancelled because {why}").into()
        }
        _ => format!("{label} was cancelled by the user").into(),
    }
}

fn running(details: &TaskDetails, label: &str) -> Explanation {
    let Some((attempt, started)) = details.under_way else {
        return format!("{label} is running").into();
    };
    let time = ShortDuration(now().since(started));
    let mut text = format!("{label} has been running for {time}, attempt {attempt}");
    let mut next = None;
    if let ([first, more @ ..], None) = (&*details.stopped, details.batch.silence) {
        let _ = match more.len() {
            0 => write!(text, "; {first} of it is stopped by a signal"),
            more => write!(
                text,
                "; {first} of it and {more} more are stopped by a signal"
            ),
        };
        next = Some(Advice::Continue(
            details.stopped.iter().map(|process| process.pid).collect(),
        ));
    }
    if let (State::Paused, Some(reason)) | (_, Some(reason @ StateReason::Silent(_))) =
        (details.batch.state, &details.batch.reason)
    {
        let _ = write!(text, "; the batch waits: {reason}");
        next = next.or(reason.advice());
    }
    Explanation { text, next }
}

/// What becomes of a task that was cut off.
fn on_resume(record: &TaskRecord) -> &'static str {
    match record.spec.options.on_interrupt {
        OnInterrupt::Rerun => "it runs again, and no retry is used up",
        OnInterrupt::Hold => "it is held until it is released (on_interrupt: hold)",
        OnInterrupt::Fail => "it counts as failed (on_interrupt: fail)",
    }
}

fn queued(details: &TaskDetails, label: &str) -> Explanation {
    let record = &details.record;
    let mut explained = match record.reason {
        Some(Reason::Queued(QueuedReason::WaitingForDependencies { missing })) => {
            let open = open_needs(record.batch, &details.needs);
            let tasks = Counted(missing.into(), "task");
            format!("{label} waits for {tasks}: {open}").into()
        }
        Some(Reason::Queued(QueuedReason::Delayed { until })) => delayed(details, label, until),
        Some(Reason::Queued(QueuedReason::Held)) if record.attempts.is_empty() => {
            Explanation::then(
                format!("{label} is held until it is released: its task says hold"),
                Advice::Release(record.id()),
            )
        }
        Some(Reason::Queued(QueuedReason::Held)) => Explanation::then(
            format!("{label} is held: it was interrupted and its task says on_interrupt: hold"),
            Advice::Retry(record.id()),
        ),
        Some(Reason::Queued(QueuedReason::Paused)) => Explanation::then(
            format!("{label} is ready, and the batch is paused"),
            Advice::Resume,
        ),
        _ => ready(&details.batch, label),
    };
    if let Some(last) = record.attempts.last()
        && last.end == AttemptEnd::Interrupted
    {
        let attempt = last.attempt;
        let _ = write!(
            explained.text,
            "; attempt {attempt} was interrupted and does not count"
        );
    }
    explained
}

fn delayed(details: &TaskDetails, label: &str, until: Time) -> Explanation {
    let record = &details.record;
    if record.attempts.is_empty() {
        let left = ShortDuration(until.since(now()));
        return match details.batch.pid {
            Some(_) => format!("{label} is scheduled to start in {left}").into(),
            None => Explanation::then(
                format!("{label} is scheduled to start in {left}, and nothing runs the batch"),
                Advice::Start,
            ),
        };
    }
    let attempt = record.attempts.len();
    let error = last_error(record).unwrap_or_else(|| "no resources".to_owned());
    let (when, next) = match details.batch.pid {
        Some(_) => (format!("in {}", ShortDuration(until.since(now()))), None),
        None => ("when the batch continues".to_owned(), Some(Advice::Resume)),
    };
    let text = format!("{label} is tried again {when}: attempt {attempt} ended with: {error}");
    Explanation { text, next }
}

fn ready(batch: &BatchStatus, label: &str) -> Explanation {
    match batch.state {
        State::Running if batch.is_stopping() || batch.silence.is_some() => {
            let why = batch.reason.as_ref();
            Explanation {
                text: match why {
                    Some(why) => format!("{label} is ready, and the batch starts nothing: {why}"),
                    None => format!("{label} is ready, and the batch starts nothing"),
                },
                next: why.and_then(StateReason::advice),
            }
        }
        State::Running => {
            let slot = match batch.max_concurrent {
                1 => "the slot".to_owned(),
                slots => format!("one of the {slots} slots"),
            };
            let queued = match batch.queued {
                1 => "1 task is queued".to_owned(),
                tasks => format!("{tasks} tasks are queued"),
            };
            let why = batch.reason.as_ref();
            let why = why.map_or_else(String::new, |why| format!("; the batch is {why}"));
            format!("{label} is ready and starts when {slot} is free; {queued}{why}").into()
        }
        State::Paused if batch.pid.is_some() => {
            let why = batch.reason.as_ref().map(ToString::to_string);
            let why = why.unwrap_or_else(|| "it is paused".to_owned());
            format!("{label} is ready, and the batch waits: {why}").into()
        }
        State::New => Explanation::then(
            format!("{label} is ready, and the batch has not been started"),
            Advice::Start,
        ),
        State::Interrupted => Explanation::then(
            format!("{label} is ready, and the executor died"),
            Advice::Resume,
        ),
        _ => Explanation::then(
            format!("{label} is ready, and nothing runs the batch"),
            Advice::Resume,
        ),
    }
}

fn open_needs(batch: BatchId, needs: &[(TaskId, Option<Status>)]) -> String {
    const SHOWN: usize = 3;
    let open: Vec<String> = needs
        .iter()
        .filter_map(|(task, status)| {
            let status = (*status)?;
            (status != Status::Completed).then(|| format!("{} ({status})", batch.task(*task)))
        })
        .collect();
    let shown = open
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match open.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn last_error(record: &TaskRecord) -> Option<String> {
    let failed = record
        .attempts
        .iter()
        .rfind(|attempt| attempt.error.is_some())?;
    failed.error.as_deref().map(first_line)
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
