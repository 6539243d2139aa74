//! `start` and `stop`: runs of the queue.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use batch_actions::{Control, Stop, Until, status as read_status};
use batch_store::{BatchFile, Durability, Store};

use super::queue::{queue, queue_answer};
use crate::answer::Answer;
use crate::args::Args;
use crate::call_error::CallError;
use crate::cursor::Cursor;
use crate::session::{CallContext, Session};
use crate::tools::change::Change;
use crate::tools::wait::wait_for;

/// How long a start waits for the tasks at most.
const START_WAIT: Duration = Duration::from_secs(20);

pub(super) fn start(
    session: &Session,
    args: &Args<'_>,
    mut notes: Vec<String>,
    context: &CallContext,
) -> Result<Answer, CallError> {
    let began = Instant::now();
    let asked = args.slots("max_concurrent")?;
    let timeout = args.duration("timeout")?;
    let Some(file) = queue(session)? else {
        return queue_answer(session, None, "", &notes);
    };
    let mut change = Change::new(session, file, began);
    let is_running = read_status(&change.file, false)?.pid.is_some();
    match is_running {
        true => adjust(session, &mut change, asked, timeout)?,
        false => {
            let slots = asked.map(|asked| session.slots(Some(asked), &mut change.notes));
            set(&change.file, slots, timeout)?;
        }
    }
    change.start_if_needed()?;
    let timeout = START_WAIT.min(change.left());
    let before = Cursor::default();
    wait_for(&change.file, Until::Done, timeout, &before, context)?;
    let done = if is_running {
        "It is running already."
    } else {
        "Started."
    };
    notes.append(&mut change.notes);
    queue_answer(session, Some(&change.file), done, &notes)
}

/// The settings of the next run. A time limit applies to the run that it was given for, and to no later one.
fn set(
    file: &BatchFile,
    slots: Option<NonZeroU32>,
    timeout: Option<Duration>,
) -> Result<(), CallError> {
    let mut store = Store::open(file.clone(), Durability::Full)?;
    store.change_settings(|settings| {
        settings.max_concurrent = slots.unwrap_or(settings.max_concurrent);
        settings.batch_timeout = timeout;
    })?;
    Ok(())
}

/// Changes the settings of a run.
fn adjust(
    session: &Session,
    change: &mut Change<'_>,
    asked: Option<NonZeroU32>,
    timeout: Option<Duration>,
) -> Result<(), CallError> {
    if let Some(asked) = asked {
        let max_concurrent = session.slots(Some(asked), &mut change.notes);
        change.ask(Control::SetConcurrency { max_concurrent }, "set")?;
    }
    if timeout.is_some() {
        let note = "timeout was not set, as it is running; stop it first";
        change.notes.push(note.to_owned());
    }
    Ok(())
}

pub(super) fn stop(session: &Session, notes: &[String]) -> Result<Answer, CallError> {
    let nothing = "Nothing was running.";
    let Some(file) = queue(session)? else {
        return queue_answer(session, None, nothing, notes);
    };
    let change = Change::new(session, file, Instant::now());
    let done = match change.stop(Stop::Now)? {
        true => "Stopped.",
        false => nothing,
    };
    queue_answer(session, Some(&change.file), done, notes)
}
