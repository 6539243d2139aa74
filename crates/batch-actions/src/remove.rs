//! Removing whole batches: [`remove`] and [`prune`].

use std::time::Duration;

use batch_core::BatchId;
use batch_process::{Leftover, remove_dead_scratch};
use batch_store::{BatchFile, Lease, LeaseError, Store};

use crate::clock::now;
use crate::engine::take_lease_to_remove;
use crate::error::ActionError;
use crate::home::Home;
use crate::outlived::{end_outlived, end_outlived_of};
use crate::status::{State, status_of};

/// Removes batches with all their files, or none where someone works on one of them. One that is half removed is removed
/// to its end. First ends what dead executors left: with its batch gone, nothing would lead to it any more. Gives what
/// that was.
///
/// # Errors
/// When one is being worked on, or files cannot be removed.
pub async fn remove(files: &[BatchFile]) -> Result<Vec<Leftover>, ActionError> {
    let mut leases = Vec::new();
    for file in files {
        if !file.is_half_removed() {
            leases.push((file, take_lease_to_remove(file).await?));
        }
    }
    let mut leftovers = Vec::new();
    for (file, lease) in &leases {
        leftovers.extend(end_outlived_of(file, lease.left()?.holder.as_ref()).await);
    }
    for file in files {
        file.remove()?;
    }
    remove_dead_scratch();
    Ok(leftovers)
}

/// What [`prune`] did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// The batches that are gone, or would be.
    pub removed: Vec<BatchId>,
    /// Those that could not be looked at or removed, and why.
    pub failed: Vec<(BatchId, ActionError)>,
    /// Processes that dead executors had left, and that were ended first.
    pub leftovers: Vec<Leftover>,
}

/// Removes the batches in which everything is finished and nothing happened for a while; with `dry_run` it
/// only tells which those are. What dead executors left of any batch is ended first, and what killed processes left of
/// files goes as well.
///
/// # Errors
/// When the folder cannot be read.
pub async fn prune(
    home: &Home,
    older_than: Duration,
    dry_run: bool,
) -> Result<Pruned, ActionError> {
    let mut pruned = Pruned::default();
    for batch in home.batches_there()? {
        let file = home.file(batch);
        if !dry_run {
            pruned.leftovers.extend(end_outlived(&file).await);
        }
        match prune_one(&file, older_than, dry_run) {
            Ok(true) => pruned.removed.push(batch),
            Ok(false) => {}
            Err(error) => pruned.failed.push((batch, error)),
        }
    }
    if !dry_run {
        for (batch, file) in home.half_removed() {
            if let Err(error) = file.remove() {
                pruned.failed.push((batch, error.into()));
            }
        }
        home.remove_debris();
        remove_dead_scratch();
    }
    Ok(pruned)
}

/// Removes a batch that is over, or only looks. Whether it is over.
fn prune_one(file: &BatchFile, older_than: Duration, dry_run: bool) -> Result<bool, ActionError> {
    if !is_over(file, older_than)? {
        return Ok(false);
    }
    if dry_run {
        return Ok(true);
    }
    // Held until it is gone, so that nobody begins to work on it; and looked at again, as someone may have.
    let _lease = match Lease::take_unsigned(file) {
        Err(LeaseError::Held(_)) => return Ok(false),
        taken => taken.map_err(|error| ActionError::of_lease(file, error))?,
    };
    if !is_over(file, older_than)? {
        return Ok(false);
    }
    file.remove()?;
    Ok(true)
}

/// Whether everything in a batch is finished and nothing has happened for a while. What is no batch of ours is not over,
/// and one that another process removes meanwhile is no matter of ours.
fn is_over(file: &BatchFile, older_than: Duration) -> Result<bool, ActionError> {
    let look = || -> Result<bool, ActionError> {
        let store = Store::open_read(file.clone())?;
        let state = status_of(&store)?.state;
        let overview = store.overview()?;
        let last = overview
            .run
            .as_ref()
            .map_or(overview.info.created_at, |run| run.seen_at);
        // One whose input was not read to its end is stopped, and has nothing left to do either.
        // Nor has one whose tasks never came.
        let ended = matches!(
            state,
            State::Completed | State::Failed | State::Stopped | State::Incomplete
        );
        Ok(ended && overview.totals.open() == 0 && now().since(last) >= older_than)
    };
    match look() {
        Err(error) if error.is_usage() => Ok(false),
        looked => looked,
    }
}
