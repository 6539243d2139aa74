//! What the docs show is true: the SQL of `docs/batch-file.md` runs against a batch of the binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, OpenFlags};

fn doc(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    text.split(&open)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[test]
fn every_query_of_the_docs_runs() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("b.db");
    let ended = Command::new(env!("CARGO_BIN_EXE_bex"))
        .env("BEX_HOME", folder.path().join("home"))
        .env("XDG_CONFIG_HOME", folder.path().join("config"))
        .args(["run", "--progress", "none", "--store"])
        .arg(&db)
        .args([
            "--max-retries",
            "1",
            "--shell",
            "echo out; test {} = a",
            ":::",
            "a",
            "b",
        ])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let connection = Connection::open_with_flags(&db, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let text = doc("batch-file.md");
    let queries = blocks(&text, "sql");
    assert!(queries.len() >= 7);
    let rows: Vec<usize> = queries
        .iter()
        .map(|query| {
            let mut statement = connection
                .prepare(query)
                .unwrap_or_else(|error| panic!("{query}: {error}"));
            let mut rows = statement.query([]).unwrap();
            let mut count = 0;
            while rows.next().unwrap().is_some() {
                count += 1;
            }
            count
        })
        .collect();
    // Statuses, slowest, causes, output, runs, retried, and nothing that runs now.
    assert_eq!(rows, [2, 2, 1, 1, 1, 1, 0]);
}

#[test]
fn every_table_of_the_file_is_described() {
    let text = doc("batch-file.md");
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("b.db");
    let made = Command::new(env!("CARGO_BIN_EXE_bex"))
        .env("BEX_HOME", folder.path().join("home"))
        .env("XDG_CONFIG_HOME", folder.path().join("config"))
        .args(["add", "--store"])
        .arg(&db)
        .args(["--", "true"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let connection = Connection::open(&db).unwrap();
    let mut names = connection
        .prepare("select name from sqlite_schema where type in ('table', 'view') and name not like 'sqlite_%'")
        .unwrap();
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(names.len() >= 10);
    for name in names {
        assert!(
            text.contains(&format!("**`{name}`**")),
            "{name} is not described"
        );
    }
}
