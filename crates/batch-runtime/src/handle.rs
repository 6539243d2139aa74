//! Steering a run from outside: [`RunHandle`].

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use batch_core::{
    Event, Plan, Priority, Stats, StopMode, TaskId, TaskSpec, Time,
    control::{CancelError, ReleaseError},
    plan::PlanProblem,
    restore::{Reopen, ReopenError, RestoredTask},
    text::Counted,
    view::Remaining,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::builder::RunReport;

/// A handle on a run. Clones control the same run; the run goes on when all are dropped, and ends when its tasks have.
///
/// Every call is a message to the driver, which handles messages in the order in which they were sent:
///
/// 1. [`submit`](Self::submit), [`submit_plan`](Self::submit_plan), [`ingest`](Self::ingest) or [`admit`](Self::admit)
///    add tasks, at any time before the run is over.
/// 2. [`cancel`](Self::cancel), [`pause`](Self::pause), [`set_priority`](Self::set_priority) and others change their
///    course. Calls without an answer return at once; the others return when the driver has done what they say.
/// 3. [`close`](Self::close) or [`finish`](Self::finish) say that no more tasks will come. The run is over when every
///    task is finished, or after [`stop`](Self::stop) when nothing runs any more.
/// 4. [`wait`](Self::wait) gives the report. Requests fail with [`RunEnded`] from then on.
///
/// What a call changed has been passed to the sinks when [`sync`](Self::sync) returns, not before.
#[derive(Clone, Debug)]
pub struct RunHandle {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) events: broadcast::Sender<Arc<Vec<Event>>>,
    pub(crate) report: watch::Receiver<Option<Arc<RunReport>>>,
    pub(crate) shortage: watch::Receiver<Option<ResourceShortage>>,
}

/// What the system is short of, so that fewer tasks run at once than were requested.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceShortage {
    /// What, and what the system said, as in `processes: Resource temporarily unavailable (os error 11)`.
    pub what: Arc<str>,
    /// How many tasks run at once at most for now; 0 when not even one could be started.
    pub slots: u32,
    /// How many were requested.
    pub requested: u32,
}

/// What a handle requests of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Submit(
        Vec<TaskSpec>,
        oneshot::Sender<Result<Vec<TaskId>, SubmitError>>,
    ),
    SubmitPlan(Plan, oneshot::Sender<Vec<TaskId>>),
    Ingest(Vec<Arc<TaskSpec>>, usize, oneshot::Sender<()>),
    Admit(Vec<RestoredTask>, oneshot::Sender<()>),
    Close,
    Cancel(Vec<TaskId>, oneshot::Sender<Refusals>),
    CancelAll,
    Pause,
    Resume,
    AllowStarts(bool),
    SetConcurrency(NonZeroU32),
    AddLimits(BTreeMap<String, NonZeroU32>),
    Concurrency(oneshot::Sender<u32>),
    SetPriority(Vec<TaskId>, Priority, oneshot::Sender<Refusals>),
    Release(TaskId, oneshot::Sender<Result<(), ReleaseError>>),
    Reopen(Vec<Reopen>, oneshot::Sender<Result<(), ReopenError>>),
    Sync(oneshot::Sender<()>),
    Idle(oneshot::Sender<()>),
    TakesNoMore(oneshot::Sender<()>),
    Stop(StopMode),
    ExcludeSuspended(Duration),
    Snapshot(oneshot::Sender<Snapshot>),
}

/// The tasks that could not be changed, and why.
pub(crate) type Refusals = Vec<(TaskId, CancelError)>;

/// The run is over and takes no more requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run is over")]
pub struct RunEnded;

/// A run did not do what was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError<E> {
    /// The batch refused it.
    #[error(transparent)]
    Refused(E),
    /// The run is over.
    #[error("{RunEnded}")]
    RunEnded,
}

impl<E> From<RunEnded> for RequestError<E> {
    fn from(_: RunEnded) -> Self {
        Self::RunEnded
    }
}

/// Tasks were not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Something is wrong with them; none was added.
    #[error("{} with the tasks, first: {}", Counted(.0.len() as u64, "problem"), .0.first().map_or("", |p| p.message.as_str()))]
    Invalid(Vec<PlanProblem>),
    /// The run is over.
    #[error(transparent)]
    RunEnded(#[from] RunEnded),
}

/// A run at a moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// When.
    pub at: Time,
    /// The numbers so far.
    pub stats: Stats,
    /// What runs, the longest first; at most [`Snapshot::SHOWN`] of them.
    pub running: Vec<RunningTask>,
    /// How long it will still take, once that can be told.
    pub remaining: Option<Remaining>,
    /// Whether no more tasks will be submitted, so that the total is known.
    pub closed: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// How many tasks may run at once.
    pub concurrency: u32,
}

/// A task that runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunningTask {
    /// The task.
    pub task: TaskId,
    /// Its name for people.
    pub spec: Arc<TaskSpec>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// When it began.
    pub started: Time,
}

impl Snapshot {
    /// How many running tasks a snapshot names.
    pub const SHOWN: usize = 16;
}

impl RunHandle {
    /// Checks tasks against the registry and the batch, and adds them, all or none. Their ids come in order.
    ///
    /// With a [`ResultSource`](crate::durable::ResultSource), tasks of earlier runs count as part of the batch.
    ///
    /// # Errors
    /// All that is wrong with them, or that the run is over.
    pub async fn submit(&self, tasks: Vec<TaskSpec>) -> Result<Vec<TaskId>, SubmitError> {
        self.request(|reply| Command::Submit(tasks, reply)).await?
    }

    /// Adds tasks that were checked already.
    ///
    /// # Errors
    /// When the run is over.
    pub async fn submit_plan(&self, plan: Plan) -> Result<Vec<TaskId>, RunEnded> {
        self.request(|reply| Command::SubmitPlan(plan, reply)).await
    }

    /// Adds tasks that depend on nothing, unchecked, and returns once fewer than `window` tasks of the batch
    /// are open: a stream of any length passes through bounded memory.
    ///
    /// # Errors
    /// When the run is over, or is being stopped and starts no more.
    pub async fn ingest(&self, tasks: Vec<Arc<TaskSpec>>, window: usize) -> Result<(), RunEnded> {
        self.request(|reply| Command::Ingest(tasks, window, reply))
            .await
    }

    /// Takes in unfinished tasks that got their ids elsewhere, as in a file that others write to: see
    /// [`Batch::restore`](batch_core::Batch::restore). They come in the order of their ids, which follow
    /// that of the last task, and are unchecked.
    ///
    /// # Errors
    /// When the run is over.
    pub async fn admit(&self, tasks: Vec<RestoredTask>) -> Result<(), RunEnded> {
        self.request(|reply| Command::Admit(tasks, reply)).await
    }

    /// Opens finished tasks again, all or none: see [`Batch::reopen`](batch_core::Batch::reopen).
    ///
    /// # Errors
    /// When one of them cannot be reopened, or the run is over.
    pub async fn reopen(&self, tasks: Vec<Reopen>) -> Result<(), RequestError<ReopenError>> {
        let reopened = self.request(|reply| Command::Reopen(tasks, reply)).await?;
        reopened.map_err(RequestError::Refused)
    }

    /// Lets a held task run.
    ///
    /// # Errors
    /// When it is not held, or the run is over.
    pub async fn release(&self, task: TaskId) -> Result<(), RequestError<ReleaseError>> {
        let released = self.request(|reply| Command::Release(task, reply)).await?;
        released.map_err(RequestError::Refused)
    }

    /// Says that no more tasks will come: the run ends when all are finished.
    pub fn close(&self) {
        self.send(Command::Close);
    }

    /// Cancels a task: a queued one at once, with what depends on it; a running one is asked to end.
    ///
    /// # Errors
    /// When there is no such task, it is finished, or the run is over.
    pub async fn cancel(&self, task: TaskId) -> Result<(), RequestError<CancelError>> {
        none_refused(self.cancel_many(vec![task]).await?)
    }

    /// Cancels tasks, and tells which could not be.
    ///
    /// # Errors
    /// When the run is over.
    pub async fn cancel_many(
        &self,
        tasks: Vec<TaskId>,
    ) -> Result<Vec<(TaskId, CancelError)>, RunEnded> {
        self.request(|reply| Command::Cancel(tasks, reply)).await
    }

    /// Ends the batch for good: what is queued or running is cancelled.
    pub fn cancel_all(&self) {
        self.send(Command::CancelAll);
    }

    /// Starts nothing more until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.send(Command::Pause);
    }

    /// Starts tasks again.
    pub fn resume(&self) {
        self.send(Command::Resume);
    }

    /// Adds named limits for tasks that come later; those that are known stay as they are.
    pub fn add_limits(&self, limits: BTreeMap<String, NonZeroU32>) {
        self.send(Command::AddLimits(limits));
    }

    /// Starts nothing more until [`resume_starts`](Self::resume_starts), as something is missing that the tasks need.
    /// Unlike [`pause`](Self::pause) it does not change the batch, and neither ends the other.
    pub fn suspend_starts(&self) {
        self.send(Command::AllowStarts(false));
    }

    /// Starts tasks again after [`suspend_starts`](Self::suspend_starts).
    pub fn resume_starts(&self) {
        self.send(Command::AllowStarts(true));
    }

    /// Changes how many tasks run at once.
    pub fn set_concurrency(&self, slots: NonZeroU32) {
        self.send(Command::SetConcurrency(slots));
    }

    /// How many tasks may run at once, as was asked for: for a while it can be fewer for lack of resources.
    ///
    /// # Errors
    /// When the run is over.
    pub async fn concurrency(&self) -> Result<u32, RunEnded> {
        self.request(Command::Concurrency).await
    }

    /// Changes the priority of a queued task.
    ///
    /// # Errors
    /// When the task is not queued, or the run is over.
    pub async fn set_priority(
        &self,
        task: TaskId,
        priority: Priority,
    ) -> Result<(), RequestError<CancelError>> {
        none_refused(self.set_priorities(vec![task], priority).await?)
    }

    /// Changes the priority of queued tasks, and tells of which it could not be.
    ///
    /// # Errors
    /// When the run is over.
    pub async fn set_priorities(
        &self,
        tasks: Vec<TaskId>,
        priority: Priority,
    ) -> Result<Vec<(TaskId, CancelError)>, RunEnded> {
        self.request(|reply| Command::SetPriority(tasks, priority, reply))
            .await
    }

    /// Stops the run; a later call can be more urgent. Running attempts are told at once, also while a
    /// sink has no room; the run is over when every sink has taken in everything.
    pub fn stop(&self, mode: StopMode) {
        self.send(Command::Stop(mode));
    }

    /// Takes time out of the run in which this process was suspended, so that no timeout counts it.
    pub fn exclude_suspended(&self, time: Duration) {
        self.send(Command::ExcludeSuspended(time));
    }

    /// Waits until every sink has taken in all that happened so far and has synced it: what was asked of
    /// the run before is then where it survives the end of the process.
    ///
    /// # Errors
    /// When the run is over, or is about to be as a sink failed.
    pub async fn sync(&self) -> Result<(), RunEnded> {
        self.request(Command::Sync).await
    }

    /// Waits for the first moment at which nothing runs and nothing will start by itself: every task is
    /// finished or held, or the run was stopped. All that happened until then has been passed to the
    /// sinks. A paused batch with queued tasks is not idle.
    ///
    /// # Errors
    /// When the run is over.
    pub async fn idle(&self) -> Result<(), RunEnded> {
        self.request(Command::Idle).await
    }

    /// Waits until more tasks would not run: the run is being stopped or over, or the batch was ended for good. For who
    /// feeds it from something that may keep silent.
    pub async fn takes_no_more(&self) {
        // A run that is over says so by not answering.
        let _ = self.request(Command::TakesNoMore).await;
    }

    /// The run at this moment.
    ///
    /// # Errors
    /// When the run is over.
    pub async fn snapshot(&self) -> Result<Snapshot, RunEnded> {
        self.request(Command::Snapshot).await
    }

    /// What the system is short of, while it is: changes when a shortage begins, when it ends, and meanwhile with the
    /// number of tasks at once.
    pub fn shortage(&self) -> watch::Receiver<Option<ResourceShortage>> {
        self.shortage.clone()
    }

    /// What happens from now on, in groups. A reader that falls far behind misses some and is told so; a
    /// [`Sink`](crate::Sink) misses none.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Event>>> {
        self.events.subscribe()
    }

    /// Waits until the run is over.
    ///
    /// # Panics
    /// When the driver itself panicked, which is a bug.
    pub async fn wait(&self) -> Arc<RunReport> {
        let mut report = self.report.clone();
        let report = report.wait_for(Option::is_some).await;
        let report = report.expect("the driver reports before it goes");
        Arc::clone(report.as_ref().expect("waited for it"))
    }

    /// Says that no more tasks will come, and waits until all are finished.
    ///
    /// # Panics
    /// When the driver itself panicked, which is a bug.
    pub async fn finish(&self) -> Arc<RunReport> {
        self.close();
        self.wait().await
    }

    fn send(&self, command: Command) {
        // A run that is over has nothing to do with it.
        let _ = self.commands.send(command);
    }

    async fn request<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, RunEnded> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).map_err(|_| RunEnded)?;
        answer.await.map_err(|_| RunEnded)
    }
}

/// The answer for one task.
fn none_refused(refusals: Refusals) -> Result<(), RequestError<CancelError>> {
    match refusals.into_iter().next() {
        Some((_, error)) => Err(RequestError::Refused(error)),
        None => Ok(()),
    }
}
