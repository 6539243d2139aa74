//! Carrying out what was asked of the process that works on a batch: [`handle_command`].

use std::sync::{Arc, Mutex};

use batch_core::{
    BatchId, Priority, Reason, Status, TaskId,
    control::{CancelError, ReleaseError},
    status::QueuedReason,
};
use batch_runtime::{RequestError, RunHandle};
use batch_store::{Store, lock};

use crate::blocking::{done, on_its_thread, on_store, synced};
use crate::choice::Choice;
use crate::control::{Control, ControlReply, Removed};
use crate::engine::DiskSpace;
use crate::error::ActionError;
use crate::retry::retry;

/// Carries out what was asked, on the batch that a run owns.
///
/// # Errors
/// When it cannot be done; what the run has done already stays done.
pub(crate) async fn handle_command(
    control: Control,
    run: &RunHandle,
    store: &Arc<Mutex<Store>>,
    disk_space: &Arc<DiskSpace>,
) -> Result<ControlReply, ActionError> {
    if let Control::Stop { how } = control {
        disk_space.give_up(how.into());
        run.stop(how.into());
        // A stopped run may be over before it could answer anything else.
        return Ok(ControlReply::default());
    }
    // What has happened so far must be on record before anybody chooses by it.
    synced(run.sync().await)?;
    let reply = match control {
        Control::Stop { .. } => unreachable!("it has been obeyed"),
        Control::Cancel { tasks } => cancel(tasks, run, store).await?,
        Control::Retry { tasks } => retry(tasks, run, store).await?,
        Control::Release { tasks } => release(tasks, run, store).await?,
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
            written(store, disk_space, set).await?;
            ControlReply {
                max_concurrent: Some(max_concurrent),
                ..ControlReply::default()
            }
        }
        Control::SetPriority { tasks, priority } => {
            set_priority(tasks, priority, run, store).await?
        }
        Control::Clear { tasks } => {
            written(store, disk_space, move |store| clear(&tasks, store)).await?
        }
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

async fn release(
    tasks: Choice,
    run: &RunHandle,
    store: &Arc<Mutex<Store>>,
) -> Result<ControlReply, ActionError> {
    let choose = move |store: &mut Store| Ok((store.batch(), held(tasks, store)?));
    let (batch, chosen) = on_store(store, choose).await?;
    let mut refused = Vec::new();
    let asked = chosen.len();
    for task in chosen {
        match run.release(task).await {
            Err(RequestError::Refused(error)) => {
                let (name, status) = match error {
                    ReleaseError::NotHeld(task, status) => (batch.task(task), status.name()),
                    _ => (batch.task(task), "gone"),
                };
                refused.push((task, format!("{name} is {status}, not held")));
            }
            released => done(released)?,
        }
    }
    Ok(ControlReply::of(batch, asked, refused))
}

/// The tasks to release: those named, else the held ones of a selection.
pub(crate) fn held(tasks: Choice, store: &Store) -> Result<Vec<TaskId>, ActionError> {
    if !tasks.tasks.is_empty() {
        return tasks.resolve(store)?.tasks(store);
    }
    let resolved = tasks.or_statuses(&[Status::Queued]).resolve(store)?;
    let mut selection = resolved.selection.clone();
    selection.without_outputs = true;
    let mut held = Vec::new();
    store.for_each_task::<ActionError>(&selection, |record| {
        let is_held = record.reason == Some(Reason::Queued(QueuedReason::Held));
        if is_held && resolved.matches(&record) {
            held.push(record.task);
        }
        Ok(true)
    })?;
    Ok(held)
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

/// Writes into the file as [`DiskSpace::until_written`] does.
async fn written<T: Send + 'static>(
    store: &Arc<Mutex<Store>>,
    disk_space: &Arc<DiskSpace>,
    work: impl Fn(&mut Store) -> Result<T, ActionError> + Send + 'static,
) -> Result<T, ActionError> {
    let (store, disk_space) = (Arc::clone(store), Arc::clone(disk_space));
    let write = move || {
        let write = || match work(&mut lock(&store)) {
            Err(ActionError::Store(error)) => Err(error),
            done => Ok(done),
        };
        disk_space.until_written(write, || lock(&store).shrink_log())
    };
    on_its_thread(write).await?
}
