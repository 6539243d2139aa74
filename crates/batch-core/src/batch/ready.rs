//! The queues of tasks that could start: [`ReadyQueues`].
//!
//! Each limit has its own set of queues, so a claim looks at the heads of few queues and never walks past
//! tasks that do not fit. The queues are linked through the slots: a task leaves from the middle in
//! constant time, and a queue costs no memory of its own.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::table::{Ready, State, Table};
use crate::ids::TaskId;
use crate::status::Priority;

/// The number of queues of a limit: four priorities, each with retries ahead of first tries.
const QUEUES: usize = 8;

#[derive(Debug)]
pub(super) struct ReadyQueues {
    groups: Vec<Group>,
    names: BTreeMap<String, u16>,
    next_seq: u64,
}

#[derive(Debug)]
struct Group {
    limit: u32,
    running: u32,
    queues: [Queue; QUEUES],
}

#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    head: Option<TaskId>,
    tail: Option<TaskId>,
}

impl ReadyQueues {
    pub(super) fn new(limits: &BTreeMap<String, NonZeroU32>) -> Self {
        let unlimited = Group::new(u32::MAX);
        let limited = limits.values().map(|limit| Group::new(limit.get()));
        let names = limits.keys().cloned().zip(1..).collect();
        Self {
            groups: std::iter::once(unlimited).chain(limited).collect(),
            names,
            next_seq: 0,
        }
    }

    /// The group of a named limit; the unlimited one for a name that is not declared.
    pub(super) fn group(&self, limit: Option<&str>) -> u16 {
        limit
            .and_then(|name| self.names.get(name).copied())
            .unwrap_or_default()
    }

    /// Puts a task at the end of its queue. Its slot must not be ready yet.
    pub(super) fn push(&mut self, table: &mut Table, id: TaskId, ready: Ready) {
        let slot = table.open_mut(id);
        let again = ready.again || slot.attempts > 0;
        let queue = &mut self.groups[slot.group as usize].queues[place(slot.priority, again)];
        let prev = queue.tail.replace(id);
        slot.state = State::Ready(Ready {
            since: ready.since,
            seq: self.next_seq,
            prev,
            next: None,
            again,
        });
        self.next_seq += 1;
        match prev {
            Some(prev) => links(table, prev).next = Some(id),
            None => queue.head = Some(id),
        }
    }

    /// Takes a ready task out of its queue, wherever it stands.
    pub(super) fn remove(&mut self, table: &mut Table, id: TaskId) {
        let slot = table.open_mut(id);
        let State::Ready(Ready {
            prev, next, again, ..
        }) = slot.state
        else {
            unreachable!("only a ready task is in a queue");
        };
        let queue = &mut self.groups[slot.group as usize].queues[place(slot.priority, again)];
        match prev {
            Some(prev) => links(table, prev).next = next,
            None => queue.head = next,
        }
        match next {
            Some(next) => links(table, next).prev = prev,
            None => queue.tail = prev,
        }
    }

    /// The task to start next: the most urgent; retries first; then the one ready for longest; of those
    /// whose limit has room.
    pub(super) fn first(&self, table: &Table) -> Option<TaskId> {
        if let [group] = self.groups.as_slice() {
            return group.queues.iter().find_map(|queue| queue.head);
        }
        (0..QUEUES).find_map(|place| {
            self.groups
                .iter()
                .filter(|group| group.running < group.limit)
                .filter_map(|group| group.queues[place].head)
                .min_by_key(|id| seq(table, *id))
        })
    }

    pub(super) fn started(&mut self, group: u16) {
        self.groups[group as usize].running += 1;
    }

    pub(super) fn ended(&mut self, group: u16) {
        self.groups[group as usize].running -= 1;
    }

    /// Whether no task is ready.
    pub(super) fn is_empty(&self) -> bool {
        let queues = self.groups.iter().flat_map(|group| &group.queues);
        queues.into_iter().all(|queue| queue.head.is_none())
    }

    /// All ready tasks in the order in which they would start if no limit held them.
    pub(super) fn in_order(&self, table: &Table) -> Vec<TaskId> {
        let mut order = Vec::new();
        for place in 0..QUEUES {
            let from = order.len();
            for group in &self.groups {
                let mut next = group.queues[place].head;
                while let Some(id) = next {
                    order.push(id);
                    next = match table.get(id).map(|slot| slot.state) {
                        Some(State::Ready(ready)) => ready.next,
                        _ => None,
                    };
                }
            }
            order[from..].sort_by_key(|id| seq(table, *id));
        }
        order
    }

    /// How many tasks of a group may run at once.
    pub(super) fn limit(&self, group: u16) -> u32 {
        self.groups[group as usize].limit
    }

    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }
}

impl Group {
    fn new(limit: u32) -> Self {
        Self {
            limit,
            running: 0,
            queues: [Queue::default(); QUEUES],
        }
    }
}

fn place(priority: Priority, again: bool) -> usize {
    priority.rank() * 2 + usize::from(!again)
}

fn links(table: &mut Table, id: TaskId) -> &mut Ready {
    match &mut table.open_mut(id).state {
        State::Ready(ready) => ready,
        _ => unreachable!("a neighbour in a queue is ready"),
    }
}

fn seq(table: &Table, id: TaskId) -> u64 {
    match table.get(id).map(|slot| slot.state) {
        Some(State::Ready(ready)) => ready.seq,
        _ => unreachable!("the head of a queue is ready"),
    }
}
