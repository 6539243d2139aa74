//! The files of a batch, wherever it is and the one who made it: outputs too large for the database, batches that were
//! moved, made by someone else or may only be read, and traps beside them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;

use crate::common::{Ended, Place, finish};

/// What a task prints that the database does not take.
const LARGE: usize = 400_000;

/// One task that completes and one that fails, each with a large output.
const RUN: [&str; 5] = [
    "--shell",
    "head -c 400000 /dev/zero | tr '\\0' x; test {} = a",
    ":::",
    "a",
    "b",
];

fn sql(file: &Path, statements: &str) {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(statements).unwrap();
}

/// A batch in `x.db` in the place, with a large output of each of its two tasks.
fn place_with_batch() -> Place {
    let place = Place::new();
    run_large(&place, &["--store", "x.db"]);
    place
}

fn run_large(place: &Place, more: &[&str]) {
    let args = [&["run", "--format", "none"], more, &RUN].concat();
    place.bex(&args).expect(1);
}

/// The lengths of what the tasks printed, as `bex results` shows them.
#[track_caller]
fn lengths(place: &Place, at: &[&str]) -> Vec<usize> {
    let args = [&["results", "--json"], at].concat();
    let results = place.bex(&args).expect(0).json();
    let tasks = results["tasks"].as_array().unwrap();
    let length = |task: &Value| task["result"]["stdout"].as_str().unwrap().len();
    tasks.iter().map(length).collect()
}

fn kept_in(place: &Place, folder: &str) -> usize {
    fs::read_dir(place.path(folder)).map_or(0, Iterator::count)
}

#[test]
fn large_outputs_outlive_a_control_run_where_the_path_is_relative() {
    let place = Place::new();
    fs::create_dir(place.path("sub")).unwrap();
    symlink("sub", place.path("link")).unwrap();
    for store in ["x.db", "./sub/../y.db", "sub/z.db", "link/l.db"] {
        run_large(&place, &["--store", store]);
        place.bex(&["pause", "--store", store]).expect(0);
        assert_eq!(lengths(&place, &["--store", store]), [LARGE; 2], "{store}");
    }
    let at_home = |args: &[&str]| {
        let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
        command.args(args).env("BEX_HOME", "state");
        finish(command, b"")
    };
    at_home(&[&["run", "--format", "none"], &RUN[..]].concat()).expect(1);
    at_home(&["pause"]).expect(0);
    at_home(&["resume", "--format", "none"]);
    let shown = at_home(&["logs", "1"]).expect(0);
    assert_eq!(shown.stdout.len(), LARGE);
}

#[test]
fn large_outputs_outlive_the_death_of_an_executor() {
    let place = Place::new();
    // The second task kills its executor the first time.
    let script = "head -c 400000 /dev/zero; test {} = a || test -e again || { touch again; kill -9 $PPID; sleep 60; }";
    let run = [
        "run", "--store", "x.db", "-j", "1", "--format", "none", "--shell", script, ":::", "a", "b",
    ];
    place.bex(&run);
    place
        .bex(&["resume", "--store", "x.db", "--format", "none"])
        .expect(0);
    assert_eq!(lengths(&place, &["--store", "x.db"]), [LARGE; 2]);
    assert_eq!(kept_in(&place, "x.db.files"), 2, "and nothing else is left");
}

#[test]
fn a_batch_that_is_copied_or_moved_has_its_own_outputs() {
    let place = Place::new();
    fs::create_dir(place.path("one")).unwrap();
    run_large(&place, &["--store", "one/x.db"]);
    let copied = place.command("cp").args(["-r", "one", "two"]).status();
    assert!(copied.unwrap().success());
    place.bex(&["clear", "--store", "two/x.db"]).expect(0);
    assert_eq!(kept_in(&place, "two/x.db.files"), 0);
    assert_eq!(lengths(&place, &["--store", "one/x.db"]), [LARGE; 2]);
    fs::rename(place.path("one"), place.path("three")).unwrap();
    assert_eq!(lengths(&place, &["--store", "three/x.db"]), [LARGE; 2]);
}

#[test]
fn whole_paths_that_an_earlier_version_wrote_are_read_in_the_folder_of_the_batch() {
    let place = place_with_batch();
    let whole = place.path("x.db.files").display().to_string();
    let prefix = |folder: &str| {
        format!(
            "UPDATE outputs SET stdout_file = '{folder}/' || replace(stdout_file, rtrim(stdout_file, replace(stdout_file, '/', '')), '')"
        )
    };
    for folder in [whole.as_str(), "/gone/x.db.files"] {
        sql(&place.path("x.db"), &prefix(folder));
        place.bex(&["pause", "--store", "x.db"]).expect(0);
        assert_eq!(
            lengths(&place, &["--store", "x.db"]),
            [LARGE; 2],
            "{folder}"
        );
    }
    place.bex(&["clear", "--store", "x.db"]).expect(0);
    assert_eq!(kept_in(&place, "x.db.files"), 0);
}

#[test]
fn clean_ups_leave_alone_what_is_not_theirs() {
    let place = place_with_batch();
    fs::write(place.path("x.db.files/notes.txt"), "mine").unwrap();
    fs::write(place.path("x.db.files/b1.7-abcdef.stdout"), "stray").unwrap();
    place.bex(&["pause", "--store", "x.db"]).expect(0);
    assert!(!place.has("x.db.files/b1.7-abcdef.stdout"));
    place.bex(&["clear", "--store", "x.db"]).expect(0);
    assert_eq!(kept_in(&place, "x.db.files"), 1);
    assert_eq!(place.read("x.db.files/notes.txt"), "mine");
}

/// Every verb that shows an output, after the rows of a batch were changed by hand.
fn show_outputs(place: &Place) -> Vec<Ended> {
    [
        &["logs", "1"][..],
        &["results"],
        &["results", "--json"],
        &["results", "--format", "raw"],
        &["export", "-o", "out.csv"],
        &["export", "-o", "out.json"],
        &["show", "1"],
        &["why", "1"],
    ]
    .into_iter()
    .map(|args| place.bex(&[args, &["--store", "x.db"]].concat()))
    .collect()
}

#[track_caller]
fn assert_never_shown(place: &Place, secret: &str) {
    for ended in show_outputs(place) {
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!told.contains(secret), "{told}");
        assert!(
            !told.contains("panicked") && ended.code.is_some_and(|code| code <= 3),
            "{ended:?}"
        );
    }
    for out in ["out.csv", "out.json"] {
        let text = fs::read_to_string(place.path(out)).unwrap_or_default();
        assert!(!text.contains(secret), "{out}: {text}");
    }
}

#[test]
fn a_row_shows_no_file_outside_of_the_batch() {
    let place = place_with_batch();
    fs::write(place.path("secret"), "much of a secret").unwrap();
    let secret = place.path("secret").display().to_string();
    let files = place.path("x.db.files");
    symlink(&secret, files.join("link")).unwrap();
    let made = place.command("mkfifo").arg("x.db.files/pipe").status();
    assert!(made.unwrap().success());
    fs::create_dir(files.join("folder")).unwrap();
    for name in [
        secret.as_str(),
        "../secret",
        "./../secret",
        "folder/../../secret",
        "link",
        "pipe",
        "folder",
        "..",
        ".",
        "",
        "/",
    ] {
        let row = format!("UPDATE outputs SET stdout_file = '{name}', stdout_bytes = 5");
        sql(&place.path("x.db"), &row);
        assert_never_shown(&place, "much of a secret");
    }
    // The folder itself leads elsewhere.
    fs::remove_dir_all(&files).unwrap();
    symlink(place.path(""), &files).unwrap();
    sql(
        &place.path("x.db"),
        "UPDATE outputs SET stdout_file = 'secret'",
    );
    assert_never_shown(&place, "much of a secret");
}

#[test]
fn a_row_removes_no_file_outside_of_the_batch() {
    for name in ["../victim", "../b1.1-victim.stdout", "PLACE/victim"] {
        let place = place_with_batch();
        let name = name.replace("PLACE", &place.path("").display().to_string());
        for victim in ["victim", "b1.1-victim.stdout"] {
            fs::write(place.path(victim), "").unwrap();
        }
        sql(
            &place.path("x.db"),
            &format!("UPDATE outputs SET stdout_file = '{name}'"),
        );
        place.bex(&["clear", "--store", "x.db"]).expect(0);
        assert!(place.has("victim") && place.has("b1.1-victim.stdout"));
    }
    // Nor a file in a folder that a link leads to.
    let place = place_with_batch();
    fs::create_dir(place.path("elsewhere")).unwrap();
    fs::write(place.path("elsewhere/b1.9-abcdef.stdout"), "").unwrap();
    fs::remove_dir_all(place.path("x.db.files")).unwrap();
    symlink("elsewhere", place.path("x.db.files")).unwrap();
    place.bex(&["pause", "--store", "x.db"]).expect(0);
    place.bex(&["clear", "--store", "x.db"]).expect(0);
    assert!(place.has("elsewhere/b1.9-abcdef.stdout"));
    place
        .bex(&["add", "--store", "x.db", "--", "true"])
        .expect(0);
    let refused = place.bex(&["resume", "--store", "x.db"]).expect(3);
    assert!(refused.stderr.contains("x.db.files"), "{refused:?}");
}

#[test]
fn a_file_with_tables_of_its_own_is_refused_and_does_nothing() {
    let foreign = [
        "CREATE TRIGGER t AFTER INSERT ON requests BEGIN DELETE FROM specs; END",
        "CREATE TRIGGER tasks AFTER UPDATE ON settings BEGIN DELETE FROM specs; END",
        "CREATE VIEW more AS SELECT 1",
        "DROP VIEW tasks; CREATE VIEW tasks AS SELECT 1 AS task",
        "CREATE TABLE more (a)",
        "CREATE INDEX more ON specs (lower(name))",
        "DROP INDEX states_by_cause",
        "ALTER TABLE outputs ADD COLUMN more AS (abs(task))",
        "DROP TABLE outputs; CREATE VIEW outputs AS SELECT 1 AS task, 1 AS attempt, NULL AS value, 'x' AS stdout,
            NULL AS stderr, NULL AS stdout_file, NULL AS stderr_file, 1 AS stdout_bytes, 0 AS stderr_bytes",
        "DROP TABLE totals; CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER CHECK (abs(value) >= 0))",
    ];
    for statements in foreign {
        let place = place_with_batch();
        sql(&place.path("x.db"), statements);
        for verb in [
            &["status", "--json"][..],
            &["results"],
            &["logs", "1"],
            &["show", "1"],
            &["add", "--", "true"],
            &["resume"],
            &["clear"],
        ] {
            let refused = place.bex(&[&verb[..1], &["--store", "x.db"], &verb[1..]].concat());
            assert_eq!(refused.code, Some(2), "{statements}: {refused:?}");
            assert!(
                refused.stderr.contains("x.db was not made by bex"),
                "{refused:?}"
            );
        }
        let count = "SELECT count(*) FROM specs";
        let file = Connection::open(place.path("x.db")).unwrap();
        let left: i64 = file.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 2, "{statements}");
    }
}

#[test]
fn what_sqlite_itself_keeps_in_a_file_is_no_harm() {
    let place = place_with_batch();
    sql(&place.path("x.db"), "ANALYZE; VACUUM");
    assert_eq!(lengths(&place, &["--store", "x.db"]), [LARGE; 2]);
}

#[test]
fn values_that_bex_does_not_write_are_errors() {
    let place = place_with_batch();
    let original = fs::read(place.path("x.db")).unwrap();
    let huge = i64::MAX.to_string();
    let values = ["NULL", &huge, "x'ff00'", "'[1'"];
    let columns = [
        (
            "specs",
            "id name function params depends_on needs priority options created_us",
        ),
        (
            "states",
            "status reason detail until_us attempts retries deaths started_us completed_us execution_us error cause",
        ),
        (
            "attempts",
            "attempt run started_us ended_us took_us outcome reason detail error exit_code signal cpu_us peak_memory leaking",
        ),
        (
            "outputs",
            "attempt value stdout stderr stdout_file stderr_file stdout_bytes stderr_bytes",
        ),
        ("causes", "cause label sample sample_task tasks"),
        ("totals", "value"),
        (
            "runs",
            "pid mark boot started_us seen_us ended_us end concurrency rate left_us",
        ),
        ("settings", "value"),
        ("options", "json"),
    ];
    for (table, names) in columns {
        for (column, value) in names
            .split(' ')
            .flat_map(|name| values.map(|value| (name, value)))
        {
            fs::write(place.path("x.db"), &original).unwrap();
            let change = format!("UPDATE OR IGNORE {table} SET {column} = {value}");
            let file = Connection::open(place.path("x.db")).unwrap();
            // What its own constraints refuse cannot be in a file.
            if file.execute_batch(&change).is_err() {
                continue;
            }
            drop(file);
            for verb in [&["status"][..], &["results", "--json"]] {
                let ended = place.bex(&[verb, &["--store", "x.db"]].concat());
                let is_told = ended.code.is_some_and(|code| code <= 3);
                assert!(
                    is_told && !ended.stderr.contains("panicked"),
                    "{change}: {ended:?}"
                );
            }
        }
    }
}

/// Runs `bex` as a user who may read a place and not write to it.
fn as_reader(place: &Place, args: &[&str]) -> Ended {
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command.args(args).env("BEX_HOME", place.path("home"));
    as_nobody(&mut command);
    finish(command, b"")
}

/// Root may write everywhere, so someone else reads there.
fn as_nobody(command: &mut Command) {
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Lets everybody read a folder with all that is in it, and nobody but root write there.
fn make_readable(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => make_readable(&path),
            false => set_mode(&path, 0o444),
        }
    }
    set_mode(folder, 0o555);
}

/// Puts a folder back so that it can be removed.
struct Unlock(PathBuf);

impl Drop for Unlock {
    fn drop(&mut self) {
        set_mode(&self.0, 0o755);
        for entry in fs::read_dir(&self.0).unwrap().flatten() {
            if entry.path().is_dir() {
                drop(Unlock(entry.path()));
            }
        }
    }
}

/// What every verb says that only reads.
fn read_all(place: &Place, at: &[&str]) {
    for verb in [
        &["status"][..],
        &["status", "--json"],
        &["results"],
        &["results", "--json"],
        &["show", "1"],
        &["show", "1", "--json"],
        &["why", "1"],
        &["why", "1", "--json"],
        &["logs", "1"],
        &["watch", "--json"],
        &["wait", "--json"],
        &["export", "-o", "/dev/null", "--format", "csv"],
    ] {
        let ended = as_reader(place, &[verb, at].concat());
        let is_read = matches!(ended.code, Some(0 | 1 | 5)) && !ended.stderr.contains("cannot");
        assert!(is_read, "{verb:?} {at:?}: {ended:?}");
    }
    let status = as_reader(place, &[&["status", "--json"], at].concat()).json();
    assert_eq!(status["total"], 2, "{at:?}");
}

#[test]
fn a_batch_that_may_only_be_read_is_read() {
    let place = Place::new();
    run_large(&place, &[]);
    run_large(&place, &["--store", "x.db"]);
    // A log that a killed process left, with what the database does not have yet; and the same without its index.
    let writer = Connection::open(place.path("x.db")).unwrap();
    writer
        .execute(
            "INSERT OR REPLACE INTO settings VALUES ('name', 'from the log')",
            [],
        )
        .unwrap();
    for copy in ["with", "without"] {
        fs::create_dir(place.path(copy)).unwrap();
        for file in ["x.db", "x.db-wal", "x.db-shm"] {
            let to = place.path(copy).join(file);
            if (copy, file) != ("without", "x.db-shm") {
                fs::copy(place.path(file), to).unwrap();
            }
        }
        let files = place.path(copy).join("x.db.files");
        let copied = place
            .command("cp")
            .args(["-r", "x.db.files"])
            .arg(files)
            .status();
        assert!(copied.unwrap().success());
    }
    drop(writer);
    make_readable(&place.path(""));
    let _unlock = Unlock(place.path(""));
    for store in ["x.db", "with/x.db", "without/x.db"] {
        read_all(&place, &["--store", store]);
        let status = as_reader(&place, &["status", "--json", "--store", store]).json();
        assert_eq!(status["name"], "from the log", "{store}");
    }
    read_all(&place, &["-b", "b1"]);
    let list = as_reader(&place, &["list", "--json"]).expect(0).json();
    assert_eq!(list[0]["total"], 2);

    for verb in [
        &["pause"][..],
        &["clear"],
        &["retry"],
        &["add", "--", "true"],
    ] {
        let args = [&verb[..1], &["--store", "x.db"], &verb[1..]].concat();
        let refused = as_reader(&place, &args).expect(3);
        assert!(
            refused.stderr.contains("x.db cannot be changed"),
            "{refused:?}"
        );
        assert!(refused.stderr.contains("read-only"), "{refused:?}");
    }
    let left = kept_in(&place, "with");
    assert_eq!(left, 4, "nothing was made beside the batch");
}

#[test]
fn files_of_ours_are_never_written_through_a_link() {
    let place = Place::new();
    place.bex(&["add", "--key", "k", "--", "true"]).expect(0);
    let key = fs::read_dir(place.path("home/batches/keys"))
        .unwrap()
        .next();
    let key = key.unwrap().unwrap().file_name().into_string().unwrap();
    for name in [
        ".ids",
        "b1.db.lease",
        "b1.db.log",
        "b2.db.lease",
        &format!("keys/{key}"),
    ] {
        fs::write(place.path("victim"), "theirs").unwrap();
        let path = place.path("home/batches").join(name);
        let _ = fs::remove_file(&path);
        symlink(place.path("victim"), &path).unwrap();
        for verb in [
            &["add", "--key", "k", "--", "true"][..],
            &["add", "--key", "k", "--", "false"],
            &["run", "--", "true", ":::", "x"],
            &["start", "-b", "b1"],
            &["pause", "-b", "b1"],
            &["status", "-b", "b1"],
            &["resume", "-b", "b1"],
        ] {
            let ended = place.bex(verb);
            assert!(
                !ended.stderr.contains("panicked"),
                "{name} {verb:?}: {ended:?}"
            );
        }
        assert_eq!(place.read("victim"), "theirs", "{name}");
        fs::remove_file(&path).unwrap();
        place.bex(&["wait", "-b", "b1", "--timeout", "60"]);
    }
    // A pipe in the place of a file keeps nobody waiting.
    let lease = "home/batches/b1.db.lease";
    let _ = fs::remove_file(place.path(lease));
    assert!(
        place
            .command("mkfifo")
            .arg(lease)
            .status()
            .unwrap()
            .success()
    );
    for verb in ["status", "pause", "resume"] {
        let refused = place.bex(&[verb, "-b", "b1"]).expect(3);
        assert!(refused.stderr.contains("b1.db.lease"), "{refused:?}");
    }
}

#[test]
fn a_store_is_a_file_whatever_its_name_looks_like() {
    let place = Place::new();
    for name in [":memory:", "file:u.db?mode=memory", "file:v.db", "50%?#.db"] {
        place
            .bex(&[
                "run",
                "--store",
                name,
                "--format=none",
                "--",
                "true",
                ":::",
                "x",
            ])
            .expect(0);
        let status = place
            .bex(&["status", "--json", "--store", name])
            .expect(0)
            .json();
        assert_eq!(status["completed"], 1, "{name}");
        assert!(place.has(name), "{name}");
    }
    assert!(!place.has("u.db") && !place.has("v.db"));
    make_readable(&place.path(""));
    let _unlock = Unlock(place.path(""));
    let status = as_reader(&place, &["status", "--json", "--store", "50%?#.db"]);
    assert_eq!(status.expect(0).json()["completed"], 1);
    for name in ["/dev/zero", "home", "/dev/null"] {
        let refused = place.bex(&["status", "--store", name]).expect(2);
        assert!(refused.stderr.contains("not a batch file"), "{refused:?}");
    }
}

#[test]
fn an_export_that_fails_names_its_file() {
    let place = place_with_batch();
    for verb in [
        &[
            "export",
            "--store",
            "x.db",
            "-o",
            "/dev/full",
            "--format",
            "json",
        ][..],
        &[
            "resume",
            "--store",
            "x.db",
            "-o",
            "/dev/full",
            "--format",
            "json",
        ],
    ] {
        let failed = place.bex(verb).expect(3);
        assert!(failed.stderr.contains("/dev/full: "), "{failed:?}");
    }
}
