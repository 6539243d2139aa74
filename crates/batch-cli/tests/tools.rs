//! Tool calls from the outside: with a server of a few lines of shell.
#![cfg(target_os = "linux")]

mod common;

use common::{Ended, Place};
use serde_json::{Value, json};

/// Answers each call with the arguments, and is known by its file of starts.
const SERVER: &str = r#"
echo "$$" >> starts
answer() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$1"; }
while read -r line; do
    id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
    case $line in
    *'"initialize"'*) answer '"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"tools/list"'*) answer '"result":{"tools":[{"name":"say","inputSchema":{"type":"object"}}]}' ;;
    *'"tools/call"'*) answer '"result":{"content":[{"type":"text","text":"'"$PREFIX"'"}]}' ;;
    *'"id"'*) answer '"error":{"code":-32601,"message":"Method not found"}' ;;
    esac
done
"#;

fn place() -> Place {
    let place = Place::new();
    std::fs::write(place.path("server.sh"), SERVER).unwrap();
    config(
        &place,
        "[mcp_servers.sh]\ncommand = 'sh'\nargs = ['server.sh']\ncwd = '.'\nenv = { PREFIX = 'said ${WORD}' }\n\
         tools = ['say']\n",
    );
    place
}

fn config(place: &Place, text: &str) {
    std::fs::write(place.path("config.toml"), text).unwrap();
}

fn bex(place: &Place, args: &[&str]) -> Ended {
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command
        .args(args)
        .env("BEX_CONFIG", place.path("config.toml"))
        .env("WORD", "hello");
    common::finish(command, b"")
}

fn calls(count: usize) -> Value {
    let call = json!({"function": "tool", "params": {"server": "sh", "tool": "say", "args": {}}});
    let named = json!({"function": "say", "params": {"a": 1}});
    let tasks = (0..count).map(|n| if n % 2 == 0 { &call } else { &named });
    json!({ "tasks": tasks.collect::<Vec<_>>() })
}

#[test]
fn a_batch_of_calls_starts_one_server_and_leaves_none() {
    for durability in ["none", "fast"] {
        let place = place();
        place.tasks(&calls(30));
        let args = [
            "run",
            "tasks.json",
            "--format",
            "json",
            "--durability",
            durability,
        ];
        let ended = bex(&place, &args).expect(0);
        let results = ended.json();
        for task in results["tasks"].as_array().unwrap() {
            assert_eq!(task["result"], "said hello", "{task}");
        }
        assert!(!ended.stderr.contains("left process"), "{}", ended.stderr);
        let starts = place.read("starts");
        assert_eq!(starts.lines().count(), 1, "{starts}");
        let server = format!("/proc/{}", starts.trim());
        assert!(!std::path::Path::new(&server).exists());
    }
}

#[test]
fn a_batch_in_the_background_calls_tools_too() {
    let place = place();
    place.tasks(&calls(4));
    bex(&place, &["add", "--file", "tasks.json"]).expect(0);
    bex(&place, &["start"]).expect(0);
    bex(&place, &["wait"]).expect(0);
    let results = bex(&place, &["results", "--json"]).expect(0).json();
    assert_eq!(results["tasks"][3]["result"], "said hello");
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    let place = place();
    place.tasks(&json!({"tasks": [
        {"function": "tool", "params": {"server": "hs", "tool": "say"}},
        {"function": "knowledge_search", "params": {}},
    ]}));
    for args in [&["run", "tasks.json"][..], &["add", "--file", "tasks.json"]] {
        let said = bex(&place, args).expect(2).stderr;
        assert!(said.contains("there is no MCP server \"hs\""), "{said}");
        assert!(
            said.contains("unknown function \"knowledge_search\""),
            "{said}"
        );
        assert!(said.contains("[mcp_servers] in "), "{said}");
    }
    config(&place, "[mcp_servers.sh]\ncomand = 'sh'\n");
    for args in [
        &["run", "tasks.json"][..],
        &["add", "--file", "tasks.json"],
        &["tool"],
    ] {
        let said = bex(&place, args).expect(2).stderr;
        assert!(said.contains("config.toml:2: "), "{said}");
        assert!(said.contains("did you mean \"command\"?"), "{said}");
    }
    assert!(!place.has("starts"));
}

#[test]
fn limits_that_would_hold_nobody_back_are_refused() {
    let place = Place::new();
    for (wrong, said) in [
        (["--deny", "shel"], "did you mean \"shell\"?"),
        (["--allow", "nope"], "\"nope\" is not one"),
        (["--root", "not-there"], "there is no such folder"),
    ] {
        let refused = place.bex(&["tool", wrong[0], wrong[1]]).expect(2);
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    place
        .bex(&["tool", "--deny", "shell,command", "--root", "."])
        .expect(0);
}
