//! Performing attempts: [`Workers`], tokio tasks that take jobs from the [`Pool`] and run handlers.
//!
//! A worker performs one attempt at a time. Workers live on between attempts: starting one costs far more than
//! handing it a job.
//!
//! - `pool`: jobs one way, reports the other, and who is called to work
//! - `pace`: how short jobs have to be so that one worker does them faster than two
//! - `attempt`: one job, from its placeholders to its report

mod attempt;
mod pace;
mod pool;

use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use batch_core::{BatchId, ClaimToken, Outcome, TaskSpec};

pub(crate) use self::attempt::panic_text;
use self::attempt::perform;
use self::pace::Sample;
use self::pool::{Arrival, Pool};
use crate::cancel::CancelToken;
use crate::chain::Inputs;
use crate::durable::{SharedSource, SharedStartLog, StartLog};
use crate::handler::{Handler, Registry};
use crate::sync_point::SyncPoint;

/// An attempt to perform.
pub(crate) struct Job {
    pub(crate) token: ClaimToken,
    pub(crate) slot: u32,
    pub(crate) spec: Arc<TaskSpec>,
    pub(crate) cancel: CancelToken,
    /// What few jobs have.
    pub(crate) needs: Option<Box<Needs>>,
}

/// What must be there before a job can start.
#[derive(Default)]
pub(crate) struct Needs {
    /// Results of other tasks that its parameters use.
    pub(crate) inputs: Option<Inputs>,
    /// What must be on disk.
    pub(crate) after: Option<SyncPoint>,
}

/// How a job ended.
pub(crate) struct Report {
    pub(crate) token: ClaimToken,
    pub(crate) slot: u32,
    /// The token that the job was given.
    pub(crate) cancel: CancelToken,
    pub(crate) end: JobEnd,
}

pub(crate) enum JobEnd {
    Performed(Outcome),
    /// It could not start, as the system is short of this.
    Busy(Box<str>),
    /// It was cancelled before it started.
    NotStarted,
    /// It could not start, as a sink failed that was to sync first.
    NotSynced,
}

/// The workers of a run. They end when this is dropped.
pub(crate) struct Workers(Arc<Pool>);

/// What all workers share.
pub(crate) struct WorkerContext {
    pub(crate) batch: BatchId,
    pub(crate) registry: Arc<Registry>,
    pub(crate) source: Option<SharedSource>,
    pub(crate) start_log: Option<SharedStartLog>,
}

impl WorkerContext {
    /// Notes in the start log, if there is one.
    fn log(&self, note: impl FnOnce(&mut dyn StartLog)) {
        if let Some(log) = &self.start_log {
            note(log.lock().unwrap_or_else(PoisonError::into_inner).as_mut());
        }
    }
}

impl Workers {
    pub(crate) fn new(context: WorkerContext) -> Self {
        Self(Pool::new(context))
    }

    /// Hands out jobs.
    pub(crate) fn hand_out(&self, jobs: &mut Vec<Job>) {
        if !jobs.is_empty() {
            self.0.add(jobs);
        }
    }

    /// Waits until there are reports.
    pub(crate) async fn reported(&self) {
        self.0.reported().await;
    }

    /// Takes the reports in place of an empty list.
    pub(crate) fn take_reports(&self, into: &mut Vec<Report>) {
        self.0.take_reports(into);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The handler of the last job: the next one is mostly for the same.
#[derive(Default)]
struct LastHandler(Option<(Arc<str>, Arc<dyn Handler>)>);

impl LastHandler {
    fn of(&mut self, function: &Arc<str>, registry: &Registry) -> &Arc<dyn Handler> {
        if self.0.as_ref().is_none_or(|(last, _)| **last != **function) {
            self.0 = Some((Arc::clone(function), registry.get_or_missing(function)));
        }
        &self.0.as_ref().expect("it was just set").1
    }
}

/// Performs jobs until the run is over.
async fn work(pool: Arc<Pool>) {
    let mut handlers = LastHandler::default();
    let mut sample = Sample::default();
    loop {
        match pool.arrive() {
            Arrival::Job(job) => work_on(&pool, job, &mut handlers, &mut sample).await,
            Arrival::Idle => {}
            Arrival::Over => return,
        }
        pool.called().await;
    }
}

/// Performs jobs until there is none.
async fn work_on(pool: &Arc<Pool>, mut job: Job, handlers: &mut LastHandler, sample: &mut Sample) {
    sample.begin();
    loop {
        let handler = handlers.of(&job.spec.function, &pool.context.registry);
        let mut attempt = pin!(perform(job, handler, &pool.context));
        let first = std::future::poll_fn(|cx| Poll::Ready(attempt.as_mut().poll(cx)));
        let report = match first.await {
            Poll::Ready(report) => report,
            Poll::Pending => {
                sample.discard();
                pool.suspend();
                attempt.await
            }
        };
        match pool.hand_in(report, sample) {
            Some(next) => job = next,
            None => return,
        }
    }
}
