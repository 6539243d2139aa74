//! Work that waits for the disk or for the run: [`on_store`], [`on_its_thread`], [`synced`].

use std::sync::{Arc, Mutex};

use batch_runtime::{RequestError, RunEnded};
use batch_store::{Store, lock};
use tokio::task::spawn_blocking;

use crate::error::ActionError;

/// Does something with the file on another thread: it may wait for the disk, and the tasks need this one.
pub(crate) async fn on_store<T: Send + 'static>(
    store: &Arc<Mutex<Store>>,
    work: impl FnOnce(&mut Store) -> Result<T, ActionError> + Send + 'static,
) -> Result<T, ActionError> {
    let store = Arc::clone(store);
    on_its_thread(move || work(&mut lock(&store))).await
}

/// Does something that may wait for long on another thread.
pub(crate) async fn on_its_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|gone| std::panic::resume_unwind(gone.into_panic()))
}

/// What was asked of a run that is over is not done.
pub(crate) fn synced<T>(answer: Result<T, RunEnded>) -> Result<T, ActionError> {
    answer.map_err(|gone| ActionError::Refused(gone.to_string()))
}

/// As [`synced`], for what the batch itself may refuse.
pub(crate) fn done<E: std::error::Error + 'static>(
    answer: Result<(), RequestError<E>>,
) -> Result<(), ActionError> {
    answer.map_err(|error| ActionError::Refused(error.to_string()))
}
