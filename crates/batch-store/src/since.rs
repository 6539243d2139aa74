//! What has happened in a batch since a time: [`Since`].

use batch_core::{Status, Time};
use batch_export::CauseId;

use crate::error::StoreError;
use crate::store::{Store, micros};

/// What has happened in a batch since a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// How many tasks have finished, also those that had before and were run again.
    pub finished: u64,
    /// How many of them failed.
    pub failed: u64,
    /// The causes for which no task had failed before, as far as it is known of tasks that are failed now.
    pub causes: Vec<CauseId>,
}

impl Store {
    /// Reads what has happened after a time. Looks at every task.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn since(&self, time: Time) -> Result<Since, StoreError> {
        let count =
            "SELECT count(*), coalesce(sum(status = ?2), 0) FROM states WHERE completed_us > ?1";
        let (finished, failed): (i64, i64) = self.read(|file| {
            Ok(file
                .prepare_cached(count)?
                .query_row((micros(time), Status::Failed.name()), |row| row.try_into())?)
        })?;
        Ok(Since {
            finished: u64::try_from(finished).unwrap_or_default(),
            failed: u64::try_from(failed).unwrap_or_default(),
            causes: self.causes_since(time)?,
        })
    }

    /// The causes of [`Since`] alone. Looks at the tasks that are failed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn causes_since(&self, time: Time) -> Result<Vec<CauseId>, StoreError> {
        let causes = "SELECT cause FROM states WHERE cause IS NOT NULL
             GROUP BY cause HAVING min(completed_us) > ?1";
        self.read(|file| {
            Ok(file
                .prepare_cached(causes)?
                .query_map([micros(time)], |row| row.get(0))?
                .filter_map(|id| id.map(CauseId::new).transpose())
                .collect::<rusqlite::Result<_>>()?)
        })
    }
}
