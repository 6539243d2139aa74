//! Exit codes, wrong usage, files with errors.

use serde_json::json;

use crate::common::{Place, finish};

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

/// How a run ends whose standard input stays open behind its first line.
fn with_open_input(args: &[&str]) -> Option<i32> {
    let place = Place::new();
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command.args(args).stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"a\n").unwrap();
    let pid = child.id().to_string();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap().status.code()));
    let ended = receiver.recv_timeout(std::time::Duration::from_secs(30));
    if ended.is_err() {
        let _ = place.command("kill").arg(pid).status();
    }
    drop(input);
    ended.expect("it ends without the end of its input")
}

#[test]
fn a_batch_that_is_ended_does_not_wait_for_its_input() {
    for durability in ["full", "none"] {
        let run = ["run", "-q", "-j1", "--durability", durability];
        for (args, code) in [
            (&["--fail-fast", "--", "false"][..], 1),
            (&["--halt", "now,success=1", "--", "true"], 0),
            (&["--batch-timeout", "300ms", "--", "true"], 5),
        ] {
            let ended = with_open_input(&[&run[..], args].concat());
            assert_eq!(ended, Some(code), "{durability} {args:?}");
        }
    }
}
