//! Clearing finished tasks away: [`Store::clear`].

use std::path::PathBuf;

use batch_core::{Status, TaskId};
use rusqlite::{Connection, Params, Statement};

use crate::error::StoreError;
use crate::kept::{KeptFolder, KeptName};
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
        let (cleared, files) = self.write(|connection| {
            let kept = choose(connection, tasks)?;
            let files = kept_of_going(connection)?;
            let removed = delete(connection)?;
            Ok((Cleared { removed, kept }, files))
        })?;
        // What cannot be removed is found by the next executor.
        if let Ok(Some(folder)) = KeptFolder::open(&self.file.folder()) {
            for file in files {
                let _ = folder.remove(&file);
            }
        }
        Ok(cleared)
    }

    /// The files that hold outputs of a task's attempts that have ended.
    ///
    /// # Errors
    /// When the batch cannot be read.
    pub fn kept_files(&self, task: TaskId) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.file.folder();
        let named = kept_of(&self.connection, task.get()).map_err(|error| self.error(error))?;
        Ok(named
            .iter()
            .map(|name| folder.join(name.as_str()))
            .collect())
    }

    /// Removes files of outputs that no row names: what an executor that died left. A file whose name is none that
    /// bex gives is not ours, and stays.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn remove_stray_files(&self) -> Result<usize, StoreError> {
        // What cannot be looked at takes up room, and does no other harm.
        let Ok(Some(folder)) = KeptFolder::open(&self.file.folder()) else {
            return Ok(0);
        };
        let mut removed = 0;
        for file in folder.files().unwrap_or_default() {
            let Some(task) = file.task() else {
                continue;
            };
            let named = kept_of(&self.connection, task).map_err(|error| self.error(error))?;
            if !named.contains(&file) {
                removed += usize::from(folder.remove(&file).is_ok());
            }
        }
        // Code lay there while it ran.
        Ok(removed + folder.remove_code())
    }
}

/// The files that the rows of a task name, as far as bex named them.
fn kept_of(connection: &Connection, task: u32) -> rusqlite::Result<Vec<KeptName>> {
    let mut select = connection
        .prepare_cached("SELECT task, stdout_file, stderr_file FROM outputs WHERE task = ?1")?;
    names(&mut select, [task])
}

/// The files that a statement gives the columns of, as far as bex named them: no others are removed. A row of another
/// task cannot name them.
fn names(select: &mut Statement<'_>, params: impl Params) -> rusqlite::Result<Vec<KeptName>> {
    let mut names = Vec::new();
    let mut rows = select.query(params)?;
    while let Some(row) = rows.next()? {
        let task = row.get(0)?;
        for column in 1..=2 {
            let text: Option<String> = row.get(column)?;
            let name = text.and_then(|text| KeptName::of_row(&text, task));
            names.extend(name.filter(|name| name.task() == Some(task)));
        }
    }
    Ok(names)
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

/// The files that the rows of the tasks that go name.
fn kept_of_going(connection: &Connection) -> rusqlite::Result<Vec<KeptName>> {
    let mut select = connection.prepare(
        "SELECT task, stdout_file, stderr_file FROM outputs JOIN going USING (task)
         WHERE stdout_file IS NOT NULL OR stderr_file IS NOT NULL",
    )?;
    names(&mut select, [])
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
