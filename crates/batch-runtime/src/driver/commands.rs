//! What the driver does for each command.

use std::sync::PoisonError;

use batch_core::{
    Plan, Priority, Status, TaskId, TaskSpec, Time,
    control::CancelError,
    plan::PlanContext,
    restore::{Reopen, ReopenError, RestoredTask},
};
use tokio::sync::oneshot;

use super::claim::Starts;
use super::{Driver, Intake};
use crate::handle::{Command, Refusals, RunningTask, Snapshot, SubmitError};

impl Driver {
    pub(super) fn handle_command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Submit(tasks, reply) => answer(reply, self.check_and_submit(tasks)),
            Command::SubmitPlan(plan, reply) => answer(reply, self.submit(plan, now)),
            Command::Ingest(tasks, window, reply) => {
                for spec in tasks {
                    self.batch.submit_one(spec, &[], now);
                }
                self.waiting.feeders.push((window, reply));
            }
            Command::Admit(tasks, reply) => {
                self.admit(tasks, now);
                answer(reply, ());
            }
            Command::Close => self.intake = Intake::Closed,
            Command::Cancel(tasks, reply) => answer(reply, self.cancel(tasks, now)),
            Command::CancelAll => self.batch.cancel_all(now),
            Command::Pause => self.batch.pause(now),
            Command::Resume => self.batch.resume(now),
            Command::AllowStarts(allowed) => self.allow_starts(allowed),
            Command::SetConcurrency(slots) => {
                self.requested = slots;
                self.fit_slots();
            }
            Command::AddLimits(limits) => self.batch.add_limits(&limits),
            Command::Concurrency(reply) => answer(reply, self.requested.get()),
            Command::SetPriority(tasks, priority, reply) => {
                answer(reply, self.set_priority(tasks, priority, now));
            }
            Command::Release(task, reply) => answer(reply, self.batch.release(task, now)),
            Command::Reopen(tasks, reply) => answer(reply, self.reopen(tasks, now)),
            Command::Stop(mode) => self.batch.stop(mode, now),
            Command::ExcludeSuspended(time) => self.clock.exclude(time),
            Command::Sync(reply) => self.waiting.syncs.push(reply),
            Command::TakesNoMore(reply) => {
                self.waiting.ended.retain(|waiter| !waiter.is_closed());
                self.waiting.ended.push(reply);
            }
            Command::Idle(reply) => {
                // Who asks for this often gives up before.
                self.waiting.idlers.retain(|idler| !idler.is_closed());
                self.waiting.idlers.push(reply);
            }
            Command::Snapshot(reply) => answer(reply, self.snapshot(now)),
        }
    }

    fn check_and_submit(&mut self, tasks: Vec<TaskSpec>) -> Result<Vec<TaskId>, SubmitError> {
        let context = PlanContext {
            catalog: &*self.registry,
            limits: &self.batch.settings().limits,
            submitted: &|id| self.batch.find(id).or_else(|| self.find_finished(id)),
        };
        let plan = Plan::check_in(tasks, &context).map_err(SubmitError::Invalid)?;
        Ok(self.submit(plan, self.clock.now()))
    }

    /// A task that finished in an earlier run, by its author's id.
    fn find_finished(&self, id: &str) -> Option<TaskId> {
        let mut source = self
            .source
            .as_ref()?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        source.find(id).unwrap_or_else(|error| {
            tracing::warn!(%error, id, "an earlier task could not be looked up");
            None
        })
    }

    fn submit(&mut self, plan: Plan, now: Time) -> Vec<TaskId> {
        let number = plan.len();
        let Some(first) = self.batch.submit(plan, now) else {
            return Vec::new();
        };
        let ids: Vec<TaskId> = (first.index()..)
            .take(number)
            .map(TaskId::from_index)
            .collect();
        self.add_users(ids.iter().copied());
        ids
    }

    fn admit(&mut self, tasks: Vec<RestoredTask>, now: Time) {
        let ids: Vec<TaskId> = tasks
            .into_iter()
            .map(|task| self.batch.restore(task, now))
            .collect();
        // Afterwards, as a task may use the result of a later one.
        self.add_users(ids);
    }

    fn reopen(&mut self, tasks: Vec<Reopen>, now: Time) -> Result<(), ReopenError> {
        // They may have finished a moment ago, and that would else be taken for the end of the new attempts.
        self.gather();
        let ids: Vec<TaskId> = tasks.iter().map(|reopen| reopen.task).collect();
        self.batch.reopen(tasks, now)?;
        self.add_users(ids);
        Ok(())
    }

    fn cancel(&mut self, tasks: Vec<TaskId>, now: Time) -> Refusals {
        let is_open = |task: &TaskId| {
            let status = self.batch.status(*task);
            matches!(status, Some(Status::Queued | Status::Running))
        };
        let (open, rest): (Vec<_>, Vec<_>) = tasks.into_iter().partition(is_open);
        let refused = self.each(rest, |driver, task| driver.batch.cancel(task, now));
        for task in open {
            // One that depends on another of them is cancelled with that.
            let _ = self.batch.cancel(task, now);
        }
        refused
    }

    fn set_priority(&mut self, tasks: Vec<TaskId>, priority: Priority, now: Time) -> Refusals {
        self.each(tasks, |driver, task| {
            driver.batch.set_priority(task, priority, now)
        })
    }

    /// Changes each task, and tells for which it could not be done.
    fn each(
        &mut self,
        tasks: Vec<TaskId>,
        change: impl Fn(&mut Self, TaskId) -> Result<(), CancelError>,
    ) -> Refusals {
        tasks
            .into_iter()
            .filter_map(|task| change(self, task).err().map(|error| (task, error)))
            .collect()
    }

    fn allow_starts(&mut self, allowed: bool) {
        self.starts = match (self.starts, allowed) {
            (Starts::Never, _) => Starts::Never,
            (_, true) => Starts::Allowed,
            (_, false) => Starts::Suspended,
        };
    }

    fn snapshot(&self, now: Time) -> Snapshot {
        let running = self.batch.longest_running(Snapshot::SHOWN);
        Snapshot {
            at: now,
            stats: self.batch.stats().clone(),
            running: running
                .into_iter()
                .map(|view| RunningTask {
                    task: view.task,
                    attempt: view.attempts,
                    started: view.started.unwrap_or(now),
                    spec: view.spec,
                })
                .collect(),
            remaining: self
                .batch
                .remaining(now)
                .filter(|_| !matches!(self.starts, Starts::Suspended)),
            closed: self.intake != Intake::Open,
            paused: self.batch.is_paused(),
            concurrency: self.batch.concurrency(),
        }
    }
}

fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    // The one who asked may have left.
    let _ = reply.send(value);
}
