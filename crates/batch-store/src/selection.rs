//! Which tasks are read: [`Selection`].

use batch_core::{Status, TaskId};
use batch_export::CauseId;

use crate::record_rows::STATE_COLUMNS;
use crate::spec_rows::spec_columns;

/// Which tasks are read, as far as the file can tell quickly. A filter over records says the rest.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of these statuses only; empty for all.
    pub statuses: Vec<Status>,
    /// Of this cause only.
    pub cause: Option<CauseId>,
    /// From this task on.
    pub from: Option<TaskId>,
    /// These tasks only.
    pub tasks: Option<Vec<TaskId>>,
    /// Leave out what the tasks printed and returned.
    pub without_outputs: bool,
}

impl Selection {
    /// Tasks of these statuses, all where there is none, without what they printed and returned.
    pub fn states(statuses: &[Status]) -> Self {
        Self {
            statuses: statuses.to_vec(),
            without_outputs: true,
            ..Self::default()
        }
    }

    /// The statement that reads them.
    pub(crate) fn sql(&self, has_items: bool) -> String {
        let mut terms: Vec<String> = Vec::new();
        if let Some(from) = self.from {
            terms.push(format!("s.task >= {from}"));
        }
        if let Some(tasks) = &self.tasks {
            let list: Vec<String> = tasks.iter().map(TaskId::to_string).collect();
            terms.push(format!("s.task IN ({})", list.join(",")));
        }
        if let Some(cause) = self.cause {
            terms.push(format!("t.cause = {}", cause.get()));
        }
        if !self.statuses.is_empty() {
            let names: Vec<String> = self
                .statuses
                .iter()
                .map(|status| format!("'{}'", status.name()))
                .collect();
            let names = names.join(",");
            // A task that nothing has happened to has no row of its own.
            terms.push(match self.statuses.contains(&Status::Queued) {
                true => format!("coalesce(t.status, 'queued') IN ({names})"),
                false => format!("t.status IN ({names})"),
            });
        }
        let terms = match terms.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", terms.join(" AND ")),
        };
        let columns = spec_columns(has_items);
        format!(
            "SELECT {columns}, {STATE_COLUMNS} FROM specs s LEFT JOIN states t ON t.task = s.task
         LEFT JOIN causes c ON c.cause = t.cause{terms} ORDER BY s.task"
        )
    }
}
