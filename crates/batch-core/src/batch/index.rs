//! Where tasks are found by their state: [`Index`], the queues, timers, slots and counts.

use std::collections::BTreeSet;

use super::ready::ReadyQueues;
use super::slots::{EndCause, Slots};
use super::table::{Entry, Lane, Ready, State};
use crate::estimate::Durations;
use crate::ids::TaskId;
use crate::settings::BatchSettings;
use crate::time::Time;

#[derive(Debug)]
pub(super) struct Index {
    pub(super) ready: ReadyQueues,
    /// One entry for each delayed task and each running one with a deadline.
    pub(super) timers: BTreeSet<(Time, TaskId)>,
    /// One entry for each scheduled task, by the wall clock.
    pub(super) schedule: BTreeSet<(Time, TaskId)>,
    /// The tasks that run when all others have ended.
    pub(super) last: BTreeSet<TaskId>,
    pub(super) slots: Slots,
    pub(super) durations: Durations,
    /// How many tasks are unfinished.
    pub(super) open: usize,
    /// How many of them are held.
    pub(super) held: usize,
}

impl Index {
    pub(super) fn new(settings: &BatchSettings) -> Self {
        Self {
            ready: ReadyQueues::new(&settings.limits),
            timers: BTreeSet::new(),
            schedule: BTreeSet::new(),
            last: BTreeSet::new(),
            slots: Slots::new(settings.max_concurrent),
            durations: Durations::default(),
            open: 0,
            held: 0,
        }
    }

    /// A new task, which waits to be placed.
    pub(super) fn entered(&mut self, entry: &Entry) {
        self.durations.entered(entry.kind);
        self.open += 1;
    }

    /// Moves a task to a state: leaves the old one, enters the new one.
    ///
    /// This is the only place that writes a task's state. It tells nobody: events and dependents are the
    /// caller's next step. It is inlined, as most callers know one of the two states.
    #[inline(always)]
    pub(super) fn transition(&mut self, id: TaskId, entry: &mut Entry, next: State) {
        match (entry.state.is_pending(), next.is_pending()) {
            (true, false) => self.durations.left(entry.kind),
            (false, true) => self.durations.entered(entry.kind),
            _ => {}
        }
        self.leave(id, entry);
        entry.state = self.enter(id, entry, next);
    }

    #[inline(always)]
    fn leave(&mut self, id: TaskId, entry: &Entry) {
        match entry.state {
            State::Waiting { .. } => {}
            State::Ready(ready) => self.ready.remove(entry.lane, ready.again, ready.position),
            State::Delayed { until } => {
                self.timers.remove(&(until, id));
            }
            State::Scheduled { at } => {
                self.schedule.remove(&(at, id));
            }
            State::Running { slot } => {
                self.ready.ended(entry.lane);
                if let Some(timer) = self.slots.give_back(slot).timer() {
                    self.timers.remove(&(timer, id));
                }
            }
            State::Last => {
                self.last.remove(&id);
            }
            State::Held { .. } => self.held -= 1,
            State::Done(_) => self.open += 1,
            State::Removed => unreachable!("a task that was cleared away does not come back"),
        }
    }

    #[inline(always)]
    fn enter(&mut self, id: TaskId, entry: &Entry, next: State) -> State {
        match next {
            State::Waiting { .. } => {}
            State::Ready(Ready { since, again, .. }) => {
                let again = again || entry.attempts > 0;
                return State::Ready(Ready {
                    since,
                    position: self.ready.push(entry.lane, again, id),
                    again,
                });
            }
            State::Delayed { until } => {
                self.timers.insert((until, id));
            }
            State::Scheduled { at } => {
                self.schedule.insert((at, id));
            }
            State::Running { slot } => {
                self.ready.started(entry.lane);
                if let Some(timer) = self.slots.get(slot).timer() {
                    self.timers.insert((timer, id));
                }
            }
            State::Last => {
                self.last.insert(id);
            }
            State::Held { .. } => self.held += 1,
            State::Done(_) => self.open -= 1,
            State::Removed => unreachable!("an open task is not cleared away"),
        }
        next
    }

    /// Puts a task that does not run into another lane: a ready one at the end of its new queue.
    pub(super) fn change_lane(&mut self, id: TaskId, entry: &mut Entry, lane: Lane) {
        if let State::Ready(ready) = &mut entry.state {
            self.ready.remove(entry.lane, ready.again, ready.position);
            ready.position = self.ready.push(lane, ready.again, id);
        }
        entry.lane = lane;
    }

    /// Asks a running attempt to end, once; its timer has no more to say.
    pub(super) fn end_attempt(&mut self, slot: u32, cause: EndCause) -> bool {
        let attempt = self.slots.get_mut(slot);
        if attempt.ending.is_some() {
            return false;
        }
        if let Some(timer) = attempt.timer() {
            self.timers.remove(&(timer, attempt.task));
        }
        attempt.ending = Some(cause);
        true
    }
}
