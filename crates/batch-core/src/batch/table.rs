//! Where a batch keeps its tasks: [`Table`], one [`Entry`] a task.
//!
//! Ids are handed out in order, so a task is found by dividing. Entries are kept in chunks; a chunk in which
//! every task is finished shrinks to two bits a task, so a batch that is fed while it runs stays small
//! however many tasks pass through it.

use std::sync::Arc;

use crate::ids::TaskId;
use crate::spec::TaskSpec;
use crate::status::{Priority, Status};
use crate::time::Time;

const CHUNK: usize = 1024;

/// All tasks of a batch.
#[derive(Debug, Default)]
pub(super) struct Table {
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Debug)]
struct Chunk {
    /// Empty once all tasks of the chunk are finished.
    entries: Vec<Entry>,
    /// How many of them are unfinished.
    open: u32,
    /// What the finished ones ended as.
    ends: Ends,
}

/// What each task of a chunk ended as, in two bits; it says nothing about those that are unfinished.
#[derive(Debug)]
struct Ends([u8; CHUNK / 4]);

/// The bookkeeping of one task. A claim looks for it in a cold cache, so it is kept small.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) state: State,
    /// Dropped when the task is finished.
    pub(super) spec: Option<Arc<TaskSpec>>,
    pub(super) attempts: u32,
    pub(super) retries: u32,
    /// First edge to a task that waits for this one; 0 for none.
    pub(super) dependents: u32,
    /// Its function, for the estimate of its duration.
    pub(super) kind: u16,
    /// Its limit and its priority.
    pub(super) lane: Lane,
}

/// The limit a task counts against together with its priority, in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane(u16);

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
    /// Not to start before a time on the wall clock.
    Scheduled {
        at: Time,
    },
    /// To run when all others have ended.
    Last,
    /// Not to run before it is released; this many of those it depends on are still missing.
    Held {
        missing: u32,
    },
    /// In a slot, which knows the rest.
    Running {
        slot: u32,
    },
    Done(Status),
    /// Completed and cleared away before this run: there is no such task any more.
    Removed,
}

/// A place in a queue of ready tasks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) since: Time,
    pub(super) position: u32,
    /// It has been tried before and goes ahead of those that have not.
    pub(super) again: bool,
}

impl Lane {
    /// How many limits can be told apart; what is beyond counts against the last of them.
    pub(super) const GROUPS: usize = u16::MAX as usize / Priority::ALL.len();

    pub(super) fn new(group: u16, priority: Priority) -> Self {
        Self(group * Priority::ALL.len() as u16 + priority.rank() as u16)
    }

    pub(super) fn group(self) -> usize {
        self.0 as usize / Priority::ALL.len()
    }

    pub(super) fn priority(self) -> Priority {
        Priority::ALL[self.0 as usize % Priority::ALL.len()]
    }

    /// The same limit with another priority.
    pub(super) fn with_priority(self, priority: Priority) -> Self {
        let first = self.0 - self.priority().rank() as u16;
        Self(first + priority.rank() as u16)
    }
}

impl Entry {
    /// What the task is, which is known to be unfinished.
    pub(super) fn spec(&self) -> &Arc<TaskSpec> {
        let spec = self.spec.as_ref();
        spec.expect("an unfinished task has its spec")
    }

    /// The state of a task that waits for no other it names: ready, not before its time, or behind all others.
    pub(super) fn startable(&self, now: Time) -> State {
        let options = &self.spec().options;
        match options.not_before {
            _ if options.finally && self.attempts == 0 => State::Last,
            Some(at) if at > now => State::Scheduled { at },
            _ => State::ready(now),
        }
    }

    /// The state of a task whose attempt did not begin after all.
    pub(super) fn postponed(&self, now: Time) -> State {
        if self.spec().options.finally && self.attempts == 0 {
            State::Last
        } else {
            State::next(now)
        }
    }

    /// The entry of a task that is over, with nothing kept of it but that.
    pub(super) fn over(state: State) -> Self {
        Self {
            state,
            spec: None,
            attempts: 0,
            retries: 0,
            dependents: 0,
            kind: 0,
            lane: Lane::new(0, Priority::default()),
        }
    }
}

impl State {
    /// Ready since a time; the queue fills in the position.
    pub(super) fn ready(since: Time) -> Self {
        Self::Ready(Ready {
            since,
            position: 0,
            again: false,
        })
    }

    /// Ready since a time, and ahead of those that were not tried before.
    pub(super) fn next(since: Time) -> Self {
        Self::Ready(Ready {
            since,
            position: 0,
            again: true,
        })
    }

    /// Nothing more becomes of it by itself.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Done(_) | Self::Removed)
    }

    /// Work that is still to be started: unfinished, not running, and not held.
    pub(super) fn is_pending(self) -> bool {
        matches!(
            self,
            Self::Waiting { .. }
                | Self::Ready(_)
                | Self::Delayed { .. }
                | Self::Scheduled { .. }
                | Self::Last
        )
    }
}

impl Ends {
    fn set(&mut self, at: usize, state: State) {
        let code = match state {
            State::Done(Status::Completed) => 0,
            State::Done(Status::Failed) => 1,
            State::Removed => 3,
            _ => 2,
        };
        let byte = &mut self.0[at / 4];
        *byte = *byte & !(3 << (at % 4 * 2)) | code << (at % 4 * 2);
    }

    fn get(&self, at: usize) -> State {
        match self.0[at / 4] >> (at % 4 * 2) & 3 {
            0 => State::Done(Status::Completed),
            1 => State::Done(Status::Failed),
            2 => State::Done(Status::Cancelled),
            _ => State::Removed,
        }
    }
}

impl Table {
    /// The number of tasks ever added.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, entry: Entry) -> TaskId {
        let id = TaskId::from_index(self.len);
        if self.len.is_multiple_of(CHUNK) {
            // The first chunk of a small batch should not cost a thousand entries.
            let capacity = if self.len == 0 { 16 } else { CHUNK };
            self.chunks.push(Chunk {
                entries: Vec::with_capacity(capacity),
                open: 0,
                ends: Ends([0; CHUNK / 4]),
            });
        }
        let chunk = self.chunks.last_mut().expect("there is a chunk");
        chunk.entries.push(entry);
        chunk.open += 1;
        self.len += 1;
        id
    }

    /// The entry of a task; `None` when it does not exist or all of its chunk is finished.
    #[inline]
    pub(super) fn get(&self, id: TaskId) -> Option<&Entry> {
        let chunk = self.chunks.get(id.index() / CHUNK)?;
        chunk.entries.get(id.index() % CHUNK)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Entry> {
        let chunk = self.chunks.get_mut(id.index() / CHUNK)?;
        chunk.entries.get_mut(id.index() % CHUNK)
    }

    /// The entry of a task known to be unfinished.
    pub(super) fn open(&self, id: TaskId) -> &Entry {
        self.get(id).expect("an unfinished task has an entry")
    }

    /// The entry of a task known to be unfinished.
    pub(super) fn open_mut(&mut self, id: TaskId) -> &mut Entry {
        self.get_mut(id).expect("an unfinished task has an entry")
    }

    /// The final status of a task, if it has one.
    pub(super) fn final_status(&self, id: TaskId) -> Option<Status> {
        let state = match self.get(id) {
            Some(entry) => entry.state,
            None if id.index() >= self.len => return None,
            None => self.chunks[id.index() / CHUNK].ends.get(id.index() % CHUNK),
        };
        match state {
            State::Done(status) => Some(status),
            _ => None,
        }
    }

    /// Notes that a finished task is to be unfinished again; entries that were dropped come back. The state
    /// of the task is the caller's next step.
    pub(super) fn reopen(&mut self, id: TaskId) {
        let chunk = &mut self.chunks[id.index() / CHUNK];
        if chunk.entries.is_empty() {
            let ends = (0..CHUNK).map(|at| Entry::over(chunk.ends.get(at)));
            chunk.entries = ends.collect();
        }
        chunk.open += 1;
    }

    /// Notes that a task is finished; the last one of a chunk lets the entries of the chunk go. Returns those
    /// that wait for it.
    #[inline]
    pub(super) fn close(&mut self, id: TaskId) -> u32 {
        let chunk = &mut self.chunks[id.index() / CHUNK];
        let entry = &mut chunk.entries[id.index() % CHUNK];
        let dependents = std::mem::take(&mut entry.dependents);
        chunk.ends.set(id.index() % CHUNK, entry.state);
        chunk.open -= 1;
        if chunk.open == 0 && chunk.entries.len() == CHUNK {
            chunk.entries = Vec::new();
        }
        dependents
    }

    /// The ids of all unfinished tasks, in order.
    pub(super) fn open_ids(&self) -> impl Iterator<Item = TaskId> + '_ {
        let chunks = self.chunks.iter().enumerate();
        chunks
            .filter(|(_, chunk)| chunk.open > 0)
            .flat_map(|(number, chunk)| {
                let entries = chunk.entries.iter().enumerate();
                entries
                    .filter(|(_, entry)| !entry.state.is_over())
                    .map(move |(at, _)| TaskId::from_index(number * CHUNK + at))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 40, "{}", size_of::<Entry>());
    }

    #[test]
    fn a_lane_is_a_limit_and_a_priority() {
        for group in [0, 1, 7, Lane::GROUPS as u16 - 1] {
            for priority in Priority::ALL {
                let lane = Lane::new(group, priority);
                assert_eq!((lane.group(), lane.priority()), (group as usize, priority));
                let low = lane.with_priority(Priority::Low);
                assert_eq!(low, Lane::new(group, Priority::Low));
            }
        }
    }
}
