//! `bex run` from outside: items, placeholders, results, exit codes, retries and dependencies.

mod common;

use serde_json::{Value, json};

use common::{Place, finish};

/// The task object of a JSON export whose field `key` is `value`.
#[track_caller]
fn task_by<'a>(document: &'a Value, key: &str, value: &str) -> &'a Value {
    let tasks = document["tasks"].as_array().unwrap();
    let found = tasks.iter().find(|task| task[key] == value);
    found.unwrap_or_else(|| panic!("no task {value} in {document}"))
}

#[track_caller]
fn task<'a>(document: &'a Value, id: &str) -> &'a Value {
    task_by(document, "id", id)
}

// Items

#[test]
fn items_come_from_the_lines_of_standard_input() {
    let ended = Place::new().bex_with(b"a b\nc\n", &["run", "-k", "--", "echo", "got"]);
    assert_eq!(ended.expect(0).stdout, "got a b\ngot c\n");
}

#[test]
fn a_last_line_without_a_newline_counts() {
    let ended = Place::new().bex_with(b"a\nb", &["run", "-k", "--", "echo"]);
    assert_eq!(ended.expect(0).stdout, "a\nb\n");
}

#[test]
fn items_come_from_the_command_line() {
    let ended = Place::new().bex(&["run", "-k", "--", "printf", "%s.", ":::", "a b", "$HOME"]);
    assert_eq!(ended.expect(0).stdout, "a b.$HOME.");
}

#[test]
fn a_second_separator_of_items_is_refused() {
    let place = Place::new();
    let args = ["run", "--", "touch", ":::", "a", ":::", "b"];
    let refused = place.bex(&args).expect(2);
    assert!(refused.stderr.contains("a second :::"), "{refused:?}");
    assert!(!place.has("a"));
    // As it stands it comes by standard input, and to other verbs it is a word like any other.
    let args = ["run", "-k", "--", "echo"];
    assert_eq!(place.bex_with(b":::\n", &args).expect(0).stdout, ":::\n");
    place.bex(&["add", "--", "echo", ":::", "a"]).expect(0);
    let task = place.bex(&["show", "2", "--json"]).expect(0).json();
    assert_eq!(task["params"]["argv"], json!(["echo", ":::", "a"]));
}

#[test]
fn a_shell_gets_items_quoted() {
    let place = Place::new();
    let items = [
        "$(touch x)",
        "`touch x`",
        "a'b\"c",
        "; touch x",
        "-",
        "two  spaces",
        "*",
    ];
    let mut args = vec!["run", "-k", "--shell", "printf '%s\\n' {}", ":::"];
    args.extend(items);
    let ended = place.bex(&args).expect(0);
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), items);
    assert!(!place.has("x"), "an item was executed");
    let ended = place.bex_with(
        b"$(touch x)\nb\n",
        &["run", "-k", "--shell", "echo {} | tr a-z A-Z"],
    );
    assert_eq!(ended.expect(0).stdout, "$(TOUCH X)\nB\n");
    assert!(!place.has("x"), "a line was executed");
}

#[test]
fn items_may_end_with_nul() {
    let args = ["run", "-k", "-0", "--", "printf", "<%s>"];
    let ended = Place::new().bex_with(b"a\nb\0c\0", &args);
    assert_eq!(ended.expect(0).stdout, "<a\nb><c>");
}

#[test]
fn no_items_is_success_and_runs_nothing() {
    let place = Place::new();
    let ended = place
        .bex_with(b"", &["run", "--", "touch", "marker"])
        .expect(0);
    assert_eq!(ended.stdout, "");
    assert!(!place.has("marker"));
    place.tasks(&json!([]));
    place
        .bex(&["run", "tasks.json", "--format", "jsonl"])
        .expect(0);
}

// Placeholders

#[test]
fn what_runs_nothing_leaves_no_batch() {
    let place = Place::new();
    place.tasks(&json!([]));
    for (args, code) in [
        (&["run", "--", "echo"][..], 0),
        (&["run", "tasks.json"], 0),
        (&["run", "--key", "k", "--", "echo"], 0),
        (&["run", "--resume", "tasks.json"], 0),
        (&["run", "--store", "b.db", "tasks.json"], 0),
        (&["run", "-o", "none/out.json", "--", "echo", ":::", "a"], 3),
        (&["run", "--resume", "tasks.json", "-o", "none/x.csv"], 3),
    ] {
        let ended = place.bex(args).expect(code);
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(
            code != 0 || ended.stderr.ends_with("0 tasks\n"),
            "{ended:?}"
        );
    }
    let long = [b'x'; 200_000];
    place.bex_with(&long, &["run", "--", "echo"]).expect(2);
    assert_eq!(place.bex(&["list"]).expect(0).stdout, "no batches\n");
    assert!(!place.has("b.db"));
    place
        .bex(&["run", "tasks.json", "-o", "out.json"])
        .expect(0);
    assert!(place.read("out.json").contains("\"total_tasks\":0"));
}

#[test]
fn every_placeholder_is_replaced() {
    let args = [
        "run", "-k", "--", "echo", "{}", "{.}", "{/}", "{//}", "{#}", "a{}b", ":::",
    ];
    let mut args = args.to_vec();
    args.extend(["d.x/f.tar.gz", "plain"]);
    let ended = Place::new().bex(&args).expect(0);
    let expected =
        "d.x/f.tar.gz d.x/f.tar f.tar.gz d.x 1 ad.x/f.tar.gzb\nplain plain plain . 2 aplainb\n";
    assert_eq!(ended.stdout, expected);
}

#[test]
fn a_command_without_a_placeholder_gets_the_item_appended() {
    let ended = Place::new().bex(&["run", "-k", "--", "echo", "x", ":::", "a"]);
    assert_eq!(ended.expect(0).stdout, "x a\n");
    let ended = Place::new().bex(&["run", "-k", "--", "echo", "n{#}", ":::", "a", "b"]);
    assert_eq!(ended.expect(0).stdout, "n1\nn2\n");
}

#[test]
fn a_template_of_another_tool_arrives_unchanged_from_the_command_line() {
    let args = ["run", "--", "echo", "{{.Names}}", ":::", "a"];
    let ended = Place::new().bex(&args).expect(0);
    assert_eq!(ended.stdout, "{{.Names}} a\n");
}

#[test]
fn a_file_refuses_an_unknown_placeholder_and_says_how_to_write_braces() {
    let place = Place::new();
    place.tasks(&json!([{"command": ["echo", "{{.Names}}"]}]));
    let ended = place
        .bex(&["run", "tasks.json", "--format", "raw"])
        .expect(2);
    let escape = r#"{{ "{{" }}"#;
    assert!(
        ended.stderr.contains(".Names") && ended.stderr.contains(escape),
        "{ended:#?}"
    );
    place.tasks(&json!([{"command": ["echo", format!("{escape}.Names}}}}")]}]));
    let ended = place
        .bex(&["run", "tasks.json", "--format", "raw"])
        .expect(0);
    assert_eq!(ended.stdout, "{{.Names}}\n");
}

// Output

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
    let why = "b1 is stopped: nobody read its output any more; go on with: bex resume -b b1";
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
        ("--status", "failed", "bad"),
        ("--filter", "status:failed", "bad"),
        ("--status", "completed", "good"),
        ("--priority", "low", "bad"),
        ("--tag", "t", "good"),
    ];
    for (option, value, id) in cases {
        let ended = place.bex(&["run", "tasks.json", "--format", "jsonl", option, value]);
        let task = ended.expect(1).json();
        assert_eq!(task["id"], id, "{option} {value}");
    }
    place
        .bex(&["run", "tasks.json", "--status", "nonsense"])
        .expect(2);
    place
        .bex(&["run", "tasks.json", "--filter", "nonsense:x"])
        .expect(2);
}

// Exit codes and wrong input

#[test]
fn the_exit_code_tells_how_it_went() {
    let place = Place::new();
    place.bex(&["run", "--", "true", ":::", "a", "b"]).expect(0);
    let ended = place
        .bex(&["run", "--shell", "exit {}", ":::", "0", "3"])
        .expect(1);
    assert!(ended.stderr.contains("exit code 3"), "{ended:#?}");
    place
        .bex(&["run", "--", "no-such-program-98760", ":::", "a"])
        .expect(1);
}

#[test]
fn wrong_usage_exits_2_and_runs_nothing() {
    let place = Place::new();
    place.tasks(&json!([{"shell": "touch marker"}]));
    let wrong: [&[&str]; 9] = [
        &["run"],
        &["run", "--no-such-option", "tasks.json"],
        &["no-such-verb"],
        &["run", "tasks.json", "--", "echo"],
        &["run", "tasks.json", "--shell", "echo {}"],
        &["run", "no-such-file.json"],
        &["run", "tasks.json", "-j", "0"],
        &["run", "tasks.json", "--timeout", "soon"],
        &["run", "tasks.json", "--format", "xml"],
    ];
    for args in wrong {
        let ended = place.bex(args).expect(2);
        assert!(!ended.stderr.is_empty(), "{args:?} says nothing");
        assert_eq!(ended.stdout, "", "{args:?}");
    }
    assert!(!place.has("marker"));
}

#[test]
fn what_was_meant_is_told() {
    let place = Place::new();
    place.tasks(&json!([{ "command": ["echo", "x".repeat(200_000)] }]));
    let long = [b'x'; 200_000];
    for (input, args, hint) in [
        (&b""[..], &["run", "nofile"][..], "bex run -- nofile"),
        (b"", &["run", "none.json"], "there is no file none.json"),
        (b"", &["run", "-j0", "--", "x"], "at least one task"),
        (b"", &["start", "-j", "two"], "a number of tasks"),
        (b"", &["run", "--resume", "--", "x"], "bex resume"),
        (b"[]", &["run", "--resume", "-"], "a file that has a name"),
        (b"", &["add", "--id", "", "--", "x"], "--id is empty"),
        (
            b"",
            &["run", "tasks.json"],
            "params.argv[1]: is 200000 bytes long",
        ),
        (
            &long,
            &["run", "--", "echo"],
            "the system takes 131071 at most",
        ),
    ] {
        let refused = place.bex_with(input, args).expect(2);
        assert!(refused.stderr.contains(hint), "{hint}: {refused:?}");
    }
    assert_eq!(place.bex(&["list"]).expect(0).stdout, "no batches\n");
}

#[test]
fn text_never_has_control_characters_and_raw_output_has_all() {
    let place = Place::new();
    let script = r"printf 'a\033[31m\n'";
    let run = |more: &[&str]| {
        let items = ["--shell", script, ":::", "x"];
        place.bex(&[&["run"], more, &items].concat()).expect(0);
    };
    run(&["--format=text", "-o", "out.txt"]);
    run(&["-o", "raw.txt", "--format=raw"]);
    assert!(!place.read("out.txt").contains('\x1b'));
    assert_eq!(place.read("raw.txt"), "a\x1b[31m\n");
    let results = |format| place.bex(&["results", "--format", format]).expect(0).stdout;
    assert!(!results("text").contains('\x1b'));
    assert_eq!(results("raw"), "a\x1b[31m\n");
}

#[test]
fn what_is_printed_into_a_closed_pipe_is_no_error() {
    let place = Place::new();
    for verb in ["man", "completions bash"] {
        let mut shell = place.command("sh");
        let script = format!("{} {verb} | head -n 1", env!("CARGO_BIN_EXE_bex"));
        shell.args(["-c", &script]);
        assert_eq!(finish(shell, b"").expect(0).stderr, "", "{verb}");
    }
}

#[test]
fn an_unknown_function_exits_2_with_a_suggestion() {
    let place = Place::new();
    place.tasks(&json!([{"function": "comand", "params": {"argv": ["touch", "marker"]}}]));
    let ended = place.bex(&["run", "tasks.json"]).expect(2);
    assert!(
        ended.stderr.contains("comand") && ended.stderr.contains("command"),
        "{ended:#?}"
    );
    let params = r#"{"script":"touch marker"}"#;
    let args = ["run", "--function", "shel", "--params", params, ":::", "a"];
    let ended = place.bex(&args).expect(2);
    assert!(ended.stderr.contains("shel"), "{ended:#?}");
    assert!(!place.has("marker"));
}

#[test]
fn a_bad_file_names_all_its_mistakes_and_runs_nothing() {
    let place = Place::new();
    let file = r#"{"tasks": [
  {"id": "fine", "shell": "touch marker"},
  {"id": "m1", "function": "shel", "params": {"script": "true"}},
  {"id": "m2", "shell": "true", "prioriti": "high"},
  {"id": "m3", "shell": "true", "priority": "urgent"},
  {"id": "m4", "shell": "true", "depends_on": ["nobody"]},
  {"id": "m5", "command": ["echo", "{{ tasks.missing.result }}"]}
]}
"#;
    std::fs::write(place.path("bad.json"), file).unwrap();
    let ended = place.bex(&["run", "bad.json"]).expect(2);
    let mistakes = [
        (3, "shel"),
        (4, "prioriti"),
        (5, "urgent"),
        (6, "nobody"),
        (7, "missing"),
    ];
    for (line, word) in mistakes {
        let at = format!("bad.json:{line}:");
        let names = |text: &str| text.contains(&at) && text.contains(word);
        assert!(
            ended.stderr.lines().any(names),
            "no {at} with {word}: {}",
            ended.stderr
        );
    }
    assert_eq!(ended.stdout, "");
    assert!(!place.has("marker"), "a task of a bad file ran");
}

#[test]
fn a_dry_run_runs_nothing() {
    let place = Place::new();
    let ended = place
        .bex(&["run", "--dry-run", "--", "touch", ":::", "one", "two"])
        .expect(0);
    assert!(
        ended.stdout.contains("touch one") && ended.stdout.contains("touch two"),
        "{ended:#?}"
    );
    place.tasks(&json!([{"shell": "touch three"}]));
    let ended = place.bex(&["run", "--dry-run", "tasks.json"]).expect(0);
    assert!(ended.stdout.contains("touch three"), "{ended:#?}");
    assert!(!place.has("one") && !place.has("two") && !place.has("three"));
}

// The order and fate of tasks

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
    // Whoever waits for it hears the same.
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
fn other_verbs_print_something() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            place
                .bex(&["completions", shell])
                .expect(0)
                .stdout
                .contains("bex"),
            "{shell}"
        );
    }
    assert!(place.bex(&["man"]).expect(0).stdout.contains(".TH bex"));
    assert!(place.bex(&["--help"]).expect(0).stdout.contains("run"));
    assert!(
        place
            .bex(&["--version"])
            .expect(0)
            .stdout
            .starts_with("bex ")
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
fn limits_of_nothing_and_empty_keys_are_refused() {
    let place = Place::new();
    for wrong in [
        &["--timeout", "0"][..],
        &["--batch-timeout", "0"],
        &["--key", ""],
        &["--durability", "none", "--key", "k"],
        &["--durability", "none", "--store", "x.db"],
    ] {
        let command = ["run"]
            .iter()
            .chain(wrong)
            .chain(&["--", "echo", ":::", "a"]);
        let command: Vec<&str> = command.copied().collect();
        let refused = place.bex(&command).expect(2);
        assert_eq!(refused.stdout, "", "{refused:?}");
    }
}

#[test]
fn results_go_to_a_file_also_when_none_are_shown() {
    let place = Place::new();
    let run = [
        "run", "-o", "o.csv", "--format", "none", "--", "echo", ":::", "a",
    ];
    assert_eq!(place.bex(&run).expect(0).stdout, "");
    assert_eq!(place.read("o.csv").lines().count(), 2);
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
        refused.stderr.contains("stands in single quotes"),
        "{refused:?}"
    );
    assert!(!place.has("ran"));
}
