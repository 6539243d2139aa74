//! What a run prints: raw output, the formats of the results, the file they go to.

use serde_json::{Value, json};

use crate::common::{Place, finish};
use crate::task;

#[test]
fn keep_order_gives_the_order_of_the_items() {
    // The first task ends only after the last one has started.
    let script = "if [ {} = 1 ]; then until [ -e last ]; do sleep 0.02; done; fi; \
                  if [ {} = 4 ]; then touch last; fi; echo {}";
    let run = |option: &str| {
        let args = [
            "run", option, "-j", "2", "--shell", script, ":::", "1", "2", "3", "4",
        ];
        Place::new().bex(&args).expect(0).stdout
    };
    assert_eq!(run("--keep-order"), "1\n2\n3\n4\n");
    assert!(run("--progress=none").starts_with("2\n3\n"));
}

#[test]
fn raw_output_is_never_mixed() {
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do printf {}; printf .; printf '%s\\n' $i; done";
    let mut args = vec!["run", "-j", "6", "--shell", script, ":::"];
    let items: Vec<String> = (0..40).map(|n| format!("item{n}")).collect();
    args.extend(items.iter().map(String::as_str));
    let ended = Place::new().bex(&args).expect(0);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 400);
    let mut seen = std::collections::HashSet::new();
    for block in lines.chunks(10) {
        let item = block[0].split('.').next().unwrap();
        assert!(seen.insert(item), "{item} comes twice");
        let whole: Vec<String> = (1..=10).map(|n| format!("{item}.{n}")).collect();
        assert_eq!(block, whole);
    }
}

#[test]
fn a_closed_pipe_ends_the_run_quietly() {
    let place = Place::new();
    let mut command = place.command("sh");
    // Items without end: only the closed pipe can end it.
    let script = r#"yes | { "$1" run --progress none -- echo; echo $? >code; } | head -1"#;
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_bex")]);
    let ended = finish(command, b"");
    assert_eq!(ended.stdout, "y\n");
    for word in ["panic", "pipe", "error"] {
        assert!(!ended.stderr.to_lowercase().contains(word), "{ended:#?}");
    }
    // Stopped before its end.
    assert_eq!(place.read("code"), "5\n", "{ended:#?}");
    assert!(ended.stderr.contains("bex resume -b b1"), "{ended:#?}");
    let status = place.bex(&["status"]).expect(0).stdout;
    let why = "b1 is stopped: its output was closed; continue with: bex resume -b b1";
    assert!(status.starts_with(why), "{status}");
}

const FIELDS: &str = "task_id id name function params priority status reason created_at started_at \
    completed_at execution_time wait_time retry_count max_retries flaky result error";

const COLUMNS: &str = "task_id,name,function,status,priority,created_at,started_at,completed_at,\
    execution_time,wait_time,retry_count,result,error";

fn two_tasks() -> Place {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "good", "name": "Say, \"hi\"", "command": ["echo", "hi"], "tags": ["t"]},
        {"id": "bad", "shell": "echo oops >&2; exit 7", "max_retries": 0, "priority": "low"},
    ]));
    place
}

#[track_caller]
fn check_task_object(task: &Value) {
    for field in FIELDS.split_whitespace() {
        assert!(task.get(field).is_some(), "no {field} in {task}");
    }
    for field in ["created_at", "started_at", "completed_at"] {
        let time = task[field].as_str().unwrap();
        let millis = time.len() == 24 && time.ends_with('Z') && &time[19..20] == ".";
        assert!(millis, "{field}: {time}");
    }
    assert!(
        task["execution_time"].is_number() && task["wait_time"].is_number(),
        "{task}"
    );
}

#[test]
fn json_has_the_fields_of_the_contract() {
    let document = two_tasks()
        .bex(&["run", "tasks.json", "--format", "json"])
        .expect(1)
        .json();
    let metadata = &document["metadata"];
    assert!(metadata["batch_id"].is_string() && metadata["exported_at"].is_string());
    for (field, count) in [
        ("total_tasks", 2),
        ("completed", 1),
        ("failed", 1),
        ("cancelled", 0),
    ] {
        assert_eq!(metadata[field], count, "{field}");
    }
    assert!(metadata["total_execution_time"].is_number());
    assert!(metadata["average_task_time"].is_number());
    let (good, bad) = (task(&document, "good"), task(&document, "bad"));
    check_task_object(good);
    check_task_object(bad);
    assert_eq!(good["name"], "Say, \"hi\"");
    assert_eq!(
        (&good["status"], &good["priority"]),
        (&json!("completed"), &json!("medium"))
    );
    assert_eq!(
        good["result"],
        json!({"exit_code": 0, "stdout": "hi\n", "stderr": ""})
    );
    assert_eq!(
        (&bad["status"], &bad["reason"]),
        (&json!("failed"), &json!("exit code"))
    );
    assert_eq!(
        bad["result"],
        json!({"exit_code": 7, "stdout": "", "stderr": "oops\n"})
    );
    assert!(bad["error"].is_string() && good["error"].is_null());
}

#[test]
fn jsonl_has_one_task_object_a_line() {
    let ended = two_tasks()
        .bex(&["run", "tasks.json", "--format", "jsonl"])
        .expect(1);
    assert_eq!(ended.stdout.lines().count(), 2);
    for line in ended.stdout.lines() {
        check_task_object(&serde_json::from_str(line).unwrap());
    }
}

#[test]
fn csv_has_the_header_of_the_contract() {
    let ended = two_tasks()
        .bex(&["run", "tasks.json", "--format", "csv", "-k"])
        .expect(1);
    let mut reader = csv::Reader::from_reader(ended.stdout.as_bytes());
    let header: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(header[..13].join(","), COLUMNS);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(&rows[0][1], "Say, \"hi\"");
    assert_eq!((&rows[0][3], &rows[1][3]), ("completed", "failed"));
    let result: Value = serde_json::from_str(&rows[0][11]).unwrap();
    assert_eq!(result["stdout"], "hi\n");
}

#[test]
fn the_extension_of_the_output_file_gives_the_format() {
    let place = two_tasks();
    for name in ["out.json", "out.jsonl", "out.csv", "out.txt"] {
        let ended = place.bex(&["run", "tasks.json", "-o", name]).expect(1);
        assert_eq!(ended.stdout, "", "{name}");
    }
    let document: Value = serde_json::from_str(&place.read("out.json")).unwrap();
    assert_eq!(document["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(place.read("out.jsonl").lines().count(), 2);
    assert!(place.read("out.csv").starts_with(COLUMNS));
    assert!(place.read("out.txt").contains("hi"));
    place
        .bex(&["run", "tasks.json", "-o", "out.unknown"])
        .expect(2);
    assert!(!place.has("out.unknown"));
}

#[test]
fn results_are_filtered() {
    let place = two_tasks();
    let cases = [
        ("status:failed", "bad"),
        ("status:completed", "good"),
        ("priority:low", "bad"),
        ("tag:t", "good"),
    ];
    for (filter, id) in cases {
        let ended = place.bex(&["run", "tasks.json", "--format", "jsonl", "--show", filter]);
        let task = ended.expect(1).json();
        assert_eq!(task["id"], id, "{filter}");
    }
    place
        .bex(&["run", "tasks.json", "--show", "nonsense:x"])
        .expect(2);
}

#[test]
fn results_go_to_a_file_also_when_none_are_shown() {
    let place = Place::new();
    let run = [
        "run", "-o", "o.csv", "--format", "none", "--", "echo", ":::", "a",
    ];
    assert_eq!(place.bex(&run).expect(0).stdout, "");
    let table = place.read("o.csv");
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    assert_eq!(rows.records().map(Result::unwrap).count(), 1);
}
