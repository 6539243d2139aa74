//! Reading the batch file beside those who write: [`Reader`].

use std::sync::{Arc, Mutex, PoisonError};

use batch_core::{Output, TaskId};
use batch_runtime::durable::{ResultSource, SourceError};
use batch_store::{BatchFile, Store, StoreError};

/// A connection of its own, opened when it is first needed: a short run ends before that.
pub(crate) struct Reader {
    file: BatchFile,
    open: Mutex<Option<Store>>,
}

impl Reader {
    pub(crate) fn new(file: BatchFile) -> Self {
        Self {
            file,
            open: Mutex::new(None),
        }
    }

    /// Reads something.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let store = match open.take() {
            Some(store) => store,
            None => Store::open_read(self.file.clone())?,
        };
        read(open.insert(store))
    }
}

/// Results of tasks that completed before.
pub(crate) struct Results(pub(crate) Arc<Reader>);

impl ResultSource for Results {
    fn result(&mut self, task: TaskId) -> Result<Option<Arc<Output>>, SourceError> {
        self.0.read(|store| store.result_of(task)).map_err(unread)
    }

    fn find(&mut self, id: &str) -> Result<Option<TaskId>, SourceError> {
        self.0.read(|store| store.find(id)).map_err(unread)
    }
}

fn unread(error: StoreError) -> SourceError {
    SourceError(Box::new(error))
}
