//! What can be asked of a batch: statuses, statistics, and how long it will still take.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::machine::Batch;
use super::table::State;
use crate::ids::TaskId;
use crate::settings::BatchSettings;
use crate::spec::TaskSpec;
use crate::stats::Stats;
use crate::status::{Priority, QueuedReason, Status};
use crate::time::Time;

/// Up to so many open tasks the rest of the schedule is played through task by task.
const SIMULATED: usize = 20_000;

/// One unfinished task at a moment.
#[derive(Clone, Debug)]
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
        let slot = self.table.get(id)?;
        let (status, reason, started) = match slot.state {
            State::Waiting { missing } => (
                Status::Queued,
                Some(QueuedReason::WaitingForDependencies { missing }),
                None,
            ),
            State::Ready(_) if self.paused => (Status::Queued, Some(QueuedReason::Paused), None),
            State::Ready(_) => (Status::Queued, Some(QueuedReason::Ready), None),
            State::Delayed { until } => {
                (Status::Queued, Some(QueuedReason::Delayed { until }), None)
            }
            State::Running { started, .. } => (Status::Running, None, Some(started)),
            State::Held => (Status::Queued, Some(QueuedReason::Held), None),
            State::Done(_) | State::Removed => return None,
        };
        Some(TaskView {
            task: id,
            status,
            reason,
            priority: slot.priority,
            attempts: slot.attempts,
            started,
            spec: Arc::clone(slot.spec.as_ref()?),
        })
    }

    /// All unfinished tasks, in the order of submission.
    pub fn unfinished(&self) -> impl Iterator<Item = TaskView> + '_ {
        self.table.open_ids().filter_map(|id| self.task(id))
    }

    /// The running tasks, the longest running first; at most so many.
    pub fn longest_running(&self, most: usize) -> Vec<TaskView> {
        let mut running: Vec<TaskView> = self
            .running_ids()
            .into_iter()
            .filter_map(|id| self.task(id))
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
        self.open
    }

    /// How many tasks run.
    pub fn running(&self) -> u32 {
        self.slots.running
    }

    /// How many tasks may run at once.
    pub fn concurrency(&self) -> u32 {
        self.slots.limit
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether it was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether its time was up, or a failure ended it, before all tasks had their turn.
    pub fn was_cut_short(&self) -> bool {
        self.stopped_early
    }

    /// Whether a task would start if there were a slot for it.
    pub fn has_ready(&self) -> bool {
        !self.paused && !self.stopping && !self.ready.is_empty()
    }

    /// Whether nothing runs and nothing will start by itself: all tasks are finished, or it was stopped, or
    /// all that is left are held tasks and those that wait for them.
    pub fn is_settled(&self) -> bool {
        self.slots.running == 0 && (self.open == 0 || self.stopping || self.only_held_are_left())
    }

    /// What is neither ready nor has a timer waits for another task; with nothing running, in the end for a
    /// held one.
    fn only_held_are_left(&self) -> bool {
        self.held > 0 && self.timers.is_empty() && self.ready.is_empty()
    }

    /// How long the batch will still take, if nothing is added.
    ///
    /// Plays the rest of the schedule through: the free slots, the time running tasks have already taken,
    /// priorities, dependencies, limits and delays, with the durations seen so far of each function.
    /// `None` while that would be guessing: before a first wave of tasks has ended, while paused or
    /// stopping.
    pub fn remaining(&self, now: Time) -> Option<Remaining> {
        if self.open == 0 {
            return Some(Remaining::around(0.0, 0.0));
        }
        let wave =
            u64::from(self.slots.limit).min((self.open as u64 + self.stats.ended()).div_ceil(4));
        if self.durations.samples() < wave.max(1) || self.paused || self.stopping {
            return None;
        }
        let likely = if self.open <= SIMULATED {
            Simulation::of(self, now).run()
        } else {
            self.fluid_estimate(now)
        };
        Some(Remaining::around(likely, self.durations.doubt(self.open)))
    }

    /// All work, spread evenly over the slots: near enough while there is much of it.
    fn fluid_estimate(&self, now: Time) -> f64 {
        let running: f64 = self
            .running_ids()
            .into_iter()
            .map(|id| self.rest_of(id, now))
            .sum();
        let pending = self.durations.pending_work() * self.attempts_per_task();
        (running + pending) / f64::from(self.slots.limit)
    }

    /// The seconds that a running attempt is still expected to take.
    fn rest_of(&self, id: TaskId, now: Time) -> f64 {
        let Some(slot) = self.table.get(id) else {
            return 0.0;
        };
        let State::Running { started, .. } = slot.state else {
            return 0.0;
        };
        let expected = self.durations.expected(slot.kind);
        let elapsed = now.since(started).as_secs_f64();
        // One that is late already ends at some time soon, not at once.
        (expected - elapsed).max(expected * 0.1)
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
    fn around(likely: f64, doubt: f64) -> Self {
        let seconds =
            |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        Self {
            low: seconds(likely * (1.0 - doubt)),
            likely: seconds(likely),
            high: seconds(likely * (1.0 + doubt)),
        }
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
        let groups = batch.ready.groups();
        let mut simulation = Self {
            batch,
            time: 0.0,
            slots: batch.slots.limit.saturating_sub(batch.slots.running),
            ready: vec![VecDeque::new(); groups],
            in_group: vec![0; groups],
            missing: HashMap::new(),
            agenda: BinaryHeap::new(),
            attempts_per_task: batch.attempts_per_task(),
        };
        for id in batch.ready.in_order(&batch.table) {
            simulation.enqueue(id);
        }
        for view in batch.unfinished() {
            let id = view.task;
            match view.reason {
                Some(QueuedReason::WaitingForDependencies { missing }) => {
                    simulation.missing.insert(id, missing);
                }
                Some(QueuedReason::Delayed { until }) => {
                    simulation.schedule(until.since(now).as_secs_f64(), id, false);
                }
                None => {
                    let group = simulation.group(id);
                    simulation.in_group[group] += 1;
                    simulation.schedule(batch.rest_of(id, now), id, true);
                }
                Some(_) => {}
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
            let limit = self
                .batch
                .ready
                .limit(u16::try_from(group).unwrap_or(u16::MAX));
            while self.slots > 0 && self.in_group[group] < limit {
                let Some(id) = self.ready[group].pop_front() else {
                    break;
                };
                self.slots -= 1;
                self.in_group[group] += 1;
                let kind = self.batch.table.get(id).map_or(0, |slot| slot.kind);
                let takes = self.batch.durations.expected(kind) * self.attempts_per_task;
                self.schedule(self.time + takes, id, true);
            }
        }
    }

    fn release_dependents(&mut self, id: TaskId) {
        let chain = self.batch.table.get(id).map_or(0, |slot| slot.dependents);
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
            .map_or(0, |slot| slot.group as usize)
    }
}
