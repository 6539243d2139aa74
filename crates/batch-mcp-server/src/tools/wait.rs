//! `bex_wait`: what has changed in a batch since one last looked.

use std::time::Duration;

use batch_actions::{BatchStatus, now};
use batch_core::Time;
use batch_export::CauseId;
use batch_store::{BatchFile, Overview, Since, Store};
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::call::{Agent, Answer, CallContext, block_on};
use crate::cursor::Cursor;
use crate::facts::facts;
use crate::mistake::Mistake;
use crate::page::{CAUSES_SHOWN, Page, USUAL, add_cause_lines, add_next, sentence};

/// The longest that a call waits: clients cut one off at 60 seconds.
const LONGEST: Duration = Duration::from_secs(45);

const USUAL_WAIT: Duration = Duration::from_secs(40);

/// A batch in which nothing has finished for so long is stalled.
const STALLED: Duration = Duration::from_secs(15);

const KNOWN: [&str; 5] = ["batch", "until", "n", "timeout_s", "cursor"];

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Done,
    FirstFailure,
    NewCause,
    Finished(u64),
    Stalled,
}

/// How long somebody waits, for what, and what they know already.
pub(crate) struct Waiting<'a> {
    pub(crate) until: Until,
    pub(crate) before: &'a Cursor,
    pub(crate) timeout: Duration,
}

/// How a batch stands after the waiting.
pub(crate) struct Waited {
    pub(crate) status: BatchStatus,
    pub(crate) reached: bool,
    /// What has happened since the cursor, where there is one that tells its time.
    since: Option<Since>,
}

pub(crate) fn wait(
    agent: &Agent,
    arguments: &Map<String, Value>,
    context: &CallContext,
) -> Result<Answer, Mistake> {
    let args = Args::new(arguments, &KNOWN)?;
    let until = until(&args)?;
    let before = cursor(&args)?;
    let mut notes = Vec::new();
    let timeout = limited(&args, "timeout_s", USUAL_WAIT, &mut notes)?;
    let file = agent.file(args.batch()?.or(before.batch))?;
    let waiting = Waiting {
        until,
        before: &before,
        timeout,
    };
    let waited = wait_for(&file, &waiting, context)?;
    let outcome = until.outcome(waited.reached);
    let mut answer = answer(&waited, &before, &notes, outcome);
    answer.structured["reached"] = waited.reached.into();
    Ok(answer)
}

fn cursor(args: &Args<'_>) -> Result<Cursor, Mistake> {
    let Some(text) = args.text("cursor")? else {
        return Ok(Cursor::default());
    };
    let wrong = |message: String| Mistake::of("cursor", message);
    let cursor =
        Cursor::parse(text).ok_or_else(|| wrong("it is none that bex_wait gave".to_owned()))?;
    match (cursor.batch, args.batch()?) {
        (Some(own), Some(asked)) if own != asked => Err(wrong(format!(
            "it is one of {own}, and the call is about {asked}"
        ))),
        _ => Ok(cursor),
    }
}

fn until(args: &Args<'_>) -> Result<Until, Mistake> {
    let number = args.number("n")?;
    let wrong = |field, message| Err(Mistake::of(field, message));
    match (args.text("until")?, number) {
        (None | Some("n"), Some(n)) => Ok(Until::Finished(n)),
        (Some("n"), None) => wrong("n", "until n needs n, the number of finished tasks"),
        (None | Some("done"), None) => Ok(Until::Done),
        (Some("first_failure"), None) => Ok(Until::FirstFailure),
        (Some("new_cause"), None) => Ok(Until::NewCause),
        (Some("stalled"), None) => Ok(Until::Stalled),
        (Some("done" | "first_failure" | "new_cause" | "stalled"), Some(_)) => {
            wrong("n", "it goes with until n only")
        }
        (Some(_), _) => wrong(
            "until",
            "it is one of done, first_failure, new_cause, n, stalled",
        ),
    }
}

/// A time to wait, no longer than clients do.
pub(crate) fn limited(
    args: &Args<'_>,
    name: &str,
    usual: Duration,
    notes: &mut Vec<String>,
) -> Result<Duration, Mistake> {
    let asked = args.duration(name)?.unwrap_or(usual);
    if asked > LONGEST {
        let most = LONGEST.as_secs();
        notes.push(format!("{name} lowered to {most}; call bex_wait again"));
    }
    Ok(asked.min(LONGEST))
}

/// Waits until a batch has come as far as asked, the time is up, or nobody waits any more.
pub(crate) fn wait_for(
    file: &BatchFile,
    waiting: &Waiting<'_>,
    context: &CallContext,
) -> Result<Waited, Mistake> {
    let mut told = None;
    let mut reached = false;
    let enough = |store: &Store, status: &BatchStatus| -> Result<bool, Mistake> {
        if let Some(progress) = &context.progress
            && told != Some(status.finished())
        {
            told = Some(status.finished());
            progress(status.finished(), status.total, &sentence(status));
        }
        reached = is_reached(waiting, status, store)?;
        Ok(reached || context.is_cancelled())
    };
    let waited = batch_actions::wait_for(file, Some(waiting.timeout), enough);
    let (_, status) = block_on(waited)??;
    let since = match waiting.before.time(status.created) {
        Some(time) => Some(Store::open_read(file.clone())?.since(time)?),
        None => None,
    };
    Ok(Waited {
        status,
        reached,
        since,
    })
}

fn is_reached(waiting: &Waiting<'_>, status: &BatchStatus, store: &Store) -> Result<bool, Mistake> {
    let before = waiting.before;
    Ok(match waiting.until {
        Until::Done => status.state.is_done(),
        Until::FirstFailure => status.failed > before.failed,
        Until::NewCause => !before
            .new_causes(&status.causes, &came(before, status, store)?)
            .is_empty(),
        Until::Finished(count) => status.finished() >= count,
        Until::Stalled => !status.state.is_done() && is_stalled(&store.overview()?, now()),
    })
}

/// The causes that came since a cursor, where it takes the file to tell them from old ones.
fn came(before: &Cursor, status: &BatchStatus, store: &Store) -> Result<Vec<CauseId>, Mistake> {
    match before.time(status.created) {
        Some(time) if !before.names_all() => Ok(store.causes_since(time)?),
        _ => Ok(Vec::new()),
    }
}

/// Whether nothing has finished for a while, as the file tells: whoever asks may just have been started.
fn is_stalled(overview: &Overview, now: Time) -> bool {
    let began = overview.run.as_ref().map(|run| run.started_at);
    let last = began.max(overview.totals.last_end);
    last.is_some_and(|last| now.since(last) >= STALLED)
}

impl Until {
    /// How the waiting ended, where the state of the batch does not say it.
    const fn outcome(self, reached: bool) -> Option<&'static str> {
        match (self, reached) {
            (Self::Done, _) | (Self::Finished(_), true) => None,
            (Self::FirstFailure, true) => Some("A task has failed."),
            (Self::FirstFailure, false) => Some("No task has failed meanwhile."),
            (Self::NewCause, true) => Some("Something failed for a new cause."),
            (Self::NewCause, false) => Some("Nothing failed for a new cause meanwhile."),
            (Self::Finished(_), false) => Some("Not so many tasks have finished yet."),
            (Self::Stalled, true) => Some("It is stalled: no task has finished for 15 seconds."),
            (Self::Stalled, false) => Some("It is not stalled."),
        }
    }
}

/// What has changed, and what to call next.
pub(crate) fn answer(
    waited: &Waited,
    before: &Cursor,
    notes: &[String],
    outcome: Option<&str>,
) -> Answer {
    let status = &waited.status;
    let cursor = Cursor::of(status).text();
    let mut page = Page::new(USUAL, &sentence(status));
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
    for note in notes {
        page.note(note);
    }
    add_next(&mut page, status, &cursor);
    let mut structured = facts(status, new.iter().copied());
    structured["new_causes"] = new.len().into();
    if let Some(since) = &waited.since {
        structured["since"] = json!({ "finished": since.finished, "failed": since.failed });
    }
    structured["cursor"] = cursor.into();
    structured["notes"] = json!(notes);
    Answer {
        text: page.finish("bex_status has more"),
        structured,
        is_error: false,
    }
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
    // Some that had finished may have finished once more meanwhile, and are told with those that did for the first time.
    let again = (before.finished + more).saturating_sub(finished);
    if again > 0 {
        text.push_str(&format!("; {again} were queued again or removed"));
    }
    text.push('.');
    text
}
