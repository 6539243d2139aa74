//! `bex_wait`, its cursor, and who ends the waiting.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use batch_mcp_server::CallContext;
use serde_json::json;

use crate::place::{Place, WAIT, count};

/// A batch whose first task fails at once, and whose last waits for the file `go`.
fn held(place: &Place) -> String {
    let tasks = json!([
        { "shell": "echo broken >&2; exit 1", "max_retries": 0, "priority": "critical" },
        { "shell": "while [ ! -e go ]; do sleep 0.02; done; echo other >&2; exit 2", "max_retries": 0 },
        { "shell": "true", "priority": "low" },
    ]);
    let run = place.call(
        "bex_run",
        json!({ "tasks": tasks, "max_concurrent": 1, "wait_s": 0 }),
    );
    run.structured["batch"].as_str().unwrap().to_owned()
}

#[test]
fn only_what_changed_is_told() {
    let place = Place::new();
    let batch = held(&place);
    let first = place.call(
        "bex_wait",
        json!({ "batch": batch, "until": "first_failure", "timeout_s": WAIT }),
    );
    assert_eq!(
        (count(&first, "failed"), &first.structured["reached"]),
        (1, &json!(true))
    );
    assert!(
        first.text.contains("\nA task has failed.\n"),
        "{}",
        first.text
    );
    let cursor = first.structured["cursor"].clone();
    // The cursor knows its batch.
    let same = place.call(
        "bex_wait",
        json!({ "cursor": cursor, "timeout_s": 0, "until": "new_cause" }),
    );
    assert_eq!(same.structured["reached"], false);
    // The first line may say how long it still takes.
    let (_, rest) = same.text.split_once('\n').unwrap();
    // The cursor ends with the time of the last end.
    let (cause, _) = cursor.as_str().unwrap().rsplit_once('-').unwrap();
    let rest = rest.replace(cursor.as_str().unwrap(), &format!("{cause}-[time]"));
    insta::assert_snapshot!(rest, @r#"
    No task has failed for a new cause.
    Since the cursor: 0 finished, 0 of them failed.
    Next: bex_wait {"batch":"b1","cursor":"b1-1-1-1-c86f990-[time]","timeout_s":40}  (waits for more)
      or: bex_results {"batch":"b1","cause":"c86f990","limit":5}  (shows failures of the first cause)
      or: bex_control {"action":"retry","batch":"b1","cause":"c86f990"}  (runs them again)
    "#);
    place.write("go", "");
    let next = place.call(
        "bex_wait",
        json!({ "cursor": cursor, "until": "new_cause", "timeout_s": WAIT }),
    );
    assert_eq!(
        next.structured["causes"].as_array().unwrap().len(),
        1,
        "{}",
        next.text
    );
    assert!(
        next.text.contains("1 new cause of failures"),
        "{}",
        next.text
    );
    place.settled(&batch);
    let done = place.call("bex_wait", json!({ "cursor": cursor }));
    assert!(
        done.text
            .contains("Since the cursor: 2 finished, 1 of them failed."),
        "{}",
        done.text
    );
}

#[test]
fn so_many_finished_tasks_are_enough() {
    let place = Place::new();
    let batch = held(&place);
    let call = json!({ "batch": batch, "n": 1, "timeout_s": WAIT });
    let answer = place.call("bex_wait", call);
    assert_eq!(count(&answer, "failed"), 1, "{}", answer.text);
    assert_eq!(answer.structured["state"], "running");
    place.write("go", "");
    place.settled(&batch);
}

#[test]
fn a_cancelled_call_ends_the_waiting_and_not_the_batch() {
    let place = Place::new();
    let batch = held(&place);
    let mut context = CallContext::default();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (by_progress, heard) = (context.clone(), Arc::clone(&told));
    // Cancelled from inside the call, as soon as it has said something: no clock is needed.
    context.progress = Some(Arc::new(move |finished, total, line: &str| {
        let line = line.to_owned();
        heard.lock().unwrap().push((finished, total, line));
        by_progress.cancel.cancel();
    }));
    let arguments = json!({ "batch": batch, "timeout_s": WAIT });
    let (agent, (sender, receiver)) = (place.agent(), mpsc::channel());
    std::thread::spawn(move || {
        sender.send(agent.call("bex_wait", arguments.as_object().unwrap(), &context))
    });
    // Far longer than it takes, and shorter than the waiting that was asked for.
    let answer = receiver.recv_timeout(Duration::from_secs(30));
    let answer = answer.expect("the waiting ends");
    assert!(
        !answer.is_error && count(&answer, "queued") > 0,
        "{}",
        answer.text
    );
    let told = told.lock().unwrap();
    assert!(
        told[0].1 == 3 && told[0].2.starts_with("b1 is running: "),
        "{told:?}"
    );
    place.write("go", "");
    place.settled(&batch);
}

#[test]
fn times_beyond_what_clients_wait_are_lowered_and_told() {
    let place = Place::new();
    let batch = place.run(json!({ "shell": "echo {}", "items": ["a"] }));
    let answer = place.call("bex_wait", json!({ "batch": batch, "timeout_s": "10m" }));
    assert!(
        answer.text.contains("Note: timeout_s lowered to 45"),
        "{}",
        answer.text
    );
}

#[test]
fn a_cursor_of_another_batch_is_refused() {
    let place = Place::new();
    place.run(json!({ "shell": "echo {}", "items": ["a"] }));
    place.run(json!({ "shell": "echo {}", "items": ["a"] }));
    let text = place.mistake(
        "bex_wait",
        json!({ "batch": "b2", "cursor": "b1-1-0-0-" }),
        "cursor",
    );
    assert!(
        text.contains("a cursor of b1, but the call is about b2"),
        "{text}"
    );
}

#[test]
fn tasks_that_finish_again_are_counted() {
    let place = Place::new();
    let batch = place.run(json!({ "shell": "exit 1; : {}", "items": ["a", "b", "c"] }));
    let cursor = place.call("bex_wait", json!({ "batch": batch })).structured["cursor"].clone();
    let again = || place.call("bex_wait", json!({ "cursor": cursor }));
    let text = again().text;
    assert!(
        text.contains("\nSince the cursor: 0 finished, 0 of them failed.\n"),
        "{text}"
    );
    let retry = json!({ "action": "retry", "tasks": ["b1.1", "b1.2"] });
    place.call("bex_control", retry);
    place.settled(&batch);
    let told = again();
    let line =
        "\nSince the cursor: 2 finished, 2 of them failed; 2 were queued again or removed.\n";
    assert!(told.text.contains(line), "{}", told.text);
    assert_eq!(
        told.structured["since"],
        json!({ "finished": 2, "failed": 2 })
    );
    // Nothing had finished then.
    let first = place
        .call("bex_wait", json!({ "cursor": "b1-0-0-0-" }))
        .text;
    assert!(
        first.contains("\nSince the cursor: 3 finished, 3 of them failed.\n"),
        "{first}"
    );
}

#[test]
fn a_new_cause_is_shown_however_many_there_are() {
    let place = Place::new();
    // Numbers are folded in a cause, letters are not.
    let letters = |n: usize| {
        [n / 26, n % 26]
            .map(|n| char::from(b'a' + n as u8))
            .iter()
            .collect::<String>()
    };
    let mut tasks: Vec<_> = (0..60)
        .map(|n| json!({ "shell": format!("echo no module {} >&2; exit 1", letters(n)), "max_retries": 0 }))
        .collect();
    tasks.push(json!({ "shell": "while [ ! -e go ]; do sleep 0.02; done; echo a new one >&2; exit 1", "max_retries": 0 }));
    let run = json!({ "tasks": tasks, "max_concurrent": 1, "wait_s": 0 });
    let batch = place.call("bex_run", run).structured["batch"].clone();
    let most = place.call(
        "bex_wait",
        json!({ "batch": batch, "n": 60, "timeout_s": WAIT }),
    );
    let until =
        json!({ "cursor": most.structured["cursor"], "until": "new_cause", "timeout_s": 0 });
    let none = place.call("bex_wait", until.clone());
    assert_eq!(none.structured["reached"], false, "{}", none.text);
    place.write("go", "");
    let mut until = until;
    until["timeout_s"] = WAIT.into();
    let new = place.call("bex_wait", until);
    assert!(
        new.text.contains("\n1 new cause of failures (") && new.text.contains("a new one"),
        "{}",
        new.text
    );
    assert_eq!(new.structured["new_causes"], 1);
    let [cause] = &new.structured["causes"].as_array().unwrap()[..] else {
        panic!("{}", new.structured);
    };
    assert_eq!(cause["sample_task"], "b1.61");
    place.settled("b1");
}
