//! Work whose length depends on data: [`offload`], off the thread of the driver.

use std::panic::resume_unwind;

/// From this size on, going through the bytes takes longer than another thread takes to begin.
const MANY: usize = 64 * 1024;

/// Does work on a number of bytes: on this thread if they are few, else on one that may be busy for long.
///
/// The driver and all attempts may share one thread. Use this to read or write what a task made, so that a large
/// output of one task does not delay the timeouts and the ends of others.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let text = "[1,2]".repeat(100_000);
/// let commas = batch_runtime::offload(text.len(), move || text.matches(',').count()).await;
/// assert_eq!(commas, 100_000);
/// # });
/// ```
///
/// # Panics
/// As the work does.
pub async fn offload<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if bytes < MANY {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is ending, and with it the one who waits here.
            Err(_) => std::future::pending().await,
        },
    }
}
