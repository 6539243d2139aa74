//! The state machine: [`Batch`] and the one function that writes a task's state.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::edges::Edges;
use super::ready::ReadyQueues;
use super::steering::CancelRequest;
use super::table::{Ending, State, Table};
use crate::estimate::Durations;
use crate::event::Event;
use crate::ids::{RunId, TaskId};
use crate::settings::BatchSettings;
use crate::stats::Stats;
use crate::status::{CancelReason, Reason, Status};
use crate::time::Time;

/// A batch of tasks: the queue, the dependencies, the states, the timers. Pure and synchronous.
///
/// Whoever drives a batch owns it and calls, with the time as an argument:
///
/// 1. [`submit`](Self::submit) or [`submit_one`](Self::submit_one) to add tasks, at any time;
/// 2. [`claim`](Self::claim) until it gives nothing, and starts what it gave;
/// 3. [`report`](Self::report) once for each claim, with what the attempt ended as;
/// 4. [`handle_timers`](Self::handle_timers) when the time of [`next_wakeup`](Self::next_wakeup) has come.
///
/// After any of them, [`take_events`](Self::take_events) yields what happened, and
/// [`take_cancel_requests`](Self::take_cancel_requests) the running attempts that are to end. Both queue up
/// until taken. No call blocks, and the same calls give the same events.
///
/// ```
/// use std::sync::Arc;
/// use batch_core::{Batch, BatchSettings, Outcome, Status, TaskSpec, Time, no_retries};
///
/// let now = Time::from_micros(0);
/// let mut batch = Batch::new(BatchSettings::default());
/// let id = batch.submit_one(Arc::new(TaskSpec::new("greet")), &[], now);
/// let claim = batch.claim(now).expect("a slot is free");
/// batch.report(claim.token, Outcome::Completed(None), &mut no_retries, now).unwrap();
/// assert_eq!(batch.status(id), Some(Status::Completed));
/// ```
#[derive(Debug)]
pub struct Batch {
    pub(super) settings: BatchSettings,
    pub(super) run: RunId,
    pub(super) table: Table,
    pub(super) ready: ReadyQueues,
    pub(super) edges: Edges,
    /// One entry for each delayed task and each running one with a deadline.
    pub(super) timers: BTreeSet<(Time, TaskId)>,
    pub(super) ids: HashMap<Box<str>, TaskId>,
    pub(super) slots: Slots,
    pub(super) open: usize,
    /// How many of the open tasks are held.
    pub(super) held: usize,
    /// Who waits for tasks that have not come yet.
    pub(super) awaited: HashMap<TaskId, Awaited>,
    pub(super) paused: bool,
    pub(super) stopping: bool,
    /// When the batch's own time is up, known from the first claim.
    pub(super) deadline: Option<Time>,
    pub(super) stopped_early: bool,
    /// Its time was up or a failure ended it: what comes after that has no turn either.
    pub(super) is_over: bool,
    pub(super) stats: Stats,
    pub(super) durations: Durations,
    pub(super) events: Vec<Event>,
    pub(super) cancel_requests: Vec<CancelRequest>,
}

/// Those that wait for a task whose turn to be restored has not come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Awaited {
    /// The edges to them.
    pub(super) chain: u32,
    /// When the last of them came.
    pub(super) since: Time,
}

/// The numbers of the slots that tasks run in.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) limit: u32,
    pub(super) running: u32,
    free: Vec<u32>,
    /// Who runs in each slot.
    holders: Vec<Option<TaskId>>,
}

impl Slots {
    fn new(limit: u32) -> Self {
        Self {
            limit,
            running: 0,
            free: Vec::new(),
            holders: Vec::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.running < self.limit
    }

    /// A slot number nobody holds.
    pub(super) fn next(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.holders.push(None);
            u32::try_from(self.holders.len() - 1).expect("fewer than 2^32 tasks run at once")
        })
    }

    fn take(&mut self, slot: u32, id: TaskId) {
        self.holders[slot as usize] = Some(id);
        self.running += 1;
    }

    fn give_back(&mut self, slot: u32) {
        self.holders[slot as usize] = None;
        self.free.push(slot);
        self.running -= 1;
    }

    pub(super) fn holders(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.holders.iter().copied().flatten()
    }
}

impl Batch {
    /// A batch without tasks.
    pub fn new(settings: BatchSettings) -> Self {
        Self::for_run(settings, RunId::default())
    }

    /// A batch whose claims belong to a run: a report that belongs to another is refused.
    pub fn for_run(settings: BatchSettings, run: RunId) -> Self {
        Self {
            ready: ReadyQueues::new(&settings.limits),
            slots: Slots::new(settings.max_concurrent.get()),
            settings,
            run,
            table: Table::default(),
            edges: Edges::default(),
            timers: BTreeSet::new(),
            ids: HashMap::new(),
            open: 0,
            held: 0,
            awaited: HashMap::new(),
            paused: false,
            stopping: false,
            deadline: None,
            stopped_early: false,
            is_over: false,
            stats: Stats::default(),
            durations: Durations::default(),
            events: Vec::new(),
            cancel_requests: Vec::new(),
        }
    }

    /// Moves a task to a state: leaves the old one, enters the new one, in all tables at once.
    ///
    /// Every change of a task's state goes through here.
    pub(super) fn transition(&mut self, id: TaskId, next: State) {
        let slot = self.table.open_mut(id);
        let group = slot.group;
        match (slot.state.is_pending(), next.is_pending()) {
            (true, false) => self.durations.left(slot.kind),
            (false, true) => self.durations.entered(slot.kind),
            _ => {}
        }
        match slot.state {
            State::Waiting { .. } => {}
            State::Ready(_) => self.ready.remove(&mut self.table, id),
            State::Delayed { until } => {
                self.timers.remove(&(until, id));
            }
            State::Running {
                slot,
                deadline,
                ending,
                ..
            } => {
                self.slots.give_back(slot);
                self.ready.ended(group);
                if let (Some(deadline), None) = (deadline, ending) {
                    self.timers.remove(&(deadline, id));
                }
            }
            State::Held => self.held -= 1,
            State::Done(_) => self.open += 1,
            State::Removed => unreachable!("a task that was cleared away does not come back"),
        }
        match next {
            State::Waiting { .. } => {}
            State::Ready(place) => {
                self.ready.push(&mut self.table, id, place);
                return;
            }
            State::Delayed { until } => {
                self.timers.insert((until, id));
            }
            State::Running { slot, deadline, .. } => {
                self.slots.take(slot, id);
                self.ready.started(group);
                if let Some(deadline) = deadline {
                    self.timers.insert((deadline, id));
                }
            }
            State::Held => self.held += 1,
            State::Done(_) => self.open -= 1,
            State::Removed => unreachable!("an open task is not cleared away"),
        }
        self.table.open_mut(id).state = next;
    }

    /// Asks a running attempt to end, once; its timer has no more to say.
    pub(super) fn end_attempt(&mut self, id: TaskId, cause: Ending) -> bool {
        let State::Running {
            deadline, ending, ..
        } = &mut self.table.open_mut(id).state
        else {
            unreachable!("only a running attempt can be asked to end");
        };
        if ending.is_some() {
            return false;
        }
        *ending = Some(cause);
        if let Some(deadline) = *deadline {
            self.timers.remove(&(deadline, id));
        }
        true
    }

    /// Brings a task to its final status. What depends on it is the caller's next step.
    pub(super) fn finish(&mut self, id: TaskId, status: Status, reason: Option<Reason>, now: Time) {
        self.transition(id, State::Done(status));
        let slot = self.table.open_mut(id);
        let retries = slot.retries;
        slot.spec = None;
        self.record(Event::Finished {
            task: id,
            at: now,
            status,
            reason,
            retries,
        });
    }

    /// Tells the tasks that wait for a finished one: they become ready, or are cancelled with theirs.
    ///
    /// `root` is the task that failed first: this one, or the one it was cancelled for.
    pub(super) fn settle_dependents(
        &mut self,
        id: TaskId,
        status: Status,
        root: TaskId,
        now: Time,
    ) {
        let chain = std::mem::take(&mut self.table.open_mut(id).dependents);
        self.table.close(id);
        if chain == 0 {
            return;
        }
        if status == Status::Completed {
            for dependent in self.edges.take(chain) {
                self.dependency_completed(dependent, now);
            }
        } else {
            self.cancel_dependents(chain, root, now);
        }
    }

    fn dependency_completed(&mut self, id: TaskId, now: Time) {
        let Some(slot) = self.table.get_mut(id) else {
            return;
        };
        if let State::Waiting { missing } = &mut slot.state {
            *missing -= 1;
            if *missing == 0 {
                self.transition(id, State::ready(now));
            }
        }
    }

    /// Cancels all that depends on a task, directly or not. A stack, as chains can be long.
    fn cancel_dependents(&mut self, chain: u32, root: TaskId, now: Time) {
        let reason = Reason::Cancelled(CancelReason::DependencyFailed { root });
        let mut chains = vec![chain];
        while let Some(chain) = chains.pop() {
            for dependent in self.edges.take(chain) {
                let Some(slot) = self.table.get_mut(dependent) else {
                    continue;
                };
                if slot.state.is_over() {
                    continue;
                }
                chains.push(std::mem::take(&mut slot.dependents));
                self.finish(dependent, Status::Cancelled, Some(reason), now);
                self.table.close(dependent);
            }
        }
    }

    /// Keeps an event for whoever takes them, and counts it.
    pub(super) fn record(&mut self, event: Event) {
        self.stats.apply(&event);
        self.events.push(event);
    }

    /// Keeps the event of the start of an attempt that an earlier run began: neither when it began nor how
    /// long it had waited says anything about this one.
    pub(super) fn record_past_start(&mut self, event: Event) {
        self.stats.began_before();
        self.events.push(event);
    }

    /// Those that wait for the task that comes next.
    pub(super) fn take_awaited(&mut self) -> Awaited {
        // Nearly always there is nobody, and then the way in costs no look-up.
        if self.awaited.is_empty() {
            return Awaited::default();
        }
        self.awaited.remove(&self.next_id()).unwrap_or_default()
    }

    /// The number of a function among those seen, for the estimates.
    pub(super) fn kind(&mut self, function: &Arc<str>) -> u16 {
        self.durations.kind(function)
    }
}
