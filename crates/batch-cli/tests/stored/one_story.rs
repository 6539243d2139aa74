//! The one who tells of a task says the same: a live run and the file, and every format.

use std::collections::BTreeMap;
use std::io::Read as _;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::common::Place;
use crate::harness::{Live, code_of};

/// The lines that begin with a status and `b1.1`.
fn told_of_first(text: &str) -> Vec<&str> {
    let is_head = |line: &&str| line.split_whitespace().nth(1) == Some("b1.1");
    text.lines().filter(is_head).collect()
}

#[test]
fn resume_shows_the_attempts_of_earlier_runs() {
    let place = Place::new();
    let script = "sleep 0.2; test -e there";
    place.bex(&["add", "--shell", script]).expect(0);
    place.bex(&["resume", "--format", "none"]).expect(1);
    std::fs::write(place.path("there"), "").unwrap();
    place.bex(&["retry"]).expect(0);
    let live = place.bex(&["resume", "--format", "text"]).expect(0);
    let kept = place.bex(&["results", "--format", "text"]).expect(0);
    assert_eq!(live.stdout, kept.stdout);
    assert!(live.stdout.contains("(2 attempts)"), "{live:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_task_retried_in_a_run_shows_all_its_attempts() {
    let mut live = Live::new();
    live.bex(&["add", "--id", "bad", "--", "test", "-e", "there"], 0);
    live.add_waiting("true");
    let mut run = live.spawn(&["resume", "--format", "text"]);
    live.begun();
    live.latest();
    live.bex(&["wait", "--until", "first-failure"], 1);
    std::fs::write(live.place.path("there"), "").unwrap();
    live.bex(&["retry"], 0);
    live.bex(&["wait", "--until", "1"], 0);
    live.let_go(1);
    let mut shown = String::new();
    let mut out = run.stdout.take().unwrap();
    out.read_to_string(&mut shown).unwrap();
    assert_eq!(code_of(run), Some(0));
    let kept = live.bex(&["results", "--format", "text"], 0);
    let (shown, kept) = (told_of_first(&shown), told_of_first(&kept));
    assert!(shown[0].starts_with("failed"), "{shown:?}");
    assert_eq!(shown.last(), kept.last());
    assert!(shown[1].ends_with("(2 attempts)"), "{shown:?}");
}

/// Tasks that have something to say in every field.
fn batch() -> Place {
    let place = Place::new();
    let line = "echo out {}; echo err >&2; test {} != b";
    place
        .bex(&[
            "run",
            "--max-retries",
            "1",
            "--shell",
            line,
            ":::",
            "a",
            "b;c",
            "b",
        ])
        .expect(1);
    place.tasks(&json!([
        {"id": "r", "tags": ["x;y", "z"], "command": ["sh", "-c", "kill -9 $$"], "max_retries": 0},
        {"id": "d", "depends_on": ["r"], "function": "custom_function",
         "params": {"code": "def process(n):\n  print('beside')\n  return n", "args": {"n": 7}}},
        {"id": "v", "function": "custom_function", "params": {"code": "def process():\n  print('beside')\n  return [1]"}},
    ]));
    place.bex(&["run", "tasks.json"]).expect(1);
    place
}

/// The tasks of a batch by their ids, as a format has them.
fn objects(place: &Place, batch: &str) -> BTreeMap<String, Value> {
    let lines = place
        .bex(&["results", "-b", batch, "--format", "jsonl"])
        .expect(0);
    let tasks = lines
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    tasks
        .map(|task| (task["task_id"].as_str().unwrap().to_owned(), task))
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
fn every_format_has_the_same_facts_by_the_same_names() {
    let place = batch();
    for batch in ["b1", "b2"] {
        let objects = objects(&place, batch);
        let document = place
            .bex(&["results", "-b", batch, "--format", "json"])
            .expect(0)
            .json();
        let of_document = document["tasks"].as_array().unwrap();
        assert_eq!(of_document, &objects.values().cloned().collect::<Vec<_>>());

        let table = place
            .bex(&["results", "-b", batch, "--format", "csv"])
            .expect(0)
            .stdout;
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let header = reader.headers().unwrap().clone();
        for row in reader.records().map(Result::unwrap) {
            let task = &objects[&row[0]];
            for (name, cell) in header.iter().zip(&row) {
                match &task[name] {
                    Value::Null => assert_eq!(cell, "", "{name}"),
                    Value::String(text) => assert_eq!(cell, text, "{name}"),
                    value => assert_eq!(
                        &serde_json::from_str::<Value>(cell).unwrap(),
                        value,
                        "{name}"
                    ),
                }
            }
            let fields = task.as_object().unwrap().keys();
            assert_eq!(
                fields
                    .filter(|name| !header.iter().any(|column| column == *name))
                    .count(),
                0
            );
        }
        check_view(&place, batch, &objects);
    }
    let first = &objects(&place, "b1")["b1.3"];
    let facts = [
        "item",
        "command",
        "exit_code",
        "stdout",
        "stderr",
        "attempt_count",
    ]
    .map(|name| &first[name]);
    let expected = [
        json!("b"),
        json!("echo out b; echo err >&2; test b != b"),
        json!(1),
        json!("out b\n"),
        json!("err\n"),
        json!(2),
    ];
    assert_eq!(facts, expected.each_ref());
    let second = objects(&place, "b2");
    assert_eq!(second["b2.1"]["tags"], json!(["x;y", "z"]));
    assert_eq!(second["b2.1"]["signal"], 9);
    assert_eq!(second["b2.1"]["command"], "sh -c 'kill -9 $$'");
    assert_eq!(second["b2.2"]["root_task"], "b2.1");
    assert_eq!(second["b2.3"]["stdout"], "beside\n");
    assert_eq!(second["b2.3"]["result"], json!([1]));
}

/// The columns of the view are fields, and say the same.
fn check_view(place: &Place, batch: &str, objects: &BTreeMap<String, Value>) {
    let file = place.path(&format!("home/batches/{batch}.db"));
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut select = db.prepare("SELECT * FROM tasks").unwrap();
    let names: Vec<String> = select.column_names().map(str::to_owned).collect();
    let mut rows = select.query([]).unwrap();
    let mut seen = 0;
    while let Some(row) = rows.next().unwrap() {
        let task = &objects[&row.get::<_, String>("task_id").unwrap()];
        for (index, name) in names.iter().enumerate() {
            if ["task", "options"].contains(&name.as_str()) {
                continue;
            }
            let field = &task[name];
            let same = match (row.get_ref(index).unwrap(), field) {
                (ValueRef::Null, Value::Null) => true,
                // What a task without a name is known by is derived, and not stored.
                (ValueRef::Null, Value::String(_)) if name == "name" => true,
                (ValueRef::Integer(number), &Value::Bool(is)) => (number != 0) == is,
                (ValueRef::Integer(number), value) => value.as_i64() == Some(number),
                (ValueRef::Real(number), value) => (value.as_f64().unwrap() - number).abs() < 1e-6,
                (ValueRef::Text(text), Value::String(value)) => text == value.as_bytes(),
                (ValueRef::Text(text), value) => {
                    serde_json::from_slice::<Value>(text).unwrap() == *value
                }
                (ValueRef::Blob(_) | ValueRef::Null, _) => false,
            };
            assert!(same, "{name}: {:?} is not {field}", row.get_ref(index));
        }
        seen += 1;
    }
    assert_eq!(seen, objects.len());
}
