//! One task with all that is known of it: [`show`], and why it is as it is: [`why`].

use std::fmt::Write as _;

use batch_core::{
    BatchId, CancelReason, FailureKind, OnInterrupt, QueuedReason, Reason, ShortDuration, Status,
    TaskId, Time,
};
use batch_export::{AttemptEnd, TaskRecord};
use batch_store::{BatchFile, Store};

use crate::choice::find_task;
use crate::error::ActionError;
use crate::naming::Naming;
use crate::now;
use crate::standing::Standing;
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
    /// The tasks it needs, and how they stand.
    pub needs: Vec<(TaskId, Option<Status>)>,
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
    let standing = Standing::of(&store)?;
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
    let was_cut_off = record.status == Status::Running && standing.executor().is_none();
    standing.show(&mut record);
    Ok(TaskDetails {
        record,
        was_cut_off,
        under_way: store.under_way(id)?,
        needs,
        batch: status_of(&store)?,
    })
}

impl TaskDetails {
    fn naming(&self) -> Naming {
        Naming::new(&self.batch.batch, &self.batch.file)
    }

    /// The task, as a hint names it.
    fn named(&self) -> String {
        self.naming().task(self.record.id())
    }
}

/// Says in one or two sentences why a task is as it is.
pub fn why(details: &TaskDetails) -> String {
    let record = &details.record;
    let id = record.id();
    let label = match (&record.spec.name, &record.spec.id) {
        (None, None) => id.to_string(),
        _ => format!("{id} ({})", record.spec.label()),
    };
    if details.was_cut_off {
        let next = on_resume(record);
        return format!("{label} was running when the executor died; {next}");
    }
    match record.status {
        Status::Completed => completed(record, &label),
        Status::Failed => failed(details, &label),
        Status::Cancelled => cancelled(details, &label),
        Status::Running => running(details, &label),
        Status::Queued => queued(details, &label),
    }
}

fn completed(record: &TaskRecord, label: &str) -> String {
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
    text.push('.');
    text
}

fn failed(details: &TaskDetails, label: &str) -> String {
    let record = &details.record;
    match record.reason {
        Some(Reason::Failed(FailureKind::Quarantined)) => format!(
            "{label} is quarantined: it was running each of the three times its executor died, so it is not run again by itself. Look at it, then: bex retry {}.",
            details.named()
        ),
        Some(Reason::Failed(FailureKind::Interrupted)) => format!(
            "{label} failed because it was cut off, and its task says on_interrupt: fail. Run it again with: bex retry {}.",
            details.named()
        ),
        _ => failed_by_itself(record, label),
    }
}

fn failed_by_itself(record: &TaskRecord, label: &str) -> String {
    let counted = record
        .attempts
        .iter()
        .filter(|attempt| attempt.end != AttemptEnd::Interrupted);
    let attempts = plural(counted.count(), "attempt");
    let error = first_line(record.error.as_deref().unwrap_or("no message"));
    let mut text = format!("{label} failed after {attempts} with: {error}");
    let max = record.spec.options.max_retries;
    let retries = plural(max as usize, "retry");
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
    text.push('.');
    text
}

fn cancelled(details: &TaskDetails, label: &str) -> String {
    let record = &details.record;
    match record.reason {
        Some(Reason::Cancelled(CancelReason::DependencyFailed { root })) => {
            let root = record.batch.task(root);
            let named = details.naming().task(root);
            format!(
                "{label} was cancelled because {root}, which it needs, did not complete. See: bex why {named}."
            )
        }
        Some(Reason::Cancelled(CancelReason::BatchStopped)) => {
            // What is said of the batch is said of its last run, and this may be of an earlier one.
            let why = match (details.batch.state, &details.batch.reason) {
                (State::Failed, Some(reason)) => reason,
                _ => "its time was up, or a failure ended it",
            };
            format!("{label} was cancelled because the batch was ended: {why}.")
        }
        _ => format!("{label} was cancelled by the user."),
    }
}

fn running(details: &TaskDetails, label: &str) -> String {
    match details.under_way {
        Some((attempt, started)) => {
            let time = ShortDuration(now().since(started));
            let mut text = format!("{label} has been running for {time}, attempt {attempt}");
            if let (State::Paused, Some(reason)) = (details.batch.state, &details.batch.reason) {
                let _ = write!(text, "; the batch stands still: {reason}");
            }
            text + "."
        }
        None => format!("{label} is running."),
    }
}

fn on_resume(record: &TaskRecord) -> String {
    match record.spec.options.on_interrupt {
        OnInterrupt::Rerun => "on bex resume it runs again, and no retry is used up.".to_owned(),
        OnInterrupt::Hold => {
            "on bex resume it is held until somebody releases it (on_interrupt: hold).".to_owned()
        }
        OnInterrupt::Fail => "on bex resume it counts as failed (on_interrupt: fail).".to_owned(),
    }
}

fn queued(details: &TaskDetails, label: &str) -> String {
    let record = &details.record;
    let mut text = match record.reason {
        Some(Reason::Queued(QueuedReason::WaitingForDependencies { missing })) => {
            let open = open_needs(record.batch, &details.needs);
            format!(
                "{label} waits for {}: {open}",
                plural(missing as usize, "task")
            )
        }
        Some(Reason::Queued(QueuedReason::Delayed { until })) => {
            let left = until.since(now());
            let error = last_error(record).unwrap_or_else(|| "no resources".to_owned());
            let when = match details.batch.pid {
                Some(_) => format!("in {}", ShortDuration(left)),
                None => format!("when the batch goes on (bex resume {})", details.naming()),
            };
            format!(
                "{label} is tried again {when}: attempt {} ended with: {error}",
                record.attempts.len()
            )
        }
        Some(Reason::Queued(QueuedReason::Held)) => format!(
            "{label} is held: it was cut off and its task says on_interrupt: hold. Let it run with: bex retry {}",
            details.named()
        ),
        Some(Reason::Queued(QueuedReason::Paused)) => {
            let naming = details.naming();
            format!("{label} is ready, and the batch is paused. Go on with: bex resume {naming}")
        }
        _ => ready(details, label),
    };
    if let Some(last) = record.attempts.last()
        && last.end == AttemptEnd::Interrupted
    {
        let _ = write!(
            text,
            "; attempt {} was cut off and does not count",
            last.attempt
        );
    }
    text.push('.');
    text
}

fn ready(details: &TaskDetails, label: &str) -> String {
    let (batch, naming) = (&details.batch, details.naming());
    match batch.state {
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
            format!("{label} is ready and starts when {slot} is free; {queued}{why}")
        }
        State::Paused if batch.pid.is_some() => format!(
            "{label} is ready, and the batch stands still: {}",
            batch.reason.as_deref().unwrap_or("it is paused")
        ),
        State::New => format!(
            "{label} is ready, and nobody has started the batch. Start it with: bex start {naming}"
        ),
        State::Interrupted => {
            format!("{label} is ready, and the executor died. Go on with: bex resume {naming}")
        }
        _ => {
            format!("{label} is ready, and nothing runs the batch. Go on with: bex resume {naming}")
        }
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

fn plural(count: usize, what: &str) -> String {
    match (count, what) {
        (1, _) => format!("1 {what}"),
        (_, "retry") => format!("{count} retries"),
        _ => format!("{count} {what}s"),
    }
}
