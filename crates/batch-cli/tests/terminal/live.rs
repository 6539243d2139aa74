//! Output while tasks run: lines as they come, events, and what is written beside the results.

use std::fs::OpenOptions;
use std::io::{BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::common::{Ended, Place, finish};

/// A place with the pipe `gate`, at which tasks wait to be let go.
struct Gated {
    place: Place,
    gate: std::fs::File,
}

impl Gated {
    fn new() -> Self {
        let place = Place::new();
        assert!(
            place
                .command("mkfifo")
                .arg("gate")
                .status()
                .unwrap()
                .success()
        );
        let gate = OpenOptions::new()
            .read(true)
            .write(true)
            .open(place.path("gate"));
        Self {
            gate: gate.unwrap(),
            place,
        }
    }

    fn let_go(&mut self, tasks: usize) {
        self.gate.write_all("\n".repeat(tasks).as_bytes()).unwrap();
    }

    fn spawn(&self, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
        let mut command = self.place.command(env!("CARGO_BIN_EXE_bex"));
        let mut child = command.args(args).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        (child, stdout)
    }
}

fn line(from: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line
}

fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn types(events: &[Value], task: &str) -> Vec<String> {
    let of_task = events.iter().filter(|event| event["task_id"] == task);
    of_task
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn lines_come_while_their_tasks_run() {
    let mut gated = Gated::new();
    let script = "echo first {}; read x < gate; printf sec; printf 'ond %s' {}";
    for durability in ["none", "full"] {
        let (mut run, mut out) = gated.spawn(&[
            "run",
            "--live",
            "-j2",
            "--durability",
            durability,
            "--shell",
            script,
            ":::",
            "a",
            "b",
        ]);
        let mut first = [line(&mut out), line(&mut out)];
        first.sort();
        // Both wait still.
        for (line, text) in first.iter().zip(["first a\n", "first b\n"]) {
            let (name, rest) = line.split_once('\t').expect("a name");
            assert!(!name.is_empty(), "{line}");
            assert_eq!(rest, text);
        }
        gated.let_go(2);
        let mut last = [line(&mut out), line(&mut out)]
            .map(|line| line.split_once('\t').unwrap().1.to_owned());
        last.sort();
        assert_eq!(last, ["second a\n", "second b\n"]);
        assert_eq!(line(&mut out), "");
        assert_eq!(run.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn lines_of_talkative_tasks_are_never_mixed() {
    let place = Place::new();
    let script = "i=0; while [ $i -lt 200 ]; do printf '%s-' {}; printf '%s-' $i; printf 'end\\n'; i=$((i + 1)); done";
    let items = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let args = [
        &["run", "--live", "-j10", "--shell", script, ":::"][..],
        &items,
    ]
    .concat();
    let ended = place.bex(&args).expect(0);
    let mut lines: Vec<&str> = ended
        .stdout
        .lines()
        .map(|line| line.split_once('\t').unwrap().1)
        .collect();
    let mut whole: Vec<String> = (0..10)
        .flat_map(|item| (0..200).map(move |line| format!("{item}-{line}-end")))
        .collect();
    // Those of each task are in their order.
    for item in items {
        let own: Vec<&str> = lines
            .iter()
            .copied()
            .filter(|line| line.starts_with(item))
            .collect();
        let expected: Vec<String> = (0..200).map(|line| format!("{item}-{line}-end")).collect();
        assert_eq!(own, expected);
    }
    lines.sort_unstable();
    whole.sort_unstable();
    assert_eq!(lines, whole);
}

#[test]
fn alone_output_goes_through_at_once_as_it_is() {
    for more in [&["-j1", ":::", "a", "b"][..], &["-j4", ":::", "a"]] {
        let mut gated = Gated::new();
        let (jobs, items) = more.split_at(1);
        let script = "printf half; printf ' on error' >&2; read x < gate; : {}; echo ' a line'";
        let args = [&["run", "--live", "--shell", script], jobs, items].concat();
        let (mut run, mut out) = gated.spawn(&args);
        for _ in 1..items.len() {
            let mut half = [0; 4];
            out.read_exact(&mut half).unwrap();
            assert_eq!(&half, b"half");
            gated.let_go(1);
            assert_eq!(line(&mut out), " a line\n");
        }
        assert_eq!(line(&mut out), "");
        assert_eq!(run.wait().unwrap().code(), Some(0));
    }
    let place = Place::new();
    let bytes = place
        .bex(&[
            "run",
            "--live",
            "--shell",
            ": {}; head -c 20000000 /dev/zero | tr '\\0' x",
            ":::",
            "a",
        ])
        .expect(0);
    assert_eq!(bytes.stdout.len(), 20_000_000);
    let ended = place
        .bex(&[
            "run",
            "--live",
            "-q",
            "--shell",
            ": {}; echo out; echo err >&2",
            ":::",
            "a",
        ])
        .expect(0);
    assert_eq!((&*ended.stdout, &*ended.stderr), ("out\n", "err\n"));
}

#[test]
fn a_reader_that_goes_away_ends_a_live_run() {
    let place = Place::new();
    let script = "\"$0\" run --live -j2 -- yes ::: a b | head -1; \"$0\" status | head -1";
    let mut shell = place.command("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_bex")]);
    let ended = finish(shell, b"").expect(0);
    assert!(ended.stdout.contains("its output was closed"), "{ended:#?}");
}

#[test]
fn secrets_are_masked_in_lines_and_events() {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "a", "shell": "printf %s $KEY | head -c 3; sleep 0.1; printf %s $KEY | tail -c 3; echo ' and more'; echo $KEY >&2", "env": {"KEY": "{{ env.KEY }}"}},
        {"id": "b", "shell": "echo none"}
    ]));
    for args in [
        &["--live", "-j1"][..],
        &["--live", "-j2"],
        &["--format", "events"],
    ] {
        let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
        command
            .args(["run", "tasks.json"])
            .args(args)
            .env("KEY", "s3cr3t");
        let ended = finish(command, b"").expect(0);
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            !all.contains("s3c") && all.contains("*** and more"),
            "{args:?}: {ended:#?}"
        );
    }
}

/// Checks the events of the batch of [`events_tell_what_happens_in_its_order`].
#[track_caller]
fn check(events: &[Value]) {
    let ok: Vec<&Value> = events
        .iter()
        .filter(|event| event["task_id"] == "b1.1")
        .collect();
    assert_eq!(ok[0]["type"], "started");
    assert_eq!(
        (&ok[0]["id"], &ok[0]["name"], &ok[0]["attempt"]),
        (&json!("ok"), &json!("Fine"), &json!(1))
    );
    let texts: String = ok
        .iter()
        .filter(|event| event["type"] == "output")
        .map(|event| event["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, "one\ntwo\n\u{fffd}");
    let bytes = ok.iter().find_map(|event| event["base64"].as_str());
    assert_eq!(bytes, Some("/w=="));
    let [.., ended, finished] = &*ok else {
        panic!("{ok:?}")
    };
    assert_eq!(
        (&ended["type"], &ended["exit_code"], &ended["outcome"]),
        (&json!("attempt_ended"), &json!(0), &json!("completed"))
    );
    assert_eq!(
        (&finished["type"], &finished["status"], &finished["id"]),
        (&json!("finished"), &json!("completed"), &json!("ok"))
    );
    let no = types(events, "b1.2");
    let no: Vec<&str> = no.iter().map(String::as_str).collect();
    assert_eq!(
        no.iter().filter(|kind| **kind == "started").count(),
        2,
        "{no:?}"
    );
    assert_eq!(
        no.iter().filter(|kind| **kind == "attempt_ended").count(),
        2,
        "{no:?}"
    );
    assert_eq!(
        (no[0], *no.last().unwrap()),
        ("started", "finished"),
        "{no:?}"
    );
    assert_eq!(types(events, "b1.3"), ["finished"]);
}

#[test]
fn events_tell_what_happens_in_its_order() {
    let place = Place::new();
    place.tasks(&json!([
        {"id": "ok", "name": "Fine", "shell": "echo one; echo two; printf '\\377'"},
        {"id": "no", "shell": "echo try; echo problem >&2; exit 3", "max_retries": 1, "retry": {"backoff": "none"}},
        {"id": "after", "shell": "true", "depends_on": "no"}
    ]));
    let ended = place
        .bex(&["run", "tasks.json", "--format", "events", "-j1"])
        .expect(1);
    let live = events(&ended.stdout);
    check(&live);
    let attempts = |name: &str| -> Vec<Value> {
        let of = |event: &&Value| {
            event["type"] == "output" && event["task_id"] == "b1.2" && event["stream"] == name
        };
        live.iter()
            .filter(of)
            .map(|event| json!([event["attempt"], event["text"]]))
            .collect()
    };
    assert_eq!(
        attempts("stdout"),
        [json!([1, "try\n"]), json!([2, "try\n"])]
    );
    assert_eq!(
        attempts("stderr"),
        [json!([1, "problem\n"]), json!([2, "problem\n"])]
    );

    // The same from the file, and the status at the end.
    let mut watched = events(&place.bex(&["watch", "--json"]).expect(1).stdout);
    let status = watched.pop().unwrap();
    assert_eq!(
        (&status["type"], &status["state"]),
        (&json!("status"), &json!("failed"))
    );
    check(&watched);
    let results = events(
        &place
            .bex(&["results", "--format", "events"])
            .expect(0)
            .stdout,
    );
    check(&results);
}

#[test]
fn a_batch_is_followed_while_it_runs() {
    let mut gated = Gated::new();
    let place = &gated.place;
    for id in ["one", "two"] {
        let script = format!("echo begin {id}; read x < gate; echo end {id}");
        place
            .bex(&["add", "--id", id, "--shell", &script])
            .expect(0);
    }
    place.bex(&["start", "-j2"]).expect(0);
    let (mut logs, mut lines) = gated.spawn(&["logs", "-f"]);
    let (mut watch, mut happens) = gated.spawn(&["watch", "--json"]);
    // Outputs are there to be read from their first second on.
    let mut begun = [line(&mut lines), line(&mut lines)];
    begun.sort();
    assert_eq!(begun, ["one\tbegin one\n", "two\tbegin two\n"]);
    assert_eq!(events(&line(&mut happens))[0]["state"], "running");
    let seen = events(&format!("{}{}", line(&mut happens), line(&mut happens)));
    assert!(
        seen.iter().all(|event| event["type"] == "started"),
        "{seen:?}"
    );
    gated.let_go(2);
    let mut ended = [line(&mut lines), line(&mut lines)];
    ended.sort();
    assert_eq!(ended, ["one\tend one\n", "two\tend two\n"]);
    assert_eq!(
        (line(&mut lines), logs.wait().unwrap().code()),
        (String::new(), Some(0))
    );
    let mut rest = String::new();
    happens.read_to_string(&mut rest).unwrap();
    let rest = events(&rest);
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    for task in ["b1.1", "b1.2"] {
        let of_task = types(&rest, task);
        assert_eq!(
            of_task[of_task.len() - 2..],
            ["attempt_ended", "finished"],
            "{rest:?}"
        );
    }
    assert_eq!(rest.last().unwrap()["state"], "completed");
    let all = gated.place.bex(&["logs"]).expect(0);
    assert_eq!(all.stdout.lines().count(), 4, "{all:?}");
}

#[test]
fn a_job_log_has_the_columns_of_parallel() {
    let place = Place::new();
    let script = "case {} in a) echo four;; b) exit 3;; c) kill -9 $$;; esac";
    place
        .bex(&[
            "run", "-j1", "--joblog", "log", "--shell", script, ":::", "a", "b", "c",
        ])
        .expect(1);
    let log = place.read("log");
    let rows: Vec<Vec<&str>> = log.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        rows[0],
        [
            "Seq",
            "Host",
            "Starttime",
            "JobRuntime",
            "Send",
            "Receive",
            "Exitval",
            "Signal",
            "Command"
        ]
    );
    let seen: Vec<_> = rows[1..]
        .iter()
        .map(|row| (row[0], row[1], row[4], row[5], row[6], row[7]))
        .collect();
    assert_eq!(
        seen,
        [
            ("1", ":", "0", "5", "0", "0"),
            ("2", ":", "0", "0", "3", "0"),
            ("3", ":", "0", "0", "-1", "9")
        ]
    );
    for row in &rows[1..] {
        assert!(
            row[2].parse::<f64>().unwrap() > 1.7e9 && row[3].trim().parse::<f64>().unwrap() >= 0.0,
            "{row:?}"
        );
        assert!(row[8].contains("exit 3"), "{row:?}");
    }
    // Going on appends, and says the columns once.
    place.tasks(&json!([{"id": "x", "shell": "test -e ready", "max_retries": 0}, {"id": "y", "shell": "true"}]));
    place
        .bex(&["run", "tasks.json", "--joblog", "two"])
        .expect(1);
    std::fs::write(place.path("ready"), "").unwrap();
    place
        .bex(&["run", "--resume", "tasks.json", "--joblog", "two"])
        .expect(0);
    assert_eq!(
        place.read("two").lines().count(),
        4,
        "{}",
        place.read("two")
    );
    assert_eq!(place.read("two").matches("Exitval").count(), 1);
}

#[test]
fn a_folder_holds_the_files_of_each_task() {
    let place = Place::new();
    let script = "printf 'out %s' {}; echo err >&2; case {} in b) exit 3;; c) kill -TERM $$;; esac";
    place
        .bex(&[
            "run",
            "--results",
            "made/here",
            "--shell",
            script,
            ":::",
            "a",
            "b",
            "c",
        ])
        .expect(1);
    for (number, item, exit) in [(1, "a", "0\n"), (2, "b", "3\n"), (3, "c", "143\n")] {
        let read = |name: &str| place.read(&format!("made/here/{number}/{name}"));
        assert_eq!(
            (read("stdout"), read("stderr"), read("exit")),
            (format!("out {item}"), "err\n".to_owned(), exit.to_owned())
        );
    }
    std::fs::write(place.path("taken"), "").unwrap();
    let refused = place
        .bex(&["run", "--results", "taken", "--", "touch", ":::", "never"])
        .expect(3);
    assert!(
        refused.stderr.contains("taken") && !place.has("never"),
        "{refused:?}"
    );
}

#[test]
fn what_is_told_beside_can_be_chosen() {
    let run = |args: &[&str], code| -> Ended {
        let place = Place::new();
        place
            .bex(
                &[
                    &["run", "-j1"],
                    args,
                    &["--shell", "echo {}; exit {}", ":::", "0", "1"],
                ]
                .concat(),
            )
            .expect(code)
    };
    let quiet = run(&["--quiet"], 1);
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("0\n1\n", ""));
    let summary = run(&["--quiet", "--summary"], 1);
    assert!(
        summary.stderr.starts_with("2 tasks: 1 completed, 1 failed"),
        "{summary:?}"
    );
    let verbose = run(&["-qv"], 1);
    assert_eq!(verbose.stdout, "0\n1\n");
    assert_eq!(verbose.stderr.lines().count(), 2, "{verbose:?}");
    assert!(
        verbose.stderr.starts_with("echo '0'; exit '0'\n"),
        "{verbose:?}"
    );
    let tagged = run(&["-q", "--tag-output"], 1);
    assert!(
        tagged.stdout.lines().all(|line| line.contains('\t')),
        "{tagged:?}"
    );
    let place = Place::new();
    for args in [
        &["run", "--live", "-k", "--", "x"][..],
        &["run", "--live", "--format", "json", "--", "x"],
        &["run", "--tag-output", "--format", "json", "--", "x"],
        &["run", "-q", "--progress", "bar", "--", "x"],
        &["logs", "--attempt", "1"],
    ] {
        place.bex(args).expect(2);
    }
    let both = place
        .bex(&["run", "--live", "-o", "out.json", "--", "echo", ":::", "a"])
        .expect(0);
    assert_eq!(both.stdout, "a\n");
    let document: Value = serde_json::from_str(&place.read("out.json")).unwrap();
    assert_eq!(document["tasks"][0]["result"]["stdout"], "a\n");
}
