//! Removing whole batches: [`remove`] and [`prune`].

use std::time::Duration;

use batch_core::BatchId;
use batch_store::{BatchFile, Lease, Store};

use crate::engine::{me, take_lease};
use crate::error::ActionError;
use crate::home::{Home, now};
use crate::status::{State, status_of};

/// Removes batches with all their files, or none where somebody works on one of them.
///
/// # Errors
/// When one is being worked on, or files cannot be removed.
pub async fn remove(files: &[BatchFile]) -> Result<(), ActionError> {
    let mut leases = Vec::new();
    for file in files {
        leases.push(take_lease(file, 0).await?);
    }
    for file in files {
        file.remove()?;
    }
    Ok(())
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

/// Removes the batches in which everything is finished and nothing happened for a while; with `dry_run` it
/// only tells which those are.
///
/// # Errors
/// When the folder cannot be read, or a file cannot be removed.
pub fn prune(
    home: &Home,
    older_than: Duration,
    dry_run: bool,
) -> Result<Vec<BatchId>, ActionError> {
    let mut removed = Vec::new();
    for batch in home.batches_there()? {
        let file = home.file(batch);
        if !is_over(&file, older_than) {
            continue;
        }
        if !dry_run {
            // Held until it is gone, so that nobody begins to work on it; and looked at again, as somebody may have.
            let Ok(_lease) = Lease::take(&file, &me(0)) else {
                continue;
            };
            if !is_over(&file, older_than) {
                continue;
            }
            file.remove()?;
        }
        removed.push(batch);
    }
    Ok(removed)
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
        // Nor has one whose tasks never came.
        let ended = matches!(
            state,
            State::Completed | State::Failed | State::Stopped | State::Incomplete
        );
        Ok(ended && overview.open() == 0 && now().since(last) >= older_than)
    };
    look().unwrap_or(false)
}
