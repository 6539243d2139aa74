//! The thread of the conversations with servers: [`spawn`].
//!
//! An answer of a server is read into a tree before anything can be said of it, by a library that does so where it
//! runs. On the thread of the driver a long one would hold up the timeouts of all other tasks.

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinError, JoinHandle};

/// Work on the thread of the conversations, which ends when this is dropped.
pub(crate) struct Talk<T>(JoinHandle<T>);

/// Does work on the thread of the conversations.
///
/// # Panics
/// When the system has no thread to give.
pub(crate) fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Talk<T> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("mcp servers")
            .enable_all()
            .build();
        runtime.expect("a process that runs can have one thread more")
    });
    Talk(runtime.spawn(work))
}

impl<T> Talk<T> {
    pub(crate) fn abort_handle(&self) -> AbortHandle {
        self.0.abort_handle()
    }
}

impl<T> Future for Talk<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Talk<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
