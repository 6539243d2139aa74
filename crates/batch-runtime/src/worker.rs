//! Performing attempts: [`Workers`], tokio tasks that take jobs from one queue and run handlers.
//!
//! A worker performs one attempt at a time, and there are as many workers as attempts have run at once.
//! They live on between attempts: starting one costs far more than handing it a job.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batch_core::{
    ClaimToken, Failure, FailureKind, FullTaskId, Outcome, Output, TaskSpec, Urgency,
};
use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc};

use crate::apart::apart;
use crate::cancel::CancelToken;
use crate::chain::{self, Filled, Inputs};
use crate::durable::{SharedSource, SharedStartLog, StartLog};
use crate::handler::{AttemptError, Handler, OnCancel, TaskContext};
use crate::masking;
use crate::sync_point::SyncPoint;

/// A handler that was told to kill what it runs gets so long before it is dropped.
const LAST_GRACE: Duration = Duration::from_secs(10);

/// An attempt to perform.
pub(crate) struct Job {
    pub(crate) token: ClaimToken,
    pub(crate) id: FullTaskId,
    pub(crate) slot: u32,
    pub(crate) spec: Arc<TaskSpec>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) cancel: CancelToken,
    /// Results of other tasks that its parameters use.
    pub(crate) inputs: Option<Inputs>,
    /// What must be on disk before it starts.
    pub(crate) after: Option<SyncPoint>,
}

/// What became of a job.
pub(crate) struct Report {
    pub(crate) token: ClaimToken,
    pub(crate) slot: u32,
    pub(crate) ended: Ended,
}

pub(crate) enum Ended {
    With(Outcome),
    /// It could not begin, as the system is short of this.
    Busy(String),
    /// It was told to end before it began.
    Unbegun,
    /// It could not begin, as a sink failed that was to keep this first.
    Unkept,
}

/// The workers of a run.
pub(crate) struct Workers {
    queue: Arc<Queue>,
    started: usize,
    desk: Desk,
}

/// What every worker has at hand.
#[derive(Clone)]
struct Desk {
    reports: mpsc::UnboundedSender<Report>,
    source: Option<SharedSource>,
    start_log: Option<SharedStartLog>,
}

impl Desk {
    /// Says in the start log, if there is one, what is about to happen.
    fn log(&self, say: impl FnOnce(&mut dyn StartLog)) {
        if let Some(log) = &self.start_log {
            say(log.lock().unwrap_or_else(PoisonError::into_inner).as_mut());
        }
    }
}

/// The jobs that no worker has taken yet.
#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    work: Notify,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    idle: usize,
    /// A worker was called and has not come yet; it will call the next if there is more to do.
    calling: bool,
    closed: bool,
}

impl Workers {
    pub(crate) fn new(
        reports: mpsc::UnboundedSender<Report>,
        source: Option<SharedSource>,
        start_log: Option<SharedStartLog>,
    ) -> Self {
        Self {
            queue: Arc::default(),
            started: 0,
            desk: Desk {
                reports,
                source,
                start_log,
            },
        }
    }

    /// Hands out jobs, of which there are never more at once than `in_flight` says, these included.
    pub(crate) fn hand_out(&mut self, jobs: &mut Vec<Job>, in_flight: usize) {
        {
            let mut state = self.queue.lock();
            state.jobs.extend(jobs.drain(..));
            self.queue.call_one(&mut state);
        }
        while self.started < in_flight {
            self.started += 1;
            tokio::spawn(work(Arc::clone(&self.queue), self.desk.clone()));
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.work.notify_waiters();
        self.queue.work.notify_one();
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, QueueState> {
        self.state
            .lock()
            .expect("nothing panics with the queue locked")
    }

    fn call_one(&self, state: &mut QueueState) {
        if !state.jobs.is_empty() && state.idle > 0 && !state.calling {
            state.calling = true;
            self.work.notify_one();
        }
    }

    /// The next job; `None` when the run is over.
    async fn next(&self) -> Option<Job> {
        let mut waited = false;
        loop {
            {
                let mut state = self.lock();
                if waited {
                    state.calling = false;
                    state.idle -= 1;
                }
                if let Some(job) = state.jobs.pop_front() {
                    self.call_one(&mut state);
                    return Some(job);
                }
                if state.closed {
                    self.work.notify_one();
                    return None;
                }
                state.idle += 1;
            }
            waited = true;
            self.work.notified().await;
        }
    }
}

async fn work(queue: Arc<Queue>, desk: Desk) {
    while let Some(job) = queue.next().await {
        let (token, slot) = (job.token, job.slot);
        let ended = match prepare(&job, desk.source.as_ref()).await {
            Ok(filled) => {
                // Right before, and not with the claim: what never began is not to be taken for the cause of our death.
                desk.log(|log| log.starting(slot, token));
                perform(job, filled).await
            }
            Err(ended) => ended,
        };
        if matches!(ended, Ended::Busy(_)) {
            desk.log(|log| log.not_started(slot));
        }
        let _ = desk.reports.send(Report { token, slot, ended });
    }
}

/// Waits for what must come before an attempt, and fills in all placeholders.
async fn prepare(job: &Job, source: Option<&SharedSource>) -> Result<Filled, Ended> {
    if let Some(after) = &job.after {
        tokio::select! {
            biased;
            () = job.cancel.cancelled() => {}
            kept = after.clone().reached() => if !kept {
                return Err(Ended::Unkept);
            },
        }
    }
    if job.cancel.urgency().is_some() {
        return Err(Ended::Unbegun);
    }
    // A doubled brace may also be an escaped one.
    if job.inputs.is_none() && !chain::is_template(&job.spec) {
        return Ok(Filled::as_given(&job.spec));
    }
    let inputs = job.inputs.as_deref().unwrap_or_default();
    if let Some(source) = source
        && !chain::are_known(inputs)
    {
        let (inputs, source) = (inputs.to_vec(), Arc::clone(source));
        let looked = tokio::task::spawn_blocking(move || chain::look_for(&inputs, &source));
        // If that panicked, the result is not at hand, and the task fails with this.
        looked.await.unwrap_or(Ok(())).map_err(failed)?;
    }
    let (spec, handler) = (Arc::clone(&job.spec), Arc::clone(&job.handler));
    let inputs = inputs.to_vec();
    let size = chain::size_of(&inputs);
    let filled = apart(size, move || {
        chain::fill_in(&spec, &inputs, handler.as_ref())
    })
    .await;
    filled.map_err(failed)
}

fn failed(failure: Failure) -> Ended {
    Ended::With(Outcome::Failed(Arc::new(failure)))
}

async fn perform(job: Job, filled: Filled) -> Ended {
    let secrets = filled.secrets.clone();
    match attempt(job, filled).await {
        Ended::With(outcome) if secrets.is_empty() => Ended::With(masking::shortened(outcome)),
        Ended::With(outcome) => {
            let size = masking::size_of(&outcome);
            let mask = move || masking::shortened(masking::mask(outcome, &secrets));
            Ended::With(apart(size, mask).await)
        }
        Ended::Busy(why) => Ended::Busy(secrets.mask(&why).into_owned()),
        ended => ended,
    }
}

async fn attempt(job: Job, filled: Filled) -> Ended {
    let context = TaskContext {
        id: job.id,
        attempt: job.token.attempt,
        slot: job.slot,
        spec: job.spec,
        params: filled.params,
        options: filled.options,
        secrets: filled.secrets,
        cancel: job.cancel,
    };
    let run = AssertUnwindSafe(job.handler.run(&context)).catch_unwind();
    let result = tokio::select! {
        biased;
        result = run => result,
        () = give_up(&context.cancel, job.handler.on_cancel()) => {
            return Ended::With(Outcome::Cancelled(None));
        }
    };
    match result {
        Ok(Ok(output)) => Ended::With(Outcome::Completed(keep(output))),
        Ok(Err(AttemptError::Failed(failure))) => Ended::With(Outcome::Failed(Arc::from(failure))),
        Ok(Err(AttemptError::Busy(why))) => Ended::Busy(why),
        Err(panic) => {
            let message = format!("the handler panicked: {}", panic_text(panic.as_ref()));
            failed(Failure::new(FailureKind::Panic, message))
        }
    }
}

/// Returns when the attempt is no longer waited for.
async fn give_up(cancel: &CancelToken, on_cancel: OnCancel) {
    match on_cancel {
        OnCancel::Drop => cancel.cancelled().await,
        OnCancel::Cooperate => {
            cancel.reached(Urgency::Kill).await;
            tokio::time::sleep(LAST_GRACE).await;
        }
    }
}

/// Most handlers that only do something leave nothing worth keeping.
fn keep(output: Output) -> Option<Arc<Output>> {
    let nothing = output.value.is_none()
        && output.process.is_none()
        && output.stdout.is_empty()
        && output.stderr.is_empty();
    (!nothing).then(|| Arc::new(output))
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
