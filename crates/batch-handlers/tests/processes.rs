//! `command` and `shell`, with real processes.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::time::Duration;

use batch_core::{
    FailureKind, Json, TaskOptions, TaskSpec, catalog::Catalog, control::Urgency, outcome::Stream,
};
use batch_handlers::{HandlerConfig, standard_registry};
use batch_template::{Encoding, ShellRules};
use common::{Handlers, attempt, failure, task, text};
use serde_json::{Value, json};

#[tokio::test]
async fn a_large_output_is_kept_without_secrets() {
    let script = "seq 1 100000; echo s3cr3t; seq 1 100000";
    let task = common::task("shell", json!({"script": script}));
    let task = task.with_secrets(batch_template::Secrets::of(["s3cr3t"]));
    let handlers = Handlers::new();
    let output = handlers.run_task(&task).await.unwrap();
    let Stream::File { path, len } = &output.stdout else {
        panic!("it is large")
    };
    let kept = std::fs::read_to_string(path).unwrap();
    assert_eq!(kept.len() as u64, *len);
    assert!(kept.contains("100000\n***\n1\n") && !kept.contains("s3cr3t"));
}

#[tokio::test]
async fn the_message_of_a_failure_holds_no_part_of_a_secret() {
    let scripts = [
        // The message ends in the middle of it, or what is searched for a line begins there.
        "printf '%0190d%s\\n' 0 s3cr3t-value >&2; exit 1",
        "printf '%s%04090d\\n' s3cr3t-value 0 >&2; exit 1",
    ];
    for in_memory in [100, 100_000] {
        let folder = tempfile::tempdir().unwrap();
        let config = HandlerConfig {
            in_memory,
            ..HandlerConfig::new(folder.path().to_owned())
        };
        let registry = standard_registry(&config);
        for script in scripts {
            let task = task("shell", json!({"script": script}));
            let task = task.with_secrets(batch_template::Secrets::of(["s3cr3t-value"]));
            let failed = failure(registry.get("shell").unwrap().run(&task).await);
            let said = failed.message.strip_prefix("exit code 1: ").unwrap();
            let rest = said.trim_matches('0');
            assert!(["", "***"].contains(&rest), "{said}");
        }
    }
}

#[tokio::test]
async fn arguments_reach_the_program_as_they_are() {
    let handlers = Handlers::new();
    let argv = json!(["printf", "%s|", "$(id)", "a b", "'", "", {"base64": "/w=="}]);
    let output = handlers.output("command", json!({"argv": argv})).await;
    assert_eq!(output.stdout, Stream::from(b"$(id)|a b|'||\xff|".to_vec()));
    assert_eq!(output.process.unwrap().exit_code, Some(0));
}

#[tokio::test]
async fn filled_in_values_are_written_out_and_never_left_out() {
    let handlers = Handlers::new();
    // As they are after placeholders were replaced by values of other tasks.
    let params = json!({"argv": ["echo", 42, true, 1.5], "env": {"N": 7}});
    let output = handlers.output("command", params).await;
    assert_eq!(text(&output.stdout), "42 true 1.5\n");

    for (params, place) in [
        (
            json!({"argv": ["echo", null]}),
            "params.argv[1]: must be a text",
        ),
        (
            json!({"argv": ["echo", [1]]}),
            "params.argv[1]: must be a text",
        ),
        (json!({"argv": "echo"}), "params.argv: must be a list"),
        (json!({"argv": null}), "params.argv: the field is missing"),
        (
            json!({"argv": ["true"], "env": {"A": {}}}),
            "params.env.A: must be a text",
        ),
        (
            json!({"argv": ["true"], "cwd": []}),
            "params.cwd: must be a text",
        ),
        (
            json!({"argv": ["true"], "stdin": []}),
            "params.stdin: must be a text",
        ),
    ] {
        let failure = handlers.failure("command", params).await;
        assert_eq!(
            (failure.kind, failure.permanent),
            (FailureKind::InputError, true)
        );
        assert!(failure.message.starts_with(place), "{}", failure.message);
    }
    let failure = handlers.failure("shell", json!({"script": null})).await;
    assert_eq!(failure.kind, FailureKind::InputError);
}

#[tokio::test]
async fn a_script_runs_in_the_shell_that_is_asked_for() {
    let handlers = Handlers::new();
    let output = handlers.output(
        "shell",
        json!({"script": "echo $((1 + 1)); cat", "stdin": "in"}),
    );
    assert_eq!(text(&output.await.stdout), "2\nin");
    if common::has("bash") {
        let params = json!({"script": "a=(x y); echo ${a[1]}", "shell": "bash"});
        assert_eq!(text(&handlers.output("shell", params).await.stdout), "y\n");
        let params = json!({"script": "exit 3 | true", "shell": "bash -o pipefail"});
        let failed = handlers.failure("shell", params).await;
        assert_eq!(failed.kind, FailureKind::ExitCode(3));
    }
}

#[tokio::test]
async fn surroundings_come_from_the_parameters_before_the_options() {
    let handlers = Handlers::new();
    let folder = tempfile::tempdir().unwrap();
    let options = TaskOptions {
        cwd: Some(folder.path().to_owned()),
        env: [("A", "option"), ("B", "option")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..TaskOptions::default()
    };
    let script = "pwd -P; echo $A $B; echo $BEX_TASK_ID $BEX_BATCH_ID $BEX_ATTEMPT $BEX_SLOT";
    let with = |params: Value| {
        let mut spec = TaskSpec::new("shell").with_params(&params).unwrap();
        spec.options = options.clone().into();
        attempt(spec)
    };
    let task = with(json!({"script": script, "env": {"B": "own"}}));
    let output = handlers.run_task(&task).await.unwrap();
    let path = folder.path().canonicalize().unwrap();
    let expected = format!("{}\noption own\n{} b7 1 3\n", path.display(), task.id);
    assert_eq!(text(&output.stdout), expected);

    let task = with(json!({"script": "pwd", "cwd": "/"}));
    assert_eq!(text(&handlers.run_task(&task).await.unwrap().stdout), "/\n");

    std::fs::create_dir(path.join("sub")).unwrap();
    let task = with(json!({"script": "pwd -P", "cwd": "sub"}));
    let output = handlers.run_task(&task).await.unwrap();
    assert_eq!(text(&output.stdout), format!("{}/sub\n", path.display()));
}

#[tokio::test]
async fn a_failure_names_the_end_and_the_last_line_of_stderr() {
    let handlers = Handlers::new();
    let script = "echo out; echo first >&2; printf 'last \\n\\n' >&2; exit 3";
    let failed = handlers.failure("shell", json!({"script": script})).await;
    assert_eq!(
        (failed.kind, failed.permanent),
        (FailureKind::ExitCode(3), false)
    );
    assert_eq!(failed.message, "exit code 3: last");
    assert_eq!(text(&failed.output.unwrap().stdout), "out\n");

    let failed = handlers
        .failure("shell", json!({"script": "kill -KILL $$"}))
        .await;
    assert_eq!(failed.kind, FailureKind::Signal(9));
    assert_eq!(failed.message, "signal 9 (SIGKILL)");
}

#[tokio::test]
async fn large_output_goes_to_a_file_and_its_last_line_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let config = HandlerConfig {
        in_memory: 100,
        ..HandlerConfig::new(folder.path().to_owned())
    };
    let registry = standard_registry(&config);
    let task = task("shell", json!({"script": "seq 1 9999 >&2; exit 1"}));
    let failed = failure(registry.get("shell").unwrap().run(&task).await);
    assert_eq!(failed.message, "exit code 1: 9999");
    match &failed.output.unwrap().stderr {
        Stream::File { path, len } => assert_eq!(path.metadata().unwrap().len(), *len),
        other => panic!("{other:?}"),
    };
}

#[tokio::test]
async fn output_can_be_read_along_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let config = HandlerConfig {
        live_after: Some(Duration::from_millis(1)),
        ..HandlerConfig::new(folder.path().to_owned())
    };
    let registry = standard_registry(&config);
    // The script itself sees the file that its line has come into.
    let script = format!(
        "echo early; until grep -qs early '{}'/$BEX_TASK_ID-*.stdout; do sleep 0.01; done",
        folder.path().display()
    );
    let task = task("shell", json!({"script": script}));
    let output = registry.get("shell").unwrap().run(&task).await.unwrap();
    assert_eq!(text(&output.stdout), "early\n");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn what_cannot_start_is_not_tried_again() {
    let handlers = Handlers::new();
    for params in [
        json!({"argv": ["no-such-program"]}),
        json!({"argv": ["true"], "cwd": "/no/such/folder"}),
        json!({"argv": []}),
    ] {
        let failed = handlers.failure("command", params).await;
        assert_eq!(
            (failed.kind, failed.permanent),
            (FailureKind::SpawnError, true)
        );
        assert!(failed.output.is_none());
    }
}

#[tokio::test]
async fn what_is_no_program_is_not_tried_again() {
    let handlers = Handlers::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    std::fs::write(&file, "no program").unwrap();
    for argv in [
        json!([file]),
        json!([folder.path()]),
        json!([file.join("below")]),
    ] {
        let failed = handlers.failure("command", json!({"argv": argv})).await;
        assert_eq!(
            (failed.kind, failed.permanent),
            (FailureKind::SpawnError, true),
            "{}",
            failed.message
        );
    }
}

#[tokio::test]
async fn standard_input_is_what_is_given_or_empty() {
    let handlers = Handlers::new();
    let long = "line\n".repeat(100_000);
    for (stdin, expected) in [
        (json!(null), &b""[..]),
        (json!(""), b""),
        (json!({"base64": "/wAK"}), b"\xff\0\n"),
        (json!(long), long.as_bytes()),
    ] {
        let params = json!({"argv": ["cksum"], "stdin": stdin});
        let output = handlers.output("command", params).await;
        let count = text(&output.stdout).split(' ').nth(1).map(str::trim);
        assert_eq!(count, Some(expected.len().to_string().as_str()));
    }
    let params = json!({"argv": ["cat"], "stdin": {"base64": "/wAK"}});
    let output = handlers.output("command", params).await;
    assert_eq!(output.stdout, Stream::from(b"\xff\0\n".to_vec()));
    // A program that reads nothing of it is no failure.
    handlers
        .output("command", json!({"argv": ["true"], "stdin": long}))
        .await;
}

#[tokio::test]
async fn our_variables_cannot_be_replaced() {
    let names = ["BEX_TASK_ID", "BEX_BATCH_ID", "BEX_ATTEMPT", "BEX_SLOT"];
    let env: serde_json::Map<_, _> = names
        .map(|name| (name.to_owned(), json!("forged")))
        .into_iter()
        .collect();
    let script = "echo $BEX_TASK_ID $BEX_BATCH_ID $BEX_ATTEMPT $BEX_SLOT; test -n \"$BEX_RUN\"";
    let mut task = task("shell", json!({"script": script, "env": env}));
    task.attempt = 4;
    let output = Handlers::new().run_task(&task).await.unwrap();
    assert_eq!(text(&output.stdout), format!("{} b7 4 3\n", task.id));
}

#[tokio::test]
async fn each_code_and_signal_is_told() {
    let handlers = Handlers::new();
    for code in [1, 2, 126, 127, 130, 255] {
        let params = json!({"script": format!("exit {code}")});
        let failed = handlers.failure("shell", params).await;
        assert_eq!(failed.kind, FailureKind::ExitCode(code));
        assert_eq!(failed.message, format!("exit code {code}"));
        assert_eq!(
            failed.output.unwrap().process.unwrap().exit_code,
            Some(code)
        );
    }
    for (signal, name) in [(6, "SIGABRT"), (15, "SIGTERM")] {
        let params = json!({"script": format!("ulimit -c 0; kill -{signal} $$")});
        let failed = handlers.failure("shell", params).await;
        assert_eq!(failed.kind, FailureKind::Signal(signal));
        assert_eq!(failed.message, format!("signal {signal} ({name})"));
        assert_eq!(failed.output.unwrap().process.unwrap().exit_code, None);
    }
}

#[tokio::test]
async fn what_is_cancelled_before_it_begins_ends_too() {
    for urgency in [Urgency::End, Urgency::Kill] {
        let task = task("command", json!({"argv": ["sleep", "1000"]}));
        task.cancel.cancel(urgency);
        let failed = failure(Handlers::new().run_task(&task).await);
        assert!(
            matches!(failed.kind, FailureKind::Signal(9 | 15)),
            "{}",
            failed.message
        );
    }
}

#[tokio::test]
async fn kill_ends_what_does_not_heed_the_request() {
    let handlers = Handlers::new();
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; touch go; while :; do sleep 1000; done";
    let task = task("shell", json!({"script": script, "cwd": folder.path()}));
    let cancel = async {
        while !folder.path().join("go").exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        task.cancel.cancel(Urgency::End);
        tokio::task::yield_now().await;
        task.cancel.cancel(Urgency::Kill);
    };
    let (result, ()) = tokio::join!(handlers.run_task(&task), cancel);
    assert_eq!(failure(result).kind, FailureKind::Signal(9));
}

#[tokio::test]
async fn output_that_cannot_be_kept_is_an_output_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let registry = standard_registry(&HandlerConfig {
        in_memory: 10,
        ..HandlerConfig::new(file)
    });
    let task = task("shell", json!({"script": "yes"}));
    let failed = failure(registry.get("shell").unwrap().run(&task).await);
    assert_eq!(failed.kind, FailureKind::OutputError);
    assert!(
        failed.message.contains("could not be kept"),
        "{}",
        failed.message
    );
}

#[tokio::test]
async fn a_cancelled_task_fails_with_what_it_had_printed() {
    // The first line of output is the sign that it may be ended: it waits for a file.
    for (script, kind) in [
        (
            "echo begun; touch go; exec sleep 1000",
            FailureKind::Signal(15),
        ),
        (
            "trap 'echo bye; exit 0' TERM; echo begun; touch go; while :; do sleep 0.05; done",
            FailureKind::Error,
        ),
    ] {
        let handlers = Handlers::new();
        let folder = tempfile::tempdir().unwrap();
        let task = task("shell", json!({"script": script, "cwd": folder.path()}));
        let cancel = async {
            while !folder.path().join("go").exists() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            task.cancel.cancel(Urgency::End);
        };
        let (result, ()) = tokio::join!(handlers.run_task(&task), cancel);
        let failed = failure(result);
        assert_eq!(failed.kind, kind, "{}", failed.message);
        assert!(text(&failed.output.unwrap().stdout).starts_with("begun\n"));
    }
}

#[test]
fn every_mistake_is_named_at_once() {
    let handlers = Handlers::new();
    let long = "x".repeat(131_072);
    let problems = handlers.problems(
        "command",
        json!({
            "argv": ["x", 1, long, "a\u{0}b"], "cwdd": "/", "cwd": 3, "stdin": {"base64": "!"},
            "env": {"A=": "x", "B": 1, "C": long},
        }),
    );
    let expected = [
        "cwdd: unknown field \"cwdd\" (did you mean \"cwd\"?)",
        "argv[1]: must be a text",
        "argv[2]: is 131072 bytes long; the system takes 131071 at most",
        "argv[3]: holds a zero byte",
        "cwd: must be a text, the path of a folder, not a number",
        "stdin: must be a text, {\"base64\": …} or {\"file\": PATH}",
        "env.A=: \"A=\" cannot be the name of a variable",
        "env.B: must be a text, not a number",
        "env.C: is 131074 bytes long",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for expected in expected {
        assert!(
            problems.iter().any(|found| found.starts_with(expected)),
            "{expected}: {problems:#?}"
        );
    }
    assert_eq!(handlers.problems("command", json!([])).len(), 2);
    assert_eq!(
        handlers.problems("shell", json!({"scirpt": "x"})),
        [
            "scirpt: unknown field \"scirpt\" (did you mean \"script\"?)",
            "script: the field \"script\" is missing; it must be a text or {\"base64\": …}",
        ]
    );
    assert_eq!(handlers.problems("command", json!({"argv": [""]})).len(), 1);
}

#[test]
fn what_is_filled_in_later_is_not_judged_now() {
    let handlers = Handlers::new();
    let hole = "{{ tasks.a.result.x }}";
    for (function, params) in [
        (
            "command",
            json!({"argv": hole, "cwd": hole, "env": hole, "stdin": {"base64": hole}}),
        ),
        (
            "command",
            json!({"argv": ["echo", hole], "env": {"A": hole}}),
        ),
        ("shell", json!({"script": format!("echo {hole}")})),
        ("shell", json!({"script": "echo", "shell": hole})),
        ("code_execution", json!({"runtime": "python", "code": hole})),
        ("code_execution", json!({"runtime": hole, "code": "1"})),
        ("custom_function", json!({"code": hole, "args": hole})),
        (
            "http",
            json!({"url": hole, "method": hole, "timeout": hole, "headers": {"A": hole}}),
        ),
        ("simulate", json!({"duration": hole, "fail": hole})),
    ] {
        assert_eq!(handlers.problems(function, params), [""; 0], "{function}");
    }
}

#[test]
fn values_inside_a_script_are_quoted() {
    let handlers = Handlers::new();
    let encoding = |function: &str, params: Value, path: &str| {
        handlers
            .registry
            .get(function)
            .unwrap()
            .encodings(&Json::from(params))
            .at(path)
    };
    let shell = Encoding::Shell(ShellRules::default());
    assert_eq!(encoding("shell", json!({}), "script"), shell);
    assert_eq!(encoding("shell", json!({}), "stdin"), Encoding::Text);
    assert_eq!(encoding("command", json!({}), "argv[1]"), Encoding::Text);
    for (runtime, expected) in [
        ("python", Encoding::Python),
        ("nodejs", Encoding::JavaScript),
        ("terminal", shell),
    ] {
        assert_eq!(
            encoding("code_execution", json!({"runtime": runtime}), "code"),
            expected
        );
    }
    assert_eq!(
        encoding("custom_function", json!({}), "code"),
        Encoding::Python
    );
    assert_eq!(
        encoding("custom_function", json!({}), "args.x"),
        Encoding::Text
    );
}

#[test]
fn the_registry_has_every_function() {
    let mut functions = Handlers::new().registry.functions().join(" ");
    functions.push(' ');
    let all = [
        "code_execution",
        "command",
        "custom_function",
        "http",
        "shell",
        "simulate",
    ];
    assert!(
        all.iter()
            .all(|name| functions.contains(&format!("{name} ")))
    );
}
