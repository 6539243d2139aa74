//! What a process may rely on that is talked to over its pipes, with real ones.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::time::Duration;

use batch_process::{PipedProcess, Pipes, SpawnError, Spec};
use common::{Lifeline, PATIENCE};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

fn sh(task: &str, script: &str) -> Spec {
    Spec {
        task: task.to_owned(),
        ..Spec::new(["sh", "-c", script])
    }
}

fn spawn(spec: &Spec) -> (PipedProcess, Pipes) {
    PipedProcess::spawn(spec).unwrap()
}

#[tokio::test]
async fn lines_go_both_ways_and_the_closed_input_ends_it() {
    let script = "while read line; do echo \"<$line>\"; done; echo over >&2; exit 5";
    let (process, mut pipes) = spawn(&sh("piped.1", script));
    let mut lines = BufReader::new(pipes.stdout).lines();
    for text in ["a", "b c"] {
        pipes
            .stdin
            .write_all(format!("{text}\n").as_bytes())
            .await
            .unwrap();
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(line, Some(format!("<{text}>")));
    }
    drop(pipes.stdin);
    timeout(PATIENCE, process.exited()).await.unwrap();
    let mut errors = String::new();
    pipes.stderr.read_to_string(&mut errors).await.unwrap();
    assert_eq!(errors, "over\n");
    let end = timeout(PATIENCE, process.end()).await.unwrap();
    assert_eq!((end.exit_code, end.signal), (Some(5), None));
}

#[tokio::test]
async fn the_end_takes_all_that_it_started_along() {
    let lifeline = Lifeline::new();
    let script = format!(
        "{}setsid sh -c 'trap \"\" TERM; echo deaf >&9; while :; do sleep 1000; done' & trap 'exit 0' TERM; wait",
        lifeline.hold()
    );
    let spec = Spec {
        grace: Duration::from_millis(50),
        ..sh("piped.2", &script)
    };
    let (process, _pipes) = spawn(&spec);
    let lifeline = tokio::task::spawn_blocking(move || {
        assert_eq!(lifeline.line(), "deaf");
        lifeline
    });
    let lifeline = lifeline.await.unwrap();
    let end = timeout(PATIENCE, process.end()).await.unwrap();
    assert_eq!(end.exit_code, Some(0));
    tokio::task::spawn_blocking(move || lifeline.all_gone())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_dropped_is_killed() {
    let lifeline = Lifeline::new();
    let script = format!("{}echo begun >&9; sleep 1000", lifeline.hold());
    let (process, _pipes) = spawn(&sh("piped.3", &script));
    let lifeline = tokio::task::spawn_blocking(move || {
        assert_eq!(lifeline.line(), "begun");
        lifeline
    });
    let lifeline = lifeline.await.unwrap();
    drop(process);
    tokio::task::spawn_blocking(move || lifeline.all_gone())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let error = PipedProcess::spawn(&Spec::new(["bex-no-such-program"])).unwrap_err();
    assert!(error.is_permanent(), "{error}");
    let none: [&str; 0] = [];
    let error = PipedProcess::spawn(&Spec::new(none)).unwrap_err();
    assert!(matches!(error, SpawnError::NoProgram), "{error}");
}
