//! Empty values, names that are no texts or hold tabs, crafted rows, and limits: each is told for what it is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use rusqlite::Connection;
use serde_json::json;

use crate::common::{Ended, Place, finish};

fn shell(place: &Place, script: &str) -> Ended {
    let mut command = place.command("bash");
    command
        .args(["-c", script])
        .env("BEX", env!("CARGO_BIN_EXE_bex"));
    finish(command, b"")
}

#[test]
fn an_empty_value_is_no_choice_of_everything() {
    let place = Place::new();
    for _ in 0..2 {
        place.bex(&["add", "--shell", "true"]).expect(0);
    }
    for verb in ["cancel", "retry", "clear", "results"] {
        for blank in ["", "  "] {
            let refused = place.bex(&[verb, "--filter", blank]).expect(2);
            assert!(refused.stderr.contains("--filter is empty"), "{refused:?}");
        }
    }
    place
        .bex(&["set", "--priority", "low", "--filter", ""])
        .expect(2);
    place.bex(&["run", "--", "", ":::", "a"]).expect(2);
    place.bex(&["results", "--tag", ""]).expect(2);
    let status = place.bex(&["status", "--json"]).expect(0).json();
    assert_eq!(
        (&status["queued"], &status["batch"]),
        (&json!(2), &json!("b1"))
    );
}

#[test]
fn a_folder_whose_name_is_no_text_is_one_to_run_in() {
    let place = Place::new();
    let folder = place.path("").join(OsStr::from_bytes(b"d\xff"));
    if std::fs::create_dir(&folder).is_err() {
        // Not every file system has such names.
        return;
    }
    let here = |args: &[&str]| {
        let mut command: Command = place.command(env!("CARGO_BIN_EXE_bex"));
        command.args(args).current_dir(&folder);
        finish(command, b"")
    };
    here(&["run", "--shell", "pwd > {}; touch there", ":::", "seen"]).expect(0);
    assert!(folder.join("there").exists());
    here(&["add", "--shell", "touch later"]).expect(0);
    here(&["add", "--json", "--store", "x.db", "--shell", "true"]).expect(0);
    here(&["status", "--json", "--store", "x.db"]).expect(0);
    place.bex(&["resume"]).expect(0);
    assert!(folder.join("later").exists());
    // The state folder may be there as well.
    let script = "cd d*; export BEX_HOME=$PWD/home; $BEX add --json -- true && $BEX status --json && $BEX run -o out.json -- echo ::: 1 \
        && $BEX export --json -o o.csv && $BEX show b1.1 --json && $BEX list --json";
    shell(&place, script).expect(0);
}

#[test]
fn a_tab_in_a_name_is_shown_and_one_in_an_output_stays() {
    let place = Place::new();
    place
        .bex(&["add", "--task-name", "a\tb", "--shell", "printf 'c\\td\\n'"])
        .expect(0);
    place.bex(&["resume"]).expect(0);
    for verb in [&["show", "1"][..], &["why", "1"]] {
        let shown = place.bex(verb).expect(0).stdout;
        assert!(shown.contains("a\\tb"), "{verb:?}: {shown}");
    }
    let results = place.bex(&["results"]).expect(0).stdout;
    assert!(
        results.contains("a\\tb") && results.contains("c\td"),
        "{results}"
    );
}

#[test]
fn tasks_that_need_each_other_are_an_error_and_wait_for_nothing() {
    for (change, said) in [
        (
            "update specs set needs = '[1,2]' where task = 2",
            "task 2: it needs itself",
        ),
        (
            "update specs set needs = '[3]' where task = 2; update specs set needs = '[2]' where task = 3",
            "it needs itself, by way of others",
        ),
    ] {
        let place = Place::new();
        place.tasks(&json!({ "tasks": [
            { "id": "a", "shell": "true" },
            { "id": "b", "shell": "true", "depends_on": ["c", "a"] },
            { "id": "c", "shell": "true", "depends_on": ["a"] },
        ] }));
        place.bex(&["add", "--file", "tasks.json"]).expect(0);
        let file = Connection::open(place.path("home/batches/b1.db")).unwrap();
        file.execute_batch(change).unwrap();
        drop(file);
        for verb in ["resume", "start"] {
            let refused = place.bex(&[verb]).expect(3);
            assert!(refused.stderr.contains(said), "{verb}: {refused:?}");
        }
    }
}

#[test]
fn a_value_of_the_wrong_kind_names_its_task() {
    for (change, verb, said) in [
        (
            "update states set attempts = -5",
            &["show", "1"][..],
            "task 1: the number -5",
        ),
        (
            "update states set deaths = 'x'",
            &["retry", "1"],
            "task 1: deaths cannot be Text",
        ),
        (
            "update states set retries = 'x', status = 'queued'",
            &["results"],
            "task 1: retries cannot be Text",
        ),
        (
            "update attempts set took_us = 'x'",
            &["results"],
            "task 1: took_us cannot be Text",
        ),
        (
            "update specs set created_us = 'x'",
            &["results"],
            "task 1: created_us cannot be Text",
        ),
    ] {
        let place = Place::new();
        place
            .bex(&[
                "run",
                "--format",
                "none",
                "--progress",
                "none",
                "--shell",
                "exit 1",
                ":::",
                "1",
            ])
            .expect(1);
        let file = Connection::open(place.path("home/batches/b1.db")).unwrap();
        file.execute_batch(change).unwrap();
        drop(file);
        let told = place.bex(verb).expect(3);
        assert!(told.stderr.contains(said), "{change}: {told:?}");
    }
}

#[test]
fn a_limit_of_the_size_of_files_is_named() {
    let place = Place::new();
    let script = "ulimit -f 100; $BEX run --format none --progress none --shell 'printf %050000d {}' ::: 1 2 3 4 5 6 7 8 9";
    let run = shell(&place, script).expect(3);
    assert!(run.stderr.contains("ulimit -f"), "{run:?}");
    assert!(!run.stderr.contains("disk I/O error"), "{run:?}");
}

#[test]
fn a_finished_batch_is_not_said_to_run_on_when_it_is_paused() {
    let place = Place::new();
    place
        .bex(&["run", "--format", "none", "--", "true", ":::", "1"])
        .expect(0);
    let said = place.bex(&["pause"]).expect(0).stdout;
    assert!(
        said.starts_with("b1 is completed, and nothing runs"),
        "{said}"
    );
}
