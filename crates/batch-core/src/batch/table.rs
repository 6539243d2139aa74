//! Where a batch keeps its tasks: [`Table`], one [`Slot`] a task.
//!
//! Ids are handed out in order, so a task is found by dividing. Slots live in chunks; a chunk in which
//! every task is finished shrinks to two bits a task, so a batch that is fed while it runs stays small
//! however many tasks pass through it.

use std::sync::Arc;

use crate::ids::TaskId;
use crate::spec::TaskSpec;
use crate::status::{CancelReason, Priority, Status};
use crate::time::Time;

const CHUNK: usize = 1024;

/// All tasks of a batch.
#[derive(Debug, Default)]
pub(super) struct Table {
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Debug)]
enum Chunk {
    Live { slots: Vec<Slot>, open: u32 },
    Finished(Box<[u8; CHUNK / 4]>),
}

/// The bookkeeping of one task.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) state: State,
    /// Let go when the task is finished.
    pub(super) spec: Option<Arc<TaskSpec>>,
    pub(super) attempts: u32,
    pub(super) retries: u32,
    /// First edge to a task that waits for this one; 0 for none.
    pub(super) dependents: u32,
    /// The limit it counts against.
    pub(super) group: u16,
    /// Its function, for the estimate of its duration.
    pub(super) kind: u16,
    pub(super) priority: Priority,
}

/// What a task is at a moment, with the data that is valid then.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Waiting {
        missing: u32,
    },
    Ready(Ready),
    Delayed {
        until: Time,
    },
    /// Cut off, and not to run again before it is released.
    Held,
    Running {
        slot: u32,
        started: Time,
        deadline: Option<Time>,
        ending: Option<Ending>,
    },
    Done(Status),
    /// Completed and cleared away before this run: there is no such task any more.
    Removed,
}

/// A place in a queue of ready tasks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) since: Time,
    /// The order in which tasks became ready.
    pub(super) seq: u64,
    pub(super) prev: Option<TaskId>,
    pub(super) next: Option<TaskId>,
    /// It has been tried before and goes ahead of those that have not.
    pub(super) again: bool,
}

/// Why a running attempt was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Timeout,
    Cancelled(CancelReason),
    Shutdown,
}

impl Slot {
    /// The slot of a task that is over, with nothing kept of it but that.
    pub(super) fn over(state: State) -> Self {
        Self {
            state,
            spec: None,
            attempts: 0,
            retries: 0,
            dependents: 0,
            group: 0,
            kind: 0,
            priority: Priority::default(),
        }
    }
}

impl State {
    /// Ready since a time; the queue fills in the place.
    pub(super) fn ready(since: Time) -> Self {
        Self::Ready(Ready {
            since,
            seq: 0,
            prev: None,
            next: None,
            again: false,
        })
    }

    /// Ready since a time, and ahead of those that were not tried before.
    pub(super) fn next(since: Time) -> Self {
        match Self::ready(since) {
            Self::Ready(ready) => Self::Ready(Ready {
                again: true,
                ..ready
            }),
            other => other,
        }
    }

    /// Nothing more becomes of it by itself.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Done(_) | Self::Removed)
    }

    /// Work that will be done by and by: unfinished, not running, and not held.
    pub(super) fn is_pending(self) -> bool {
        matches!(
            self,
            Self::Waiting { .. } | Self::Ready(_) | Self::Delayed { .. }
        )
    }
}

impl Table {
    /// The number of tasks ever added.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, slot: Slot) -> TaskId {
        let id = TaskId::from_index(self.len);
        if self.len.is_multiple_of(CHUNK) {
            // The first chunk of a small batch should not cost a thousand slots.
            let capacity = if self.len == 0 { 16 } else { CHUNK };
            self.chunks.push(Chunk::Live {
                slots: Vec::with_capacity(capacity),
                open: 0,
            });
        }
        match self.chunks.last_mut() {
            Some(Chunk::Live { slots, open }) => {
                slots.push(slot);
                *open += 1;
            }
            _ => unreachable!("the last chunk is live until it is full"),
        }
        self.len += 1;
        id
    }

    /// The slot of a task; `None` when it does not exist or its chunk is finished.
    pub(super) fn get(&self, id: TaskId) -> Option<&Slot> {
        match self.chunks.get(id.index() / CHUNK)? {
            Chunk::Live { slots, .. } => slots.get(id.index() % CHUNK),
            Chunk::Finished(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Slot> {
        match self.chunks.get_mut(id.index() / CHUNK)? {
            Chunk::Live { slots, .. } => slots.get_mut(id.index() % CHUNK),
            Chunk::Finished(_) => None,
        }
    }

    /// The slot of a task known to be unfinished.
    pub(super) fn open_mut(&mut self, id: TaskId) -> &mut Slot {
        self.get_mut(id).expect("an unfinished task has a slot")
    }

    /// The final status of a task, if it has one.
    pub(super) fn final_status(&self, id: TaskId) -> Option<Status> {
        match self.chunks.get(id.index() / CHUNK)? {
            Chunk::Live { slots, .. } => match slots.get(id.index() % CHUNK)?.state {
                State::Done(status) => Some(status),
                _ => None,
            },
            Chunk::Finished(bits) => match unpack(bits, id.index() % CHUNK) {
                State::Done(status) => Some(status),
                _ => None,
            },
        }
    }

    /// Notes that a finished task is to be unfinished again; a chunk that was let go comes back. The state
    /// of the task is the caller's next step.
    pub(super) fn reopen(&mut self, id: TaskId) {
        let chunk = &mut self.chunks[id.index() / CHUNK];
        if let Chunk::Finished(bits) = chunk {
            let slots = (0..CHUNK).map(|at| Slot::over(unpack(bits, at)));
            *chunk = Chunk::Live {
                slots: slots.collect(),
                open: 0,
            };
        }
        if let Chunk::Live { open, .. } = chunk {
            *open += 1;
        }
    }

    /// Notes that a task of this chunk is finished; the last one lets the chunk go.
    pub(super) fn close(&mut self, id: TaskId) {
        let chunk = &mut self.chunks[id.index() / CHUNK];
        let Chunk::Live { slots, open } = chunk else {
            unreachable!("a finished chunk has no unfinished task");
        };
        *open -= 1;
        if *open == 0 && slots.len() == CHUNK {
            *chunk = Chunk::Finished(pack(slots));
        }
    }

    /// The ids of all unfinished tasks, in order.
    pub(super) fn open_ids(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.chunks
            .iter()
            .enumerate()
            .filter_map(|(number, chunk)| match chunk {
                Chunk::Live { slots, open } if *open > 0 => Some((number, slots)),
                _ => None,
            })
            .flat_map(|(number, slots)| {
                slots
                    .iter()
                    .enumerate()
                    .filter(|(_, slot)| !slot.state.is_over())
                    .map(move |(at, _)| TaskId::from_index(number * CHUNK + at))
            })
    }
}

fn pack(slots: &[Slot]) -> Box<[u8; CHUNK / 4]> {
    let mut bits = Box::new([0; CHUNK / 4]);
    for (at, slot) in slots.iter().enumerate() {
        let code = match slot.state {
            State::Done(Status::Completed) => 0,
            State::Done(Status::Failed) => 1,
            State::Removed => 3,
            _ => 2,
        };
        bits[at / 4] |= code << (at % 4 * 2);
    }
    bits
}

fn unpack(bits: &[u8; CHUNK / 4], at: usize) -> State {
    match bits[at / 4] >> (at % 4 * 2) & 3 {
        0 => State::Done(Status::Completed),
        1 => State::Done(Status::Failed),
        2 => State::Done(Status::Cancelled),
        _ => State::Removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_small() {
        assert!(size_of::<Slot>() <= 72, "{}", size_of::<Slot>());
    }
}
