//! A request that was sent on, from outside: what has reached a server is not sent once more as if it never began.

#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use common::{LIMIT, Place};

/// The executor below a guardian.
fn executor_of(guardian: u32) -> u32 {
    let children = format!("/proc/{guardian}/task/{guardian}/children");
    let children = std::fs::read_to_string(children).unwrap();
    children.trim().parse().unwrap()
}

/// Reads requests of one connection, and answers each as `answer` says.
fn serve(stream: &TcpStream, answer: impl Fn() -> String) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if !reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                return;
            }
        }
        // The one who asks may be gone.
        let _ = (&mut &*stream).write_all(answer().as_bytes());
    }
}

#[test]
fn a_shortage_at_a_redirect_is_a_failure_that_counts() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let url = format!("http://{address}/");
    place.tasks(&json!([{"id": "post", "max_retries": 0, "http": {"method": "POST", "url": url}}]));
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command.args([
        "run",
        "tasks.json",
        "--durability",
        "none",
        "--format",
        "json",
    ]);
    let run = command.stderr(Stdio::null()).spawn().unwrap();
    let guardian = run.id();
    let posts = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&posts);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                serve(&stream.unwrap(), || {
                    seen.fetch_add(1, Ordering::SeqCst);
                    // From here on there is no further connection.
                    let mut prlimit = Command::new("prlimit");
                    prlimit.args(["--pid", &executor_of(guardian).to_string(), "--nofile=3"]);
                    assert!(prlimit.status().unwrap().success());
                    "HTTP/1.1 303 See Other\r\nLocation: http://127.0.0.2:9/\r\nContent-Length: 0\r\n\r\n"
                        .to_owned()
                });
            });
        }
    });
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(run.wait_with_output().unwrap()));
    let ended = ended.recv_timeout(LIMIT).expect("it ends");
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    let document: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(document["tasks"][0]["status"], "failed", "{said}");
    assert!(said.contains("Too many open files"), "{said}");
    assert_eq!(posts.load(Ordering::SeqCst), 1);
}
