//! The queues of tasks that could start: [`ReadyQueues`].
//!
//! Each limit has its own set of queues, so a claim looks at the heads of few queues and never walks past
//! tasks that do not fit. A task knows its position in its queue, so it leaves from the middle in constant
//! time: its place stays, empty, until it comes to the head.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

use super::table::Lane;
use crate::ids::TaskId;

/// The number of queues of a limit: four priorities, each with retries ahead of first tries.
const QUEUES: usize = 8;

/// The most places that an empty queue keeps memory for.
const KEPT: usize = 1024;

#[derive(Debug)]
pub(super) struct ReadyQueues {
    groups: Vec<Group>,
    names: BTreeMap<String, u16>,
    /// The number of the next task that becomes ready.
    next: u32,
}

#[derive(Debug)]
struct Group {
    limit: u32,
    running: u32,
    queues: [Queue; QUEUES],
}

/// Tasks in the order in which they became ready; the first place is never empty.
#[derive(Debug, Default)]
struct Queue {
    places: VecDeque<Place>,
    /// The position of the first place. Positions wrap around, which is no harm: there are fewer than 2^32
    /// tasks.
    first: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// Nobody, when the task has left from the middle.
    task: Option<TaskId>,
    /// Orders the heads of the queues of different limits: the order in which tasks became ready.
    number: u32,
}

impl Queue {
    fn push(&mut self, task: TaskId, number: u32) -> u32 {
        let position = self.first.wrapping_add(self.places.len() as u32);
        self.places.push_back(Place {
            task: Some(task),
            number,
        });
        position
    }

    #[inline]
    fn remove(&mut self, position: u32) {
        if position == self.first {
            self.places.pop_front();
            self.first = self.first.wrapping_add(1);
        } else {
            self.places[position.wrapping_sub(self.first) as usize].task = None;
        }
        while let Some(Place { task: None, .. }) = self.places.front() {
            self.places.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        if self.places.is_empty() && self.places.capacity() > KEPT {
            self.places = VecDeque::new();
        }
    }

    fn head(&self) -> Option<(TaskId, u32)> {
        let place = self.places.front()?;
        Some((place.task?, place.number))
    }
}

impl ReadyQueues {
    pub(super) fn new(limits: &BTreeMap<String, NonZeroU32>) -> Self {
        let mut queues = Self {
            groups: vec![Group::new(u32::MAX)],
            names: BTreeMap::new(),
            next: 0,
        };
        for (name, limit) in limits {
            queues.add_limit(name, *limit);
        }
        queues
    }

    /// Adds a limit with a name of its own.
    pub(super) fn add_limit(&mut self, name: &str, limit: NonZeroU32) {
        let number = self.groups.len().min(Lane::GROUPS - 1) as u16;
        self.groups.push(Group::new(limit.get()));
        self.names.insert(name.to_owned(), number);
    }

    /// The group of a named limit; the unlimited one for a name that is not declared.
    pub(super) fn group(&self, limit: Option<&str>) -> u16 {
        limit
            .and_then(|name| self.names.get(name).copied())
            .unwrap_or_default()
    }

    /// Puts a task at the end of its queue; returns its position there.
    pub(super) fn push(&mut self, lane: Lane, again: bool, task: TaskId) -> u32 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.queue(lane, again).push(task, number)
    }

    /// Takes a ready task out of its queue, wherever it is.
    pub(super) fn remove(&mut self, lane: Lane, again: bool, position: u32) {
        self.queue(lane, again).remove(position);
    }

    fn queue(&mut self, lane: Lane, again: bool) -> &mut Queue {
        let place = lane.priority().rank() * 2 + usize::from(!again);
        &mut self.groups[lane.group()].queues[place]
    }

    /// The task to start next: the most urgent; retries first; then the one ready for longest; of those
    /// whose limit has room.
    pub(super) fn first(&self) -> Option<TaskId> {
        if let [group] = self.groups.as_slice() {
            return group
                .queues
                .iter()
                .find_map(Queue::head)
                .map(|(task, _)| task);
        }
        let with_room = |group: &&Group| group.running < group.limit;
        (0..QUEUES).find_map(|place| {
            let groups = self.groups.iter().filter(with_room);
            let heads = groups.filter_map(|group| group.queues[place].head());
            // By age, as the numbers wrap around.
            let oldest = heads.max_by_key(|(_, number)| self.next.wrapping_sub(*number));
            oldest.map(|(task, _)| task)
        })
    }

    pub(super) fn started(&mut self, lane: Lane) {
        self.groups[lane.group()].running += 1;
    }

    pub(super) fn ended(&mut self, lane: Lane) {
        self.groups[lane.group()].running -= 1;
    }

    /// Whether no task is ready.
    pub(super) fn is_empty(&self) -> bool {
        let mut queues = self.groups.iter().flat_map(|group| &group.queues);
        queues.all(|queue| queue.head().is_none())
    }

    /// All ready tasks in the order in which they would start if there were no limits.
    pub(super) fn in_order(&self) -> Vec<TaskId> {
        let mut order = Vec::new();
        for place in 0..QUEUES {
            let queues = self.groups.iter().map(|group| &group.queues[place]);
            let places = queues.flat_map(|queue| &queue.places);
            let mut here: Vec<(u32, TaskId)> = places
                .filter_map(|place| Some((self.next.wrapping_sub(place.number), place.task?)))
                .collect();
            here.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.0));
            order.extend(here.into_iter().map(|(_, task)| task));
        }
        order
    }

    /// How many tasks of a group may run at once.
    pub(super) fn limit(&self, group: usize) -> u32 {
        self.groups[group].limit
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
            queues: Default::default(),
        }
    }
}
