//! The way into a batch: a new task goes into the queue, behind its dependencies, or to its end.

use std::sync::Arc;

use super::machine::Batch;
use super::phase::Course;
use super::table::{Entry, Lane, State};
use crate::event::Event;
use crate::ids::TaskId;
use crate::plan::Plan;
use crate::spec::TaskSpec;
use crate::status::{CancelReason, Reason, Status, StopReason};
use crate::time::Time;

impl Batch {
    /// Adds all tasks of a checked plan; returns the id of the first. The others follow it in order.
    ///
    /// # Panics
    /// When the batch would hold 2^32 tasks or more.
    pub fn submit(&mut self, plan: Plan, now: Time) -> Option<TaskId> {
        let first = self.table.len();
        let tasks = plan.into_tasks();
        for task in &tasks {
            self.add(Arc::clone(&task.spec), now);
        }
        for (index, task) in tasks.iter().enumerate() {
            let after = task.after.iter().map(|needed| needed.id(first));
            self.place(TaskId::from_index(first + index), after, now);
        }
        (!tasks.is_empty()).then(|| TaskId::from_index(first))
    }

    /// Adds one task that starts after `after` have completed. The quick way in for tasks that need no
    /// plan; `depends_on` of the spec is not looked at. It may wait for a task that comes later.
    ///
    /// # Panics
    /// When the batch would hold 2^32 tasks or more.
    pub fn submit_one(&mut self, spec: Arc<TaskSpec>, after: &[TaskId], now: Time) -> TaskId {
        let id = self.add(spec, now);
        self.place(id, after.iter().copied(), now);
        id
    }

    pub(super) fn add(&mut self, spec: Arc<TaskSpec>, now: Time) -> TaskId {
        let group = self.index.ready.group(spec.options.limit.as_deref());
        let entry = Entry {
            state: State::Waiting { missing: 0 },
            attempts: 0,
            retries: 0,
            dependents: self.take_awaited().chain,
            kind: self.index.durations.kind(&spec.function),
            lane: Lane::new(group, spec.options.priority),
            spec: Some(Arc::clone(&spec)),
        };
        self.index.entered(&entry);
        let id = self.table.push(entry);
        if let Some(name) = &spec.id {
            self.ids.insert(name.clone(), id);
        }
        self.record(Event::Submitted {
            task: id,
            at: now,
            spec,
        });
        id
    }

    /// Brings a new task where it belongs: into the queue, behind its dependencies, or to its end.
    pub(super) fn place(&mut self, id: TaskId, after: impl Iterator<Item = TaskId>, now: Time) {
        if let Course::Over(why) = self.course {
            return self.cancel_late(id, why, now);
        }
        let mut missing = 0;
        for dependency in after {
            match self.table.final_status(dependency) {
                Some(Status::Completed) => {}
                Some(_) => return self.cancel_for(id, dependency, now),
                None => missing += u32::from(self.wait_for(id, dependency, now)),
            }
        }
        if missing == 0 {
            self.transition(id, State::ready(now));
        } else {
            self.transition(id, State::Waiting { missing });
        }
    }

    /// Puts a task among those that wait for another; `false` when that one was cleared away, and so has
    /// completed.
    fn wait_for(&mut self, id: TaskId, dependency: TaskId, now: Time) -> bool {
        let next = self.table.len();
        let chain = match self.table.get_mut(dependency) {
            Some(entry) if matches!(entry.state, State::Removed) => return false,
            Some(entry) => &mut entry.dependents,
            None if dependency.index() < next => return false,
            None => {
                let awaited = self.awaited.entry(dependency).or_default();
                awaited.since = now;
                &mut awaited.chain
            }
        };
        *chain = self.edges.prepend(id, *chain);
        true
    }

    /// A task that came after the end of the batch is cancelled with it.
    pub(super) fn cancel_late(&mut self, id: TaskId, why: StopReason, now: Time) {
        let reason = Reason::Cancelled(CancelReason::BatchStopped(why));
        self.finish(id, Status::Cancelled, Some(reason), now);
        self.settle_dependents(id, Status::Cancelled, id, now);
    }

    fn cancel_for(&mut self, id: TaskId, root: TaskId, now: Time) {
        let reason = Reason::Cancelled(CancelReason::DependencyFailed { root });
        self.finish(id, Status::Cancelled, Some(reason), now);
        self.settle_dependents(id, Status::Cancelled, root, now);
    }
}
