//! `bex_wait`: what has changed in a batch since the cursor.

use std::cell::Cell;
use std::time::Duration;

use batch_actions::{ActionError, BatchStatus, Until, Waited as WaitEnd, wait_while};
use batch_export::CauseId;
use batch_store::{BatchFile, Since, Store};
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::args::Args;
use crate::call_error::CallError;
use crate::cursor::Cursor;
use crate::page::{CAUSES_SHOWN, DEFAULT_LIMIT, Page, add_cause_lines, add_next, sentence};
use crate::session::{CallContext, Session, block_on};
use crate::structured::full;

/// The longest that a call waits: clients cut one off at 60 seconds.
const MAX_WAIT: Duration = Duration::from_secs(45);

const DEFAULT_WAIT: Duration = Duration::from_secs(40);

/// A batch in which nothing has finished for this time is stalled.
const STALLED: Duration = Duration::from_secs(15);

/// The status of a batch after a wait.
pub(crate) struct Waited {
    pub(crate) status: BatchStatus,
    reached: bool,
    /// What has happened since the cursor, where there is one that tells its time.
    since: Option<Since>,
}

pub(crate) fn wait(
    session: &Session,
    arguments: &Map<String, Value>,
    context: &CallContext,
) -> Result<Answer, CallError> {
    let args = Args::new(arguments, "bex_wait")?;
    let before = cursor(&args)?;
    let has_new_cause = |store: &Store, status: &BatchStatus| has_new_cause(&before, store, status);
    let until = until(&args, &before, &has_new_cause)?;
    let mut notes = Vec::new();
    let timeout = limited(&args, "timeout_s", DEFAULT_WAIT, &mut notes)?;
    let file = session.file(args.batch()?.or(before.batch))?;
    let waited = wait_for(&file, until, timeout, &before, context)?;
    let mut answer = answer(&waited, &before, &notes, outcome(until, waited.reached));
    answer.structured["reached"] = waited.reached.into();
    Ok(answer)
}

fn cursor(args: &Args<'_>) -> Result<Cursor, CallError> {
    let Some(text) = args.text("cursor")? else {
        return Ok(Cursor::default());
    };
    let wrong = |message: String| CallError::of("cursor", message);
    let cursor =
        Cursor::parse(text).ok_or_else(|| wrong("not a cursor returned by bex_wait".to_owned()))?;
    match (cursor.batch, args.batch()?) {
        (Some(own), Some(asked)) if own != asked => Err(wrong(format!(
            "a cursor of {own}, but the call is about {asked}"
        ))),
        _ => Ok(cursor),
    }
}

fn until<'a>(
    args: &Args<'_>,
    before: &Cursor,
    has_new_cause: &'a batch_actions::Condition<'a>,
) -> Result<Until<'a>, CallError> {
    let number = args.number("n")?;
    let wrong = |field, message| Err(CallError::of(field, message));
    match (args.text("until")?, number) {
        (None | Some("n"), Some(n)) => Ok(Until::Finished(n)),
        (Some("n"), None) => wrong("n", "until n needs n, the number of finished tasks"),
        (None | Some("done"), None) => Ok(Until::Done),
        (Some("first_failure"), None) => Ok(Until::FailedOver(before.failed)),
        (Some("new_cause"), None) => Ok(Until::True(has_new_cause)),
        (Some("stalled"), None) => Ok(Until::Stalled(STALLED)),
        (Some("done" | "first_failure" | "new_cause" | "stalled"), Some(_)) => {
            wrong("n", "only valid with until n")
        }
        (Some(_), _) => wrong(
            "until",
            "must be one of done, first_failure, new_cause, n, stalled",
        ),
    }
}

/// A time to wait, no longer than clients do.
pub(crate) fn limited(
    args: &Args<'_>,
    name: &str,
    default: Duration,
    notes: &mut Vec<String>,
) -> Result<Duration, CallError> {
    let asked = args.duration(name)?.unwrap_or(default);
    if asked > MAX_WAIT {
        let most = MAX_WAIT.as_secs();
        notes.push(format!("{name} lowered to {most}; call bex_wait again"));
    }
    Ok(asked.min(MAX_WAIT))
}

/// Waits for a batch until the time is up or the call is cancelled, and tells the client the progress.
pub(crate) fn wait_for(
    file: &BatchFile,
    until: Until<'_>,
    timeout: Duration,
    before: &Cursor,
    context: &CallContext,
) -> Result<Waited, CallError> {
    let shown = Cell::new(None);
    let goes_on = |status: &BatchStatus| {
        let finished = status.finished();
        if let Some(progress) = &context.progress
            && shown.replace(Some(finished)) != Some(finished)
        {
            progress(finished, status.total, &sentence(status));
        }
        !context.cancel.is_cancelled()
    };
    let (end, status) = block_on(wait_while(file, until, Some(timeout), goes_on))??;
    let since = match before.time(status.created) {
        Some(time) => Some(Store::open_read(file.clone())?.since(time)?),
        None => None,
    };
    Ok(Waited {
        status,
        reached: end == WaitEnd::Reached,
        since,
    })
}

/// Whether something has failed for a cause that was not known at a cursor.
fn has_new_cause(
    before: &Cursor,
    store: &Store,
    status: &BatchStatus,
) -> Result<bool, ActionError> {
    // Where the cursor does not name all causes, it takes the file to tell new ones from old ones.
    let came: Vec<CauseId> = match before.time(status.created) {
        Some(time) if !before.names_all() => store.causes_since(time)?,
        _ => Vec::new(),
    };
    Ok(!before.new_causes(&status.causes, &came).is_empty())
}

/// How the wait ended, where the state of the batch does not say it.
const fn outcome(until: Until<'_>, reached: bool) -> Option<&'static str> {
    match (until, reached) {
        (Until::FailedOver(_), true) => Some("A task has failed."),
        (Until::FailedOver(_), false) => Some("No task has failed meanwhile."),
        (Until::True(_), true) => Some("A task has failed for a new cause."),
        (Until::True(_), false) => Some("No task has failed for a new cause."),
        (Until::Finished(_), false) => Some("Fewer tasks than n have finished."),
        (Until::Stalled(_), true) => Some("Stalled: no task has finished for 15 seconds."),
        (Until::Stalled(_), false) => Some("Not stalled."),
        _ => None,
    }
}

/// What has changed since the cursor, and what to call next.
pub(crate) fn answer(
    waited: &Waited,
    before: &Cursor,
    notes: &[String],
    outcome: Option<&str>,
) -> Answer {
    let status = &waited.status;
    let cursor = Cursor::of(status).text();
    let mut page = Page::new(DEFAULT_LIMIT, &sentence(status));
    if let Some(outcome) = outcome {
        page.line(outcome);
    }
    let since = before.batch.is_some();
    if since {
        page.line(&changes(waited, before));
    }
    let came = waited.since.as_ref().map(|since| since.causes.as_slice());
    let new = before.new_causes(&status.causes, came.unwrap_or_default());
    if !new.is_empty() {
        let what = if since { "new cause" } else { "cause" };
        let plural = if new.len() == 1 { "" } else { "s" };
        let what = format!("{} {what}{plural} of failures", new.len());
        add_cause_lines(&mut page, &what, &new, CAUSES_SHOWN);
    }
    page.notes(notes);
    add_next(&mut page, status, &cursor);
    let mut structured = full(status, new.iter().copied());
    structured["new_causes"] = new.len().into();
    if let Some(since) = &waited.since {
        structured["since"] = json!({ "finished": since.finished, "failed": since.failed });
    }
    structured["cursor"] = cursor.into();
    structured["notes"] = json!(notes);
    Answer::done(page.finish("bex_status has more"), structured)
}

fn changes(waited: &Waited, before: &Cursor) -> String {
    let finished = waited.status.finished();
    let (more, failed) = match &waited.since {
        Some(since) => (since.finished, since.failed),
        None => {
            let failed = waited.status.failed.saturating_sub(before.failed);
            (finished.saturating_sub(before.finished), failed)
        }
    };
    let mut text = format!("Since the cursor: {more} finished, {failed} of them failed");
    // Tasks that finished a second time meanwhile are counted with those that did for the first time.
    let again = (before.finished + more).saturating_sub(finished);
    if again > 0 {
        text.push_str(&format!("; {again} were queued again or removed"));
    }
    text.push('.');
    text
}
