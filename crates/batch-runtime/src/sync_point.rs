//! Waiting until all sinks have synced: [`SyncPoint`], and what each sink owes for it: [`Ack`].

use std::sync::Arc;

use tokio::sync::watch;

/// A moment that all sinks reach when they have synced what came before it. Clones wait for the same.
#[derive(Clone, Debug)]
pub(crate) struct SyncPoint(watch::Receiver<Progress>);

/// How far sinks have come with a sync.
#[derive(Clone, Copy, Debug)]
struct Progress {
    missing: usize,
    /// A sink failed before it came there.
    lost: bool,
}

/// What a sink owes for a sync. Dropping it says that it failed.
#[derive(Debug)]
pub(crate) struct Ack(Option<Arc<watch::Sender<Progress>>>);

impl SyncPoint {
    /// A point for this many sinks, and what they owe.
    pub(crate) fn new(sinks: usize) -> (Self, Vec<Ack>) {
        let progress = Progress {
            missing: sinks,
            lost: false,
        };
        let (sender, receiver) = watch::channel(progress);
        let sender = Arc::new(sender);
        let acks = (0..sinks).map(|_| Ack(Some(Arc::clone(&sender)))).collect();
        (Self(receiver), acks)
    }

    /// Waits for the point; `false` when a sink failed.
    pub(crate) async fn reached(mut self) -> bool {
        let over = self
            .0
            .wait_for(|progress| progress.lost || progress.missing == 0);
        // The senders are gone when each has said how it went.
        over.await.is_ok_and(|progress| !progress.lost)
    }
}

impl Ack {
    pub(crate) fn give(mut self) {
        if let Some(progress) = self.0.take() {
            progress.send_modify(|progress| progress.missing -= 1);
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(progress) = self.0.take() {
            progress.send_modify(|progress| progress.lost = true);
        }
    }
}
