//! The state machine: [`Batch`] and the one function that writes a task's state.

use std::collections::HashMap;

use super::edges::Edges;
use super::index::Index;
use super::pauses::Pauses;
use super::phase::{Course, Flow};
use super::steering::CancelRequest;
use super::table::{State, Table};
use crate::event::Event;
use crate::ids::{RunId, TaskId};
use crate::settings::BatchSettings;
use crate::stats::Stats;
use crate::status::{CancelReason, Reason, Status};
use crate::time::Time;

/// A batch of tasks: the queue, the dependencies, the states, the timers. Pure and synchronous.
///
/// # Contract
///
/// One caller owns the batch and drives it. Every call that changes something takes the time, which must not go
/// back; none blocks, and the same calls give the same events.
///
/// Calls that bring something in:
///
/// - [`submit`](Self::submit), [`submit_one`](Self::submit_one): more tasks, at any time;
/// - [`report`](Self::report), or [`postpone`](Self::postpone) where the attempt did not begin: exactly one for
///   each claim, with its token. Any other is refused, and changes nothing;
/// - [`handle_timers`](Self::handle_timers): when the time of [`next_wakeup`](Self::next_wakeup) has come. That
///   time may change with every other call;
/// - [`cancel`](Self::cancel), [`cancel_all`](Self::cancel_all), [`stop`](Self::stop), [`pause`](Self::pause),
///   [`resume`](Self::resume), [`release`](Self::release), [`reopen`](Self::reopen),
///   [`set_priority`](Self::set_priority), [`set_concurrency`](Self::set_concurrency),
///   [`add_limits`](Self::add_limits): whenever asked for.
///
/// Calls that yield something, to be made after any of those, until they give nothing more:
///
/// - [`take_cancel_requests`](Self::take_cancel_requests): running attempts that are to end. Each is still
///   reported;
/// - [`claim`](Self::claim): attempts to start, after [`put_off`](Self::put_off) where there are pauses;
/// - [`take_events`](Self::take_events): what happened, in order. Record an event before acting on the claim that
///   gave it if a crash must not lose the attempt.
///
/// All is done once [`is_settled`](Self::is_settled) holds and nothing more will be submitted. A batch of an
/// earlier run comes from a [`Restorer`](crate::restore::Restorer).
///
/// ```
/// use std::sync::Arc;
/// use batch_core::{Batch, BatchSettings, no_retries, Outcome, Status, TaskSpec, Time};
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
    pub(super) index: Index,
    pub(super) edges: Edges,
    pub(super) ids: HashMap<Box<str>, TaskId>,
    /// Who waits for tasks that have not come yet.
    pub(super) awaited: HashMap<TaskId, Awaited>,
    pub(super) flow: Flow,
    pub(super) course: Course,
    /// When the batch's own time is up, known from the first claim.
    pub(super) deadline: Option<Time>,
    /// Before it no attempt starts.
    pub(super) next_start: Option<Time>,
    pub(super) pauses: Pauses,
    pub(super) stats: Stats,
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

impl Batch {
    /// A batch without tasks.
    pub fn new(settings: BatchSettings) -> Self {
        Self::for_run(settings, RunId::default())
    }

    /// A batch whose claims belong to a run: a report that belongs to another is refused.
    pub fn for_run(settings: BatchSettings, run: RunId) -> Self {
        Self {
            index: Index::new(&settings),
            settings,
            run,
            table: Table::default(),
            edges: Edges::default(),
            ids: HashMap::new(),
            awaited: HashMap::new(),
            flow: Flow::default(),
            course: Course::default(),
            deadline: None,
            next_start: None,
            pauses: Pauses::default(),
            stats: Stats::default(),
            events: Vec::new(),
            cancel_requests: Vec::new(),
        }
    }

    /// Moves a task to a state.
    pub(super) fn transition(&mut self, id: TaskId, next: State) {
        self.index.transition(id, self.table.open_mut(id), next);
    }

    /// Brings a task to its final status. What depends on it is the caller's next step.
    #[inline]
    pub(super) fn finish(&mut self, id: TaskId, status: Status, reason: Option<Reason>, now: Time) {
        let entry = self.table.open_mut(id);
        self.index.transition(id, entry, State::Done(status));
        let retries = entry.retries;
        entry.spec = None;
        self.pauses.forget(id);
        self.record(Event::Finished {
            task: id,
            at: now,
            status,
            reason,
            retries,
        });
    }

    /// Tells the tasks that wait for a finished one: they become ready, are cancelled with theirs, or turn out not to be
    /// needed. A stack, as chains can be long.
    ///
    /// `root` is the task that failed first: this one, or the one it was cancelled for.
    #[inline]
    pub(super) fn settle_dependents(
        &mut self,
        id: TaskId,
        status: Status,
        root: TaskId,
        now: Time,
    ) {
        let chain = self.table.close(id);
        if chain == 0 {
            return;
        }
        let mut ended = vec![(chain, status)];
        while let Some((chain, status)) = ended.pop() {
            for (dependent, on) in self.edges.take(chain) {
                if on.fits(status) {
                    self.dependency_ended(dependent, now);
                } else if self.is_open(dependent) {
                    let (end, reason) = unfit(status, root);
                    self.finish(dependent, end, Some(reason), now);
                    ended.push((self.table.close(dependent), end));
                }
            }
        }
    }

    fn is_open(&self, id: TaskId) -> bool {
        let entry = self.table.get(id);
        entry.is_some_and(|entry| !entry.state.is_over())
    }

    fn dependency_ended(&mut self, id: TaskId, now: Time) {
        let Some(entry) = self.table.get_mut(id) else {
            return;
        };
        match &mut entry.state {
            State::Waiting { missing } => {
                *missing -= 1;
                if *missing == 0 {
                    let next = entry.startable(now);
                    self.transition(id, next);
                }
            }
            State::Held { missing } => *missing -= 1,
            _ => {}
        }
    }

    /// Keeps an event until it is taken, and counts it.
    #[inline(always)]
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
}

/// What becomes of a task whose dependency ended otherwise than it must: `status`, for `root`.
pub(super) fn unfit(status: Status, root: TaskId) -> (Status, Reason) {
    if status == Status::Completed {
        (Status::Completed, Reason::NotNeeded)
    } else {
        let why = CancelReason::DependencyFailed { root };
        (Status::Cancelled, Reason::Cancelled(why))
    }
}
