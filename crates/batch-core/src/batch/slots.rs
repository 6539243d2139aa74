//! What runs: [`Slots`], one [`Attempt`] in each that is taken.

use std::num::NonZeroU32;

use crate::ids::TaskId;
use crate::status::CancelReason;
use crate::time::Time;

/// The slots that attempts run in. The state of a running task names its slot.
#[derive(Debug)]
pub(super) struct Slots {
    /// How many attempts may run at once.
    pub(super) limit: u32,
    running: u32,
    free: Vec<u32>,
    attempts: Vec<Option<Attempt>>,
}

/// An attempt that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) task: TaskId,
    pub(super) started: Time,
    pub(super) deadline: Option<Time>,
    /// Why it was asked to end, if it was.
    pub(super) ending: Option<EndCause>,
}

/// Why a running attempt was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndCause {
    Timeout,
    Cancelled(CancelReason),
    Shutdown,
}

impl Attempt {
    pub(super) fn new(task: TaskId, started: Time, deadline: Option<Time>) -> Self {
        Self {
            task,
            started,
            deadline,
            ending: None,
        }
    }

    /// When its timer goes off. One that was asked to end has none.
    pub(super) fn timer(&self) -> Option<Time> {
        self.deadline.filter(|_| self.ending.is_none())
    }
}

impl Slots {
    pub(super) fn new(limit: NonZeroU32) -> Self {
        Self {
            limit: limit.get(),
            running: 0,
            free: Vec::new(),
            attempts: Vec::new(),
        }
    }

    /// How many attempts run.
    pub(super) fn running(&self) -> u32 {
        self.running
    }

    pub(super) fn has_room(&self) -> bool {
        self.running < self.limit
    }

    /// Puts an attempt into a free slot; returns the number of the slot.
    pub(super) fn take(&mut self, attempt: Attempt) -> u32 {
        self.running += 1;
        if let Some(slot) = self.free.pop() {
            self.attempts[slot as usize] = Some(attempt);
            return slot;
        }
        self.attempts.push(Some(attempt));
        u32::try_from(self.attempts.len() - 1).expect("fewer than 2^32 tasks run at once")
    }

    /// Frees a slot; returns the attempt that was in it.
    pub(super) fn give_back(&mut self, slot: u32) -> Attempt {
        self.running -= 1;
        self.free.push(slot);
        let attempt = self.attempts[slot as usize].take();
        attempt.expect("a running task is in its slot")
    }

    pub(super) fn get(&self, slot: u32) -> &Attempt {
        let attempt = self.attempts[slot as usize].as_ref();
        attempt.expect("a running task is in its slot")
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Attempt {
        let attempt = self.attempts[slot as usize].as_mut();
        attempt.expect("a running task is in its slot")
    }

    /// The slots that are taken, in the order of the ids of their tasks.
    pub(super) fn taken(&self) -> Vec<(TaskId, u32)> {
        let attempts = (0..).zip(&self.attempts);
        let mut taken: Vec<_> = attempts
            .filter_map(|(slot, attempt)| Some((attempt.as_ref()?.task, slot)))
            .collect();
        taken.sort_unstable();
        taken
    }
}
