//! `bex_wait`, its cursor, and who ends the waiting.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use batch_agent::CallContext;
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
    insta::assert_snapshot!(rest, @r#"
    Nothing failed for a new cause meanwhile.
    Since the cursor: 0 finished, 0 of them failed.
    Next: bex_wait {"batch":"b1","cursor":"b1-1-1-1-c86f990","timeout_s":40}  (waits for more)
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
        by_progress.cancel();
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
        text.contains("it is one of b1, and the call is about b2"),
        "{text}"
    );
}
