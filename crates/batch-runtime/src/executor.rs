//! Setting up a run: [`Executor`], and what a run ended as: [`RunReport`].

use std::sync::Arc;

use batch_core::{Batch, BatchId, BatchSettings, RunId, Stats, TaskView};
use tokio::sync::{broadcast, mpsc, watch};

use crate::driver::Driver;
use crate::handle::RunHandle;
use crate::handler::Registry;
use crate::policy::SpecPolicy;
use crate::sink::{Sink, SinkError, Sinks};

/// How many groups of events a subscriber may lag behind before it misses some.
const SUBSCRIBER_LAG: usize = 1024;

/// What a run is made of: handlers, settings, a retry policy and sinks.
pub struct Executor {
    registry: Registry,
    batch: BatchId,
    run: RunId,
    settings: BatchSettings,
    policy: SpecPolicy,
    sinks: Vec<Box<dyn Sink>>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Every task had its turn.
    Finished,
    /// The batch was ended for good before that: its time was up, it was cancelled, or a failure ended it.
    CutShort,
    /// It was stopped, and can go on later.
    Stopped,
    /// A sink could not keep what happened.
    SinkFailed,
}

/// What a run ended as.
#[derive(Debug)]
pub struct RunReport {
    /// How it ended.
    pub end: RunEnd,
    /// The numbers.
    pub stats: Stats,
    /// What is not finished.
    pub unfinished: Vec<TaskView>,
    /// Why a sink failed.
    pub sink_error: Option<SinkError>,
}

impl Executor {
    /// An executor with these handlers, the default settings, and jitter from a random seed.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            batch: BatchId::default(),
            run: RunId::default(),
            settings: BatchSettings::default(),
            policy: SpecPolicy::with_seed(fastrand::u64(..)),
            sinks: Vec::new(),
        }
    }

    /// Sets the batch and run that tasks and claims belong to.
    #[must_use]
    pub fn with_ids(mut self, batch: BatchId, run: RunId) -> Self {
        self.batch = batch;
        self.run = run;
        self
    }

    /// Sets the settings of the batch.
    #[must_use]
    pub fn with_settings(mut self, settings: BatchSettings) -> Self {
        self.settings = settings;
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
    pub fn with_sink(mut self, sink: impl Sink) -> Self {
        self.sinks.push(Box::new(sink));
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
        let driver = Driver::new(
            Batch::for_run(self.settings, self.run),
            self.batch,
            self.registry,
            self.policy,
            Sinks::start(self.sinks),
            inbox,
            events.clone(),
        );
        tokio::spawn(async move {
            let report = driver.run().await;
            done.send_replace(Some(Arc::new(report)));
        });
        RunHandle {
            commands,
            events,
            report,
        }
    }
}
