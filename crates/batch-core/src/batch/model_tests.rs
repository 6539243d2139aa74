//! Random operations against a naive model that keeps everything in plain lists.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    BatchSettings, CancelReason, Event, Failure, FailureKind, Outcome, Priority, Reason, Status,
    TaskId, TaskSpec, Time,
};

const LIMIT: u32 = 2;
const DELAY: Duration = Duration::from_secs(7);
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
enum Operation {
    Submit {
        priority: Priority,
        retries: u32,
        after: Vec<usize>,
        limited: bool,
        timeout: bool,
    },
    Claim,
    Report {
        which: usize,
        ending: Ending,
    },
    ReportTwice {
        which: usize,
    },
    Cancel(usize),
    SetPriority(usize, Priority),
    SetConcurrency(u32),
    Pause,
    Resume,
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Completed,
    Failed,
    GivenUp,
    Interrupted,
}

#[derive(Clone, Debug, PartialEq)]
enum ModelState {
    Waiting,
    Ready {
        seq: u64,
        again: bool,
    },
    Delayed {
        until: u64,
    },
    Running {
        attempt: u32,
        deadline: Option<u64>,
        ending: Option<ModelEnding>,
    },
    Done(Status, Option<Reason>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ModelEnding {
    Timeout,
    User,
}

#[derive(Clone, Debug)]
struct ModelTask {
    state: ModelState,
    priority: Priority,
    retries_left: u32,
    attempts: u32,
    after: Vec<usize>,
    limited: bool,
    timeout: bool,
}

/// The model: no indexes, no links, everything looked for again each time.
#[derive(Debug)]
struct Model {
    tasks: Vec<ModelTask>,
    slots: u32,
    paused: bool,
    now: u64,
    seq: u64,
}

impl Model {
    fn make_ready(&mut self, index: usize, again: bool) {
        self.tasks[index].state = ModelState::Ready {
            seq: self.seq,
            again,
        };
        self.seq += 1;
    }

    fn running(&self) -> Vec<usize> {
        let running = |task: &ModelTask| matches!(task.state, ModelState::Running { .. });
        (0..self.tasks.len())
            .filter(|i| running(&self.tasks[*i]))
            .collect()
    }

    fn submit(&mut self, task: ModelTask) {
        self.tasks.push(task);
        let index = self.tasks.len() - 1;
        for dependency in self.tasks[index].after.clone() {
            if let ModelState::Done(status, _) = self.tasks[dependency].state
                && status != Status::Completed
            {
                let root = TaskId::from_index(dependency);
                return self.end(
                    index,
                    Status::Cancelled,
                    Some(dependency_failed(root)),
                    root,
                );
            }
        }
        if self.all_completed(index) {
            self.make_ready(index, false);
        }
    }

    fn all_completed(&self, index: usize) -> bool {
        let completed =
            |i: &usize| matches!(self.tasks[*i].state, ModelState::Done(Status::Completed, _));
        self.tasks[index].after.iter().all(completed)
    }

    fn claim(&mut self) -> Option<usize> {
        let running = self.running();
        if self.paused || running.len() >= self.slots as usize {
            return None;
        }
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
        let task = &mut self.tasks[index];
        task.attempts += 1;
        let deadline = task.timeout.then(|| self.now + micros(TIMEOUT));
        task.state = ModelState::Running {
            attempt: task.attempts,
            deadline,
            ending: None,
        };
        Some(index)
    }

    fn report(&mut self, index: usize, ending: Ending) {
        let ModelState::Running { ending: asked, .. } = self.tasks[index].state else {
            panic!("only running tasks are reported");
        };
        let root = TaskId::from_index(index);
        match (ending, asked) {
            (Ending::Completed, _) => {
                self.end(index, Status::Completed, None, root);
                for dependent in 0..self.tasks.len() {
                    let waits = self.tasks[dependent].state == ModelState::Waiting;
                    if waits
                        && self.tasks[dependent].after.contains(&index)
                        && self.all_completed(dependent)
                    {
                        self.make_ready(dependent, false);
                    }
                }
            }
            (_, Some(ModelEnding::User)) => {
                self.end(index, Status::Cancelled, Some(by_user()), root)
            }
            (Ending::Interrupted, None) => self.make_ready(index, true),
            (ending, asked) => {
                let kind = match asked {
                    Some(_) => FailureKind::Timeout,
                    None => FailureKind::Error,
                };
                let gives_up = asked.is_none() && matches!(ending, Ending::GivenUp);
                if self.tasks[index].retries_left == 0 || gives_up {
                    self.end(index, Status::Failed, Some(Reason::Failed(kind)), root);
                } else {
                    self.tasks[index].retries_left -= 1;
                    self.tasks[index].state = ModelState::Delayed {
                        until: self.now + micros(DELAY),
                    };
                }
            }
        }
    }

    fn cancel(&mut self, index: usize) {
        match &mut self.tasks[index].state {
            ModelState::Done(..) => {}
            ModelState::Running { ending, .. } => {
                ending.get_or_insert(ModelEnding::User);
            }
            _ => self.end(
                index,
                Status::Cancelled,
                Some(by_user()),
                TaskId::from_index(index),
            ),
        }
    }

    fn end(&mut self, index: usize, status: Status, reason: Option<Reason>, root: TaskId) {
        self.tasks[index].state = ModelState::Done(status, reason);
        if status == Status::Completed {
            return;
        }
        for dependent in 0..self.tasks.len() {
            let open = !matches!(self.tasks[dependent].state, ModelState::Done(..));
            if open && self.tasks[dependent].after.contains(&index) {
                self.end(
                    dependent,
                    Status::Cancelled,
                    Some(dependency_failed(root)),
                    root,
                );
            }
        }
    }

    fn pass(&mut self, micros: u64) {
        self.now += micros;
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
                ModelState::Delayed { .. } => self.make_ready(index, true),
                ModelState::Running { ending, .. } => *ending = Some(ModelEnding::Timeout),
                _ => unreachable!(),
            }
        }
    }

    fn status(&self, index: usize) -> Status {
        match self.tasks[index].state {
            ModelState::Running { .. } => Status::Running,
            ModelState::Done(status, _) => status,
            _ => Status::Queued,
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

fn by_user() -> Reason {
    Reason::Cancelled(CancelReason::User)
}

fn dependency_failed(root: TaskId) -> Reason {
    Reason::Cancelled(CancelReason::DependencyFailed { root })
}

fn settings() -> BatchSettings {
    BatchSettings {
        limits: BTreeMap::from([("few".to_owned(), NonZeroU32::new(LIMIT).unwrap())]),
        ..BatchSettings::with_slots(NonZeroU32::new(4).unwrap())
    }
}

fn spec(task: &ModelTask) -> TaskSpec {
    let mut spec = TaskSpec::new("x")
        .with_priority(task.priority)
        .with_max_retries(task.retries_left);
    let options = Arc::make_mut(&mut spec.options);
    options.limit = task.limited.then(|| "few".to_owned());
    options.timeout = task.timeout.then_some(TIMEOUT);
    spec
}

/// The batch and the model side by side.
struct Pair {
    batch: Batch,
    model: Model,
    events: Vec<Event>,
    last_claim: Option<ClaimToken>,
}

impl Pair {
    fn new() -> Self {
        let model = Model {
            tasks: Vec::new(),
            slots: 4,
            paused: false,
            now: 0,
            seq: 0,
        };
        Self {
            batch: Batch::new(settings()),
            model,
            events: Vec::new(),
            last_claim: None,
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(self.model.now)
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn apply(&mut self, operation: &Operation) {
        let (now, count) = (self.now(), self.model.tasks.len());
        match operation {
            Operation::Submit {
                priority,
                retries,
                after,
                limited,
                timeout,
            } => {
                let mut after: Vec<usize> = after
                    .iter()
                    .filter(|_| count > 0)
                    .map(|i| i % count)
                    .collect();
                after.sort_unstable();
                after.dedup();
                let task = ModelTask {
                    state: ModelState::Waiting,
                    priority: *priority,
                    retries_left: *retries,
                    attempts: 0,
                    after: after.clone(),
                    limited: *limited,
                    timeout: *timeout,
                };
                let ids: Vec<TaskId> = after.into_iter().map(TaskId::from_index).collect();
                self.batch.submit_one(Arc::new(spec(&task)), &ids, now);
                self.model.submit(task);
            }
            Operation::Claim => self.claim(),
            Operation::Report { which, ending } => self.report(*which, *ending),
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
            Operation::SetPriority(which, priority) if count > 0 => {
                self.set_priority(which % count, *priority);
            }
            Operation::SetConcurrency(slots) => {
                self.model.slots = *slots;
                self.batch
                    .set_concurrency(NonZeroU32::new(*slots).unwrap(), now);
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
            }
            Operation::Cancel(_) | Operation::SetPriority(..) => {}
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
        if running.is_empty() {
            return;
        }
        let index = running[which % running.len()];
        let token = ClaimToken {
            task: TaskId::from_index(index),
            attempt: self.model.tasks[index].attempts,
            run: crate::RunId::default(),
        };
        let outcome = match ending {
            Ending::Completed => Outcome::Completed(None),
            Ending::Failed | Ending::GivenUp => Outcome::Failed(Arc::new(Failure::error("no"))),
            Ending::Interrupted => Outcome::Interrupted,
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

    fn set_priority(&mut self, index: usize, priority: Priority) {
        let now = self.now();
        let changed = self
            .batch
            .set_priority(TaskId::from_index(index), priority, now)
            .is_ok();
        let task = &mut self.model.tasks[index];
        let queued = !matches!(
            task.state,
            ModelState::Running { .. } | ModelState::Done(..)
        );
        assert_eq!(changed, queued);
        if !queued {
            return;
        }
        task.priority = priority;
        if let ModelState::Ready { again, .. } = task.state {
            self.model.make_ready(index, again);
        }
    }

    /// What must hold after every operation.
    fn check(&mut self) {
        self.batch.take_events(&mut self.events);
        let mut counts = [0u64; 5];
        for index in 0..self.model.tasks.len() {
            let status = self.model.status(index);
            assert_eq!(
                self.batch.status(TaskId::from_index(index)),
                Some(status),
                "task {index}"
            );
            counts[status as usize] += 1;
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
        let _ = self.batch.remaining(self.now());
    }

    /// Every task that ended ended once, for the right reason, and no attempt began before its time.
    fn check_events(&self) {
        let mut finished: BTreeMap<TaskId, (Status, Option<Reason>)> = BTreeMap::new();
        for event in &self.events {
            match event {
                Event::Started { task, .. } => {
                    assert!(!finished.contains_key(task));
                    for dependency in &self.model.tasks[task.index()].after {
                        let id = TaskId::from_index(*dependency);
                        assert_eq!(finished.get(&id).map(|(s, _)| *s), Some(Status::Completed));
                    }
                }
                Event::Finished {
                    task,
                    status,
                    reason,
                    ..
                } => {
                    let again = finished.insert(*task, (*status, *reason));
                    assert!(again.is_none(), "task {task} ended twice");
                }
                _ => {}
            }
        }
        for (index, task) in self.model.tasks.iter().enumerate() {
            let ended = finished.get(&TaskId::from_index(index)).copied();
            match task.state {
                ModelState::Done(status, reason) => assert_eq!(ended, Some((status, reason))),
                _ => assert_eq!(ended, None),
            }
        }
    }

    /// Lets all that is open run to its end.
    fn drain(&mut self) {
        self.apply(&Operation::Resume);
        for _ in 0..10_000 {
            if self.batch.open() == 0 {
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

fn operation() -> impl Strategy<Value = Operation> {
    let priority = || prop::sample::select(Priority::ALL.to_vec());
    let ending = prop_oneof![
        4 => Just(Ending::Completed),
        3 => Just(Ending::Failed),
        1 => Just(Ending::GivenUp),
        1 => Just(Ending::Interrupted),
    ];
    let submit = (
        priority(),
        0u32..3,
        prop::collection::vec(any::<usize>(), 0..3),
        any::<bool>(),
        any::<bool>(),
    );
    prop_oneof![
        8 => submit.prop_map(|(priority, retries, after, limited, timeout)| Operation::Submit {
            priority, retries, after, limited, timeout,
        }),
        8 => Just(Operation::Claim),
        6 => (any::<usize>(), ending).prop_map(|(which, ending)| Operation::Report { which, ending }),
        1 => any::<usize>().prop_map(|which| Operation::ReportTwice { which }),
        1 => any::<usize>().prop_map(Operation::Cancel),
        1 => (any::<usize>(), priority()).prop_map(|(which, p)| Operation::SetPriority(which, p)),
        1 => (1u32..6).prop_map(Operation::SetConcurrency),
        1 => Just(Operation::Pause),
        2 => Just(Operation::Resume),
        3 => (0u64..15).prop_map(Operation::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_agrees_with_the_model(operations in prop::collection::vec(operation(), 1..120)) {
        let mut pair = Pair::new();
        for operation in &operations {
            pair.apply(operation);
            pair.check();
        }
        pair.drain();
        pair.check();
        pair.check_events();
    }

    #[test]
    fn the_same_operations_give_the_same_events(operations in prop::collection::vec(operation(), 1..60)) {
        let run = || {
            let mut pair = Pair::new();
            operations.iter().for_each(|operation| pair.apply(operation));
            let mut events = Vec::new();
            pair.batch.take_events(&mut events);
            format!("{events:?}")
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn folding_the_events_again_gives_the_same_statistics(
        operations in prop::collection::vec(operation(), 1..60)
    ) {
        let mut pair = Pair::new();
        for operation in &operations {
            pair.apply(operation);
            pair.check();
        }
        let mut folded = crate::Stats::default();
        pair.events.iter().for_each(|event| folded.apply(event));
        prop_assert_eq!(format!("{folded:?}"), format!("{:?}", pair.batch.stats()));
    }
}
