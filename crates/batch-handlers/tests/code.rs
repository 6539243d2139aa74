//! `code_execution` and `custom_function`, with the real interpreters.

mod common;

use batch_core::{FailureKind, control::Urgency};
use common::{Handlers, failure, has, task, text};
use serde_json::{Value, json};

async fn returned(code: &str, args: Value) -> Value {
    let output = Handlers::new()
        .output("custom_function", json!({"code": code, "args": args}))
        .await;
    output.value.unwrap().to_value()
}

async fn failed(code: &str, args: Value) -> batch_core::Failure {
    Handlers::new()
        .failure("custom_function", json!({"code": code, "args": args}))
        .await
}

#[tokio::test]
async fn each_runtime_runs_its_language() {
    let handlers = Handlers::new();
    for (program, runtime, code) in [
        (
            "python3",
            "python",
            "import sys\nprint('one')\nprint('two', file=sys.stderr)",
        ),
        ("node", "nodejs", "console.log('one')\nconsole.error('two')"),
        ("sh", "terminal", "echo one\necho two >&2"),
    ] {
        if has(program) {
            let output =
                handlers.output("code_execution", json!({"runtime": runtime, "code": code}));
            let output = output.await;
            assert_eq!(
                (text(&output.stdout), text(&output.stderr)),
                ("one\n", "two\n"),
                "{runtime}"
            );
        }
    }
    let left = std::fs::read_dir(handlers.folder.path()).unwrap().count();
    assert_eq!(left, 0, "code stays behind");
}

#[tokio::test]
async fn code_may_be_longer_than_an_argument() {
    let code = format!("{}\necho end", "# filler\n".repeat(30_000));
    let params = json!({"runtime": "terminal", "code": code});
    let output = Handlers::new().output("code_execution", params).await;
    assert_eq!(text(&output.stdout), "end\n");
}

#[tokio::test]
async fn python_imports_from_the_working_folder() {
    if !has("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("helper.py"), "answer = 42").unwrap();
    let code = "import helper\nprint(helper.answer)";
    let params = json!({"runtime": "python", "code": code, "cwd": folder.path()});
    let output = Handlers::new().output("code_execution", params).await;
    assert_eq!(text(&output.stdout), "42\n");

    let code = "def process():\n    import helper\n    return helper.answer";
    let params = json!({"code": code, "cwd": folder.path()});
    let output = Handlers::new().output("custom_function", params).await;
    assert_eq!(output.value.unwrap().as_str(), "42");
}

#[tokio::test]
async fn failing_code_tells_its_line() {
    if has("python3") {
        let params = json!({"runtime": "python", "code": "x = 1\nraise ValueError('bad')"});
        let failed = Handlers::new().failure("code_execution", params).await;
        assert_eq!(failed.message, "exit code 1: ValueError: bad");
        assert!(text(&failed.output.unwrap().stderr).contains("code.py\", line 2"));
    }
    if has("node") {
        let params = json!({"runtime": "nodejs", "code": "\nthrow new Error('bad')"});
        let failed = Handlers::new().failure("code_execution", params).await;
        assert_eq!(failed.kind, FailureKind::ExitCode(1));
        assert!(text(&failed.output.unwrap().stderr).contains("code.js:2"));
    }
}

#[tokio::test]
async fn what_was_printed_before_the_end_is_kept() {
    if !has("python3") {
        return;
    }
    let handlers = Handlers::new();
    let folder = tempfile::tempdir().unwrap();
    let code = "import time\nprint('begun')\nopen('go', 'w').close()\ntime.sleep(1000)";
    let params = json!({"runtime": "python", "code": code, "cwd": folder.path()});
    let task = task("code_execution", params);
    let cancel = async {
        while !folder.path().join("go").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        task.cancel.cancel(Urgency::Kill);
    };
    let (result, ()) = tokio::join!(handlers.run_task(&task), cancel);
    assert_eq!(text(&failure(result).output.unwrap().stdout), "begun\n");
}

#[tokio::test]
async fn a_function_returns_a_value_and_prints_besides() {
    if !has("python3") {
        return;
    }
    let code =
        "def process(a, b=2):\n    print('working')\n    return {'sum': a + b, 'none': None}";
    let params = json!({"code": code, "args": {"a": 40}});
    let output = Handlers::new().output("custom_function", params).await;
    assert_eq!(
        output.value.unwrap().to_value(),
        json!({"sum": 42, "none": null})
    );
    assert_eq!(text(&output.stdout), "working\n");
    assert_eq!(
        returned("def process():\n    pass", json!({})).await,
        Value::Null
    );
    let big = "def process(n):\n    return 2 ** n";
    let params = json!({"code": big, "args": {"n": 70}});
    let output = Handlers::new().output("custom_function", params).await;
    assert_eq!(output.value.unwrap().as_str(), "1180591620717411303424");
}

#[tokio::test]
async fn an_async_function_is_awaited() {
    if has("python3") {
        let code =
            "import asyncio\nasync def process(x):\n    await asyncio.sleep(0)\n    return x";
        assert_eq!(returned(code, json!({"x": "ä\n"})).await, json!("ä\n"));
    }
}

#[tokio::test]
async fn the_code_is_a_module_and_not_a_script() {
    if has("python3") {
        let code = "from __future__ import annotations\n\
                    import dataclasses, sys\n\
                    @dataclasses.dataclass\nclass Point:\n    x: int\n\
                    def process():\n    return [dataclasses.asdict(Point(1)), sys.argv[1:]]\n\
                    if __name__ == '__main__':\n    sys.exit(9)";
        assert_eq!(returned(code, json!({})).await, json!([{"x": 1}, []]));
    }
}

#[tokio::test]
async fn an_exception_tells_what_and_where_without_our_frames() {
    if !has("python3") {
        return;
    }
    let failed = failed("def process(x):\n    return 1 / x", json!({"x": 0})).await;
    assert_eq!((failed.kind, failed.permanent), (FailureKind::Error, false));
    assert_eq!(failed.message, "ZeroDivisionError: division by zero");
    let output = failed.output.unwrap();
    let trace = text(&output.stderr);
    assert!(trace.contains("function.py\", line 2, in process") && !trace.contains("harness.py"));
}

#[tokio::test]
async fn an_exception_in_an_async_function_is_told_in_the_same_way() {
    if !has("python3") {
        return;
    }
    let code = "import asyncio\nasync def process():\n    await asyncio.sleep(0)\n    raise ValueError('no')";
    let failed = failed(code, json!({})).await;
    assert_eq!((failed.kind, failed.permanent), (FailureKind::Error, false));
    assert_eq!(failed.message, "ValueError: no");
    let output = failed.output.unwrap();
    let trace = text(&output.stderr);
    assert!(
        trace.contains("function.py\", line 4, in process"),
        "{trace}"
    );
    assert!(!trace.contains("harness.py"), "{trace}");
}

#[tokio::test]
async fn the_place_of_a_mistake_in_the_code_is_told() {
    if !has("python3") {
        return;
    }
    for (code, place) in [
        ("x = 1\ndef process(:\n", "function.py\", line 2"),
        (
            "\n\nraise ValueError('no')",
            "function.py\", line 3, in <module>",
        ),
    ] {
        let output = failed(code, json!({})).await.output.unwrap();
        let trace = text(&output.stderr);
        assert!(
            trace.contains(place) && !trace.contains("harness.py"),
            "{trace}"
        );
    }
}

#[tokio::test]
async fn half_a_character_is_no_value_and_no_panic() {
    if !has("python3") {
        return;
    }
    let params = json!({"code": "def process():\n    return '\\ud800'"});
    if let Ok(output) = Handlers::new().run("custom_function", params).await {
        output.value.unwrap().to_value();
    }
    let failed = failed("def process():\n    raise ValueError('\\ud800')", json!({})).await;
    assert!(
        failed.message.contains("ValueError: "),
        "{}",
        failed.message
    );
}

#[tokio::test]
async fn a_function_has_the_surroundings_of_a_process() {
    if !has("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let code = "import os, sys\ndef process():\n    \
                return [os.getcwd(), os.environ['A'], os.environ['BEX_SLOT'], sys.stdin.read()]";
    let path = folder.path().canonicalize().unwrap();
    let params = json!({"code": code, "cwd": path, "env": {"A": "a"}, "stdin": "in"});
    let output = Handlers::new().output("custom_function", params).await;
    assert_eq!(
        output.value.unwrap().to_value(),
        json!([path, "a", "3", "in"])
    );
}

#[tokio::test]
async fn a_function_ends_when_it_is_cancelled() {
    if !has("python3") {
        return;
    }
    let handlers = Handlers::new();
    let folder = tempfile::tempdir().unwrap();
    let code = "import time\ndef process():\n    open('go', 'w').close()\n    time.sleep(1000)";
    let task = task(
        "custom_function",
        json!({"code": code, "cwd": folder.path()}),
    );
    let cancel = async {
        while !folder.path().join("go").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        task.cancel.cancel(Urgency::End);
    };
    let (result, ()) = tokio::join!(handlers.run_task(&task), cancel);
    assert_eq!(failure(result).kind, FailureKind::Signal(15));
    let left = std::fs::read_dir(handlers.folder.path()).unwrap().count();
    assert_eq!(left, 0, "code stays behind");
}

#[tokio::test]
async fn mistakes_in_the_code_are_not_tried_again() {
    if !has("python3") {
        return;
    }
    for (code, args, message) in [
        ("def process(:\n", json!({}), "SyntaxError: "),
        (
            "x = 1",
            json!({}),
            "the code defines no function process(**args)",
        ),
        (
            "def process(a):\n    pass",
            json!({"b": 1}),
            "TypeError: process() got an unexpected",
        ),
    ] {
        let failed = failed(code, args).await;
        assert_eq!(
            (failed.kind, failed.permanent),
            (FailureKind::Error, true),
            "{code}"
        );
        assert!(failed.message.starts_with(message), "{}", failed.message);
    }
    // This one comes from inside.
    let inner = failed("def process():\n    return len(1)", json!({})).await;
    assert!(!inner.permanent && inner.message.starts_with("TypeError: "));
}

#[tokio::test]
async fn what_json_cannot_hold_is_said() {
    if !has("python3") {
        return;
    }
    for value in ["{1, 2}", "float('nan')", "object()", "{(1, 2): 3}"] {
        let failed = failed(&format!("def process():\n    return {value}"), json!({})).await;
        assert_eq!(failed.kind, FailureKind::Error, "{value}");
        assert!(
            failed
                .message
                .starts_with("process() returned what JSON cannot hold: ")
        );
    }
}

#[tokio::test]
async fn what_is_put_in_the_place_of_a_result_holds_up_nobody() {
    if !has("python3") {
        return;
    }
    for (put, said) in [
        ("os.mkfifo(place)", "it is not a plain file"),
        ("os.symlink('/dev/zero', place)", "it is a link"),
        ("os.mkdir(place)", "it is not a plain file"),
        ("open(place, 'w').truncate(1 << 40)", "it is longer than"),
    ] {
        let code = format!(
            "import os\ndef process():\n    place = open('/proc/self/cmdline').read().split('\\0')[5]\n    \
             {put}\n    os._exit(0)"
        );
        let failed = failed(&code, json!({})).await;
        assert_eq!(failed.kind, FailureKind::OutputError, "{put}");
        assert!(failed.message.contains(said), "{put}: {}", failed.message);
    }
}

#[tokio::test]
async fn an_early_exit_is_no_result() {
    if !has("python3") {
        return;
    }
    let early = failed("import sys\ndef process():\n    sys.exit(0)", json!({})).await;
    assert_eq!(early.kind, FailureKind::Error);
    assert!(early.message.contains("ended before process() returned"));
    let early = failed("import sys\ndef process():\n    sys.exit(3)", json!({})).await;
    assert_eq!(early.kind, FailureKind::ExitCode(3));
}

#[test]
fn mistakes_in_the_parameters_are_named() {
    let handlers = Handlers::new();
    let problems = handlers.problems("code_execution", json!({"runtime": "pyton", "args": {}}));
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(
        problems
            .iter()
            .any(|found| found.starts_with("runtime: unknown runtime \"pyton\""))
    );
    let problems = handlers.problems("custom_function", json!({"code": 1, "args": []}));
    assert_eq!(problems.len(), 2, "{problems:#?}");
}
