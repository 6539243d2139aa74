//! `bex mcp` and `bex tool` from outside: the official SDKs as clients, and a great many malformed requests.
//!
//! The SDKs are where `.ci/run` puts them, below `target/sdk`. Without them these tests say so, and fail where `CI`
//! is set.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const BEX: &str = env!("CARGO_BIN_EXE_bex");

/// A folder with a state folder of its own.
fn place() -> (TempDir, impl Fn(&str) -> Command) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_owned();
    let command = move |program: &str| {
        let mut command = Command::new(program);
        command
            .current_dir(&path)
            .env("BEX_HOME", path.join("home"))
            .env("XDG_CONFIG_HOME", path.join("config"))
            .env_remove("BEX_MCP_TOKEN");
        command
    };
    (folder, command)
}

/// Where `.ci/run` puts the SDKs; `None`, loudly, when they are not there.
fn sdk(what: &str) -> Option<PathBuf> {
    let target = Path::new(BEX)
        .ancestors()
        .nth(2)
        .expect("the binary lies in target/PROFILE");
    let path = target.join("sdk").join(what);
    if path.exists() {
        return Some(path);
    }
    let message = format!(
        "NOT TESTED: there is no {}; .ci/run installs it",
        path.display()
    );
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("{message}");
    None
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sdk")
        .join(name)
}

#[track_caller]
fn expect_ok(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success() && out.trim_end().ends_with("ok"),
        "{out}\n{err}"
    );
}

#[test]
fn the_python_sdk_does_everything_with_it() {
    for version in ["python-2", "python-1"] {
        let Some(python) = sdk(&format!("{version}/bin/python")) else {
            return;
        };
        let (folder, command) = place();
        let output = command(python.to_str().unwrap())
            .arg(script("client.py"))
            .args([Path::new(BEX), folder.path()])
            .output()
            .unwrap();
        expect_ok(&output);
    }
}

#[test]
fn the_typescript_sdk_does_everything_with_it() {
    let Some(modules) = sdk("node/node_modules") else {
        return;
    };
    let (folder, command) = place();
    // Node looks for modules beside the script.
    let own = modules
        .parent()
        .unwrap()
        .join(format!("client-{}.mjs", std::process::id()));
    std::fs::copy(script("client.mjs"), &own).unwrap();
    let output = command("node")
        .arg(&own)
        .args([Path::new(BEX), folder.path()])
        .output();
    let _ = std::fs::remove_file(&own);
    expect_ok(&output.unwrap());
}

/// Requests that are wrong in one way or another, from a simple generator: the same ones in each run.
fn malformed() -> impl Iterator<Item = String> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "null",
        "true",
        "-1",
        "1e999",
        "\"jsonrpc\":\"2.0\"",
        "\"id\":1",
        "\"id\":{}",
        "\"method\":\"tools/call\"",
        "\"method\":\"tools/list\"",
        "\"method\":\"tasks/get\"",
        "\"method\":7",
        "\"params\":{}",
        "\"params\":[1]",
        "\"name\":\"bex_run\"",
        "\"arguments\":{}",
        "\"arguments\":\"x\"",
        "\\ud800",
        "\u{7f}",
        "é",
        "\0",
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"bex_wait\",\"arguments\":{\"timeout_s\":0}}}",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..10_000).map(move |_| {
        let count = next() % 12 + 1;
        (0..count)
            .map(|_| pieces[(next() % pieces.len() as u64) as usize])
            .collect()
    })
}

fn start(mut command: Command, verb: &str) -> Child {
    command
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Writes the malformed requests and then a right one; gives the answer to that.
fn after_malformed(mut child: Child, before: &[Value], right: &Value) -> Value {
    let mut input = child.stdin.take().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (before, question) = (before.to_vec(), right.to_string());
    let writer = std::thread::spawn(move || {
        for line in before {
            writeln!(input, "{line}").unwrap();
        }
        for line in malformed() {
            writeln!(input, "{line}").unwrap();
        }
        writeln!(input, "{question}").unwrap();
        input
    });
    let found = output
        .lines()
        .map_while(Result::ok)
        .map(|line| {
            serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
        })
        .find(|answer| answer["id"] == right["id"]);
    drop(writer.join().unwrap());
    assert!(
        child.wait().unwrap().success(),
        "it ends well when its input ends"
    );
    found.expect("the right request is answered")
}

#[test]
fn ten_thousand_malformed_requests_do_not_end_the_server() {
    let (_folder, command) = place();
    let before = [
        json!({"jsonrpc": "2.0", "id": "first", "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
    ];
    let right = json!({"jsonrpc": "2.0", "id": "last", "method": "tools/list"});
    let answer = after_malformed(start(command(BEX), "mcp"), &before, &right);
    assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), 6);
}

#[test]
fn ten_thousand_malformed_lines_do_not_end_the_tool() {
    let (_folder, command) = place();
    let right = json!({"id": "last", "tool": "bex_status", "arguments": {"all": true}});
    let answer = after_malformed(start(command(BEX), "tool"), &[], &right);
    assert_eq!(answer["is_error"], false, "{answer}");
}

/// A tool that is asked a line and answers a line.
fn asked(command: Command) -> (Child, impl FnMut(Value) -> Value) {
    let mut child = start(command, "tool");
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ask = move |request: Value| -> Value {
        writeln!(input, "{request}").unwrap();
        serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()
    };
    (child, ask)
}

#[track_caller]
fn ends_well(mut child: Child) {
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_tool_answers_a_line_with_a_line() {
    let (_folder, command) = place();
    let (child, mut ask) = asked(command(BEX));
    let run = ask(
        json!({"id": 1, "tool": "bex_run", "arguments": {"shell": "echo {}", "items": ["a", "b"], "wait_s": 30}}),
    );
    assert_eq!(
        (&run["id"], &run["is_error"]),
        (&json!(1), &json!(false)),
        "{run}"
    );
    assert_eq!(run["structured"]["completed"], 2, "{run}");
    // As the former tool was called.
    let status = ask(json!({"tool_name": "batch_executor", "action": "status"}));
    assert!(
        status["text"]
            .as_str()
            .unwrap()
            .contains("Progress: 100.0%"),
        "{status}"
    );
    let wrong = ask(json!({"id": 3, "tool": "bex_status", "arguments": {"batch": "b9"}}));
    assert_eq!(
        (&wrong["is_error"], &wrong["structured"]["field"]),
        (&json!(true), &json!("batch"))
    );
    let line =
        ask(json!({"id": 4, "tool": "bex_run", "arguments": {"command": "ls -l", "items": ["a"]}}));
    assert_eq!(
        (&line["is_error"], &line["structured"]["field"]),
        (&json!(true), &json!("command"))
    );
    drop(ask);
    ends_well(child);
}

#[test]
fn the_tool_takes_calls_as_agents_write_them() {
    let (_folder, command) = place();
    let (child, mut ask) = asked(command(BEX));
    // By its action alone, also where the task has a name.
    let added = ask(
        json!({"action": "add", "name": "x", "function": "shell", "params": {"script": "true"}}),
    );
    assert_eq!(added["structured"]["added"], 1, "{added}");
    let results = ask(json!({"action": "results", "format": "summary", "id": 5}));
    assert_eq!(
        (&results["id"], &results["is_error"]),
        (&json!(5), &json!(false)),
        "{results}"
    );
    let control = ask(json!({"name": "bex_control", "action": "stop"}));
    assert!(
        control["text"]
            .as_str()
            .unwrap()
            .starts_with("Nothing was running."),
        "{control}"
    );
    let text = ask(json!({"tool": "bex_status", "arguments": "{\"batch\":\"b1\"}"}));
    assert_eq!(
        (&text["is_error"], &text["structured"]["batch"]),
        (&json!(false), &json!("b1")),
        "{text}"
    );
    for (name, wrong) in [
        ("arguments", json!([])),
        ("tool_args", json!("x")),
        ("args", json!(7)),
    ] {
        let mut request = json!({"tool": "bex_status"});
        request[name] = wrong;
        let wrong = ask(request);
        assert_eq!(
            (&wrong["is_error"], &wrong["structured"]["field"]),
            (&json!(true), &json!(name)),
            "{wrong}"
        );
        assert!(
            wrong["text"]
                .as_str()
                .unwrap()
                .contains("must be an object"),
            "{wrong}"
        );
    }
    let none = ask(json!({"id": 6, "arguments": {}}));
    assert_eq!(none["structured"]["field"], "tool", "{none}");
    drop(ask);
    ends_well(child);
}

#[test]
fn who_may_call_no_tool_may_call_none_by_another_name() {
    let (folder, command) = place();
    let config = "[mcp_servers.search]\ncommand = \"none\"\n[functions]\nknowledge_search = \"search.query\"\n";
    std::fs::create_dir_all(folder.path().join("config/bex")).unwrap();
    std::fs::write(folder.path().join("config/bex/config.toml"), config).unwrap();
    let ask = |limit: [&str; 2], task: Value| -> Value {
        let mut with_limit = command(BEX);
        with_limit.arg("tool").args(limit);
        let mut child = with_limit
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let run = json!({"tool": "bex_run", "arguments": {"tasks": [task], "plan": true}});
        writeln!(child.stdin.take().unwrap(), "{run}").unwrap();
        serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
    };
    let named = || json!({"function": "knowledge_search", "params": {"query": "x"}});
    let called =
        || json!({"function": "tool", "params": {"server": "search", "tool": "query", "args": {}}});
    for (limit, is_allowed) in [
        (["--deny", "tool"], false),
        (["--deny", "knowledge_search"], false),
        (["--allow", "shell"], false),
        (["--allow", "tool"], true),
        (["--allow", "knowledge_search"], true),
        (["--deny", "shell"], true),
    ] {
        for task in [named(), called()] {
            let answer = ask(limit, task);
            assert_eq!(answer["is_error"], !is_allowed, "{limit:?}: {answer}");
            if !is_allowed {
                assert_eq!(answer["structured"]["field"], "tasks[0].function");
            }
        }
    }
}

#[test]
fn the_tool_of_agent_zero_works_with_a_new_object_for_each_call() {
    let (_folder, command) = place();
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../integrations/agent-zero/tests/stand_in.py");
    let output = command("python3").env("BEX", BEX).arg(stand_in).output();
    expect_ok(&output.expect("python3 is there"));
}

/// Asks a server of its own one thing, as clients of the stateless revision do that know tasks.
fn ask_once(command: Command, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
    });
    let mut child = start(command, "mcp");
    let mut input = child.stdin.take().unwrap();
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    writeln!(input, "{request}").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    drop(input);
    child.wait().unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn a_batch_is_a_task_to_clients_that_know_tasks() {
    let (folder, command) = place();
    let found = ask_once(command(BEX), "server/discover", json!({}));
    let capabilities = &found["result"]["capabilities"];
    assert!(
        capabilities["extensions"]["io.modelcontextprotocol/tasks"].is_object(),
        "{found}"
    );
    let shell = "until [ -e go ]; do sleep 0.05; done; echo {}";
    let plan = json!({"shell": "echo {}", "items": ["a"], "plan": true});
    let plan = ask_once(
        command(BEX),
        "tools/call",
        json!({"name": "bex_run", "arguments": plan}),
    );
    let text = plan["result"]["content"][0]["text"].as_str().unwrap();
    let next = "\nNext: bex_run {\"items\":[\"a\"],\"shell\":\"echo {}\"}  (runs them)";
    assert!(text.ends_with(next), "{text}");
    let arguments = json!({"shell": shell, "items": ["a"], "wait_s": 0});
    let call = json!({"name": "bex_run", "arguments": arguments});
    let made = ask_once(command(BEX), "tools/call", call.clone());
    assert_eq!(made["result"]["resultType"], "task", "{made}");
    let id = made["result"]["taskId"].clone();
    let get = || ask_once(command(BEX), "tasks/get", json!({"taskId": id}));
    assert_eq!(get()["result"]["status"], "working");
    std::fs::write(folder.path().join("go"), "").unwrap();
    let waited = command(BEX)
        .args(["wait", "-b", id.as_str().unwrap()])
        .output()
        .unwrap();
    assert!(waited.status.success(), "{waited:?}");
    let done = get();
    assert_eq!(done["result"]["status"], "completed", "{done}");
    assert_eq!(
        done["result"]["result"]["structuredContent"]["completed"], 1,
        "{done}"
    );

    std::fs::remove_file(folder.path().join("go")).unwrap();
    let second = ask_once(command(BEX), "tools/call", call);
    let id = second["result"]["taskId"].clone();
    let ended = ask_once(command(BEX), "tasks/cancel", json!({"taskId": id}));
    assert!(ended["error"].is_null(), "{ended}");
    let waited = command(BEX)
        .args(["wait", "-b", id.as_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(waited.status.code(), Some(1), "{waited:?}");
    let gone = ask_once(command(BEX), "tasks/get", json!({"taskId": id}));
    assert_eq!(gone["result"]["status"], "cancelled", "{gone}");
    let none = ask_once(command(BEX), "tasks/get", json!({"taskId": "b999"}));
    assert!(
        none["error"]["message"].as_str().unwrap().contains("b999"),
        "{none}"
    );
}

#[test]
fn other_machines_need_a_token_that_they_know() {
    let (_folder, command) = place();
    let refused = command(BEX)
        .args(["mcp", "--http", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("BEX_MCP_TOKEN"), "{told}");
}

#[test]
fn a_host_may_be_given_by_name_and_is_told_in_one_piece() {
    let (_folder, command) = place();
    let mut child = command(BEX)
        .args(["mcp", "--http", "localhost:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1_000];
    let read = child.stderr.take().unwrap().read(&mut first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let told = std::str::from_utf8(&first[..read]).unwrap();
    assert!(
        told.starts_with("bex: serving http://127.0.0.1:") && told.ends_with('\n'),
        "{told}"
    );
    for wrong in ["localhost", "no such host:1", ":7438"] {
        let refused = command(BEX)
            .args(["mcp", "--http", wrong])
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains("such as 127.0.0.1:7438"), "{told}");
    }
}

/// A server that a client of an older revision has opened, with the end to write to.
fn opened(mut command: Command) -> (Child, impl FnMut(Value)) {
    let mut child = command
        .arg("mcp")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut send = move |message: Value| writeln!(input, "{message}").unwrap();
    // A word before the first one ends nothing.
    let early =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    send(early);
    send(
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}}}),
    );
    send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    (child, send)
}

fn call(id: u32, tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": tool, "arguments": arguments}})
}

/// Everything the server says until it ends, which it does well.
#[track_caller]
fn all_said(child: Child) -> Vec<Value> {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let values = lines.lines().map(serde_json::from_str);
    values.collect::<Result<_, _>>().unwrap()
}

const UNTIL_GO: &str = "until [ -e go ]; do sleep 0.05; done; echo {}";

#[test]
fn a_client_that_leaves_ends_its_waiting_call_and_not_the_batch() {
    let (folder, command) = place();
    let (child, mut send) = opened(command(BEX));
    let arguments = json!({"shell": UNTIL_GO, "items": ["x"], "wait_s": 600});
    send(call(2, "bex_run", arguments));
    drop(send);
    let said = all_said(child);
    let answer = said.last().unwrap();
    assert_eq!(answer["id"], 2, "{answer}");
    assert!(answer["result"]["isError"] != true, "{answer}");
    std::fs::write(folder.path().join("go"), "").unwrap();
    let waited = command(BEX).args(["wait"]).output().unwrap();
    assert!(waited.status.success(), "{waited:?}");
}

#[test]
fn a_cancelled_call_is_not_answered_and_the_batch_goes_on() {
    let (folder, command) = place();
    let added = command(BEX)
        .args(["add", "--shell", "until [ -e go ]; do sleep 0.05; done"])
        .output()
        .unwrap();
    assert!(added.status.success(), "{added:?}");
    let started = command(BEX).arg("start").output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let (child, mut send) = opened(command(BEX));
    send(call(
        2,
        "bex_wait",
        json!({"batch": "b1", "timeout_s": 600}),
    ));
    send(
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}),
    );
    send(call(3, "bex_status", json!({"batch": "b1"})));
    drop(send);
    let said = all_said(child);
    assert!(said.iter().all(|message| message["id"] != 2), "{said:?}");
    let status = said.iter().find(|message| message["id"] == 3).unwrap();
    assert_eq!(
        status["result"]["structuredContent"]["state"], "running",
        "{status}"
    );
    std::fs::write(folder.path().join("go"), "").unwrap();
    let waited = command(BEX).args(["wait"]).output().unwrap();
    assert!(waited.status.success(), "{waited:?}");
}
