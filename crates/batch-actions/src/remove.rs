//! Removing whole batches: [`remove`] and [`prune`].

use std::time::Duration;

use batch_core::BatchId;
use batch_process::Leftover;
use batch_store::{BatchFile, Lease, LeftInLease, Store};

use crate::engine::{end_leftovers, me, take_lease};
use crate::error::ActionError;
use crate::home::{Home, now};
use crate::status::{State, status_of};

/// Removes batches with all their files, or none where somebody works on one of them. First ends what dead executors
/// left: with its batch gone, nothing would lead to it any more. Gives what that was.
///
/// # Errors
/// When one is being worked on, or files cannot be removed.
pub async fn remove(files: &[BatchFile]) -> Result<Vec<Leftover>, ActionError> {
    let mut leases = Vec::new();
    for file in files {
        leases.push(take_lease(file).await?);
    }
    let mut leftovers = Vec::new();
    for (file, (_, left)) in files.iter().zip(&leases) {
        leftovers.extend(end_leftovers_of(file, left).await);
        file.remove()?;
    }
    Ok(leftovers)
}

/// Ends what dead executors left of a batch that is about to go. Where its file cannot be read, the lease still tells
/// of the last of them.
async fn end_leftovers_of(file: &BatchFile, left: &LeftInLease) -> Vec<Leftover> {
    let runs = Store::open_read(file.clone()).and_then(|store| store.unended_runs());
    end_leftovers(&runs.unwrap_or_default(), left).await
}

/// Removes a batch that has no task, unless somebody works on it or adds one; whether it did.
///
/// # Errors
/// When it cannot be read or removed.
pub fn remove_empty(file: &BatchFile) -> Result<bool, ActionError> {
    let Ok(_lease) = Lease::take(file, &me(0)) else {
        return Ok(false);
    };
    let is_empty = Store::open_read(file.clone())?.info()?.next_task == 1;
    if is_empty {
        file.remove()?;
    }
    Ok(is_empty)
}

/// What [`prune`] removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The batches.
    pub batches: Vec<BatchId>,
    /// Processes that dead executors had left, and that were ended first.
    pub leftovers: Vec<Leftover>,
}

/// Removes the batches in which everything is finished and nothing happened for a while; with `dry_run` it
/// only tells which those are. What dead executors left of them is ended first.
///
/// # Errors
/// When the folder cannot be read, or a file cannot be removed.
pub async fn prune(
    home: &Home,
    older_than: Duration,
    dry_run: bool,
) -> Result<Pruned, ActionError> {
    let mut pruned = Pruned::default();
    for batch in home.batches_there()? {
        let file = home.file(batch);
        if !is_over(&file, older_than) {
            continue;
        }
        if !dry_run {
            // Held until it is gone, so that nobody begins to work on it; and looked at again, as somebody may have.
            let Ok((_lease, left)) = Lease::take(&file, &me(0)) else {
                continue;
            };
            if !is_over(&file, older_than) {
                continue;
            }
            let leftovers = end_leftovers_of(&file, &left).await;
            pruned.leftovers.extend(leftovers);
            file.remove()?;
        }
        pruned.batches.push(batch);
    }
    Ok(pruned)
}

/// Whether everything in a batch is finished and nothing has happened for a while. One that cannot be read is
/// not over, and one that another process removes meanwhile is no matter of ours.
fn is_over(file: &BatchFile, older_than: Duration) -> bool {
    let look = || -> Result<bool, ActionError> {
        let store = Store::open_read(file.clone())?;
        let state = status_of(&store)?.state;
        let overview = store.overview()?;
        let last = overview
            .run
            .as_ref()
            .map_or(overview.info.created_at, |run| run.seen_at);
        // One whose input was not read to its end is stopped, and has nothing left to do either.
        let ended = matches!(state, State::Completed | State::Failed | State::Stopped);
        Ok(ended && overview.open() == 0 && now().since(last) >= older_than)
    };
    look().unwrap_or(false)
}
