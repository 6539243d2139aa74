//! What earlier runs left of tasks that are run again: [`begun_before`], [`Earlier`].

use std::collections::HashMap;

use batch_core::{Event, TaskId};
use batch_export::TaskRecord;
use batch_store::{BatchFile, Store};

/// The tasks among those that come in which have begun in an earlier run. What cannot be read shows at the end.
pub(crate) fn begun_before(store: &Store, events: &[Event]) -> HashMap<TaskId, TaskRecord> {
    let tasks = || {
        events.iter().filter_map(|event| match event {
            Event::Submitted { task, .. } => Some(*task),
            _ => None,
        })
    };
    let range = tasks().min().zip(tasks().max());
    let begun = range.and_then(|(first, last)| store.begun(first, last).ok());
    let records = begun.into_iter().flatten();
    records.map(|record| (record.task, record)).collect()
}

/// The batch file, opened when a task is run again.
pub(crate) struct Earlier {
    file: BatchFile,
    open: Option<Store>,
}

impl Earlier {
    pub(crate) const fn new(file: BatchFile) -> Self {
        Self { file, open: None }
    }

    /// A task that is reopened, as its last attempt left it.
    pub(crate) fn of(&mut self, event: &Event) -> Option<TaskRecord> {
        let Event::Reopened { task, attempts, .. } = event else {
            return None;
        };
        if self.open.is_none() {
            self.open = Store::open_read(self.file.clone()).ok();
        }
        self.open.as_ref()?.task_after(*task, *attempts).ok()?
    }
}
