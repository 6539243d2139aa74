//! Servers that die, hang or are ended.

mod common;

use std::path::Path;
use std::time::Duration;

use batch_core::FailureKind;
use common::{Lifeline, Tools};
use futures_util::future::join_all;
use serde_json::json;

#[tokio::test]
async fn a_server_that_died_is_started_again_and_its_calls_may_be_tried_again() {
    let tools = Tools::fixture("modern", "");
    let before = tools.value("pid", json!({})).await;
    let hung = tools.call("hang", json!({}));
    let (hung, died) = tokio::join!(hung, tools.failure("die", json!({})));
    assert_eq!(
        died.message,
        "the MCP server \"files\" ended (exit code 3: out of cheese) before it answered \"die\""
    );
    let hung = common::failure(hung);
    assert_eq!(
        hung.message,
        "the MCP server \"files\" ended (exit code 3: out of cheese) before it answered \"hang\""
    );
    for failure in [died, hung] {
        assert_eq!(
            (failure.kind, failure.permanent),
            (FailureKind::Error, false)
        );
    }
    let after = tools.value("pid", json!({})).await;
    assert_ne!(before, after);
    tools.close().await;
}

#[tokio::test]
async fn a_server_that_dies_again_and_again_is_still_started() {
    let tools = Tools::fixture("legacy", "");
    for _ in 0..3 {
        let failure = tools.failure("die", json!({})).await;
        assert!(!failure.permanent, "{}", failure.message);
    }
    assert_eq!(tools.value("text", json!({"text": "alive"})).await, "alive");
    tools.close().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_fails_all_who_wait_for_it() {
    let tools = Tools::fixture("broken", "");
    let failures = join_all((0..5).map(|_| tools.failure("echo", json!({})))).await;
    for failure in failures {
        assert_eq!(
            failure.message,
            "the MCP server \"files\" ended at its start: exit code 3: no such option"
        );
        assert_eq!(
            (failure.kind, failure.permanent),
            (FailureKind::SpawnError, false)
        );
    }
    let missing = Tools::new("[mcp_servers.files]\ncommand = 'bex-no-such-program'");
    let failure = missing.failure("echo", json!({})).await;
    assert!(failure.permanent);
    assert!(
        failure
            .message
            .starts_with("the MCP server \"files\" cannot be started: "),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_ended() {
    let lifeline = Lifeline::new();
    let config = lifeline.config("silent");
    let tools = Tools::new(&format!("{config}start_timeout = 0.2"));
    let failure = tools.failure("echo", json!({})).await;
    assert_eq!(
        failure.message,
        "the MCP server \"files\" did not answer within 0.2 s of its start"
    );
    assert_eq!(
        (failure.kind, failure.permanent),
        (FailureKind::SpawnError, false)
    );
    assert_eq!(lifeline.line(), "begun");
    gone(lifeline).await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_fails_and_the_server_hears_of_it() {
    let tools = Tools::fixture("modern", "timeout = 0.2");
    let failure = tools.failure("hang", json!({})).await;
    assert_eq!(
        failure.message,
        "the MCP server \"files\" did not answer \"hang\" within 0.2 s"
    );
    assert_eq!(
        (failure.kind, failure.permanent),
        (FailureKind::Timeout, false)
    );
    assert_eq!(tools.value("cancelled", json!({"count": 1})).await, "1");
    tools.close().await;
}

#[tokio::test]
async fn the_server_hears_of_a_call_that_is_cancelled_and_its_slot_is_free() {
    for mode in ["modern", "legacy"] {
        let tools = Tools::fixture(mode, "max_concurrent = 1");
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        tokio::select! {
            ended = tools.call("hang", json!({"mark": mark})) => panic!("it hangs: {ended:?}"),
            () = there(&mark) => {}
        }
        assert_eq!(
            tools.value("cancelled", json!({"count": 1})).await,
            "1",
            "{mode}"
        );
        tools.close().await;
    }
}

#[tokio::test]
async fn closing_leaves_no_process_and_a_later_call_starts_the_server_again() {
    let lifeline = Lifeline::new();
    let tools = Tools::new(&lifeline.config("modern"));
    let before = tools.value("pid", json!({})).await;
    assert_eq!(lifeline.line(), "begun");
    tools
        .value(
            "leave",
            json!({"script": "trap '' TERM; echo left >&9; while :; do sleep 1000; done"}),
        )
        .await;
    assert_eq!(lifeline.line(), "left");
    tools.close().await;
    gone(lifeline).await;
    let again = Tools::fixture("modern", "");
    assert_ne!(again.value("pid", json!({})).await, before);
    again.close().await;
    assert_eq!(again.value("text", json!({"text": "again"})).await, "again");
    again.close().await;
}

#[tokio::test]
async fn what_is_dropped_is_killed() {
    let lifeline = Lifeline::new();
    let tools = Tools::new(&lifeline.config("modern"));
    tools.value("pid", json!({})).await;
    drop(tools);
    gone(lifeline).await;
}

#[tokio::test]
async fn a_server_whose_child_holds_its_output_is_seen_to_die() {
    let lifeline = Lifeline::new();
    let tools = Tools::new(&lifeline.config("modern"));
    tools
        .value("leave", json!({"script": "echo left >&9; exec sleep 1000"}))
        .await;
    assert_eq!(
        (lifeline.line(), lifeline.line()),
        ("begun".into(), "left".into())
    );
    let failure = tools.failure("die", json!({})).await;
    assert!(
        failure.message.contains("exit code 3: out of cheese"),
        "{}",
        failure.message
    );
    gone(lifeline).await;
}

/// Waits until all processes are gone, while the runtime goes on.
async fn gone(lifeline: Lifeline) {
    tokio::task::spawn_blocking(move || lifeline.all_gone())
        .await
        .unwrap();
}

/// Waits until a file is there.
async fn there(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
