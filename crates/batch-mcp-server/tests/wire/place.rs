//! What the tests of the server share: an agent with a state folder of its own, and a client that speaks in lines.

use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use batch_actions::{BatchRequest, Home, create};
use batch_core::{BatchSettings, Plan};
use batch_mcp_server::{Dispatcher, Limits, Session};
use batch_mcp_server::{ServeError, serve_stream};
use batch_runtime::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};
use tokio::task::JoinHandle;

/// An agent whose executor never works on anything.
pub(crate) fn agent(folder: &Path) -> Dispatcher {
    Dispatcher::new(Session {
        home: home(folder),
        registry: Registry::new(),
        executor: Arc::new(|_| Command::new("false")),
        folder: folder.to_owned(),
        limits: Limits::default(),
    })
}

fn home(folder: &Path) -> Home {
    Home::new(folder.join("home"))
}

/// A batch without a task, on disk.
pub(crate) fn make_batch(folder: &Path) {
    let request = BatchRequest {
        settings: BatchSettings::with_slots(NonZeroU32::MIN),
        ..BatchRequest::default()
    };
    create(&home(folder), &request, &Plan::default()).expect("the folder takes a batch");
}

/// A client of a server of its own.
pub(crate) struct Client {
    input: WriteHalf<DuplexStream>,
    output: Lines<BufReader<ReadHalf<DuplexStream>>>,
    server: JoinHandle<Result<(), ServeError>>,
    pub(crate) folder: TempDir,
}

impl Client {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (near, far) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(far);
        let server = tokio::spawn(serve_stream(agent(folder.path()), input, output));
        let (output, input) = tokio::io::split(near);
        Self {
            input,
            output: BufReader::new(output).lines(),
            server,
            folder,
        }
    }

    /// A client of an older revision, which has shaken hands.
    pub(crate) async fn introduced() -> Self {
        let mut client = Self::new();
        client.introduce("2025-06-18").await;
        client
    }

    /// Shakes hands; gives the result.
    pub(crate) async fn introduce(&mut self, version: &str) -> Value {
        let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = self.ask("initialize", params).await;
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        answer["result"].clone()
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.write(message.to_string().as_bytes()).await;
    }

    /// Writes a line, whatever it is.
    pub(crate) async fn write(&mut self, line: &[u8]) {
        self.input.write_all(line).await.unwrap();
        self.input.write_all(b"\n").await.unwrap();
    }

    /// The next message, which is one of the protocol.
    pub(crate) async fn hear(&mut self) -> Value {
        let line = self.output.next_line().await.unwrap();
        message(&line.expect("the server has not ended"))
    }

    /// Asks, and passes over what comes before the answer.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = format!("ask {method}");
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        loop {
            let message = self.hear().await;
            if message["id"] == id {
                return message;
            }
        }
    }

    /// Asks as clients of the stateless revision do.
    pub(crate) async fn ask_alone(&mut self, method: &str, params: Value, can: Value) -> Value {
        let mut params = params;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": can,
        });
        self.ask(method, params).await
    }

    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let params = json!({"name": tool, "arguments": arguments});
        self.ask("tools/call", params).await
    }

    /// Closes its side; the server ends well.
    pub(crate) async fn leave(mut self) {
        self.input.shutdown().await.unwrap();
        while self.output.next_line().await.unwrap().is_some() {}
        self.server.await.unwrap().unwrap();
    }
}

/// A line of the server is a message of the protocol and nothing else.
#[track_caller]
fn message(line: &str) -> Value {
    let message: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("on stdout: {line}"));
    assert_eq!(message["jsonrpc"], "2.0", "{line}");
    message
}
