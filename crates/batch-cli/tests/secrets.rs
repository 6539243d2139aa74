//! What must not be seen, from outside: variables that are filled in, secrets in views and exports, what tasks inherit.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use common::{Ended, Place, finish};

/// Not to be found anywhere.
const SECRET: &str = "s3cr3t/Val+ue=";

/// Answers every request with what was asked, as JSON: the line, the headers, the body.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // The one who asks may go away early.
            let _ = echo(&stream.unwrap());
        }
    });
    address
}

fn echo(stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let field = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_lowercase(), value.to_owned()))
    };
    let fields: Vec<_> = head.lines().skip(1).filter_map(field).collect();
    let value_of = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone())
    };
    let length = value_of("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let line = head.lines().next().unwrap();
    let told = json!({"line": line, "fields": fields, "body": String::from_utf8_lossy(&body)});
    let told = told.to_string();
    let echoed = value_of("authorization").unwrap_or_default();
    let location = value_of("x-to").map_or_else(String::new, |to| format!("Location: {to}\r\n"));
    let status = match location.is_empty() {
        true => "200 OK",
        false => "307 Temporary Redirect",
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nSet-Cookie: session=c00kie\r\nX-Echo: {echoed}\r\n{location}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{told}",
        told.len()
    );
    // In two pieces, the border in the middle of the body.
    let (first, second) = answer.as_bytes().split_at(answer.len() - told.len() / 2);
    (&mut &*stream).write_all(first)?;
    (&mut &*stream).write_all(second)
}

/// Runs bex with the secret in `TOKEN`.
fn with_token(place: &Place, args: &[&str]) -> Ended {
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command.args(args).env("TOKEN", SECRET);
    finish(command, b"")
}

/// Every byte that is kept of the batches.
fn kept(place: &Place) -> Vec<u8> {
    fn read(folder: &std::path::Path, to: &mut Vec<u8>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => read(&path, to),
                false => to.extend(std::fs::read(path).unwrap()),
            }
        }
    }
    let mut bytes = Vec::new();
    read(&place.path("home"), &mut bytes);
    bytes
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[test]
fn a_variable_is_sent_and_neither_stored_nor_shown_nor_exported() {
    let (place, server) = (Place::new(), echo_server());
    place.tasks(&json!([
        {"id": "get", "http": {
            "method": "POST",
            "url": format!("http://{server}/{{{{ env.TOKEN }}}}?token={{{{ env.TOKEN }}}}"),
            "headers": {"Authorization": "Bearer {{ env.TOKEN }}"},
            "body": {"card": "{{ env.TOKEN }}"},
        }},
        {"id": "sh", "shell": "test \"$T\" = \"$TOKEN\" && test \"$P\" = \"<$TOKEN>\" && echo $T >&2; exit 3", "env": {"T": "{{ env.TOKEN }}", "P": "<{{ env.TOKEN }}>"}},
        {"id": "py", "function": "code_execution", "params": {
            "runtime": "terminal", "code": "test \"$T\" = \"$TOKEN\"", "env": {"T": "{{ env.TOKEN }}"},
        }},
        {"id": "gone", "http": {"url": "http://127.0.0.1:9/{{ env.TOKEN }}?x={{ env.TOKEN }}"}},
    ]));
    let dry = with_token(&place, &["run", "tasks.json", "--dry-run"]).expect(0);
    assert!(dry.stdout.contains("Bearer {{ env.TOKEN }}"), "{dry:?}");
    let run = with_token(&place, &["run", "tasks.json", "--format", "json"]).expect(1);
    let document = run.json();
    let task = |id: &str| {
        let tasks = document["tasks"].as_array().unwrap();
        tasks.iter().find(|task| task["id"] == id).unwrap().clone()
    };
    let get = task("get");
    assert_eq!(get["status"], "completed", "{get}");
    assert_eq!(
        get["params"]["headers"]["Authorization"],
        "Bearer {{ env.TOKEN }}"
    );
    let body = &get["result"]["body"];
    assert!(
        body["line"]
            .as_str()
            .unwrap()
            .starts_with("POST /***?token=*** "),
        "{body}"
    );
    assert_eq!(body["body"], "{\"card\":\"***\"}");
    let sent = body["fields"].as_array().unwrap();
    assert!(
        sent.contains(&json!(["authorization", "Bearer ***"])),
        "{body}"
    );
    assert_eq!(get["result"]["headers"]["x-echo"], "Bearer ***");
    assert_eq!(get["result"]["headers"]["set-cookie"], "***");
    assert_eq!(
        get["result"]["url"],
        format!("http://{server}/***?token=***")
    );
    assert_eq!(task("py")["status"], "completed", "{}", task("py"));
    assert_eq!(task("sh")["error"], "exit code 3: ***");
    assert_eq!(task("gone")["status"], "failed");
    let mut seen = vec![format!("{dry:?}{run:?}")];
    for args in [
        &["show", "get"][..],
        &["show", "sh", "--json"],
        &["why", "gone"],
        &["status", "--json"],
        &["logs", "sh"],
        &["results", "--format", "csv"],
        &["results", "--format", "text"],
        &["export", "-o", "out.jsonl"],
    ] {
        seen.push(format!("{:?}", place.bex(args)));
    }
    seen.push(place.read("out.jsonl"));
    for seen in seen {
        for secret in [SECRET, "s3cr3t", "c00kie"] {
            assert!(!seen.contains(secret), "{secret}: {seen}");
        }
    }
    assert!(!holds(&kept(&place), "s3cr3t"));
}

#[test]
fn secrets_given_as_they_are_are_masked_in_every_view() {
    let (place, server) = (Place::new(), echo_server());
    let url = format!("http://us3r:passw0rd@{server}/?api_key=k3y&n=1");
    place.tasks(&json!([
        {"id": "a", "http": {
            "url": url,
            "headers": {"X-Api-Key": "h3ader", "Cookie": "h3ader", "Private-Token": "h3ader", "Accept": "*/*"},
        }},
        {"id": "b", "http": {"url": "http://us3r:passw0rd@127.0.0.1:9/?sig=k3y"}},
        {"id": "d", "function": "command", "params": {"argv": ["true"], "env": {"DB_PASSWORD": "h3ader"}}},
    ]));
    let mut seen = vec![
        place.bex(&["run", "tasks.json", "--dry-run"]).expect(0),
        place
            .bex(&["run", "tasks.json", "--format", "text"])
            .expect(1),
    ];
    for args in [
        &["show", "a"][..],
        &["show", "d"],
        &["why", "b"],
        &["status"],
        &["results", "--status", "failed", "--format", "jsonl"],
    ] {
        seen.push(place.bex(args));
    }
    let tool = json!({"tool": "bex_status", "arguments": {"task": "a"}});
    seen.push(place.bex_with(tool.to_string().as_bytes(), &["tool"]));
    // What the server echoes in its body is data, and stays.
    for seen in &seen[..1] {
        assert!(
            seen.stdout.contains("n=1") && seen.stdout.contains("***"),
            "{seen:?}"
        );
    }
    for seen in &seen {
        let text = format!("{seen:?}").replace("\\\\\\\"", "\"");
        let text = match text.find("\\\"body\\\"") {
            Some(body) => &text[..body],
            None => &text,
        };
        for secret in ["passw0rd", "us3r", "k3y"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    let shown = place.bex(&["show", "a", "--json"]).expect(0).json();
    let headers =
        json!({"X-Api-Key": "***", "Cookie": "***", "Private-Token": "***", "Accept": "*/*"});
    assert_eq!(shown["params"]["headers"], headers);
    assert_eq!(
        shown["params"]["url"],
        format!("http://***@{server}/?api_key=***&n=1")
    );
    assert_eq!(
        shown["result"]["url"],
        format!("http://{server}/?api_key=***&n=1")
    );
    assert!(
        holds(&kept(&place), "h3ader"),
        "they are needed to run the task"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn processes_that_are_left_are_told_of_without_their_arguments() {
    let place = Place::new();
    let script =
        "mkfifo begun; setsid sh -c 'echo > begun; sleep 1000; :' \"$T\" & read line < begun";
    place.tasks(&json!([{"shell": script, "env": {"T": "{{ env.TOKEN }}"}}]));
    let run = with_token(&place, &["run", "tasks.json", "--format", "none"]).expect(0);
    assert!(run.stderr.contains("b1.1 left process"), "{run:?}");
    assert!(run.stderr.contains("(sh); ended"), "{run:?}");
    assert!(!run.stderr.contains(SECRET), "{run:?}");
}

#[test]
fn a_variable_that_is_not_set_is_told_before_anything_runs() {
    let place = Place::new();
    let http = json!({"url": "http://localhost:9/", "headers": {"a": "{{ env.NOT_SET_HERE }}"}});
    for tasks in [
        json!([{"http": http}]),
        json!([{"shell": "touch ran", "env": {"A": "x{{ env.NOT_SET_HERE }}"}}]),
        json!({"defaults": {"env": {"A": "{{ env.NOT_SET_HERE }}"}}, "tasks": [{"shell": "touch ran"}]}),
    ] {
        place.tasks(&tasks);
        let refused = place.bex(&["run", "tasks.json"]).expect(2);
        assert!(
            refused.stderr.contains("NOT_SET_HERE is not set"),
            "{refused:?}"
        );
        place.bex(&["run", "tasks.json", "--dry-run"]).expect(0);
    }
    let params = http.to_string();
    let args = ["run", "--function", "http", "--params", &params, ":::", "1"];
    let refused = place.bex(&args).expect(2);
    assert!(
        refused.stderr.contains("NOT_SET_HERE is not set"),
        "{refused:?}"
    );
    // Elsewhere it may be set: there the attempt tells.
    place.bex(&["add", "--file", "tasks.json"]).expect(0);
    let failed = place.bex(&["resume"]).expect(1);
    assert!(
        format!("{failed:?}").contains("NOT_SET_HERE is not set"),
        "{failed:?}"
    );
    assert!(!place.has("ran"));
}

#[test]
fn a_variable_cannot_stand_in_code_or_arguments() {
    let place = Place::new();
    for task in [
        json!({"command": ["echo", "{{ env.HOME }}"]}),
        json!({"shell": "echo {{ env.HOME }}"}),
        json!({"python": "print({{ env.HOME }})"}),
        json!({"shell": "cat", "stdin": "{{ env.HOME }}"}),
        json!({"function": "custom_function", "params": {"code": "def process(a):\n    return a", "args": {"a": "{{ env.HOME }}"}}}),
        json!({"http": {"url": "http://h/", "method": "{{ env.HOME }}"}}),
        json!({"shell": "true", "env": {"A": "{{ env.HOME | int }}"}}),
        json!({"http": {"url": "{{ env }}"}}),
    ] {
        place.tasks(&json!([task]));
        let refused = place.bex(&["run", "tasks.json"]).expect(2);
        assert!(refused.stderr.contains("variable"), "{task}: {refused:?}");
    }
    place.tasks(&json!([{"shell": "echo {{ env.HOME }}"}]));
    let refused = place.bex(&["run", "tasks.json"]).expect(2);
    assert!(refused.stderr.contains("write $NAME"), "{refused:?}");
}

#[test]
fn what_cannot_be_sent_is_an_error_that_does_not_tell_it() {
    let place = Place::new();
    for http in [
        json!({"url": "http://127.0.0.1:9/", "headers": {"X-A": "{{ env.TOKEN }}"}}),
        json!({"url": "http://{{ env.TOKEN }}:9/"}),
        json!({"url": "{{ env.TOKEN }}"}),
    ] {
        place.tasks(&json!([{"http": http}]));
        let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
        command.args(["run", "tasks.json", "--format", "json"]);
        command.env("TOKEN", "s3cr3t\nline");
        let failed = finish(command, b"").expect(1);
        assert!(!format!("{failed:?}").contains("s3cr3t"), "{failed:?}");
        let error = failed.json()["tasks"][0]["error"].to_string();
        assert!(
            error.contains("params.headers") || error.contains("params.url"),
            "{error}"
        );
    }
}

#[test]
fn data_of_rows_and_items_names_no_variables() {
    let place = Place::new();
    let template =
        json!({"shell": "test \"$V\" = '{{ \"{{\" }} env.TOKEN }}'", "env": {"V": "{{ row.v }}"}});
    std::fs::write(place.path("row.json"), template.to_string()).unwrap();
    std::fs::write(place.path("rows.csv"), "v\n{{ env.TOKEN }}\n").unwrap();
    with_token(&place, &["run", "rows.csv", "--template", "row.json"]).expect(0);
    let server = echo_server();
    let params =
        json!({"url": format!("http://{server}/"), "headers": {"A": "{}", "B": "{{ env.TOKEN }}"}});
    let params = params.to_string();
    let args = [
        "run",
        "--format",
        "json",
        "--function",
        "http",
        "--params",
        &params,
        ":::",
        "{{ env.TOKEN }}",
    ];
    let document = with_token(&place, &args).expect(0).json();
    let sent = &document["tasks"][0]["result"]["body"]["fields"];
    let sent: Vec<Value> = sent.as_array().unwrap().clone();
    assert!(sent.contains(&json!(["a", "{{ env.TOKEN }}"])), "{sent:?}");
    assert!(sent.contains(&json!(["b", "***"])), "{sent:?}");
}

#[test]
fn a_redirect_elsewhere_takes_nothing_along() {
    let (place, here, there) = (Place::new(), echo_server(), echo_server());
    place.tasks(&json!([{"http": {
        "method": "POST", "url": format!("http://{here}/?secret=1"), "body": "b0dy",
        "headers": {"X-To": format!("http://{there}/end?token=t"), "X-Api-Key": "k3y", "Authorization": "k3y"},
    }}]));
    let document = place
        .bex(&["run", "tasks.json", "--format", "json"])
        .expect(0)
        .json();
    let result = &document["tasks"][0]["result"];
    assert_eq!(result["url"], format!("http://{there}/end?token=***"));
    let told = result["body"].to_string();
    for secret in ["k3y", "b0dy", "secret=1", "referer", "x-to"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

#[test]
fn exports_are_their_owners_alone() {
    let place = Place::new();
    let mode = |name: &str| {
        let found = std::fs::metadata(place.path(name)).unwrap();
        found.permissions().mode() & 0o777
    };
    place
        .bex(&["run", "-o", "run.json", "--", "echo", ":::", "a"])
        .expect(0);
    place.bex(&["export", "-o", "results.csv"]).expect(0);
    assert_eq!((mode("run.json"), mode("results.csv")), (0o600, 0o600));
    let shared = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(place.path("results.csv"), shared).unwrap();
    place.bex(&["export", "-o", "results.csv"]).expect(0);
    assert_eq!(mode("results.csv"), 0o640);
}

#[test]
fn tasks_do_not_inherit_what_is_ours() {
    let place = Place::new();
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command.args([
        "run",
        "--shell",
        "env | grep ^BEX_ | sort; true {}",
        ":::",
        "1",
    ]);
    command
        .env("BEX_MCP_TOKEN", "s3cr3t")
        .env("BEX_OTHER", "1")
        .env("BEX_ATTEMPT", "77");
    let ended = finish(command, b"").expect(0);
    let names: Vec<&str> = ended
        .stdout
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    assert_eq!(
        names,
        [
            "BEX_ATTEMPT",
            "BEX_BATCH_ID",
            "BEX_HOME",
            "BEX_RUN",
            "BEX_SLOT",
            "BEX_TASK_ID"
        ]
    );
    assert!(ended.stdout.contains("BEX_ATTEMPT=1\n"), "{ended:?}");
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command.args(["start"]).env("BEX_MCP_TOKEN", "s3cr3t");
    place.bex(&[
        "add",
        "--shell",
        "tr '\\0' '\\n' < /proc/$PPID/environ | grep -c TOKEN",
    ]);
    finish(command, b"").expect(0);
    place.bex(&["wait"]);
    let shown = place.bex(&["results", "--json"]).expect(0).json();
    let last = shown["tasks"].as_array().unwrap().last().unwrap();
    assert_eq!(last["result"]["stdout"], "0\n", "{shown}");
}

#[test]
fn a_token_comes_from_a_file_that_is_ones_own() {
    let place = Place::new();
    let file = |name: &str, content: &str, mode: u32| {
        std::fs::write(place.path(name), content).unwrap();
        std::fs::set_permissions(place.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    file("open", "0123456789abcdef0", 0o644);
    file("group", "0123456789abcdef0", 0o640);
    file("empty", " \n", 0o600);
    file("short", "abc", 0o600);
    file("words", "0123456789abcdef0 x", 0o600);
    Command::new("mkfifo")
        .arg(place.path("pipe"))
        .status()
        .unwrap();
    for (name, said) in [
        ("open", "chmod 600"),
        ("group", "chmod 600"),
        ("empty", "is empty"),
        ("short", "fewer than 16"),
        ("words", "more than one word"),
        ("pipe", "not a regular file"),
        (".", "not a regular file"),
        ("none", "cannot be read"),
    ] {
        let refused = place
            .bex(&["mcp", "--http", "127.0.0.1:0", "--token-file", name])
            .expect(2);
        assert!(refused.stderr.contains(said), "{name}: {refused:?}");
        assert!(!refused.stderr.contains("0123456789"), "{refused:?}");
    }
    file("right", "  0123456789abcdef0\n", 0o600);
    let mut server = place.command(env!("CARGO_BIN_EXE_bex"));
    server.args(["mcp", "--http", "127.0.0.1:0", "--token-file", "right"]);
    let mut server = server.stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    BufReader::new(server.stderr.take().unwrap())
        .read_line(&mut told)
        .unwrap();
    let address = told.split('/').nth(2).unwrap();
    let status = |token: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    };
    let (right, wrong) = (status("0123456789abcdef0"), status("0123456789abcdef1"));
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(
        wrong.contains(" 401 ") && !right.contains(" 401 "),
        "{right} {wrong}"
    );
    assert!(!told.contains("0123456789"), "{told}");
}

#[test]
fn an_operator_decides_which_variables_agents_may_name() {
    let (place, server) = (Place::new(), echo_server());
    let call = |url: &str, limits: &[&str]| {
        let task = json!({"http": {"url": url}});
        let call = json!({"tool": "bex_run", "arguments": {"tasks": [task]}});
        let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
        command
            .arg("tool")
            .args(limits)
            .env("TOKEN", SECRET)
            .stdin(Stdio::piped());
        finish(command, call.to_string().as_bytes()).stdout
    };
    let url = format!("http://{server}/{{{{ env.TOKEN }}}}");
    for limits in [
        &["--env", "OTHER"][..],
        &["--allow", "http"],
        &["--deny", "shell"],
    ] {
        let refused = call(&url, limits);
        assert!(
            refused.contains("does not allow the variable"),
            "{limits:?}: {refused}"
        );
    }
    for limits in [
        &["--env", "TOKEN"][..],
        &["--allow", "http", "--env", "TOKEN"],
        &[],
    ] {
        let done = call(&url, limits);
        assert!(!done.contains("does not allow"), "{limits:?}: {done}");
        assert!(!done.contains("s3cr3t"), "{done}");
    }
}
