//! Sums over the tasks of a file, kept up to date by everybody who writes: [`Deltas`].
//!
//! So that `bex status` need not look at a million rows.

use std::time::Duration;

use batch_core::{Status, stats::Totals};
use rusqlite::Connection;

use crate::shape::{column, micros, number, time};

/// What a transaction adds to the sums, and what it takes off them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Deltas {
    pub(crate) plus: Totals,
    pub(crate) minus: Totals,
}

impl Deltas {
    /// How many tasks had one status and have another.
    pub(crate) const fn moved(&mut self, from: Status, to: Status, tasks: u64) {
        self.minus.count_more(from, tasks);
        self.plus.count_more(to, tasks);
    }

    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut update =
            connection.prepare_cached("UPDATE totals SET value = value + ?2 WHERE name = ?1")?;
        for ((name, plus), (_, minus)) in rows(&self.plus).into_iter().zip(rows(&self.minus)) {
            if plus != minus {
                update.execute((name, column(plus) - column(minus)))?;
            }
        }
        if let Some(first) = self.plus.first_start {
            connection
                .prepare_cached(
                    "UPDATE totals SET value = ?1 WHERE name = 'first_us' AND value = 0",
                )?
                .execute([column(first.as_micros())])?;
        }
        let last = self.plus.last_end.unwrap_or_default();
        connection
            .prepare_cached("UPDATE totals SET value = max(value, ?1) WHERE name = 'last_us'")?
            .execute([column(last.as_micros())])
            .map(drop)
    }
}

/// The rows that are added up.
fn rows(totals: &Totals) -> [(&'static str, u64); 10] {
    let count = |status: Status| (status.name(), totals.count(status));
    let [queued, running, completed, failed, cancelled] = Status::ALL.map(count);
    [
        queued,
        running,
        completed,
        failed,
        cancelled,
        ("flaky", totals.flaky),
        ("retries", totals.retries),
        ("attempts", totals.attempts),
        ("executed", totals.executed),
        ("execution_us", micros(totals.execution_time)),
    ]
}

/// All sums.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Totals> {
    let mut totals = Totals::default();
    let mut select = connection.prepare_cached("SELECT name, value FROM totals")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (name, value): (String, i64) = (row.get(0)?, row.get(1)?);
        match name.as_str() {
            "flaky" => totals.flaky = number(value),
            "retries" => totals.retries = number(value),
            "attempts" => totals.attempts = number(value),
            "executed" => totals.executed = number(value),
            "execution_us" => {
                let micros = u64::try_from(value).unwrap_or_default();
                totals.execution_time = Duration::from_micros(micros);
            }
            "first_us" => totals.first_start = (value > 0).then(|| time(value)),
            "last_us" => totals.last_end = (value > 0).then(|| time(value)),
            name => {
                if let Ok(status) = name.parse() {
                    totals.count_more(status, number(value));
                }
            }
        }
    }
    Ok(totals)
}
