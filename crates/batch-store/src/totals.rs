//! Sums over the tasks of a file, kept up to date by everybody who writes: [`Deltas`].
//!
//! So that `bex status` need not look at a million rows.

use std::collections::BTreeMap;

use batch_core::Status;
use rusqlite::Connection;

use crate::shape::number;

/// What a transaction adds to the sums.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Deltas {
    pub(crate) counts: [i64; 5],
    pub(crate) flaky: i64,
    pub(crate) retries: i64,
    pub(crate) attempts: i64,
    pub(crate) executed: i64,
    pub(crate) execution_us: i64,
    /// When the first attempt began, of those in this transaction.
    pub(crate) first_us: Option<i64>,
    /// When the last task finished, of those in this transaction.
    pub(crate) last_us: i64,
}

impl Deltas {
    pub(crate) fn moved(&mut self, from: Status, to: Status) {
        self.counts[from as usize] -= 1;
        self.counts[to as usize] += 1;
    }

    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut update =
            connection.prepare_cached("UPDATE totals SET value = value + ?2 WHERE name = ?1")?;
        let counts = Status::ALL.map(|status| (status.name(), self.counts[status as usize]));
        let others = [
            ("flaky", self.flaky),
            ("retries", self.retries),
            ("attempts", self.attempts),
            ("executed", self.executed),
            ("execution_us", self.execution_us),
        ];
        for (name, delta) in counts.into_iter().chain(others) {
            if delta != 0 {
                update.execute((name, delta))?;
            }
        }
        if let Some(first_us) = self.first_us {
            connection
                .prepare_cached(
                    "UPDATE totals SET value = ?1 WHERE name = 'first_us' AND value = 0",
                )?
                .execute([first_us])?;
        }
        connection
            .prepare_cached("UPDATE totals SET value = max(value, ?1) WHERE name = 'last_us'")?
            .execute([self.last_us])
            .map(drop)
    }
}

/// All sums by their names.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    connection
        .prepare_cached("SELECT name, value FROM totals")?
        .query_map([], |row| {
            let (name, value): (String, i64) = (row.get(0)?, row.get(1)?);
            let value = match name.ends_with("_us") {
                true => u64::try_from(value).unwrap_or_default(),
                false => number(value),
            };
            Ok((name, value))
        })?
        .collect()
}
