//! Waiting for a batch: [`wait`].

use std::time::Duration;

use batch_store::{BatchFile, Store};
use serde::Serialize;

use crate::clock::{Poll, now};
use crate::error::ActionError;
use crate::live_view::holder_of;
use crate::status::{BatchStatus, State, status_of};

const STATUS_POLL: Duration = Duration::from_millis(50);

/// What is waited for.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub enum Until<'a> {
    /// Every task is finished.
    #[default]
    Done,
    /// More tasks have failed than this number.
    FailedOver(u64),
    /// This many tasks are finished.
    Finished(u64),
    /// No task has finished for this time, and not all are.
    Stalled(Duration),
    /// No process works on the batch.
    AtRest,
    /// What only the caller can tell.
    True(&'a Condition<'a>),
}

/// A condition on a batch. It is evaluated whenever it may have become true.
pub type Condition<'a> = dyn Fn(&Store, &BatchStatus) -> Result<bool, ActionError> + 'a;

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Waited {
    /// What was waited for has come.
    Reached,
    /// It has not come, and every task is finished.
    Done,
    /// The time was up.
    TimedOut,
    /// Nothing works on the batch, so it will not come by itself.
    AtRest,
    /// What works on the batch gives no sign of life.
    Silent,
}

/// Waits for a batch, and returns its status then.
///
/// # Errors
/// When its file cannot be read.
pub async fn wait(
    file: &BatchFile,
    until: Until<'_>,
    timeout: Option<Duration>,
) -> Result<(Waited, BatchStatus), ActionError> {
    wait_while(file, until, timeout, |_| true).await
}

/// Waits for a batch as [`wait`] does, as long as `goes_on` says so, which is given each status.
///
/// # Errors
/// When its file cannot be read.
pub async fn wait_while(
    file: &BatchFile,
    until: Until<'_>,
    timeout: Option<Duration>,
    mut goes_on: impl FnMut(&BatchStatus) -> bool,
) -> Result<(Waited, BatchStatus), ActionError> {
    let store = Store::open_read(file.clone())?;
    let poll = Poll::every(STATUS_POLL).within(timeout);
    let mut version = None;
    let mut last: Option<BatchStatus> = None;
    loop {
        let current = store.version()?;
        let holder = holder_of(file)?;
        let nobody = holder.is_none();
        let silent = holder.is_some_and(|holder| holder.silence().is_some());
        let status = match last.take() {
            Some(status) if version == Some(current) && !nobody && !silent => status,
            _ => status_of(&store)?,
        };
        version = Some(current);
        let goes_on = goes_on(&status);
        if is_reached(until, &store, &status)? {
            return Ok((Waited::Reached, status));
        }
        if status.state.is_done() {
            return Ok((Waited::Done, status));
        }
        if !goes_on {
            return Ok((Waited::TimedOut, status));
        }
        // A paused batch that someone works on goes on some time.
        let is_at_rest = match status.state {
            State::Paused => status.pid.is_none(),
            // Someone may be writing its tasks.
            State::Incomplete => nobody,
            state => state.is_at_rest(),
        };
        if is_at_rest {
            return Ok((Waited::AtRest, status));
        }
        if silent {
            return Ok((Waited::Silent, status));
        }
        if !poll.again().await {
            return Ok((Waited::TimedOut, status));
        }
        last = Some(status);
    }
}

/// Waits until the one who makes a batch has written its tasks.
///
/// # Errors
/// When nobody writes them any more, or the file cannot be read.
pub async fn until_complete(file: &BatchFile) -> Result<(), ActionError> {
    let (store, poll) = (Store::open_read(file.clone())?, Poll::every(STATUS_POLL));
    while store.info()?.origin.missing.is_some() {
        if holder_of(file)?.is_none() {
            store.check_there()?;
            // They may have come in between.
            return ActionError::refuse_incomplete(file, &store.info()?);
        }
        poll.again().await;
    }
    Ok(())
}

fn is_reached(until: Until<'_>, store: &Store, status: &BatchStatus) -> Result<bool, ActionError> {
    Ok(match until {
        Until::Done => status.state.is_done(),
        Until::FailedOver(count) => status.failed > count,
        Until::Finished(count) => status.finished() >= count,
        Until::Stalled(time) => !status.state.is_done() && stalled_for(store)? >= time,
        Until::AtRest => status.pid.is_none(),
        Until::True(condition) => condition(store, status)?,
    })
}

/// How long nothing has finished, as the file tells: the one who asks may just have been started.
fn stalled_for(store: &Store) -> Result<Duration, ActionError> {
    let overview = store.overview()?;
    let began = overview.run.as_ref().map(|run| run.started_at);
    let last = began.max(overview.totals.last_end);
    Ok(last.map_or(Duration::ZERO, |last| now().since(last)))
}
