//! Work whose length depends on data: [`apart`], off the thread of the driver.

use std::panic::resume_unwind;

/// From so many bytes on, going through them takes longer than another thread takes to begin.
const MANY: usize = 64 * 1024;

/// Does work on so many bytes: here where they are few, else on a thread that may be busy for long.
///
/// The driver and all attempts may share one thread. Who reads or writes what a task made does it in here, so that
/// no task, by the size of what it makes, holds up the timeouts and the ends of others.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let text = "[1,2]".repeat(100_000);
/// let commas = batch_runtime::apart(text.len(), move || text.matches(',').count()).await;
/// assert_eq!(commas, 100_000);
/// # });
/// ```
///
/// # Panics
/// As the work does.
pub async fn apart<T: Send + 'static>(
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
            // The runtime is ending, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}
