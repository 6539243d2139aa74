//! Strict checks of parameters before anything runs, for every function.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::Handlers;
use serde_json::{Value, json};

/// The longest argument the system takes.
const LONGEST: usize = 131_071;

/// Checks that exactly these problems are found, each by its beginning.
#[track_caller]
fn expect(function: &str, params: &Value, expected: &[&str]) {
    let found = Handlers::new().problems(function, params.clone());
    assert_eq!(found.len(), expected.len(), "{function}: {found:#?}");
    for expected in expected {
        assert!(
            found.iter().any(|found| found.starts_with(expected)),
            "{function}: {expected}: {found:#?}"
        );
    }
}

#[test]
fn a_misspelt_field_is_met_with_the_right_one_or_with_all() {
    for (function, params, expected) in [
        (
            "command",
            json!({"argv": ["x"], "stdn": ""}),
            "stdn: unknown field \"stdn\" (did you mean \"stdin\"?)",
        ),
        (
            "code_execution",
            json!({"runtime": "python", "code": "", "cod": ""}),
            "cod: unknown field \"cod\" (did you mean \"code\"?)",
        ),
        (
            "custom_function",
            json!({"code": "", "arg": {}}),
            "arg: unknown field \"arg\" (did you mean \"args\"?)",
        ),
        (
            "http",
            json!({"url": "http://localhost/", "heders": {}}),
            "heders: unknown field \"heders\" (did you mean \"headers\"?)",
        ),
        (
            "shell",
            json!({"script": "", "zzzzzzzz": 1}),
            "zzzzzzzz: unknown field \"zzzzzzzz\" (known fields: script, shell, cwd, env, stdin)",
        ),
    ] {
        expect(function, &params, &[expected]);
    }
}

#[test]
fn what_must_be_there_is_named_also_when_it_is_null() {
    for (function, missing) in [
        ("command", &["argv"][..]),
        ("shell", &["script"]),
        ("code_execution", &["code", "runtime"]),
        ("custom_function", &["code"]),
        ("http", &["url"]),
        ("simulate", &[]),
    ] {
        let expected: Vec<_> = missing
            .iter()
            .map(|name| format!("{name}: the field {name:?} is missing"))
            .collect();
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        expect(function, &json!({}), &expected);
        let nulls: serde_json::Map<_, _> = missing
            .iter()
            .map(|name| ((*name).to_owned(), Value::Null))
            .collect();
        expect(function, &Value::Object(nulls), &expected);
    }
}

#[test]
fn parameters_that_are_no_object_are_refused() {
    for params in [json!([]), json!("x"), json!(1), json!(true), json!(null)] {
        expect("simulate", &params, &[": must be an object, not"]);
    }
}

#[test]
fn wrong_types_are_all_named_at_once() {
    expect(
        "command",
        &json!({"argv": "ls -l", "cwd": "", "env": [], "stdin": 1}),
        &[
            "argv: must be a list of texts, not a text",
            "cwd: must be a text, the path of a folder, not a text",
            "env: must be an object of texts, not a list",
            "stdin: must be a text, {\"base64\": …} or {\"file\": PATH}, not a number",
        ],
    );
    expect(
        "shell",
        &json!({"script": 1, "shell": [], "cwd": {}}),
        &[
            "script: must be a text or {\"base64\": …}, not a number",
            "shell: must be a text, the name of a shell, not a list",
            "cwd: must be a text, the path of a folder, not an object",
        ],
    );
    expect(
        "code_execution",
        &json!({"runtime": 3, "code": [], "env": {"A": null}}),
        &[
            "runtime: must be a text, not a number",
            "code: must be a text, not a list",
            "env.A: must be a text, not null",
        ],
    );
    expect(
        "custom_function",
        &json!({"code": {}, "args": "x"}),
        &[
            "code: must be a text that defines process(**args), not an object",
            "args: must be an object, not a text",
        ],
    );
    expect(
        "http",
        &json!({"url": 1, "method": true, "headers": [], "timeout": -1}),
        &[
            "url: must be a text, not a number",
            "method: must be a text, not true or false",
            "headers: must be an object of texts, not a list",
            "timeout: must be seconds",
        ],
    );
}

#[test]
fn an_argument_may_have_131_071_bytes_and_no_more() {
    let (fits, long) = ("x".repeat(LONGEST), "x".repeat(LONGEST + 1));
    // Bytes count, not characters.
    let wide = "ä".repeat(LONGEST / 2 + 1);
    let encoded = json!({"base64": BASE64.encode(&long)});
    expect("command", &json!({"argv": ["x", fits]}), &[]);
    expect("shell", &json!({"script": fits}), &[]);
    expect("command", &json!({"argv": ["x"], "stdin": long}), &[]);
    expect("custom_function", &json!({"code": long}), &[]);
    let too_long = "argv[1]: is 131072 bytes long; the system takes 131071 at most";
    for argument in [json!(long), json!(wide), encoded] {
        expect("command", &json!({"argv": ["x", argument]}), &[too_long]);
    }
    let too_long = "script: is 131072 bytes long";
    expect("shell", &json!({"script": long}), &[too_long]);
    // The name of a variable and `=` count too.
    let value = |len| json!({"argv": ["x"], "env": {"NAME": "x".repeat(len)}});
    expect("command", &value(LONGEST - 5), &[]);
    let too_long = "env.NAME: is 131072 bytes long";
    expect("command", &value(LONGEST - 4), &[too_long]);
}

#[tokio::test]
async fn the_longest_argument_that_passes_the_check_starts() {
    let params = json!({"argv": ["printf", "%s", "x".repeat(LONGEST)]});
    let output = Handlers::new().output("command", params).await;
    assert_eq!(output.stdout.len(), LONGEST as u64);
}

#[test]
fn zero_bytes_are_found_where_the_system_would_refuse_them() {
    let zero = "holds a zero byte, which cannot be passed to a program";
    expect(
        "command",
        &json!({"argv": ["x", "a\0b", {"base64": "AA=="}], "env": {"A": "\0"}}),
        &[
            &format!("argv[1]: {zero}"),
            &format!("argv[2]: {zero}"),
            &format!("env.A: {zero}"),
        ],
    );
    expect(
        "shell",
        &json!({"script": "a\0"}),
        &[&format!("script: {zero}")],
    );
    expect("command", &json!({"argv": ["x"], "cwd": "a\0"}), &["cwd: "]);
    expect(
        "command",
        &json!({"argv": ["x"], "env": {"A\0": ""}}),
        &["env.A\0: \"A\\0\" cannot be the name of a variable"],
    );
    // These go through a pipe and a file.
    expect("command", &json!({"argv": ["x"], "stdin": "a\0b"}), &[]);
}

#[test]
fn what_is_no_base64_is_refused() {
    for wrong in [
        json!({"base64": "!"}),
        json!({"base64": 1}),
        json!({"base64": "", "more": ""}),
        json!({"base46": ""}),
    ] {
        let place = "argv[1]: must be a text or {\"base64\": …}, not an object";
        expect("command", &json!({"argv": ["x", wrong]}), &[place]);
    }
}

#[test]
fn a_hole_is_not_judged_but_what_stands_beside_it_is() {
    let hole = "{{ tasks.a.result.x }}";
    expect(
        "command",
        &json!({"argv": [hole, 1], "cwd": hole, "stdin": 1, "env": {"A": hole, "B": 1}}),
        &["argv[1]: ", "stdin: ", "env.B: "],
    );
    expect(
        "http",
        &json!({"url": format!("{hole}/path"), "method": "GE T", "headers": {"a b": hole}}),
        &["method: ", "headers.a b: "],
    );
    expect(
        "http",
        &json!({"url": "http://localhost/", "body": {"a": [hole]}}),
        &[],
    );
    expect("command", &json!({"argv": [{"base64": hole}]}), &[]);
}
