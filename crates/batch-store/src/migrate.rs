//! Bringing older batch files up to date, after a copy: [`bring_up_to_date`].
//!
//! A step of [`STEPS`] leads from one version of the tables to the next. All steps that a file needs run in
//! one transaction; before them the file is copied to `NAME.vN`, so that a mistake costs nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::StoreError;
use crate::schema::VERSION;

/// `STEPS[n]` leads from version n + 1 to n + 2.
const STEPS: [&str; (VERSION - 1) as usize] = [];

/// Copies the file and runs the steps it needs.
pub(crate) fn bring_up_to_date(
    path: &Path,
    connection: &Connection,
    version: i64,
) -> Result<(), StoreError> {
    let run = || {
        copy(path, connection, version)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        // Somebody else may have been faster.
        let first = usize::try_from(found - 1).unwrap_or(usize::MAX);
        for step in STEPS.iter().skip(first) {
            connection.execute_batch(step)?;
        }
        connection.pragma_update(None, "user_version", VERSION)?;
        connection.execute_batch("COMMIT")
    };
    run().map_err(|error| {
        let _ = connection.execute_batch("ROLLBACK");
        StoreError::sqlite(path, error)
    })
}

fn copy(path: &Path, connection: &Connection, version: i64) -> rusqlite::Result<()> {
    let mut name = OsString::from(path);
    name.push(format!(".v{version}"));
    let copy = PathBuf::from(name);
    if copy.exists() {
        return Ok(());
    }
    connection
        .execute("VACUUM INTO ?1", [copy.to_string_lossy()])
        .map(drop)
}
