//! How long the tasks of a file took.

use batch_export::ExecutionTimes;

use crate::error::StoreError;
use crate::shape::duration;
use crate::store::Store;

impl Store {
    /// The execution times of the completed tasks. Looks at every task, in bounded memory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn execution_times(&self) -> Result<ExecutionTimes, StoreError> {
        let mut times = ExecutionTimes::default();
        let mut read = || -> rusqlite::Result<()> {
            let mut select = self.connection.prepare_cached(
                "SELECT execution_us FROM states WHERE status = 'completed' AND execution_us IS NOT NULL",
            )?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                times.add(duration(row.get(0)?));
            }
            Ok(())
        };
        read().map_err(|error| self.error(error))?;
        Ok(times)
    }
}
