//! The one that owns the batch: [`Driver`].
//!
//! A short loop in a fixed order: take in commands and reports, let time pass, pass on what is to be
//! cancelled, claim, record, start, wait. It decides nothing about a task's state; the core does.
//!
//! - `claim`: what starts
//! - `obey`: what it does for each command
//! - `record`: passing what happened to the sinks

mod claim;
mod obey;
mod record;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batch_core::{Batch, BatchId, Event, Outcome, Status, StopMode, TaskId, TaskSpec, Time};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::cancel::CancelToken;
use crate::chain::Results;
use crate::clock::Clock;
use crate::durable::{SharedSource, StartLog};
use crate::executor::{Executor, RunEnd, RunReport};
use crate::handle::Command;
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
    /// What happened and is not recorded yet.
    events: Vec<Event>,
    /// What was claimed and is not started yet.
    jobs: Vec<Job>,
    /// Some of those must be on disk before they start.
    careful: bool,
    /// The cancel token of each slot, made anew once used.
    tokens: Vec<CancelToken>,
    results: Results,
    source: Option<SharedSource>,
    start_log: Option<Box<dyn StartLog>>,
    waiting: Waiting,
    /// The concurrency that was asked for, while less is used for want of resources.
    wanted: Option<NonZeroU32>,
    last_handler: Option<(Arc<str>, Arc<dyn Handler>)>,
    control_only: bool,
    /// Nothing is started for now: see [`RunHandle::hold`](crate::RunHandle::hold).
    held: bool,
    closed: bool,
    /// All handles are gone: no command will come.
    alone: bool,
    sink_failed: bool,
}

/// Who waits for something to come about.
#[derive(Default)]
struct Waiting {
    /// Feeders, until fewer tasks are open than their window.
    feeders: Vec<(usize, oneshot::Sender<()>)>,
    /// Until the sinks have synced all that happened.
    syncs: Vec<oneshot::Sender<()>>,
    /// Until nothing runs or will start by itself.
    idlers: Vec<oneshot::Sender<()>>,
}

/// What came in while the driver waited.
#[derive(Default)]
struct Inbox {
    command: Option<Command>,
    reports: Vec<Report>,
}

impl Driver {
    pub(crate) fn new(
        setup: Executor,
        commands: mpsc::UnboundedReceiver<Command>,
        subscribers: broadcast::Sender<Arc<Vec<Event>>>,
    ) -> Self {
        let (reporter, reports) = mpsc::unbounded_channel();
        let source = setup.results.map(|source| Arc::new(Mutex::new(source)));
        let batch = match setup.batch {
            Some(batch) => *batch,
            None => Batch::for_run(setup.settings, setup.run),
        };
        let mut driver = Self {
            batch,
            id: setup.id,
            registry: setup.registry,
            policy: setup.policy,
            clock: Clock::start(),
            sinks: Sinks::start(setup.sinks),
            subscribers,
            commands,
            reports,
            workers: Workers::new(reporter, source.clone()),
            events: Vec::new(),
            jobs: Vec::new(),
            careful: false,
            tokens: Vec::new(),
            results: Results::default(),
            source,
            start_log: setup.start_log,
            waiting: Waiting::default(),
            wanted: None,
            last_handler: None,
            control_only: setup.control_only,
            held: false,
            closed: false,
            alone: false,
            sink_failed: false,
        };
        let open: Vec<_> = driver.batch.unfinished().map(|view| view.task).collect();
        driver.add_users(open);
        driver
    }

    pub(crate) async fn run(mut self) -> RunReport {
        let mut inbox = Inbox::default();
        loop {
            self.take_in(&mut inbox);
            self.batch.handle_timers(self.clock.now());
            self.pass_on_cancellations();
            self.gather();
            self.claim();
            self.record().await;
            self.start();
            self.admit_feeders();
            self.gather();
            if !self.events.is_empty() || !self.waiting.syncs.is_empty() {
                // Commands were obeyed while a sink had no room.
                continue;
            }
            self.tell_idlers();
            if self.is_over() {
                break;
            }
            self.wait(&mut inbox).await;
        }
        self.report().await
    }

    fn is_over(&self) -> bool {
        let expecting = !self.closed && !self.batch.is_stopping();
        self.is_at_rest() && !expecting && self.commands.is_empty()
    }

    /// Nothing runs, and nothing will start by itself.
    fn is_at_rest(&self) -> bool {
        self.batch.is_settled() || (self.control_only && self.batch.running() == 0)
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, inbox: &mut Inbox) {
        let sleep = self.wakeup();
        let trouble = Arc::clone(self.sinks.trouble());
        tokio::select! {
            biased;
            command = self.commands.recv(), if !self.alone => match command {
                Some(command) => inbox.command = Some(command),
                None => self.be_alone(),
            },
            _ = self.reports.recv_many(&mut inbox.reports, REPORTS) => {}
            () = trouble.came.notified() => self.give_up(),
            () = sleep => {}
        }
    }

    /// Waits until the next timer is due.
    fn wakeup(&self) -> impl Future<Output = ()> + use<> {
        let due = self.batch.next_wakeup();
        let due = due.map(|time| self.clock.instant_of(time));
        async move {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    fn be_alone(&mut self) {
        self.alone = true;
        self.closed = true;
    }

    /// Ends the run, as a sink cannot keep what happens.
    fn give_up(&mut self) {
        self.sink_failed = true;
        self.batch.stop(StopMode::End, self.clock.now());
    }

    fn take_in(&mut self, inbox: &mut Inbox) {
        if let Some(command) = inbox.command.take() {
            self.obey(command);
        }
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
        // Commands that keep coming do not keep reports out.
        while inbox.reports.len() < REPORTS
            && let Ok(report) = self.reports.try_recv()
        {
            inbox.reports.push(report);
        }
        let now = self.clock.now();
        for report in inbox.reports.drain(..) {
            self.take_report(report, now);
        }
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
            Ended::Unbegun => self.batch.postpone(token, Duration::ZERO, now),
            Ended::Unkept => {
                self.give_up();
                self.batch.postpone(token, Duration::ZERO, now)
            }
        };
        if let Err(stale) = taken {
            tracing::warn!(%stale, "report refused");
        }
    }

    fn pass_on_cancellations(&mut self) {
        for request in self.batch.take_cancel_requests() {
            if let Some(token) = self.tokens.get(request.slot as usize) {
                token.cancel(request.urgency);
            }
        }
    }

    /// Notes which results tasks that entered the batch will use.
    fn add_users(&mut self, tasks: impl IntoIterator<Item = TaskId>) {
        for task in tasks {
            if let Some(view) = self.batch.task(task) {
                self.add_user(task, &view.spec);
            }
        }
    }

    fn add_user(&mut self, task: TaskId, spec: &TaskSpec) {
        self.results
            .add_user(task, spec, |name| self.batch.find(name));
    }

    fn admit_feeders(&mut self) {
        let feeders = &mut self.waiting.feeders;
        if feeders.is_empty() {
            return;
        }
        let open = self.batch.open();
        let stopping = self.batch.is_stopping() || self.batch.was_cut_short();
        feeders.retain(|(_, reply)| !reply.is_closed());
        for (_, reply) in feeders.extract_if(.., |(window, _)| stopping || open < *window) {
            let _ = reply.send(());
        }
    }

    fn tell_idlers(&mut self) {
        if self.waiting.idlers.is_empty() || !self.is_at_rest() {
            return;
        }
        for idler in self.waiting.idlers.drain(..) {
            let _ = idler.send(());
        }
    }

    async fn report(self) -> RunReport {
        let unfinished = self.batch.unfinished().take(RunReport::SHOWN).collect();
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
            open: self.batch.open(),
            unfinished,
            sink_error,
        }
    }
}
