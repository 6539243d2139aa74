//! Makes records from events: [`Records`].

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::cause::Cause;
use batch_core::{
    BatchId, Event, FailureKind, Outcome, Priority, Reason, Status, TaskId, TaskSpec, Time,
    event::NextStep,
    status::{CancelReason, QueuedReason},
};

use crate::causes::cause_of;
use crate::record::{AttemptEnd, AttemptRecord, TaskRecord};

/// A fold over the events of a batch that hands out each task when it finishes, and then forgets it.
///
/// Memory grows with the tasks that are not finished, never with those that are: a task that has not
/// started takes a few tens of bytes on top of its specification.
#[derive(Debug)]
pub struct Records {
    batch: BatchId,
    /// Submitted, not started.
    waiting: TaskMap<Waiting>,
    /// Started at least once.
    active: TaskMap<Active>,
    paused: bool,
    /// The task that last failed or was cancelled on its own account: its dependents follow at once,
    /// and their error names it.
    root: Option<(TaskId, Status, Arc<TaskSpec>)>,
}

#[derive(Debug)]
struct Waiting {
    spec: Arc<TaskSpec>,
    created_at: Time,
    priority: Priority,
}

#[derive(Debug)]
struct Active {
    record: TaskRecord,
    attempt_started: Time,
}

impl Records {
    /// The fold over the events of a batch, from its first one.
    pub fn new(batch: BatchId) -> Self {
        Self {
            batch,
            waiting: TaskMap::default(),
            active: TaskMap::default(),
            paused: false,
            root: None,
        }
    }

    /// Takes in an event; gives the task when it is finished by it.
    ///
    /// Events of a task that was never submitted are left aside.
    pub fn apply(&mut self, event: &Event) -> Option<TaskRecord> {
        match event {
            // A task that was finished is forgotten: it begins anew.
            Event::Submitted { task, at, spec } | Event::Reopened { task, at, spec, .. } => {
                self.queued(*task, *at, spec);
            }
            Event::Started { task, at, .. } => self.started(*task, *at),
            Event::StartPostponed { task, .. } => {
                not_started(&mut self.active.get_mut(task)?.record)
            }
            Event::AttemptEnded {
                task,
                at,
                attempt,
                took,
                outcome,
                then,
            } => {
                let active = self.active.get_mut(task)?;
                let ended = AttemptRecord {
                    attempt: *attempt,
                    started_at: active.attempt_started,
                    ended_at: *at,
                    took: *took,
                    end: AttemptEnd::Interrupted,
                    error: None,
                };
                attempt_ended(&mut active.record, ended, outcome, *then);
            }
            Event::Finished {
                task,
                at,
                status,
                reason,
                retries,
            } => {
                let mut record = self.take(*task)?;
                record.completed_at = Some(*at);
                record.status = *status;
                record.reason = *reason;
                record.retry_count = *retries;
                record.flaky = *status == Status::Completed && *retries > 0;
                self.explain(&mut record);
                return Some(record);
            }
            Event::PriorityChanged { task, priority, .. } => {
                if let Some(waiting) = self.waiting.get_mut(task) {
                    waiting.priority = *priority;
                } else if let Some(active) = self.active.get_mut(task) {
                    active.record.priority = *priority;
                }
            }
            Event::Released { task, .. } => {
                if let Some(active) = self.active.get_mut(task) {
                    active.record.reason = None;
                }
            }
            Event::Paused { .. } => self.paused = true,
            Event::Resumed { .. } => self.paused = false,
            Event::ConcurrencyChanged { .. } | Event::Stopping { .. } => {}
        }
        None
    }

    /// A task that has begun and is not finished.
    pub fn begun(&self, task: TaskId) -> Option<&TaskRecord> {
        Some(&self.active.get(&task)?.record)
    }

    /// Takes up a task of the batch where earlier runs left it, so that its attempts and times go on from there. It
    /// follows the event by which the task came in, [`Event::Submitted`] or [`Event::Reopened`], which does not know them.
    pub fn go_on_from(&mut self, mut left: TaskRecord) {
        if left.status.is_final() {
            // Its retries are counted anew.
            left.retry_count = 0;
        }
        left.reason = left.reason.filter(|reason| {
            matches!(
                reason,
                Reason::Queued(QueuedReason::Delayed { .. } | QueuedReason::Held)
            )
        });
        left.status = Status::Queued;
        left.completed_at = None;
        left.flaky = false;
        left.cause = None;
        self.waiting.remove(&left.task);
        let begun = Active {
            attempt_started: left.started_at.unwrap_or(left.created_at),
            record: left,
        };
        self.active.insert(begun.record.task, begun);
    }

    /// How many tasks are not finished.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.active.len()
    }

    /// Whether every task is finished.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tasks that are queued or running, in the order of their submission.
    pub fn unfinished(mut self) -> impl Iterator<Item = TaskRecord> {
        let missing = self.missing_dependencies();
        let mut tasks: Vec<TaskId> = self
            .waiting
            .keys()
            .chain(self.active.keys())
            .copied()
            .collect();
        tasks.sort_unstable();
        tasks.into_iter().filter_map(move |task| {
            let mut record = self.take(task)?;
            if record.status == Status::Queued && record.reason.is_none() {
                record.reason = Some(Reason::Queued(match missing.get(&task) {
                    Some(missing) => QueuedReason::WaitingForDependencies { missing: *missing },
                    None if self.paused => QueuedReason::Paused,
                    None => QueuedReason::Ready,
                }));
            }
            Some(record)
        })
    }

    fn queued(&mut self, task: TaskId, at: Time, spec: &Arc<TaskSpec>) {
        let waiting = Waiting {
            spec: Arc::clone(spec),
            created_at: at,
            priority: spec.options.priority,
        };
        self.waiting.insert(task, waiting);
    }

    fn started(&mut self, task: TaskId, at: Time) {
        if !self.active.contains_key(&task)
            && let Some(record) = self.take(task)
        {
            self.active.insert(
                task,
                Active {
                    record,
                    attempt_started: at,
                },
            );
        }
        if let Some(active) = self.active.get_mut(&task) {
            active.attempt_started = at;
            let record = &mut active.record;
            record.started_at.get_or_insert(at);
            record.wait_time.get_or_insert(at.since(record.created_at));
            record.status = Status::Running;
            record.reason = None;
        }
    }

    fn take(&mut self, task: TaskId) -> Option<TaskRecord> {
        if let Some(active) = self.active.remove(&task) {
            return Some(active.record);
        }
        let waiting = self.waiting.remove(&task)?;
        let mut record = TaskRecord::queued(self.batch, task, waiting.spec, waiting.created_at);
        record.priority = waiting.priority;
        Some(record)
    }

    /// Says in words why a finished task did not complete, unless its last attempt says so.
    fn explain(&mut self, record: &mut TaskRecord) {
        let last = record.attempts.last().map(|attempt| attempt.end);
        record.error = match record.reason {
            _ if record.status == Status::Completed => None,
            Some(Reason::Failed(_)) if matches!(last, Some(AttemptEnd::Failed(_))) => {
                record.error.take()
            }
            Some(Reason::Failed(FailureKind::Quarantined)) => {
                Some("quarantined: it was running each time the executor died".to_owned())
            }
            Some(Reason::Failed(FailureKind::Interrupted)) => {
                Some("interrupted: it must not run again".to_owned())
            }
            Some(Reason::Failed(kind)) => Some(kind.to_string()),
            Some(Reason::Cancelled(why)) => Some(self.cancelled(why)),
            Some(Reason::Queued(_) | Reason::NotNeeded) | None => record.error.take(),
        };
        if let Some(Reason::Failed(kind)) = record.reason {
            record.cause = Some(Arc::new(cause(record, kind)));
        }
        if record.status != Status::Completed && record.root().is_none() {
            self.root = Some((record.task, record.status, Arc::clone(&record.spec)));
        }
    }

    fn cancelled(&self, why: CancelReason) -> String {
        let root = self.root.as_ref().and_then(|(task, status, spec)| {
            let given = [&spec.name, &spec.item, &spec.id];
            let name = given.into_iter().find_map(|name| name.as_deref());
            let is_it = matches!(why, CancelReason::DependencyFailed { root } if root == *task);
            is_it.then_some((*status, name))
        });
        cancelled_text(self.batch, why, root)
    }

    /// For each task that waits for others, how many of those are open.
    fn missing_dependencies(&self) -> TaskMap<u32> {
        let specs = || {
            let waiting = self.waiting.values().map(|waiting| &waiting.spec);
            waiting.chain(self.active.values().map(|active| &active.record.spec))
        };
        if specs().all(|spec| spec.depends_on.is_empty()) {
            return TaskMap::default();
        }
        let open: HashSet<&str> = specs().filter_map(|spec| spec.id.as_deref()).collect();
        let count = |spec: &TaskSpec| {
            let missing = spec
                .depends_on
                .iter()
                .filter(|needed| open.contains(&*needed.task));
            u32::try_from(missing.count()).unwrap_or(u32::MAX)
        };
        let waiting = self
            .waiting
            .iter()
            .map(|(task, waiting)| (*task, count(&waiting.spec)));
        waiting.filter(|(_, missing)| *missing > 0).collect()
    }
}

/// Why a task was cancelled, in words. Of the task that a cancelled one needed, `root` says what became of it
/// and its name, as far as they are known.
///
/// ```
/// use batch_core::{BatchId, Status, status::CancelReason, TaskId};
/// use batch_export::cancelled_text;
///
/// let why = CancelReason::DependencyFailed { root: TaskId::from_index(1) };
/// let text = |root| cancelled_text(BatchId::default(), why, root);
/// assert_eq!(text(Some((Status::Failed, Some("login")))), "b1.2 (login) failed");
/// assert_eq!(text(None), "b1.2 did not complete");
/// ```
pub fn cancelled_text(
    batch: BatchId,
    why: CancelReason,
    root: Option<(Status, Option<&str>)>,
) -> String {
    let id = match why {
        CancelReason::User => return "cancelled by the user".to_owned(),
        CancelReason::BatchStopped(why) => return why.to_string(),
        CancelReason::DependencyFailed { root } => batch.task(root),
    };
    let (verb, name) = match root {
        Some((Status::Cancelled, name)) => ("was cancelled", name),
        Some((_, name)) => ("failed", name),
        None => ("did not complete", None),
    };
    match name {
        Some(name) => format!("{id} ({name}) {verb}"),
        None => format!("{id} {verb}"),
    }
}

/// The attempt that had just begun did not begin after all.
fn not_started(record: &mut TaskRecord) {
    record.status = Status::Queued;
    if record.attempts.is_empty() {
        record.started_at = None;
        record.wait_time = None;
    }
}

fn attempt_ended(
    record: &mut TaskRecord,
    mut ended: AttemptRecord,
    outcome: &Outcome,
    then: NextStep,
) {
    ended.end = match outcome {
        Outcome::Completed(_) => AttemptEnd::Completed,
        Outcome::Failed(failure) => {
            ended.error = Some(failure.message.clone());
            AttemptEnd::Failed(failure.kind)
        }
        Outcome::Cancelled(_) => AttemptEnd::Cancelled,
        Outcome::Interrupted(_) => AttemptEnd::Interrupted,
    };
    // An attempt that was cut off left nothing: what the one before it left still counts.
    if ended.end != AttemptEnd::Interrupted {
        record.output = outcome.output().cloned();
        record.error.clone_from(&ended.error);
    }
    let time = record.execution_time.unwrap_or_default();
    record.execution_time = Some(time.saturating_add(ended.took));
    record.attempts.push(ended);
    record.status = Status::Queued;
    record.reason = None;
    match then {
        NextStep::RetryAt(until) => {
            record.retry_count += u32::from(matches!(outcome, Outcome::Failed(_)));
            record.reason = Some(Reason::Queued(QueuedReason::Delayed { until }));
        }
        NextStep::PausedUntil(until) => {
            record.reason = Some(Reason::Queued(QueuedReason::Delayed { until }));
        }
        NextStep::Held => record.reason = Some(Reason::Queued(QueuedReason::Held)),
        NextStep::Final | NextStep::Requeued => {}
    }
}

/// Why a task failed: what its last attempt said, if that one failed.
fn cause(record: &TaskRecord, kind: FailureKind) -> Cause {
    let said = match record.attempts.last().map(|attempt| attempt.end) {
        Some(AttemptEnd::Failed(_)) => record.error.as_deref(),
        _ => None,
    };
    let (Some(message), function) = (said, &record.spec.function) else {
        return Cause::of(&record.spec.function, kind, "", b"");
    };
    match &record.output {
        Some(output) => cause_of(function, kind, message, &output.stderr),
        None => Cause::of(function, kind, message, b""),
    }
}

type TaskMap<T> = HashMap<TaskId, T, BuildHasherDefault<TaskHasher>>;

/// Spreads task numbers by one multiplication: they are counted up by us, so nobody can choose them to
/// collide.
#[derive(Default)]
struct TaskHasher(u64);

impl Hasher for TaskHasher {
    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_core::{Failure, Output, outcome::Stream};
    use std::time::Duration;

    const fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn task(number: u32) -> TaskId {
        TaskId::new(number).unwrap()
    }

    fn submitted(number: u32, spec: TaskSpec) -> Event {
        Event::Submitted {
            task: task(number),
            at: at(1),
            spec: Arc::new(spec),
        }
    }

    fn started(number: u32, second: u64, attempt: u32) -> Event {
        Event::Started {
            task: task(number),
            at: at(second),
            attempt,
            slot: 0,
            waited: Duration::ZERO,
        }
    }

    fn ended(number: u32, second: u64, attempt: u32, outcome: Outcome, then: NextStep) -> Event {
        let took = Duration::from_secs(2);
        Event::AttemptEnded {
            task: task(number),
            at: at(second),
            attempt,
            took,
            outcome,
            then,
        }
    }

    fn finished(
        number: u32,
        second: u64,
        status: Status,
        reason: Option<Reason>,
        retries: u32,
    ) -> Event {
        Event::Finished {
            task: task(number),
            at: at(second),
            status,
            reason,
            retries,
        }
    }

    fn failure() -> Outcome {
        Outcome::Failed(Arc::new(Failure::new(
            FailureKind::ExitCode(3),
            "exit code 3",
        )))
    }

    /// Applies events; gives the one task they finish.
    fn fold(records: &mut Records, events: &[Event]) -> Option<TaskRecord> {
        events
            .iter()
            .filter_map(|event| records.apply(event))
            .last()
    }

    #[test]
    fn a_task_that_completes_on_its_third_attempt() {
        let mut records = Records::new(BatchId::default());
        let record = fold(
            &mut records,
            &[
                submitted(1, TaskSpec::new("command")),
                started(1, 4, 1),
                ended(1, 6, 1, failure(), NextStep::RetryAt(at(8))),
                started(1, 8, 2),
                ended(1, 10, 2, Outcome::Interrupted(None), NextStep::Requeued),
                started(1, 10, 3),
                ended(1, 12, 3, Outcome::Completed(None), NextStep::Final),
                finished(1, 12, Status::Completed, None, 1),
            ],
        )
        .unwrap();
        assert!(records.is_empty());
        assert_eq!(
            (record.started_at, record.completed_at),
            (Some(at(4)), Some(at(12)))
        );
        assert_eq!(record.wait_time, Some(Duration::from_secs(3)));
        assert_eq!(record.execution_time, Some(Duration::from_secs(6)));
        assert!(record.flaky);
        assert_eq!((record.retry_count, record.error), (1, None));
        let ends: Vec<_> = record
            .attempts
            .iter()
            .map(|attempt| attempt.end.name())
            .collect();
        assert_eq!(ends, ["failed", "interrupted", "completed"]);
        assert_eq!(record.attempts[0].error.as_deref(), Some("exit code 3"));
        assert_eq!(record.attempts[1].started_at, at(8));
    }

    #[test]
    fn a_dependent_names_the_task_that_failed() {
        let mut records = Records::new(BatchId::default());
        let root = Some(Reason::Cancelled(CancelReason::DependencyFailed {
            root: task(1),
        }));
        let spec = || TaskSpec::new("command").after("login");
        let events = [
            submitted(1, TaskSpec::new("command").with_id("login")),
            submitted(2, spec()),
            submitted(3, spec()),
            started(1, 2, 1),
            ended(1, 4, 1, failure(), NextStep::Final),
        ];
        assert!(fold(&mut records, &events).is_none());
        let failed = Some(Reason::Failed(FailureKind::ExitCode(3)));
        let first = records
            .apply(&finished(1, 4, Status::Failed, failed, 0))
            .unwrap();
        assert_eq!(first.error.as_deref(), Some("exit code 3"));
        for number in [2, 3] {
            let event = finished(number, 4, Status::Cancelled, root, 0);
            let record = records.apply(&event).unwrap();
            assert_eq!(record.error.as_deref(), Some("b1.1 (login) failed"));
            assert_eq!(
                record.root().map(|id| id.to_string()).as_deref(),
                Some("b1.1")
            );
            assert_eq!(record.wait_time, None);
        }
        records.apply(&submitted(4, TaskSpec::new("command")));
        records.apply(&submitted(5, spec()));
        let user = Some(Reason::Cancelled(CancelReason::User));
        let fourth = records
            .apply(&finished(4, 5, Status::Cancelled, user, 0))
            .unwrap();
        assert_eq!(fourth.error.as_deref(), Some("cancelled by the user"));
        let fifth = records
            .apply(&finished(5, 5, Status::Cancelled, root, 0))
            .unwrap();
        assert_eq!(
            fifth.error.as_deref(),
            Some("b1.1 did not complete"),
            "the root is forgotten"
        );
    }

    #[test]
    fn a_failed_task_has_the_cause_of_its_last_attempt() {
        let said = |kind, stderr: Stream| {
            let output = Output {
                stderr,
                ..Output::default()
            };
            Outcome::Failed(Arc::new(
                Failure::new(kind, "exit code 2").with_output(output),
            ))
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stderr");
        std::fs::write(&path, "noise\n".repeat(9_000) + "error: page 7\n").unwrap();
        let len = std::fs::metadata(&path).unwrap().len();
        let first = said(
            FailureKind::ExitCode(1),
            Stream::from(b"error: first\n".to_vec()),
        );
        let last = said(FailureKind::ExitCode(2), Stream::File { path, len });
        let reason = |kind| Some(Reason::Failed(kind));
        let mut records = Records::new(BatchId::default());
        let ended = |number, outcome: Outcome, kind| {
            [
                submitted(number, TaskSpec::new("command")),
                started(number, 2, 1),
                ended(number, 4, 1, first.clone(), NextStep::RetryAt(at(5))),
                started(number, 5, 2),
                ended(number, 7, 2, outcome, NextStep::Final),
                finished(number, 7, Status::Failed, reason(kind), 1),
            ]
        };
        let mut label = |number, outcome, kind| {
            let record = fold(&mut records, &ended(number, outcome, kind)).unwrap();
            record.cause.map(|cause| cause.label().to_owned()).unwrap()
        };
        assert_eq!(
            label(1, last, FailureKind::ExitCode(2)),
            "command: exit code 2: error: page N"
        );
        assert_eq!(
            label(2, Outcome::Interrupted(None), FailureKind::Quarantined),
            "command: quarantined",
            "an attempt that was cut off said nothing"
        );
        assert_eq!(
            label(3, Outcome::Interrupted(None), FailureKind::Interrupted),
            "command: interrupted"
        );
        let done = [
            submitted(4, TaskSpec::new("command")),
            started(4, 2, 1),
            finished(4, 4, Status::Completed, None, 0),
        ];
        assert_eq!(fold(&mut records, &done).unwrap().cause, None);
    }

    #[test]
    fn a_held_task_waits_until_it_is_released() {
        let left = |more: &[Event]| {
            let mut records = Records::new(BatchId::default());
            let begun = [
                submitted(1, TaskSpec::new("command")),
                started(1, 2, 1),
                ended(1, 4, 1, Outcome::Interrupted(None), NextStep::Held),
            ];
            fold(&mut records, &[&begun, more].concat());
            records.unfinished().next().unwrap().reason
        };
        let queued = |reason| Some(Reason::Queued(reason));
        assert_eq!(left(&[]), queued(QueuedReason::Held));
        let released = Event::Released {
            task: task(1),
            at: at(5),
        };
        assert_eq!(left(&[released]), queued(QueuedReason::Ready));
    }

    #[test]
    fn a_reopened_task_begins_anew() {
        let mut records = Records::new(BatchId::default());
        let failed = Some(Reason::Failed(FailureKind::ExitCode(1)));
        let first = [
            submitted(1, TaskSpec::new("command")),
            started(1, 2, 1),
            ended(1, 4, 1, failure(), NextStep::Final),
            finished(1, 4, Status::Failed, failed, 0),
        ];
        assert!(fold(&mut records, &first).unwrap().cause.is_some());
        let reopened = Event::Reopened {
            task: task(1),
            at: at(5),
            from: Status::Failed,
            attempts: 1,
            spec: Arc::new(TaskSpec::new("command")),
        };
        assert!(records.apply(&reopened).is_none());
        assert_eq!(records.len(), 1);
        let second = [
            started(1, 6, 2),
            ended(1, 8, 2, Outcome::Completed(None), NextStep::Final),
            finished(1, 8, Status::Completed, None, 0),
        ];
        let record = fold(&mut records, &second).unwrap();
        assert_eq!((record.status, record.cause), (Status::Completed, None));
        assert_eq!((record.created_at, record.attempts.len()), (at(5), 1));
        assert!(!record.flaky, "{:?}", record.error);
    }

    #[test]
    fn a_quarantined_task_does_not_blame_an_earlier_failure() {
        let mut records = Records::new(BatchId::default());
        let quarantined = Some(Reason::Failed(FailureKind::Quarantined));
        let record = fold(
            &mut records,
            &[
                submitted(1, TaskSpec::new("command")),
                started(1, 2, 1),
                ended(1, 4, 1, failure(), NextStep::RetryAt(at(5))),
                started(1, 5, 2),
                ended(1, 7, 2, Outcome::Interrupted(None), NextStep::Final),
                finished(1, 7, Status::Failed, quarantined, 1),
            ],
        );
        let error = record.unwrap().error.unwrap();
        assert!(error.starts_with("quarantined: "), "{error}");
    }

    #[test]
    fn what_is_left_at_a_stop_comes_in_order_with_its_reason() {
        let mut records = Records::new(BatchId::default());
        fold(
            &mut records,
            &[
                submitted(1, TaskSpec::new("command").with_id("a")),
                submitted(2, TaskSpec::new("command").with_id("b")),
                submitted(3, TaskSpec::new("command").after("a").after("b")),
                submitted(4, TaskSpec::new("command")),
                started(2, 2, 1),
                started(1, 2, 1),
                ended(1, 4, 1, failure(), NextStep::RetryAt(at(9))),
                Event::PriorityChanged {
                    task: task(4),
                    at: at(3),
                    priority: Priority::High,
                },
                Event::Paused { at: at(5) },
            ],
        );
        assert_eq!(records.len(), 4);
        let left: Vec<_> = records
            .unfinished()
            .map(|record| {
                (
                    record.task.get(),
                    record.status,
                    record.reason,
                    record.priority,
                )
            })
            .collect();
        let queued = |reason| Some(Reason::Queued(reason));
        assert_eq!(
            left,
            [
                (
                    1,
                    Status::Queued,
                    queued(QueuedReason::Delayed { until: at(9) }),
                    Priority::Medium
                ),
                (2, Status::Running, None, Priority::Medium),
                (
                    3,
                    Status::Queued,
                    queued(QueuedReason::WaitingForDependencies { missing: 2 }),
                    Priority::Medium
                ),
                (
                    4,
                    Status::Queued,
                    queued(QueuedReason::Paused),
                    Priority::High
                ),
            ]
        );
    }

    #[test]
    fn a_waiting_task_is_small() {
        assert!(size_of::<(TaskId, Waiting)>() <= 32);
        assert!(
            size_of::<TaskRecord>() <= 272,
            "{}",
            size_of::<TaskRecord>()
        );
    }
}
