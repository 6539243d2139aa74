//! Calls of a real server: what they give, and how they go wrong.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use batch_core::{FailureKind, catalog::Catalog};
use common::{Tools, failure, value};
use futures_util::future::join_all;
use serde_json::{Value, json};

#[tokio::test]
async fn results_are_values_whatever_protocol_the_server_speaks() {
    for mode in ["modern", "legacy", "strict", "endless"] {
        let tools = Tools::fixture(mode, "");
        let args = json!({"a": [1, null, "ü\n"]});
        assert_eq!(tools.value("echo", args.clone()).await, args, "{mode}");
        assert_eq!(
            tools.value("text", json!({"text": "hi"})).await,
            "hi",
            "{mode}"
        );
        tools.close().await;
    }
}

#[tokio::test]
async fn a_call_without_args_has_empty_ones() {
    let tools = Tools::fixture("modern", "");
    let result = tools
        .run("tool", json!({"server": "files", "tool": "echo"}))
        .await;
    assert_eq!(value(result), json!({}));
    tools.close().await;
}

#[tokio::test]
async fn a_function_of_its_own_passes_its_parameters_on() {
    let tools = Tools::new(
        "[mcp_servers.files]\ncommand = 'FIXTURE'\ntools = ['echo']\n[functions]\nknowledge_search = 'files.text'",
    );
    assert_eq!(
        tools.registry.functions(),
        ["echo", "knowledge_search", "tool"]
    );
    let found = tools.run("knowledge_search", json!({"text": "rust"})).await;
    assert_eq!(value(found), "rust");
    assert_eq!(
        value(tools.run("echo", json!({"a": 1})).await),
        json!({"a": 1})
    );
    let wrong = failure(tools.run("echo", json!([1])).await);
    assert_eq!(wrong.message, "params: must be an object, not a list");
    tools.close().await;
}

#[tokio::test]
async fn an_error_that_the_tool_reports_is_a_failure_with_its_text() {
    let tools = Tools::fixture("modern", "");
    let failed = tools.failure("fail", json!({})).await;
    assert_eq!(failed.message, "no such file");
    assert_eq!((failed.kind, failed.permanent), (FailureKind::Error, false));
    let refused = tools.failure("refuse", json!({})).await;
    assert_eq!(
        refused.message,
        "the MCP server \"files\" refused \"refuse\": path is missing (error -32602)"
    );
    assert_eq!(
        (refused.kind, refused.permanent),
        (FailureKind::InputError, true)
    );
    tools.close().await;
}

#[tokio::test]
async fn an_unknown_tool_is_told_at_once_and_a_new_one_is_found() {
    let tools = Tools::fixture("modern", "");
    let wrong = tools.failure("ecko", json!({})).await;
    assert_eq!(
        wrong.message,
        "the MCP server \"files\" has no tool \"ecko\"; did you mean \"echo\"?"
    );
    assert_eq!(
        (wrong.kind, wrong.permanent),
        (FailureKind::InputError, true)
    );
    let far = tools.failure("zzz", json!({})).await;
    assert!(far.message.ends_with("; it has add, cancelled, cwd, die, echo, env, fail, hang, hold, leave, noise, odd, pid, refuse, text"), "{}", far.message);
    tools.value("add", json!({})).await;
    assert_eq!(tools.value("added", json!({})).await, "new");
    tools.close().await;
}

#[tokio::test]
async fn many_tasks_share_one_server_that_never_has_more_calls_than_it_may() {
    let tools = Tools::fixture("modern", "max_concurrent = 3");
    let calls = (0..20).map(|_| tools.value("hold", json!({})));
    let most = join_all(calls).await;
    assert_eq!(most[19], json!({"most": 3}));
    let calls = (0..50).map(|_| tools.value("pid", json!({})));
    let pids = join_all(calls).await;
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    tools.close().await;
}

#[tokio::test]
async fn the_command_gets_its_environment_and_its_folder() {
    // The folder of the configuration is what a relative one is meant from.
    let tools = Tools::new(
        "[mcp_servers.files]\ncommand = 'FIXTURE'\nargs = ['${BEX_TEST_NONE_AT_ALL}']\n\
         [mcp_servers.other]\ncommand = 'FIXTURE'\ncwd = '/usr'\nenv = { GREETING = 'hi ${PATH}!', PLAIN = '$${PATH}' }",
    );
    let other = |tool: &str, args: Value| {
        let params = json!({"server": "other", "tool": tool, "args": args});
        let tools = &tools;
        async move { value(tools.run("tool", params).await) }
    };
    let path = std::env::var("PATH").unwrap();
    assert_eq!(
        other("env", json!({"name": "GREETING"})).await,
        format!("hi {path}!")
    );
    assert_eq!(other("env", json!({"name": "PLAIN"})).await, "${PATH}");
    assert_eq!(other("cwd", json!({})).await, "/usr");
    let missing = tools.failure("echo", json!({})).await;
    assert_eq!(
        missing.message,
        "the MCP server \"files\" cannot be started: the environment variable BEX_TEST_NONE_AT_ALL is not set"
    );
    assert!(missing.permanent);
    tools.close().await;
}

#[tokio::test]
async fn nonsense_from_the_server_disturbs_nobody() {
    let tools = Tools::fixture("modern", "");
    assert_eq!(tools.value("noise", json!({})).await, "done");
    let odd = tools.failure("odd", json!({})).await;
    assert_eq!(
        odd.message,
        "the MCP server \"files\" gave \"odd\" an answer that cannot be used: Unexpected response type"
    );
    assert_eq!((odd.kind, odd.permanent), (FailureKind::Error, false));
    assert_eq!(tools.value("text", json!({"text": "on"})).await, "on");
    tools.close().await;
}

#[tokio::test]
async fn an_unknown_server_that_was_filled_in_is_an_error_of_the_task() {
    let tools = Tools::fixture("modern", "");
    let result = tools
        .run("tool", json!({"server": "fils", "tool": "echo"}))
        .await;
    let failed = failure(result);
    assert_eq!(
        failed.message,
        "there is no MCP server \"fils\"; did you mean \"files\"?"
    );
    assert!(failed.permanent);
}
