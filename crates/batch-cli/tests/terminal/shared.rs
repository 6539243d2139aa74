//! Streams that another program made non-blocking, as node does, and files that are open already.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use serde_json::{Value, json};

use crate::common::{Place, finish};

/// A pipe that never waits, and is full after a few lines.
fn small_pipe() -> (std::fs::File, OwnedFd) {
    let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
    fcntl_setpipe_size(&writer, 4096).unwrap();
    // Another open file than that of the writer, which reads as usual.
    rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::empty()).unwrap();
    (reader.into(), writer)
}

/// What a command writes to a pipe of this kind, as its standard output or as its standard error.
#[track_caller]
fn through_pipe(place: &Place, args: &[&str], is_error: bool) -> (Option<i32>, String) {
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    let (mut reader, writer) = small_pipe();
    command.args(args);
    match is_error {
        true => command.stdout(Stdio::null()).stderr(writer),
        false => command.stdout(writer).stderr(Stdio::null()),
    };
    let child = command.spawn().unwrap();
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    (code_of(child), text)
}

fn code_of(mut child: Child) -> Option<i32> {
    child.wait().unwrap().code()
}

fn numbers(last: u32) -> String {
    (1..=last).map(|number| format!("{number}\n")).collect()
}

#[test]
fn output_waits_for_room_in_a_pipe_that_does_not() {
    let place = Place::new();
    let run = ["run", "--progress", "none", "--", "seq", ":::", "100000"];
    let (code, text) = through_pipe(&place, &run, false);
    assert!(text == numbers(100_000), "{} bytes", text.len());
    assert_eq!(code, Some(0));
    let to_error = [
        "run",
        "--progress",
        "none",
        "--shell",
        "seq {} >&2",
        ":::",
        "100000",
    ];
    let (code, text) = through_pipe(&place, &to_error, true);
    assert!(text == numbers(100_000), "{} bytes", text.len());
    assert_eq!(code, Some(0));
    let all: Vec<String> = (1..=20_000).map(|number| number.to_string()).collect();
    let mut dry = vec!["run", "--dry-run", "--", "echo", ":::"];
    dry.extend(all.iter().map(String::as_str));
    let (code, text) = through_pipe(&place, &dry, false);
    assert_eq!((code, text.lines().count()), (Some(0), 20_000));
}

#[test]
fn so_do_the_results_of_every_verb() {
    let place = Place::new();
    place.bex(&["run", "--", "seq", ":::", "100000"]).expect(0);
    let whole = numbers(100_000);
    for args in [
        &["results", "--format", "raw"][..],
        &["logs", "1"],
        &["export", "-o", "/dev/stdout", "--format", "raw"],
        &["export", "-o", "/dev/fd/1", "--format", "raw"],
    ] {
        let (code, text) = through_pipe(&place, args, false);
        assert!(text.starts_with(&whole), "{args:?}: {} bytes", text.len());
        assert_eq!(code, Some(0), "{args:?}");
    }
    for args in [
        &["results", "--json"][..],
        &["logs", "1", "--json"],
        &["show", "1", "--json"],
    ] {
        let (code, text) = through_pipe(&place, args, false);
        let document: Value = serde_json::from_str(&text).unwrap();
        assert!(document.is_object(), "{args:?}");
        assert_eq!(code, Some(0), "{args:?}");
    }
    for args in [&["man"][..], &["completions", "bash"]] {
        let (code, text) = through_pipe(&place, args, false);
        assert_eq!(
            (code, text),
            (Some(0), place.bex(args).expect(0).stdout),
            "{args:?}"
        );
    }
}

/// In the place of a line: waits until all before it was read, and there is nothing more to read.
const DRAINED: &str = "";

/// Gives a command its input by such a pipe.
fn with_input(mut command: Command, lines: &[&str]) -> String {
    let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
    let mut child = command.stdin(reader).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let mut writer = std::fs::File::from(writer);
    for line in lines {
        writer.write_all(line.as_bytes()).unwrap();
        if *line == DRAINED {
            while rustix::io::ioctl_fionread(&writer).unwrap() > 0 {
                std::thread::yield_now();
            }
        }
    }
    drop(writer);
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(code_of(child), Some(0));
    text
}

#[test]
fn input_waits_for_what_comes_later() {
    let place = Place::new();
    let bex = |args: &[&str]| {
        let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
        command.args(args);
        command
    };
    let text = with_input(
        bex(&["run", "-j1", "--", "echo"]),
        &["a\n", DRAINED, "b\nc", DRAINED, "d"],
    );
    assert_eq!(text, "a\nb\ncd\n");
    let request = json!({ "tool": "bex_list", "arguments": {} }).to_string();
    let text = with_input(bex(&["tool"]), &[&request, "\n", DRAINED, &request]);
    assert_eq!(text.lines().count(), 2, "{text}");
    let text = with_input(
        bex(&["run", "--input", "jsonl", "--format", "raw", "-"]),
        &["{\"shell\":", DRAINED, "\"echo x\"}"],
    );
    assert_eq!(text, "x\n");
}

#[test]
fn node_makes_the_pipe_of_both_non_blocking() {
    let place = Place::new();
    let script = "(\"$0\" run --progress none -- seq ::: 100000) & \
        node -e 'process.stdout.write(\"x\"); setTimeout(() => {}, 1500)' & wait";
    let mut shell = place.command("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_bex")]);
    let ended = finish(shell, b"");
    assert_eq!(
        ended.stdout.len(),
        numbers(100_000).len() + 1,
        "{}",
        ended.stderr
    );
}

#[test]
fn results_go_to_what_is_open_already() {
    let place = Place::new();
    place.bex(&["run", "--", "echo", ":::", "a"]).expect(0);
    for (file, redirect) in [
        ("/dev/stdout", ">> log"),
        ("/dev/stdout", "> log"),
        ("/dev/fd/1", ">> log"),
        ("/proc/self/fd/1", ">> log"),
        ("/dev/fd/5", "5>> log >&5"),
        ("/dev/stderr", "2>> log >&2"),
    ] {
        for verb in [
            "export --format raw -o FILE --json >/dev/null",
            "run --progress none -o FILE --format raw -- echo ::: a",
            "run --progress none --durability none -o FILE --format raw -- echo ::: a",
        ] {
            // What is said beside is not of interest.
            let verb = verb.replace("FILE", file);
            let verb = match verb.strip_suffix(" >/dev/null") {
                Some(verb) if file == "/dev/fd/5" => format!("{verb} > /dev/null"),
                Some(verb) => verb.to_owned(),
                None => verb,
            };
            std::fs::write(place.path("log"), "before\n").unwrap();
            let script = format!("{{ echo first; \"$0\" {verb}; echo last; }} {redirect}");
            let mut shell = place.command("sh");
            shell.args(["-c", &script, env!("CARGO_BIN_EXE_bex")]);
            finish(shell, b"").expect(0);
            let log = place.read("log");
            let kept = if redirect == "> log" { "" } else { "before\n" };
            assert!(
                log.starts_with(&format!("{kept}first\n")),
                "{file} {verb}: {log}"
            );
            assert!(
                log.contains("a\n") && log.ends_with("last\n"),
                "{file} {verb}: {log}"
            );
        }
    }
}

#[test]
fn a_result_file_has_any_name_and_any_link() {
    let place = Place::new();
    let long = format!("{}.json", "n".repeat(250));
    std::os::unix::fs::symlink("new.json", place.path("link.json")).unwrap();
    for name in [&*long, "link.json", "new.json"] {
        for _ in 0..2 {
            place
                .bex(&["run", "-o", name, "--", "echo", ":::", "a"])
                .expect(0);
            let document: Value = serde_json::from_str(&place.read(name)).unwrap();
            assert_eq!(document["tasks"][0]["status"], "completed");
        }
    }
    assert!(place.path("link.json").is_symlink());
}
