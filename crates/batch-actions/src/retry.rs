//! Running finished tasks again, in place: [`retry`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use batch_core::{CancelReason, QueuedReason, Reason, Status, TaskId};
use batch_export::TaskRecord;
use batch_runtime::RunHandle;
use batch_store::{Selection, Store};

use crate::choice::Choice;
use crate::control::{ControlReply, on_store, synced};
use crate::error::ActionError;

/// Reopens the tasks chosen, and with them those that were cancelled because of them; lets held ones go.
pub(crate) async fn retry(
    tasks: Choice,
    run: &RunHandle,
    store: &Arc<Mutex<Store>>,
) -> Result<ControlReply, ActionError> {
    let (batch, wanted, reopened) = on_store(store, move |store| {
        let wanted = wanted(tasks, store)?;
        let reopened = store.reopenable(&wanted.finished)?;
        Ok((store.batch(), wanted, reopened))
    })
    .await?;
    let mut reply = ControlReply::default();
    for task in wanted.held {
        match synced(run.release(task).await)? {
            Ok(()) => reply.changed += 1,
            Err(error) => return Err(ActionError::Refused(error.to_string())),
        }
    }
    reply.changed += reopened.len() as u64;
    if !reopened.is_empty() {
        synced(run.reopen(reopened).await)?
            .map_err(|error| ActionError::Refused(error.to_string()))?;
    }
    reply.refused_in_all = wanted.open.len() as u64;
    reply.refused = wanted
        .open
        .into_iter()
        .take(20)
        .map(|(task, status)| crate::control::Refused {
            task: batch.task(task).to_string(),
            why: format!(
                "{} is {status}: only a finished task can be run again",
                batch.task(task)
            ),
        })
        .collect();
    Ok(reply)
}

#[derive(Default)]
struct Wanted {
    finished: Vec<TaskId>,
    held: Vec<TaskId>,
    open: Vec<(TaskId, Status)>,
}

fn wanted(mut choice: Choice, store: &Store) -> Result<Wanted, ActionError> {
    let mut with_the_batch = false;
    // What completed is run again only when it is named.
    if choice.tasks.is_empty() && choice.statuses.is_empty() {
        choice.statuses = match choice.filter {
            // Queued ones for those that are held, cancelled ones for those that ended with the batch.
            None if choice.cause.is_none() => {
                with_the_batch = true;
                vec![Status::Failed, Status::Queued, Status::Cancelled]
            }
            None => vec![Status::Failed],
            Some(_) => vec![Status::Failed, Status::Cancelled, Status::Queued],
        };
    }
    let named = !choice.tasks.is_empty();
    let resolved = choice.resolve(store)?;
    let mut selection = resolved.selection.clone();
    selection.without_outputs = true;
    let mut wanted = Wanted::default();
    store.for_each_task::<ActionError>(&selection, |record| {
        if !resolved.matches(&record) {
            return Ok(true);
        }
        match record.reason {
            Some(Reason::Queued(QueuedReason::Held)) => wanted.held.push(record.task),
            Some(Reason::Cancelled(why)) if with_the_batch && why != CancelReason::BatchStopped => {
            }
            _ if record.status.is_final() => wanted.finished.push(record.task),
            _ if named => wanted.open.push((record.task, record.status)),
            _ => {}
        }
        Ok(true)
    })?;
    add_dependents(&mut wanted.finished, store)?;
    Ok(wanted)
}

/// Adds the tasks that were cancelled because one of these did not complete.
fn add_dependents(finished: &mut Vec<TaskId>, store: &Store) -> Result<(), ActionError> {
    if finished.is_empty() {
        return Ok(());
    }
    let mut all: BTreeSet<TaskId> = finished.iter().copied().collect();
    let selection = Selection {
        statuses: vec![Status::Cancelled],
        without_outputs: true,
        ..Selection::default()
    };
    store.for_each_task::<ActionError>(&selection, |record| {
        if root(&record).is_some_and(|root| all.contains(&root)) {
            all.insert(record.task);
        }
        Ok(true)
    })?;
    *finished = all.into_iter().collect();
    Ok(())
}

fn root(record: &TaskRecord) -> Option<TaskId> {
    match record.reason {
        Some(Reason::Cancelled(CancelReason::DependencyFailed { root })) => Some(root),
        _ => None,
    }
}
