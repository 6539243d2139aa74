//! What can be asked of a batch: statuses, statistics, and how long it will still take.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::machine::Batch;
use super::phase::{Course, Flow};
use super::table::State;
use crate::ids::TaskId;
use crate::settings::BatchSettings;
use crate::spec::TaskSpec;
use crate::stats::Stats;
use crate::status::{Priority, QueuedReason, Status};
use crate::time::Time;

/// Up to this many open tasks the rest of the schedule is played through task by task.
const SIMULATED: usize = 20_000;

/// One unfinished task at a moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskView {
    /// The task.
    pub task: TaskId,
    /// Queued or running.
    pub status: Status,
    /// Why it is queued.
    pub reason: Option<QueuedReason>,
    /// Its priority, which may have been changed since it was submitted.
    pub priority: Priority,
    /// Attempts begun.
    pub attempts: u32,
    /// When the present attempt began.
    pub started: Option<Time>,
    /// What it is.
    pub spec: Arc<TaskSpec>,
}

/// How long a batch will still take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remaining {
    /// Hardly less than this.
    pub low: Duration,
    /// The best guess.
    pub likely: Duration,
    /// Hardly more than this.
    pub high: Duration,
}

impl Batch {
    /// The settings it was made with.
    pub fn settings(&self) -> &BatchSettings {
        &self.settings
    }

    /// The status of a task; `None` when there is no such task.
    pub fn status(&self, id: TaskId) -> Option<Status> {
        if let Some(status) = self.table.final_status(id) {
            return Some(status);
        }
        Some(match self.table.get(id)?.state {
            State::Running { .. } => Status::Running,
            State::Removed => return None,
            _ => Status::Queued,
        })
    }

    /// An unfinished task; `None` when it is finished or does not exist.
    pub fn task(&self, id: TaskId) -> Option<TaskView> {
        let entry = self.table.get(id)?;
        let (status, reason, started) = match entry.state {
            State::Waiting { missing } => (
                Status::Queued,
                Some(QueuedReason::WaitingForDependencies { missing }),
                None,
            ),
            State::Ready(_) if self.flow.is_paused() => {
                (Status::Queued, Some(QueuedReason::Paused), None)
            }
            State::Ready(_) => (Status::Queued, Some(QueuedReason::Ready), None),
            State::Delayed { until } => {
                (Status::Queued, Some(QueuedReason::Delayed { until }), None)
            }
            State::Scheduled { at } => (
                Status::Queued,
                Some(QueuedReason::Delayed { until: at }),
                None,
            ),
            State::Last => {
                let others = self.index.open - self.index.last.len();
                let missing = u32::try_from(others).unwrap_or(u32::MAX);
                let reason = QueuedReason::WaitingForDependencies { missing };
                (Status::Queued, Some(reason), None)
            }
            State::Running { slot } => (
                Status::Running,
                None,
                Some(self.index.slots.get(slot).started),
            ),
            State::Held { .. } => (Status::Queued, Some(QueuedReason::Held), None),
            State::Done(_) | State::Removed => return None,
        };
        Some(TaskView {
            task: id,
            status,
            reason,
            priority: entry.lane.priority(),
            attempts: entry.attempts,
            started,
            spec: Arc::clone(entry.spec.as_ref()?),
        })
    }

    /// All unfinished tasks, in the order of submission.
    pub fn unfinished(&self) -> impl Iterator<Item = TaskView> + '_ {
        self.table.open_ids().filter_map(|id| self.task(id))
    }

    /// The running tasks, the longest running first; at most this many.
    pub fn longest_running(&self, most: usize) -> Vec<TaskView> {
        let mut running: Vec<TaskView> = self
            .index
            .slots
            .taken()
            .into_iter()
            .filter_map(|(id, _)| self.task(id))
            .collect();
        running.sort_by_key(|view| view.started);
        running.truncate(most);
        running
    }

    /// The task with an author's id. When an id was given twice, the later task.
    pub fn find(&self, id: &str) -> Option<TaskId> {
        self.ids.get(id).copied()
    }

    /// The numbers so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How many tasks are neither completed nor failed nor cancelled.
    pub fn open(&self) -> usize {
        self.index.open
    }

    /// How many tasks run.
    pub fn running(&self) -> u32 {
        self.index.slots.running()
    }

    /// How many tasks may run at once.
    pub fn concurrency(&self) -> u32 {
        self.index.slots.limit
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.flow.is_paused()
    }

    /// Whether it was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.flow.is_stopping()
    }

    /// Whether its time was up, or a failure ended it, before all tasks had their turn.
    pub fn was_cut_short(&self) -> bool {
        self.course != Course::Full
    }

    /// Whether a task would start if there were a slot for it.
    pub fn has_ready(&self) -> bool {
        self.flow == Flow::Open && !self.index.ready.is_empty()
    }

    /// Whether nothing runs and nothing will start by itself: all tasks are finished, or it was stopped, or
    /// all that is left are held tasks and those that wait for them.
    pub fn is_settled(&self) -> bool {
        self.running() == 0
            && (self.index.open == 0 || self.is_stopping() || self.only_held_are_left())
    }

    /// All that is open is to run when all others have ended.
    pub(super) fn only_the_last_are_open(&self) -> bool {
        let last = self.index.last.len();
        last > 0 && last == self.index.open
    }

    /// What is neither ready nor has a timer waits for another task; with nothing running, in the end for a
    /// held one.
    fn only_held_are_left(&self) -> bool {
        let index = &self.index;
        let nothing_is_due = index.timers.is_empty() && index.schedule.is_empty();
        index.held > 0 && nothing_is_due && index.ready.is_empty()
    }

    /// How long the batch will still take, if nothing is added.
    ///
    /// Plays the rest of the schedule through: the free slots, the time running tasks have already taken,
    /// priorities, dependencies, limits and delays, with the durations seen so far of each function.
    /// `None` while that would be guessing: before a first wave of tasks has ended, while paused or
    /// stopping, or where it would be more than a year.
    pub fn remaining(&self, now: Time) -> Option<Remaining> {
        if self.index.open == 0 {
            return Remaining::around(0.0, 0.0);
        }
        let wave = u64::from(self.index.slots.limit)
            .min((self.index.open as u64 + self.stats.ended()).div_ceil(4));
        if self.index.durations.samples() < wave.max(1) || self.flow != Flow::Open {
            return None;
        }
        let likely = if self.index.open <= SIMULATED {
            Simulation::of(self, now).run()
        } else {
            self.fluid_estimate(now)
        };
        let starts = self.stats.count(Status::Queued) as f64;
        let delay = self.settings.delay.unwrap_or_default();
        let likely = likely.max(starts * delay.as_secs_f64());
        Remaining::around(likely, self.index.durations.doubt(self.index.open))
    }

    /// All work, spread evenly over the slots: near enough while there is much of it.
    fn fluid_estimate(&self, now: Time) -> f64 {
        let taken = self.index.slots.taken().into_iter();
        let running: f64 = taken.map(|(_, slot)| self.rest_of(slot, now)).sum();
        let pending = self.index.durations.pending_work() * self.attempts_per_task();
        (running + pending) / f64::from(self.index.slots.limit)
    }

    /// The seconds that a running attempt is still expected to take.
    fn rest_of(&self, slot: u32, now: Time) -> f64 {
        let attempt = self.index.slots.get(slot);
        let kind = self.table.open(attempt.task).kind;
        let expected = self.index.durations.expected(kind);
        let elapsed = now.since(attempt.started).as_secs_f64();
        // One that is late already does not end at once: the later it is, the longer it may still take.
        let late = elapsed - expected;
        (-late).max(expected * 0.1).max(late * 0.5)
    }

    fn attempts_per_task(&self) -> f64 {
        let finished = self.stats.count(Status::Completed) + self.stats.count(Status::Failed);
        if finished == 0 {
            return 1.0;
        }
        (self.stats.attempts as f64 / finished as f64).clamp(1.0, 10.0)
    }
}

impl Remaining {
    /// Seconds that nobody waits: such a number says more of a delay, or of the few tasks seen, than of the batch.
    const TOO_LONG: f64 = 365.0 * 86_400.0;

    fn around(likely: f64, doubt: f64) -> Option<Self> {
        let high = likely * (1.0 + doubt);
        let is_believable = high.is_finite() && high < Self::TOO_LONG;
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds.max(0.0));
        is_believable.then(|| Self {
            low: seconds(likely * (1.0 - doubt)),
            likely: seconds(likely),
            high: seconds(high),
        })
    }
}

/// The rest of a schedule, played through in seconds from now.
struct Simulation<'a> {
    batch: &'a Batch,
    time: f64,
    slots: u32,
    /// Tasks that could start, those of each limit apart, in order.
    ready: Vec<VecDeque<TaskId>>,
    in_group: Vec<u32>,
    missing: HashMap<TaskId, u32>,
    /// What happens when: an attempt ends, or a delayed task becomes ready. Times in microseconds.
    agenda: BinaryHeap<Reverse<(u64, TaskId, bool)>>,
    attempts_per_task: f64,
}

impl<'a> Simulation<'a> {
    fn of(batch: &'a Batch, now: Time) -> Self {
        let groups = batch.index.ready.groups();
        let mut simulation = Self {
            batch,
            time: 0.0,
            slots: batch.index.slots.limit.saturating_sub(batch.running()),
            ready: vec![VecDeque::new(); groups],
            in_group: vec![0; groups],
            missing: HashMap::new(),
            agenda: BinaryHeap::new(),
            attempts_per_task: batch.attempts_per_task(),
        };
        for id in batch.index.ready.in_order() {
            simulation.enqueue(id);
        }
        for (id, slot) in batch.index.slots.taken() {
            let group = simulation.group(id);
            simulation.in_group[group] += 1;
            simulation.schedule(batch.rest_of(slot, now), id, true);
        }
        for id in batch.table.open_ids() {
            match batch.table.open(id).state {
                State::Waiting { missing } => {
                    simulation.missing.insert(id, missing);
                }
                State::Delayed { until } | State::Scheduled { at: until } => {
                    simulation.schedule(until.since(now).as_secs_f64(), id, false);
                }
                _ => {}
            }
        }
        simulation
    }

    fn run(mut self) -> f64 {
        loop {
            self.start_what_fits();
            let Some(Reverse((at, id, ends))) = self.agenda.pop() else {
                return self.time;
            };
            self.time = self.time.max(at as f64 / 1e6);
            if ends {
                self.slots += 1;
                let group = self.group(id);
                self.in_group[group] -= 1;
                self.release_dependents(id);
            } else {
                self.enqueue(id);
            }
        }
    }

    fn start_what_fits(&mut self) {
        for group in 0..self.ready.len() {
            let limit = self.batch.index.ready.limit(group);
            while self.slots > 0 && self.in_group[group] < limit {
                let Some(id) = self.ready[group].pop_front() else {
                    break;
                };
                self.slots -= 1;
                self.in_group[group] += 1;
                let kind = self.batch.table.get(id).map_or(0, |entry| entry.kind);
                let takes = self.batch.index.durations.expected(kind) * self.attempts_per_task;
                self.schedule(self.time + takes, id, true);
            }
        }
    }

    fn release_dependents(&mut self, id: TaskId) {
        let chain = self.batch.table.get(id).map_or(0, |entry| entry.dependents);
        for dependent in self.batch.edges.iter(chain) {
            if let Some(missing) = self.missing.get_mut(&dependent) {
                *missing = missing.saturating_sub(1);
                if *missing == 0 {
                    self.missing.remove(&dependent);
                    self.enqueue(dependent);
                }
            }
        }
    }

    fn enqueue(&mut self, id: TaskId) {
        let group = self.group(id);
        self.ready[group].push_back(id);
    }

    fn schedule(&mut self, at: f64, id: TaskId, ends: bool) {
        self.agenda.push(Reverse(((at * 1e6) as u64, id, ends)));
    }

    fn group(&self, id: TaskId) -> usize {
        self.batch
            .table
            .get(id)
            .map_or(0, |entry| entry.lane.group())
    }
}
