//! Running finished tasks again, in place: [`retry`].

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use batch_core::{
    Reason, Status, TaskId,
    status::{CancelReason, QueuedReason},
};
use batch_export::TaskRecord;
use batch_runtime::RunHandle;
use batch_store::{Selection, Store};

use crate::blocking::{done, on_store};
use crate::choice::Choice;
use crate::control::ControlReply;
use crate::error::ActionError;

/// Reopens the tasks chosen, and with them those that were cancelled because of them; lets held ones go.
pub(crate) async fn retry(
    tasks: Choice,
    run: &RunHandle,
    store: &Arc<Mutex<Store>>,
) -> Result<ControlReply, ActionError> {
    let (batch, selection, reopened) = on_store(store, move |store| {
        let selection = selection(tasks, store)?;
        let reopened = store.reopenable(&selection.finished)?;
        Ok((store.batch(), selection, reopened))
    })
    .await?;
    let asked = selection.held.len() + reopened.len() + selection.refused.len();
    for task in selection.held {
        done(run.release(task).await)?;
    }
    if !reopened.is_empty() {
        done(run.reopen(reopened).await)?;
    }
    Ok(ControlReply::of(batch, asked, selection.refused))
}

/// The tasks that a retry takes.
#[derive(Default)]
pub(crate) struct RetrySelection {
    finished: Vec<TaskId>,
    held: Vec<TaskId>,
    /// What cannot be run again, and why.
    refused: Vec<(TaskId, String)>,
}

/// Selects the tasks that a retry takes: with those named, the ones that were cancelled because of them.
pub(crate) fn selection(mut choice: Choice, store: &Store) -> Result<RetrySelection, ActionError> {
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
    let mut taken = RetrySelection::default();
    let mut roots = Vec::new();
    store.for_each_task::<ActionError>(&selection, |record| {
        if !resolved.matches(&record) {
            return Ok(true);
        }
        match record.reason {
            Some(Reason::Queued(QueuedReason::Held)) => taken.held.push(record.task),
            Some(Reason::Cancelled(why))
                if with_the_batch && !matches!(why, CancelReason::BatchStopped(_)) => {}
            _ if record.status.is_final() => {
                roots.extend(root(&record).map(|root| (record.task, root)));
                taken.finished.push(record.task);
            }
            _ if named => {
                let (task, status) = (record.id(), record.status);
                let why = format!("{task} is {status}: only a finished task can be run again");
                taken.refused.push((record.task, why));
            }
            _ => {}
        }
        Ok(true)
    })?;
    add_dependents(&mut taken.finished, store)?;
    taken.refuse_without_roots(&roots, store)?;
    Ok(taken)
}

impl RetrySelection {
    /// All of the tasks, in their order.
    pub(crate) fn into_tasks(self) -> Vec<TaskId> {
        let mut tasks = self.finished;
        tasks.extend(self.held);
        tasks.sort_unstable();
        tasks
    }

    /// What was cancelled because of another task would be cancelled for it again, unless that one is run again too.
    fn refuse_without_roots(
        &mut self,
        roots: &[(TaskId, TaskId)],
        store: &Store,
    ) -> Result<(), ActionError> {
        let mut statuses: HashMap<TaskId, Option<Status>> = HashMap::new();
        let mut stays: HashSet<TaskId> = HashSet::new();
        for (task, root) in roots {
            if self.finished.binary_search(root).is_ok() {
                continue;
            }
            let status = match statuses.entry(*root) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(store.task(*root)?.map(|record| record.status)),
            };
            let how = match status {
                Some(Status::Failed) => "failed",
                Some(Status::Cancelled) => "was cancelled",
                _ => continue,
            };
            let (name, root) = (store.batch().task(*task), store.batch().task(*root));
            let why = format!("{name} needs {root}, which {how}; retry that one");
            self.refused.push((*task, why));
            stays.insert(*task);
        }
        self.finished.retain(|task| !stays.contains(task));
        Ok(())
    }
}

/// Adds the tasks that were cancelled because one of these did not complete.
fn add_dependents(finished: &mut Vec<TaskId>, store: &Store) -> Result<(), ActionError> {
    if finished.is_empty() {
        return Ok(());
    }
    let mut all: BTreeSet<TaskId> = finished.iter().copied().collect();
    let selection = Selection::states(&[Status::Cancelled]);
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
