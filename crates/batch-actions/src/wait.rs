//! Waiting for a batch: [`wait`], and [`wait_for`] what only the caller can tell.

use std::time::Duration;

use batch_store::{BatchFile, Store};
use serde::Serialize;

use crate::clock::Poll;
use crate::error::ActionError;
use crate::live_view::holder_of;
use crate::status::{BatchStatus, State, status_of};

const STATUS_POLL: Duration = Duration::from_millis(50);

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// Every task is finished.
    #[default]
    Done,
    /// A task has failed, or all are done.
    FirstFailure,
    /// So many tasks are finished, or all are.
    Finished(u64),
    /// Nobody works on the batch.
    AtRest,
}

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Waited {
    /// What was waited for has come.
    Reached,
    /// The time was up.
    TimedOut,
    /// Nothing works on the batch, so it will not come by itself.
    AtRest,
    /// What works on the batch gives no sign of life.
    Silent,
}

/// Waits for a batch, and says how it stands then.
///
/// # Errors
/// When its file cannot be read.
pub async fn wait(
    file: &BatchFile,
    until: Until,
    timeout: Option<Duration>,
) -> Result<(Waited, BatchStatus), ActionError> {
    wait_for(file, timeout, |_, status| Ok(is_reached(until, status))).await
}

/// Waits until `enough` says so of a batch, which it is asked whenever it may have become true.
///
/// # Errors
/// When the file cannot be read, and those of `enough`.
pub async fn wait_for<E: From<ActionError>>(
    file: &BatchFile,
    timeout: Option<Duration>,
    mut enough: impl FnMut(&Store, &BatchStatus) -> Result<bool, E>,
) -> Result<(Waited, BatchStatus), E> {
    let store = Store::open_read(file.clone()).map_err(ActionError::from)?;
    let poll = Poll::every(STATUS_POLL).within(timeout);
    let mut version = None;
    let mut last: Option<BatchStatus> = None;
    loop {
        let now = store.version().map_err(ActionError::from)?;
        let holder = holder_of(file)?;
        let nobody = holder.is_none();
        let silent = holder.is_some_and(|holder| holder.silence().is_some());
        let status = match last.take() {
            Some(status) if version == Some(now) && !nobody && !silent => status,
            _ => status_of(&store)?,
        };
        version = Some(now);
        if enough(&store, &status)? {
            return Ok((Waited::Reached, status));
        }
        // A paused batch that somebody works on goes on some time.
        let is_at_rest = match status.state {
            State::Paused => status.pid.is_none(),
            // Somebody may be writing its tasks.
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

/// Waits until whoever makes a batch has written its tasks.
///
/// # Errors
/// When nobody writes them any more, or the file cannot be read.
pub async fn until_complete(file: &BatchFile) -> Result<(), ActionError> {
    let (store, poll) = (Store::open_read(file.clone())?, Poll::every(STATUS_POLL));
    while store.info()?.origin.missing.is_some() {
        if holder_of(file)?.is_none() {
            // They may have come in between.
            return ActionError::refuse_incomplete(file, &store.info()?);
        }
        poll.again().await;
    }
    Ok(())
}

fn is_reached(until: Until, status: &BatchStatus) -> bool {
    let done = status.state.is_done();
    match until {
        Until::Done => done,
        Until::FirstFailure => done || status.failed > 0,
        Until::Finished(count) => done || status.finished() >= count,
        Until::AtRest => status.pid.is_none(),
    }
}
