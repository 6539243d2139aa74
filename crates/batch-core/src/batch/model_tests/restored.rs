//! A batch that dies after any prefix of operations goes on from what was written down of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::model::ModelState;
use super::pair::{Pair, needed, settings};
use super::{Ending, Operation, Setup, operation};
use crate::batch::table::State;
use crate::batch::{Batch, RestoredState, RestoredTask};
use crate::event::NextStep;
use crate::ids::TaskId;
use crate::{Event, Outcome, RunOn, Status, TaskSpec, Time, stats::Totals};

/// What a store keeps of a task.
#[derive(Clone, Debug)]
enum Row {
    Open(RestoredTask),
    /// With the number of the last attempt.
    Finished(Status, u32),
    Removed,
}

/// What a store has written down, folded from the events; it never looks at the batch.
struct Journal {
    rows: Vec<Row>,
}

impl Journal {
    fn of(pair: &Pair) -> Self {
        let before = |index| match pair.over_before.get(&index) {
            Some(Some(status)) => Row::Finished(*status, 0),
            _ => Row::Removed,
        };
        let mut journal = Self {
            rows: (0..pair.model.tasks.len()).map(before).collect(),
        };
        for event in &pair.events {
            journal.apply(event, pair);
        }
        journal
    }

    fn apply(&mut self, event: &Event, pair: &Pair) {
        match event {
            Event::Submitted { task, at, spec } => {
                let given = pair.pasts.get(task);
                let mut past = opened(*task, *at, spec, pair);
                let fresh = match spec.options.hold {
                    true => RestoredState::Held,
                    false => RestoredState::Queued,
                };
                past.state = given.map_or(fresh, |past| past.state);
                past.attempts = given.map_or(0, |past| past.attempts);
                past.retries = given.map_or(0, |past| past.retries);
                self.rows[task.index()] = Row::Open(past);
            }
            Event::Started {
                task, at, attempt, ..
            } => {
                let past = self.open(*task);
                past.attempts = *attempt;
                past.state = RestoredState::Running {
                    started: *at,
                    last_seen: *at,
                    deaths: 1,
                };
            }
            Event::StartPostponed { task, attempt, .. } => {
                let past = self.open(*task);
                past.attempts = attempt - 1;
                past.state = RestoredState::Queued;
            }
            Event::AttemptEnded {
                task,
                outcome,
                then,
                ..
            } => {
                let past = self.open(*task);
                let retried = matches!(then, NextStep::RetryAt(_));
                past.retries += u32::from(retried && matches!(outcome, Outcome::Failed(_)));
                past.state = state_after(*then);
            }
            Event::Finished { task, status, .. } => {
                let attempts = self.open(*task).attempts;
                self.rows[task.index()] = Row::Finished(*status, attempts);
            }
            Event::Released { task, .. } => self.open(*task).state = RestoredState::Queued,
            Event::Reopened { task, at, spec, .. } => {
                let attempts = self.finished(*task);
                self.rows[task.index()] = Row::Open(RestoredTask {
                    attempts,
                    ..opened(*task, *at, spec, pair)
                });
            }
            Event::PriorityChanged { task, priority, .. } => {
                self.open(*task).priority = *priority;
            }
            _ => {}
        }
    }

    /// The attempts of a finished task.
    fn finished(&self, task: TaskId) -> u32 {
        match self.rows[task.index()] {
            Row::Finished(_, attempts) => attempts,
            _ => panic!("task {task} is not finished"),
        }
    }

    fn open(&mut self, task: TaskId) -> &mut RestoredTask {
        match &mut self.rows[task.index()] {
            Row::Open(past) => past,
            row => panic!("task {task} is {row:?}"),
        }
    }

    fn restore(&self, carried: &Totals, paused: bool, now: Time) -> Batch {
        let mut batch = Batch::new(settings(Setup::default()));
        for row in &self.rows {
            match row {
                Row::Open(past) => batch.restore(past.clone(), now),
                Row::Finished(status, _) => batch.restore_finished(*status),
                Row::Removed => batch.restore_removed(),
            };
        }
        batch.carry_over(carried);
        if paused {
            batch.pause(now);
        }
        batch
    }
}

/// Where a task is after an attempt.
fn state_after(then: NextStep) -> RestoredState {
    match then {
        NextStep::RetryAt(until) | NextStep::PausedUntil(until) => RestoredState::Delayed { until },
        NextStep::Held => RestoredState::Held,
        NextStep::Requeued | NextStep::Final => RestoredState::Queued,
    }
}

/// The row of a task that has not been tried.
fn opened(task: TaskId, at: Time, spec: &Arc<TaskSpec>, pair: &Pair) -> RestoredTask {
    RestoredTask {
        spec: Arc::clone(spec),
        after: needed(&pair.model.tasks[task.index()].after),
        priority: spec.options.priority,
        created_at: at,
        attempts: 0,
        retries: 0,
        state: RestoredState::Queued,
    }
}

/// What the finished tasks of a batch amount to.
fn carried(batch: &Batch) -> Totals {
    let stats = batch.stats();
    let ends = [Status::Completed, Status::Failed, Status::Cancelled];
    Totals {
        flaky: stats.flaky,
        retries: stats.retries,
        attempts: stats.attempts,
        ..Totals::default().with_counts(ends.map(|end| (end, stats.count(end))))
    }
}

/// The ready tasks by what decides their order. Among those that are alike, the order after a restart is
/// that of submission.
fn ready(batch: &Batch) -> BTreeMap<(usize, bool), BTreeSet<TaskId>> {
    let mut groups: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut last = None;
    for id in batch.index.ready.in_order() {
        let entry = batch.table.get(id).unwrap();
        let State::Ready(place) = entry.state else {
            panic!("task {id} is in a queue");
        };
        let order = (entry.lane.priority().rank(), !place.again);
        assert!(last <= Some(order), "the groups come in order");
        last = Some(order);
        // That a start was postponed is forgotten: the task has had no attempt.
        let key = (entry.lane.priority().rank(), entry.attempts == 0);
        groups.entry(key).or_default().insert(id);
    }
    groups
}

/// What there is to say of an open task.
fn views(batch: &Batch) -> Vec<String> {
    let retries = |id| batch.table.get(id).unwrap().retries;
    batch
        .unfinished()
        .map(|view| {
            let retries = retries(view.task);
            let (task, reason, attempts) = (view.task, view.reason, view.attempts);
            format!("{task:?} {reason:?} {} {attempts} {retries}", view.priority)
        })
        .collect()
}

fn assert_same(restored: &Batch, lived_on: &Batch) {
    assert_eq!(restored.next_id(), lived_on.next_id());
    for index in 0..lived_on.table.len() {
        let id = TaskId::from_index(index);
        assert_eq!(restored.status(id), lived_on.status(id), "task {id}");
    }
    assert_eq!(views(restored), views(lived_on));
    assert_eq!(ready(restored), ready(lived_on));
    assert_eq!(carried(restored), carried(lived_on));
    assert_eq!(restored.open(), lived_on.open());
    assert_eq!(restored.running(), 0);
    assert_eq!(restored.is_settled(), lived_on.is_settled());
    assert_eq!(restored.next_wakeup(), lived_on.next_wakeup());
    assert_eq!(
        restored.index.durations.pending(),
        lived_on.index.durations.pending()
    );
}

/// Lets the batch die after a prefix, and compares what is restored with what would have become of the
/// batch had its attempts been cut off.
fn die_after(operations: &[Operation]) {
    let mut pair = Pair::new(Setup::default());
    for operation in operations {
        // That a batch was stopped is forgotten as well, and that the clock stood elsewhere for a while.
        let passes = matches!(operation, Operation::Stop(_) | Operation::SetClock(_));
        if !passes && !opens_what_completed(&pair, operation) {
            pair.apply(operation);
        }
    }
    let asked = |state: &ModelState| {
        matches!(
            state,
            ModelState::Running {
                ending: Some(_),
                ..
            }
        )
    };
    // That someone asked an attempt to end is forgotten when the executor dies.
    if !pair.model.those(asked).is_empty() {
        return;
    }
    pair.check();
    let journal = Journal::of(&pair);
    let restored = journal.restore(&carried(&pair.batch), pair.model.paused, pair.now());
    for index in pair.model.running() {
        pair.report_task(index, Ending::Interrupted);
    }
    assert_same(&restored, &pair.batch);
}

/// Whether an operation opens a task again that others were let go for. That takes nothing back from them, while a
/// store sees that they depend on it and lets them wait: the two batches may differ there.
fn opens_what_completed(pair: &Pair, operation: &Operation) -> bool {
    let was_waited_for = |index: &usize| {
        let count = pair.model.tasks.len();
        let index = index % count.max(1);
        let mut needs = pair.model.tasks.iter().flat_map(|task| &task.after);
        count > 0
            && (pair.model.status(index) == Some(Status::Completed)
                || needs.any(|(needed, on)| *needed == index && *on != RunOn::Success))
    };
    matches!(operation, Operation::Reopen(which) if which.iter().any(was_waited_for))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn restoring_after_every_prefix_gives_the_same_batch(
        operations in prop::collection::vec(operation(), 1..50)
    ) {
        for end in 1..=operations.len() {
            die_after(&operations[..end]);
        }
    }
}
