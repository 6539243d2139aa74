//! Saved templates: what they take, what they refuse, and that values stay data.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use batch_core::Priority;
use batch_input::{Format, ParamType, Problem, ReadOptions, SavedTemplate, TaskFile};
use batch_template::{Encoding, Encodings, Placeholder, fill};
use serde_json::{Value, json};

use common::functions;

fn parse(text: &str) -> Result<SavedTemplate, Vec<String>> {
    let parsed = SavedTemplate::parse(text.as_bytes(), "t.yaml", Format::Yaml, functions());
    parsed.map_err(|problems| told(&problems))
}

fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn texts(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    values.iter().map(owned).collect()
}

fn expand(text: &str, values: &[(&str, &str)]) -> Result<TaskFile, Vec<String>> {
    let template = parse(text).unwrap();
    let expanded = template.expand(&texts(values), &ReadOptions::default());
    expanded.map_err(|problems| told(&problems))
}

fn rows(text: &str, table: &str, fixed: &[(&str, &str)]) -> TaskFile {
    let options = ReadOptions::default();
    let template = parse(text).unwrap();
    template
        .expand_rows(table.as_bytes(), "t.csv", &texts(fixed), &options)
        .unwrap()
}

fn ids(file: &TaskFile) -> Vec<&str> {
    file.tasks
        .iter()
        .filter_map(|task| task.id.as_deref())
        .collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn values_go_into_every_text_and_keep_their_types() {
    let text = r#"
name: greetings
params:
  zone: {type: text, default: eu}
  n: {type: integer}
  ratio: {type: number, default: 0.5}
  on: {type: boolean, default: false}
  names: {type: list, default: [Ann, Bo]}
  extra: {type: json, default: {a: [1]}}
  after: {type: text, default: setup}
defaults: {timeout: 10}
tasks:
  - id: "a-{{ params.n }}"
    name: Run {{ params.zone }}/{{ params.n }}
    depends_on: ["{{ params.after }}", other]
    tags: ["{{ params.zone }}", plain]
    cwd: /tmp/{{ params.zone }}
    env: {ZONE: "{{ params.zone }}", N: "{{ params.n }}"}
    max_retries: "{{ params.n }}"
    function: call
    params:
      n: "{{ params.n }}"
      ratio: "{{ params.ratio }}"
      on: "{{ params.on }}"
      names: "{{ params.names }}"
      first: "{{ params.names[0] }}"
      deep: "{{ params.extra.a[0] }}"
      as_text: "n={{ params.n }}, {{ params.names }}"
      result: "{{ tasks.setup.result.stdout }}"
"#;
    let file = expand(text, &[("n", "7")]).unwrap();
    assert_eq!(file.settings.name.as_deref(), Some("greetings"));
    assert_eq!((&*file.name, &file.lines[..]), ("t.yaml", &[13][..]));
    let task = &file.tasks[0];
    assert_eq!(task.id.as_deref(), Some("a-7"));
    assert_eq!(task.name.as_deref(), Some("Run eu/7"));
    assert_eq!(*task.depends_on, ["setup".into(), "other".into()]);
    assert_eq!(task.options.tags, ["eu", "plain"]);
    assert_eq!(task.options.env["N"], "7");
    assert_eq!(task.options.cwd.as_deref(), Some("/tmp/eu".as_ref()));
    assert_eq!(task.options.max_retries, 7);
    assert_eq!(task.options.timeout, Some(Duration::from_secs(10)));
    // The order of the author stays.
    let expected = r#"{"n":7,"ratio":0.5,"on":false,"names":["Ann","Bo"],"first":"Ann","deep":1,"as_text":"n=7, [\"Ann\",\"Bo\"]","result":"{{ tasks.setup.result.stdout }}"}"#;
    assert_eq!(task.params.as_str(), expected);
}

#[test]
fn declarations_can_be_shown() {
    let text = "
description: Greets
params:
  z: {type: integer, default: 3, choices: [1, 3], description: how often}
  a:
tasks: [{shell: 'echo {{ params.z }}'}, {shell: date}]
";
    let template = parse(text).unwrap();
    assert_eq!(template.description(), Some("Greets"));
    assert_eq!((template.name(), template.task_count()), ("t.yaml", 2));
    let [z, a] = template.params() else {
        panic!("{:?}", template.params())
    };
    assert_eq!((&*z.name, z.kind), ("z", ParamType::Integer));
    assert_eq!(z.default, Some(json!(3).into()));
    assert_eq!(z.choices, [json!(1).into(), json!(3).into()]);
    assert_eq!(z.description.as_deref(), Some("how often"));
    assert_eq!(
        (&*a.name, a.kind, &a.default),
        ("a", ParamType::Text, &None)
    );
}

#[test]
fn all_that_is_wrong_with_a_template_is_told_at_once() {
    let text = r#"
descripton: Greets
params:
  city: {type: txt}
  n: {type: integer, default: "7"}
  tone: {type: text, choices: [warm, 3], defualt: warm}
  "a b": {}
  none: {choices: []}
  c: {choices: [x, y], default: z}
name: Batch {{ params.city }}
defaults: {env: {N: "{{ params.n }}"}}
tasks:
  - shell: echo "{{ params.city }}" {{ params.cty }}
    name: About {{ tasks.x.result }}
  - python: print({{ n }})
  - shell: echo {{ params.city.name }} {{ params.nothing }}
    priority: hihg
    timeout: "{{ params.n }}"
  - comand: "{{ params.city }}"
  - command: [echo, "{{ params.city | trmi }}"]
  - 7
"#;
    assert_eq!(
        parse(text).unwrap_err(),
        [
            "t.yaml:2: unknown field \"descripton\"; did you mean \"description\"?",
            "t.yaml:4: unknown type \"txt\" of the parameter \"city\"; did you mean \"text\"?",
            "t.yaml:5: the default does not fit: the parameter \"n\" must be a whole number, not \"7\"; write it without quotes",
            "t.yaml:6: unknown field \"defualt\" in params.tone; did you mean \"default\"?",
            "t.yaml:6: a choice does not fit: the parameter \"tone\" must be a text, not 3; write it in quotes",
            "t.yaml:7: \"a b\" cannot be the name of a parameter; use letters, digits, \"-\" and \"_\"",
            "t.yaml:8: the parameter \"none\" has no choices; omit it for any value",
            "t.yaml:9: the default does not fit: the parameter \"c\" must be one of \"x\", \"y\", not \"z\"",
            "t.yaml:10: {{ params.city }} in name: values go into tasks only; write it into the tasks",
            "t.yaml:11: {{ params.n }} in defaults.env.N: values go into tasks only; write it into the tasks",
            "t.yaml:13: the parameter \"cty\" in shell is not declared; did you mean \"city\"?",
            "t.yaml:13: shell: {{ params.city }} is in double quotes; remove the quotes: the value is quoted when it is filled in",
            "t.yaml:14: unknown placeholder \"tasks\" in name; write {{ params.NAME }} for a parameter",
            "t.yaml:15: unknown placeholder \"n\" in python; write {{ params.n }} for a parameter",
            "t.yaml:16: {{ params.city.name }}: the parameter \"city\" is of type text, which has no parts; write {{ params.city }}",
            "t.yaml:16: the parameter \"nothing\" in shell is not declared; declare it: {\"params\": {\"nothing\": {\"type\": \"text\"}}}",
            "t.yaml:17: task 3: unknown priority \"hihg\"; did you mean \"high\"?",
            "t.yaml:19: task 4: unknown field \"comand\"; did you mean \"command\"?",
            "t.yaml:20: command[1]: unknown filter \"trmi\"; did you mean \"trim\"?",
            "t.yaml:21: a task must be an object, not a number",
        ]
    );
}

#[test]
fn quotes_around_a_placeholder_are_told_without_values() {
    for (task, problem) in [
        ("shell: echo '{{ params.x }}'", "is in single quotes"),
        (
            "python: print('{{ params.x }}')",
            "is in a string of the code",
        ),
        ("node: f(`{{ params.x }}`)", "is in a string of the code"),
    ] {
        let text = format!("params: {{x: }}\ntasks:\n  - {task}\n");
        let told = parse(&text).unwrap_err();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("t.yaml:3: ") && told[0].contains(problem),
            "{told:?}"
        );
    }
}

#[test]
fn values_cannot_bring_code_along() {
    for (task, problem) in [
        (
            "{function: '{{ params.x }}', params: {script: 'echo {{ params.x }}'}}",
            "the code has placeholders and its function is one, too",
        ),
        (
            "{shell: {base64: '{{ params.x }}'}}",
            "shell.base64: code in base64 takes no placeholders; write the code as a text",
        ),
        (
            "{function: shell, params: {script: {base64: '{{ params.x }}'}}}",
            "params.script.base64: code in base64 takes no placeholders; write the code as a text",
        ),
        (
            "{function: code_execution, params: {runtime: '{{ params.x }}', code: '{{ params.x }}'}}",
            "the code has placeholders and no known runtime",
        ),
        (
            "{function: shell, params: '{{ params.j }}'}",
            "{{ params.j }} is all of params, with the code in it",
        ),
    ] {
        let text = format!("params: {{x: , j: {{type: json}}}}\ntasks:\n  - {task}\n");
        let told = parse(&text).unwrap_err();
        assert!(told[0].contains(problem), "{told:?}");
    }
}

#[test]
fn what_depends_on_the_value_is_told_with_the_value() {
    let text = "
params: {t: , p: {default: high}, n: , names: {type: list, default: []}}
tasks:
  - function: f
    params: {n: '{{ params.n | int }}'}
    timeout: '{{ params.t }}'
    priority: '{{ params.p }}'
    tags: '{{ params.names }}'
";
    let file = expand(text, &[("t", "5s"), ("n", " 7")]).unwrap();
    assert_eq!(file.tasks[0].options.timeout, Some(Duration::from_secs(5)));
    assert_eq!(file.tasks[0].options.priority, Priority::High);
    assert_eq!(
        expand(text, &[("t", "soon"), ("n", "x"), ("p", "hgh")]).unwrap_err(),
        [
            "t.yaml:5: params.n: {{ params.n | int }}: \"x\" is not a whole number",
            "t.yaml:6: task 1: timeout must be a duration: seconds such as 30 or 0.5, or a text such as \"1m30s\", not \"soon\"",
            "t.yaml:7: task 1: unknown priority \"hgh\"; did you mean \"high\"?",
        ]
    );
}

#[test]
fn wrong_values_are_told_at_once() {
    let text = "
params: {city: , n: {type: integer}, on: {type: boolean, default: true}, s: {type: text}}
tasks: [{shell: 'echo {{ params.city }}'}]
";
    assert_eq!(
        expand(
            text,
            &[("ctiy", "Rome"), ("n", "x"), ("on", "yes"), ("s", "")]
        )
        .unwrap_err(),
        [
            "t.yaml: the template has no parameter \"ctiy\"; did you mean \"city\"?",
            "t.yaml: the parameter \"n\" must be a whole number, not \"x\"",
            "t.yaml: the parameter \"on\" must be true or false, not \"yes\"",
            "t.yaml: the parameter \"city\" (text) is not given and has no default; add --param city=TEXT",
        ]
    );
}

#[test]
fn json_values_have_their_types() {
    let text = "
params: {s: , n: {type: integer, default: 1}, j: {type: json}}
tasks: [{function: f, params: {s: '{{ params.s }}', n: '{{ params.n }}', j: '{{ params.j }}'}}]
";
    let template = parse(text).unwrap();
    let expand = |values: Value| {
        let values = values.as_object().unwrap().clone();
        let expanded = template.expand_json(&values, &ReadOptions::default());
        expanded.map_err(|problems| told(&problems))
    };
    let file = expand(json!({"s": "{{ x }}", "n": null, "j": null})).unwrap();
    assert_eq!(
        file.tasks[0].params.as_str(),
        r#"{"s":"{{ \"{{\" }} x }}","n":1,"j":null}"#
    );
    assert_eq!(
        expand(json!({"s": 7, "n": 1.5, "m": 1})).unwrap_err(),
        [
            "t.yaml: the template has no parameter \"m\"; the parameters are s, n, j",
            "t.yaml: the parameter \"s\" must be a text, not 7; write it in quotes",
            "t.yaml: the parameter \"n\" must be a whole number, not 1.5",
            "t.yaml: the parameter \"j\" (json) is not given and has no default; add \"j\" with a value of type json",
        ]
    );
}

#[test]
fn the_caller_wins_over_the_defaults() {
    let template = parse("defaults: {timeout: 5}\ntasks: [{shell: date}]").unwrap();
    let options = ReadOptions {
        timeout: Some(Duration::from_secs(9)),
        max_retries: Some(0),
        ..ReadOptions::default()
    };
    let file = template.expand(&BTreeMap::new(), &options).unwrap();
    assert_eq!(file.tasks[0].options.timeout, options.timeout);
    assert_eq!(file.tasks[0].options.max_retries, 0);
    let file = template
        .expand_rows("".as_bytes(), "t.csv", &BTreeMap::new(), &options)
        .unwrap();
    assert!(file.tasks.is_empty() && file.problems.is_empty());
}

const CHAIN: &str = r#"
max_concurrent: 3
params: {url: , tries: {type: integer, default: 2}, after: {default: fetch}}
tasks:
  - {id: fetch, http: {url: "{{ params.url }}"}, max_retries: "{{ params.tries }}"}
  - {id: 7, shell: date, depends_on: fetch}
  - id: "size {{ params.url }}"
    depends_on: ["{{ params.after }}", 7, outside]
    shell: echo {{ tasks.fetch.result.status }} {{ tasks["7"].result.stdout }} {{ params.url }} {{ tasks.outside.result }}
"#;

#[test]
fn each_row_is_an_expansion_of_its_own() {
    let table = "url,tries\nhttp://a,\n\n\"{{ tasks.fetch.result }}\",5\n";
    let file = rows(CHAIN, table, &[]);
    assert_eq!(told(&file.problems), NOTHING);
    assert_eq!(
        (&*file.name, file.settings.max_concurrent.unwrap().get()),
        ("t.csv", 3)
    );
    assert_eq!(file.lines, [2, 2, 2, 4, 4, 4]);
    let odd = "size {{ tasks.fetch.result }}";
    assert_eq!(
        ids(&file),
        ["fetch-1", "7-1", "size http://a", "fetch-2", "7-2", odd]
    );
    let retries: Vec<u32> = file
        .tasks
        .iter()
        .map(|task| task.options.max_retries)
        .collect();
    assert_eq!((retries[0], retries[3]), (2, 5));
    assert_eq!(*file.tasks[4].depends_on, ["fetch-2".into()]);
    assert_eq!(
        *file.tasks[5].depends_on,
        ["fetch-2".into(), "7-2".into(), "outside".into()]
    );
    let script = "echo {{ tasks.fetch-2.result.status }} {{ tasks.7-2.result.stdout }} '{{ \"{{\" }} tasks.fetch.result }}' {{ tasks.outside.result }}";
    assert_eq!(file.tasks[5].params.to_value(), json!({"script": script}));
}

#[test]
fn an_id_with_a_placeholder_stays_as_it_comes_out() {
    let text = "
params: {x: }
tasks: [{id: fetch, shell: date}, {id: '{{ params.x }}', shell: date}]
";
    let file = rows(text, "x\nfetch\n", &[]);
    assert_eq!(ids(&file), ["fetch-1", "fetch"]);
}

#[test]
fn what_is_wrong_with_rows_is_told_with_their_lines() {
    let file = rows(CHAIN, "url,tries\na,x\nb,1\nc\nd,-1\n", &[("after", "x")]);
    assert_eq!(
        told(&file.problems),
        [
            "t.csv:2: the parameter \"tries\" must be a whole number, not \"x\"",
            "t.csv:4: the row has 1 cells, the header 2; a cell with a comma goes in double quotes",
            "t.csv:5: task 4 (\"fetch-3\"): max_retries must be a number of retries, 0 or more, not -1",
        ]
    );
    let file = rows(
        CHAIN,
        "tires,url,url,\n1,a,a,\n",
        &[("url", "b"), ("trie", "1")],
    );
    assert_eq!(
        told(&file.problems),
        [
            "t.csv:1: the column \"url\" is there twice; rename one of them",
            "t.csv: the template has no parameter \"trie\"; did you mean \"tries\"?",
            "t.csv:1: the column \"tires\" is not a parameter of the template; did you mean \"tries\"?",
            "t.csv:1: the parameter \"url\" is given by a column and for all rows, too; keep one of them",
            "t.csv:1: the parameter \"url\" is given by a column and for all rows, too; keep one of them",
            "t.csv:1: the column 4 has no name; name it after a parameter, or take it away",
        ]
    );
    let file = rows(
        "params: {a: {type: integer}, b: }\ntasks: [{shell: 'echo {{ params.a }}'}]",
        "a\n \n",
        &[("b", "")],
    );
    assert_eq!(
        told(&file.problems),
        [
            "t.csv:2: the cell of \"a\" (integer) is empty, and there is no default; write a value, or declare a default"
        ]
    );
    let file = rows(CHAIN, "tries\n1\n", &[]);
    assert_eq!(
        told(&file.problems),
        [
            "t.csv: the parameter \"url\" (text) is not given and has no default; add a column \"url\", or --param url=TEXT for all rows"
        ]
    );
}

/// Every value comes back as it was given once the task starts, whatever is around it.
fn comes_back(data: &str, file: &TaskFile) {
    let tasks = |placeholder: &Placeholder| Ok(json!(placeholder.task_id()).into());
    let command = fill(&file.tasks[0].params, &tasks, &|_| Encodings::text()).unwrap();
    let expected = json!({"argv": [data, format!("<{data}>a{data}")]});
    assert_eq!(command.to_value(), expected);
    let shell = fill(&file.tasks[1].params, &tasks, &|_| {
        let shell = Encoding::Shell(batch_template::ShellRules::default());
        Encodings::text().with("", shell)
    })
    .unwrap();
    let shell = shell.to_value();
    let words = shlex::split(shell["script"].as_str().unwrap()).unwrap();
    assert_eq!(words, ["echo", data, "a"]);
}

proptest::proptest! {
    #[test]
    fn values_stay_data(data in "([{}\"'$` \\\\a.;\n]|tasks\\.a|\\{\\{|\\}\\}){0,12}") {
        let text = r#"
params: {x: }
tasks:
  - command: ["{{ params.x }}", "<{{ params.x }}>{{ tasks.a.result }}{{ params.x }}"]
  - shell: echo {{ params.x }} {{ tasks.a.result }}
  - {id: a, shell: date}
"#;
        comes_back(&data, &expand(text, &[("x", &data)]).unwrap());
        // In rows, the reference is to the task of the row.
        let text = text.replace("id: a,", "id: b,");
        let table = format!("x\n\"{}\"\n", data.replace('"', "\"\""));
        let file = rows(&text, &table, &[]);
        proptest::prop_assert_eq!(told(&file.problems), NOTHING);
        comes_back(&data, &file);
    }

    #[test]
    fn foreign_templates_and_tables_are_never_a_panic(
        text in "(params|tasks|shell|id|\\{\\{|\\}\\}|[:{}\\[\\]., \n\"a]){0,30}",
        table in "[a,\"\\n{}' ]{0,40}",
    ) {
        let options = ReadOptions::default();
        if let Ok(template) = parse(&text) {
            let _ = template.expand(&BTreeMap::new(), &options);
        }
        rows("params: {a: }\ntasks: [{shell: 'echo {{ params.a }}', id: x}]", &table, &[]);
    }
}
