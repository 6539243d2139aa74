//! Setting up a run: [`RunBuilder`], and what a run ended as: [`RunReport`].

use std::num::NonZeroU32;
use std::sync::Arc;

use batch_core::{Batch, BatchId, BatchSettings, RunId, Stats, Time, view::TaskView};
use tokio::sync::{broadcast, mpsc, watch};

use crate::clock::{WallClock, wall_clock};
use crate::driver::Driver;
use crate::durable::{ResultSource, StartLog};
use crate::handle::RunHandle;
use crate::handler::Registry;
use crate::policy::SpecPolicy;
use crate::sink::{Sink, SinkError};

/// How many groups of events a subscriber may lag behind before it misses some.
const SUBSCRIBER_LAG: usize = 1024;

/// What a run is made of: handlers, settings or a batch, a retry policy, sinks, and what a batch that is
/// kept in a file needs.
///
/// [`start`](Self::start) makes a driver of it, which owns the batch and runs as a task of the current tokio runtime,
/// and gives the [`RunHandle`] to control it. The driver promises:
///
/// - No more attempts run at once than there are slots, and the most urgent ready task starts first.
/// - Each attempt that starts is reported once. A handler that panics fails its attempt only.
/// - Every sink is given every event, in order, and before [`RunHandle::wait`] returns.
/// - Of a task that must not run twice (`on_interrupt` other than `rerun`) the start is synced by every sink first.
pub struct RunBuilder {
    pub(crate) registry: Registry,
    pub(crate) id: BatchId,
    pub(crate) run: RunId,
    pub(crate) settings: BatchSettings,
    pub(crate) batch: Option<Box<Batch>>,
    pub(crate) policy: SpecPolicy,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    pub(crate) results: Option<Box<dyn ResultSource>>,
    pub(crate) start_log: Option<Box<dyn StartLog>>,
    pub(crate) slot_limit: Option<NonZeroU32>,
    pub(crate) control_only: bool,
    pub(crate) wall_clock: WallClock,
}

/// How a run ended. Callers give each its own exit code, so a new one is a breaking change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Every task had its turn.
    Finished,
    /// The batch was ended for good before that: its time was up, it was cancelled, or a failure ended it.
    CutShort,
    /// It was stopped, or all that is left is held; it can go on later.
    Stopped,
    /// A sink could not keep what happened.
    SinkFailed,
    /// Nothing could be started for long, as the system was short of something; it can go on later.
    NothingStarts,
}

/// What a run ended as.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunReport {
    /// How it ended.
    pub end: RunEnd,
    /// The numbers.
    pub stats: Stats,
    /// How many tasks are not finished.
    pub open: usize,
    /// The first tasks that are not finished; at most [`RunReport::SHOWN`] of them.
    pub unfinished: Vec<TaskView>,
    /// Why a sink failed.
    pub sink_error: Option<SinkError>,
    /// What the system was short of, where nothing could be started for long.
    pub short_of: Option<Arc<str>>,
}

impl RunReport {
    /// How many unfinished tasks a report names.
    pub const SHOWN: usize = 16;
}

impl RunBuilder {
    /// A run with these handlers, the default settings, and jitter from a random seed.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            id: BatchId::default(),
            run: RunId::default(),
            settings: BatchSettings::default(),
            batch: None,
            policy: SpecPolicy::with_seed(fastrand::u64(..)),
            sinks: Vec::new(),
            results: None,
            start_log: None,
            slot_limit: None,
            control_only: false,
            wall_clock: Arc::new(wall_clock),
        }
    }

    /// Sets the wall clock that tasks with `not_before` go by, for tests; else it is that of the system.
    #[must_use]
    pub fn with_wall_clock(mut self, clock: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        self.wall_clock = Arc::new(clock);
        self
    }

    /// Sets the batch and run that tasks and claims belong to.
    #[must_use]
    pub fn with_ids(mut self, batch: BatchId, run: RunId) -> Self {
        self.id = batch;
        self.run = run;
        self
    }

    /// Sets the settings of the batch.
    #[must_use]
    pub fn with_settings(mut self, settings: BatchSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Drives a batch that exists already, as one restored from a file, made with [`Batch::for_run`]. Its
    /// own settings and run count then, not those given here. The events that it still holds are the
    /// first that the sinks are given.
    #[must_use]
    pub fn with_batch(mut self, batch: Batch) -> Self {
        self.batch = Some(Box::new(batch));
        self
    }

    /// Sets who knows the results of tasks that completed before a task that uses them was added. Without
    /// one, such a task fails.
    #[must_use]
    pub fn with_results(mut self, source: impl ResultSource) -> Self {
        self.results = Some(Box::new(source));
        self
    }

    /// Sets who is told of attempts right before they start.
    #[must_use]
    pub fn with_start_log(mut self, log: impl StartLog) -> Self {
        self.start_log = Some(Box::new(log));
        self
    }

    /// Sets how many tasks the limits of the system allow at once, whatever the settings ask for.
    #[must_use]
    pub fn with_slot_limit(mut self, limit: Option<NonZeroU32>) -> Self {
        self.slot_limit = limit;
        self
    }

    /// Makes it a run that starts nothing and only handles requests, such as to cancel or reopen tasks of a
    /// batch that nobody works on. It is over once it is closed.
    #[must_use]
    pub fn control_only(mut self) -> Self {
        self.control_only = true;
        self
    }

    /// Draws the jitter of retries from a seed, to make a run repeatable.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.policy = SpecPolicy::with_seed(seed);
        self
    }

    /// Adds a sink.
    #[must_use]
    pub fn with_sink(self, sink: impl Sink) -> Self {
        self.with_boxed_sink(Box::new(sink))
    }

    /// Adds a sink whose type is not known.
    #[must_use]
    pub fn with_boxed_sink(mut self, sink: Box<dyn Sink>) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Starts the run on the current tokio runtime. It waits for tasks until it is closed.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub fn start(self) -> RunHandle {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (events, _) = broadcast::channel(SUBSCRIBER_LAG);
        let (done, report) = watch::channel(None);
        let (short, shortage) = watch::channel(None);
        let driver = Driver::new(self, inbox, events.clone(), short);
        tokio::spawn(async move {
            let report = driver.run().await;
            done.send_replace(Some(Arc::new(report)));
        });
        RunHandle {
            commands,
            events,
            report,
            shortage,
        }
    }
}
