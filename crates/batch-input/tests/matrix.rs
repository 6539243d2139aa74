//! Tasks that mean several: the product of lists of values, and lists of cases.

mod common;

use batch_core::Plan;
use batch_input::{Format, ReadOptions, TaskFile, read_tasks};

use common::functions;

fn read(text: &str, format: Format) -> TaskFile {
    let options = ReadOptions {
        functions: Some(functions()),
        ..ReadOptions::default()
    };
    read_tasks(text.as_bytes(), "t", format, &options).unwrap()
}

/// Ids and parameters of the tasks, or what is wrong.
fn made(text: &str) -> Result<Vec<(String, String)>, Vec<String>> {
    let file = read(text, Format::Yaml);
    if !file.problems.is_empty() {
        return Err(file.problems.iter().map(ToString::to_string).collect());
    }
    let id = |id: &Option<Box<str>>| id.as_deref().unwrap_or_default().to_owned();
    let tasks = file.tasks.iter();
    Ok(tasks
        .map(|task| (id(&task.id), task.params.as_str().to_owned()))
        .collect())
}

fn ids(text: &str) -> Vec<String> {
    made(text).unwrap().into_iter().map(|(id, _)| id).collect()
}

#[test]
fn a_matrix_makes_a_task_for_each_combination() {
    let made = made(
        "tasks:\n- id: m\n  command: [train, '{{ matrix.lr }}', 'n={{ matrix.seed }}']\n  matrix: {lr: [0.1, x y], seed: {from: 1, to: 3, step: 2}}\n",
    );
    let expected = [
        ("m[0.1,1]", r#"{"argv":["train","0.1","n=1"]}"#),
        ("m[0.1,3]", r#"{"argv":["train","0.1","n=3"]}"#),
        ("m[x y,1]", r#"{"argv":["train","x y","n=1"]}"#),
        ("m[x y,3]", r#"{"argv":["train","x y","n=3"]}"#),
    ];
    let expected = expected.map(|(id, params)| (id.to_owned(), params.to_owned()));
    assert_eq!(
        made.map(|made| made
            .into_iter()
            .map(|(id, params)| (id, params.replace(", ", ",")))
            .collect::<Vec<_>>()),
        Ok(expected.to_vec())
    );
}

#[test]
fn a_list_of_cases_and_exclusions() {
    let text = "- id: a\n  shell: 'echo {{ each.name }} {{ matrix.n }}'\n  each: [{name: x}, {name: y}]\n  matrix: {n: [1, 2]}\n  exclude: [{n: 2.0}]\n";
    assert_eq!(
        made(text).unwrap(),
        [
            ("a[1,1]".to_owned(), r#"{"script":"echo x '1'"}"#.to_owned()),
            ("a[1,2]".to_owned(), r#"{"script":"echo y '1'"}"#.to_owned()),
        ]
    );
    assert_eq!(
        ids("- {id: 'f-{{ each }}', shell: 'echo {{ each }}', each: [a, b]}\n"),
        ["f-a", "f-b"]
    );
    let text = r#"{"shell": "echo {{ matrix.big }}", "matrix": {"big": [123456789012345678901234567890]}}"#;
    let file = read(text, Format::Jsonl);
    assert!(
        file.tasks[0]
            .params
            .as_str()
            .contains("123456789012345678901234567890")
    );
}

#[test]
fn values_of_a_matrix_never_become_code() {
    let made_of = |work: &str| {
        made(&format!("- {{{work}, each: ['$(touch x)']}}\n")).map(|made| made[0].1.clone())
    };
    assert_eq!(
        made_of("shell: 'echo {{ each }}'").unwrap(),
        r#"{"script":"echo '$(touch x)'"}"#
    );
    for refused in [
        "shell: 'echo \"{{ each }}\"'",
        "command: [bash, -c, '{{ each }}']",
        "python: 'print(\"{{ each }}\")'",
    ] {
        assert!(made_of(refused).is_err(), "{refused}");
    }
}

#[test]
fn what_is_wrong_with_a_matrix_is_told_with_its_line() {
    let wrong = |fields: &str| {
        made(&format!(
            "- shell: 'echo {{{{ matrix.lr }}}}'\n  {fields}\n"
        ))
        .unwrap_err()
        .join("\n")
    };
    for (fields, message) in [
        (
            "matrix: {rl: [1]}",
            "t:1: shell: the matrix has no \"lr\"; it has rl",
        ),
        ("matrix: [1]", "matrix must be an object"),
        ("matrix: {lr: 1}", "matrix.lr must be a list of values"),
        ("matrix: {lr: []}", "matrix.lr is empty"),
        ("matrix: {lr: {from: 1}}", "matrix.lr needs whole numbers"),
        ("matrix: {lr: {from: 3, to: 1}}", "never comes from 3 to 1"),
        ("matrix: {lr: {from: 1, to: 2, step: 0}}", "never comes"),
        (
            "matrix: {lr: {from: 1, to: 2, until: 3}}",
            "unknown field \"until\"",
        ),
        (
            "matrix: {lr: {from: 1, to: 1000000000000}}",
            "more than 1000000 tasks",
        ),
        (
            "matrix: {lr: {from: 1, to: 2000}, b: {from: 1, to: 2000}}",
            "more than 1000000 tasks",
        ),
        (
            "matrix: {lr: [1]}\n  exclude: [{x: 1}]",
            "exclude: the matrix has no \"x\"",
        ),
        (
            "matrix: {lr: [1]}\n  timeout: '{{ other.x }}'",
            "unknown placeholder \"other\"",
        ),
        ("each: [1]", "the matrix has no \"lr\""),
    ] {
        let found = wrong(fields);
        assert!(found.contains(message), "{fields}: {found}");
    }
}

#[test]
fn groups_are_depended_on_by_a_pattern_or_by_what_they_are_made_of() {
    let functions = functions();
    for group in ["train-*", "train", "'train[*]'", "train*", "'*'"] {
        let text = format!(
            "- {{id: train, shell: 'true {{{{ each }}}}', each: [1, 2, 3]}}\n- {{id: sum, shell: 'true', depends_on: [{group}]}}\n"
        );
        let file = read(&text, Format::Yaml);
        assert!(file.problems.is_empty(), "{:?}", file.problems);
        let plan = Plan::check(file.tasks, &*functions);
        let plan = plan.unwrap_or_else(|problems| panic!("{group}: {problems:?}"));
        // It does not wait for itself.
        let needs: Vec<usize> = plan.tasks().nth(3).unwrap().1.collect();
        assert_eq!(needs, [0, 1, 2], "{group}");
    }
    let file = read(
        "- {id: sum, shell: 'true', depends_on: [train-*]}\n",
        Format::Yaml,
    );
    let problems = Plan::check(file.tasks, &*functions).unwrap_err();
    assert!(
        problems[0]
            .message
            .contains("no task has the id \"train-*\""),
        "{problems:?}"
    );
}
