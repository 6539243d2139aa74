//! Order, retries, dependencies, time limits, the functions of tasks.

use serde_json::{Value, json};

use crate::common::Place;
use crate::{task, task_by};

#[test]
fn with_one_slot_priorities_come_in_order() {
    let place = Place::new();
    let mut tasks = Vec::new();
    for (n, priority) in ["low", "medium", "high", "critical", "low", "critical"]
        .iter()
        .enumerate()
    {
        tasks.push(json!({"command": ["echo", format!("{priority} {n}")], "priority": priority}));
    }
    place.tasks(&json!(tasks));
    let ended = place
        .bex(&["run", "tasks.json", "-j", "1", "--format", "raw"])
        .expect(0);
    let order = "critical 3\ncritical 5\nhigh 2\nmedium 1\nlow 0\nlow 4\n";
    assert_eq!(ended.stdout, order);
}

/// Milliseconds between two times of one export.
fn gap(earlier: &Value, later: &Value) -> i64 {
    let millis = |time: &Value| -> i64 {
        let time = time.as_str().unwrap();
        let part = |from: usize, to: usize| time[from..to].parse::<i64>().unwrap();
        ((part(11, 13) * 60 + part(14, 16)) * 60 + part(17, 19)) * 1000 + part(20, 23)
    };
    (millis(later) - millis(earlier)).rem_euclid(86_400_000)
}

#[test]
fn a_waiting_retry_holds_no_slot_and_delays_grow() {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "bad", "shell": "echo x >>tries; exit 1", "max_retries": 2, "priority": "critical",
         "retry": {"backoff": "exponential", "initial": 0.3, "factor": 6, "jitter": false}},
        {"id": "other", "command": ["true"]},
    ]));
    let ended = place.bex(&["run", "tasks.json", "-j", "1", "--format", "json"]);
    let document = ended.expect(1).json();
    let (bad, other) = (task(&document, "bad"), task(&document, "other"));
    assert_eq!(place.read("tries"), "x\nx\nx\n");
    assert_eq!(
        (&bad["retry_count"], &bad["max_retries"]),
        (&json!(2), &json!(2))
    );
    let attempts = bad["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3);
    let starts: Vec<&Value> = attempts
        .iter()
        .map(|attempt| &attempt["started_at"])
        .collect();
    let (first, second) = (gap(starts[0], starts[1]), gap(starts[1], starts[2]));
    // Parts of milliseconds are cut off, so a gap may look one shorter than it is.
    assert!(
        first >= 299 && second >= 1799,
        "{first} ms, then {second} ms"
    );
    assert!(second > first, "{first} ms, then {second} ms");
    let started = other["started_at"].as_str().unwrap();
    assert!(starts[0].as_str().unwrap() <= started, "{document}");
    assert!(
        started <= starts[1].as_str().unwrap(),
        "the slot was held: {document}"
    );
}

#[test]
fn commands_are_retried_only_where_asked() {
    let place = Place::new();
    place
        .bex(&["run", "--shell", "echo x >>tries; exit {}", ":::", "1"])
        .expect(1);
    assert_eq!(place.read("tries"), "x\n");
    let script = "[ -e tried ] || { touch tried; exit {}; }";
    let args = [
        "run",
        "--max-retries",
        "1",
        "--format",
        "json",
        "--shell",
        script,
        ":::",
        "1",
    ];
    let document = place.bex(&args).expect(0).json();
    let task = &document["tasks"][0];
    assert_eq!(
        (&task["flaky"], &task["retry_count"]),
        (&json!(true), &json!(1))
    );
}

#[test]
fn a_failed_dependency_cancels_with_the_root_named() {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "root", "shell": "exit 1", "max_retries": 0},
        {"id": "middle", "shell": "touch marker", "depends_on": ["root"]},
        {"id": "leaf", "shell": "touch marker", "depends_on": ["middle"]},
    ]));
    let document = place
        .bex(&["run", "tasks.json", "--format", "json"])
        .expect(1)
        .json();
    for id in ["middle", "leaf"] {
        let task = task(&document, id);
        assert_eq!(task["status"], "cancelled");
        assert_eq!(task["reason"], "dependency failed");
        assert!(task["error"].as_str().unwrap().contains("root"), "{task}");
    }
    assert!(!place.has("marker"));
}

#[test]
fn a_result_is_filled_in_where_a_later_task_uses_it() {
    let place = Place::new();
    let text = "<{{ tasks.a.result.stdout | trim }}>";
    let code = "code {{ tasks.a.result.exit_code }}";
    place.tasks(&json!([
        {"id": "a", "command": ["echo", " it's $(touch x) "]},
        {"id": "b", "command": ["echo", text], "depends_on": ["a"]},
        {"id": "c", "command": ["echo", code], "depends_on": ["a"]},
    ]));
    let document = place
        .bex(&["run", "tasks.json", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        task(&document, "b")["result"]["stdout"],
        "<it's $(touch x)>\n"
    );
    assert_eq!(task(&document, "c")["result"]["stdout"], "code 0\n");
    assert!(!place.has("x"));
}

#[test]
fn the_payload_of_the_predecessor_runs_unchanged() {
    let place = Place::new();
    let sum = "def process(a, b):\n    return {'sum': a + b}";
    place.tasks(
        &json!({"tool_name": "batch_executor", "action": "add_batch", "tasks": [
            {"name": "One", "function": "code_execution", "priority": "low", "max_retries": 1,
             "params": {"runtime": "terminal", "code": "echo one"}},
            {"name": "Two", "function": "custom_function", "priority": "critical", "max_retries": 2,
             "params": {"code": sum, "args": {"a": 2, "b": 3}}},
        ]}),
    );
    let document = place
        .bex(&["run", "tasks.json", "--format", "json"])
        .expect(0)
        .json();
    let (one, two) = (
        task_by(&document, "name", "One"),
        task_by(&document, "name", "Two"),
    );
    assert_eq!(one["result"]["stdout"], "one\n");
    assert_eq!(one["max_retries"], 1);
    assert_eq!(two["result"], json!({"sum": 5}));
    assert_eq!(two["priority"], "critical");
}

#[test]
fn code_runs_in_python_and_node() {
    let place = Place::new();
    let double = "def process(n):\n    print('noise')\n    return n * 2";
    place.tasks(&json!([
        {"id": "f", "function": "custom_function", "params": {"code": double, "args": {"n": 21}}},
        {"id": "p", "python": "print(6 * 7)"},
        {"id": "n", "node": "console.log(6 * 7)"},
        {"id": "bad", "python": "raise ValueError('no good')", "max_retries": 0},
    ]));
    let document = place
        .bex(&["run", "tasks.json", "--format", "json"])
        .expect(1)
        .json();
    assert_eq!(task(&document, "f")["result"], 42);
    assert_eq!(task(&document, "p")["result"]["stdout"], "42\n");
    assert_eq!(task(&document, "n")["result"]["stdout"], "42\n");
    let bad = task(&document, "bad");
    assert_eq!(bad["status"], "failed");
    assert!(
        bad["result"]["stderr"]
            .as_str()
            .unwrap()
            .contains("no good"),
        "{bad}"
    );
}

#[test]
fn fail_fast_ends_the_batch_at_the_first_failure() {
    let place = Place::new();
    let script = "[ {} = 1 ] && exit 1; touch marker{}";
    let args = [
        "run",
        "--fail-fast",
        "-j",
        "1",
        "--shell",
        script,
        ":::",
        "0",
        "1",
        "2",
        "3",
    ];
    place.bex(&args).expect(1);
    assert!(place.has("marker0") && !place.has("marker2") && !place.has("marker3"));
    let waited = place.bex(&["wait"]).expect(1).stdout;
    assert!(!waited.contains("time"), "{waited}");
    let why = place.bex(&["why", "4"]).expect(0).stdout;
    assert!(why.contains("a failure ended it (fail_fast)"), "{why}");
}

#[test]
fn a_batch_timeout_exits_5() {
    let args = [
        "run",
        "--batch-timeout",
        "1",
        "-j",
        "1",
        "--",
        "sleep",
        ":::",
        "98770",
        "98770",
    ];
    let place = Place::new();
    place.bex(&args).expect(5);
    // The one who waits for it hears the same.
    let waited = place.bex(&["wait"]).expect(5).stdout;
    assert!(
        waited.contains("its time was up (batch_timeout)"),
        "{waited}"
    );
    let why = place.bex(&["why", "2"]).expect(0).stdout;
    assert!(why.contains("its time was up (batch_timeout)"), "{why}");
}

#[test]
fn a_timeout_fails_the_attempt() {
    let args = [
        "run",
        "--timeout",
        "0.5",
        "--format",
        "json",
        "--",
        "sleep",
        ":::",
        "98771",
    ];
    let document = Place::new().bex(&args).expect(1).json();
    let task = &document["tasks"][0];
    assert_eq!(
        (&task["status"], &task["reason"]),
        (&json!("failed"), &json!("timeout"))
    );
}

#[test]
fn what_a_failure_ended_is_retried_with_it() {
    let place = Place::new();
    let script = "test {} != 2 || test -e mended";
    let run = [
        "run",
        "--fail-fast",
        "-j1",
        "--shell",
        script,
        ":::",
        "1",
        "2",
        "3",
        "4",
    ];
    place.bex(&run).expect(1);
    std::fs::write(place.path("mended"), "").unwrap();
    assert_eq!(
        place.bex(&["retry"]).expect(0).stdout,
        "3 tasks queued again\n"
    );
    place.bex(&["resume"]).expect(0);
}

#[test]
fn a_result_inside_quotes_is_refused_before_anything_runs() {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "q", "shell": "echo ran > ran"},
        {"shell": "echo '{{ tasks.q.result.stdout }}'"},
        {"shell": "echo {{ tasks.q.result.stdout }}"},
        {"python": "print('{{ tasks.q.result.stdout }}')"},
    ]));
    let refused = place.bex(&["run", "tasks.json"]).expect(2);
    assert!(
        refused.stderr.contains("is in single quotes"),
        "{refused:?}"
    );
    assert!(!place.has("ran"));
}
