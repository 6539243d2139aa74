//! The thread that talks with servers: [`spawn`].
//!
//! The library of the protocol parses an answer as a whole, on the thread it runs on. On the thread of the driver a long
//! one would delay the timeouts of all other tasks.

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinError, JoinHandle};

/// Work on that thread, which ends when this is dropped.
pub(crate) struct OnIoThread<T>(JoinHandle<T>);

/// Does work on that thread.
///
/// # Panics
/// When the system has no thread to give.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> OnIoThread<T> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("mcp servers")
            .enable_all()
            .build();
        runtime.expect("a process that runs can have one thread more")
    });
    OnIoThread(runtime.spawn(work))
}

impl<T> OnIoThread<T> {
    pub(crate) fn abort_handle(&self) -> AbortHandle {
        self.0.abort_handle()
    }
}

impl<T> Future for OnIoThread<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for OnIoThread<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
