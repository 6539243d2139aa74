//! Removing whole batches: [`remove`] and [`prune`].

use std::time::Duration;

use batch_core::BatchId;
use batch_store::{BatchFile, Lease, Store};

use crate::error::ActionError;
use crate::home::{Home, now};
use crate::status::{State, status_of};

/// Removes batches with all their files, or none where somebody works on one of them.
///
/// # Errors
/// When one is being worked on, or files cannot be removed.
pub fn remove(files: &[BatchFile]) -> Result<(), ActionError> {
    let mut leases = Vec::new();
    for file in files {
        // A file that cannot be read can be removed all the same.
        let batch =
            Store::open_read(file.clone()).map_or_else(|_| BatchId::default(), |s| s.batch());
        let taken = Lease::take(file).map_err(|error| ActionError::of_lease(batch, file, error));
        leases.push(taken?);
    }
    for file in files {
        file.remove()?;
    }
    Ok(())
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
        let Ok(store) = Store::open_read(file.clone()) else {
            continue;
        };
        let status = status_of(&store)?;
        let overview = store.overview()?;
        let last = overview
            .run
            .map_or(overview.info.created_at, |run| run.seen_at);
        let over = matches!(status.state, State::Completed | State::Failed);
        let never_used = status.state == State::Completed && status.total == 0;
        if !(over || never_used) || now().since(last) < older_than {
            continue;
        }
        drop(store);
        if !dry_run {
            remove(&[file])?;
        }
        removed.push(batch);
    }
    Ok(removed)
}
