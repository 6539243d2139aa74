//! Streamable HTTP: who is let in, and what they can do.

use std::net::SocketAddr;

use crate::place::agent;
use batch_mcp_server::{HttpOptions, ServeHttpError, serve_http};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const TOKEN: &str = "a token of sixteen and more";

struct Server {
    address: SocketAddr,
    serving: JoinHandle<Result<(), ServeHttpError>>,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn options() -> HttpOptions {
    HttpOptions {
        address: "127.0.0.1:0".parse().unwrap(),
        token: TOKEN.to_owned(),
        hosts: vec!["bex.example".to_owned()],
        origins: vec!["https://app.example:443".to_owned()],
    }
}

impl Server {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (ready, listens) = oneshot::channel();
        let serving = tokio::spawn(serve_http(agent(folder.path()), options(), |address| {
            ready.send(address).unwrap();
        }));
        Self {
            address: listens.await.unwrap(),
            serving,
            _folder: folder,
        }
    }

    /// Sends a request with these headers; gives the status and the whole answer.
    async fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        let mut head = String::from("POST / HTTP/1.1\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // Who is refused may be shut out before all was read.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        (status.expect("it is an answer of HTTP"), answer)
    }

    /// Asks for the tools, with some headers in place of the usual ones or beside them.
    async fn list(&self, headers: &[(&str, &str)]) -> (u16, String) {
        let body = list().to_string();
        self.post(&with(headers), body.as_bytes()).await
    }
}

/// The headers of a client that is let in, with others in their place or beside them; an empty one is left out.
fn with<'a>(others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut headers = vec![
        ("Host", "127.0.0.1"),
        ("Authorization", "Bearer a token of sixteen and more"),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/list"),
    ];
    headers.retain(|(name, _)| others.iter().all(|(other, _)| other != name));
    headers.extend(others);
    headers.retain(|(_, value)| !value.is_empty());
    headers
}

fn list() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }}})
}

#[tokio::test]
async fn the_tools_are_told_to_whom_knows_the_token() {
    let server = Server::new().await;
    let (status, answer) = server.list(&[]).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("bex_run"), "{answer}");
    for right in [
        ("Authorization", "bearer a token of sixteen and more"),
        ("Host", "localhost:7438"),
        ("Host", "bex.example"),
        ("Origin", "https://app.example"),
    ] {
        let (status, answer) = server.list(&[right]).await;
        assert_eq!(status, 200, "{right:?}: {answer}");
    }
}

#[tokio::test]
async fn nobody_else_is_told_anything() {
    let server = Server::new().await;
    let refused = [
        (401, ("Authorization", "")),
        (401, ("Authorization", "Bearer")),
        (401, ("Authorization", "Bearer wrong")),
        (401, ("Authorization", "Basic a token of sixteen and more")),
        (401, ("Authorization", "Bearer a token of sixteen and mor")),
        (
            401,
            ("Authorization", "Bearer a token of sixteen and more."),
        ),
        // A page that had its name point here.
        (403, ("Host", "rebound.example")),
        (403, ("Origin", "http://evil.example")),
        (403, ("Origin", "http://app.example")),
        (403, ("Origin", "http://127.0.0.1")),
        (403, ("Origin", "null")),
    ];
    for (expected, header) in refused {
        let (status, answer) = server.list(&[header]).await;
        assert_eq!(status, expected, "{header:?}: {answer}");
        assert!(!answer.contains("bex_run"), "{header:?}: {answer}");
    }
    let (status, answer) = server.list(&[("Authorization", "")]).await;
    assert_eq!(status, 401);
    assert!(answer.to_lowercase().contains("www-authenticate: bearer"));
}

#[tokio::test]
async fn a_token_that_can_be_guessed_is_none() {
    let folder = TempDir::new().unwrap();
    let short = HttpOptions {
        token: "short".to_owned(),
        ..options()
    };
    let served = serve_http(agent(folder.path()), short, |_| {
        unreachable!("it must not listen")
    });
    assert!(matches!(served.await, Err(ServeHttpError::ShortToken)));
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let server = Server::new().await;
    let folder = TempDir::new().unwrap();
    let same = HttpOptions {
        address: server.address,
        ..options()
    };
    let error = serve_http(agent(folder.path()), same, |_| {}).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains(&server.address.to_string()), "{error}");
}

#[tokio::test]
async fn what_is_malformed_or_huge_does_not_end_the_server() {
    let server = Server::new().await;
    let huge = vec![b' '; 5 << 20];
    let bodies: [&[u8]; 7] = [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}",
        &huge,
    ];
    for body in &bodies {
        let (status, answer) = server.post(&with(&[]), body).await;
        let expected = if *body == &huge[..] { 413 } else { 400 };
        assert_eq!(status, expected, "{answer}");
    }
    let text = with(&[("Content-Type", "text/plain")]);
    assert_eq!(server.post(&text, b"{}").await.0, 415);
    for line in [
        "GET /x HTTP/1.1\r\n\r\n",
        "\0\0\0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(server.list(&[]).await.0, 200);
}

#[tokio::test]
async fn clients_of_the_older_revisions_get_a_session() {
    let server = Server::new().await;
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let old = [("MCP-Protocol-Version", "2025-06-18"), ("Mcp-Method", "")];
    let (status, answer) = server.post(&with(&old), hello.to_string().as_bytes()).await;
    assert_eq!(status, 200, "{answer}");
    let session = answer
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "))
        .expect("a session has an id");
    let tools = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let known = [old[0], old[1], ("Mcp-Session-Id", session)];
    let (status, answer) = server
        .post(&with(&known), tools.to_string().as_bytes())
        .await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("bex_run"), "{answer}");
    let unknown = [old[0], old[1], ("Mcp-Session-Id", "none")];
    let (status, _) = server
        .post(&with(&unknown), tools.to_string().as_bytes())
        .await;
    assert_eq!(status, 404, "so that the client begins a new one");
}
