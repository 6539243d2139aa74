//! A second, naive reading of the events: what a file must say once they are written.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::{Event, Outcome, Reason, Status, TaskId};
use batch_export::TaskRecord;

#[derive(Debug)]
struct Known {
    status: Status,
    reason: Option<Reason>,
    retries: u32,
    /// Attempts that ended, and what as.
    ended: BTreeSet<(u32, &'static str)>,
}

/// Checks records against the events that were written.
///
/// Two things the file may tell otherwise: that an attempt runs is written only when it lasts, and one on
/// record as running may have ended after all, which died with its executor; that one counts as interrupted.
pub(crate) fn check(events: &[Event], records: &[TaskRecord]) {
    let known = fold(events);
    for record in records {
        let task = record.task;
        let Some(known) = known.get(&task) else {
            assert_eq!(
                record.status,
                Status::Queued,
                "nothing has happened to {task}"
            );
            continue;
        };
        let unseen = known.status == Status::Running && record.status == Status::Queued;
        assert!(
            unseen || record.status == known.status,
            "{task}: {record:?}, {known:?}"
        );
        let attempts = record
            .attempts
            .iter()
            .map(|one| (one.attempt, one.end.name()));
        let attempts: BTreeSet<_> = attempts.collect();
        assert!(
            attempts.is_superset(&known.ended),
            "{task}: {attempts:?}, {known:?}"
        );
        for (attempt, end) in attempts.difference(&known.ended) {
            assert_eq!(*end, "interrupted", "attempt {attempt} of {task}");
        }
        if known.status.is_final() {
            assert_eq!(
                (record.reason, record.retry_count),
                (known.reason, known.retries)
            );
            assert_eq!(record.error.is_none(), known.status == Status::Completed);
            assert_eq!(record.cause.is_some(), known.status == Status::Failed);
        }
    }
}

fn fold(events: &[Event]) -> BTreeMap<TaskId, Known> {
    let mut all: BTreeMap<TaskId, Known> = BTreeMap::new();
    for event in events {
        match event {
            // Comes once more for what an heir takes over.
            Event::Submitted { task, .. } => {
                all.entry(*task).or_insert_with(|| Known {
                    status: Status::Queued,
                    reason: None,
                    retries: 0,
                    ended: BTreeSet::new(),
                });
            }
            Event::Started { task, .. } => known(&mut all, *task).status = Status::Running,
            Event::StartPostponed { task, .. } => known(&mut all, *task).status = Status::Queued,
            Event::AttemptEnded {
                task,
                attempt,
                outcome,
                ..
            } => {
                let end = match outcome {
                    Outcome::Completed(_) => "completed",
                    Outcome::Failed(_) => "failed",
                    Outcome::Cancelled(_) => "cancelled",
                    Outcome::Interrupted(_) => "interrupted",
                };
                let known = known(&mut all, *task);
                known.status = Status::Queued;
                assert!(known.ended.insert((*attempt, end)), "{task} ended twice");
            }
            Event::Finished {
                task,
                status,
                reason,
                retries,
                ..
            } => {
                let known = known(&mut all, *task);
                assert!(!known.status.is_final(), "{task} finished twice");
                (known.status, known.reason, known.retries) = (*status, *reason, *retries);
            }
            Event::Reopened { task, .. } => known(&mut all, *task).status = Status::Queued,
            _ => {}
        }
    }
    all
}

fn known(all: &mut BTreeMap<TaskId, Known>, task: TaskId) -> &mut Known {
    all.get_mut(&task).expect("a task is submitted first")
}
