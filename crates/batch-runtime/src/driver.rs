//! The one that owns the batch: [`Driver`].
//!
//! A short loop in a fixed order: take in commands and reports, let time pass, pass on what is to be
//! cancelled, claim, record, start, wait. It decides nothing about a task's state; the core does.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use batch_core::{
    Batch, BatchId, Event, Outcome, Plan, Status, StopMode, Surroundings, TaskId, TaskSpec, Then,
    Time,
};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::cancel::CancelToken;
use crate::chain::Results;
use crate::clock::Clock;
use crate::executor::{RunEnd, RunReport};
use crate::handle::{Command, RunningTask, Snapshot, SubmitError};
use crate::handler::{Handler, Registry};
use crate::policy::SpecPolicy;
use crate::sink::Sinks;
use crate::worker::{Ended, Job, Report, Workers};

/// How many reports are taken in at a step.
const REPORTS: usize = 256;

/// How long a task waits that could not begin for want of resources.
const BUSY_DELAY: Duration = Duration::from_millis(100);

pub(crate) struct Driver {
    batch: Batch,
    id: BatchId,
    registry: Registry,
    policy: SpecPolicy,
    clock: Clock,
    sinks: Sinks,
    subscribers: broadcast::Sender<Arc<Vec<Event>>>,
    commands: mpsc::UnboundedReceiver<Command>,
    reports: mpsc::UnboundedReceiver<Report>,
    workers: Workers,
    /// The cancel token of each slot, made anew once used.
    tokens: Vec<CancelToken>,
    results: Results,
    /// Feeders that wait until fewer tasks are open than their window.
    feeders: Vec<(usize, oneshot::Sender<()>)>,
    /// The concurrency that was asked for, while less is used for want of resources.
    wanted: Option<NonZeroU32>,
    last_handler: Option<(Arc<str>, Arc<dyn Handler>)>,
    closed: bool,
    sink_failed: bool,
}

impl Driver {
    pub(crate) fn new(
        batch: Batch,
        id: BatchId,
        registry: Registry,
        policy: SpecPolicy,
        sinks: Sinks,
        commands: mpsc::UnboundedReceiver<Command>,
        subscribers: broadcast::Sender<Arc<Vec<Event>>>,
    ) -> Self {
        let (reporter, reports) = mpsc::unbounded_channel();
        Self {
            batch,
            id,
            registry,
            policy,
            clock: Clock::start(),
            sinks,
            subscribers,
            commands,
            reports,
            workers: Workers::new(reporter),
            tokens: Vec::new(),
            results: Results::default(),
            feeders: Vec::new(),
            wanted: None,
            last_handler: None,
            closed: false,
            sink_failed: false,
        }
    }

    pub(crate) async fn run(mut self) -> RunReport {
        let mut inbox = Inbox::default();
        let mut jobs = Vec::new();
        let mut events = Vec::new();
        loop {
            self.take_in(&mut inbox);
            self.batch.handle_timers(self.clock.now());
            self.pass_on_cancellations();
            self.keep_results(&mut events);
            self.claim(&mut jobs);
            self.record(&mut events).await;
            self.workers
                .hand_out(&mut jobs, self.batch.running() as usize);
            self.admit_feeders();
            if self.is_over() {
                break;
            }
            self.wait(&mut inbox).await;
        }
        self.report().await
    }

    fn is_over(&self) -> bool {
        let expecting = !self.closed && !self.batch.is_stopping();
        self.batch.is_settled() && !expecting && self.commands.is_empty()
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, inbox: &mut Inbox) {
        let wakeup = self
            .batch
            .next_wakeup()
            .map(|time| self.clock.instant_of(time));
        let sleep = async {
            match wakeup {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let trouble = Arc::clone(self.sinks.trouble());
        tokio::select! {
            biased;
            command = self.commands.recv() => match command {
                Some(command) => inbox.command = Some(command),
                // All handles are gone: nobody can submit any more.
                None => self.closed = true,
            },
            _ = self.reports.recv_many(&mut inbox.reports, REPORTS) => {}
            () = trouble.came.notified() => {
                self.sink_failed = true;
                self.batch.stop(StopMode::End, self.clock.now());
            }
            () = sleep => {}
        }
    }

    fn take_in(&mut self, inbox: &mut Inbox) {
        if let Some(command) = inbox.command.take() {
            self.obey(command);
        }
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
        let now = self.clock.now();
        for report in inbox.reports.drain(..) {
            self.take_report(report, now);
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Submit(tasks, reply) => {
                let _ = reply.send(self.check_and_submit(tasks));
            }
            Command::SubmitPlan(plan, reply) => {
                let _ = reply.send(self.submit(plan));
            }
            Command::Feed(tasks, window, reply) => {
                for spec in tasks {
                    self.batch.submit_one(spec, &[], now);
                }
                self.feeders.push((window, reply));
            }
            Command::Close => self.closed = true,
            Command::Cancel(task, reply) => {
                let _ = reply.send(self.batch.cancel(task, now));
            }
            Command::CancelAll => self.batch.cancel_all(now),
            Command::Pause => self.batch.pause(now),
            Command::Resume => self.batch.resume(now),
            Command::SetConcurrency(slots) => {
                self.wanted = None;
                self.batch.set_concurrency(slots, now);
            }
            Command::SetPriority(task, priority, reply) => {
                let _ = reply.send(self.batch.set_priority(task, priority, now));
            }
            Command::Stop(mode) => self.batch.stop(mode, now),
            Command::LeaveOut(time) => self.clock.leave_out(time),
            Command::Snapshot(reply) => {
                let _ = reply.send(self.snapshot());
            }
        }
    }

    fn check_and_submit(&mut self, tasks: Vec<TaskSpec>) -> Result<Vec<TaskId>, SubmitError> {
        let surroundings = Surroundings {
            catalog: &self.registry,
            limits: &self.batch.settings().limits,
            submitted: &|id| self.batch.find(id),
        };
        let plan = Plan::check_in(tasks, &surroundings).map_err(SubmitError::Invalid)?;
        Ok(self.submit(plan))
    }

    fn submit(&mut self, plan: Plan) -> Vec<TaskId> {
        let specs: Vec<Arc<TaskSpec>> = plan.tasks().map(|(spec, _)| Arc::clone(spec)).collect();
        let Some(first) = self.batch.submit(plan, self.clock.now()) else {
            return Vec::new();
        };
        let ids = (first.index()..).take(specs.len()).map(TaskId::from_index);
        let ids: Vec<TaskId> = ids.collect();
        for (id, spec) in ids.iter().zip(&specs) {
            self.results
                .add_user(*id, spec, |name| self.batch.find(name));
        }
        ids
    }

    fn take_report(&mut self, report: Report, now: Time) {
        let Report { token, slot, ended } = report;
        if let Some(cancel) = self.tokens.get_mut(slot as usize)
            && cancel.urgency().is_some()
        {
            *cancel = CancelToken::new();
        }
        let taken = match ended {
            Ended::With(outcome) => {
                if matches!(outcome, Outcome::Completed(_)) {
                    self.relax();
                }
                self.batch.report(token, outcome, &mut self.policy, now)
            }
            Ended::Busy(why) => {
                tracing::warn!(task = %token.task, why, "held back for want of resources");
                self.hold_back();
                self.batch.postpone(token, BUSY_DELAY, now)
            }
        };
        if let Err(stale) = taken {
            tracing::warn!(%stale, "report refused");
        }
    }

    /// Fewer at once, for a while.
    fn hold_back(&mut self) {
        let before = self.batch.concurrency();
        let others = self.batch.running().saturating_sub(1).min(before);
        self.wanted = self.wanted.or(NonZeroU32::new(before));
        let fewer = NonZeroU32::new(others).unwrap_or(NonZeroU32::MIN);
        self.batch.set_concurrency(fewer, self.clock.now());
    }

    /// One more at once, until as many as were asked for.
    fn relax(&mut self) {
        let Some(wanted) = self.wanted else { return };
        let more = NonZeroU32::MIN
            .saturating_add(self.batch.concurrency())
            .min(wanted);
        self.batch.set_concurrency(more, self.clock.now());
        if more == wanted {
            self.wanted = None;
        }
    }

    fn pass_on_cancellations(&mut self) {
        for request in self.batch.take_cancel_requests() {
            if let Some(token) = self.tokens.get(request.slot as usize) {
                token.cancel(request.urgency);
            }
        }
    }

    fn claim(&mut self, jobs: &mut Vec<Job>) {
        let now = self.clock.now();
        while let Some(claim) = self.batch.claim(now) {
            let slot = claim.slot as usize;
            if slot >= self.tokens.len() {
                self.tokens.resize_with(slot + 1, CancelToken::new);
            }
            jobs.push(Job {
                token: claim.token,
                id: self.id.task(claim.token.task),
                slot: claim.slot,
                handler: self.handler(&claim.spec.function),
                spec: claim.spec,
                cancel: self.tokens[slot].clone(),
                inputs: self.results.inputs(claim.token.task),
            });
        }
    }

    fn handler(&mut self, function: &Arc<str>) -> Arc<dyn Handler> {
        if let Some((last, handler)) = &self.last_handler
            && Arc::ptr_eq(last, function)
        {
            return Arc::clone(handler);
        }
        let handler = self.registry.get(function).map_or_else(
            || Arc::new(crate::handler::Missing) as Arc<dyn Handler>,
            Arc::clone,
        );
        self.last_handler = Some((Arc::clone(function), Arc::clone(&handler)));
        handler
    }

    /// Passes what happened to the sinks, before anything that was claimed starts.
    async fn record(&mut self, events: &mut Vec<Event>) {
        self.batch.take_events(events);
        if events.is_empty() {
            return;
        }
        if self.sinks.is_empty() && self.subscribers.receiver_count() == 0 {
            events.clear();
            return;
        }
        let room = events.len();
        let group = Arc::new(std::mem::replace(events, Vec::with_capacity(room)));
        if self.subscribers.receiver_count() > 0 {
            // The last listener may just have left.
            let _ = self.subscribers.send(Arc::clone(&group));
        }
        self.sinks.send(&group).await;
    }

    /// Keeps the results that later tasks use, before one of these tasks is claimed.
    fn keep_results(&mut self, events: &mut Vec<Event>) {
        self.batch.take_events(events);
        for event in events.iter() {
            match event {
                Event::AttemptEnded {
                    task,
                    outcome: Outcome::Completed(output),
                    then: Then::Final,
                    ..
                } => self.results.completed(*task, output.as_ref()),
                Event::Finished { task, .. } => self.results.finished(*task),
                _ => {}
            }
        }
    }

    fn admit_feeders(&mut self) {
        let open = self.batch.open();
        let stopping = self.batch.is_stopping() || self.batch.was_cut_short();
        self.feeders.retain(|(_, reply)| !reply.is_closed());
        for (_, reply) in self
            .feeders
            .extract_if(.., |(window, _)| stopping || open < *window)
        {
            let _ = reply.send(());
        }
    }

    fn snapshot(&self) -> Snapshot {
        let now = self.clock.now();
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
            remaining: self.batch.remaining(now),
            closed: self.closed,
            paused: self.batch.is_paused(),
            concurrency: self.batch.concurrency(),
        }
    }

    async fn report(self) -> RunReport {
        let unfinished: Vec<_> = self.batch.unfinished().collect();
        let sink_error = self.sinks.finish().await;
        let all_had_their_turn = self.batch.open() == 0 && !self.batch.was_cut_short();
        let end = if self.sink_failed || sink_error.is_some() {
            RunEnd::SinkFailed
        } else if all_had_their_turn {
            RunEnd::Finished
        } else if self.batch.was_cut_short() {
            RunEnd::CutShort
        } else {
            RunEnd::Stopped
        };
        debug_assert_eq!(self.batch.stats().count(Status::Running), 0);
        RunReport {
            end,
            stats: self.batch.stats().clone(),
            unfinished,
            sink_error,
        }
    }
}

/// What came in while the driver waited.
#[derive(Default)]
struct Inbox {
    command: Option<Command>,
    reports: Vec<Report>,
}
