//! Whole files, as users write them.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use batch_core::{Priority, TaskSpec, retry::Backoff, settings::Halt};
use batch_input::{Format, ReadOptions, TaskFile, read_task_file, read_tasks};
use serde_json::{Value, json};

fn data(name: &str) -> TaskFile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    read_task_file(&path, None, &ReadOptions::default()).unwrap()
}

fn parse(text: &str, name: &str) -> TaskFile {
    let format = Format::of(Path::new(name)).unwrap();
    read_tasks(
        Cursor::new(text.to_owned()),
        name,
        format,
        &ReadOptions::default(),
    )
    .unwrap()
}

/// The problems, with the name of the file instead of its path.
fn told(file: &TaskFile) -> Vec<String> {
    let name = file.name.rsplit('/').next().unwrap();
    file.problems
        .iter()
        .map(|p| p.to_string().replace(&*file.name, name))
        .collect()
}

/// The only task of a list with one, and the problems.
fn one(task: &Value) -> (TaskSpec, Vec<String>) {
    let file = parse(&json!([task]).to_string(), "t.json");
    let problems = told(&file);
    (file.tasks.into_iter().next().unwrap(), problems)
}

fn params(task: &Value) -> (String, Value) {
    let (spec, problems) = one(task);
    assert_eq!(problems, [""; 0]);
    (spec.function.to_string(), spec.params.to_value())
}

#[test]
fn a_bad_file_names_all_its_mistakes_with_their_lines() {
    assert_eq!(
        told(&data("bad.json")),
        [
            "bad.json:3: max_concurrent must be a number of tasks, 1 or more, not 0",
            "bad.json:5: task 1 (\"fetch\"): unknown priority \"hihg\"; did you mean \"high\"?",
            "bad.json:8: task 2 (\"build\"): unknown field \"comand\"; did you mean \"command\"?",
            "bad.json:10: task 3 (\"late\"): timeout must be a duration: seconds such as 30 or 0.5, or a text such as \"1m30s\", not \"soon\"",
            "bad.json:11: task 4: unknown field \"backof\" in retry; did you mean \"backoff\"?",
            "bad.json:11: task 4: command must be a list of texts, not one text; write [\"gzip\", \"-k\", \"a\"], or use \"shell\" for a line of shell",
        ]
    );
    let file = data("bad.json");
    assert_eq!(file.tasks.len(), 4);
    assert_eq!(file.lines, [5, 6, 10, 11]);
    assert_eq!(&*file.tasks[1].function, "");
}

#[test]
fn yaml_problems_have_the_lines_of_the_yaml() {
    assert_eq!(
        told(&data("bad.yaml")),
        [
            "bad.yaml:1: unknown field \"max_concurent\"; did you mean \"max_concurrent\"?",
            "bad.yaml:5: task 1 (\"one\"): timeout must be a duration: seconds such as 30 or 0.5, or a text such as \"1m30s\", not -1",
            "bad.yaml:8: task 2 (\"two\"): the field \"shell\" is given twice; remove one of them",
        ]
    );
    assert_eq!(data("bad.yaml").lines, [3, 6]);
}

#[test]
fn the_payload_of_the_predecessor_works_unchanged() {
    let file = data("add_batch.json");
    assert_eq!(told(&file), [""; 0]);
    assert_eq!(&*file.tasks[0].function, "code_execution");
    assert_eq!(file.tasks[0].options.priority, Priority::High);
    assert_eq!(file.tasks[0].options.max_retries, 2);
    assert_eq!(file.tasks[1].options.max_retries, 3);
    let other = parse(
        r#"{"tool_name": "batch_executor", "action": "start", "tasks": []}"#,
        "a.json",
    );
    assert_eq!(
        told(&other),
        ["a.json:1: action must be \"add_batch\", as in a payload that adds tasks, not \"start\""]
    );
}

#[test]
fn yaml_gives_the_same_tasks_as_json() {
    let (json, yaml) = (data("same.json"), data("same.yaml"));
    assert_eq!(told(&json), [""; 0]);
    assert_eq!(told(&yaml), [""; 0]);
    assert_eq!(json.settings, yaml.settings);
    assert_eq!(json.tasks.len(), 5);
    for (a, b) in json.tasks.iter().zip(&yaml.tasks) {
        assert_eq!((&a.id, &a.name, &a.function), (&b.id, &b.name, &b.function));
        assert_eq!(a.params.to_value(), b.params.to_value());
        assert_eq!(a.depends_on, b.depends_on);
        assert_eq!(a.options, b.options);
    }
}

#[test]
fn what_is_shown_of_a_failure_is_a_condition_of_a_retry() {
    let text = r#"[{"shell": "a", "max_retries": 1, "retry": {"on": ["SIGBUS", "signal 7",
        "signal 9 (SIGKILL)", "exit code 3", "http status 503", "interrupted"]}}]"#;
    let file = parse(text, "a.json");
    assert_eq!(told(&file), [""; 0]);
    assert_eq!(file.tasks[0].options.retry.on.len(), 6);
}

#[test]
fn settings_and_defaults_are_read() {
    let file = data("same.json");
    let settings = &file.settings;
    assert_eq!(settings.max_concurrent.unwrap().get(), 4);
    assert_eq!(settings.batch_timeout, Some(Duration::from_secs(3_600)));
    assert_eq!(settings.limits["api"].get(), 2);
    assert_eq!(
        (settings.halt, &settings.key),
        (Some(Halt::FAIL_FAST), &None)
    );
    let options: Vec<_> = file.tasks.iter().map(|task| &task.options).collect();
    assert_eq!(options[0].tags, ["nightly", "a"]);
    assert_eq!(options[0].grace, Duration::from_secs(1));
    assert_eq!(options[1].timeout, Some(Duration::from_secs(30)));
    assert_eq!(options[2].retry.backoff, Backoff::Fixed);
    assert_eq!(options[2].retry.initial, Duration::from_secs(2));
    assert_eq!(options[2].retry.on.len(), 2);
    assert_eq!(options[3].timeout, None);
    assert_eq!(options[3].env.len(), 2);
    assert_eq!(options[3].env["DEBUG"], "1");
}

#[test]
fn the_command_line_wins_over_defaults_and_not_over_tasks() {
    let text =
        r#"{"defaults": {"timeout": 5}, "tasks": [{"shell": "a"}, {"shell": "b", "timeout": 7}]}"#;
    let options = ReadOptions {
        timeout: Some(Duration::from_secs(9)),
        max_retries: Some(0),
        ..ReadOptions::default()
    };
    let file = read_tasks(text.as_bytes(), "t", Format::Json, &options).unwrap();
    let seconds = |task: &TaskSpec| task.options.timeout.unwrap().as_secs();
    assert_eq!((seconds(&file.tasks[0]), seconds(&file.tasks[1])), (9, 7));
    assert_eq!(file.tasks[1].options.max_retries, 0);
}

#[test]
fn short_forms_stand_for_functions() {
    assert_eq!(
        params(&json!({"command": ["gzip", "-k", 9, {"base64": "/w=="}], "stdin": "x"})),
        (
            "command".into(),
            json!({"argv": ["gzip", "-k", "9", {"base64": "/w=="}], "stdin": "x"})
        )
    );
    assert_eq!(
        params(&json!({"shell": "a | b"})),
        ("shell".into(), json!({"script": "a | b"}))
    );
    assert_eq!(
        params(&json!({"python": "print(1)"})),
        (
            "code_execution".into(),
            json!({"runtime": "python", "code": "print(1)"})
        )
    );
    assert_eq!(
        params(&json!({"node": "f()"})),
        (
            "code_execution".into(),
            json!({"runtime": "nodejs", "code": "f()"})
        )
    );
    assert_eq!(
        params(&json!({"http": {"url": "u"}})),
        ("http".into(), json!({"url": "u"}))
    );
    assert_eq!(
        params(&json!({"function": "simulate"})),
        ("simulate".into(), json!({}))
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_a_task_does_is_said_once_and_in_the_right_form() {
    for (task, problem) in [
        (
            json!({}),
            "the task does not say what to do; write \"command\", \"shell\", \"python\", \"node\", \"http\", or \"function\" with \"params\"",
        ),
        (
            json!({"shell": "a", "python": "b"}),
            "the task says what to do in more than one way: python, shell; keep one of them",
        ),
        (
            json!({"function": "f", "http": {}}),
            "the task says what to do in more than one way: function, http; keep one of them",
        ),
        (
            json!({"shell": ["a"]}),
            "shell must be a text, not an array",
        ),
        (
            json!({"shell": "a", "params": {}}),
            "params go with \"function\", not with \"shell\"; take \"params\" away, or write \"function\" in place of \"shell\"",
        ),
        (
            json!({"http": "http://x"}),
            "http must be an object; write {\"url\": \"http://x\"}",
        ),
        (json!({"command": []}), "command is empty"),
        (
            json!({"command": "ls | wc"}),
            "command must be a list of texts, not one text; use \"shell\" for a line of shell",
        ),
        (
            json!({"command": ["ls", null]}),
            "command[1] must be a text, not null",
        ),
        (
            json!({"function": "f", "stdin": "x"}),
            "stdin goes with the short forms \"command\" and \"shell\"; write it into \"params\"",
        ),
        (
            json!({"python": "x", "stdin": "x"}),
            "stdin goes with \"command\" and \"shell\", not with \"python\"",
        ),
        (
            json!({"function": "f", "params": []}),
            "params must be an object, not an array",
        ),
        (json!({"function": ""}), "the function is empty"),
        (
            json!({"shell": "a", "max_concurrent": 2}),
            "\"max_concurrent\" is a setting of the whole file; write it beside \"tasks\": {\"max_concurrent\": …, \"tasks\": […]}",
        ),
        (
            json!({"shell": "a", "depends_on": [[]]}),
            "depends_on must be the id of a task, {\"task\": ID, \"on\": \"failure\"}, or a list of those, not an array",
        ),
        (
            json!({"shell": "a", "max_retries": -1}),
            "max_retries must be a number of retries, 0 or more, not -1",
        ),
        (
            json!({"shell": "a", "max_retries": "3"}),
            "max_retries must be a number of retries, 0 or more, not \"3\"",
        ),
        (
            json!({"shell": "a", "timeout": 0}),
            "timeout must be more than nothing; omit it for no limit",
        ),
        (
            json!({"shell": "a", "env": {"A=B": "x"}}),
            "\"A=B\" cannot be the name of an environment variable",
        ),
        (
            json!({"shell": "a", "retry": 3}),
            "retry must be an object, not 3",
        ),
        (
            json!({"shell": "a", "retry": {"factor": 0.5}}),
            "retry.factor must be a number, 1 or more, not 0.5",
        ),
        (
            json!({"shell": "a", "retry": {"backoff": "fixd"}}),
            "unknown backoff \"fixd\"; it is one of none, fixed, exponential; did you mean \"fixed\"?",
        ),
        (json!({"shell": "a", "id": ""}), "the id is empty"),
    ] {
        assert_eq!(
            one(&task).1,
            [format!("t.json:1: task 1: {problem}")],
            "{task}"
        );
    }
    assert_eq!(
        one(&json!(7)).1,
        ["t.json:1: task 1: a task must be an object, not 7"]
    );
    let (_, problems) = one(&json!({"shell": "a", "retry": {"on": ["tiemout"]}}));
    assert!(
        problems[0].ends_with("did you mean \"timeout\"?"),
        "{problems:?}"
    );
}

#[test]
fn a_file_that_is_no_list_of_tasks_says_what_is_missing() {
    for (text, problem) in [
        (
            "",
            "t.json: the file is empty; an empty list of tasks is written []",
        ),
        (
            "7",
            "t.json:1: the file must hold a list of tasks, not a number; write {\"tasks\": [{…}, {…}]}, or only the list",
        ),
        (
            "\n{\"shell\": \"a\"}",
            "t.json:2: the file has no \"tasks\"; put the task into a list: {\"tasks\": [{…}]}",
        ),
        (
            "{}",
            "t.json:1: the file has no \"tasks\"; write {\"tasks\": [{…}, {…}]}",
        ),
        (
            "{\"tasks\": {}}",
            "t.json:1: tasks must be a list of tasks, not an object",
        ),
        (
            "[\n  {\"shell\": \"a\",}\n]",
            "t.json:2:17: not well-formed JSON: key must be a string; names go in double quotes, and the last field takes no comma",
        ),
        (
            "[{\"function\": \"f\", \"params\": {\"n\": 1e999}}]",
            "t.json:1: task 1: params cannot be read: number out of range",
        ),
    ] {
        assert_eq!(told(&parse(text, "t.json")), [problem], "{text}");
    }
    assert_eq!(told(&parse("[]", "t.json")), [""; 0]);
    let bytes = read_tasks(
        &b"[\n\"\xff\"]"[..],
        "t",
        Format::Json,
        &ReadOptions::default(),
    );
    assert_eq!(told(&bytes.unwrap()), ["t:2: the text is not UTF-8"]);
}

#[test]
fn json_lines_are_tasks_of_their_own() {
    let file = parse(
        "\u{feff}{\"id\": \"a\", \"shell\": \"x\"}\r\n\n  \n{\"id\": \"b\", \"shel\": 1}\n{\"id\": \n[1]\n{\"id\":\"c\",\"shell\":\"y\"}",
        "t.jsonl",
    );
    assert_eq!(file.lines, [1, 4, 6, 7]);
    assert_eq!(
        told(&file),
        [
            "t.jsonl:4: task 2 (\"b\"): unknown field \"shel\"; did you mean \"shell\"?",
            "t.jsonl:5:6: not well-formed JSON: EOF while parsing a value",
            "t.jsonl:6: task 3: a task must be an object, not an array",
        ]
    );
    assert_eq!(file.tasks[3].id.as_deref(), Some("c"));
    assert_eq!(parse("", "t.jsonl").tasks.len(), 0);
    assert!(told(&parse("{\n}\n", "t.ndjson"))[0].ends_with("is named .json"));
}

#[test]
fn tasks_that_agree_share_their_options_and_functions() {
    let line = |more: &str| format!("{{\"shell\": \"x\"{more}}}\n");
    let text = [
        line(""),
        line(""),
        line(",\"timeout\": 3"),
        line(",\"timeout\": 3"),
    ]
    .concat();
    let tasks = parse(&text, "t.jsonl").tasks;
    assert!(Arc::ptr_eq(&tasks[0].options, &tasks[1].options));
    assert!(Arc::ptr_eq(&tasks[2].options, &tasks[3].options));
    assert!(!Arc::ptr_eq(&tasks[0].options, &tasks[2].options));
    assert!(Arc::ptr_eq(&tasks[0].function, &tasks[3].function));
}

#[test]
fn unknown_extensions_are_refused_with_the_known_ones() {
    let error = Format::of(Path::new("tasks.toml")).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot tell the format of tasks.toml; name it .json, .jsonl, .ndjson, .yaml, .yml, .csv or .tsv, or give the format"
    );
    assert_eq!(Format::of(Path::new("T.YML")).unwrap(), Format::Yaml);
    let error = read_task_file(Path::new("/no/such.json"), None, &ReadOptions::default());
    assert!(
        error
            .unwrap_err()
            .to_string()
            .starts_with("cannot read /no/such.json: ")
    );
}

#[test]
fn a_flood_of_problems_ends_the_reading() {
    let text = "{}\n".repeat(5_000);
    let file = parse(&text, "t.jsonl");
    assert_eq!(file.problems.len(), 1_001);
    assert!(told(&file)[1_000].contains("too many problems"));
}

#[test]
fn what_happens_when_it_is_cut_off_is_read() {
    let text = r#"{"defaults": {"on_interrupt": "hold"}, "tasks": [
        {"command": ["a"]},
        {"command": ["b"], "on_interrupt": "fail"},
        {"command": ["c"], "on_interrupt": null},
        {"command": ["d"], "on_interrupt": "retry"}
    ]}"#;
    let file = parse(text, "t.json");
    let told = told(&file);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].ends_with("unknown on_interrupt \"retry\"; it is one of rerun, hold, fail"),
        "{told:?}"
    );
    let read: Vec<_> = file
        .tasks
        .iter()
        .map(|task| task.options.on_interrupt.name())
        .collect();
    assert_eq!(read, ["hold", "fail", "hold", "hold"]);
}

proptest::proptest! {
    #[test]
    fn foreign_text_is_never_a_panic(text in "[\\[\\]{}\":,a-e0-9 \\n\\\\-]{0,60}") {
        for name in ["t.json", "t.jsonl", "t.yaml"] {
            parse(&text, name);
        }
    }

    #[test]
    fn any_field_may_hold_any_value(
        field in proptest::sample::select(vec!["id", "name", "function", "params", "stdin", "command", "shell", "python",
            "node", "http", "depends_on", "priority", "max_retries", "timeout", "retry", "tags", "cwd", "env", "limit", "grace", "on_interrupt", "allow_code"]),
        value in proptest::sample::select(vec!["null", "true", "-1", "1e30", "\"\"", "\"\\ud800\"", "[]", "[[]]", "[null]", "{}", "{\"\\ud800\":1}", "{\"a\":[]}"]),
    ) {
        let file = parse(&format!("[{{\"{field}\": {value}}}]"), "t.json");
        for task in &file.tasks {
            task.params.to_value();
        }
    }
}

#[test]
fn a_script_has_the_shell_that_is_named_for_it_or_for_all() {
    let (task, problems) = one(&json!({"shell": "x", "shell_program": "bash -o pipefail"}));
    assert_eq!(problems, [""; 0]);
    let params = json!({"script": "x", "shell": "bash -o pipefail"});
    assert_eq!(task.params.to_value(), params);

    let file = parse(
        r#"{"defaults": {"shell_program": "zsh"},
            "tasks": [{"shell": "x"}, {"shell": "x", "shell_program": "sh"}, {"command": ["x"]}]}"#,
        "t.json",
    );
    assert_eq!(told(&file), [""; 0]);
    let params: Vec<Value> = file
        .tasks
        .iter()
        .map(|task| task.params.to_value())
        .collect();
    assert_eq!(
        params,
        [
            json!({"script": "x", "shell": "zsh"}),
            json!({"script": "x", "shell": "sh"}),
            json!({"argv": ["x"]}),
        ]
    );

    for (task, problem) in [
        (
            json!({"command": ["x"], "shell_program": "bash"}),
            "shell_program goes with the short form \"shell\"",
        ),
        (
            json!({"function": "shell", "params": {"script": "x"}, "shell_program": "bash"}),
            "write it into \"params\", as \"shell\"",
        ),
        (
            json!({"shell": "x", "shell_program": ["bash"]}),
            "shell_program must be a text",
        ),
    ] {
        let (_, problems) = one(&task);
        assert!(
            problems.iter().any(|told| told.contains(problem)),
            "{problem}: {problems:?}"
        );
    }
}

#[test]
fn when_a_batch_is_halted_is_said_once() {
    let file = parse(
        r#"{"halt": "soon,fail=10%", "delay": 0.5, "tasks": []}"#,
        "t.json",
    );
    assert_eq!(told(&file), [""; 0]);
    assert_eq!(file.settings.halt.unwrap().to_string(), "soon,fail=10%");
    assert_eq!(file.settings.delay, Some(Duration::from_millis(500)));
    for (text, problem) in [
        (
            r#"{"halt": "later", "tasks": []}"#,
            "does not say when to halt",
        ),
        (
            r#"{"halt": "now,fail=1", "fail_fast": true, "tasks": []}"#,
            "keep one of them",
        ),
        (
            r#"{"delay": 0, "tasks": []}"#,
            "delay must be more than nothing",
        ),
        (
            r#"[{"command": ["x"], "halt": "now,fail=1"}]"#,
            "is a setting of the whole file",
        ),
    ] {
        let problems = told(&parse(text, "t.json"));
        assert!(
            problems.iter().any(|told| told.contains(problem)),
            "{problem}: {problems:?}"
        );
    }
}
