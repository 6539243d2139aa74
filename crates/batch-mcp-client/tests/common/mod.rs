//! Attempts by hand, and servers that are the fixture: [`Tools`].

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use batch_core::{BatchId, Failure, Output, TaskId, TaskSpec};
use batch_mcp_client::{ToolServers, with_tools};
use batch_runtime::{AttemptError, Registry, TaskContext};
use serde_json::{Value, json};

/// Longer than anything here takes on the slowest machine. Not an assertion on time: a hang becomes a
/// failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration file with its servers.
pub(crate) struct Tools {
    pub(crate) servers: Arc<ToolServers>,
    pub(crate) registry: Registry,
    _folder: tempfile::TempDir,
}

impl Tools {
    /// Servers from a file in a folder of its own. `FIXTURE` means the path of the fixture.
    pub(crate) fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, config.replace("FIXTURE", FIXTURE)).unwrap();
        let servers = Arc::new(ToolServers::load(&path).unwrap_or_else(|error| panic!("{error}")));
        Self {
            registry: with_tools(Registry::new(), Arc::clone(&servers)),
            servers,
            _folder: folder,
        }
    }

    /// One server, `files`, that behaves in a certain way, with further settings.
    pub(crate) fn fixture(mode: &str, settings: &str) -> Self {
        Self::new(&format!(
            "[mcp_servers.files]\ncommand = 'FIXTURE'\nargs = ['{mode}']\n{settings}\n"
        ))
    }

    /// One attempt at a call of a tool of `files`.
    pub(crate) async fn call(&self, tool: &str, args: Value) -> Result<Output, AttemptError> {
        let params = json!({"server": "files", "tool": tool, "args": args});
        self.run("tool", params).await
    }

    /// One attempt at a function.
    pub(crate) async fn run(&self, function: &str, params: Value) -> Result<Output, AttemptError> {
        let task = task(function, params);
        let run = self
            .registry
            .get(function)
            .expect("a known function")
            .run(&task);
        tokio::time::timeout(PATIENCE, run)
            .await
            .expect("an end in time")
    }

    /// A call that goes well, and its value.
    pub(crate) async fn value(&self, tool: &str, args: Value) -> Value {
        value(self.call(tool, args).await)
    }

    /// A call that fails.
    pub(crate) async fn failure(&self, tool: &str, args: Value) -> Failure {
        failure(self.call(tool, args).await)
    }

    pub(crate) async fn close(&self) {
        let close = self.servers.close();
        tokio::time::timeout(PATIENCE, close)
            .await
            .expect("an end in time");
    }
}

pub(crate) const FIXTURE: &str = env!("CARGO_BIN_EXE_batch-mcp-client-fixture");

pub(crate) fn value(result: Result<Output, AttemptError>) -> Value {
    match result {
        Ok(output) => output.value.map_or(Value::Null, |value| value.to_value()),
        Err(AttemptError::Failed(failure)) => panic!("{}: {failure:?}", failure.message),
        Err(AttemptError::Busy(why)) => panic!("busy: {why}"),
    }
}

pub(crate) fn failure(result: Result<Output, AttemptError>) -> Failure {
    match result {
        Err(AttemptError::Failed(failure)) => *failure,
        other => panic!("not failed: {other:?}"),
    }
}

pub(crate) fn task(function: &str, params: Value) -> TaskContext {
    let spec = TaskSpec::new(function).with_params(&params).unwrap();
    TaskContext::new(BatchId::new(7).unwrap().task(TaskId::new(1).unwrap()), spec)
}

/// A named pipe that a server and everything it starts hold open: its end is the end of them all.
pub(crate) struct Lifeline {
    folder: tempfile::TempDir,
    news: mpsc::Receiver<Option<String>>,
}

impl Lifeline {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let (tell, news) = mpsc::channel();
        std::thread::spawn(move || {
            // Opening waits for the first writer.
            let reader = BufReader::new(std::fs::File::open(path).unwrap());
            for line in reader.lines() {
                let _ = tell.send(Some(line.unwrap()));
            }
            let _ = tell.send(None);
        });
        Self { folder, news }
    }

    /// The configuration of a server `files` that is the fixture and holds the pipe.
    pub(crate) fn config(&self, mode: &str) -> String {
        let pipe = pipe(self.folder.path());
        format!(
            "[mcp_servers.files]\ncommand = 'sh'\n\
             args = ['-c', 'exec 9>{}; echo begun >&9; exec FIXTURE {mode}']\n",
            pipe.display()
        )
    }

    /// Waits for a line.
    pub(crate) fn line(&self) -> String {
        self.next().expect("a line before the end")
    }

    /// Waits until every process that holds the pipe is gone.
    pub(crate) fn all_gone(&self) {
        while self.next().is_some() {}
    }

    fn next(&self) -> Option<String> {
        self.news.recv_timeout(PATIENCE).expect("news in time")
    }
}

fn pipe(folder: &Path) -> PathBuf {
    folder.join("fifo")
}
