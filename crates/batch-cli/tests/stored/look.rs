//! Verbs that show something, over a batch that has run: `status`, `list`, `show`, `why`, `logs`, `results`, `export`.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::{Place, finish};

/// A batch b1 with a task of each outcome, and one of each kind of output.
fn ended() -> Place {
    let place = Place::new();
    place.tasks(&json!({
        "name": "mixed",
        "max_concurrent": 1,
        "defaults": { "max_retries": 0 },
        "tasks": [
            { "id": "good", "shell": "echo fine; echo note >&2", "tags": ["a"] },
            { "id": "bad", "name": "Convert 7", "shell": "echo oops >&2; exit 3", "priority": "low" },
            { "id": "after", "command": ["true"], "depends_on": ["bad"] },
            {
                "id": "flaky", "shell": "test -e seen || { touch seen; exit 4; }", "priority": "high",
                "max_retries": 1, "retry": { "backoff": "none" },
            },
        ],
    }));
    let run = [
        "run",
        "tasks.json",
        "--format",
        "none",
        "--progress",
        "none",
    ];
    place.bex(&run).expect(1);
    place
}

/// Puts words for what is different each time: times, durations, ids of processes, the folder.
fn redacted(place: &Place, text: &str) -> String {
    let text = text.replace(
        place.path("").to_str().unwrap().trim_end_matches('/'),
        "FOLDER",
    );
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let bare = word.trim_end_matches(['.', ',', ';']);
            let end = &word[bare.len()..];
            let known = match bare {
                _ if bare.len() == 24 && bare.ends_with('Z') => "TIME",
                _ if is_duration(bare) => "DUR",
                _ if bare.ends_with("/s)") => "(RATE)",
                _ => {
                    words.push(word.to_owned());
                    continue;
                }
            };
            // How wide a duration is differs as well.
            while known == "DUR" && words.last().is_some_and(String::is_empty) {
                words.pop();
            }
            words.push(format!("{known}{end}"));
        }
        lines.push(words.join(" "));
    }
    lines.join("\n")
}

fn is_duration(word: &str) -> bool {
    let known = |c: char| c.is_ascii_digit() || ".smh".contains(c);
    word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with('s') && word.chars().all(known)
}

fn shown(place: &Place, args: &[&str]) -> String {
    let ended = place.bex(args).expect(0);
    assert_eq!(ended.stderr, "");
    redacted(place, &ended.stdout)
}

#[test]
fn status_tells_how_it_went_and_why_tasks_failed() {
    insta::assert_snapshot!(shown(&ended(), &["status"]), @r"
    b1 (mixed) finished with failures
    Progress: 100.0% (4 of 4 tasks)
    2 completed, 1 failed, 1 cancelled (1 flaky)
    execution time: median DUR, 95 % within DUR, longest DUR
    1 failed, 1 cause:
      cbdfb72  1 x shell: exit code 3: oops
               b1.2 Convert 7
    ");
}

#[test]
fn status_of_a_batch_that_has_not_begun() {
    let place = Place::new();
    place.bex(&["add", "--", "true"]).expect(0);
    insta::assert_snapshot!(shown(&place, &["status", "--detailed"]), @r"
    b1 is new: not started yet
    Progress: 0.0% (0 of 1 task)
    1 queued
    ");
}

#[test]
fn status_as_json() {
    let status = ended().bex(&["status", "--json"]).expect(0).json();
    let expected = json!({
        "batch": "b1", "name": "mixed", "state": "failed", "reason": null, "total": 4, "queued": 0,
        "running": 0, "completed": 2, "failed": 1, "cancelled": 1, "progress": 100.0, "flaky": 1,
        "retries": 1, "pid": null, "max_concurrent": 1, "rate": null, "seconds_left": null,
        "running_tasks": null,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&status[name], value, "{name}");
    }
    let cause = &status["causes"][0];
    assert_eq!(
        (&cause["count"], &cause["sample_task"]),
        (&json!(1), &json!("b1.2"))
    );
}

#[test]
fn list_has_a_line_a_batch() {
    let place = ended();
    place.bex(&["add", "--new", "--", "true"]).expect(0);
    place
        .bex(&["add", "--new", "--file", "tasks.json"])
        .expect(0);
    std::fs::write(place.path("home/batches/b4.db"), "no batch at all").unwrap();
    insta::assert_snapshot!(shown(&place, &["list"]), @r"
    batch  state               finished   failed      age  name
    b1     failed                   4/4        1 DUR  mixed
    b2     new                      0/1        0 DUR  true
    b3     new                      0/4        0 DUR  mixed
    b4     unreadable: FOLDER/home/batches/b4.db is not a batch file of bex
    ");
    let list = place.bex(&["list", "--json"]).expect(0).json();
    let states: Vec<&Value> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|batch| &batch["state"])
        .collect();
    assert_eq!(
        states,
        [&json!("failed"), &json!("new"), &json!("new"), &Value::Null]
    );
    assert_ne!(list[3]["error"], Value::Null);
}

#[test]
fn show_has_all_that_is_known_of_a_task() {
    let place = ended();
    insta::assert_snapshot!(shown(&place, &["show", "bad"]), @r#"
    b1.2  Convert 7
    b1.2 (Convert 7) failed after 1 attempt with: exit code 3: oops; 0 retries allowed. Cause cbdfb72: shell: exit code 3: oops.
    function   shell {"script":"echo oops >&2; exit 3"}
    priority   low
    folder     FOLDER
    created    TIME
    attempt 1  TIME DUR  failed (exit code 3): exit code 3: oops
    stderr (5 bytes):
      oops
    "#);
    insta::assert_snapshot!(shown(&place, &["show", "b1.4"]), @r#"
    b1.4  flaky
    b1.4 (flaky) completed after DUR on attempt 2; it is flaky, as it failed before with: exit code 4.
    function   shell {"script":"test -e seen || { touch seen; exit 4; }"}
    priority   high
    retries    1
    folder     FOLDER
    created    TIME
    attempt 1  TIME DUR  failed (exit code 4): exit code 4
    attempt 2  TIME DUR  completed
    "#);
    insta::assert_snapshot!(shown(&place, &["show", "3"]), @r#"
    b1.3  after
    b1.3 (after) was cancelled because b1.2, which it needs, did not complete. See: bex why b1.2.
    function   command {"argv":["true"]}
    depends on bad
    folder     FOLDER
    created    TIME
    "#);
}

#[test]
fn show_as_json_is_the_task_of_the_export_and_why() {
    let place = ended();
    let mut shown = place.bex(&["show", "bad", "--json"]).expect(0).json();
    let why = place.bex(&["why", "bad", "--json"]).expect(0).json();
    let results = place.bex(&["results", "bad", "--json"]).expect(0).json();
    let shown = shown.as_object_mut().unwrap();
    assert_eq!(shown.remove("under_way"), Some(Value::Null));
    assert_eq!(shown.remove("why").as_ref(), Some(&why["why"]));
    assert_eq!(Value::from(shown.clone()), results["tasks"][0]);
}

#[test]
fn why_says_it_in_a_sentence() {
    let place = ended();
    let add = ["add", "-b", "b1"];
    for more in [["--id", "new"], ["--depends-on", "new"]] {
        place
            .bex(&[&add[..], &more, &["--", "true"]].concat())
            .expect(0);
    }
    let tasks = ["good", "bad", "after", "flaky", "new", "6"];
    let sentences: Vec<String> = tasks
        .iter()
        .map(|task| shown(&place, &["why", task]))
        .collect();
    insta::assert_snapshot!(sentences.join("\n"), @r"
    b1.1 (good) completed after DUR.
    b1.2 (Convert 7) failed after 1 attempt with: exit code 3: oops; 0 retries allowed. Cause cbdfb72: shell: exit code 3: oops.
    b1.3 (after) was cancelled because b1.2, which it needs, did not complete. See: bex why b1.2.
    b1.4 (flaky) completed after DUR on attempt 2; it is flaky, as it failed before with: exit code 4.
    b1.5 (new) is ready, and nothing runs the batch. Continue with: bex resume -b b1.
    b1.6 waits for 1 task: b1.5 (queued).
    ");
}

#[test]
fn logs_are_the_bytes_that_a_task_printed() {
    let place = Place::new();
    let script = r"printf 'a\033[31m\377\n'; printf b >&2";
    place
        .bex(&["run", "--format", "none", "--shell", script, ":::", "x"])
        .expect(0);
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command.args(["logs", "1"]);
    let printed = command.output().unwrap();
    assert_eq!(printed.stdout, b"a\x1b[31m\xff\n");
    assert_eq!(printed.stderr, b"b");
}

#[test]
fn logs_of_every_attempt_are_kept() {
    let place = Place::new();
    let script = "echo >> tries; wc -l < tries; exit 1";
    let options = ["run", "--format", "none", "--max-retries", "1"];
    place
        .bex(&[&options[..], &["--shell", script, ":::", "x"]].concat())
        .expect(1);
    let logs = |more: &[&str]| place.bex(&[&["logs", "1"], more].concat());
    assert_eq!(logs(&["--attempt", "1"]).expect(0).stdout.trim(), "1");
    assert_eq!(logs(&["--attempt", "2"]).expect(0).stdout.trim(), "2");
    assert_eq!(logs(&[]).expect(0).stdout.trim(), "2");
    assert_eq!(logs(&["-f"]).expect(0).stdout.trim(), "2");
    assert_eq!(
        logs(&["--json"]).expect(0).json()["stdout"]
            .as_str()
            .unwrap()
            .trim(),
        "2"
    );
    for unknown in ["0", "3"] {
        let refused = logs(&["--attempt", unknown]).expect(2);
        assert!(refused.stderr.contains("its last is 2"), "{refused:?}");
    }
    place.bex(&["add", "-b", "b1", "--", "true"]).expect(0);
    assert_eq!(place.bex(&["logs", "2"]).expect(0).stdout, "");
}

#[test]
fn results_in_every_format() {
    let place = ended();
    let results = |format: &str| place.bex(&["results", "--format", format]).expect(0).stdout;
    insta::assert_snapshot!(redacted(&place, &results("text")), @r"
    completed b1.1  good DUR
      | fine
      ! note
    failed    b1.2  Convert 7 DUR  cbdfb72
      error: exit code 3: oops
      ! oops
    cancelled b1.3  after
      error: b1.2 (Convert 7) failed
    completed b1.4  flaky DUR (flaky, 2 attempts)
    ");
    insta::assert_snapshot!(redacted(&place, &results("summary")), @r"
    4 tasks: 2 completed (1 flaky), 1 failed, 1 cancelled in DUR (RATE)
    execution time: median DUR, 95 % within DUR, longest DUR
    1 failed, 1 cause:
      cbdfb72  1 x shell: exit code 3: oops
               b1.2 Convert 7
    ");
    assert_eq!(results("raw"), "fine\n");
    assert_eq!(results("jsonl").lines().count(), 4);
    assert_eq!(rows(&results("csv")), 4);
    let document: Value = serde_json::from_str(&results("json")).unwrap();
    assert_eq!(document["metadata"]["total_tasks"], 4);
    let unknown = place.bex(&["results", "--format", "xml"]).expect(2);
    assert!(unknown.stderr.contains("jsonl"), "{unknown:?}");
}

/// The rows of a table.
pub(crate) fn rows(table: &str) -> usize {
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    rows.records().map(Result::unwrap).count()
}

#[test]
fn results_are_chosen() {
    let place = ended();
    let chosen = |args: &[&str]| -> Vec<String> {
        let args = [&["results", "--json"], args].concat();
        let document = place.bex(&args).expect(0).json();
        let tasks = document["tasks"].as_array().unwrap();
        tasks
            .iter()
            .map(|task| task["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let status = place.bex(&["status", "--json"]).json();
    let cause = status["causes"][0]["cause"].as_str().unwrap();
    assert_eq!(chosen(&[]), ["good", "bad", "after", "flaky"]);
    assert_eq!(chosen(&["b1.4", "good"]), ["good", "flaky"]);
    assert_eq!(
        chosen(&["--status", "completed,cancelled"]),
        ["good", "after", "flaky"]
    );
    assert_eq!(chosen(&["--failed"]), ["bad"]);
    assert_eq!(chosen(&["--cause", cause]), ["bad"]);
    assert_eq!(chosen(&["--priority", "low,high"]), ["bad", "flaky"]);
    assert_eq!(chosen(&["--tag", "a"]), ["good"]);
    assert_eq!(chosen(&["--filter", "name:~convert"]), ["bad"]);
    assert_eq!(chosen(&["--limit", "2"]), ["good", "bad"]);
    assert_eq!(chosen(&["--offset", "1", "--limit", "2"]), ["bad", "after"]);
    assert_eq!(
        chosen(&["--status", "completed", "--offset", "1"]),
        ["flaky"]
    );
    assert_eq!(chosen(&["--offset", "9"]), [""; 0]);
    let summary = place.bex(&["results", "--format", "summary", "--status", "completed"]);
    let summary = summary.expect(0).stdout;
    assert!(
        summary.starts_with("2 tasks: 2 completed (1 flaky) in "),
        "{summary}"
    );
}

#[test]
fn a_number_that_is_also_an_id_needs_its_batch() {
    let place = Place::new();
    let task = |id: &str| json!({ "id": id, "command": ["echo", id] });
    place.tasks(&json!([task("2"), task("x"), task("3"), task("9")]));
    place.bex(&["add", "--file", "tasks.json"]).expect(0);
    let shown =
        |name: &str| place.bex(&["show", name, "--json"]).expect(0).json()["task_id"].clone();
    let refused = place.bex(&["show", "2"]).expect(2);
    let hint = "\"2\" is the id of b1.1 and the number of b1.2; say which, with its batch";
    assert!(refused.stderr.contains(hint), "{refused:?}");
    assert_eq!(shown("b1.2"), "b1.2");
    assert_eq!(shown("b1.1"), "b1.1");
    // One task with both, and ids that are no task's number.
    assert_eq!(shown("3"), "b1.3");
    assert_eq!(shown("9"), "b1.4");
    assert_eq!(shown("4"), "b1.4");
}

#[test]
fn what_does_not_exist_is_wrong_usage_and_told_in_words() {
    let place = ended();
    for (args, hint) in [
        (&["status", "-b", "b7"][..], "the latest is b1"),
        (&["show", "god"], "did you mean \"good\"?"),
        (&["why", "99"], "b1.1 to b1.4"),
        (&["logs", "b7.1"], "no batch b7"),
        (&["results", "99", "--json"], "b1.1 to b1.4"),
        (&["results", "--cause", "c999999"], "there are c"),
        (&["results", "--filter", "colour:red"], "filter"),
        (&["cancel", "nobody", "--json"], "nobody"),
        (&["status", "--store", "none.db"], "none.db"),
        (&["rm", "b1", "b7"], "no batch b7"),
        (&["wait", "--until", "soon"], "first-failure"),
    ] {
        let refused = place.bex(args).expect(2);
        assert_eq!(refused.stdout, "", "{args:?}");
        assert!(
            refused.stderr.starts_with("bex: "),
            "{args:?}: {}",
            refused.stderr
        );
        assert!(
            refused.stderr.contains(hint),
            "{args:?}: {}",
            refused.stderr
        );
    }
    let empty = Place::new().bex(&["status"]).expect(2);
    assert!(empty.stderr.contains("bex add"), "{empty:?}");
}

#[test]
fn help_has_the_verbs_in_groups_and_examples() {
    let place = Place::new();
    let help = place.bex(&["--help"]).expect(0).stdout;
    let at = |text: &str| {
        let found = help.find(text);
        found.unwrap_or_else(|| panic!("no {text:?} in {help}"))
    };
    assert!(at("Run tasks:") < at("  add  "));
    assert!(at("  add  ") < at("Change a batch"));
    assert!(at("See what happens") < at("  status  "));
    assert!(!help.contains("execute"), "what is hidden stays so");
    for verb in ["add", "set", "cancel", "retry", "results", "wait", "stop"] {
        let of_verb = place.bex(&[verb, "--help"]).expect(0).stdout;
        assert!(of_verb.contains("Examples:\n  bex "), "{of_verb}");
        assert!(of_verb.contains("--batch"), "{of_verb}");
    }
    assert!(!place.bex(&["man"]).expect(0).stdout.contains("execute"));
}

#[test]
fn a_full_name_of_a_task_says_its_batch_too() {
    let place = ended();
    place.bex(&["add", "--new", "--", "true"]).expect(0);
    let why = place.bex(&["why", "b1.2"]).expect(0).stdout;
    assert!(why.starts_with("b1.2 "), "{why}");
    let results = place.bex(&["results", "b1.2", "--json"]).expect(0).json();
    assert_eq!(results["tasks"][0]["task_id"], "b1.2");
    place.bex(&["retry", "b1.2"]).expect(0);
    let other = place.bex(&["why", "-b", "b2", "b1.2"]).expect(2);
    assert!(other.stderr.contains("-b b1"), "{other:?}");
}

#[test]
fn results_whose_reader_goes_end_quietly() {
    let place = Place::new();
    let items: Vec<u8> = (0..5_000)
        .flat_map(|n| format!("{n}\n").into_bytes())
        .collect();
    let run = ["run", "--format=none", "--durability=fast"];
    let function = ["--function", "simulate", "--params", r#"{"duration": 0}"#];
    place
        .bex_with(&items, &[&run[..], &function].concat())
        .expect(0);
    let mut shell = place.command("sh");
    let script = format!(
        "{} results --format jsonl | head -n 1",
        env!("CARGO_BIN_EXE_bex")
    );
    shell.args(["-c", &script]).stdin(Stdio::piped());
    let ended = finish(shell, b"").expect(0);
    assert_eq!((ended.stdout.lines().count(), &*ended.stderr), (1, ""));
}

#[test]
fn export_writes_a_file_whole() {
    let place = ended();
    let written = place.bex(&["export", "-o", "out.csv"]).expect(0);
    assert_eq!(written.stdout, "4 tasks written to out.csv\n");
    assert!(
        written.stderr.starts_with("1 failed, 1 cause:\n"),
        "{written:?}"
    );
    assert_eq!(rows(&place.read("out.csv")), 4);
    let reply = place.bex(&[
        "export", "-o", "out.txt", "--format", "jsonl", "--failed", "--json",
    ]);
    let reply = reply.expect(0).json();
    assert_eq!(
        (&reply["file"], &reply["format"], &reply["tasks"]),
        (&json!("out.txt"), &json!("jsonl"), &json!(1))
    );
    assert_eq!(reply["causes"][0]["sample_task"], "b1.2");
    let unknown = place.bex(&["export", "-o", "out.pdf"]).expect(2);
    assert!(unknown.stderr.contains("--format"), "{unknown:?}");
    assert!(!place.has("out.pdf"));
    // A choice that is wrong leaves what was there.
    place
        .bex(&["export", "-o", "out.csv", "--filter", "colour:red"])
        .expect(2);
    assert_eq!(rows(&place.read("out.csv")), 4);
}

#[test]
fn a_file_of_another_program_or_of_a_later_version_is_wrong_input() {
    let place = ended();
    let file = rusqlite::Connection::open(place.path("home/batches/b1.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    std::fs::write(place.path("text.db"), "no batch at all").unwrap();
    for (args, hint) in [
        (&["status"][..], "use a newer bex"),
        (&["status", "--store", "text.db"], "not a batch file"),
    ] {
        let refused = place.bex(args).expect(2);
        assert!(refused.stderr.contains(hint), "{refused:?}");
    }
}
