//! A batch whose maker ended before its tasks were in it is never taken for a completed one.

use serde_json::json;

use crate::common::Place;

/// A batch as it is between its making and the commit of its tasks.
fn half_made(place: &Place) {
    place.tasks(&json!({ "tasks": [
        { "id": "a", "shell": "echo a >> effects" },
        { "id": "b", "shell": "echo b >> effects" },
    ]}));
    place.bex(&["add", "--file", "tasks.json"]).expect(0);
    let file = rusqlite::Connection::open(place.path("home/batches/b1.db")).unwrap();
    file.execute_batch(
        "DELETE FROM specs; UPDATE totals SET value = 0; UPDATE settings SET value = 1 WHERE name = 'next_task';
         INSERT INTO settings VALUES ('missing', 2);",
    )
    .unwrap();
}

#[test]
fn it_is_incomplete_for_every_verb() {
    let place = Place::new();
    half_made(&place);
    let status = place.bex(&["status", "--json"]).expect(0).json();
    assert_eq!(
        (&status["state"], &status["progress"]),
        (&json!("incomplete"), &json!(0.0))
    );
    let list = place.bex(&["list", "--json"]).expect(0).json();
    assert_eq!(list[0]["state"], "incomplete");
    let verbs: [&[&str]; 12] = [
        &["wait"],
        &["watch"],
        &["results"],
        &["results", "--json"],
        &["export", "-o", "out.csv"],
        &["resume"],
        &["resume", "-d"],
        &["start"],
        &["retry"],
        &["cancel", "--all"],
        &["clear"],
        &["add", "-b", "b1", "--shell", "true"],
    ];
    for verb in verbs {
        let ended = place.bex(verb).expect(5);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        for part in [
            "b1 is incomplete: its 2 tasks were not written",
            "bex run --resume",
            "bex rm b1",
        ] {
            assert!(said.contains(part), "{verb:?}: {part}: {said}");
        }
    }
    assert!(!place.has("effects") && !place.has("out.csv"));
    place.bex(&["rm", "b1"]).expect(0);
    assert!(!place.has("home/batches/b1.db"));
}

#[test]
fn its_file_makes_it_whole() {
    let place = Place::new();
    half_made(&place);
    place
        .bex(&["run", "--resume", "tasks.json", "--format", "none"])
        .expect(0);
    let status = place.bex(&["status", "--json"]).expect(0).json();
    assert_eq!(
        (&status["batch"], &status["state"]),
        (&json!("b1"), &json!("completed"))
    );
    let effects = place.read("effects");
    let mut lines: Vec<&str> = effects.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a", "b"]);
}

#[test]
fn a_copy_of_a_batch_that_is_being_written_is_incomplete() {
    let place = Place::new();
    place.tasks(&json!({ "tasks": [{ "shell": "true" }] }));
    // The tasks are still in the log while it runs.
    let copy = "cp home/batches/b1.db copy.db";
    place.tasks(&json!({ "tasks": [{ "shell": copy }] }));
    place
        .bex(&["run", "tasks.json", "--format", "none"])
        .expect(0);
    let status = place
        .bex(&["status", "--store", "copy.db", "--json"])
        .expect(0)
        .json();
    assert_eq!(status["state"], "incomplete");
    place.bex(&["wait", "--store", "copy.db"]).expect(5);
}

#[test]
fn outside_the_state_folder_the_way_to_make_it_whole_names_its_file() {
    let place = Place::new();
    half_made(&place);
    std::fs::rename(place.path("home/batches/b1.db"), place.path("s 1.db")).unwrap();
    std::fs::remove_dir_all(place.path("home")).unwrap();
    let told = place.bex(&["resume", "--store", "s 1.db"]).expect(5).stderr;
    let tasks = place.path("tasks.json").canonicalize().unwrap();
    let hint = format!("bex run --resume --store 's 1.db' {}", tasks.display());
    assert!(told.contains(&hint), "{told}");
    // As it says.
    let mut command = place.command("sh");
    let bex = format!(
        "set -e; bex() {{ {} \"$@\"; }}; {hint} --format none",
        env!("CARGO_BIN_EXE_bex")
    );
    command.args(["-c", &bex]);
    crate::common::finish(command, b"").expect(0);
    let status = place
        .bex(&["status", "--store", "s 1.db", "--json"])
        .expect(0);
    assert_eq!(status.json()["state"], "completed");
    assert!(!place.has("home/batches/b1.db"));
}
