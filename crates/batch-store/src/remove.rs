//! Clearing finished tasks away: [`Store::clear`].

use std::fs;

use batch_core::{Status, TaskId};
use rusqlite::Connection;

use crate::error::StoreError;
use crate::store::Store;

/// Takes off the sums what the tasks that go had added to them.
const SUMS: &str = "
UPDATE causes SET tasks = tasks - (
    SELECT count(*) FROM states JOIN going USING (task) WHERE states.cause = causes.cause);
UPDATE totals SET value = value - (
    SELECT coalesce(CASE name
        WHEN 'flaky' THEN sum(status = 'completed' AND retries > 0)
        WHEN 'retries' THEN sum(retries)
        WHEN 'executed' THEN count(execution_us)
        WHEN 'execution_us' THEN sum(execution_us)
    END, 0) FROM states JOIN going USING (task))
WHERE name IN ('flaky', 'retries', 'executed', 'execution_us');
UPDATE totals SET value = value - (
    SELECT count(*) FROM attempts JOIN going USING (task) WHERE outcome <> 'interrupted')
WHERE name = 'attempts';
";

/// What [`Store::clear`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// How many tasks are gone.
    pub removed: u64,
    /// Those that were to go and stay, as others need them.
    pub kept: Vec<TaskId>,
}

impl Store {
    /// Removes finished tasks with all their attempts and outputs. What is not
    /// finished stays, and so does what a task depends on that stays and has not completed: it may use results,
    /// also when it is retried later, and without a failed one those that wait for it would run then.
    ///
    /// # Errors
    /// When the file cannot be written; nothing is removed then.
    pub fn clear(&mut self, tasks: &[TaskId]) -> Result<Cleared, StoreError> {
        let folder = self.file.folder();
        let (cleared, files) = self.write(|connection| {
            let kept = choose(connection, tasks)?;
            let files = spilled(connection)?;
            let removed = delete(connection)?;
            Ok((Cleared { removed, kept }, files))
        })?;
        for file in files {
            // What cannot be removed is found by the next executor.
            let _ = fs::remove_file(folder.join(file));
        }
        Ok(cleared)
    }

    /// Removes files of outputs that no row knows: what an executor that died left.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn remove_stray_files(&self) -> Result<usize, StoreError> {
        let folder = self.file.folder();
        let Ok(entries) = fs::read_dir(&folder) else {
            return Ok(0);
        };
        let known = |name: &str| {
            self.connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM outputs WHERE task = ?1
                     AND (stdout_file = ?2 OR stderr_file = ?2))",
                )
                .and_then(|mut select| {
                    select.query_row((task_in(name), name), |row| row.get::<_, bool>(0))
                })
        };
        let mut removed = 0;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let kept = known(&name.to_string_lossy()).map_err(|error| self.error(error))?;
            let gone = match entry.file_type() {
                Ok(kind) if !kept && kind.is_file() => fs::remove_file(entry.path()),
                // Code lay here while it ran.
                Ok(kind) if kind.is_dir() && name.as_encoded_bytes().starts_with(b"code-") => {
                    fs::remove_dir_all(entry.path())
                }
                _ => continue,
            };
            removed += usize::from(gone.is_ok());
        }
        Ok(removed)
    }
}

/// The number of the task in the name of a file such as `b7.42-x7Gd.stdout`.
fn task_in(name: &str) -> Option<u32> {
    let (_, rest) = name.split_once('.')?;
    rest.split_once('-')?.0.parse().ok()
}

/// Puts the tasks that may go into the table `going`, and gives those of the others that are finished.
fn choose(connection: &Connection, tasks: &[TaskId]) -> rusqlite::Result<Vec<TaskId>> {
    connection.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS going (task INTEGER PRIMARY KEY); DELETE FROM going;",
    )?;
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO going SELECT task FROM states
         WHERE task = ?1 AND status IN ('completed', 'failed', 'cancelled')",
    )?;
    for task in tasks {
        insert.execute([task.get()])?;
    }
    let mut kept = Vec::new();
    // Each that stays may need others.
    loop {
        let more = keep_needed(connection)?;
        if more.is_empty() {
            kept.sort_unstable();
            return Ok(kept);
        }
        kept.extend(more);
    }
}

/// Takes out of `going` what is needed by a task that stays and has not completed, and gives it.
fn keep_needed(connection: &Connection) -> rusqlite::Result<Vec<TaskId>> {
    connection
        .prepare_cached(
            "DELETE FROM going WHERE task IN (
                SELECT n.value FROM specs s LEFT JOIN states t ON t.task = s.task, json_each(s.needs) n
                WHERE s.needs IS NOT NULL AND coalesce(t.status, 'queued') <> 'completed'
                    AND s.task NOT IN (SELECT task FROM going))
             RETURNING task",
        )?
        .query_map([], |row| row.get(0))?
        .filter_map(|task| task.map(TaskId::new).transpose())
        .collect()
}

fn spilled(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(
            "SELECT stdout_file FROM outputs JOIN going USING (task) WHERE stdout_file IS NOT NULL
             UNION ALL
             SELECT stderr_file FROM outputs JOIN going USING (task) WHERE stderr_file IS NOT NULL",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

fn delete(connection: &Connection) -> rusqlite::Result<u64> {
    for status in [Status::Completed, Status::Failed, Status::Cancelled] {
        connection.execute(
            "UPDATE totals SET value = value - (SELECT count(*) FROM states JOIN going USING (task)
             WHERE status = ?1) WHERE name = ?1",
            [status.name()],
        )?;
    }
    connection.execute_batch(SUMS)?;
    for table in ["outputs", "attempts", "specs"] {
        let sql = format!("DELETE FROM {table} WHERE task IN (SELECT task FROM going)");
        connection.execute(&sql, [])?;
    }
    let removed = connection.execute(
        "DELETE FROM states WHERE task IN (SELECT task FROM going)",
        [],
    )?;
    connection.execute("DELETE FROM causes WHERE tasks <= 0", [])?;
    Ok(removed as u64)
}
