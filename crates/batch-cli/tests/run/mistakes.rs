//! Mistakes in files: each is told once, all of them together, with its place and what to do.

use serde_json::{Value, json};

use crate::common::{Ended, Place};

/// The problems of a file, one a line.
#[track_caller]
fn problems(ended: &Ended) -> Vec<&str> {
    let lines = ended.stderr.lines().map(|line| line.trim_start());
    lines.filter(|line| line.starts_with("tasks.")).collect()
}

#[track_caller]
fn told(name: &str, text: &str) -> Vec<String> {
    let place = Place::new();
    std::fs::write(place.path(name), text).unwrap();
    let ended = place.bex(&["run", name]).expect(2);
    assert_eq!(ended.stdout, "", "{text}");
    problems(&ended).into_iter().map(str::to_owned).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
fn one_mistake_is_told_once() {
    for (task, says) in [
        (r#"{"command": "ls -l"}"#, r#"write ["ls", "-l"]"#),
        (
            r#"{"command": ["echo", null]}"#,
            "command[1] must be a text, not null",
        ),
        (r#"{"command": 5}"#, "command must be a list of texts"),
        (r#"{"command": []}"#, "command is empty"),
        (
            r#"{"shell": "\ud800"}"#,
            "shell holds half a surrogate pair",
        ),
        (r#"{"shell": 5}"#, "shell must be a text, not 5"),
        (
            r#"{"shell": "a", "stdin": 5}"#,
            "stdin must be a text, not 5",
        ),
        (
            r#"{"python": ["print(1)"]}"#,
            "python must be a text, not an array",
        ),
        (
            r#"{"http": "https://h/"}"#,
            r#"write {"url": "https://h/"}"#,
        ),
        (r#"{"http": []}"#, "http must be an object, not an array"),
        (
            r#"{"function": "http", "params": "x"}"#,
            "params must be an object",
        ),
        (r#"{"function": 5}"#, "function must be a text, not 5"),
        (r#"{"function": ""}"#, "the function is empty"),
        (
            r#"{"shell": "a", "\ud800": 1}"#,
            "the name of a field holds half a surrogate pair",
        ),
        (
            r#"{"function": "shell", "params": {"script": "a", "n": 1e999}}"#,
            "number out of range",
        ),
        (
            r#"{"shell": "a", "timeout": 1e30}"#,
            "timeout is too large: 1e30",
        ),
        (
            r#"{"shell": "a", "timeout": "99999999999999999999d"}"#,
            "timeout is too large",
        ),
        (
            r#"{"shell": "a", "max_retries": 4294967296}"#,
            "max_retries is too large: 4294967296; it can be 4294967295 at most",
        ),
        (
            r#"{"shell": "echo {{ taks.a.result }}: {{ taks.a.result }}"}"#,
            r#"unknown placeholder "taks"; did you mean "tasks"?"#,
        ),
        (
            r#"{"shell": "echo {{ tasks.a.result.stdout }}: {{ tasks.a.result.stdout }}"}"#,
            r#"no task has the id "a""#,
        ),
    ] {
        let told = told("tasks.json", &format!(r#"{{"tasks": [{task}]}}"#));
        assert_eq!(told.len(), 1, "{task}: {told:#?}");
        assert!(told[0].contains(says), "{task}: {told:#?}");
    }
    let two = told(
        "tasks.json",
        r#"[{"command": ["echo", null, {"base64": 1}]}]"#,
    );
    assert_eq!(two.len(), 2, "{two:#?}");
}

#[test]
fn every_cycle_is_told() {
    let task = |id: &str, needs: &str| json!({"id": id, "shell": "true", "depends_on": [needs]});
    let pairs: Vec<Value> = ["a", "b", "c"]
        .iter()
        .flat_map(|name| {
            let [one, two] = [format!("{name}1"), format!("{name}2")];
            [task(&one, &two), task(&two, &one)]
        })
        .collect();
    let told_of_pairs = told("tasks.json", &Value::from(pairs).to_string());
    assert_eq!(told_of_pairs.len(), 3, "{told_of_pairs:#?}");
    assert!(
        told_of_pairs[2].contains("wait for each other: c1 → c2 → c1"),
        "{told_of_pairs:#?}"
    );

    // Two that share a task, and one with itself.
    let shared = json!([
        {"id": "a", "shell": "true", "depends_on": ["b", "c"]},
        task("b", "a"),
        task("c", "a"),
        task("d", "d"),
    ]);
    let told_of_shared = told("tasks.json", &shared.to_string());
    assert_eq!(told_of_shared.len(), 3, "{told_of_shared:#?}");
}

#[test]
fn a_long_cycle_is_cut() {
    let many = 50_000;
    let tasks: Vec<Value> = (0..many)
        .map(|n| {
            let needs = format!("task-{}", (n + 1) % many);
            json!({"id": format!("task-{n}"), "shell": "true", "depends_on": [needs]})
        })
        .collect();
    let told = told("tasks.json", &Value::from(tasks).to_string());
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains("… (50000 tasks in all) → task-0"),
        "{told:#?}"
    );
    assert!(told[0].len() < 1_000, "{told:#?}");
}

#[test]
fn a_file_in_another_format_than_its_name_says_is_recognised() {
    let lines = "{\"shell\": \"a\"}\n{\"shell\": \"b\"}\n";
    for (name, text, says) in [
        (
            "tasks.json",
            lines,
            "one JSON object in each line; such a file is named .jsonl",
        ),
        (
            "tasks.yaml",
            lines,
            "one JSON object in each line; such a file is named .jsonl",
        ),
        (
            "tasks.jsonl",
            "[{\"shell\": \"a\"}]\n",
            "a file with a list of tasks is named .json",
        ),
        (
            "tasks.jsonl",
            "{\n\"tasks\": [\n{\"shell\": \"a\"}]\n}\n",
            "a document of many lines is named .json",
        ),
    ] {
        let told = told(name, text);
        assert_eq!(told.len(), 1, "{text}: {told:#?}");
        assert!(told[0].contains(says), "{text}: {told:#?}");
    }
}

#[test]
fn an_open_quote_is_named_with_its_line() {
    for (name, text, says) in [
        (
            "tasks.json",
            "[\n{\"shell\": \"echo a},\n{\"shell\": \"b\"}]",
            "tasks.json:2: not well-formed JSON: a double quote in this line is not closed",
        ),
        (
            "tasks.json",
            "[{\"command\": [\"echo, \"a\"]}]",
            "tasks.json:1: not well-formed JSON: a double quote in this line is not closed",
        ),
        (
            "tasks.json",
            "[{\"shell\": \"echo \\\"}]",
            "tasks.json:1: not well-formed JSON: a double quote in this line is not closed",
        ),
        (
            "tasks.jsonl",
            "{\"shell\": \"a\"}\n{\"shell\": \"b}\n",
            "tasks.jsonl:2: not well-formed JSON: a double quote in this line is not closed",
        ),
        ("tasks.yaml", "- shell: \"echo a\n", "a quote is not closed"),
        (
            "tasks.yaml",
            "- shell: 'echo a\n- shell: b\n",
            "a quote is not closed",
        ),
    ] {
        let told = told(name, text);
        assert_eq!(told.len(), 1, "{text}: {told:#?}");
        assert!(told[0].contains(says), "{text}: {told:#?}");
    }
}

#[test]
fn a_field_given_twice_in_the_value_of_a_parameter_is_refused() {
    let place = Place::new();
    let template = json!({
        "params": {"data": {"type": "json"}, "list": {"type": "list", "default": []}},
        "tasks": [{"command": ["echo", "{{ params.data | text }}", "{{ params.list | text }}"]}],
    });
    std::fs::write(place.path("t.json"), template.to_string()).unwrap();
    place.bex(&["template", "save", "t", "t.json"]).expect(0);
    for (params, says) in [
        (
            &[r#"data={"a": 1, "b": {"c": 1, "c": 2}}"#][..],
            r#"the parameter "data" gives the field "b.c" twice"#,
        ),
        (
            &["data=1", r#"list=[{"a": 1, "a": 1}]"#],
            r#"the parameter "list" gives the field "[0].a" twice"#,
        ),
    ] {
        let mut args = vec!["run", "--template", "t"];
        args.extend(params.iter().flat_map(|param| ["--param", *param]));
        let ended = place.bex(&args).expect(2);
        assert!(ended.stderr.contains(says), "{params:?}: {ended:#?}");
    }
}

#[test]
fn yaml_tags_give_what_they_say_or_are_refused() {
    let place = Place::new();
    let yaml = "- command: [printf, '%s', !!binary aGVsbG8=]\n- command: [cat]\n  stdin: !<tag:yaml.org,2002:binary> /wA=\n";
    std::fs::write(place.path("tasks.yaml"), yaml).unwrap();
    let ended = place
        .bex(&["run", "tasks.yaml", "--format", "jsonl", "-j1"])
        .expect(0);
    let results: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["result"].clone())
        .collect();
    assert_eq!(results[0]["stdout"], "hello");
    assert_eq!(results[1]["stdout_base64"], "/wA=");

    let refused = told("tasks.yaml", "- shell: !!timestamp 2024-05-01\n");
    assert!(
        refused[0].contains("!!timestamp would change 2024-05-01"),
        "{refused:?}"
    );
}

#[test]
fn a_result_that_is_not_there_is_told_once_with_what_is() {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "a", "shell": "echo out"},
        {"id": "b", "shell": "echo {{ tasks.a.result.stdot }}", "max_retries": 0},
    ]));
    let ended = place
        .bex(&["run", "tasks.json", "--format", "json"])
        .expect(1);
    let document = ended.json();
    let error = &crate::task(&document, "b")["error"];
    assert_eq!(
        error,
        "params.script: {{ tasks.a.result.stdot }}: in the result there is no field \"stdot\"; did you mean \"stdout\"?"
    );
}
