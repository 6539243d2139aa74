//! The tokio runtime of a command: [`runtime`].

use std::num::NonZeroU32;

use batch_runtime::start_runtime;
use tokio::runtime::{Builder, Runtime};

use crate::exit::CliError;

/// Threads for work that blocks, where there are few to be had.
const FEW_THREADS: usize = 4;

pub(crate) fn runtime() -> Result<Runtime, CliError> {
    runtime_within(None)
}

/// A runtime that leaves the processes to the tasks where the limits of the system allow few.
pub(crate) fn runtime_within(most_at_once: Option<NonZeroU32>) -> Result<Runtime, CliError> {
    let mut builder = Builder::new_current_thread();
    if most_at_once.is_some() {
        builder.max_blocking_threads(FEW_THREADS);
    }
    start_runtime(builder.enable_all())
        .map_err(|error| CliError::System("start the runtime", error))
}
