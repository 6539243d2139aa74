//! Requests from outside: what values become on their way into one, and what becomes of numbers, pauses and proxies.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use common::{Ended, Place, finish};

/// Answers each request, one on a connection, with what `answer` says of it and of how many came before.
fn server(answer: impl Fn(&str, usize) -> String + Send + Sync + 'static) -> (SocketAddr, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::default();
    let seen = Log::clone(&log);
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (answer, seen) = (Arc::clone(&answer), Log::clone(&seen));
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                // The one who asks may go away early.
                let Some(request) = read(&stream) else { return };
                let count = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    seen.len() - 1
                };
                let _ = stream.write_all(answer(&request, count).as_bytes());
            });
        }
    });
    (address, log)
}

/// The requests that came.
type Log = Arc<Mutex<Vec<String>>>;

fn read(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).ok()?)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

fn ok() -> (SocketAddr, Log) {
    server(|_, _| answer("200 OK", "", "ok"))
}

fn first_lines(log: &Log) -> Vec<String> {
    let seen = log.lock().unwrap();
    let lines = seen
        .iter()
        .map(|request| request.lines().next().unwrap().to_owned());
    lines.collect()
}

#[test]
fn values_stay_values_in_a_request() {
    let (place, (server, log)) = (Place::new(), ok());
    place.tasks(&json!([
        {"id": "t", "command": ["printf", "a b&c=d#e\"\\"]},
        {"http": {
            "method": "POST",
            "url": format!("http://{server}/p/{{{{ tasks.t.result.stdout }}}}?q={{{{ tasks.t.result.stdout }}}}&n=1"),
            "headers": {"X-Name": "name=\"{{ tasks.t.result.stdout }}\""},
            "body": "{\"text\": \"{{ tasks.t.result.stdout }}\", \"all\": {{ tasks.t.result }}}",
        }},
        {"http": {
            "method": "POST", "url": format!("http://{server}/"),
            "headers": {"content-type": "application/x-www-form-urlencoded"},
            "body": "a={{ tasks.t.result.stdout }}&b=1",
        }},
        {"shell": format!("printf '%s' http://{server}/?q={{{{ tasks.t.result.stdout | url }}}}")},
    ]));
    let run = place
        .bex(&["run", "-j", "1", "tasks.json", "--format", "json"])
        .expect(0)
        .json();
    let seen = log.lock().unwrap();
    let encoded = "a%20b%26c%3Dd%23e%22%5C";
    assert!(
        seen[0].starts_with(&format!("POST /p/{encoded}?q={encoded}&n=1 HTTP/1.1\r\n")),
        "{}",
        seen[0]
    );
    assert!(
        seen[0].contains("x-name: name=\"a b&c=d#e\\\"\\\\\"\r\n"),
        "{}",
        seen[0]
    );
    let body =
        r#"{"text": "a b&c=d#e\"\\", "all": {"exit_code":0,"stderr":"","stdout":"a b&c=d#e\"\\"}}"#;
    assert!(seen[0].ends_with(&format!("\r\n\r\n{body}")), "{}", seen[0]);
    assert!(
        seen[1].ends_with(&format!("\r\n\r\na={encoded}&b=1")),
        "{}",
        seen[1]
    );
    let printed = &run["tasks"][3]["result"]["stdout"];
    assert_eq!(*printed, format!("http://{server}/?q={encoded}"));
}

#[test]
fn a_cell_asks_no_other_path_and_no_other_server() {
    let (place, (server, log)) = (Place::new(), ok());
    let port = server.port();
    let template = json!({"http": {"url": format!("http://{server}/files/{{{{ row.path }}}}?q={{{{ row.q }}}}")}});
    std::fs::write(place.path("t.json"), template.to_string()).unwrap();
    std::fs::write(place.path("rows.csv"), "path,q\n../admin,a&b\n50%,x#y\n").unwrap();
    place
        .bex(&["run", "-j", "1", "rows.csv", "--template", "t.json"])
        .expect(0);
    assert_eq!(
        first_lines(&log),
        [
            "GET /files/..%2Fadmin?q=a%26b HTTP/1.1",
            "GET /files/50%25?q=x%23y HTTP/1.1"
        ]
    );
    for (url, item) in [
        ("http://{}/p", format!("127.0.0.1:{port}/admin?")),
        ("http://{}.example/p", format!("127.0.0.1:{port}#")),
        ("http://good@{}/p", format!("evil@127.0.0.1:{port}")),
        ("http://127.0.0.1/{}", "..".to_owned()),
    ] {
        let params = json!({"url": url}).to_string();
        let refused = place.bex(&[
            "run",
            "--function",
            "http",
            "--params",
            &params,
            ":::",
            &item,
        ]);
        assert_ne!(refused.code, Some(0), "{refused:?}");
        assert_eq!(
            log.lock().unwrap().len(),
            2,
            "{url} {item}: nobody was asked"
        );
    }
    let whole = format!("http://{server}/a?b=c d");
    place
        .bex(&[
            "run",
            "--function",
            "http",
            "--params",
            "{\"url\": \"{}\"}",
            ":::",
            &whole,
        ])
        .expect(0);
    assert_eq!(first_lines(&log)[2], "GET /a?b=c%20d HTTP/1.1");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
fn numbers_and_the_order_of_fields_pass_through_everything() {
    let number = "123456789012345678901234567890";
    let document = format!(r#"{{"z":1.50,"id":{number},"a":[{{"y":1,"b":0.10}}]}}"#);
    let body = document.clone();
    let (server, log) =
        server(move |_, _| answer("200 OK", "content-type: application/json\r\n", &body));
    let place = Place::new();
    let file = format!(
        "- id: get
  http: {{method: POST, url: 'http://{server}/', body: {{z: 1, id: {number}, a: 1.50}}}}
- id: parse
  command: [printf, '%s', '{document}']
- id: function
  function: custom_function
  params:
    code: 'def process(**args): return [repr(args[\"n\"]), args[\"o\"], args[\"own\"]]'
    args: {{n: '{{{{ tasks.get.result.body.id }}}}', o: '{{{{ tasks.get.result.body }}}}', own: {{z: {number}, a: 2}}}}
- id: argv
  command: [printf, '%s %s %s', '{{{{ tasks.get.result.body.id }}}}', {number}, '{{{{ tasks.parse.result.stdout | json | text }}}}']
- id: again
  http: {{method: POST, url: 'http://{server}/', body: '{{{{ tasks.parse.result.stdout | json }}}}'}}
- id: python
  python: print({{{{ tasks.get.result.body }}}})
"
    );
    std::fs::write(place.path("tasks.yaml"), file).unwrap();
    let run = place
        .bex(&["run", "-j", "1", "tasks.yaml", "--format", "jsonl"])
        .expect(0);
    let line = |id: &str| {
        let id = format!("\"id\":\"{id}\"");
        run.stdout.lines().find(|line| line.contains(&id)).unwrap()
    };
    let seen = log.lock().unwrap();
    assert!(
        seen[0].ends_with(&format!(r#"{{"z":1,"id":{number},"a":1.50}}"#)),
        "{}",
        seen[0]
    );
    assert!(seen[1].ends_with(&document), "{}", seen[1]);
    assert!(
        line("get").contains(&format!("\"body\":{document}")),
        "{}",
        line("get")
    );
    let python = format!(
        r#""{number}", {{"z": 1.5, "id": {number}, "a": [{{"y": 1, "b": 0.1}}]}}, {{"z": {number}, "a": 2}}"#
    );
    let returned = line("function").replace(", ", ",").replace(": ", ":");
    assert!(
        returned.contains(&python.replace(", ", ",").replace(": ", ":")),
        "{returned}"
    );
    let printed: Value = serde_json::from_str(line("argv")).unwrap();
    assert_eq!(
        printed["result"]["stdout"],
        format!("{number} {number} {document}")
    );
    let printed: Value = serde_json::from_str(line("python")).unwrap();
    assert!(
        printed["result"]["stdout"]
            .as_str()
            .unwrap()
            .contains(number),
        "{printed}"
    );
    drop(seen);
    let shown = place.bex(&["show", "--json", "get"]).expect(0).stdout;
    assert!(shown.contains(&document), "{shown}");
}

#[test]
fn a_pause_that_a_server_asks_for_uses_up_no_retry_and_holds_for_its_host() {
    let (server, log) = server(|_, count| match count {
        0 => answer("429 Too Many Requests", "Retry-After: 1\r\n", ""),
        _ => answer("200 OK", "", "ok"),
    });
    let place = Place::new();
    let task = |number: u32| json!({"id": format!("t{number}"), "http": {"url": format!("http://{server}/{number}")}});
    place.tasks(&(0..5).map(task).collect());
    let run = place
        .bex(&["run", "-j", "1", "tasks.json", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(log.lock().unwrap().len(), 6, "one was in vain");
    assert_eq!(run["tasks"][0]["retry_count"], 0);
    assert_eq!(run["tasks"][0]["attempts"].as_array().unwrap().len(), 2);
    for number in 1..5 {
        assert_eq!(
            run["tasks"][number]["attempts"].as_array().unwrap().len(),
            1
        );
    }
}

#[test]
fn a_pause_is_no_longer_than_the_task_waits() {
    let (server, log) =
        server(|_, _| answer("429 Too Many Requests", "Retry-After: 999999999\r\n", ""));
    let place = Place::new();
    let url = format!("http://{server}/");
    place.tasks(&json!([{"http": {"url": url}, "max_retries": 3}]));
    let run = place
        .bex(&["run", "tasks.json", "--format", "json"])
        .expect(1)
        .json();
    let error = run["tasks"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("999999999 s, longer than retry.max_wait (3600 s)"),
        "{error}"
    );
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[test]
fn what_is_named_is_retried_and_what_never_happens_is_refused() {
    let (server, log) = server(|_, count| match count {
        0 => answer("404 Not Found", "", ""),
        _ => answer("200 OK", "", "ok"),
    });
    let place = Place::new();
    let url = format!("http://{server}/");
    let retry = |on: Value| json!({"on": on, "backoff": "none"});
    place.tasks(
        &json!([{"http": {"url": url}, "max_retries": 1, "retry": retry(json!(["http 4xx"]))}]),
    );
    place.bex(&["run", "tasks.json"]).expect(0);
    assert_eq!(log.lock().unwrap().len(), 2);
    for wrong in [
        json!(500),
        json!(-1),
        json!(256),
        json!("http 0"),
        json!("http 200"),
    ] {
        place.tasks(&json!([{"http": {"url": url}, "retry": retry(json!([wrong]))}]));
        let refused = place.bex(&["run", "tasks.json"]).expect(2);
        assert!(refused.stderr.contains("nothing fails with"), "{refused:?}");
    }
    assert_eq!(log.lock().unwrap().len(), 2);
}

fn with_proxy(place: &Place, name: &str, value: &str) -> Ended {
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command
        .args(["run", "tasks.json", "--format", "json"])
        .env(name, value);
    finish(command, b"")
}

#[test]
fn errors_tell_of_the_proxy_and_one_that_cannot_be_used_is_an_error() {
    let (proxy, _log) = server(|_, _| answer("502 Bad Gateway", "", ""));
    let place = Place::new();
    place.tasks(&json!([{"http": {"url": "http://far.example/p"}}]));
    let error = |name: &str, value: &str| {
        let run = with_proxy(&place, name, value).expect(1).json();
        run["tasks"][0]["error"].as_str().unwrap().to_owned()
    };
    let through = error("http_proxy", &format!("http://me:s3cret@{proxy}"));
    assert_eq!(
        through,
        format!("GET http://far.example/p through the proxy http://{proxy}: 502 Bad Gateway")
    );
    for (name, value) in [
        ("HTTP_PROXY", "http://"),
        ("https_proxy", "socks5://h:1"),
        ("ALL_PROXY", "a b"),
    ] {
        let refused = error(name, value);
        assert!(
            refused.contains(&format!(
                "the variable {name} is not the address of a proxy"
            )),
            "{refused}"
        );
    }
}
