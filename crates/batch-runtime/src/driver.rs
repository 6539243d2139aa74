//! The one that owns the batch: [`Driver`].
//!
//! A short loop in a fixed order: take in commands and reports, let time pass, pass on what is to be
//! cancelled, claim, record, start, wait. It decides nothing about a task's state; the core does.
//!
//! - `claim`: what starts
//! - `commands`: what it does for each command
//! - `record`: passing what happened to the sinks
//! - `shortage`: fewer at once while the system is short of something

mod claim;
mod commands;
mod record;
mod shortage;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batch_core::{Batch, Event, Status, StopMode, TaskId, TaskSpec, Time};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::claim::{SlotToken, Starts};
use self::shortage::Shortage;
use crate::builder::{RunBuilder, RunEnd, RunReport};
use crate::chain::Results;
use crate::clock::{Clock, WallClock};
use crate::durable::SharedSource;
use crate::handle::{Command, ResourceShortage};
use crate::handler::Registry;
use crate::policy::SpecPolicy;
use crate::sink::Sinks;
use crate::worker::{Job, JobEnd, Report, WorkerContext, Workers};

/// Between two looks at the wall clock while tasks are scheduled: it may be set at any time.
const WALL_CLOCK_POLL: Duration = Duration::from_secs(1);

pub(crate) struct Driver {
    batch: Batch,
    registry: Arc<Registry>,
    policy: SpecPolicy,
    clock: Clock,
    /// What scheduled tasks go by: it is set, and goes on while the machine sleeps.
    wall_clock: WallClock,
    sinks: Sinks,
    subscribers: broadcast::Sender<Arc<Vec<Event>>>,
    commands: mpsc::UnboundedReceiver<Command>,
    intake: Intake,
    starts: Starts,
    workers: Workers,
    /// What happened and is not recorded yet.
    events: Vec<Event>,
    /// How many bytes of outputs are among it.
    output_bytes: usize,
    /// What was claimed and is not started yet.
    jobs: Vec<Job>,
    /// What has come in from the workers; empty but for the moment in which it is taken in.
    reports: Vec<Report>,
    /// By the number of the slot.
    tokens: Vec<SlotToken>,
    results: Results,
    source: Option<SharedSource>,
    waiting: Waiting,
    /// How many tasks at once were asked for,
    requested: NonZeroU32,
    /// and how many the limits of the system allow.
    slot_limit: Option<NonZeroU32>,
    /// What the system is short of.
    shortage: Option<Shortage>,
    /// The same for others.
    short: watch::Sender<Option<ResourceShortage>>,
    /// Why the run ends before its time.
    abort: Option<Abort>,
}

/// Whether tasks and commands may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    Open,
    /// No more tasks will come.
    Closed,
    /// All handles are gone, so no command will come either.
    Abandoned,
}

/// Why a run ends before its time.
#[derive(Debug)]
enum Abort {
    /// A sink could not keep what happened.
    SinkFailed,
    /// Nothing could be started for long, as the system is short of this.
    NothingStarts(Arc<str>),
}

/// Who waits for something to come about.
#[derive(Default)]
struct Waiting {
    /// Feeders, until fewer tasks are open than their window.
    feeders: Vec<(usize, oneshot::Sender<()>)>,
    /// Until the sinks have synced all that happened.
    syncs: Vec<oneshot::Sender<()>>,
    /// Until more tasks would not run.
    ended: Vec<oneshot::Sender<()>>,
    /// Until nothing runs or will start by itself.
    idlers: Vec<oneshot::Sender<()>>,
}

impl Driver {
    pub(crate) fn new(
        setup: RunBuilder,
        commands: mpsc::UnboundedReceiver<Command>,
        subscribers: broadcast::Sender<Arc<Vec<Event>>>,
        short: watch::Sender<Option<ResourceShortage>>,
    ) -> Self {
        let source = setup.results.map(|source| Arc::new(Mutex::new(source)));
        let batch = match setup.batch {
            Some(batch) => *batch,
            None => Batch::for_run(setup.settings, setup.run),
        };
        let registry = Arc::new(setup.registry);
        let workers = Workers::new(WorkerContext {
            batch: setup.id,
            registry: Arc::clone(&registry),
            source: source.clone(),
            start_log: setup.start_log.map(Mutex::new),
        });
        let requested = batch.settings().max_concurrent;
        let starts = match setup.control_only {
            true => Starts::Never,
            false => Starts::Allowed,
        };
        let mut driver = Self {
            batch,
            registry,
            policy: setup.policy,
            clock: Clock::start(),
            wall_clock: setup.wall_clock,
            sinks: Sinks::start(setup.sinks),
            subscribers,
            commands,
            intake: Intake::Open,
            starts,
            workers,
            events: Vec::new(),
            output_bytes: 0,
            jobs: Vec::new(),
            reports: Vec::new(),
            tokens: Vec::new(),
            results: Results::default(),
            source,
            waiting: Waiting::default(),
            requested,
            slot_limit: setup.slot_limit,
            shortage: None,
            short,
            abort: None,
        };
        let open: Vec<_> = driver.batch.unfinished().map(|view| view.task).collect();
        driver.add_users(open);
        driver.fit_slots();
        if driver.sinks.failure().has_come() {
            // Nothing is to start.
            driver.sink_failed();
        }
        driver
    }

    pub(crate) async fn run(mut self) -> RunReport {
        loop {
            self.take_commands();
            self.take_reports();
            self.batch.handle_timers(self.clock.now());
            self.start_scheduled();
            self.pass_on_cancellations();
            self.gather();
            let must_sync = self.claim();
            self.record(must_sync).await;
            self.start();
            self.admit_feeders();
            self.gather();
            if !self.events.is_empty() || !self.waiting.syncs.is_empty() {
                // Commands were handled while a sink had no room.
                continue;
            }
            self.tell_idlers();
            if self.is_over() {
                break;
            }
            self.wait().await;
        }
        self.report().await
    }

    fn is_over(&self) -> bool {
        let expecting = self.intake == Intake::Open && !self.batch.is_stopping();
        self.is_at_rest() && !expecting && self.commands.is_empty()
    }

    /// Nothing runs, and nothing will start by itself.
    fn is_at_rest(&self) -> bool {
        self.batch.is_settled() || (self.starts == Starts::Never && self.batch.running() == 0)
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) {
        let sleep = self.wakeup();
        let failure = Arc::clone(self.sinks.failure());
        tokio::select! {
            biased;
            command = self.commands.recv(), if self.intake != Intake::Abandoned => {
                self.take_command(command);
            }
            () = self.workers.reported() => {}
            () = failure.came.notified() => self.sink_failed(),
            () = sleep => {}
        }
    }

    /// Waits until the next timer is due.
    fn wakeup(&self) -> impl Future<Output = ()> + use<> {
        let due = self.batch.next_wakeup().into_iter().chain(self.next_try());
        let look = self.batch.next_scheduled().map(|at| {
            let ahead = at.since((self.wall_clock)());
            self.clock.now().after(ahead.min(WALL_CLOCK_POLL))
        });
        let due = due
            .chain(look)
            .min()
            .map(|time| self.clock.instant_of(time));
        async move {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    fn start_scheduled(&mut self) {
        if self.batch.next_scheduled().is_some() {
            let wall = (self.wall_clock)();
            self.batch.start_scheduled(wall, self.clock.now());
        }
    }

    /// Handles a command; `None` says that there will be no other.
    fn take_command(&mut self, command: Option<Command>) {
        match command {
            Some(command) => self.handle_command(command),
            None => self.intake = Intake::Abandoned,
        }
    }

    fn take_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.handle_command(command);
        }
    }

    /// Ends the run, as a sink cannot keep what happens.
    fn sink_failed(&mut self) {
        self.abort = Some(Abort::SinkFailed);
        self.batch.stop(StopMode::End, self.clock.now());
    }

    fn take_reports(&mut self) {
        let mut reports = std::mem::take(&mut self.reports);
        self.workers.take_reports(&mut reports);
        if !reports.is_empty() {
            let now = self.clock.now();
            for report in reports.drain(..) {
                self.take_report(report, now);
            }
        }
        self.reports = reports;
    }

    fn take_report(&mut self, report: Report, now: Time) {
        let Report {
            token,
            slot,
            cancel,
            end,
        } = report;
        self.tokens[slot as usize].give_back(cancel);
        let taken = match end {
            JobEnd::Performed(outcome) => {
                self.has_run();
                let output = outcome.output();
                self.output_bytes += output.map_or(0, |output| output.in_memory());
                self.batch.report(token, outcome, &mut self.policy, now)
            }
            JobEnd::Busy(what) => {
                let postponed = self.batch.postpone(token, now);
                self.start_failed(what);
                postponed
            }
            JobEnd::NotStarted => self.batch.postpone(token, now),
            JobEnd::NotSynced => {
                self.sink_failed();
                self.batch.postpone(token, now)
            }
        };
        if let Err(stale) = taken {
            tracing::warn!(%stale, "report refused");
        }
    }

    fn pass_on_cancellations(&mut self) {
        for request in self.batch.take_cancel_requests() {
            if let Some(slot) = self.tokens.get(request.slot as usize) {
                slot.token.cancel(request.urgency);
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
        if self.batch.is_stopping() || self.batch.was_cut_short() {
            for waiter in self.waiting.ended.drain(..) {
                let _ = waiter.send(());
            }
        }
        let feeders = &mut self.waiting.feeders;
        if feeders.is_empty() {
            return;
        }
        if self.batch.is_stopping() {
            // It takes no more: who went on feeding it would have all the rest in memory.
            return feeders.clear();
        }
        let (open, was_cut_short) = (self.batch.open(), self.batch.was_cut_short());
        feeders.retain(|(_, reply)| !reply.is_closed());
        for (_, reply) in feeders.extract_if(.., |(window, _)| was_cut_short || open < *window) {
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
        let (end, short_of) = match self.abort {
            _ if sink_error.is_some() => (RunEnd::SinkFailed, None),
            Some(Abort::SinkFailed) => (RunEnd::SinkFailed, None),
            Some(Abort::NothingStarts(what)) => (RunEnd::NothingStarts, Some(what)),
            None if all_had_their_turn => (RunEnd::Finished, None),
            None if self.batch.was_cut_short() => (RunEnd::CutShort, None),
            None => (RunEnd::Stopped, None),
        };
        debug_assert_eq!(self.batch.stats().count(Status::Running), 0);
        RunReport {
            end,
            stats: self.batch.stats().clone(),
            open: self.batch.open(),
            unfinished,
            sink_error,
            short_of,
        }
    }
}
