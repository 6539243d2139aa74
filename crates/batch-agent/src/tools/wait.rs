//! `bex_wait`: what has changed in a batch since one last looked.

use std::time::{Duration, Instant};

use batch_actions::{BatchStatus, State, status as read_status};
use batch_store::BatchFile;
use serde_json::{Map, Value};

use crate::args::Args;
use crate::call::{Agent, Answer, CallContext};
use crate::cursor::Cursor;
use crate::mistake::Mistake;
use crate::page::{Page, USUAL, add_next, cause_line, sentence};

/// The longest that a call waits: clients cut one off at 60 seconds.
pub(crate) const LONGEST: Duration = Duration::from_secs(45);

const USUAL_WAIT: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(50);

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

pub(crate) fn wait(
    agent: &Agent,
    arguments: &Map<String, Value>,
    context: &CallContext,
) -> Result<Answer, Mistake> {
    let args = Args::new(arguments, &KNOWN)?;
    let until = until(&args)?;
    let before = match args.text("cursor")? {
        None => Cursor::default(),
        Some(text) => Cursor::parse(text)
            .ok_or_else(|| Mistake::of("cursor", "it is none that bex_wait gave"))?,
    };
    let timeout = limited(args.duration("timeout_s")?, USUAL_WAIT);
    let file = agent.file(args.batch()?)?;
    let status = wait_for(&file, until, &before, timeout, context)?;
    Ok(answer(&status, &before))
}

fn until(args: &Args<'_>) -> Result<Until, Mistake> {
    let number = args.number("n")?;
    match (args.text("until")?, number) {
        (None, Some(n)) | (Some("n"), Some(n)) => Ok(Until::Finished(n)),
        (None | Some("done"), None) => Ok(Until::Done),
        (Some("first_failure"), _) => Ok(Until::FirstFailure),
        (Some("new_cause"), _) => Ok(Until::NewCause),
        (Some("stalled"), _) => Ok(Until::Stalled),
        (Some("n"), None) => Err(
            Mistake::of("n", "until n needs n, the number of finished tasks")
                .with_example(serde_json::json!({ "until": "n", "n": 100 })),
        ),
        (Some("done"), Some(_)) => Ok(Until::Done),
        (Some(_), _) => Err(Mistake::of(
            "until",
            "it is one of done, first_failure, new_cause, n, stalled",
        )),
    }
}

/// A time to wait, no longer than clients do.
pub(crate) fn limited(asked: Option<Duration>, usual: Duration) -> Duration {
    asked.unwrap_or(usual).min(LONGEST)
}

/// Waits until a batch has come as far as asked, the time is up, or nobody waits any more.
pub(crate) fn wait_for(
    file: &BatchFile,
    until: Until,
    before: &Cursor,
    timeout: Duration,
    context: &CallContext,
) -> Result<BatchStatus, Mistake> {
    let deadline = Instant::now() + timeout;
    let mut last_change = (Instant::now(), u64::MAX);
    let mut told = u64::MAX;
    loop {
        let status = read_status(file, false)?;
        if last_change.1 != status.finished() {
            last_change = (Instant::now(), status.finished());
        }
        let stalled = last_change.0.elapsed() >= STALLED;
        let over = is_reached(until, &status, before, stalled)
            || is_at_rest(&status)
            || Instant::now() >= deadline
            || context.is_cancelled();
        if let Some(progress) = &context.progress
            && told != status.finished()
        {
            told = status.finished();
            progress(told, status.total, &sentence(&status));
        }
        if over {
            return Ok(status);
        }
        std::thread::sleep(LOOK.min(deadline.saturating_duration_since(Instant::now())));
    }
}

/// Nothing more happens by itself.
fn is_at_rest(status: &BatchStatus) -> bool {
    status.pid.is_none() || matches!(status.state, State::Completed | State::Failed)
}

fn is_reached(until: Until, status: &BatchStatus, before: &Cursor, stalled: bool) -> bool {
    match until {
        Until::Done => false,
        Until::FirstFailure => status.failed > before.failed,
        Until::NewCause => status
            .causes
            .iter()
            .any(|cause| !before.knows(&cause.cause)),
        Until::Finished(count) => status.finished() >= count,
        Until::Stalled => stalled,
    }
}

/// What has changed, and what to call next.
pub(crate) fn answer(status: &BatchStatus, before: &Cursor) -> Answer {
    let cursor = Cursor::of(status).text();
    let mut page = Page::new(USUAL, &sentence(status));
    let since = *before != Cursor::default();
    if since {
        let finished = status.finished().saturating_sub(before.finished);
        let failed = status.failed.saturating_sub(before.failed);
        page.line(&format!(
            "Since the cursor: {finished} finished, {failed} of them failed."
        ));
    }
    let new: Vec<_> = status
        .causes
        .iter()
        .filter(|cause| !before.knows(&cause.cause))
        .collect();
    if !new.is_empty() {
        let what = if since { "new cause" } else { "cause" };
        let plural = if new.len() == 1 { "" } else { "s" };
        page.line(&format!("{} {what}{plural} of failures:", new.len()));
        for cause in new.iter().take(10) {
            page.line(&cause_line(cause));
        }
        if new.len() > 10 {
            page.line(&format!(
                "  … and {} more; bex_status has them",
                new.len() - 10
            ));
        }
    }
    add_next(&mut page, status, &cursor);
    let mut structured = serde_json::to_value(status).expect("a status is JSON");
    structured["cursor"] = cursor.into();
    structured["causes"] =
        serde_json::to_value(&new[..new.len().min(50)]).expect("causes are JSON");
    Answer {
        text: page.finish("bex_status has more"),
        structured,
        is_error: false,
    }
}
