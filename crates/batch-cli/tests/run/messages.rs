//! What bex says: what is wrong, where, and what to do about it.

use std::fs::{self, File};

use serde_json::json;

use crate::common::{Ended, Place, finish};

#[track_caller]
fn tells(ended: &Ended, parts: &[&str]) {
    for part in parts {
        assert!(ended.stderr.contains(part), "{part}: {ended:#?}");
    }
}

/// With other variables than usual; an empty one is not set.
fn bex_in(place: &Place, variables: &[(&str, &str)], args: &[&str]) -> Ended {
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    for (name, value) in variables {
        command.env(name, value);
    }
    command.args(args);
    finish(command, b"")
}

#[test]
fn what_is_no_batch_is_not_to_be_resumed() {
    let place = Place::new();
    fs::write(place.path("notes.txt"), "eggs\n").unwrap();
    fs::write(place.path("empty.db"), "").unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    fs::write(place.path("other.db"), b"SQLite format 3\0".repeat(64)).unwrap();
    for name in ["notes.txt", "empty.db", "folder", "other.db"] {
        let ended = place
            .bex(&["run", "--store", name, "--", "echo", ":::", "a"])
            .expect(2);
        tells(
            &ended,
            &[name, "not a batch file of bex", "choose another name"],
        );
        assert!(!ended.stderr.contains("resume"), "{ended:#?}");
    }
    assert_eq!(place.read("notes.txt"), "eggs\n");
    let run = ["run", "--store", "b.db", "--", "echo", ":::", "a"];
    place.bex(&run).expect(0);
    tells(&place.bex(&run).expect(2), &["bex resume --store b.db"]);
}

#[test]
fn a_damaged_batch_says_how_to_recover_it() {
    let place = Place::new();
    let items: Vec<String> = (0..500).map(|n| format!("item {n}")).collect();
    let words = [
        "run", "--store", "b.db", "--format", "none", "--", "echo", ":::",
    ];
    let words = words
        .iter()
        .copied()
        .chain(items.iter().map(String::as_str));
    place.bex(&words.collect::<Vec<_>>()).expect(0);
    let whole = fs::read(place.path("b.db")).unwrap();
    for keep in [4_096, 3 * 4_096] {
        let mut damaged = whole.clone();
        damaged[keep..].fill(b'A');
        fs::write(place.path("b.db"), damaged).unwrap();
        for verb in [&["status"][..], &["results"], &["why", "1"], &["resume"]] {
            let ended = place.bex(&[verb, &["--store", "b.db"]].concat()).expect(3);
            tells(&ended, &["b.db", "damaged", "sqlite3", ".recover"]);
        }
    }
}

#[test]
fn tasks_say_that_the_time_of_their_batch_was_up() {
    let place = Place::new();
    place.tasks(&json!({
        "batch_timeout": 0.3,
        "tasks": [
            {"id": "runs", "shell": "sleep 60"},
            {"id": "queued", "shell": "sleep 60"},
            {"id": "after", "shell": "true", "depends_on": "runs"},
        ],
    }));
    let ended = place.bex(&["run", "-j1", "tasks.json"]).expect(5);
    let told = ended
        .stdout
        .matches("its time was up (batch_timeout)")
        .count();
    assert_eq!(told, 3, "{ended:#?}");
    assert!(
        !ended.stdout.contains("the batch was stopped"),
        "{ended:#?}"
    );
    for (task, status) in [
        ("runs", "cancelled"),
        ("queued", "cancelled"),
        ("after", "cancelled"),
    ] {
        let task = place.bex(&["show", task, "--json"]).expect(0).json();
        assert_eq!(task["status"], status);
        assert_eq!(task["reason"], "batch stopped");
        assert!(
            task["error"].as_str().unwrap().contains("batch_timeout"),
            "{task}"
        );
        assert!(
            task["why"].as_str().unwrap().contains("batch_timeout"),
            "{task}"
        );
    }
}

#[test]
fn tasks_say_that_a_failure_ended_their_batch() {
    let place = Place::new();
    place.tasks(&json!([{"id": "bad", "shell": "exit 1", "max_retries": 0}, {"id": "next", "shell": "true"}]));
    place
        .bex(&["run", "-j1", "--fail-fast", "tasks.json"])
        .expect(1);
    let next = place.bex(&["show", "next", "--json"]).expect(0).json();
    assert!(
        next["error"].as_str().unwrap().contains("(fail_fast)"),
        "{next}"
    );
}

#[test]
fn a_task_depends_on_what_add_printed() {
    let place = Place::new();
    let add = |args: &[&str]| place.bex(&[&["add"], args].concat());
    let first = add(&["--shell", "echo one"]).expect(0).stdout;
    assert_eq!(first, "b1.1\n");
    place.tasks(&json!([{"shell": "echo two"}, {"shell": "echo three"}]));
    let both = add(&["--file", "tasks.json", "-b", "b1"]).expect(0).stdout;
    assert_eq!(both, "b1.2 to b1.3\n");
    add(&["--depends-on", first.trim(), "--shell", "echo a"]).expect(0);
    add(&["--depends-on", both.trim(), "--shell", "echo b"]).expect(0);
    add(&[
        "--depends-on",
        "b1.4",
        "--depends-on",
        "b1.5",
        "--id",
        "last",
        "--shell",
        "echo c",
    ])
    .expect(0);
    let why = place.bex(&["why", "last"]).expect(0).stdout;
    assert!(why.contains("waits for 2 tasks"), "{why}");
    let why = place.bex(&["why", "5"]).expect(0).stdout;
    assert!(why.contains("b1.2 (queued), b1.3 (queued)"), "{why}");
    for (wanted, told) in [
        ("b1.99", "no task has the id"),
        ("b2.1", "there is no batch b2"),
        ("b1.3 to b1.2", "no task has the id"),
    ] {
        tells(
            &add(&["--depends-on", wanted, "--", "x"]).expect(2),
            &[told],
        );
    }
    // The batch of the task is the one that is meant.
    add(&["--new", "--", "true"]).expect(0);
    let more = add(&["--depends-on", "b1.1", "--", "true"]).expect(0);
    assert_eq!(more.stdout, "b1.7\n");
    place
        .bex(&["resume", "-b", "b1", "--format", "none"])
        .expect(0);
}

#[test]
fn a_command_without_dashes_is_told_with_them() {
    let place = Place::new();
    for (args, command) in [
        (&["run", "echo", "{}", ":::", "a"][..], "bex run -- echo {}"),
        (&["run", "echo", ":::", "a b"], "bex run -- echo ::: 'a b'"),
        (
            &["run", "echo {}", ":::", "a"],
            "bex run --shell 'echo {}' ::: a",
        ),
        (&["run", "gzip", "-9", ":::", "a"], "bex run -- gzip -9"),
        (&["add", "make", "docs"], "bex add -- make docs"),
        (&["gzip", "-9"], "bex run -- gzip -9"),
    ] {
        tells(&place.bex(args).expect(2), &[command]);
    }
}

#[test]
fn options_of_other_tools_are_answered_with_ours() {
    let place = Place::new();
    for (option, ours) in [
        ("-P4", "-j N"),
        ("--jobs=4", "-j N"),
        ("-I{}", "the placeholder is always {}"),
        ("-L1", "-n N gives each command N items"),
        ("--retries=3", "--max-retries N"),
        ("--bar", "--progress"),
        ("--eta", "--progress"),
        ("--dryrun", "--dry-run"),
        ("--will-cite", "leave it out"),
        ("--tagstring=x", "--tag-output"),
        ("--line-buffer", "--live"),
        ("--link", ":::+"),
    ] {
        let ended = place
            .bex(&["run", option, "--", "echo", ":::", "a"])
            .expect(2);
        tells(&ended, &["is not an option of bex run", ours]);
    }
}

#[test]
fn each_verb_has_its_own_examples() {
    let place = Place::new();
    for verb in ["cancel", "retry", "clear", "set", "stop", "wait", "results"] {
        let help = place.bex(&[verb, "--help"]).expect(0).stdout;
        let (_, examples) = help
            .split_once("Examples:\n")
            .unwrap_or_else(|| panic!("{help}"));
        let examples = examples.lines().filter(|line| line.starts_with("  bex "));
        let mut count = 0;
        for line in examples {
            assert!(line.starts_with(&format!("  bex {verb}")), "{line}");
            count += 1;
        }
        assert!(count > 1, "{help}");
    }
}

#[test]
fn help_offers_nothing_that_is_refused() {
    let place = Place::new();
    let help = place.bex(&["resume", "--help"]).expect(0).stdout;
    assert!(
        help.contains("- fast:") && !help.contains("- none: Nothing is kept"),
        "{help}"
    );
    place.bex(&["add", "--", "true"]).expect(0);
    let refused = place.bex(&["resume", "--durability", "none"]).expect(2);
    tells(&refused, &["--durability none goes with bex run"]);
    // Results are written where the batch runs.
    for option in [&["-o", "r.json"][..], &["--format", "json"], &["-k"]] {
        let refused = place.bex(&[&["resume", "-d"], option].concat()).expect(2);
        tells(&refused, &["--detach", "cannot be used with"]);
    }
    place.bex(&["resume", "--durability", "fast"]).expect(0);
}

#[test]
fn a_state_folder_that_cannot_be_made_says_how_to_do_without() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    let file = place.path("file");
    let file = file.to_str().unwrap();
    let below = format!("{file}/deeper");
    for home in ["/proc/none", file, &below] {
        for args in [
            &["run", "--", "echo", ":::", "a"][..],
            &["add", "--", "x"],
            &["list"],
        ] {
            if home == "/proc/none" && args == ["list"] {
                // There is none yet.
                continue;
            }
            let ended = bex_in(&place, &[("BEX_HOME", home)], args).expect(3);
            tells(&ended, &[home, "BEX_HOME", "--durability none"]);
        }
        let run = ["run", "--durability", "none", "--", "echo", ":::", "a"];
        assert_eq!(
            bex_in(&place, &[("BEX_HOME", home)], &run).expect(0).stdout,
            "a\n"
        );
    }
}

#[test]
fn what_cannot_be_printed_is_an_error() {
    let place = Place::new();
    place.bex(&["run", "--", "echo", ":::", "a"]).expect(0);
    for args in [
        &["--help"][..],
        &["help"],
        &["run", "--help"],
        &["help", "run"],
        &["--version"],
        &["man"],
        &["completions", "bash"],
        &["list"],
        &["status"],
        &["template", "list"],
    ] {
        let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
        command
            .stdout(File::create("/dev/full").unwrap())
            .args(args);
        let ended = finish(command, b"").expect(3);
        tells(&ended, &["bex: cannot write to standard output"]);
    }
}
