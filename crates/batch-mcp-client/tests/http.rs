//! Servers that are reached over HTTP, against a small one of its own.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batch_core::FailureKind;
use common::Tools;
use futures_util::future::join_all;
use serde_json::{Value, json};

/// A request as the server saw it.
struct Seen {
    head: String,
    body: Value,
}

type Answer = dyn Fn(&Seen) -> String + Send + Sync;

/// Answers requests until the test is over.
fn serve(answer: impl Fn(&Seen) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer: Arc<Answer> = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || converse(&stream, &*answer));
        }
    });
    address
}

fn converse(stream: &TcpStream, answer: &Answer) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).ok().filter(|len| *len > 0)?;
        }
        let head = head.to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let mut stream = stream;
        let answer = answer(&Seen { head, body });
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

/// What a server without sessions answers.
fn mcp(seen: &Seen) -> String {
    if !seen.head.starts_with("post ") {
        return answer("405 Method Not Allowed", "", "");
    }
    let result = match seen.body["method"].as_str().unwrap_or_default() {
        "server/discover" => json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
            "ttlMs": 0, "cacheScope": "private",
        }),
        "tools/list" => json!({
            "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
            "tools": [{"name": "echo", "inputSchema": {"type": "object"}}],
        }),
        "tools/call" => json!({
            "resultType": "complete", "content": [], "structuredContent": seen.body["params"]["arguments"],
        }),
        _ => return answer("202 Accepted", "", ""),
    };
    let body = json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": result});
    answer(
        "200 OK",
        "content-type: application/json\r\n",
        &body.to_string(),
    )
}

fn is_call(seen: &Seen) -> bool {
    seen.body["method"] == "tools/call"
}

fn tools(address: SocketAddr, settings: &str) -> Tools {
    Tools::new(&format!(
        "[mcp_servers.files]\nurl = 'http://{address}/mcp?key=geheim'\n{settings}"
    ))
}

#[tokio::test]
async fn calls_go_out_with_their_headers_and_come_back() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen_heads = Arc::clone(&heads);
    let address = serve(move |seen| {
        seen_heads.lock().unwrap().push(seen.head.clone());
        mcp(seen)
    });
    let path = std::env::var("PATH").unwrap().to_lowercase();
    let tools = tools(address, "headers = { Authorization = 'Bearer ${PATH}' }");
    let values = join_all((0..20).map(|n| tools.value("echo", json!({ "n": n })))).await;
    assert_eq!(values[19], json!({"n": 19}));
    tools.close().await;
    let heads = heads.lock().unwrap();
    assert!(heads.len() >= 22, "{}", heads.len());
    for head in heads.iter() {
        assert!(
            head.contains(&format!("authorization: bearer {path}\r\n")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_without_the_url() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = refused.local_addr().unwrap();
    drop(refused);
    let failure = tools(nobody, "").failure("echo", json!({})).await;
    assert!(
        failure
            .message
            .starts_with("the MCP server \"files\" was not reached: "),
        "{}",
        failure.message
    );
    assert!(!failure.message.contains("geheim"), "{}", failure.message);
    assert!(!failure.permanent);

    let address = serve(|_| answer("401 Unauthorized", "www-authenticate: Bearer\r\n", ""));
    let failure = tools(address, "").failure("echo", json!({})).await;
    assert!(
        failure
            .message
            .ends_with("add headers = { Authorization = \"Bearer ${TOKEN}\" }"),
        "{}",
        failure.message
    );
    assert!(failure.permanent);
}

#[tokio::test]
async fn a_server_that_is_busy_says_when_to_come_back() {
    let address = serve(|seen| match is_call(seen) {
        true => answer("503 Service Unavailable", "retry-after: 7\r\n", ""),
        false => mcp(seen),
    });
    let tools = tools(address, "");
    let failure = tools.failure("echo", json!({})).await;
    assert_eq!(
        failure.kind,
        FailureKind::HttpStatus(503),
        "{}",
        failure.message
    );
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
    assert!(!failure.permanent);
    tools.close().await;
}

#[tokio::test]
async fn secrets_do_not_follow_a_redirect_to_somebody_else() {
    let leaked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&leaked);
    let other = serve(move |request| {
        seen.lock().unwrap().push(request.head.clone());
        mcp(request)
    });
    let away = format!("location: http://{other}/mcp\r\n");
    let address = serve(move |_| answer("307 Temporary Redirect", &away, ""));
    let failure = tools(address, "headers = { X-Key = 'geheim' }")
        .failure("echo", json!({}))
        .await;
    assert!(!failure.message.contains("geheim"), "{}", failure.message);
    assert!(leaked.lock().unwrap().is_empty());

    let address = serve(|seen| match seen.head.starts_with("post /mcp/ ") {
        true => mcp(seen),
        false => answer("307 Temporary Redirect", "location: /mcp/\r\n", ""),
    });
    let tools = tools(address, "headers = { X-Key = 'geheim' }");
    assert_eq!(tools.value("echo", json!({"a": 1})).await, json!({"a": 1}));
    tools.close().await;
}

#[tokio::test]
async fn a_page_that_is_no_mcp_server_is_told() {
    let address = serve(|_| {
        answer(
            "200 OK",
            "content-type: text/html\r\n",
            "<html>hello</html>",
        )
    });
    let failure = tools(address, "").failure("echo", json!({})).await;
    assert!(
        failure.message.starts_with("the MCP server \"files\""),
        "{}",
        failure.message
    );
    assert!(!failure.message.contains("geheim"), "{}", failure.message);
}
