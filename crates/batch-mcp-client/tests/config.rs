//! What is told of configuration files and of parameters.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::sync::Arc;

use batch_core::{Plan, TaskSpec, catalog::Catalog};
use batch_handlers::{HandlerConfig, standard_registry};
use batch_mcp_client::{RESERVED, ToolServers, with_tools};
use batch_runtime::Registry;
use common::Tools;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What is wrong with a file, without its path.
fn mistakes(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    match ToolServers::load(&path) {
        Ok(_) => "none".to_owned(),
        Err(error) => error.to_string().replace(path.to_str().unwrap(), "FILE"),
    }
}

#[test]
fn a_whole_file_reads() {
    let tools = Tools::new(
        r#"
        [mcp_servers.files]
        command = "files-server"
        args = ["--root", "${HOME}"]
        env = { TOKEN = "${TOKEN}" }
        cwd = "work"
        timeout = "1m30s"
        start_timeout = 2.5
        max_concurrent = 4
        tools = ["read_text", "list"]

        [mcp_servers.web]
        url = "https://example.org/mcp?key=${KEY}"
        headers = { Authorization = "Bearer ${TOKEN}", X-Plain = "a" }
        timeout = 30

        [functions]
        knowledge_search = "web.search.deep"
        list = "files.list"
        "#,
    );
    assert_eq!(tools.servers.names().collect::<Vec<_>>(), ["files", "web"]);
    let functions: Vec<_> = tools.servers.functions().collect();
    assert_eq!(
        functions,
        [
            ("knowledge_search", "web", "search.deep"),
            ("list", "files", "list"),
            ("read_text", "files", "read_text"),
        ]
    );
}

#[test]
fn all_problems_are_reported_together_with_their_lines() {
    let text = r#"
[mcp_server.x]
[mcp_servers.a]
comand = "x"
[mcp_servers.b]
command = ""
url = 5
[mcp_servers.c]
command = "x"
args = ["a", 1, "${A-}"]
env = { "A=B" = "x", C = 1 }
headers = {}
timeout = "soon"
max_concurrent = 0
tools = ["http", 3]
[mcp_servers.d]
url = "files.example.org"
headers = { "X Y" = "a", Accept = "b", Z = "a\nsecret" }
cwd = "/"
timeout = 0
[mcp_servers."e.f"]
command = ["x"]
[mcp_servers]
g = "x"
[functions]
search = "nobody.search"
find = "cc.find"
list = "files"
tool = "c.x"
"#;
    insta::assert_snapshot!(mistakes(text), @r#"
    26 problems in the configuration
      FILE:2: the file: unknown field "mcp_server"; did you mean "mcp_servers"?
      FILE:3: the server "a" has neither command nor url; give command = "…" with args = […], or url = "https://…"
      FILE:4: the server "a": unknown field "comand"; did you mean "command"?
      FILE:7: the server "b": url is given with command; give one of them
      FILE:10: the server "c": args[1] must be a text, not a number
      FILE:10: the server "c": args[2] ${A-} does not name a variable; write ${NAME} for a variable, and $${ for ${ itself
      FILE:11: the server "c": env.A=B cannot be the name of a variable
      FILE:11: the server "c": env.C must be a text, not a number
      FILE:12: the server "c": headers is only valid with url
      FILE:13: the server "c": timeout must be more than zero seconds, such as 30 or "1m30s"
      FILE:14: the server "c": max_concurrent must be a whole number from 1 to 10000
      FILE:15: the function "http" is a function of bex itself; give it another name under [functions]
      FILE:15: the server "c": tools[1] must be a name, not a number
      FILE:17: the server "d": url is not a URL (relative URL without a base); write it as https://example.org/mcp
      FILE:18: the server "d": headers.X Y cannot be the name of a header
      FILE:18: the server "d": headers.Accept is set by the protocol
      FILE:18: the server "d": headers.Z has a value that cannot be sent
      FILE:19: the server "d": cwd is only valid with command
      FILE:20: the server "d": timeout must be more than zero seconds, such as 30 or "1m30s"
      FILE:21: "e.f" cannot be the name of a server; use letters, digits, - and _
      FILE:22: the server "e.f": command must be a text, not a list
      FILE:24: the server "g" must be a table, not a text
      FILE:26: the function "search": unknown server "nobody"; known servers: a, b, c, d, e.f, g
      FILE:27: the function "find": unknown server "cc"; did you mean "c"?
      FILE:28: the function "list" must be "SERVER.TOOL"
      FILE:29: the function "tool" is a function of bex itself; give it another name under [functions]
    "#);
}

#[test]
fn text_that_is_no_toml_is_told_by_line() {
    insta::assert_snapshot!(mistakes("[mcp_servers.a]\ncommand = x\n[functions\na = 'b.c'\na = 'b.c'"), @r#"
    2 problems in the configuration
      FILE:2: string values must be quoted, expected literal string
      FILE:3: unclosed table, expected `]`
    "#);
}

#[test]
fn one_name_stands_for_one_tool() {
    insta::assert_snapshot!(mistakes("[mcp_servers.a]\ncommand = 'x'\ntools = ['find']\n[mcp_servers.b]\ncommand = 'x'\ntools = ['find']"), @r#"
    1 problem in the configuration
      FILE:6: the function "find" stands for a.find already; give it another name under [functions]
    "#);
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let error = ToolServers::load("/no/such/config.toml".as_ref())
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "cannot read the configuration /no/such/config.toml: No such file or directory (os error 2)"
    );
}

#[test]
fn the_functions_of_bex_are_those_that_are_reserved() {
    let registry = standard_registry(&HandlerConfig::new("/nowhere".into()));
    let registry = with_tools(registry, Arc::new(ToolServers::none()));
    assert_eq!(registry.functions(), RESERVED);
}

fn problems(registry: &Registry, function: &str, params: Value) -> Vec<String> {
    let problems = registry.check(&TaskSpec::new(function).with_params(&params).unwrap());
    let lines = problems
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|problem| {
            let help = problem
                .help
                .map_or_else(String::new, |help| format!(" ({help})"));
            format!("{}: {}{help}", problem.path, problem.message)
        });
    lines.collect()
}

#[test]
fn parameters_are_checked_before_anything_runs() {
    let tools = Tools::new(
        "[mcp_servers.files]\ncommand = 'x'\ntools = ['read']\n[mcp_servers.web]\nurl = 'http://localhost/'",
    );
    let check = |function: &str, params: Value| problems(&tools.registry, function, params);
    let none: [&str; 0] = [];
    assert_eq!(
        check(
            "tool",
            json!({"server": "files", "tool": "x", "args": {"a": 1}})
        ),
        none
    );
    assert_eq!(
        check(
            "tool",
            json!({"server": "{{ tasks.a.result }}", "tool": "{{ tasks.b.result }}", "args": "{{ tasks.c.result }}"})
        ),
        none
    );
    assert_eq!(check("read", json!({"anything": 1})), none);
    assert_eq!(check("read", json!("{{ tasks.a.result }}")), none);
    let wrong = [
        check("tool", json!({})),
        check("tool", json!([])),
        check(
            "tool",
            json!({"server": "fils", "tool": "", "arg": {}, "zzz": 1}),
        ),
        check("tool", json!({"server": 1, "tool": null, "args": [1]})),
        check("read", json!([1])),
    ];
    insta::assert_snapshot!(wrong.concat().join("\n"), @r#"
    server: the field "server" is missing; it must be a text
    tool: the field "tool" is missing; it must be a text
    : must be an object, not a list
    server: the field "server" is missing; it must be a text
    tool: the field "tool" is missing; it must be a text
    arg: unknown field "arg" (did you mean "args"?)
    zzz: unknown field "zzz" (known fields: server, tool, args)
    tool: is empty
    server: there is no MCP server "fils" (did you mean "files"?)
    server: must be a text, not a number
    tool: the field "tool" is missing; it must be a text
    args: must be an object, not a list
    : must be an object, not a list
    "#);
}

#[test]
fn a_missing_server_or_function_is_told_with_the_way_to_add_it() {
    let tools = Tools::new("");
    let file = tools
        .registry
        .help()
        .unwrap()
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned();
    let plan = Plan::check(
        vec![
            TaskSpec::new("tool")
                .with_params(&json!({"server": "files", "tool": "x"}))
                .unwrap(),
            TaskSpec::new("memory_operation"),
        ],
        &tools.registry,
    );
    let problems = plan.err().unwrap().into_iter();
    let lines: Vec<_> = problems
        .map(|problem| {
            format!(
                "{}: {}; {}",
                problem.field,
                problem.message,
                problem.help.unwrap_or_default()
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n").replace(&file, "FILE"), @r#"
    params.server: there is no MCP server "files"; servers are under [mcp_servers] in FILE
    function: unknown function "memory_operation"; known functions: tool; a tool of an MCP server becomes a function by its name in `tools` or [functions] beside [mcp_servers] in FILE
    "#);
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(lines in prop::collection::vec(
        prop::sample::select(vec![
            "[mcp_servers.a]", "[mcp_servers.b]", "[functions]", "[mcp_servers]", "command = 'x'", "url = 'http://x'",
            "url = '${X'", "tools = ['t', 'u']", "t = 'a.t'", "args = [1]", "env = 3", "timeout = -1", "timeout = 1e400",
            "max_concurrent = 99999999999999999999", "= =", "\u{0}", "ü = 'ü'", "headers = { a = '\u{7f}' }",
        ]),
        0..8,
    )) {
        mistakes(&lines.join("\n"));
    }
}

#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in [pipe.as_path(), "/dev/zero".as_ref(), folder.path()] {
        let error = ToolServers::load(path)
            .err()
            .expect("nothing is read")
            .to_string();
        assert!(error.ends_with("it is not a regular file"), "{error}");
    }
}
