//! The batch and the model side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use super::model::{Model, ModelState, ModelTask};
use super::{DELAY, Ending, LIMIT, Operation, Setup, TIMEOUT, Wish};
use crate::batch::{
    Batch, ClaimToken, ReleaseError, Reopen, ReopenError, RestoredState, RestoredTask, StaleClaim,
    StopMode,
};
use crate::{
    BatchSettings, DependsOn, Event, Failure, FailureKind, Outcome, Plan, Priority, Reason, RunOn,
    Status, TaskId, TaskSpec, Time,
    plan::Needed,
    stats::Totals,
    status::{QueuedReason, StopReason},
};

pub(super) struct Pair {
    pub(super) batch: Batch,
    pub(super) model: Model,
    pub(super) events: Vec<Event>,
    /// What was carried over.
    pub(super) carried: Totals,
    /// What a task had been through before it came.
    pub(super) pasts: BTreeMap<TaskId, RestoredTask>,
    /// What tasks were before they came that were over by then; nothing for those cleared away.
    pub(super) over_before: BTreeMap<usize, Option<Status>>,
    last_claim: Option<ClaimToken>,
}

pub(super) fn settings(setup: Setup) -> BatchSettings {
    BatchSettings {
        halt: setup.halt,
        delay: setup.delay,
        batch_timeout: setup.batch_timeout,
        limits: BTreeMap::from([("few".to_owned(), NonZeroU32::new(LIMIT).unwrap())]),
        ..BatchSettings::with_slots(NonZeroU32::new(4).unwrap())
    }
}

pub(super) fn spec(task: &ModelTask) -> TaskSpec {
    let mut spec = TaskSpec::new("x")
        .with_priority(task.wished)
        .with_max_retries(task.max_retries)
        .with_on_interrupt(task.on_interrupt);
    let options = Arc::make_mut(&mut spec.options);
    options.limit = task.limited.then(|| "few".to_owned());
    options.timeout = task.timeout.then_some(TIMEOUT);
    options.hold = task.hold;
    options.finally = task.finally;
    options.not_before = task.not_before.map(Time::from_micros);
    spec
}

pub(super) fn needed(after: &[(usize, RunOn)]) -> Vec<Needed> {
    let needed = |(index, on): &(usize, RunOn)| Needed {
        task: TaskId::from_index(*index),
        on: *on,
    };
    after.iter().map(needed).collect()
}

impl Pair {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            batch: Batch::new(settings(setup)),
            model: Model::new(setup),
            events: Vec::new(),
            carried: Totals::default(),
            pasts: BTreeMap::new(),
            over_before: BTreeMap::new(),
            last_claim: None,
        }
    }

    pub(super) fn now(&self) -> Time {
        Time::from_micros(self.model.now)
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    pub(super) fn apply(&mut self, operation: &Operation) {
        let (now, count) = (self.now(), self.model.tasks.len());
        match operation {
            Operation::Submit(wish) => {
                let task = self.wished(wish, count);
                let after = needed(&task.after);
                self.batch.submit_after(Arc::new(spec(&task)), after, now);
                self.model.add(task);
            }
            Operation::SubmitPlan {
                wishes,
                on_later_ones,
            } => self.submit_plan(wishes, *on_later_ones),
            Operation::Restore(wish, past) => self.restore(wish, past),
            Operation::RestoreOver(status) => {
                self.restore_over(*status);
                // Those that waited for it are placed by the time at which they came.
                self.start_scheduled();
            }
            Operation::Reopen(which) => self.reopen(which),
            Operation::Claim => self.claim(),
            Operation::Report { which, ending } => self.report(*which, *ending),
            Operation::Postpone(which) => self.postpone(*which),
            Operation::ReportTwice { which } => {
                self.report(*which, Ending::Completed);
                if let Some(token) = self.last_claim {
                    self.refuse_if_stale(token);
                }
            }
            Operation::Cancel(which) if count > 0 => {
                let _ = self.batch.cancel(TaskId::from_index(which % count), now);
                self.model.cancel(which % count);
            }
            Operation::Release(which) if count > 0 => self.release(which % count),
            Operation::SetPriority(which, priority) if count > 0 => {
                self.set_priority(which % count, *priority);
            }
            Operation::SetConcurrency(slots) => {
                self.model.slots = *slots;
                self.batch
                    .set_concurrency(NonZeroU32::new(*slots).unwrap(), now);
            }
            Operation::CancelAll => {
                self.model.cancel_all(StopReason::Requested);
                self.batch.cancel_all(now);
            }
            Operation::Stop(mode) => {
                self.model.stop(*mode != StopMode::Graceful);
                self.batch.stop(*mode, now);
            }
            Operation::Pause => {
                self.model.paused = true;
                self.batch.pause(now);
            }
            Operation::Resume => {
                self.model.paused = false;
                self.batch.resume(now);
            }
            Operation::Pass(seconds) => {
                self.model.pass(seconds * 1_000_000);
                self.batch.handle_timers(self.now());
                self.start_scheduled();
            }
            Operation::SetClock(seconds) => {
                self.model.ahead = seconds * 1_000_000;
                self.start_scheduled();
            }
            Operation::Cancel(_) | Operation::Release(_) | Operation::SetPriority(..) => {}
        }
    }

    fn start_scheduled(&mut self) {
        let wall = Time::from_micros(self.model.now + self.model.ahead);
        self.batch.start_scheduled(wall, self.now());
        self.model.start_scheduled();
    }

    fn submit_plan(&mut self, wishes: &[Wish], on_later_ones: bool) {
        let (now, first) = (self.now(), self.model.tasks.len());
        let (mut specs, mut tasks) = (Vec::new(), Vec::new());
        for (at, wish) in wishes.iter().enumerate() {
            let mut task = self.wished(wish, 0);
            task.limited = false;
            // A plan refuses to let anything wait for it, or it for others.
            task.finally = false;
            let others = match on_later_ones {
                true => at + 1..wishes.len(),
                false => 0..at,
            };
            let others: Vec<usize> = others.map(|other| first + other).collect();
            let wanted = wish.after.iter().filter(|_| !others.is_empty());
            let after: BTreeMap<usize, RunOn> = wanted
                .map(|(n, on)| (others[n % others.len()], *on))
                .collect();
            task.after = after.into_iter().collect();
            let named = spec(&task).with_id(&format!("t{}", first + at));
            let mut named = named;
            let depends_on = |(index, on): &(usize, RunOn)| DependsOn {
                task: format!("t{index}").into(),
                on: *on,
            };
            named.depends_on = task.after.iter().map(depends_on).collect();
            specs.push(named);
            tasks.push(task);
        }
        let plan = Plan::check(specs, &["x"][..]).unwrap();
        let id = self.batch.submit(plan, now);
        assert_eq!(id, Some(TaskId::from_index(first)));
        self.model.add_plan(tasks);
    }

    /// A task as wished, which depends on some of the first `among` tasks.
    fn wished(&self, wish: &Wish, among: usize) -> ModelTask {
        let place = |(which, on): &(usize, RunOn)| (among > 0).then(|| (which % among, *on));
        let after: BTreeMap<usize, RunOn> = wish.after.iter().filter_map(place).collect();
        let new = self.model.tasks.len();
        let after = after
            .into_iter()
            .filter(|(index, _)| !self.model.needs(*index, new))
            .filter(|(index, _)| {
                !self
                    .model
                    .tasks
                    .get(*index)
                    .is_some_and(|task| task.finally)
            });
        let tasks = &self.model.tasks;
        let is_awaited = tasks
            .iter()
            .any(|task| task.after.iter().any(|(index, _)| *index == new));
        ModelTask {
            state: ModelState::Waiting(BTreeSet::new()),
            priority: wish.priority,
            wished: wish.priority,
            max_retries: wish.retries,
            retries: 0,
            attempts: 0,
            after: after.collect(),
            limited: wish.limited,
            timeout: wish.timeout,
            on_interrupt: wish.on_interrupt,
            hold: wish.hold,
            // A plan lets nothing wait for it.
            finally: wish.finally && !is_awaited,
            not_before: wish.not_before.map(|seconds| seconds * 1_000_000),
            placed: 0,
        }
    }

    fn restore(&mut self, wish: &Wish, past: &super::PastWish) {
        let (now, count) = (self.now(), self.model.tasks.len());
        let mut task = self.wished(wish, count + 4);
        task.attempts = past.attempts;
        task.retries = past.retries;
        task.priority = past.priority;
        let is_held = past.state == RestoredState::Held;
        if past.state != RestoredState::Queued && !(is_held && past.attempts == 0) {
            // Its turn had come.
            task.after.clear();
            task.not_before = None;
            task.finally = false;
            task.attempts += 1;
        }
        let past = RestoredTask {
            spec: Arc::new(spec(&task)),
            after: needed(&task.after),
            priority: task.priority,
            created_at: now,
            attempts: task.attempts,
            retries: task.retries,
            state: past.state,
        };
        let id = self.batch.restore(past.clone(), now);
        assert_eq!(id.index(), count);
        self.pasts.insert(id, past.clone());
        self.model.restore(task, past.state);
    }

    /// A task that is over before it comes: finished, or cleared away.
    fn restore_over(&mut self, status: Option<Status>) {
        let mut task = self.wished(&Wish::default(), 0);
        self.over_before.insert(self.model.tasks.len(), status);
        match status {
            Some(status) => {
                task.state = ModelState::Done(status, None);
                self.batch.restore_finished(status);
                let finished = Totals {
                    retries: 1,
                    attempts: 2,
                    ..Totals::default().with_counts([(status, 1)])
                };
                self.batch.carry_over(&finished);
                self.carried += finished;
            }
            None => {
                task.state = ModelState::Removed;
                self.batch.restore_removed();
            }
        }
        self.model.add(task);
    }

    fn reopen(&mut self, which: &[usize]) {
        let (now, count) = (self.now(), self.model.tasks.len());
        if count == 0 {
            return;
        }
        let which: Vec<usize> = which.iter().map(|index| index % count).collect();
        let wanted = |index: &usize| Reopen {
            task: TaskId::from_index(*index),
            spec: Arc::new(spec(&self.model.tasks[*index])),
            after: needed(&self.model.tasks[*index].after),
            priority: self.model.tasks[*index].wished,
            attempts: self.model.tasks[*index].attempts,
        };
        let tasks: Vec<Reopen> = which.iter().map(wanted).collect();
        let problem = which.iter().enumerate().find_map(|(at, index)| {
            let id = TaskId::from_index(*index);
            match self.model.status(*index) {
                None => Some(ReopenError::Unknown(id)),
                Some(status) if !status.is_final() => Some(ReopenError::Unfinished(id, status)),
                _ => which[..at]
                    .contains(index)
                    .then_some(ReopenError::Twice(id)),
            }
        });
        assert_eq!(self.batch.reopen(tasks, now).err(), problem);
        if problem.is_none() {
            self.model.reopen(&which);
        }
    }

    fn claim(&mut self) {
        let claim = self.batch.claim(self.now());
        let expected = self.model.claim();
        assert_eq!(
            claim.as_ref().map(|claim| claim.token.task.index()),
            expected
        );
        if let Some(claim) = claim {
            assert_eq!(
                claim.token.attempt,
                self.model.tasks[claim.token.task.index()].attempts
            );
            self.last_claim = Some(claim.token);
        }
    }

    fn report(&mut self, which: usize, ending: Ending) {
        let running = self.model.running();
        if !running.is_empty() {
            self.report_task(running[which % running.len()], ending);
        }
    }

    fn postpone(&mut self, which: usize) {
        let running = self.model.running();
        if running.is_empty() {
            return;
        }
        let index = running[which % running.len()];
        let now = self.now();
        self.batch.postpone(self.token(index), now).unwrap();
        self.model.postpone(index);
    }

    fn token(&self, index: usize) -> ClaimToken {
        ClaimToken {
            task: TaskId::from_index(index),
            attempt: self.model.tasks[index].attempts,
            run: crate::RunId::default(),
        }
    }

    pub(super) fn report_task(&mut self, index: usize, ending: Ending) {
        let token = self.token(index);
        let outcome = match ending {
            Ending::Completed => Outcome::Completed(None),
            Ending::Failed | Ending::GivenUp => Outcome::Failed(Arc::new(Failure::error("no"))),
            Ending::Interrupted => Outcome::Interrupted(None),
        };
        let gives_up = matches!(ending, Ending::GivenUp);
        let mut policy = |_: &TaskSpec, failure: &Failure, _: u32| {
            (failure.kind == FailureKind::Timeout || !gives_up).then_some(DELAY)
        };
        let now = self.now();
        self.batch.report(token, outcome, &mut policy, now).unwrap();
        // An attempt that was asked to end for its timeout and is then cut off has timed out all the same.
        self.model.report(index, ending);
    }

    fn refuse_if_stale(&mut self, token: ClaimToken) {
        let task = &self.model.tasks[token.task.index()];
        let current =
            matches!(task.state, ModelState::Running { attempt, .. } if attempt == token.attempt);
        if current {
            return;
        }
        let before = format!("{:?}", self.batch);
        let now = self.now();
        let refused =
            self.batch
                .report(token, Outcome::Completed(None), &mut crate::no_retries, now);
        assert_eq!(refused, Err(StaleClaim(token)));
        assert_eq!(
            format!("{:?}", self.batch),
            before,
            "a stale report changes nothing"
        );
    }

    fn release(&mut self, index: usize) {
        let (id, now) = (TaskId::from_index(index), self.now());
        let expected = match (&self.model.tasks[index].state, self.model.status(index)) {
            (ModelState::Held(_), _) => Ok(()),
            (_, None) => Err(ReleaseError::Unknown(id)),
            (_, Some(status)) => Err(ReleaseError::NotHeld(id, status)),
        };
        assert_eq!(self.batch.release(id, now), expected);
        if expected.is_ok() {
            self.model.release(index);
        }
    }

    fn set_priority(&mut self, index: usize, priority: Priority) {
        let now = self.now();
        let changed = self
            .batch
            .set_priority(TaskId::from_index(index), priority, now)
            .is_ok();
        let queued = self.model.status(index) == Some(Status::Queued);
        assert_eq!(changed, queued);
        if !queued {
            return;
        }
        self.model.tasks[index].priority = priority;
        if let ModelState::Ready { again, .. } = self.model.tasks[index].state {
            self.model.make_ready_as(index, again);
        }
    }

    /// What must hold after every operation.
    pub(super) fn check(&mut self) {
        self.batch.take_events(&mut self.events);
        let mut counts = [0u64; 5];
        for index in 0..self.model.tasks.len() {
            let status = self.model.status(index);
            assert_eq!(
                self.batch.status(TaskId::from_index(index)),
                status,
                "task {index}"
            );
            if let Some(status) = status {
                counts[status as usize] += 1;
            }
            let view = self.batch.task(TaskId::from_index(index));
            assert_eq!(
                view.and_then(|view| view.reason),
                self.reason(index),
                "task {index}"
            );
        }
        for status in Status::ALL {
            assert_eq!(
                self.batch.stats().count(status),
                counts[status as usize],
                "{status}"
            );
        }
        let running = self.model.running().len();
        assert_eq!(self.batch.running() as usize, running);
        let open = counts[Status::Queued as usize] + counts[Status::Running as usize];
        assert_eq!(self.batch.open() as u64, open);
        assert_eq!(self.batch.is_settled(), self.model.is_settled());
        assert_eq!(self.batch.is_paused(), self.model.paused);
        assert_eq!(self.batch.is_stopping(), self.model.stopping);
        assert_eq!(self.batch.was_cut_short(), self.model.cut_short);
        let scheduled = self.model.tasks.iter().filter_map(|task| match task.state {
            ModelState::Scheduled { at } => Some(Time::from_micros(at)),
            _ => None,
        });
        assert_eq!(self.batch.next_scheduled(), scheduled.min());
        let wakeup = self.batch.next_wakeup().map(Time::as_micros);
        assert_eq!(wakeup, self.model.next_wakeup());
        let pending = self.model.those(|state| {
            matches!(
                state,
                ModelState::Waiting(_)
                    | ModelState::Ready { .. }
                    | ModelState::Delayed { .. }
                    | ModelState::Scheduled { .. }
                    | ModelState::Last
            )
        });
        assert_eq!(self.batch.index.durations.pending(), pending.len() as u64);
        let _ = self.batch.remaining(self.now());
    }

    fn reason(&self, index: usize) -> Option<QueuedReason> {
        Some(match &self.model.tasks[index].state {
            ModelState::Waiting(waits) => QueuedReason::WaitingForDependencies {
                missing: u32::try_from(waits.len()).unwrap(),
            },
            ModelState::Ready { .. } if self.model.paused => QueuedReason::Paused,
            ModelState::Ready { .. } => QueuedReason::Ready,
            ModelState::Delayed { until } | ModelState::Scheduled { at: until } => {
                QueuedReason::Delayed {
                    until: Time::from_micros(*until),
                }
            }
            ModelState::Held(_) => QueuedReason::Held,
            ModelState::Last => {
                let over = |state: &ModelState| {
                    matches!(state, ModelState::Done(..) | ModelState::Removed)
                };
                let others = self
                    .model
                    .those(|state| !over(state) && *state != ModelState::Last);
                QueuedReason::WaitingForDependencies {
                    missing: u32::try_from(others.len()).unwrap(),
                }
            }
            _ => return None,
        })
    }

    /// Every task that ended ended once for each time it was opened, for the right reason, and no attempt
    /// began before its time.
    pub(super) fn check_events(&self) {
        let mut finished: BTreeMap<TaskId, (Status, Option<Reason>)> = BTreeMap::new();
        // What was cleared away had completed.
        let mut ends: BTreeSet<(usize, Status)> = self
            .over_before
            .iter()
            .map(|(index, status)| (*index, status.unwrap_or(Status::Completed)))
            .collect();
        for event in &self.events {
            match event {
                Event::Started { task, .. } => {
                    assert!(!finished.contains_key(task));
                    let after = self.model.tasks[task.index()].after.iter();
                    let fits = |(index, on): &&(usize, RunOn)| {
                        ends.iter()
                            .any(|(ended, status)| ended == index && on.fits(*status))
                    };
                    let missing: Vec<_> = after.filter(|needed| !fits(needed)).collect();
                    assert!(missing.is_empty(), "task {task} ran before {missing:?}");
                }
                Event::Finished {
                    task,
                    status,
                    reason,
                    ..
                } => {
                    let again = finished.insert(*task, (*status, *reason));
                    assert!(again.is_none(), "task {task} ended twice");
                    ends.insert((task.index(), *status));
                }
                Event::Reopened { task, from, .. } => {
                    let before = finished.remove(task).map(|(status, _)| status);
                    assert_eq!(before.unwrap_or(*from), *from);
                }
                _ => {}
            }
        }
        for (index, task) in self.model.tasks.iter().enumerate() {
            let ended = finished.get(&TaskId::from_index(index)).copied();
            match task.state {
                ModelState::Done(..)
                    if self.over_before.contains_key(&index) && ended.is_none() => {}
                ModelState::Done(status, reason) => assert_eq!(ended, Some((status, reason))),
                _ => assert_eq!(ended, None),
            }
        }
    }

    /// Lets all that is open run to its end; of a batch that was stopped, what runs.
    pub(super) fn drain(&mut self) {
        self.apply(&Operation::Resume);
        let awaited = self.model.tasks.iter().flat_map(|task| &task.after);
        let awaited = awaited.map(|(index, _)| *index).max();
        for _ in self.model.tasks.len()..awaited.map_or(0, |last| last + 1) {
            self.apply(&Operation::RestoreOver(None));
        }
        for _ in 0..10_000 {
            for held in self
                .model
                .those(|state| matches!(state, ModelState::Held(_)))
            {
                self.apply(&Operation::Release(held));
            }
            if self.batch.open() == 0 || (self.model.stopping && self.batch.running() == 0) {
                assert!(self.batch.is_settled());
                return;
            }
            self.apply(&Operation::Claim);
            if self.batch.running() > 0 {
                self.apply(&Operation::Report {
                    which: 0,
                    ending: Ending::Completed,
                });
            } else {
                self.apply(&Operation::Pass(10));
            }
        }
        panic!("the batch does not end");
    }
}
