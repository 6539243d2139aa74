//! A real terminal: every line of output is seen, the bar is below them, and nothing is glued to it.

use serde_json::{Value, json};

use crate::common::{Place, finish};

const SCREEN: &str = include_str!("screen.py");

/// What a person sees in the end.
struct Seen {
    lines: Vec<String>,
    code: i64,
    /// All that was sent to the terminal.
    raw: String,
}

impl Seen {
    #[track_caller]
    fn expect(self, code: i64) -> Self {
        assert_eq!(self.code, code, "{:#?}\n{:?}", self.lines, self.raw);
        self
    }

    #[track_caller]
    fn shows(&self, lines: &[&str]) {
        assert_eq!(self.lines, lines, "{:?}", self.raw);
    }
}

/// Runs `bex` on a terminal. Tasks wait for a line from the pipe `gate`; `more` is what `screen.py` takes.
#[track_caller]
fn on_terminal(place: &Place, args: &[&str], more: Value) -> Seen {
    let mut command = vec![env!("CARGO_BIN_EXE_bex")];
    command.extend(args);
    started_on_terminal(place, &command, more)
}

#[track_caller]
fn started_on_terminal(place: &Place, command: &[&str], more: Value) -> Seen {
    if !place.has("gate") {
        assert!(
            place
                .command("mkfifo")
                .arg("gate")
                .status()
                .unwrap()
                .success()
        );
    }
    let mut asked = more;
    asked["command"] = json!(command);
    let mut python = place.command("python3");
    if std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
        python.env("TERM", "xterm");
    }
    if let Some(term) = asked["term"].as_str() {
        python.env("TERM", term);
    }
    python.args(["-c", SCREEN, &asked.to_string()]);
    let seen = finish(python, b"").expect(0).json();
    assert_eq!(seen["left"], json!([]), "{seen:#}");
    // What nobody can foresee of the summary is left out.
    let lines = seen["lines"].as_array().unwrap().iter();
    let lines = lines.map(|line| line.as_str().unwrap());
    let lines = lines.filter(|line| !line.starts_with("execution time"));
    let mut lines: Vec<String> = lines.map(without_time).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    Seen {
        lines,
        code: seen["code"].as_i64().unwrap(),
        raw: seen["raw"].as_str().unwrap().to_owned(),
    }
}

fn without_time(line: &str) -> String {
    let end = line
        .find(" completed in ")
        .map_or(line.len(), |at| at + " completed".len());
    line[..end].to_owned()
}

/// Once the bar is there, lets one task go on, so often.
fn one_by_one(tasks: usize) -> Value {
    json!(vec![json!(["running", { "gate": 1 }]); tasks])
}

#[test]
fn a_task_that_touches_the_terminal_goes_on_without_one() {
    let place = Place::new();
    for (command, seen) in [
        (&["bash", "-ic", "echo hi"][..], "hi"),
        (&["sh", "-c", "stty sane </dev/tty || echo none"], "none"),
        (&["sh", "-c", "read line </dev/tty || echo none"], "none"),
        (&["sh", "-c", "test -t 0 || echo none"], "none"),
        (
            &[
                "python3",
                "-c",
                "import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))",
            ],
            "True",
        ),
    ] {
        for durability in ["none", "full"] {
            let args = ["run", "--durability", durability, "--timeout", "60", "--"];
            let args = [&args[..], command, &[":::", "a"]].concat();
            let ended = on_terminal(&place, &args, json!({})).expect(0);
            assert!(
                ended.lines.iter().any(|line| line == seen),
                "{command:?}: {:#?}",
                ended.lines
            );
        }
    }
}

#[test]
fn output_that_does_not_end_its_line_is_seen() {
    for (script, stream) in [
        ("read x < gate; printf '[%s]' {}", "standard output"),
        ("read x < gate; printf '[%s]' {} >&2", "standard error"),
        ("read x < gate; printf '[%s\\n]' {}", "its last line"),
    ] {
        let place = Place::new();
        let args = ["run", "-j1", "--shell", script, ":::", "1", "2", "3"];
        let seen = on_terminal(&place, &args, json!({ "cues": one_by_one(3) })).expect(0);
        let all = seen.lines.concat();
        for part in ["[1", "[2", "[3", "]"] {
            assert!(all.contains(part), "{stream}: {part} of {:#?}", seen.lines);
        }
        assert_eq!(
            seen.lines.last().unwrap(),
            "3 tasks: 3 completed",
            "{stream}"
        );
        assert!(
            !all.contains('█') && !all.contains("running"),
            "{stream}: {:#?}",
            seen.lines
        );
    }
}

#[test]
fn output_without_a_bar_stays_as_it_is() {
    let place = Place::new();
    let args = [
        "run",
        "-j1",
        "--progress",
        "none",
        "--",
        "printf",
        "[%s]",
        ":::",
        "1",
        "2",
    ];
    on_terminal(&place, &args, json!({}))
        .expect(0)
        .shows(&["[1][2]"]);
    let args = [
        "run",
        "-j1",
        "--progress",
        "plain",
        "--",
        "printf",
        "[%s]",
        ":::",
        "1",
        "2",
    ];
    on_terminal(&place, &args, json!({}))
        .expect(0)
        .shows(&["[1][2]", "2 tasks: 2 completed"]);
}

#[test]
fn no_line_is_lost_when_the_terminal_is_resized() {
    let wide = "a long name that fills most of a line, and some more";
    let script = format!("n={{}}; read x < gate; seq -f \"line $n-%g\" 20; : '{wide}'");
    for columns in [20, 40, 61, 100, 200] {
        for reflow in [true, false] {
            let place = Place::new();
            let args = ["run", "-j3", "--shell", &script, ":::", "1", "2", "3"];
            let cues = json!([
                ["done", { "columns": columns }],
                ["done", { "gate": 1 }],
                ["done", { "columns": 80 }],
                ["done", { "gate": 2 }],
            ]);
            let seen = on_terminal(&place, &args, json!({ "cues": cues, "reflow": reflow }));
            let seen = seen.expect(0);
            for task in 1..=3 {
                for number in 1..=20 {
                    let line = format!("line {task}-{number}");
                    assert!(
                        seen.lines.contains(&line),
                        "{columns} {reflow} {line}: {:#?}",
                        seen.lines
                    );
                }
            }
        }
    }
}

#[test]
fn in_a_narrow_terminal_nothing_is_left_of_the_bar() {
    for columns in [1, 2, 5, 20, 79] {
        let place = Place::new();
        let script = "read x < gate; echo {}";
        let args = ["run", "-j1", "--shell", script, ":::", "1", "2", "3"];
        let cue = json!([["\r", { "gate": 1 }], ["\r", { "gate": 1 }], ["\r", { "gate": 1 }]]);
        let seen = on_terminal(&place, &args, json!({ "cues": cue, "columns": columns })).expect(0);
        // Blanks at the end of a row are not seen.
        let text = seen.lines.concat().replace(' ', "");
        let is_clean = text.starts_with("1233tasks:3completed") && !text.contains(['█', '░']);
        assert!(is_clean, "{columns}: {text} of {:?}", seen.raw);
    }
}

#[test]
fn what_comes_back_through_a_pipe_is_not_erased() {
    let place = Place::new();
    let run = "\"$0\" run -j1 --shell 'sleep 0.4; echo line {}' ::: 1 2 3";
    for through in ["cat", "tee copy", "sed s/line/line/"] {
        let script = format!("{run} | {through}");
        let command = ["sh", "-c", &script, env!("CARGO_BIN_EXE_bex")];
        let seen = started_on_terminal(&place, &command, json!({})).expect(0);
        assert!(!seen.raw.contains('\x1b'), "{through}: {:?}", seen.raw);
        for line in ["line 1", "line 2", "line 3"] {
            assert!(
                seen.lines.iter().any(|seen| seen == line),
                "{through}: {:#?}",
                seen.lines
            );
        }
    }
    // Nothing of a file or of nothing comes back.
    for to in ["file", "/dev/null"] {
        let script = format!("{run} > {to}");
        let command = ["sh", "-c", &script, env!("CARGO_BIN_EXE_bex")];
        let seen = started_on_terminal(&place, &command, json!({})).expect(0);
        assert!(
            seen.raw.contains('█') || seen.raw.contains('░'),
            "{to}: {:?}",
            seen.raw
        );
        seen.shows(&["3 tasks: 3 completed"]);
    }
}

#[test]
fn a_dumb_terminal_gets_text_alone() {
    let place = Place::new();
    let args = [
        "run",
        "-j1",
        "--shell",
        "sleep 0.4; echo {}",
        ":::",
        "1",
        "2",
    ];
    let seen = on_terminal(&place, &args, json!({ "term": "dumb" })).expect(0);
    assert!(!seen.raw.contains('\x1b'), "{:?}", seen.raw);
    seen.shows(&["1", "2", "2 tasks: 2 completed"]);
}

#[test]
fn results_that_go_to_the_terminal_as_a_file_are_seen() {
    for file in ["/dev/tty", "/dev/stdout", "/dev/fd/2"] {
        let place = Place::new();
        let script = "read x < gate; echo {}";
        let args = [
            "run", "-j1", "-o", file, "--format", "raw", "--shell", script, ":::", "1", "2",
        ];
        let seen = on_terminal(&place, &args, json!({ "cues": one_by_one(2) })).expect(0);
        seen.shows(&["1", "2", "2 tasks: 2 completed"]);
    }
}

#[test]
fn messages_stand_on_lines_of_their_own() {
    let place = Place::new();
    let script = "read x < gate; printf '[%s]' {}";
    let args = ["run", "-j1", "--shell", script, ":::", "1", "2"];
    let cues = json!([
        ["running", { "gate": 1 }],
        ["running", { "keys": "\u{3}" }],
        ["terminates them", { "gate": 1 }],
    ]);
    let seen = on_terminal(&place, &args, json!({ "cues": cues })).expect(130);
    let message = "bex: stopping: running tasks end first; Ctrl-C again terminates them";
    assert!(
        seen.lines.iter().any(|line| line == message),
        "{:#?}",
        seen.lines
    );
    assert!(
        seen.lines.iter().any(|line| line.starts_with("[1]")),
        "{:#?}",
        seen.lines
    );
    assert!(
        seen.lines.iter().any(|line| line.ends_with("[2]")),
        "{:#?}",
        seen.lines
    );
}

#[test]
fn a_bar_that_is_watched_leaves_nothing() {
    let place = Place::new();
    place.bex(&["add", "--shell", "read x < gate"]).expect(0);
    assert!(
        place
            .command("mkfifo")
            .arg("gate")
            .status()
            .unwrap()
            .success()
    );
    place.bex(&["start"]).expect(0);
    let cues = json!([["1 running", { "gate": 1 }]]);
    let seen = on_terminal(&place, &["watch"], json!({ "cues": cues })).expect(0);
    assert!(seen.raw.contains('░'), "{:?}", seen.raw);
    assert!(!seen.lines.concat().contains('░'), "{:#?}", seen.lines);
    assert!(
        seen.lines[0].starts_with("b1 is completed"),
        "{:#?}",
        seen.lines
    );
}

#[test]
fn nothing_is_left_of_the_bar_of_a_killed_executor() {
    let place = Place::new();
    let args = ["run", "--shell", "sleep 1000", ":::", "1"];
    let cues = json!([["running", { "kill": true }]]);
    let seen = on_terminal(&place, &args, json!({ "cues": cues })).expect(-9);
    seen.shows(&[]);
}
