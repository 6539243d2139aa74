//! The model: no indexes, no links, everything looked for again each time.

use std::collections::BTreeSet;

use super::{Ending, LIMIT, Setup, micros};
use crate::settings::{Halt, HaltLimit, HaltMode, HaltOf};
use crate::{
    Batch, FailureKind, OnInterrupt, Priority, Reason, RunOn, Status, TaskId,
    restore::RestoredState,
    status::{CancelReason, StopReason},
};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ModelState {
    /// For these tasks; before it is placed, for none.
    Waiting(BTreeSet<usize>),
    Ready {
        seq: u64,
        again: bool,
    },
    Delayed {
        until: u64,
    },
    Scheduled {
        at: u64,
    },
    /// It runs when all others have ended.
    Last,
    /// Nobody has released it; for these tasks it waits as well.
    Held(BTreeSet<usize>),
    Running {
        attempt: u32,
        deadline: Option<u64>,
        ending: Option<ModelEnding>,
    },
    Done(Status, Option<Reason>),
    Removed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ModelEnding {
    Timeout,
    Cancelled(CancelReason),
    Shutdown,
}

#[derive(Clone, Debug)]
pub(super) struct ModelTask {
    pub(super) state: ModelState,
    pub(super) priority: Priority,
    /// The priority its author gave it.
    pub(super) wished: Priority,
    pub(super) max_retries: u32,
    pub(super) retries: u32,
    pub(super) attempts: u32,
    pub(super) after: Vec<(usize, RunOn)>,
    pub(super) limited: bool,
    pub(super) timeout: bool,
    pub(super) on_interrupt: OnInterrupt,
    pub(super) hold: bool,
    pub(super) finally: bool,
    /// When it may start on the wall clock.
    pub(super) not_before: Option<u64>,
    /// When it was last put behind what it waits for.
    pub(super) placed: u64,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) tasks: Vec<ModelTask>,
    pub(super) slots: u32,
    pub(super) paused: bool,
    pub(super) stopping: bool,
    pub(super) cut_short: bool,
    /// What comes has no turn either.
    over: Option<StopReason>,
    setup: Setup,
    /// When the time of the batch is up, once it has begun.
    deadline: Option<u64>,
    /// Before it nothing starts; nothing once that time has come.
    next_start: Option<u64>,
    pub(super) now: u64,
    /// By how much the wall clock is ahead of the run's.
    pub(super) ahead: u64,
    seq: u64,
}

impl Model {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            tasks: Vec::new(),
            slots: 4,
            paused: false,
            stopping: false,
            cut_short: false,
            over: None,
            setup,
            deadline: None,
            next_start: None,
            now: 0,
            ahead: 0,
            seq: 0,
        }
    }

    pub(super) fn make_ready(&mut self, index: usize) {
        self.make_ready_as(index, self.tasks[index].attempts > 0);
    }

    pub(super) fn make_ready_as(&mut self, index: usize, again: bool) {
        self.seq += 1;
        self.tasks[index].state = ModelState::Ready {
            seq: self.seq,
            again,
        };
    }

    /// An attempt did not begin after all.
    pub(super) fn postpone(&mut self, index: usize) {
        let ModelState::Running { ending, .. } = self.tasks[index].state else {
            panic!("only what was given out is postponed");
        };
        self.tasks[index].attempts -= 1;
        match ending {
            Some(ModelEnding::Cancelled(why)) => self.cancel_now(index, why),
            _ => match self.takes_nothing_back(index) {
                Some(why) => self.cancel_now(index, why),
                None => self.next(index),
            },
        }
    }

    fn next(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        if task.finally && task.attempts == 0 {
            task.state = ModelState::Last;
        } else {
            self.make_ready_as(index, true);
        }
    }

    /// Why what ran has no other turn, if it has none.
    fn takes_nothing_back(&self, index: usize) -> Option<CancelReason> {
        let is_it = !self.stopping && !self.tasks[index].finally;
        self.over.filter(|_| is_it).map(CancelReason::BatchStopped)
    }

    /// The tasks in a kind of state.
    pub(super) fn those(&self, wanted: impl Fn(&ModelState) -> bool) -> Vec<usize> {
        (0..self.tasks.len())
            .filter(|i| wanted(&self.tasks[*i].state))
            .collect()
    }

    pub(super) fn running(&self) -> Vec<usize> {
        self.those(|state| matches!(state, ModelState::Running { .. }))
    }

    /// Whether a task is another one, or needs it: a plan bars such a cycle.
    pub(super) fn needs(&self, index: usize, other: usize) -> bool {
        let after = self.tasks.get(index).map(|task| &task.after);
        index == other
            || after.is_some_and(|after| after.iter().any(|(i, _)| self.needs(*i, other)))
    }

    /// Adds a task that waits for its turn, or one that is over.
    pub(super) fn add(&mut self, task: ModelTask) {
        let index = self.tasks.len();
        let state = task.state.clone();
        self.tasks.push(task);
        match state {
            ModelState::Waiting(_) => self.place(index, self.tasks[index].hold),
            ModelState::Removed => self.ended(index, Status::Completed, TaskId::from_index(index)),
            ModelState::Done(status, _) => self.ended(index, status, TaskId::from_index(index)),
            _ => unreachable!("such a task is restored"),
        }
    }

    /// Adds tasks that were checked together.
    pub(super) fn add_plan(&mut self, tasks: Vec<ModelTask>) {
        let first = self.tasks.len();
        self.tasks.extend(tasks);
        for index in first..self.tasks.len() {
            self.place(index, self.tasks[index].hold);
        }
    }

    /// Adds a task as an earlier run left it.
    pub(super) fn restore(&mut self, task: ModelTask, state: RestoredState) {
        let index = self.tasks.len();
        self.tasks.push(task);
        match state {
            RestoredState::Queued => self.place(index, false),
            RestoredState::Held => self.place(index, true),
            RestoredState::Delayed { until } if until.as_micros() > self.now => {
                let until = until.as_micros();
                self.tasks[index].state = ModelState::Delayed { until };
            }
            RestoredState::Delayed { .. } => self.make_ready(index),
            RestoredState::GivenOut => {
                self.tasks[index].attempts = self.tasks[index].attempts.saturating_sub(1);
                self.next(index);
            }
            RestoredState::Running { deaths, .. } => {
                self.tasks[index].attempts = self.tasks[index].attempts.max(1);
                if deaths >= Batch::MAX_DEATHS {
                    self.fail(index, FailureKind::Quarantined);
                } else {
                    self.interrupted(index);
                }
            }
        }
        let is_done = matches!(self.tasks[index].state, ModelState::Done(..));
        if let Some(why) = self.over
            && !is_done
        {
            self.cancel_now(index, CancelReason::BatchStopped(why));
        }
    }

    fn place(&mut self, index: usize, hold: bool) {
        if let Some(why) = self.over {
            return self.cancel_now(index, CancelReason::BatchStopped(why));
        }
        self.seq += 1;
        self.tasks[index].placed = self.seq;
        let mut waits = BTreeSet::new();
        for (dependency, on) in self.tasks[index].after.clone() {
            let status = match self.tasks.get(dependency).map(|task| &task.state) {
                Some(ModelState::Removed) => Status::Completed,
                Some(ModelState::Done(status, _)) => *status,
                _ => {
                    waits.insert(dependency);
                    continue;
                }
            };
            if !on.fits(status) {
                let root = TaskId::from_index(dependency);
                let end = self.end_unfit(index, status, root);
                return self.ended(index, end, root);
            }
        }
        if hold {
            self.tasks[index].state = ModelState::Held(waits);
        } else {
            self.wait_for(index, waits);
        }
    }

    fn wait_for(&mut self, index: usize, waits: BTreeSet<usize>) {
        let task = &mut self.tasks[index];
        match task.not_before {
            _ if !waits.is_empty() => task.state = ModelState::Waiting(waits),
            _ if task.finally && task.attempts == 0 => task.state = ModelState::Last,
            Some(at) if at > self.now => task.state = ModelState::Scheduled { at },
            _ => self.make_ready(index),
        }
    }

    pub(super) fn release(&mut self, index: usize) {
        if let ModelState::Held(waits) = &self.tasks[index].state {
            self.wait_for(index, waits.clone());
        }
    }

    /// Starts what is due on the wall clock.
    pub(super) fn start_scheduled(&mut self) {
        let wall = self.now + self.ahead;
        let mut due: Vec<(u64, usize)> = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            match task.state {
                ModelState::Scheduled { at } if at <= wall => due.push((at, index)),
                _ => {}
            }
        }
        due.sort_unstable();
        for (_, index) in due {
            self.make_ready(index);
        }
    }

    /// Those that wait for a task, in the order in which they began to.
    fn waiting_for(&self, index: usize) -> Vec<usize> {
        let mut dependents = self.those(|state| {
            matches!(state, ModelState::Waiting(waits) | ModelState::Held(waits) if waits.contains(&index))
        });
        dependents.sort_by_key(|dependent| self.tasks[*dependent].placed);
        dependents
    }

    /// Tells those that wait for a task what it ended as, and then those that wait for what ends by that.
    fn ended(&mut self, index: usize, status: Status, root: TaskId) {
        let mut ended = vec![(index, status)];
        while let Some((index, status)) = ended.pop() {
            for dependent in self.waiting_for(index) {
                let after = self.tasks[dependent].after.iter();
                let (_, on) = after.clone().find(|(needed, _)| *needed == index).unwrap();
                if on.fits(status) {
                    self.wait_no_more(dependent, index);
                } else {
                    ended.push((dependent, self.end_unfit(dependent, status, root)));
                }
            }
        }
    }

    fn wait_no_more(&mut self, dependent: usize, index: usize) {
        match &mut self.tasks[dependent].state {
            ModelState::Held(waits) => {
                waits.remove(&index);
            }
            ModelState::Waiting(waits) => {
                waits.remove(&index);
                let waits = waits.clone();
                self.wait_for(dependent, waits);
            }
            _ => unreachable!("it waits"),
        }
    }

    /// A task whose dependency ended otherwise than it must is not needed, or cancelled for the first cause.
    fn end_unfit(&mut self, index: usize, status: Status, root: TaskId) -> Status {
        let (end, reason) = match status {
            Status::Completed => (Status::Completed, Reason::NotNeeded),
            _ => {
                let why = CancelReason::DependencyFailed { root };
                (Status::Cancelled, Reason::Cancelled(why))
            }
        };
        self.tasks[index].state = ModelState::Done(end, Some(reason));
        end
    }

    /// Starts the tasks that run when all others have ended.
    fn start_the_last(&mut self) {
        let last = self.those(|state| *state == ModelState::Last);
        let open = self.those(|state| !matches!(state, ModelState::Done(..) | ModelState::Removed));
        if open.len() == last.len() {
            last.into_iter().for_each(|index| self.make_ready(index));
        }
    }

    pub(super) fn claim(&mut self) -> Option<usize> {
        let running = self.running();
        let is_early = self.next_start.is_some_and(|start| self.now < start);
        if self.paused || self.stopping || is_early || running.len() >= self.slots as usize {
            return None;
        }
        self.start_the_last();
        let limited = running.iter().filter(|i| self.tasks[**i].limited).count();
        let (_, index) = (0..self.tasks.len())
            .filter(|i| !self.tasks[*i].limited || limited < LIMIT as usize)
            .filter_map(|i| match self.tasks[i].state {
                ModelState::Ready { seq, again } => {
                    Some(((self.tasks[i].priority.rank(), !again, seq), i))
                }
                _ => None,
            })
            .min()?;
        self.next_start = self.setup.delay.map(|delay| self.now + micros(delay));
        if let (None, Some(timeout)) = (self.deadline, self.setup.batch_timeout) {
            self.deadline = Some(self.now + micros(timeout));
        }
        let task = &mut self.tasks[index];
        task.attempts += 1;
        let deadline = task.timeout.then(|| self.now + micros(super::TIMEOUT));
        task.state = ModelState::Running {
            attempt: task.attempts,
            deadline,
            ending: None,
        };
        Some(index)
    }

    pub(super) fn report(&mut self, index: usize, ending: Ending) {
        let ModelState::Running { ending: asked, .. } = self.tasks[index].state else {
            panic!("only running tasks are reported");
        };
        match (ending, asked) {
            (Ending::Completed, _) => {
                self.tasks[index].state = ModelState::Done(Status::Completed, None);
                self.ended(index, Status::Completed, TaskId::from_index(index));
                self.halt_if_reached(Status::Completed);
            }
            (_, Some(ModelEnding::Cancelled(why))) => self.cancel_now(index, why),
            (_, Some(ModelEnding::Shutdown)) | (Ending::Interrupted, None) => {
                self.interrupted(index)
            }
            (ending, asked) => {
                let kind = match asked {
                    Some(_) => FailureKind::Timeout,
                    None => FailureKind::Error,
                };
                let is_ended = self.over.is_some() && !self.tasks[index].finally;
                let gives_up = asked.is_none() && matches!(ending, Ending::GivenUp) || is_ended;
                let task = &mut self.tasks[index];
                if task.retries >= task.max_retries || gives_up {
                    self.fail(index, kind);
                } else {
                    task.retries += 1;
                    let until = self.now + micros(super::DELAY);
                    task.state = ModelState::Delayed { until };
                }
            }
        }
    }

    fn interrupted(&mut self, index: usize) {
        match self.tasks[index].on_interrupt {
            OnInterrupt::Rerun => match self.takes_nothing_back(index) {
                Some(why) => self.cancel_now(index, why),
                None => self.make_ready(index),
            },
            OnInterrupt::Hold => self.tasks[index].state = ModelState::Held(BTreeSet::new()),
            OnInterrupt::Fail => self.fail(index, FailureKind::Interrupted),
        }
    }

    fn fail(&mut self, index: usize, kind: FailureKind) {
        self.tasks[index].state = ModelState::Done(Status::Failed, Some(Reason::Failed(kind)));
        self.ended(index, Status::Failed, TaskId::from_index(index));
        self.halt_if_reached(Status::Failed);
    }

    fn halt_if_reached(&mut self, status: Status) {
        let Halt::When { mode, of, limit } = self.setup.halt else {
            return;
        };
        let counts = |status: Status| match of {
            HaltOf::Fail => status == Status::Failed,
            HaltOf::Success => status == Status::Completed,
            HaltOf::Done => status == Status::Failed || status == Status::Completed,
        };
        let ended =
            self.those(|state| matches!(state, ModelState::Done(status, _) if counts(*status)));
        let known = self.those(|state| *state != ModelState::Removed);
        let is_reached = match limit {
            HaltLimit::Tasks(tasks) => ended.len() >= tasks as usize,
            HaltLimit::Percent(percent) => ended.len() * 100 >= known.len() * usize::from(percent),
        };
        if counts(status) && is_reached && self.over.is_none() {
            let why = match self.setup.halt {
                Halt::FAIL_FAST => StopReason::FailFast,
                _ => StopReason::Halted,
            };
            self.over = Some(why);
            self.cancel_open(why, mode);
        }
    }

    fn end_for(&mut self, why: StopReason) {
        self.over = Some(why);
        self.cancel_all(why);
    }

    pub(super) fn cancel_all(&mut self, why: StopReason) {
        self.cancel_open(why, HaltMode::Now);
    }

    fn cancel_open(&mut self, why: StopReason, mode: HaltMode) {
        self.cut_short = true;
        let why = CancelReason::BatchStopped(why);
        for task in &mut self.tasks {
            match &mut task.state {
                ModelState::Done(..) | ModelState::Removed | ModelState::Last => {}
                ModelState::Running { ending, .. } => {
                    if mode == HaltMode::Now {
                        ending.get_or_insert(ModelEnding::Cancelled(why));
                    }
                }
                state => {
                    *state = ModelState::Done(Status::Cancelled, Some(Reason::Cancelled(why)));
                }
            }
        }
    }

    pub(super) fn stop(&mut self, ends_attempts: bool) {
        self.stopping = true;
        for task in &mut self.tasks {
            if let ModelState::Running { ending, .. } = &mut task.state
                && ends_attempts
            {
                ending.get_or_insert(ModelEnding::Shutdown);
            }
        }
    }

    pub(super) fn cancel(&mut self, index: usize) {
        match &mut self.tasks[index].state {
            ModelState::Done(..) | ModelState::Removed => {}
            ModelState::Running { ending, .. } => {
                ending.get_or_insert(ModelEnding::Cancelled(CancelReason::User));
            }
            _ => self.cancel_now(index, CancelReason::User),
        }
    }

    fn cancel_now(&mut self, index: usize, why: CancelReason) {
        let reason = Reason::Cancelled(why);
        self.tasks[index].state = ModelState::Done(Status::Cancelled, Some(reason));
        self.ended(index, Status::Cancelled, TaskId::from_index(index));
    }

    pub(super) fn reopen(&mut self, tasks: &[usize]) {
        self.over = None;
        for index in tasks {
            let task = &mut self.tasks[*index];
            task.state = ModelState::Waiting(BTreeSet::new());
            task.priority = task.wished;
            task.retries = 0;
        }
        for index in tasks {
            self.place(*index, false);
        }
    }

    pub(super) fn pass(&mut self, micros: u64) {
        self.now += micros;
        self.next_start.take_if(|start| *start <= self.now);
        if !self.cut_short && self.deadline.is_some_and(|deadline| deadline <= self.now) {
            self.end_for(StopReason::TimeLimit);
        }
        let mut due: Vec<(u64, usize)> = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            match task.state {
                ModelState::Delayed { until } if until <= self.now => due.push((until, index)),
                ModelState::Running {
                    deadline: Some(at),
                    ending: None,
                    ..
                } if at <= self.now => {
                    due.push((at, index));
                }
                _ => {}
            }
        }
        due.sort_unstable();
        for (_, index) in due {
            match &mut self.tasks[index].state {
                ModelState::Delayed { .. } => self.make_ready(index),
                ModelState::Running { ending, .. } => *ending = Some(ModelEnding::Timeout),
                _ => unreachable!(),
            }
        }
    }

    pub(super) fn status(&self, index: usize) -> Option<Status> {
        Some(match self.tasks[index].state {
            ModelState::Running { .. } => Status::Running,
            ModelState::Done(status, _) => status,
            ModelState::Removed => return None,
            _ => Status::Queued,
        })
    }

    /// When time alone changes something next.
    pub(super) fn next_wakeup(&self) -> Option<u64> {
        let timer = |task: &ModelTask| match task.state {
            ModelState::Delayed { until } => Some(until),
            ModelState::Running {
                deadline,
                ending: None,
                ..
            } => deadline,
            _ => None,
        };
        let deadline = self.deadline.filter(|_| !self.cut_short);
        let is_ready = |task: &ModelTask| matches!(task.state, ModelState::Ready { .. });
        let starts = !self.paused && !self.stopping && self.tasks.iter().any(is_ready);
        let start = self.next_start.filter(|_| starts);
        let timers = self.tasks.iter().filter_map(timer);
        timers.chain(deadline).chain(start).min()
    }

    /// Nothing runs, and nothing will without someone's doing.
    pub(super) fn is_settled(&self) -> bool {
        let any = |wanted: fn(&ModelState) -> bool| !self.those(wanted).is_empty();
        let moves = |state: &ModelState| {
            matches!(
                state,
                ModelState::Running { .. }
                    | ModelState::Ready { .. }
                    | ModelState::Delayed { .. }
                    | ModelState::Scheduled { .. }
            )
        };
        let waits = any(|state| matches!(state, ModelState::Waiting(_) | ModelState::Last));
        if self.stopping {
            return self.running().is_empty();
        }
        !any(moves) && (!waits || any(|state| matches!(state, ModelState::Held(_))))
    }
}
