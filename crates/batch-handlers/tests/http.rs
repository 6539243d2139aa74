//! `http`, against a small server of its own.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use batch_core::FailureKind;
use common::Handlers;
use serde_json::{Value, json};

/// A request as the server saw it.
struct Seen {
    head: String,
    body: String,
}

/// Answers one connection after the other with what it is given; tells what came.
fn serve(answers: Vec<Vec<u8>>) -> (SocketAddr, mpsc::Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, serve_at(listener, answers))
}

fn serve_at(listener: TcpListener, answers: Vec<Vec<u8>>) -> mpsc::Receiver<Seen> {
    let (tell, seen) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let _ = tell.send(read_request(&stream));
            (&stream).write_all(&answer).unwrap();
        }
    });
    seen
}

fn read_request(stream: &TcpStream) -> Seen {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let head = head.to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    Seen {
        head,
        body: String::from_utf8(body).unwrap(),
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/path?secret=1")
}

#[tokio::test]
async fn a_json_answer_becomes_a_value() {
    let headers = "Content-Type: application/json; charset=utf-8\r\nX-A: 1\r\nX-A: 2\r\n";
    let (address, seen) = serve(vec![answer("200 OK", headers, br#"{"id": [1, null]}"#)]);
    let output = Handlers::new()
        .output("http", json!({"url": url(address)}))
        .await;
    let value = output.value.unwrap().to_value();
    assert_eq!(value["status"], 200);
    assert_eq!(value["body"], json!({"id": [1, null]}));
    assert_eq!(value["headers"]["x-a"], "1, 2");
    let seen = seen.recv().unwrap();
    assert!(
        seen.head.starts_with("get /path?secret=1 http/1.1\r\n"),
        "{}",
        seen.head
    );
    assert!(seen.head.contains("user-agent: bex/"));
}

#[tokio::test]
async fn other_answers_are_text_or_bytes() {
    for (kind, body, expected) in [
        ("text/plain", &b"1"[..], json!({"body": "1"})),
        ("application/problem+json", b"{}", json!({"body": {}})),
        ("application/json", b"oops", json!({"body": "oops"})),
        // It is one document only together with what is around it.
        (
            "application/json",
            br#"1,"status":299,"url":"http://evil/""#,
            json!({"status": 200, "body": r#"1,"status":299,"url":"http://evil/""#}),
        ),
        (
            "application/json",
            br#"{}},"x":{"y":{"#,
            json!({"x": null, "body": r#"{}},"x":{"y":{"#}),
        ),
        (
            "image/png",
            b"\xff\x00",
            json!({"body": "\u{fffd}\u{0}", "body_base64": "/wA="}),
        ),
    ] {
        let answer = answer("200 OK", &format!("Content-Type: {kind}\r\n"), body);
        let (address, _seen) = serve(vec![answer]);
        let output = Handlers::new()
            .output("http", json!({"url": url(address)}))
            .await;
        let value = output.value.unwrap().to_value();
        for (name, expected) in expected.as_object().unwrap() {
            assert_eq!(&value[name], expected, "{kind}");
        }
    }
}

#[tokio::test]
async fn an_empty_credential_leaves_the_answer_as_it_is() {
    for (body, expected) in [
        (&b"hello s3cr3t"[..], json!({"body": "hello ***"})),
        (
            b"\xff hello",
            json!({"body": "\u{fffd} hello", "body_base64": "/yBoZWxsbw=="}),
        ),
    ] {
        let (address, _seen) = serve(vec![answer("200 OK", "", body)]);
        let params = json!({"url": url(address), "headers": {"Authorization": "Basic "}});
        let task = common::task("http", params);
        let task = task.with_secrets(batch_template::Secrets::of(["s3cr3t"]));
        let output = Handlers::new().run_task(&task).await.unwrap();
        let value = output.value.unwrap().to_value();
        for (name, expected) in expected.as_object().unwrap() {
            assert_eq!(&value[name], expected);
        }
    }
}

#[tokio::test]
async fn method_headers_and_body_are_sent() {
    let cases = [
        (
            json!({"a": [1]}),
            r#"{"a":[1]}"#,
            "content-type: application/json",
        ),
        (json!("plain"), "plain", "x-token: abc"),
    ];
    for (body, sent, header) in cases {
        let (address, seen) = serve(vec![answer("201 Created", "", b"")]);
        let params = json!({
            "url": url(address), "method": "post", "body": body, "headers": {"X-Token": "abc"},
        });
        Handlers::new().output("http", params).await;
        let seen = seen.recv().unwrap();
        assert!(
            seen.head.starts_with("post ") && seen.head.contains(header),
            "{}",
            seen.head
        );
        assert_eq!(seen.body, sent);
    }
}

#[tokio::test]
async fn the_content_type_that_is_given_stays() {
    let (address, seen) = serve(vec![answer("200 OK", "", b"")]);
    let headers = json!({"Content-Type": "application/x-own"});
    let params = json!({"url": url(address), "method": "PUT", "body": [], "headers": headers});
    Handlers::new().output("http", params).await;
    let head = seen.recv().unwrap().head;
    assert!(head.contains("content-type: application/x-own"), "{head}");
    assert!(!head.contains("application/json"), "{head}");
}

#[tokio::test]
async fn a_name_and_a_password_in_the_url_are_sent_and_not_shown() {
    let (address, seen) = serve(vec![answer("401 Unauthorized", "", b"")]);
    let url = format!("http://me:p%40ss@{address}/");
    let failed = Handlers::new().failure("http", json!({"url": url})).await;
    let head = seen.recv().unwrap().head;
    // The server's log is in lower case; this is `me:p@ss`.
    let sent = "authorization: basic bWU6cEBzcw==".to_lowercase();
    assert!(head.contains(&sent), "{head}");
    assert_eq!(
        failed.message,
        format!("GET http://{address}/: 401 Unauthorized")
    );
}

#[tokio::test]
async fn a_failure_keeps_a_json_answer_and_the_pause() {
    let headers = "Content-Type: application/json\r\nRetry-After: 3\r\n";
    let answer = answer("429 Too Many Requests", headers, br#"{"limit": 5}"#);
    let (address, _seen) = serve(vec![answer]);
    let failed = Handlers::new()
        .failure("http", json!({"url": url(address)}))
        .await;
    assert_eq!(failed.retry_after, Some(Duration::from_secs(3)));
    let value = failed.output.unwrap().value.clone().unwrap().to_value();
    assert_eq!(value["body"], json!({"limit": 5}));
}

#[tokio::test]
async fn an_answer_that_breaks_off_may_be_tried_again() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    for answer in [cut, Vec::new(), b"no http\r\n\r\n".to_vec()] {
        let (address, _seen) = serve(vec![answer]);
        let failed = Handlers::new()
            .failure("http", json!({"url": url(address)}))
            .await;
        assert_eq!((failed.kind, failed.permanent), (FailureKind::Error, false));
        assert!(!failed.message.contains("secret"), "{}", failed.message);
    }
}

#[tokio::test]
async fn what_was_filled_in_wrong_is_not_tried_again() {
    for (params, place) in [
        (json!({}), "params.url: the field is missing"),
        (json!({"url": "none"}), "params.url: \"none\" is not a URL"),
        (json!({"url": []}), "params.url: must be a text"),
        (
            json!({"url": "http://localhost/", "method": "a b"}),
            "params.method: ",
        ),
        (
            json!({"url": "http://localhost/", "headers": {"a": {}}}),
            "params.headers.a: ",
        ),
        (
            json!({"url": "http://localhost/", "headers": {"a": "\n"}}),
            "params.headers: ",
        ),
        (
            json!({"url": "http://localhost/", "timeout": "soon"}),
            "params.timeout: ",
        ),
    ] {
        let failed = Handlers::new().failure("http", params).await;
        assert_eq!(
            (failed.kind, failed.permanent),
            (FailureKind::InputError, true)
        );
        assert!(failed.message.starts_with(place), "{}", failed.message);
    }
}

#[tokio::test]
async fn a_bad_status_fails_and_keeps_the_answer() {
    for (status, code, permanent) in [
        ("404 Not Found", 404, true),
        ("408 Request Timeout", 408, false),
        ("425 Too Early", 425, false),
        ("429 Too Many Requests", 429, false),
        ("500 Internal Server Error", 500, false),
        ("503 Service Unavailable", 503, false),
    ] {
        let (address, _seen) = serve(vec![answer(status, "", b"why")]);
        let failed = Handlers::new()
            .failure("http", json!({"url": url(address)}))
            .await;
        assert_eq!(
            (failed.kind, failed.permanent),
            (FailureKind::HttpStatus(code), permanent)
        );
        // Queries often hold secrets.
        assert_eq!(
            failed.message,
            format!("GET http://{address}/path: {status}")
        );
        let value = failed.output.unwrap().value.clone().unwrap().to_value();
        assert_eq!(
            (&value["status"], &value["body"]),
            (&json!(code), &json!("why"))
        );
    }
}

#[tokio::test]
async fn the_pause_a_server_asks_for_is_passed_on() {
    let later = SystemTime::now() + Duration::from_secs(10_000);
    let date = jiff::Timestamp::try_from(later).unwrap();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (header, pause) in [
        ("7", Some(7..=7)),
        (&date, Some(9_000..=10_001)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0..=0)),
        ("soon", None),
    ] {
        let answer = answer(
            "503 Service Unavailable",
            &format!("Retry-After: {header}\r\n"),
            b"",
        );
        let (address, _seen) = serve(vec![answer]);
        let failed = Handlers::new()
            .failure("http", json!({"url": url(address)}))
            .await;
        let found = failed.retry_after.map(|pause| pause.as_secs());
        assert_eq!(found.is_some(), pause.is_some(), "{header}");
        assert!(
            pause.is_none_or(|pause| pause.contains(&found.unwrap())),
            "{header}: {found:?}"
        );
    }
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let moved = answer("302 Found", "Location: /next\r\n", b"");
    let (address, seen) = serve(vec![moved.clone(), answer("200 OK", "", b"there")]);
    let output = Handlers::new()
        .output("http", json!({"url": url(address)}))
        .await;
    assert_eq!(output.value.unwrap().to_value()["body"], "there");
    assert!(seen.iter().nth(1).unwrap().head.starts_with("get /next "));

    let (address, _seen) = serve(vec![moved; 20]);
    let failed = Handlers::new()
        .failure("http", json!({"url": url(address)}))
        .await;
    assert!(
        failed.permanent && failed.message.contains("redirect"),
        "{}",
        failed.message
    );
}

/// Headers and a body that are not for everybody.
fn confidential(address: SocketAddr, method: &str) -> Value {
    json!({
        "url": url(address), "method": method, "body": {"card": 4711},
        "headers": {
            "Authorization": "Bearer a-1", "Cookie": "c-1", "X-Api-Key": "k-1", "X-Own": "o-1",
            "Referer": "http://r-1/", "Accept": "text/x",
        },
    })
}

#[tokio::test]
async fn another_origin_is_told_nothing_of_a_request() {
    for (method, status, sent) in [
        ("GET", "302 Found", "get"),
        ("POST", "303 See Other", "get"),
        ("POST", "307 Temporary Redirect", "post"),
        ("PUT", "308 Permanent Redirect", "put"),
    ] {
        let (other, seen) = serve(vec![answer("200 OK", "", b"there")]);
        let location = format!("Location: http://{other}/new?token=t-1#part\r\n");
        let (address, _seen) = serve(vec![answer(status, &location, b"")]);
        let params = confidential(address, method);
        let value = Handlers::new().output("http", params).await.value.unwrap();
        let value = value.to_value();
        assert_eq!(value["url"], format!("http://{other}/new?token=***"));
        assert_eq!(value["body"], "there");
        let seen = seen.recv().unwrap();
        let first = format!("{sent} /new?token=t-1 http/1.1\r\n");
        assert!(seen.head.starts_with(&first), "{}", seen.head);
        for hidden in [
            "a-1",
            "c-1",
            "k-1",
            "o-1",
            "referer",
            "content-type",
            "secret=1",
        ] {
            assert!(!seen.head.contains(hidden), "{hidden}: {}", seen.head);
        }
        assert!(seen.head.contains("accept: text/x"), "{}", seen.head);
        assert_eq!(seen.body, "");
    }
}

#[tokio::test]
async fn the_same_origin_gets_all_of_a_request_but_no_referer_of_ours() {
    let moved = answer("307 Temporary Redirect", "Location: /new\r\n", b"");
    let (address, seen) = serve(vec![moved, answer("200 OK", "", b"")]);
    let mut params = confidential(address, "POST");
    params["headers"].as_object_mut().unwrap().remove("Referer");
    Handlers::new().output("http", params).await;
    let seen = seen.iter().nth(1).unwrap();
    assert!(seen.head.starts_with("post /new "), "{}", seen.head);
    for kept in ["bearer a-1", "c-1", "k-1", "o-1", "application/json"] {
        assert!(seen.head.contains(kept), "{kept}: {}", seen.head);
    }
    assert!(!seen.head.contains("referer"), "{}", seen.head);
    assert_eq!(seen.body, "{\"card\":4711}");
}

#[tokio::test]
async fn what_was_dropped_on_the_way_does_not_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = listener.local_addr().unwrap();
    let back = format!("Location: http://{first}/back\r\n");
    let (other, _seen) = serve(vec![answer("307 Temporary Redirect", &back, b"")]);
    let away = format!("Location: http://{other}/\r\n");
    let answers = vec![
        answer("307 Temporary Redirect", &away, b""),
        answer("200 OK", "", b""),
    ];
    let seen = serve_at(listener, answers);
    Handlers::new()
        .output("http", confidential(first, "POST"))
        .await;
    let seen = seen.iter().nth(1).unwrap();
    assert!(!seen.head.contains("k-1"), "{}", seen.head);
    assert_eq!(seen.body, "");
}

#[tokio::test]
async fn a_redirect_can_be_the_answer() {
    for redirects in [json!(false), json!(0)] {
        let moved = answer("302 Found", "Location: /next\r\n", b"moved");
        let (address, seen) = serve(vec![moved]);
        let params = json!({"url": url(address), "redirects": redirects});
        let value = Handlers::new().output("http", params).await.value.unwrap();
        let value = value.to_value();
        assert_eq!(
            (&value["status"], &value["headers"]["location"]),
            (&json!(302), &json!("/next"))
        );
        assert_eq!(seen.iter().count(), 1);
    }
}

#[tokio::test]
async fn so_many_redirects_are_followed_and_no_more() {
    let moved = |to: u32| answer("302 Found", &format!("Location: /{to}\r\n"), b"");
    let answers = || vec![moved(1), moved(2), answer("200 OK", "", b"")];
    let (address, _seen) = serve(answers());
    let params = json!({"url": url(address), "redirects": 2});
    Handlers::new().output("http", params).await;
    let (address, seen) = serve(answers());
    let params = json!({"url": url(address), "redirects": 1});
    let failed = Handlers::new().failure("http", params).await;
    assert!(failed.permanent);
    let said = "redirects more than 1 times; allow more with \"redirects\": N";
    assert!(failed.message.contains(said), "{}", failed.message);
    drop(seen);

    let (address, _seen) = serve(vec![moved(1), moved(2), moved(1)]);
    let failed = Handlers::new()
        .failure("http", json!({"url": url(address)}))
        .await;
    assert!(failed.message.contains("in a circle"), "{}", failed.message);
    let problems = |redirects: Value| {
        let params = json!({"url": "http://h/", "redirects": redirects});
        Handlers::new().problems("http", params).len()
    };
    for right in [json!(false), json!(0), json!(50), json!(null)] {
        assert_eq!(problems(right.clone()), 0, "{right}");
    }
    for wrong in [json!(true), json!(51), json!(-1), json!(1.5), json!("3")] {
        assert_eq!(problems(wrong.clone()), 1, "{wrong}");
    }
}

#[tokio::test]
async fn a_json_answer_is_kept_as_its_text_in_one_line() {
    let kind = "Content-Type: application/json\r\n";
    let body =
        b"{\n  \"n\": 1.50,\r\n\t\"big\": 123456789012345678901234567890, \"a b\": \" \\n \"\n}\n";
    let (address, _seen) = serve(vec![answer("200 OK", kind, body)]);
    let output = Handlers::new()
        .output("http", json!({"url": url(address)}))
        .await;
    let value = output.value.unwrap();
    let kept = r#""body":{"n":1.50,"big":123456789012345678901234567890,"a b":" \n "}}"#;
    assert!(value.as_str().ends_with(kept), "{value}");
    // What is nested too deeply to be read again is text.
    let deep = "[".repeat(127) + &"]".repeat(127);
    let (address, _seen) = serve(vec![answer("200 OK", kind, deep.as_bytes())]);
    let output = Handlers::new()
        .output("http", json!({"url": url(address)}))
        .await;
    assert_eq!(output.value.unwrap().to_value()["body"], deep);
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let kind = "Content-Type: application/json\r\n";
    let body = format!("[{}1]", "1, ".repeat(1_000_000));
    let (address, _seen) = serve(vec![answer("200 OK", kind, body.as_bytes())]);
    let output = Handlers::new()
        .output("http", json!({"url": url(address)}))
        .await;
    let value = output.value.unwrap();
    let path = [batch_template::Segment::Field("body".into())];
    let kept = batch_template::part(&value, &path);
    assert_eq!(kept, Ok(&*body.replace(' ', "")));
}

#[tokio::test]
async fn secrets_are_masked_in_what_comes_back_encoded() {
    let secret = "s3cr/t+\"x";
    let secrets = batch_template::Secrets::of([secret]);
    for body in [
        [b"\xff ".as_slice(), secret.as_bytes(), b" \xff"].concat(),
        json!([secret]).to_string().into_bytes(),
    ] {
        let (address, _seen) = serve(vec![answer("200 OK", "", &body)]);
        let task = common::task("http", json!({"url": format!("http://{address}/")}));
        let task = task.with_secrets(secrets.clone());
        let value = Handlers::new()
            .run_task(&task)
            .await
            .unwrap()
            .value
            .unwrap();
        let value = value.to_value();
        assert!(value["body"].as_str().unwrap().contains("***"), "{value}");
        if let Some(encoded) = value["body_base64"].as_str() {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .unwrap();
            assert_eq!(bytes, b"\xff *** \xff");
        }
    }
}

#[tokio::test]
async fn nobody_there_may_be_tried_again() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let failed = Handlers::new()
        .failure("http", json!({"url": url(address)}))
        .await;
    assert_eq!((failed.kind, failed.permanent), (FailureKind::Error, false));
    assert!(
        failed.message.to_lowercase().contains("refused"),
        "{}",
        failed.message
    );
    assert!(!failed.message.contains("secret"), "{}", failed.message);
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url(listener.local_addr().unwrap());
    let failed = Handlers::new()
        .failure("http", json!({"url": url, "timeout": "50ms"}))
        .await;
    assert_eq!(
        (failed.kind, failed.permanent),
        (FailureKind::Timeout, false)
    );
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_with_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        // Until the other side has had enough.
        while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
    });
    let failed = Handlers::new()
        .failure("http", json!({"url": url(address)}))
        .await;
    assert_eq!(
        (failed.kind, failed.permanent),
        (FailureKind::OutputError, true)
    );
}

#[test]
fn mistakes_are_named() {
    let problems = |params: Value| Handlers::new().problems("http", params);
    let found = problems(json!({
        "headrs": "x", "method": "GE T", "timeout": "soon", "headers": {"a b": "x", "c": 1, "d": "x\ny"},
    }));
    let expected = [
        "headrs: unknown field \"headrs\" (did you mean \"headers\"?)",
        "url: the field \"url\" is missing",
        "method: \"GE T\" is not a method",
        "timeout: must be seconds",
        "headers.a b: \"a b\" cannot be the name of a header",
        "headers.c: must be a text, not a number",
        "headers.d: the header \"d\" has a value that cannot be sent",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for expected in expected {
        assert!(
            found.iter().any(|found| found.starts_with(expected)),
            "{expected}: {found:#?}"
        );
    }
    for url in ["", "example.org", "ftp://example.org/", "http://"] {
        assert_eq!(problems(json!({"url": url})).len(), 1, "{url}");
    }
}
