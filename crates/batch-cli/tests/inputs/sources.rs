//! Items of several sources, and what their placeholders mean.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use serde_json::json;

use crate::common::{LIMIT, Place};

/// What a run in order prints.
#[track_caller]
fn printed(place: &Place, input: &str, args: &[&str]) -> String {
    let args = [&["run", "-k"], args].concat();
    place.bex_with(input.as_bytes(), &args).expect(0).stdout
}

#[test]
fn sources_are_multiplied_and_zipped() {
    let place = Place::new();
    std::fs::write(place.path("f"), "x y\nz\n").unwrap();
    std::fs::write(place.path("g"), "p\0q\0").unwrap();
    let is = |args: &[&str], expected: &str| {
        assert_eq!(printed(&place, "s\nt\n", args), expected, "{args:?}");
    };
    is(
        &["--", "echo", ":::", "a", "b", ":::", "1", "2"],
        "a 1\na 2\nb 1\nb 2\n",
    );
    is(
        &["--", "echo", ":::", "a", "b", ":::+", "1", "2"],
        "a 1\nb 2\n",
    );
    is(
        &["--", "echo", "{2}-{1}", "::::", "f", ":::+", "1", "2"],
        "1-x y\n2-z\n",
    );
    is(&["--", "echo", ":::", "1", "2", "::::+", "-"], "1 s\n2 t\n");
    is(
        &["--", "echo", "::::", "-", "f"],
        "s x y\ns z\nt x y\nt z\n",
    );
    is(&["-0", "--", "echo", "::::", "g"], "p\nq\n");
    is(
        &[
            "--", "echo", ":::", "a", "b", ":::", "1", "2", ":::+", "x", "y",
        ],
        "a 1 x\na 2 y\nb 1 x\nb 2 y\n",
    );
    is(&["--", "echo", ":::", "a", ":::"], "");
    is(
        &[
            "--shell",
            "echo {2} | tr 0-9 x; echo {1/.}",
            ":::",
            "d/a.b",
            ":::",
            "1",
        ],
        "x\na\n",
    );
    is(
        &["--dry-run", "--", "echo", ":::", "a", ":::", "1"],
        "b1.1  medium    command  echo a 1\n",
    );
}

#[test]
fn placeholders_name_a_source_and_a_part_of_its_item() {
    let place = Place::new();
    let template = "{2} {1.} {1..} {1/} {1//} {1/.} {..} {#} x{1}y";
    let args = [
        &["--", "echo"],
        &template.split(' ').collect::<Vec<_>>()[..],
    ]
    .concat();
    let args = [&args[..], &[":::", "d.x/a.tar.gz", ":::", "7"]].concat();
    assert_eq!(
        printed(&place, "", &args),
        "7 d.x/a.tar d.x/a a.tar.gz d.x a.tar d.x/a 7 1 xd.x/a.tar.gzy\n"
    );
    let function = r#"{"url": "http://127.0.0.1:9/{1}/{2}"}"#;
    let args = [
        "--dry-run",
        "--function",
        "http",
        "--params",
        function,
        ":::",
        "a",
        ":::",
        "b",
    ];
    assert!(printed(&place, "", &args).contains("http://127.0.0.1:9/a/b"));
}

#[test]
fn the_slot_is_that_of_the_moment_the_task_starts() {
    let place = Place::new();
    for args in [
        &["--", "echo", "{%}", "s{%}"][..],
        &["--shell", "echo {%} s{%}"],
    ] {
        let args = [&["-j", "1"], args, &[":::", "a", "b", "c"]].concat();
        assert_eq!(printed(&place, "", &args), "1 s1\n1 s1\n1 s1\n");
    }
    let args = [
        "-j",
        "2",
        "--",
        "sh",
        "-c",
        "echo $1 $BEX_SLOT",
        "_",
        "{%}",
        ":::",
    ];
    let args = [&args[..], &["1"; 20]].concat();
    for line in printed(&place, "", &args).lines() {
        assert!(["1 0", "2 1"].contains(&line), "{line}");
    }
    place.tasks(&json!([{"command": ["echo", "{{ slot }}"]}]));
    assert_eq!(
        printed(&place, "", &["tasks.json", "--format", "raw"]),
        "1\n"
    );
}

#[test]
fn the_first_items_name_the_sources() {
    let place = Place::new();
    let is = |input: &str, args: &[&str], expected: &str| {
        assert_eq!(printed(&place, input, args), expected, "{args:?}");
    };
    is(
        "",
        &[
            "--header",
            "--",
            "echo",
            "{lr}/{seed}",
            ":::",
            "lr",
            "1",
            "2",
            ":::",
            "seed",
            "7",
        ],
        "1/7\n2/7\n",
    );
    is(
        "",
        &["--header", ":", "--", "echo", "{lr/}", ":::", "lr=", "d/1"],
        "1\n",
    );
    is(
        "",
        &["--header", "--", "echo", "{lr}", ":::", "lr=0.1", "0.01"],
        "0.1\n0.01\n",
    );
    is(
        "file\na.c\nb.c\n",
        &["--header", "--", "echo", "{file.}"],
        "a\nb\n",
    );
    is(
        "id\tcity\n1\tRome\n2\tNew York\n",
        &[
            "--header",
            "--colsep",
            "tab",
            "--shell",
            "echo {city} ${id} {1}",
        ],
        "Rome 1\nNew York 2\n",
    );
    is("", &["--header", "--", "touch", "{nothing}"], "");
}

#[test]
fn lines_are_split_into_columns() {
    let place = Place::new();
    let is = |input: &str, args: &[&str], expected: &str| {
        assert_eq!(printed(&place, input, args), expected, "{args:?}");
    };
    is(
        "a b\tc\n\td\n",
        &["--colsep", "tab", "--", "printf", "[%s|%s]", "{2}", "{1}"],
        "[c|a b][d|]",
    );
    is(
        "a\tb\n",
        &["--colsep", r"\t", "--", "echo", "{2}{1}"],
        "ba\n",
    );
    is(
        "a,\"b, \"\"c\"\"\nd\",e\r\n",
        &["--colsep", "comma", "--", "printf", "[%s]", "{2}", "{3}"],
        "[b, \"c\"\nd][e]",
    );
    is("a;\"x;y\"\n", &["--sep", ";", "--", "echo", "{2}"], "x;y\n");
    is("a  b   c\n", &["--colsep", " +", "--", "echo"], "a b c\n");
    is(
        "",
        &[
            "--colsep",
            ",",
            "--",
            "echo",
            "{2}{1}{3}",
            ":::",
            "a,b",
            "c,d",
            ":::",
            "1",
        ],
        "ba1\ndc1\n",
    );
}

#[test]
fn several_items_go_to_a_command() {
    let place = Place::new();
    let lines = "1\n2\n3\n4\n5\n";
    let is = |args: &[&str], expected: &str| {
        assert_eq!(printed(&place, lines, args), expected, "{args:?}");
    };
    is(&["-n", "2", "--", "echo"], "1 2\n3 4\n5\n");
    is(
        &["-N2", "--", "echo", "-i{}", "x"],
        "-i1 -i2 x\n-i3 -i4 x\n-i5 x\n",
    );
    is(
        &["-n2", "--", "echo", "{2}-{1}", ":::", "a", "b", "c", "d"],
        "b-a\nd-c\n",
    );
    is(&["-n", "0", "--", "echo", "x"], "x\nx\nx\nx\nx\n");
    is(&["-X", "--", "echo"], "1 2 3 4 5\n");
    is(&["--fill", "--shell", "echo {}"], "1 2 3 4 5\n");
    let refused = place.bex_with(lines.as_bytes(), &["run", "-n", "2", "--", "touch", "{2}"]);
    assert!(
        refused
            .expect(2)
            .stderr
            .contains("{2} stands for nothing here")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_filled_command_line_is_as_long_as_the_kernel_takes() {
    let place = Place::new();
    let lines: String = (0..400_000).map(|n| format!("item-{n:08}\n")).collect();
    let script = "echo $# $*";
    let stdout = printed(&place, &lines, &["-X", "--", "sh", "-c", script, "_"]);
    let commands: Vec<&str> = stdout.lines().collect();
    let items: Vec<&str> = commands
        .iter()
        .flat_map(|line| line.split(' ').skip(1))
        .collect();
    assert!(
        items.iter().copied().eq(lines.lines()),
        "an item is missing"
    );
    // Of 14 bytes and a pointer each, in the quarter of a stack.
    let stack = std::process::Command::new("sh")
        .args(["-c", "ulimit -s"])
        .output()
        .unwrap();
    let kibibytes = String::from_utf8(stack.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap_or(u64::MAX);
    let room = (kibibytes.saturating_mul(1024) / 4).clamp(128 << 10, 6 << 20);
    let longest = commands[0]
        .split(' ')
        .next()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 22;
    assert!(
        longest < room && longest > room * 9 / 10 - 64 * 1024,
        "{longest} of {room}"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
fn what_stands_for_nothing_is_refused_before_anything_runs() {
    let place = Place::new();
    std::fs::write(place.path("two"), "1\n2\n").unwrap();
    let named = "name\nx\n";
    for (input, args, why) in [
        (
            "",
            &["--", "touch", "{3}", ":::", "a", ":::", "b"][..],
            "{3} stands for nothing",
        ),
        ("a\n", &["--", "touch", "{2}"], "{2} stands for nothing"),
        (
            "",
            &["--", "touch", "x{}", ":::", "a", ":::", "b"],
            "{} stands for all values",
        ),
        (
            "",
            &["--shell", "touch > {}", ":::", "a", ":::", "b"],
            "{} stands for all values",
        ),
        (
            named,
            &["--header", "--", "touch", "{nam}"],
            "did you mean \"name\"?",
        ),
        (
            "a,b\n",
            &["--colsep", ",", "--", "touch", "{3}"],
            "{3} stands for nothing here",
        ),
        ("a,b\n", &["--colsep", "(x", "--", "touch"], "--colsep"),
        (
            "",
            &["--", "touch", ":::", "a", "b", ":::+", "1"],
            "as many items",
        ),
        (
            "",
            &["--", "touch", ":::", "a", "::::+", "two"],
            "no item for it",
        ),
        (
            "",
            &["--", "touch", ":::+", "a"],
            ":::+ goes with the source before it",
        ),
        ("", &["--", "touch", "::::", "missing"], "missing"),
        (
            "",
            &["--", "touch", "::::"],
            ":::: needs the name of a file",
        ),
        ("x\n", &["--", "touch", "::::", "-", "-"], "one source only"),
        (
            "",
            &["-n", "2", "--", "touch", ":::", "a", ":::", "b"],
            "one source of items",
        ),
        (
            "x\n",
            &["-n", "0", "--", "touch", "{}"],
            "no item with -n 0",
        ),
        (
            "x\n",
            &["-X", "-n", "2", "--", "touch"],
            "cannot be used with",
        ),
        (
            "x\n",
            &["-X", "--", "touch", "{1}"],
            "{1} stands for nothing",
        ),
        (
            "",
            &["-o", "two", "--format", "csv", "--", "touch", "::::", "two"],
            "over the input",
        ),
        ("", &["two", "--header"], "not with a task file"),
        (
            "",
            &["--", "bash", "-c", "touch {2}", ":::", "a", ":::", "b"],
            "{2}",
        ),
        (
            "-c\ttouch x\n",
            &["--colsep", "tab", "--", "bash", "{}"],
            "code",
        ),
        (
            "-e\tsystem('touch x')\n",
            &["--colsep", "tab", "--shell", "perl {}"],
            "code",
        ),
    ] {
        let args = [&["run"], args].concat();
        let refused = place.bex_with(input.as_bytes(), &args).expect(2);
        assert!(refused.stderr.contains(why), "{args:?}: {refused:?}");
        assert_eq!(refused.stdout, "");
    }
    assert_eq!(place.bex(&["list"]).expect(0).stdout, "no batches\n");
    for touched in ["a", "b", "x", "1", "name"] {
        assert!(!place.has(touched), "{touched}");
    }
}

#[test]
fn lines_that_are_appended_start_at_once() {
    let place = Place::new();
    for args in [
        &["--", "echo"][..],
        &["--colsep", "comma", "--", "echo", "{1}"],
    ] {
        let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
        command.arg("run").args(args).stdin(Stdio::piped());
        let mut run = command.spawn().unwrap();
        let mut input = run.stdin.take().unwrap();
        let (sender, printed) = std::sync::mpsc::channel();
        let stdout = BufReader::new(run.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        for line in ["first", "second", "third"] {
            writeln!(input, "{line}").unwrap();
            // The next line comes only after the task of this one has ended.
            assert_eq!(printed.recv_timeout(LIMIT).as_deref(), Ok(line));
        }
        drop(input);
        assert!(run.wait().unwrap().success());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_product_begins_before_it_is_written_out() {
    let place = Place::new();
    let thousand: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    let script = "echo $1 $2; exec sleep 1000";
    command.args([
        "run",
        "--durability",
        "none",
        "-j",
        "2",
        "--",
        "sh",
        "-c",
        script,
        "_",
    ]);
    for _ in 0..2 {
        command.arg(":::").args(&thousand);
    }
    let mut run = command.spawn().unwrap();
    let pid = run.id().to_string();
    let children = |pid: &str| {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        children.unwrap_or_default().trim().to_owned()
    };
    // Below the guardian is the executor, and below that its first tasks.
    let executor = loop {
        let executor = children(&pid);
        if !executor.is_empty() && !children(&executor).is_empty() {
            break executor;
        }
        std::thread::yield_now();
    };
    let status = std::fs::read_to_string(format!("/proc/{executor}/status")).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 60_000, "{peak} KiB");
    // The first one lets running tasks end, the others end them; two that come at once are one.
    while run.try_wait().unwrap().is_none() {
        let _ = std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status();
    }
    drop(run.stdout.take());
    assert_eq!(run.wait().unwrap().code(), Some(130));
}
