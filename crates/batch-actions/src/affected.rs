//! Which tasks a change would reach, for a dry run: [`affected`].

use batch_core::{Status, TaskId};
use batch_store::Store;

use crate::choice::Choice;
use crate::control::Control;
use crate::error::ActionError;
use crate::handle_command::held;
use crate::retry;

/// The tasks that a change would change now, in their order, by the selection that the change itself makes.
///
/// # Errors
/// When the selection is invalid, or the file cannot be read.
pub fn affected(control: &Control, store: &Store) -> Result<Vec<TaskId>, ActionError> {
    const FINISHED: [Status; 3] = [Status::Completed, Status::Failed, Status::Cancelled];
    let of = |tasks: &Choice, statuses: &[Status]| {
        let resolved = tasks.clone().or_statuses(statuses).resolve(store)?;
        resolved.tasks_of(store, statuses)
    };
    match control {
        Control::Cancel { tasks } => of(tasks, &[Status::Queued, Status::Running]),
        Control::SetPriority { tasks, .. } => of(tasks, &[Status::Queued]),
        Control::Clear { tasks } => of(tasks, &FINISHED),
        Control::Release { tasks } => held(tasks.clone(), store),
        Control::Retry { tasks } => Ok(retry::selection(tasks.clone(), store)?.into_tasks()),
        _ => Ok(Vec::new()),
    }
}
