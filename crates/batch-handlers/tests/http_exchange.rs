//! `http`, what goes over the wire and what is made of it: bodies as written, packed answers, texts in other encodings,
//! kept connections.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use batch_core::{Json, TaskSpec, retry::RetrySpec};
use common::Handlers;
use serde_json::{Value, json};

/// Serves connections one after the other; each gets its answers, and is closed after them. Tells what came.
fn serve(connections: Vec<Vec<Vec<u8>>>) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, seen) = mpsc::channel();
    std::thread::spawn(move || {
        for answers in connections {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(&stream);
            for answer in answers {
                let _ = tell.send(request(&mut reader));
                (&stream).write_all(&answer).unwrap();
            }
        }
    });
    (address, seen)
}

/// A request with its body.
fn request(reader: &mut BufReader<&TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or_default()];
    reader.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn one(answer: Vec<u8>) -> (String, mpsc::Receiver<String>) {
    let (address, seen) = serve(vec![vec![answer]]);
    (format!("http://{address}/"), seen)
}

async fn value_of(answer: Vec<u8>, params: Value) -> Value {
    let (url, _seen) = one(answer);
    let mut params = params;
    params["url"] = url.into();
    let output = Handlers::new().output("http", params).await;
    output.value.unwrap().to_value()
}

/// What is sent for parameters that are JSON text, with `URL` in it.
async fn sent(params: &str) -> String {
    let (url, seen) = one(answer("200 OK", "", b""));
    let spec = TaskSpec {
        params: Json::parse(&params.replace("URL", &url)).unwrap(),
        ..TaskSpec::new("http")
    };
    Handlers::new()
        .run_task(&common::attempt(spec))
        .await
        .unwrap();
    seen.recv().unwrap()
}

#[tokio::test]
async fn numbers_and_fields_go_out_as_they_were_written() {
    let body = r#"{"z":1,"id":123456789012345678901234567890,"price":0.10,"a":[1e2,-0]}"#;
    let spaced = body.replace(':', " : ");
    let request = sent(&format!(
        r#"{{"url": "URL", "method": "PUT", "headers": {{"X-N": 1234567890123456789012, "X-P": 1.50}}, "body": {spaced}}}"#
    ))
    .await;
    assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
    assert!(
        request.contains("x-n: 1234567890123456789012\r\n"),
        "{request}"
    );
    assert!(request.contains("x-p: 1.50\r\n"), "{request}");
}

#[tokio::test]
async fn an_object_is_sent_as_a_form_where_the_type_says_so() {
    let kind = r#""Content-Type": "application/x-www-form-urlencoded; charset=utf-8""#;
    let request = sent(&format!(
        r#"{{"url": "URL", "method": "POST", "headers": {{{kind}}}, "body": {{"z": "a b&c", "é": 1.50, "l": ["x", true]}}}}"#
    ))
    .await;
    assert!(
        request.ends_with("\r\n\r\nz=a%20b%26c&%C3%A9=1.50&l=x&l=true"),
        "{request}"
    );
    let params = json!({
        "url": "http://localhost/", "headers": {"content-type": "application/x-www-form-urlencoded"},
        "body": {"a": {"b": 1}},
    });
    let failed = Handlers::new().failure("http", params).await;
    assert!(
        failed.message.starts_with("params.body: a form takes"),
        "{}",
        failed.message
    );
}

#[tokio::test]
async fn a_request_without_a_body_says_so_where_servers_expect_one() {
    for (method, says) in [
        ("POST", true),
        ("put", true),
        ("PATCH", true),
        ("GET", false),
        ("DELETE", false),
    ] {
        let request = sent(&format!(r#"{{"url": "URL", "method": "{method}"}}"#)).await;
        assert_eq!(request.contains("content-length: 0\r\n"), says, "{request}");
    }
}

#[tokio::test]
async fn headers_that_follow_from_the_body_are_refused() {
    let handlers = Handlers::new();
    for name in ["Content-Length", "content-length", "Transfer-Encoding"] {
        let params = json!({"url": "http://localhost/", "headers": {name: "{{ tasks.a.result }}"}});
        let problems = handlers.problems("http", params);
        assert!(
            problems[0].contains("follows from the body; leave it out"),
            "{problems:?}"
        );
        let params = json!({"url": "http://localhost/", "headers": {name: "3"}});
        assert!(handlers.failure("http", params).await.permanent);
    }
}

#[tokio::test]
async fn a_host_of_its_own_is_sent() {
    let request = sent(r#"{"url": "URL", "headers": {"Host": "other.example"}}"#).await;
    assert!(
        request
            .to_lowercase()
            .contains("\r\nhost: other.example\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn packed_answers_are_unpacked() {
    let text = br#"{"unpacked":[1,2,3]}"#;
    // A frame with its length in one byte, and one block that is stored as it is.
    let zstd = [&b"\x28\xb5\x2f\xfd\x20\x14\xa1\x00\x00"[..], text].concat();
    for (encoding, body) in [
        (
            "gzip",
            BASE64
                .decode("H4sIAAAAAAAAA6tWKs0rSEzOTk1Rsoo21DHSMY6tBQAL/tdiFAAAAA==")
                .unwrap(),
        ),
        (
            "deflate",
            BASE64
                .decode("eJyrVirNK0hMzk5NUbKKNtQx0jGOrQUASF0GaA==")
                .unwrap(),
        ),
        (
            "br",
            BASE64.decode("iwmAeyJ1bnBhY2tlZCI6WzEsMiwzXX0D").unwrap(),
        ),
        ("zstd", zstd),
    ] {
        let headers = format!("Content-Type: application/json\r\nContent-Encoding: {encoding}\r\n");
        let (url, seen) = one(answer("200 OK", &headers, &body));
        let output = Handlers::new().output("http", json!({"url": url})).await;
        let value = output.value.unwrap().to_value();
        assert_eq!(value["body"], json!({"unpacked": [1, 2, 3]}), "{encoding}");
        let asked = seen.recv().unwrap();
        let accepted = asked
            .lines()
            .find(|line| line.starts_with("accept-encoding: "));
        assert!(
            accepted.is_some_and(|line| line.contains(encoding)),
            "{asked}"
        );
        let broken = answer("200 OK", &headers, b"not packed at all");
        let (url, _seen) = one(broken);
        let failed = Handlers::new().failure("http", json!({"url": url})).await;
        assert!(!failed.permanent, "{encoding}: {}", failed.message);
    }
}

#[tokio::test]
async fn an_answer_that_has_no_body_need_not_be_packed() {
    for (method, status) in [
        ("HEAD", "200 OK"),
        ("GET", "204 No Content"),
        ("GET", "304 Not Modified"),
    ] {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n");
        let (url, _seen) = one(head.into_bytes());
        let params = json!({"url": url, "method": method, "redirects": false});
        let ended = Handlers::new().run("http", params).await;
        let left = match ended {
            Ok(output) => output.value,
            Err(batch_runtime::AttemptError::Failed(failure)) => {
                failure.output.and_then(|output| output.value.clone())
            }
            Err(busy) => panic!("{busy:?}"),
        };
        assert_eq!(left.unwrap().to_value()["body"], "", "{method} {status}");
    }
}

#[tokio::test]
async fn the_limit_is_on_what_is_unpacked() {
    // A frame of zstd whose blocks are 128 KiB of one byte each: in all a block more than the limit.
    let mut packed = b"\x28\xb5\x2f\xfd\x00\x68".to_vec();
    let block: u32 = 128 * 1024;
    let blocks = 64 * 8 + 1;
    for number in 1..=blocks {
        let header = u32::from(number == blocks) | 1 << 1 | block << 3;
        packed.extend_from_slice(&header.to_le_bytes()[..3]);
        packed.push(b'x');
    }
    assert!(packed.len() < 4096);
    let (url, _seen) = one(answer("200 OK", "Content-Encoding: zstd\r\n", &packed));
    let failed = Handlers::new().failure("http", json!({"url": url})).await;
    assert!(failed.message.contains("longer than"), "{}", failed.message);
    assert!(failed.permanent);
}

#[tokio::test]
async fn texts_are_read_in_the_encoding_of_the_answer() {
    let utf16 = |text: &str| {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        [b"\xff\xfe".to_vec(), units.collect()].concat()
    };
    for (kind, body, expected) in [
        (
            "text/plain; charset=iso-8859-1",
            b"caf\xe9".to_vec(),
            json!("café"),
        ),
        (
            "text/plain;Charset=\"Windows-1252\"",
            b"\x80".to_vec(),
            json!("€"),
        ),
        (
            "text/plain; charset=shift_jis",
            b"\x83\x65\x83\x58\x83\x67".to_vec(),
            json!("テスト"),
        ),
        (
            "application/json; charset=latin1",
            b"[\"\xfc\"]".to_vec(),
            json!(["ü"]),
        ),
        (
            "application/json",
            b"\xef\xbb\xbf{\"a\": 1}".to_vec(),
            json!({"a": 1}),
        ),
        (
            "application/json; charset=utf-8",
            b"\xef\xbb\xbf[]".to_vec(),
            json!([]),
        ),
        ("application/json", utf16("{\"ä\": 1}"), json!({"ä": 1})),
        (
            "text/plain; charset=none-such",
            "ä".as_bytes().to_vec(),
            json!("ä"),
        ),
    ] {
        let answer = answer("200 OK", &format!("Content-Type: {kind}\r\n"), &body);
        assert_eq!(
            value_of(answer, json!({})).await["body"],
            expected,
            "{kind}"
        );
    }
    let wrong = answer(
        "200 OK",
        "Content-Type: text/plain; charset=utf-8\r\n",
        b"caf\xe9",
    );
    assert_eq!(value_of(wrong, json!({})).await["body_base64"], "Y2Fm6Q==");
}

#[tokio::test]
async fn several_cookies_are_a_list() {
    let one = "Set-Cookie: a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT\r\n";
    let value = value_of(answer("200 OK", one, b""), json!({})).await;
    assert_eq!(
        value["headers"]["set-cookie"],
        "a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT"
    );
    let two = format!("{one}Set-Cookie: b=2\r\nVary: a\r\nVary: b\r\n");
    let value = value_of(answer("200 OK", &two, b""), json!({})).await;
    let expected = json!(["a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT", "b=2"]);
    assert_eq!(value["headers"]["set-cookie"], expected);
    assert_eq!(value["headers"]["vary"], "a, b");
    let shown = batch_template::shown_result("http", &Json::from(&value)).into_owned();
    assert!(!shown.contains("b=2"), "{shown}");
}

#[tokio::test]
async fn what_can_be_repeated_is_sent_again_after_a_kept_connection_was_closed() {
    let ok = || answer("200 OK", "", b"ok");
    for (method, is_sent_again) in [
        ("GET", true),
        ("PUT", true),
        ("DELETE", true),
        ("POST", false),
    ] {
        // The first connection takes a second request, and is closed without an answer to it.
        let (address, seen) = serve(vec![vec![ok(), Vec::new()], vec![ok()]]);
        let handlers = Handlers::new();
        let url = format!("http://{address}/");
        handlers.output("http", json!({"url": url})).await;
        let second = handlers
            .run("http", json!({"url": url, "method": method}))
            .await;
        assert_eq!(second.is_ok(), is_sent_again, "{method}: {second:?}");
        assert_eq!(seen.iter().take(2).count(), 2);
    }
}

#[tokio::test]
async fn a_pause_names_the_host_and_one_that_is_too_long_says_so() {
    for (status, pause, host, told) in [
        ("429 Too Many Requests", "5", true, false),
        ("503 Service Unavailable", "5", true, false),
        ("500 Internal Server Error", "5", false, false),
        ("429 Too Many Requests", "999999999", true, true),
        (
            "429 Too Many Requests",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            true,
            false,
        ),
    ] {
        let (address, _seen) = serve(vec![vec![answer(
            status,
            &format!("Retry-After: {pause}\r\n"),
            b"",
        )]]);
        let params = json!({"url": format!("http://{address}/?secret=1")});
        let spec = TaskSpec::new("http")
            .with_params(&params)
            .unwrap()
            .with_retry(RetrySpec {
                max_wait: Duration::from_secs(60),
                ..RetrySpec::default()
            });
        let handlers = Handlers::new();
        let known = handlers.registry.get("http").unwrap().host(&spec.params);
        let failed = common::failure(handlers.run_task(&common::attempt(spec)).await);
        assert_eq!(failed.host.is_some(), host, "{status}");
        assert!(failed.host.is_none_or(|host| *host == *known.unwrap()));
        let says = failed.message.contains("longer than retry.max_wait (60 s)");
        assert_eq!(says, told, "{}", failed.message);
    }
}

#[test]
fn the_host_of_a_task_is_known_where_it_is_written_out() {
    let handlers = Handlers::new();
    let host = |url: &str| {
        let params = Json::from(json!({"url": url}));
        handlers.registry.get("http").unwrap().host(&params)
    };
    for (url, expected) in [
        ("http://h/{{ row.x }}", Some("h:80")),
        ("https://me:pw@H:8443?q={{ env.X }}", Some("h:8443")),
        ("http://{{ row.h }}/p", None),
        ("{{ row.url }}", None),
        ("ftp", None),
    ] {
        assert_eq!(host(url).as_deref(), expected, "{url}");
    }
}
