//! Batches that an executor works on, in the background or before someone's eyes, steered from other processes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::harness::{Live, code_of, shell_task, waiting};

#[test]
fn a_killed_executor_is_noticed_and_resume_finishes_its_batch() {
    let mut live = Live::new();
    live.bex(&["add", "--shell", "echo one >> effects"], 0);
    live.add_waiting("echo two >> effects");
    let started = live.bex(&["start"], 0);
    assert!(started.starts_with("b1 started: process "), "{started}");
    assert_eq!(live.begun(), "b1.2");
    let reached = live.bex(&["wait", "--until", "1"], 0);
    assert!(
        reached.starts_with("b1 is running: 1 completed"),
        "{reached}"
    );

    let status = live.latest();
    assert_eq!(
        (&status["state"], &status["completed"], &status["running"]),
        (&json!("running"), &json!(1), &json!(1))
    );
    let second = live.bex(&["start"], 0);
    let pid = status["pid"].to_string();
    assert!(second.contains(&format!("process {pid}")), "{second}");
    let still = live.bex(&["wait", "--timeout", "1"], 6);
    assert!(still.starts_with("b1 is still running"), "{still}");
    assert!(
        live.place
            .bex(&["rm", "b1"])
            .expect(2)
            .stderr
            .contains(&pid)
    );

    live.kill_executor();
    let list = live.bex(&["list"], 0);
    assert!(list.contains("b1     interrupted"), "{list}");
    let why = live.bex(&["why", "2"], 0);
    assert!(why.contains("was running when the executor died"), "{why}");
    // What it printed so far is all there is: nothing prints any more.
    let logs = live.place.bex(&["logs", "-f", "2"]).expect(5);
    assert!(
        logs.stderr
            .contains("when the batch is resumed, it runs again"),
        "{logs:?}"
    );

    let resumed = live.spawn(&["resume", "--format", "none"]);
    assert_eq!(live.begun(), "b1.2");
    live.let_go(1);
    assert_eq!(code_of(resumed), Some(0));
    assert_eq!(live.place.read("effects"), "one\ntwo\n");
    let cut_off = live.place.bex(&["show", "2", "--json"]).expect(0).json();
    let outcomes: Vec<&Value> = cut_off["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| &attempt["outcome"])
        .collect();
    assert_eq!(outcomes, [&json!("interrupted"), &json!("completed")]);
    assert_eq!(
        (&cut_off["retry_count"], &cut_off["flaky"]),
        (&json!(0), &json!(false))
    );
}

#[test]
fn what_a_killed_executor_was_running_does_not_read_as_running() {
    let live = Live::new();
    live.add_waiting("true");
    live.bex(&["start"], 0);
    live.begun();
    assert_eq!(live.latest()["running"], 1);
    live.kill_executor();
    let status = live.status();
    let counts = ["running", "queued", "interrupted"].map(|name| &status[name]);
    assert_eq!(counts, [&json!(0), &json!(1), &json!(1)]);
    let results = live.json(&["results", "--json"], 0);
    assert_eq!(results["tasks"][0]["status"], "queued");
    let of =
        |status: &str| live.json(&["results", "--json", "--status", status], 0)["tasks"].clone();
    assert_eq!(of("queued"), results["tasks"]);
    assert_eq!(of("running"), json!([]));
    let sums = &results["metadata"];
    assert_eq!((&sums["queued"], &sums["running"]), (&json!(1), &json!(0)));
    let summary = live.bex(&["results", "--format", "summary", "--status", "queued"], 0);
    assert_eq!(summary, "1 task: 1 queued\n");
    assert_eq!(live.json(&["show", "1", "--json"], 0)["status"], "queued");
    let status = live.bex(&["status", "--detailed"], 0);
    assert!(
        status.contains("\n  interrupted b1.1  echo $BEX_TASK_ID > marks;"),
        "{status}"
    );
}

#[test]
fn a_copy_of_a_running_batch_is_another_batch() {
    let mut live = Live::new();
    live.add_waiting("echo one >> effects");
    live.bex(&["start"], 0);
    assert_eq!(live.begun(), "b1.1");
    live.latest();
    let (original, copy) = (
        live.place.path("home/batches/b1.db"),
        live.place.path("copy"),
    );
    let source = rusqlite::Connection::open(&original).unwrap();
    let into = copy.to_str().unwrap();
    source.execute("VACUUM INTO ?1", [into]).unwrap();
    drop(source);

    live.bex(&["pause", "--store", "copy"], 0);
    live.let_go(1);
    live.bex(&["wait"], 0);
    assert_eq!(live.place.read("effects"), "one\n");
    let attempts = live.place.bex(&["show", "1", "--json"]).expect(0).json();
    assert_eq!(attempts["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_run_that_was_killed_is_continued() {
    let mut live = Live::new();
    let script = "echo {} >> effects; test {} = a || { echo x > marks; read line < gate; }";
    let run = live.spawn(&[
        "run", "-j1", "--format", "none", "--shell", script, ":::", "a", "b", "c",
    ]);
    assert_eq!(live.begun(), "x");
    // What is not on record yet when its executor is killed would run again.
    live.bex(&["wait", "--until", "1"], 0);
    live.kill_executor();
    assert_ne!(code_of(run), Some(0));
    assert_eq!(live.status()["completed"], 1);
    live.let_go(2);
    live.bex(&["resume", "--format", "none"], 0);
    // b was cut off, and so ran again; a was finished, and so did not.
    assert_eq!(live.place.read("effects"), "a\nb\nb\nc\n");
}

#[test]
fn slots_and_tasks_change_while_the_batch_runs() {
    let mut live = Live::new();
    for _ in 0..5 {
        live.add_waiting("true");
    }
    live.bex(&["set", "-j", "1"], 0);
    live.bex(&["start"], 0);
    assert_eq!(live.begun(), "b1.1");
    live.bex(&["set", "--priority", "critical", "b1.5"], 0);
    live.bex(&["set", "-j", "2"], 0);
    assert_eq!(live.status()["max_concurrent"], 2);
    assert_eq!(live.begun(), "b1.5");

    // A running one and a queued one.
    assert_eq!(
        live.bex(&["cancel", "b1.1", "b1.2"], 0),
        "2 tasks cancelled\n"
    );
    live.bex(&["wait", "--until", "2"], 0);
    assert_eq!(live.begun(), "b1.3");
    live.latest();
    let detailed = live.bex(&["status", "--detailed"], 0);
    for task in ["running b1.3", "running b1.5"] {
        assert!(detailed.contains(task), "{detailed}");
    }
    live.let_go(3);
    assert_eq!(live.begun(), "b1.4");
    assert_eq!(
        live.bex(&["wait"], 1),
        "b1 finished with failures: 3 completed, 2 cancelled\n"
    );
    let why = live.bex(&["why", "1"], 0);
    assert_eq!(why, "b1.1 was cancelled by the user.\n");
}

#[test]
fn a_running_batch_takes_up_what_is_added() {
    let mut live = Live::new();
    live.add_waiting("true");
    live.bex(&["start"], 0);
    live.begun();
    let added = live.place.bex(&["add", "--", "echo", "late"]).expect(0);
    assert!(added.stderr.contains("picks it up"), "{added:?}");
    live.bex(&["wait", "--until", "1"], 0);
    assert_eq!(live.bex(&["logs", "2"], 0), "late\n");
    live.let_go(1);
    live.bex(&["wait"], 0);
}

#[test]
fn stop_lets_running_tasks_end_and_keeps_the_queued_ones() {
    let mut live = Live::new();
    live.add_waiting("true");
    let script = "echo so far; echo $BEX_TASK_ID > marks; read line < gate";
    live.bex(&["add", "--shell", script], 0);
    live.bex(&["start", "-j", "1"], 0);
    live.begun();
    let told = live.bex(&["stop"], 0);
    assert!(told.contains("1 running task"), "{told}");
    live.let_go(1);
    let rest = live.bex(&["wait"], 5);
    assert_eq!(
        rest,
        "nothing runs b1, which is stopped: 1 completed, 1 queued\n"
    );
    assert!(live.bex(&["why", "2"], 0).contains("bex resume -b b1"));

    live.bex(&["start"], 0);
    assert_eq!(live.begun(), "b1.2");
    let now = live.bex(&["stop", "--now"], 0);
    assert_eq!(now, "b1 is stopped; 1 task left (bex resume -b b1)\n");
    let why = live.bex(&["why", "2"], 0);
    assert!(
        why.contains("attempt 1 was interrupted and does not count"),
        "{why}"
    );
    assert_eq!(live.bex(&["logs", "2"], 0), "so far\n");

    live.bex(&["resume", "--detach"], 0);
    assert_eq!(live.begun(), "b1.2");
    let killed = live
        .place
        .bex(&["stop", "--kill", "--json"])
        .expect(0)
        .json();
    assert_eq!(
        (&killed["state"], &killed["pid"]),
        (&json!("stopped"), &Value::Null)
    );
    live.let_go(1);
    live.bex(&["resume", "--format", "none"], 0);
}

#[test]
fn resume_of_a_batch_that_is_being_stopped_comes_after_its_end() {
    let mut live = Live::new();
    live.add_waiting("true");
    live.add_waiting("true");
    live.bex(&["start", "-j", "1"], 0);
    live.begun();
    live.bex(&["stop"], 0);
    let status = live.bex(&["status"], 0);
    assert!(status.contains("it is being stopped"), "{status}");
    let added = live.place.bex(&["add", "--shell", "true"]).expect(0);
    assert!(added.stderr.contains("start"), "{added:?}");
    let refused = live.place.bex(&["pause"]).expect(2);
    assert!(refused.stderr.contains("is being stopped"), "{refused:?}");

    let resumed = live.spawn(&["resume", "--format", "none"]);
    live.let_go(1);
    assert_eq!(live.begun(), "b1.2");
    live.let_go(1);
    assert_eq!(code_of(resumed), Some(0));
}

#[test]
fn what_is_added_to_a_batch_that_is_being_stopped_waits_for_the_next_start() {
    let mut live = Live::new();
    live.add_waiting("true");
    live.bex(&["start"], 0);
    live.begun();
    live.bex(&["stop"], 0);
    assert_eq!(live.status()["reason"], "it is being stopped");
    let added = live.place.bex(&["add", "--", "true"]).expect(0);
    assert!(added.stderr.contains("is being stopped"), "{added:?}");
    assert!(added.stderr.contains("bex start -b b1"), "{added:?}");
    live.let_go(1);
    live.bex(&["wait"], 5);
    live.bex(&["start"], 0);
    live.bex(&["wait"], 0);
    // Now there is nothing to do.
    let nothing = live.bex(&["start"], 0);
    assert_eq!(nothing, "nothing to do: b1 is completed: 2 completed\n");
    assert_eq!(live.bex(&["resume", "-d"], 0), nothing);
    let reply = live.place.bex(&["start", "--json"]).expect(0).json();
    assert_eq!((&reply["pid"], &reply["open"]), (&Value::Null, &json!(0)));
}

#[test]
fn pause_starts_nothing_more_until_resume() {
    let mut live = Live::new();
    live.add_waiting("true");
    live.add_waiting("true");
    live.bex(&["start", "-j", "1"], 0);
    live.begun();
    live.bex(&["pause"], 0);
    live.let_go(1);
    live.bex(&["wait", "--until", "1"], 0);
    let status = live.status();
    assert_eq!(
        (&status["state"], &status["queued"]),
        (&json!("paused"), &json!(1))
    );
    assert!(live.bex(&["why", "2"], 0).contains("the batch is paused"));
    assert_eq!(live.bex(&["resume", "-j", "3"], 0), "b1 continues\n");
    assert_eq!(live.status()["max_concurrent"], json!(3));
    assert_eq!(live.begun(), "b1.2");
    let again = live.bex(&["resume"], 0);
    assert!(
        again.starts_with("b1 is running already (process "),
        "{again}"
    );
    live.let_go(1);
    live.bex(&["wait"], 0);
}

#[test]
fn wait_ends_at_the_first_failure_and_the_failed_one_is_retried_on_the_spot() {
    let mut live = Live::new();
    live.bex(&["add", "--id", "bad", "--", "test", "-e", "there"], 0);
    live.add_waiting("true");
    live.bex(&["start"], 0);
    live.begun();
    live.latest();
    let failed = live.bex(&["wait", "--until", "first-failure"], 1);
    assert_eq!(failed, "b1 is running: 1 failed, 1 running\n");
    std::fs::write(live.place.path("there"), "").unwrap();
    let again = live.place.bex(&["retry"]).expect(0);
    assert_eq!(
        (&*again.stdout, &*again.stderr),
        ("1 task queued again\n", ""),
        "somebody works on it, so nobody need be told to"
    );
    live.bex(&["wait", "--until", "1"], 0);
    assert_eq!(
        live.bex(&["clear"], 0),
        "1 finished task cleared: 1 completed\n"
    );
    live.let_go(1);
    assert_eq!(live.bex(&["wait"], 0), "b1 is completed: 1 completed\n");
}

#[test]
fn logs_follow_a_task_to_its_end() {
    let mut live = Live::new();
    live.place
        .bex(&[
            "add",
            "--shell",
            "echo first; read line < gate; echo second; echo third >&2",
        ])
        .expect(0);
    live.bex(&["start"], 0);
    let mut logs = live.spawn(&["logs", "-f", "1"]);
    let mut printed = BufReader::new(logs.stdout.take().unwrap());
    let mut first = String::new();
    printed.read_line(&mut first).unwrap();
    assert_eq!(first, "first\n");
    live.let_go(1);
    let mut rest = String::new();
    printed.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "second\n");
    assert_eq!(code_of(logs), Some(0));
}

#[test]
fn watch_shows_the_batch_until_it_is_done() {
    let mut live = Live::new();
    live.bex(&["add", "--", "false"], 0);
    live.add_waiting("true");
    live.bex(&["start"], 0);
    live.begun();
    live.bex(&["wait", "--until", "1"], 1);
    live.latest();
    let mut watch = live.spawn(&["watch"]);
    let mut lines = BufReader::new(watch.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert_eq!(first, "b1 running: 1 failed, 1 running\n");
    live.let_go(1);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("b1 finished with failures"), "{rest}");
    assert!(rest.contains("1 completed, 1 failed"), "{rest}");
    assert_eq!(code_of(watch), Some(1));
}

#[test]
fn watch_as_json_has_a_line_for_each_change_and_one_for_the_end() {
    let mut live = Live::new();
    live.add_waiting("true");
    live.bex(&["start"], 0);
    live.begun();
    live.latest();
    let mut watch = live.spawn(&["watch", "--json"]);
    let mut lines = BufReader::new(watch.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    live.bex(&["pause"], 0);
    let mut second = String::new();
    // What happens is told between the lines of the status.
    while !second.contains("\"state\"") {
        second.clear();
        lines.read_line(&mut second).unwrap();
    }
    live.bex(&["resume"], 0);
    live.let_go(1);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let states: Vec<Value> = [&*first, &*second]
        .into_iter()
        .chain(rest.lines())
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["type"] == "status")
        .map(|status| status["state"].clone())
        .collect();
    assert_eq!(states[..2], [json!("running"), json!("paused")]);
    let ends = states.iter().filter(|state| **state == "completed");
    assert_eq!(ends.count(), 1, "{states:?}");
    assert_eq!(states.last(), Some(&json!("completed")));
    assert_eq!(code_of(watch), Some(0));
}

#[test]
fn watch_whose_reader_goes_ends_quietly() {
    let mut live = Live::new();
    live.add_waiting("true");
    live.add_waiting("true");
    live.bex(&["start", "-j", "1"], 0);
    live.begun();
    let mut watch = live.spawn(&["watch", "--json"]);
    let mut status = String::new();
    let mut lines = BufReader::new(watch.stdout.take().unwrap());
    lines.read_line(&mut status).unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["state"], "running");
    drop(lines);
    live.let_go(1);
    // It has something to say once more, and sees that nobody listens: the batch is not done.
    assert_eq!(live.begun(), "b1.2");
    assert_eq!(code_of(watch), Some(0));
    assert_eq!(live.latest()["running"], 1);
    live.let_go(1);
    live.bex(&["wait"], 0);
}

#[test]
fn tasks_run_where_they_were_added_with_their_bytes_as_they_are() {
    let live = Live::new();
    std::fs::create_dir(live.place.path("sub")).unwrap();
    let mut add = live.place.command(env!("CARGO_BIN_EXE_bex"));
    add.current_dir(live.place.path("sub"))
        .args(["add", "--", "sh", "-c"]);
    add.arg("pwd; printf %s \"$1\"").arg("sh");
    add.arg(std::ffi::OsString::from_vec(b"{} \xff".to_vec()));
    assert!(add.status().unwrap().success());
    live.bex(&["start"], 0);
    live.bex(&["wait"], 0);
    let mut logs = live.place.command(env!("CARGO_BIN_EXE_bex"));
    let printed = logs.args(["logs", "1"]).output().unwrap().stdout;
    let folder = std::fs::canonicalize(live.place.path("sub")).unwrap();
    let expected = [folder.as_os_str().as_encoded_bytes(), b"\n{} \xff"].concat();
    assert_eq!(printed, expected);
}

#[test]
fn the_batch_file_answers_questions_in_sql() {
    let live = Live::new();
    live.bex(&["add", "--", "true"], 0);
    live.bex(&["add", "--", "true"], 0);
    live.bex(&["add", "--", "false"], 0);
    live.bex(&["start"], 0);
    live.bex(&["wait"], 1);
    let file = rusqlite::Connection::open(live.place.path("home/batches/b1.db")).unwrap();
    let mut select = file
        .prepare("select status, count(*) from tasks group by 1")
        .unwrap();
    let rows: Vec<(String, u32)> = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        rows,
        [("completed".to_owned(), 2), ("failed".to_owned(), 1)]
    );
}

#[test]
fn a_key_whose_batch_runs_says_so() {
    let mut live = Live::new();
    let script = "echo $BEX_TASK_ID > marks; read line < gate";
    live.place.tasks(&json!([{ "shell": script }]));
    live.bex(&["add", "--key", "k", "--file", "tasks.json"], 0);
    live.bex(&["start"], 0);
    live.begun();
    let again = live
        .place
        .bex(&["run", "--key", "k", "tasks.json"])
        .expect(6);
    assert!(again.stderr.contains("bex wait -b b1"), "{again:?}");
    live.let_go(1);
    live.bex(&["wait"], 0);
}

#[test]
fn logs_wait_for_a_task_to_run_and_follow_it_into_its_next_attempt() {
    let mut live = Live::new();
    live.add_waiting("true");
    let script = "test -e again && echo second || echo the first; read line < gate; rm again || ! touch again";
    live.bex(&["add", "--max-retries", "1", "--shell", script], 0);
    live.bex(&["start", "-j", "1"], 0);
    live.begun();
    let mut logs = live.spawn(&["logs", "-f", "2"]);
    let mut printed = BufReader::new(logs.stdout.take().unwrap());
    live.let_go(1);
    // The second attempt prints less than was shown of the first.
    for expected in ["the first\n", "second\n"] {
        let mut line = String::new();
        printed.read_line(&mut line).unwrap();
        assert_eq!(line, expected);
        live.let_go(1);
    }
    let mut rest = String::new();
    printed.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert_eq!(code_of(logs), Some(0));
    live.bex(&["wait"], 0);
}

/// What a command shows on a terminal, up to a text.
fn shown_until(child: &mut Child, text: &str) -> String {
    let mut shown = Vec::new();
    let mut piece = [0; 1_024];
    let terminal = child.stdout.as_mut().unwrap();
    while !String::from_utf8_lossy(&shown).contains(text) {
        let length = terminal.read(&mut piece).unwrap();
        let so_far = String::from_utf8_lossy(&shown);
        assert!(length > 0, "no {text:?} in {so_far}");
        shown.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn a_terminal_shows_how_many_of_all_tasks_are_done() {
    let mut live = Live::new();
    let task = |id: &str| shell_task(id, &waiting("true"), &json!({}));
    live.place
        .tasks(&json!([task("one"), task("two"), task("three")]));
    // `script` gives the command a terminal.
    let bex = env!("CARGO_BIN_EXE_bex");
    let command = format!("'{bex}' run -j1 --format none tasks.json");
    let mut child = live
        .place
        .command("script")
        .args([
            "--quiet",
            "--flush",
            "--return",
            "--command",
            &command,
            "/dev/null",
        ])
        .stderr(Stdio::null())
        .spawn()
        .expect("script, of the package bsdutils");
    live.begun();
    shown_until(&mut child, "0/3 done, 1 running");
    live.let_go(1);
    live.begun();
    shown_until(&mut child, "1/3 done, 1 running");
    live.let_go(2);
    shown_until(&mut child, "3 tasks: 3 completed");
    assert_eq!(code_of(child), Some(0));
}
