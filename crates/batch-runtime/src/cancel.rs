//! How a running attempt learns that it is to end: [`CancelToken`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use batch_core::control::Urgency;
use tokio::sync::Notify;

/// Tells one attempt that it is to end. Cheap to clone; made for one attempt.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<Cell>);

#[derive(Debug, Default)]
struct Cell {
    /// 0: go on, 1: end, 2: kill.
    level: AtomicU8,
    changed: Notify,
}

impl CancelToken {
    /// A token nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the attempt to end. An urgency once raised is not lowered.
    pub fn cancel(&self, urgency: Urgency) {
        let level = match urgency {
            Urgency::End => 1,
            Urgency::Kill => 2,
        };
        self.0.level.fetch_max(level, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }

    /// How urgently the attempt is to end, if it is.
    pub fn urgency(&self) -> Option<Urgency> {
        match self.0.level.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Urgency::End),
            _ => Some(Urgency::Kill),
        }
    }

    /// Waits until the attempt is to end with at least this urgency.
    pub async fn reached(&self, urgency: Urgency) {
        loop {
            let changed = self.0.changed.notified();
            if self.urgency().is_some_and(|now| now >= urgency) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the attempt is to end.
    pub async fn cancelled(&self) {
        self.reached(Urgency::End).await;
    }
}
