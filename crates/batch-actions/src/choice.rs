//! Which tasks an action is about: [`Choice`], as someone wants it, and the tasks it selects.

use batch_core::{Status, TaskId, ids::FullTaskId, text::did_you_mean};
use batch_export::{CauseId, TaskFilter, TaskRecord};
use batch_store::{Selection, Store};
use serde::{Deserialize, Serialize};

use crate::error::ActionError;
use crate::live_view::is_chosen;

/// Which tasks are meant. What is not given does not narrow the choice; the empty one means all tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// These tasks: `b7.42`, `42`, or an author's id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// Tasks of these statuses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<Status>,
    /// Tasks that failed for this cause: `c3fa21b`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Tasks that fit an expression; see [`TaskFilter`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

impl Choice {
    /// Some tasks by their names.
    pub fn of(tasks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            tasks: tasks.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Whether nothing narrows it.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The same choice, of these statuses where it names none and no task.
    #[must_use]
    pub fn or_statuses(mut self, statuses: &[Status]) -> Self {
        if self.statuses.is_empty() && self.tasks.is_empty() {
            self.statuses = statuses.to_vec();
        }
        self
    }

    /// Checks the choice against a batch, and gives the result.
    ///
    /// # Errors
    /// When a task does not exist, or the filter or cause is wrong.
    pub fn resolve(&self, store: &Store) -> Result<Resolved, ActionError> {
        let tasks = self
            .tasks
            .iter()
            .map(|name| find_task(store, name))
            .collect::<Result<Vec<_>, _>>()?;
        let cause = self
            .cause
            .as_deref()
            .map(|text| find_cause(store, text))
            .transpose()?;
        let filter = self.filter.as_deref().map(TaskFilter::parse).transpose()?;
        Ok(Resolved {
            selection: Selection {
                statuses: self.statuses.clone(),
                cause,
                tasks: (!self.tasks.is_empty()).then_some(tasks),
                ..Selection::default()
            },
            filter: filter.unwrap_or_default(),
        })
    }
}

/// A choice that was checked.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// What the file can tell quickly.
    pub selection: Selection,
    /// The rest.
    pub filter: TaskFilter,
}

impl Resolved {
    /// The tasks it selects, in their order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tasks(&self, store: &Store) -> Result<Vec<TaskId>, ActionError> {
        self.tasks_of(store, &[])
    }

    /// Those of the tasks that have one of these statuses; all where none is given.
    pub(crate) fn tasks_of(
        &self,
        store: &Store,
        statuses: &[Status],
    ) -> Result<Vec<TaskId>, ActionError> {
        let mut selection = self.selection.clone();
        selection.without_outputs = true;
        let mut tasks = Vec::new();
        store.for_each_task::<ActionError>(&selection, |record| {
            let fits = statuses.is_empty() || statuses.contains(&record.status);
            if fits && self.matches(&record) {
                tasks.push(record.task);
            }
            Ok(true)
        })?;
        Ok(tasks)
    }

    /// Whether a task that the file gave, as it is shown, fits the rest.
    pub fn matches(&self, record: &TaskRecord) -> bool {
        is_chosen(&self.selection, record) && self.filter.matches(record)
    }
}

/// The task that a text names: its number with or without the batch, or its author's id. A number that is also
/// the id of another task names neither of them: it takes the batch to tell which one is meant.
///
/// # Errors
/// When there is none, it is one of another batch, or two have a claim to the name.
pub fn find_task(store: &Store, name: &str) -> Result<TaskId, ActionError> {
    let batch = store.batch();
    let by_id = store.find(name)?;
    let full = name.parse::<FullTaskId>();
    let number = match (&full, by_id) {
        (Ok(full), _) if full.batch == batch => Some(full.task),
        (Ok(full), None) => return Err(ActionError::OtherBatch { batch, task: *full }),
        _ => name.parse::<TaskId>().ok(),
    };
    let by_number = match number {
        Some(task) if store.has_task(task)? => Some(task),
        _ => None,
    };
    match (by_number, by_id) {
        (Some(task), Some(other)) if task != other && full.is_err() => {
            Err(ActionError::AmbiguousTask {
                name: name.to_owned(),
                id: batch.task(other),
                number: batch.task(task),
            })
        }
        (Some(task), _) | (None, Some(task)) => Ok(task),
        (None, None) => Err(unknown_task(store, name)),
    }
}

fn unknown_task(store: &Store, name: &str) -> ActionError {
    let ids = store.some_ids(1_000).unwrap_or_default();
    let near = did_you_mean(name, ids.iter().map(String::as_str));
    let help = match (near, store.info()) {
        (Some(question), _) => Some(question),
        (None, Ok(info)) if info.next_task > 1 => {
            let batch = store.batch();
            let last = info.next_task - 1;
            Some(format!("its tasks are {batch}.1 to {batch}.{last}"))
        }
        (None, Ok(_)) => Some("it has no tasks".to_owned()),
        (None, Err(_)) => None,
    };
    ActionError::UnknownTask {
        batch: store.batch(),
        task: name.to_owned(),
        help,
    }
}

fn find_cause(store: &Store, text: &str) -> Result<CauseId, ActionError> {
    let causes = store.causes()?;
    let known = text
        .parse::<CauseId>()
        .ok()
        .filter(|id| causes.iter().any(|known| known.cause.id() == *id));
    known.ok_or_else(|| {
        let names: Vec<String> = causes
            .iter()
            .take(5)
            .map(|known| known.cause.id().to_string())
            .collect();
        let help = match names.is_empty() {
            true => "nothing has failed".to_owned(),
            false => format!("there are {}", names.join(", ")),
        };
        ActionError::UnknownCause {
            batch: store.batch(),
            cause: text.to_owned(),
            help,
        }
    })
}
