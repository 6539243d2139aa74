//! Processes that outlived their executor: [`end_outlived`].

use batch_process::Leftover;
use batch_store::{BatchFile, Holder, Lease, Store};

use crate::engine::end_leftovers;

/// Ends what dead executors left of a batch, and tells what that was. The process that works on the batch now keeps what it
/// started. Costs little where no executor died.
pub async fn end_outlived(file: &BatchFile) -> Vec<Leftover> {
    end_outlived_of(file, Lease::last_holder(file).as_ref()).await
}

/// The same for a batch whose lease was last held by `last`. Where its file cannot be read, that still tells of the last
/// executor.
pub(crate) async fn end_outlived_of(file: &BatchFile, last: Option<&Holder>) -> Vec<Leftover> {
    let runs = Store::open_read(file.clone()).and_then(|store| store.unended_runs());
    end_leftovers(&runs.unwrap_or_default(), last).await
}
