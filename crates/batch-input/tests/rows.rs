//! Tables with a template.

mod common;

use std::path::{Path, PathBuf};

use batch_core::Priority;
use batch_input::{
    Format, ReadError, ReadOptions, RowTemplate, TaskFile, TemplateSource, read_csv, read_task_file,
};
use serde_json::json;

use common::functions;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn rows(table: &str, template: &str) -> TaskFile {
    let template = RowTemplate::parse(template.as_bytes(), "task.yaml", Format::Yaml, functions());
    read_csv(
        table.as_bytes(),
        "t.csv",
        &template,
        &ReadOptions::default(),
    )
    .unwrap()
}

fn source(path: PathBuf) -> TemplateSource {
    TemplateSource {
        path,
        functions: functions(),
    }
}

fn told(file: &TaskFile) -> Vec<String> {
    file.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn each_row_fills_the_template() {
    let options = ReadOptions {
        template: Some(source(data("users.yaml"))),
        ..ReadOptions::default()
    };
    let file = read_task_file(&data("users.csv"), None, &options).unwrap();
    assert_eq!(told(&file), [""; 0]);
    assert_eq!(file.lines, [2, 3, 5]);
    assert_eq!(file.settings.max_concurrent.unwrap().get(), 2);
    let task = &file.tasks[1];
    assert_eq!(task.id.as_deref(), Some("user-8"));
    assert_eq!(task.name.as_deref(), Some("Greet O'Hara, Bo"));
    assert_eq!(task.options.priority, Priority::High);
    let script = "echo 'O'\\''Hara, Bo' {{ tasks.setup.result.stdout }}";
    assert_eq!(task.params.to_value(), json!({"script": script}));
    let script = "echo '$(touch x)' {{ tasks.setup.result.stdout }}";
    assert_eq!(file.tasks[2].params.to_value(), json!({"script": script}));
}

#[test]
fn without_params_the_row_is_the_params() {
    let file = rows("b,a\n1,{{ x }}\n", "{function: f, id: 'row {{ row.b }}'}");
    assert_eq!(told(&file), [""; 0]);
    assert_eq!(
        file.tasks[0].params.as_str(),
        r#"{"b":"1","a":"{{ \"{{\" }} x }}"}"#
    );
    assert_eq!(file.tasks[0].id.as_deref(), Some("row 1"));
}

#[test]
fn cells_keep_or_change_their_type_and_stay_data_in_code() {
    let template = r#"
function: code_execution
params:
  runtime: python
  code: "print({{ row.s }}, {{ row.n | int }})"
  all: "{{ row }}"
timeout: "{{ row.n }}"
depends_on: ["{{ row.s }}"]
"#;
    let file = rows("s,n\n\"a'\"\"b\",5\n", template);
    assert_eq!(told(&file), [""; 0]);
    let task = &file.tasks[0];
    assert_eq!(
        task.params.to_value(),
        json!({
            "runtime": "python",
            "code": "print(\"a\\u0027\\u0022b\", 5)",
            "all": {"s": "a'\"b", "n": "5"}
        })
    );
    assert_eq!(task.options.timeout.unwrap().as_secs(), 5);
    assert_eq!(&*task.depends_on[0].task, "a'\"b");
}

#[test]
fn mistakes_of_the_template_are_told_once() {
    assert_eq!(
        told(&rows(
            "name\na\nb\n",
            "shell: echo {{ row.nam }} {{ row.nam }}\nname: '{{ tasks.x }}'\n"
        )),
        [
            "task.yaml:1: the table has no column \"nam\"; did you mean \"name\"?",
            "task.yaml:2: unknown placeholder \"tasks\" in name; write {{ row.COLUMN }} for a cell",
        ]
    );
    assert_eq!(
        told(&rows(
            "name\na\nb\n",
            "shell: |\n  echo '{{ row.name }}'\npriorty: low\n"
        )),
        [
            "task.yaml:1: shell: {{ row.name }} is in single quotes; remove the quotes: the value is quoted when it is filled in"
        ]
    );
    assert_eq!(
        told(&rows(
            "name\na\nb\n",
            "shell: echo {{ row.name }}\npriorty: low\n"
        )),
        ["task.yaml:2: unknown field \"priorty\"; did you mean \"priority\"?"]
    );
    assert_eq!(
        told(&rows(
            "n\n1\n",
            "{function: code_execution, params: {runtime: '{{ row.n }}', code: '{{ row.n }}'}}"
        )),
        [
            "task.yaml:1: the code has placeholders and no known runtime; write python, nodejs or terminal, so that cells are written in its way"
        ]
    );
}

#[test]
fn mistakes_of_the_table_are_told_with_their_rows() {
    assert_eq!(
        told(&rows(
            "n,t\n1,5s\nx,1\n2\n3,soon\n",
            "{function: f, params: {n: '{{ row.n | int }}'}, timeout: '{{ row.t }}', name: 'T{{ row.n }}'}"
        )),
        [
            "t.csv:3: params.n: {{ row.n | int }}: \"x\" is not a whole number",
            "t.csv:4: the row has 1 cells, the header 2; a cell with a comma goes in double quotes",
            "t.csv:5: task 2 (\"T3\"): timeout must be a duration: seconds such as 30 or 0.5, or a text such as \"1m30s\", not \"soon\"",
        ]
    );
    assert_eq!(
        told(&rows("a,a\n1,2\n", "shell: echo {{ row.a }}")),
        ["t.csv:1: the column \"a\" is there twice; rename one of them"]
    );
}

#[test]
fn lines_are_right_after_blank_lines_and_with_crlf() {
    for (table, lines) in [
        ("n\r\n1\r\n2\r\n", &[2, 3][..]),
        ("\n\nn\n1\n\n\"2\n\"\n3", &[4, 6, 8]),
    ] {
        assert_eq!(
            rows(table, "shell: echo {{ row.n }}").lines,
            lines,
            "{table:?}"
        );
    }
    assert_eq!(
        told(&rows("n\r\n\r\n1,2\r\n", "shell: date")),
        ["t.csv:3: the row has 2 cells, the header 1; a cell with a comma goes in double quotes"]
    );
}

#[test]
fn nothing_at_all_is_an_empty_input() {
    let file = rows("", "shell: \"echo {{ row.name }}\"");
    assert_eq!(told(&file), [""; 0]);
    assert_eq!(file.tasks.len(), 0);
}

#[test]
fn a_table_needs_a_template() {
    let error = read_task_file(&data("users.csv"), None, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, ReadError::NoTemplate { .. }));
    assert!(error.to_string().contains("{{ row.COLUMN }}"), "{error}");
    let options = ReadOptions {
        template: Some(source("t.json".into())),
        ..ReadOptions::default()
    };
    let error =
        batch_input::read_tasks(&b"[]"[..], "tasks.json", Format::Json, &options).unwrap_err();
    assert!(matches!(error, ReadError::NeedlessTemplate { .. }));
}

proptest::proptest! {
    #[test]
    fn foreign_tables_are_never_a_panic(table in "[a,\"\\n{}' ]{0,40}") {
        rows(&table, "shell: echo {{ row.a }}");
        rows(&table, "function: f");
    }
}

#[test]
fn a_quote_that_is_never_closed_is_told_with_its_line() {
    let file = rows("a,b\n1,2\n3,\"four\n5,6\n", "{shell: 'x {{ row.a }}'}");
    assert_eq!(
        told(&file),
        [
            "t.csv:3: the double quote that begins here is never closed; close it; a quote inside a quoted cell is written twice"
        ]
    );
}

#[test]
fn cells_are_written_for_the_shell_of_the_script() {
    let script = |defaults: &str, task: &str| {
        let template = format!(
            "{{defaults: {{{defaults}}}, tasks: [{{shell: 'echo {{{{ row.x }}}}' {task}}}]}}"
        );
        let file = rows("x\na b\n", &template);
        file.tasks
            .first()
            .map(|task| task.params.to_value().to_string())
    };
    let quoted = |shell: &str| Some(format!(r#"{{"script":"echo 'a b'","shell":"{shell}"}}"#));
    assert_eq!(script("", ", shell_program: bash -e"), quoted("bash -e"));
    assert_eq!(script("shell_program: zsh", ""), quoted("zsh"));
    assert_eq!(
        script("shell_program: fish", ", shell_program: dash"),
        quoted("dash")
    );
    // Nobody knows how these read quotes.
    for (defaults, task) in [
        ("", ", shell_program: fish"),
        ("shell_program: fish", ""),
        ("", ", shell_program: '{{ row.x }}'"),
    ] {
        assert_eq!(script(defaults, task), None, "{defaults} {task}");
    }
}
