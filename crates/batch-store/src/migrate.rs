//! Bringing older batch files up to date, after a copy: [`bring_up_to_date`].
//!
//! A step of [`STEPS`] leads from one version of the tables to the next. All steps that a file needs run in
//! one transaction; before them the file is copied to `NAME.vN`, so that a mistake costs nothing.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::StoreError;
use crate::file::locked_file;
use crate::schema::VERSION;

/// `STEPS[n]` leads from version n + 1 to n + 2.
const STEPS: [&str; (VERSION - 1) as usize] = [];

/// Copies the file and runs the steps it needs.
pub(crate) fn bring_up_to_date(
    path: &Path,
    connection: &Connection,
    version: i64,
) -> Result<(), StoreError> {
    take_steps(path, connection, version, &STEPS)
}

fn take_steps(
    path: &Path,
    connection: &Connection,
    version: i64,
    steps: &[&str],
) -> Result<(), StoreError> {
    copy(path, connection, version)?;
    let run = || {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        // Somebody else may have been faster.
        let first = usize::try_from(found - 1).unwrap_or(usize::MAX);
        for step in steps.iter().skip(first) {
            connection.execute_batch(step)?;
        }
        let reached = found.max(steps.len() as i64 + 1);
        connection.pragma_update(None, "user_version", reached)?;
        connection.execute_batch("COMMIT")
    };
    run().map_err(|error| {
        let _ = connection.execute_batch("ROLLBACK");
        StoreError::sqlite(path, error)
    })
}

/// Copies a file to `NAME.vN`, for its owner only. The copy gets its name once it is whole and on the disk:
/// where there is one, it can be relied on.
fn copy(path: &Path, connection: &Connection, version: i64) -> Result<(), StoreError> {
    let mut name = OsString::from(path);
    name.push(format!(".v{version}"));
    let target = PathBuf::from(name);
    if target.exists() {
        return Ok(());
    }
    let failed = |error| StoreError::io("copy to", &target, error);
    let folder = path.parent().unwrap_or(path);
    // SQLite writes into an empty file as it is; one that it made itself would be readable by all.
    let (_lock, made) = locked_file(folder, ".bex-").map_err(failed)?.into_parts();
    connection
        .execute("VACUUM INTO ?1", [sqlite_name(&made)?])
        .map_err(|error| StoreError::sqlite(path, error))?;
    let keep = || {
        File::open(&made)?.sync_all()?;
        fs::rename(&made, &target)?;
        File::open(folder)?.sync_all()
    };
    keep().map_err(failed)
}

/// A path as SQLite takes it.
fn sqlite_name(path: &Path) -> Result<&str, StoreError> {
    path.to_str().ok_or_else(|| {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8");
        StoreError::io("copy to", path, error)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NEXT: [&str; 2] = [
        "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('two')",
        "UPDATE notes SET text = text || ' three'",
    ];

    fn version_one(folder: &Path) -> (PathBuf, Connection) {
        let path = folder.join("b1.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE old (a); INSERT INTO old VALUES (7); PRAGMA user_version = 1",
            )
            .unwrap();
        (path, connection)
    }

    fn version(connection: &Connection) -> i64 {
        connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    }

    fn text(connection: &Connection) -> String {
        connection
            .query_row("SELECT text FROM notes", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn every_step_is_taken_once_after_a_copy_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (path, connection) = version_one(folder.path());
        take_steps(&path, &connection, 1, &NEXT[..1]).unwrap();
        take_steps(&path, &connection, 2, &NEXT).unwrap();
        // Another process had read the version before these did.
        take_steps(&path, &connection, 1, &NEXT).unwrap();
        assert_eq!(version(&connection), 3);
        assert_eq!(text(&connection), "two three");

        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["b1.db", "b1.db.v1", "b1.db.v2"]);
        let copy = folder.path().join("b1.db.v1");
        let mode = fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let copy = Connection::open(copy).unwrap();
        let old: i64 = copy
            .query_row("SELECT a FROM old", [], |row| row.get(0))
            .unwrap();
        assert_eq!((version(&copy), old), (1, 7));
    }

    #[test]
    fn a_step_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, connection) = version_one(folder.path());
        let wrong = [NEXT[0], "UPDATE nothing SET a = 1"];
        let error = take_steps(&path, &connection, 1, &wrong).unwrap_err();
        assert!(error.to_string().contains("nothing"), "{error}");
        assert_eq!(version(&connection), 1);
        assert!(!connection.table_exists(None, "notes").unwrap());
        // Mended, it goes on from there.
        take_steps(&path, &connection, 1, &NEXT).unwrap();
        assert_eq!(text(&connection), "two three");
    }
}
