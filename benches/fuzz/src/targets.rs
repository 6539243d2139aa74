//! What is given inputs: [`targets`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use batch_actions::Home;
use batch_core::{
    BatchId, BatchSettings, FailureKind, Json, Plan, RunId, TaskSpec, Time,
    duration::{ShortDuration, parse_duration},
    ids::FullTaskId,
    restore::Restorer,
    retry::Condition,
};
use batch_export::{Cause, CauseId, TaskFilter};
use batch_handlers::{HandlerConfig, standard_registry};
use batch_input::{
    CommandTemplate, Format, ItemOptions, ItemSource, ItemTemplate, Items, ReadOptions,
    RowTemplate, SavedTemplate, ShellTemplate, TaskFile, TaskStream, read_tasks,
};
use batch_mcp_client::ToolServers;
use batch_mcp_server::{CallContext, Dispatcher, Session};
use batch_runtime::Registry;
use batch_store::{
    Adding, BatchFile, Durability, LeftBehind, NewBatch, Origin, Selection, Store, StoreError,
};
use batch_template::{Functions, Template, canonical_params};

/// Takes in an input; it must not panic.
type Check = Box<dyn FnMut(&[u8])>;

/// A function that must not panic, whatever bytes it is given.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Makes the function, with what it needs.
    pub make: fn() -> Check,
    /// Inputs that others are made of.
    pub seeds: Vec<Vec<u8>>,
    /// Words that mean something in them.
    pub words: &'static [&'static str],
}

const TASK_WORDS: &[&str] = &[
    "\"id\":",
    "\"name\":",
    "\"shell\":",
    "\"command\":",
    "\"python\":",
    "\"http\":",
    "\"function\":",
    "\"params\":",
    "\"stdin\":",
    "\"depends_on\":",
    "\"priority\":",
    "\"max_retries\":",
    "\"timeout\":",
    "\"retry\":",
    "\"tags\":",
    "\"cwd\":",
    "\"env\":",
    "\"limit\":",
    "\"grace\":",
    "\"defaults\":",
    "\"tasks\":",
    "\"limits\":",
    "{\"base64\":\"/w==\"}",
    "\"simulate\"",
    "\"tool\"",
    "&a",
    "*a",
    "<<: ",
    "- ",
    "---\n",
    "!!binary ",
    "|\n  ",
    ">-\n",
    "? ",
    "\t",
    "# ",
];

const AGENT_WORDS: &[&str] = &[
    "\"bex_run\"",
    "\"bex_wait\"",
    "\"bex_status\"",
    "\"bex_results\"",
    "\"bex_control\"",
    "\"batch_executor\"",
    "\"tasks\":",
    "\"batch\":",
    "\"items\":",
    "\"cursor\":",
    "\"action\":",
    "\"cancel\"",
    "\"retry\"",
    "\"set\"",
    "\"remove\"",
    "\"filter\":",
    "\"task\":",
    "\"timeout_s\":0,",
    "\"wait_s\":0,",
    "\"n\":",
    "\"until\":",
    "\"all\":true",
    "\"plan\":true",
    "\"status\":",
    "\"path\":",
    "\"limit\":",
    "\"b1\"",
    "\"b1.1\"",
];

const FILTER_WORDS: &[&str] = &[
    "status:",
    "failed,",
    "priority>=",
    "tag:",
    "-",
    "!",
    "~",
    "time>",
    "wait<=",
    "retries!=",
    "exit_code:",
    "signal=",
    "flaky:true",
    "cause:c",
    "task:b1.",
    "name:\"",
    "1m30s",
    "\\\"",
    "reason:",
];

const TEMPLATE_WORDS: &[&str] = &[
    "{.}",
    "{/}",
    "{//}",
    "{/.}",
    "{#}",
    "'",
    "\"",
    "$(",
    "`",
    "$((",
    "<<EOF\n",
    "#",
    "${",
    "case x in",
    "esac",
    "| int }}",
    "| trim }}",
    "| json }}",
    "tasks.a.result",
    "[0]",
    "[\"a\"]",
    "\"params\":",
    "\"default\":",
    "\"choices\":",
    "\"type\":",
    "\"integer\"",
    "\"list\"",
    "\"json\"",
    "f\"",
    "\"\"\"",
    "${`",
    "//",
    "/*",
];

fn target(
    name: &'static str,
    make: fn() -> Check,
    seeds: Vec<Vec<u8>>,
    words: &'static [&'static str],
) -> Target {
    Target {
        name,
        make,
        seeds,
        words,
    }
}

/// All of them.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn targets() -> Vec<Target> {
    vec![
        target(
            "json",
            || Box::new(|input: &[u8]| read(input, Format::Json)),
            tasks_in_json(),
            TASK_WORDS,
        ),
        target(
            "jsonl",
            || Box::new(|input: &[u8]| read(input, Format::Jsonl)),
            tasks_in_lines(),
            TASK_WORDS,
        ),
        target(
            "yaml",
            || Box::new(|input: &[u8]| read(input, Format::Yaml)),
            tasks_in_yaml(),
            TASK_WORDS,
        ),
        target("csv", || Box::new(csv), tables(), TEMPLATE_WORDS),
        target("filter", || Box::new(filter), filters(), FILTER_WORDS),
        target(
            "template",
            || Box::new(template),
            templates(),
            TEMPLATE_WORDS,
        ),
        target(
            "saved",
            || Box::new(saved),
            saved_templates(),
            TEMPLATE_WORDS,
        ),
        target(
            "duration",
            || Box::new(small_texts),
            small(),
            &["ms", "s", "m", "h", "d", "b7.42", "SIGKILL", "c3fa21b"],
        ),
        target(
            "config",
            config,
            configs(),
            &[
                "[mcp_servers.",
                "${HOME}",
                "command = ",
                "timeout = ",
                "[functions]\n",
            ],
        ),
        target(
            "batch",
            batch,
            vec![batch_file()],
            &[
                "{\"priority\":",
                "queued",
                "completed",
                "failed",
                "b64",
                "specs",
            ],
        ),
        target("agent", agent, calls(), AGENT_WORDS),
    ]
}

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn tasks_in_json() -> Vec<Vec<u8>> {
    bytes(&[
        include_str!("../../../crates/batch-input/tests/data/same.json"),
        include_str!("../../../crates/batch-input/tests/data/bad.json"),
        include_str!("../../../crates/batch-input/tests/data/add_batch.json"),
        r#"[{"id":"a","shell":"echo 1","depends_on":["b","b"],"tags":["x"],"env":{"A":"1"},"cwd":"s"},{"id":"b","command":["echo",1,{"base64":"/w=="}]}]"#,
        r#"{"name":"n","key":"k","max_concurrent":3,"batch_timeout":"1m","limits":{"l":2},"defaults":{"timeout":3,"retry":{"backoff":"fixed","initial":1,"on":[3,"SIGKILL","timeout"]}},"tasks":[{"python":"print({{ tasks.b.result.stdout | trim }})","limit":"l"},{"id":"b","http":{"url":"http://h/","headers":{"A":"b"},"body":{"n":12345678901234567890123}}}]}"#,
        r#"[{"function":"simulate","params":{"duration":1e-3,"fail":2},"grace":0,"on_interrupt":"hold","priority":"high"}]"#,
    ])
}

fn tasks_in_lines() -> Vec<Vec<u8>> {
    bytes(&[
        "{\"shell\":\"true\"}\n\n{\"id\":\"a\",\"command\":[\"x\"]}\r\n{\"depends_on\":\"a\",\"node\":\"1\"}",
        "{\"function\":\"http\",\"params\":{\"url\":\"{{ tasks.a.result }}\"}}\n",
    ])
}

fn tasks_in_yaml() -> Vec<Vec<u8>> {
    bytes(&[
        include_str!("../../../crates/batch-input/tests/data/same.yaml"),
        include_str!("../../../crates/batch-input/tests/data/bad.yaml"),
        include_str!("../../../examples/hello.yaml"),
        "- &a {id: a, shell: echo 1, env: {A: 0x10, B: 1_000, C: .5, D: ~}}\n- {shell: *b}\n- <<: *a\n",
        "tasks:\n  - command: [a, 'b c', \"d\\n\"]\n    timeout: 1m30s\n  - python: |\n      print(1)\n",
    ])
}

fn tables() -> Vec<Vec<u8>> {
    bytes(&[
        "a,b\n1,2\n\"x, y\",\"q\"\"q\"\n",
        "{\"command\":[\"echo\",\"{{ row.a }}\"],\"id\":\"r-{{ row.b }}\"}\0a,b\r\n1,2\r\n",
        "{\"function\":\"http\"}\0url,method\nhttp://h/,GET\n",
    ])
}

fn filters() -> Vec<Vec<u8>> {
    bytes(&[
        "status:failed,cancelled priority>=high -tag:slow time>1m30s",
        "error:~\"no such \\\"file\\\"\" task:b7.42,3 retries!=2 flaky:true",
        "cause:c3fa21b exit_code>=-1 !signal:9 wait<=0.5",
    ])
}

fn templates() -> Vec<Vec<u8>> {
    bytes(&[
        "echo {} | sed 's/a/b/' > \"$(basename {/.}).txt\" # {#}",
        "cat <<EOF\n{}\nEOF\necho `date` $((1+{}))",
        "a {{ tasks.fetch.result.body.id | int }} b {{ \"{{\" }} {{ row[\"x y\"] | trim | json }}",
        "print(f\"{x}\", '''a''', {{ params.a }}) # c",
        "console.log(`${ {{ params.a }} }`, /re{}/, {} / 2)",
    ])
}

fn saved_templates() -> Vec<Vec<u8>> {
    bytes(&[
        r#"{"params":{"a":{"type":"integer","default":1,"choices":[1,2]},"b":{"type":"list"},"c":{"type":"json","default":{"x":1}}},"tasks":[{"id":"t","shell":"echo {{ params.a }} {{ params.c.x }}","tags":["{{ params.b[0] }}"]},{"depends_on":"t","python":"print({{ params.c }})"}]}"#,
        "params:\n  city: {type: text}\n  times: {type: integer, default: 1}\ntasks:\n  - shell: echo {{ params.city }}\n",
    ])
}

fn small() -> Vec<Vec<u8>> {
    bytes(&[
        "1m30s",
        "0.5",
        "250ms",
        " 1h 5m ",
        "213503982334601d",
        "b7.42",
        "SIGKILL",
        "404",
        "{\"a\":[1.50,-0,1e5,\"\\u00e4\"],\"a\":null}",
    ])
}

fn configs() -> Vec<Vec<u8>> {
    bytes(&[
        "[mcp_servers.files]\ncommand = \"x\"\nargs = [\"--root\", \"${HOME}/d\"]\nenv = { A = \"${B}\" }\ntimeout = \"30s\"\nmax_concurrent = 4\n[mcp_servers.s]\nurl = \"https://h/mcp\"\nheaders = { Authorization = \"Bearer ${T}\" }\n[functions]\nf = \"s.query\"\n",
    ])
}

fn calls() -> Vec<Vec<u8>> {
    bytes(&[
        r#"{"tool":"bex_run","arguments":{"tasks":[{"shell":"true"},{"command":["a"],"id":"x"}],"wait_s":0,"plan":true}}"#,
        r#"{"tool":"bex_run","arguments":{"shell":"echo {}","items":["a",1],"key":"k","timeout":"1m","plan":true}}"#,
        r#"{"tool":"bex_wait","arguments":{"batch":"b1","until":"n","n":3,"timeout_s":0,"cursor":"c1:2:3"}}"#,
        r#"{"tool":"bex_status","arguments":{"task":"b1.1","all":false}}"#,
        r#"{"tool":"bex_results","arguments":{"batch":"b1","filter":"status:failed","limit":5,"format":"json"}}"#,
        r#"{"tool":"bex_control","arguments":{"batch":"b1","action":"cancel","tasks":["1"],"dry_run":true}}"#,
        r#"{"tool":"batch_executor","arguments":{"action":"status","batch_id":"b1"}}"#,
    ])
}

/// The functions that templates may name.
fn functions() -> Arc<dyn Functions> {
    static FUNCTIONS: LazyLock<Arc<Registry>> = LazyLock::new(|| Arc::new(registry()));
    Arc::clone(&*FUNCTIONS) as Arc<dyn Functions>
}

fn registry() -> Registry {
    standard_registry(&HandlerConfig::new(std::env::temp_dir()))
}

fn read(input: &[u8], format: Format) {
    if let Ok(file) = read_tasks(input, "input", format, &ReadOptions::default()) {
        check(&file);
    }
}

/// What is done with every file before it runs.
fn check(file: &TaskFile) {
    for problem in &file.problems {
        let _ = problem.to_string();
    }
    match Plan::check(file.tasks.clone(), &registry()) {
        Ok(plan) => plan
            .tasks()
            .for_each(|(task, _)| same_when_written_again(&task.params)),
        Err(found) => drop(file.all_problems(found)),
    }
}

/// The canonical form says what the parameters say, and is its own.
fn same_when_written_again(params: &Json) {
    let canonical = canonical_params(params);
    let again = Json::parse(&canonical).map(|again| canonical_params(&again));
    // What lies near the end of the range of floats may be past it when it is written in another way.
    assert!(
        again.is_err() || again.is_ok_and(|again| again == canonical),
        "{params}"
    );
}

fn csv(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let first = parts.next().unwrap_or_default();
    let (template, table) = match parts.next() {
        Some(table) => (first, table),
        None => (br#"{"command":["echo","{{ row.a }}"]}"#.as_slice(), first),
    };
    let template = RowTemplate::parse(template, "template", Format::Json, functions());
    if let Ok(file) = batch_input::read_csv(table, "table", &template, &ReadOptions::default()) {
        check(&file);
    }
}

fn filter(input: &[u8]) {
    let _ = TaskFilter::parse(&String::from_utf8_lossy(input)).map_err(|error| error.to_string());
}

fn template(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let _ = Template::parse(&text).map_err(|error| error.to_string());
    for code in ["shell", "python", "node"] {
        let task = serde_json::json!([{ (code): &*text, "id": "b", "stdin": "{{ x" }, { "id": "a", "shell": "x" }]);
        read(task.to_string().as_bytes(), Format::Json);
    }
    let words = input.split(|byte| *byte == b' ');
    let words = words.map(|word| OsString::from_vec(word.to_vec()));
    let words: Vec<OsString> = words.collect();
    let script = OsString::from_vec(input.to_vec());
    for separator in ["", "comma"] {
        let items = ["a b", "", "'; x", "/d/e.f,\"x\",y"]
            .map(OsString::from)
            .to_vec();
        let options = ItemOptions {
            separator: separator.parse().ok(),
            ..ItemOptions::default()
        };
        let items = || {
            let sources = vec![vec![ItemSource::list(items.clone())]];
            Items::product(sources, options.clone()).expect("one source goes with all options")
        };
        let (words, script) = (words.clone(), script.clone());
        let command = TaskStream::new(items(), Arc::default(), move |columns| {
            CommandTemplate::new(words, columns, false).map(ItemTemplate::Command)
        });
        let shell = TaskStream::new(items(), Arc::default(), move |columns| {
            ShellTemplate::new(script, columns, false).map(ItemTemplate::Shell)
        });
        for stream in [command, shell].into_iter().flatten() {
            stream.for_each(|task| drop(task.map_err(|error| error.to_string())));
        }
    }
}

fn saved(input: &[u8]) {
    for format in [Format::Json, Format::Yaml] {
        let Ok(template) = SavedTemplate::parse(input, "t", format, functions()) else {
            continue;
        };
        let texts = ["", "1", "a,b", "{\"x\":\"{{\"}", "$(x)"];
        for text in texts {
            let names = ["a", "b", "c", "city", "times"];
            let values: BTreeMap<String, String> =
                names.map(|name| (name.to_owned(), text.to_owned())).into();
            if let Ok(file) = template.expand(&values, &ReadOptions::default()) {
                check(&file);
            }
        }
        let table = b"a,b,c,city,times\n1,x,2,y,3\n,,,,\n".as_slice();
        let rows = template.expand_rows(table, "rows", &BTreeMap::new(), &ReadOptions::default());
        if let Ok(file) = rows {
            check(&file);
        }
    }
}

fn small_texts(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(duration) = parse_duration(&text) {
        let _ = ShortDuration(duration).to_string();
        let _ = Time::ZERO.after(duration).after(duration);
    }
    let _ = text
        .parse::<FullTaskId>()
        .map_err(|error| error.to_string());
    let _ = text.parse::<BatchId>().map(|id| id.to_string());
    let _ = text.parse::<Condition>().map_err(|error| error.to_string());
    let _ = text.parse::<CauseId>();
    let _ = Cause::of(&text, FailureKind::ExitCode(1), &text, input);
    if let Ok(json) = Json::parse(&text) {
        same_when_written_again(&json);
        let _ = json.to_value();
    }
}

fn config() -> Check {
    let folder = tempfile::tempdir().expect("a folder can be made");
    Box::new(move |input: &[u8]| {
        let path = folder.path().join("config.toml");
        std::fs::write(&path, input).expect("a file can be written");
        let _ = ToolServers::load(&path).map_err(|error| error.to_string());
    })
}

/// A batch file with two tasks.
fn batch_file() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("b1.db");
    let new = NewBatch {
        batch: BatchId::default(),
        settings: BatchSettings::default(),
        origin: Origin::default(),
        created_at: Time::ZERO,
    };
    let make = || -> Result<(), StoreError> {
        let mut store = Store::create(BatchFile::new(&path), &new, Durability::Fast)?;
        let mut adding: Adding<'_> = store.adding(Time::ZERO)?;
        let tasks = [
            TaskSpec::new("simulate").with_id("a"),
            TaskSpec::new("simulate").after("a"),
        ];
        let needs = [Vec::new(), vec![batch_core::TaskId::from_index(0).into()]];
        adding.add(tasks.iter().zip(needs))?;
        adding.commit()?;
        store.checkpoint()
    };
    make().expect("a batch can be made");
    std::fs::read(path).expect("a batch can be read")
}

fn batch() -> Check {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let number = Cell::new(0_u32);
    Box::new(move |input: &[u8]| {
        number.set(number.get() + 1);
        let place = folder.path().join(number.get().to_string());
        std::fs::create_dir(&place).expect("a folder can be made");
        let path = place.join("b1.db");
        std::fs::write(&path, input).expect("a file can be written");
        let _ = look(&path).map_err(|error| error.to_string());
        let _ = std::fs::remove_dir_all(place);
    })
}

/// All that is read of a file.
fn look(path: &Path) -> Result<(), StoreError> {
    let mut store = Store::open(BatchFile::new(path), Durability::Fast)?;
    let info = store.info();
    let _ = store.overview();
    let _ = store.causes();
    let read = store.for_each_task(&Selection::default(), |record| {
        same_when_written_again(&record.spec.params);
        Ok::<bool, StoreError>(true)
    });
    let settings = info?.settings;
    let mut batch = Restorer::new(settings, RunId(1));
    let _ = store.load(&mut batch, &LeftBehind::default(), Time::ZERO, |_| {});
    let _ = store.adding(Time::ZERO).and_then(Adding::commit);
    read
}

fn agent() -> Check {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let place: PathBuf = folder.path().to_owned();
    let dispatcher = Dispatcher::new(Session {
        folder: place.clone(),
        ..Session::new(Home::new(place.join("home")), registry(), |_| {
            Command::new("false")
        })
    });
    Box::new(move |input: &[u8]| {
        let _ = &folder;
        let Ok(serde_json::Value::Object(call)) = serde_json::from_slice(input) else {
            return;
        };
        let arguments = call.get("arguments").and_then(|value| value.as_object());
        let (Some(tool), Some(arguments)) =
            (call.get("tool").and_then(|tool| tool.as_str()), arguments)
        else {
            return;
        };
        let mut arguments = arguments.clone();
        // Nobody waits here.
        for (name, value) in [
            ("wait_s", 0.into()),
            ("timeout_s", 0.into()),
            ("plan", true.into()),
        ] {
            if name != "plan" || tool == "bex_run" {
                arguments.entry(name).or_insert(value);
            }
        }
        arguments.retain(|name, _| name != "file" && name != "path");
        let _ = dispatcher.call(tool, &arguments, &CallContext::default());
    })
}
