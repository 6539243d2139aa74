//! Finished tasks that are to run again: [`Batch::reopen`].

use std::collections::HashSet;
use std::sync::Arc;

use super::machine::Batch;
use super::phase::Course;
use super::table::{Lane, State};
use crate::event::Event;
use crate::ids::TaskId;
use crate::plan::Needed;
use crate::spec::TaskSpec;
use crate::status::{Priority, Status};
use crate::time::Time;

/// A finished task that is to run again.
#[derive(Clone, Debug)]
pub struct Reopen {
    /// The task.
    pub task: TaskId,
    /// What it is.
    pub spec: Arc<TaskSpec>,
    /// The tasks that must end first.
    pub after: Vec<Needed>,
    /// Its priority, which may differ from that of the spec.
    pub priority: Priority,
    /// The number of its last attempt; the next one counts on from it.
    pub attempts: u32,
}

/// A task cannot be reopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReopenError {
    /// There is no such task.
    #[error("there is no task {0}")]
    Unknown(TaskId),
    /// It is not finished.
    #[error("task {0} is {1}: only a finished task can be run again")]
    Unfinished(TaskId, Status),
    /// It was given more than once.
    #[error("task {0} was given twice")]
    Twice(TaskId),
}

impl Batch {
    /// Queues finished tasks again, with fresh retries; their attempts are counted on. All or none.
    ///
    /// They may depend on each other, in any order. One that depends on a task that failed or was cancelled,
    /// and is not reopened with it, is cancelled again at once. Tasks that were cancelled for one of these
    /// stay so unless they are given too.
    ///
    /// # Errors
    /// When a task does not exist, is not finished, or was given twice; nothing is changed then.
    pub fn reopen(&mut self, tasks: Vec<Reopen>, now: Time) -> Result<(), ReopenError> {
        let cancelled = self.check_reopen(&tasks)?;
        if let Course::Over(_) = self.course {
            self.course = Course::CutShort;
        }
        self.forget_edges_to(&cancelled);
        // Their states come first: which of them wait for which is only then known.
        for task in &tasks {
            self.open_again(task, now);
        }
        for task in tasks {
            self.place(task.task, task.after.into_iter(), false, now);
        }
        Ok(())
    }

    /// Checks that all of them can be reopened; tells which of them were cancelled.
    fn check_reopen(&self, tasks: &[Reopen]) -> Result<HashSet<TaskId>, ReopenError> {
        let mut seen = HashSet::with_capacity(tasks.len());
        let mut cancelled = HashSet::new();
        for &Reopen { task, .. } in tasks {
            match self.status(task).ok_or(ReopenError::Unknown(task))? {
                Status::Cancelled => {
                    cancelled.insert(task);
                }
                status if status.is_final() => {}
                status => return Err(ReopenError::Unfinished(task, status)),
            }
            if !seen.insert(task) {
                return Err(ReopenError::Twice(task));
            }
        }
        Ok(cancelled)
    }

    /// Takes tasks out of the lists of those they waited for.
    ///
    /// A task that is cancelled while it waits leaves its edges behind, which mean nothing until it waits
    /// again: then it would be counted twice. Tasks that ran have waited for all they needed.
    fn forget_edges_to(&mut self, cancelled: &HashSet<TaskId>) {
        if cancelled.is_empty() {
            return;
        }
        let keep = |to: TaskId| !cancelled.contains(&to);
        let open: Vec<TaskId> = self.table.open_ids().collect();
        for id in open {
            let entry = self.table.open_mut(id);
            if entry.dependents != 0 {
                entry.dependents = self.edges.retain(entry.dependents, keep);
            }
        }
        for awaited in self.awaited.values_mut() {
            awaited.chain = self.edges.retain(awaited.chain, keep);
        }
    }

    fn open_again(&mut self, task: &Reopen, now: Time) {
        let (id, spec) = (task.task, &task.spec);
        let from = self.table.final_status(id);
        let kind = self.index.durations.kind(&spec.function);
        let group = self.index.ready.group(spec.options.limit.as_deref());
        self.table.reopen(id);
        let entry = self.table.open_mut(id);
        entry.spec = Some(Arc::clone(spec));
        entry.kind = kind;
        entry.lane = Lane::new(group, spec.options.priority);
        // A late report of an attempt of this run must not fit one that begins now.
        entry.attempts = entry.attempts.max(task.attempts);
        let attempts = entry.attempts;
        entry.retries = 0;
        self.transition(id, State::Waiting { missing: 0 });
        if let Some(name) = &spec.id {
            self.ids.insert(name.clone(), id);
        }
        self.record(Event::Reopened {
            task: id,
            at: now,
            from: from.expect("a task to be reopened is finished"),
            attempts,
            spec: Arc::clone(spec),
        });
        self.put_priority(id, task.priority, now);
    }
}
