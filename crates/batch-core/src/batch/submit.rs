//! The way into a batch: a new task goes into the queue, behind its dependencies, or to its end.

use std::sync::Arc;

use super::machine::{Batch, unfit};
use super::phase::Course;
use super::table::{Entry, Lane, State};
use crate::event::Event;
use crate::ids::TaskId;
use crate::plan::{Needed, Plan};
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
            let after = task.after.iter().map(|needed| needed.needed(first));
            let hold = task.spec.options.hold;
            self.place(TaskId::from_index(first + index), after, hold, now);
        }
        (!tasks.is_empty()).then(|| TaskId::from_index(first))
    }

    /// Adds one task that starts after `after` have completed. The quick way in for tasks that need no
    /// plan; `depends_on` of the spec is not looked at. It may wait for a task that comes later.
    ///
    /// # Panics
    /// When the batch would hold 2^32 tasks or more.
    pub fn submit_one(&mut self, spec: Arc<TaskSpec>, after: &[TaskId], now: Time) -> TaskId {
        self.submit_after(spec, after.iter().map(|task| (*task).into()), now)
    }

    /// As [`submit_one`](Self::submit_one), with what those it waits for must end as.
    ///
    /// # Panics
    /// When the batch would hold 2^32 tasks or more.
    pub fn submit_after(
        &mut self,
        spec: Arc<TaskSpec>,
        after: impl IntoIterator<Item = Needed>,
        now: Time,
    ) -> TaskId {
        let hold = spec.options.hold;
        let id = self.add(spec, now);
        self.place(id, after.into_iter(), hold, now);
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

    /// Brings a new task where it belongs: into the queue, behind its dependencies, or to its end; with `hold`, it waits
    /// to be released as well.
    pub(super) fn place(
        &mut self,
        id: TaskId,
        after: impl Iterator<Item = Needed>,
        hold: bool,
        now: Time,
    ) {
        if let Course::Over(why) = self.course {
            return self.cancel_late(id, why, now);
        }
        let mut missing = 0;
        for needed in after {
            let status = match self.table.final_status(needed.task) {
                Some(status) => status,
                None if self.wait_for(id, needed, now) => {
                    missing += 1;
                    continue;
                }
                None => Status::Completed,
            };
            if !needed.on.fits(status) {
                let (end, reason) = unfit(status, needed.task);
                self.finish(id, end, Some(reason), now);
                return self.settle_dependents(id, end, needed.task, now);
            }
        }
        let next = if hold {
            State::Held { missing }
        } else {
            self.placed(id, missing, now)
        };
        self.transition(id, next);
    }

    /// The state of a task that nobody holds, with this many of those it depends on still missing.
    pub(super) fn placed(&self, id: TaskId, missing: u32, now: Time) -> State {
        if missing > 0 {
            State::Waiting { missing }
        } else {
            self.table.open(id).startable(now)
        }
    }

    /// Puts a task among those that wait for another; `false` when that one was cleared away, and so has
    /// completed.
    fn wait_for(&mut self, id: TaskId, needed: Needed, now: Time) -> bool {
        let dependency = needed.task;
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
        *chain = self.edges.prepend(id, needed.on, *chain);
        true
    }

    /// A task that came after the end of the batch is cancelled with it.
    pub(super) fn cancel_late(&mut self, id: TaskId, why: StopReason, now: Time) {
        let reason = Reason::Cancelled(CancelReason::BatchStopped(why));
        self.finish(id, Status::Cancelled, Some(reason), now);
        self.settle_dependents(id, Status::Cancelled, id, now);
    }
}
