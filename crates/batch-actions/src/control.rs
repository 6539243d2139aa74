//! What can be asked of whoever works on a batch: [`Control`] and its [`ControlReply`].
//!
//! These travel as JSON through the batch file. Who works on a batch, a background executor or a command that
//! took the lease for a moment, obeys them by [`obey`], the one place where they are carried out.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use batch_core::{BatchId, CancelError, FullTaskId, Priority, Status, StopMode, TaskId};
use batch_process::Leftover;
use batch_runtime::{Gone, RunHandle};
use batch_store::{Store, lock};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::choice::Choice;
use crate::engine::Room;
use crate::error::ActionError;

/// Something asked of whoever works on a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Control {
    /// Cancel tasks that are not finished; running ones are ended.
    Cancel {
        /// Which.
        tasks: Choice,
    },
    /// Run finished tasks again, and let held ones go: the failed ones unless others are named.
    Retry {
        /// Which.
        tasks: Choice,
    },
    /// Start nothing more for now.
    Pause,
    /// Start tasks again.
    Resume,
    /// Change how many tasks run at once.
    SetConcurrency {
        /// How many.
        max_concurrent: NonZeroU32,
    },
    /// Change the priority of queued tasks.
    SetPriority {
        /// Which.
        tasks: Choice,
        /// To what.
        priority: Priority,
    },
    /// End the run; what is queued stays queued.
    Stop {
        /// How.
        how: Stop,
    },
    /// Remove finished tasks from the batch.
    Clear {
        /// Which.
        tasks: Choice,
    },
}

/// How a run is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Running tasks end by themselves.
    #[default]
    Graceful,
    /// Running tasks are asked to end, and killed after their time of grace.
    Now,
    /// Running tasks are killed.
    Kill,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ControlReply {
    /// How many tasks it changed.
    pub changed: u64,
    /// What it could not change, and why; the first few.
    pub refused: Vec<Refused>,
    /// How many it could not change.
    pub refused_in_all: u64,
    /// How many tasks run at once from now on, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<NonZeroU32>,
    /// What was cleared, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// What a dead executor had left, where nobody worked on the batch: it was ended first. An executor tells of
    /// that itself.
    #[serde(skip)]
    pub leftovers: Vec<Leftover>,
}

/// How many tasks of each status were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Removed {
    /// Completed ones.
    pub completed: u64,
    /// Failed ones.
    pub failed: u64,
    /// Cancelled ones.
    pub cancelled: u64,
}

/// A task that could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The task.
    pub task: String,
    /// Why.
    pub why: String,
}

/// An answer, as it lies in the file.
pub(crate) type Answer = Result<ControlReply, String>;

impl Control {
    /// Whether it ends the run.
    pub(crate) const fn is_stop(&self) -> bool {
        matches!(self, Self::Stop { .. })
    }
}

impl From<Stop> for StopMode {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Graceful => Self::Graceful,
            Stop::Now => Self::End,
            Stop::Kill => Self::Kill,
        }
    }
}

/// How many refused tasks are named.
const NAMED: usize = 20;

impl ControlReply {
    pub(crate) fn of(batch: BatchId, asked: usize, refused: Vec<(TaskId, String)>) -> Self {
        let count = refused.len() as u64;
        let name = |task: TaskId| FullTaskId { batch, task }.to_string();
        Self {
            changed: (asked as u64).saturating_sub(count),
            refused: refused
                .into_iter()
                .take(NAMED)
                .map(|(task, why)| Refused {
                    task: name(task),
                    why,
                })
                .collect(),
            refused_in_all: count,
            ..Self::default()
        }
    }
}

/// Carries out what was asked, on the batch that a run owns.
///
/// # Errors
/// When it cannot be done; what the run has done already stays done.
pub(crate) async fn obey(
    control: Control,
    run: &RunHandle,
    store: &Arc<Mutex<Store>>,
    room: &Arc<Room>,
) -> Result<ControlReply, ActionError> {
    if let Control::Stop { how } = control {
        room.give_up(how.into());
        run.stop(how.into());
        // A stopped run may be over before it could answer anything else.
        return Ok(ControlReply::default());
    }
    // What has happened so far must be on record before anybody chooses by it.
    synced(run.sync().await)?;
    let reply = match control {
        Control::Stop { .. } => unreachable!("it has been obeyed"),
        Control::Cancel { tasks } => cancel(tasks, run, store).await?,
        Control::Retry { tasks } => crate::retry::retry(tasks, run, store).await?,
        Control::Pause => {
            run.pause();
            ControlReply::default()
        }
        Control::Resume => {
            run.resume();
            ControlReply::default()
        }
        Control::SetConcurrency { max_concurrent } => {
            run.set_concurrency(max_concurrent);
            let set = move |store: &mut Store| Ok(store.set_concurrency(max_concurrent)?);
            written(store, room, set).await?;
            ControlReply {
                max_concurrent: Some(max_concurrent),
                ..ControlReply::default()
            }
        }
        Control::SetPriority { tasks, priority } => {
            set_priority(tasks, priority, run, store).await?
        }
        Control::Clear { tasks } => written(store, room, move |store| clear(&tasks, store)).await?,
    };
    synced(run.sync().await)?;
    Ok(reply)
}

async fn cancel(
    tasks: Choice,
    run: &RunHandle,
    store: &Arc<Mutex<Store>>,
) -> Result<ControlReply, ActionError> {
    let open = [Status::Queued, Status::Running];
    let (batch, chosen) = on_store(store, move |store| chosen(tasks, &open, store)).await?;
    let asked = chosen.len();
    let refused = synced(run.cancel_many(chosen).await)?;
    Ok(ControlReply::of(batch, asked, reasons(batch, refused)))
}

fn clear(tasks: &Choice, store: &mut Store) -> Result<ControlReply, ActionError> {
    let finished = [Status::Completed, Status::Failed, Status::Cancelled];
    let resolved = tasks.clone().or_statuses(&finished).resolve(store)?;
    let before = store.overview()?.totals;
    let cleared = store.clear(&resolved.tasks(store)?)?;
    let after = store.overview()?.totals;
    let batch = store.batch();
    // Who names no task wants what can go to go.
    let named = |_: &TaskId| !tasks.tasks.is_empty();
    let kept = cleared.kept.into_iter().filter(named).map(|task| {
        let name = batch.task(task);
        (task, format!("{name} stays, as another task needs it"))
    });
    let kept: Vec<_> = kept.collect();
    let asked = kept.len() + usize::try_from(cleared.removed).unwrap_or(usize::MAX);
    let gone = |status| before.count(status).saturating_sub(after.count(status));
    Ok(ControlReply {
        removed: Some(Removed {
            completed: gone(Status::Completed),
            failed: gone(Status::Failed),
            cancelled: gone(Status::Cancelled),
        }),
        ..ControlReply::of(batch, asked, kept)
    })
}

async fn set_priority(
    tasks: Choice,
    priority: Priority,
    run: &RunHandle,
    store: &Arc<Mutex<Store>>,
) -> Result<ControlReply, ActionError> {
    let queued = [Status::Queued];
    let (batch, chosen) = on_store(store, move |store| chosen(tasks, &queued, store)).await?;
    let asked = chosen.len();
    let refused = synced(run.set_priorities(chosen, priority).await)?;
    Ok(ControlReply::of(batch, asked, reasons(batch, refused)))
}

/// Why tasks were not changed, with their full names.
fn reasons(batch: BatchId, refused: Vec<(TaskId, CancelError)>) -> Vec<(TaskId, String)> {
    let why = |(task, error): (TaskId, CancelError)| {
        let name = batch.task(task);
        let text = match error {
            CancelError::Unknown(_) => format!("there is no task {name}"),
            CancelError::Finished(_, status) => format!("{name} is already {status}"),
            CancelError::Running(_) => format!("{name} is running"),
        };
        (task, text)
    };
    refused.into_iter().map(why).collect()
}

fn chosen(
    tasks: Choice,
    statuses: &[Status],
    store: &Store,
) -> Result<(BatchId, Vec<TaskId>), ActionError> {
    let resolved = tasks.or_statuses(statuses).resolve(store)?;
    Ok((store.batch(), resolved.tasks(store)?))
}

/// Does something with the file on another thread: it may wait for the disk, and the tasks need this one.
pub(crate) async fn on_store<T: Send + 'static>(
    store: &Arc<Mutex<Store>>,
    work: impl FnOnce(&mut Store) -> Result<T, ActionError> + Send + 'static,
) -> Result<T, ActionError> {
    let store = Arc::clone(store);
    on_its_thread(move || work(&mut lock(&store))).await
}

/// Writes into the file as [`Room::until_written`] does.
async fn written<T: Send + 'static>(
    store: &Arc<Mutex<Store>>,
    room: &Arc<Room>,
    work: impl Fn(&mut Store) -> Result<T, ActionError> + Send + 'static,
) -> Result<T, ActionError> {
    let (store, room) = (Arc::clone(store), Arc::clone(room));
    let write = move || {
        let write = || match work(&mut lock(&store)) {
            Err(ActionError::Store(error)) => Err(error),
            done => Ok(done),
        };
        room.until_written(write, || lock(&store).make_room())
    };
    on_its_thread(write).await?
}

/// Does something that may wait for long on another thread.
pub(crate) async fn on_its_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|gone| std::panic::resume_unwind(gone.into_panic()))
}

/// What was asked of a run that is over is not done.
pub(crate) fn synced<T>(answer: Result<T, Gone>) -> Result<T, ActionError> {
    answer.map_err(|gone| ActionError::Refused(gone.to_string()))
}
