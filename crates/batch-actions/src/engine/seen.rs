//! What of the file a run has seen: [`Seen`].

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

use batch_core::{Batch, TaskId};
use tokio::time::Instant;

/// What of the file the run has seen.
pub(super) struct Seen {
    pub(super) next_task: TaskId,
    pub(super) last_request: i64,
    pub(super) limits: BTreeMap<String, NonZeroU32>,
    /// More tasks come from this process.
    pub(super) feeding: bool,
    /// The run ends only when it is stopped.
    pub(super) stay: bool,
    /// When the file last said how the run is progressing.
    pub(super) heartbeat: Option<Instant>,
    /// Answers that could not be written yet, each with its request.
    pub(super) unanswered: VecDeque<(i64, String)>,
    /// The end of the run is on record.
    pub(super) ended: bool,
}

impl Seen {
    /// With `told`, what the file says of the run is enough for now.
    pub(super) fn new(batch: &Batch, feeding: bool, stay: bool, told: bool) -> Self {
        Self {
            next_task: batch.next_id(),
            last_request: 0,
            limits: batch.settings().limits.clone(),
            feeding,
            stay,
            heartbeat: told.then(Instant::now),
            unanswered: VecDeque::new(),
            ended: false,
        }
    }

    /// Whether the run may end when all is done.
    pub(super) const fn may_end(&self) -> bool {
        !self.feeding && !self.stay
    }
}
