//! Why tasks failed or were cancelled, found when their rows are about to be written: [`Rows::explain`].
//!
//! The journal takes events in without looking at the file; what their explanation needs, functions and
//! names, is there.

use batch_core::{TaskId, outcome::Stream, status::CancelReason};
use batch_export::{cancelled_text, cause_of};
use rusqlite::OptionalExtension;

use crate::error::StoreError;
use crate::rows::{Cancelled, Rows};
use crate::store::Store;

impl Rows {
    /// Explains what waits. Where reading fails, what is not explained yet still is the next time.
    pub(crate) fn explain(&mut self, store: &Store) -> Result<(), StoreError> {
        self.find_causes(store)?;
        self.find_words(store)
    }

    fn find_causes(&mut self, store: &Store) -> Result<(), StoreError> {
        // In their order: the first task of a cause is its sample.
        let mut found = 0;
        let result = self.failed.iter().try_for_each(|(place, failure)| {
            let row = &mut self.states[*place];
            let function = store.function_of(row.task)?;
            let none = Stream::default();
            let output = failure.output.as_ref();
            let stderr = output.map_or(&none, |output| &output.stderr);
            let cause = cause_of(&function, failure.kind, &failure.message, stderr);
            row.cause = Some(cause.id().get());
            self.causes.push((row.task, cause));
            found += 1;
            Ok(())
        });
        self.failed.drain(..found);
        result
    }

    fn find_words(&mut self, store: &Store) -> Result<(), StoreError> {
        // Many tasks are cancelled for the sake of one.
        let mut named: Option<(TaskId, Option<String>)> = None;
        while let Some(Cancelled { place, why, root }) = self.cancelled.last().copied() {
            let mut known = None;
            if let (CancelReason::DependencyFailed { root: task }, Some(status)) = (why, root) {
                if named.as_ref().is_none_or(|(found, _)| *found != task) {
                    named = Some((task, store.name_of(task)?));
                }
                let name = named.as_ref().and_then(|(_, name)| name.as_deref());
                known = Some((status, name));
            }
            self.states[place].error = Some(cancelled_text(store.batch(), why, known));
            self.cancelled.pop();
        }
        Ok(())
    }
}

impl Store {
    fn function_of(&self, task: u32) -> Result<String, StoreError> {
        self.connection
            .prepare_cached("SELECT function FROM specs WHERE task = ?1")
            .and_then(|mut select| select.query_row([task], |row| row.get(0)))
            .map_err(|error| self.error(error))
    }

    /// What its author calls a task.
    fn name_of(&self, task: TaskId) -> Result<Option<String>, StoreError> {
        let found: Option<Option<String>> = self
            .connection
            .prepare_cached("SELECT coalesce(name, id) FROM specs WHERE task = ?1")
            .and_then(|mut select| select.query_row([task.get()], |row| row.get(0)).optional())
            .map_err(|error| self.error(error))?;
        Ok(found.flatten())
    }
}
