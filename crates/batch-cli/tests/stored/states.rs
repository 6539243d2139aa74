//! `bex why` and `bex show` of tasks in the states that only a run brings about, and each verb's reply as JSON.

use serde_json::{Value, json};

use crate::harness::{Live, shell_task, waiting};

/// What `bex why` says.
#[track_caller]
fn assert_why(live: &Live, task: &str, parts: &[&str]) {
    let why = live.bex(&["why", task], 0);
    assert!(why.ends_with(".\n"), "{why}");
    for part in parts {
        assert!(why.contains(part), "{part:?} in {why}");
    }
}

#[test]
fn running_ready_delayed_and_waiting_tasks_say_so() {
    let mut live = Live::new();
    let an_hour = json!({ "backoff": "fixed", "initial": 3600, "max": 3600, "jitter": false });
    live.place.tasks(&json!({ "max_concurrent": 1, "tasks": [
        shell_task("fails", "echo no luck >&2; exit 7", &json!({ "max_retries": 2, "retry": an_hour })),
        shell_task("runs", &waiting("true"), &json!({})),
        shell_task("queued", "true", &json!({})),
        shell_task("needs", "true", &json!({ "depends_on": ["fails", "queued", "runs"] })),
    ]}));
    live.bex(&["add", "--file", "tasks.json"], 0);
    assert_why(&live, "fails", &["has not been started", "bex start -b b1"]);
    live.bex(&["start"], 0);
    // A delay holds no slot.
    assert_eq!(live.begun(), "b1.2");
    live.latest();
    let delayed = [
        "b1.1 (fails) is tried again in ",
        "attempt 1 ended with: exit code 7: no luck",
    ];
    assert_why(&live, "fails", &delayed);
    assert_why(&live, "runs", &["has been running for", ", attempt 1"]);
    assert_why(
        &live,
        "queued",
        &["when the slot is free; 3 tasks are queued"],
    );
    let needs = [
        "waits for 3 tasks: b1.1 (queued)",
        "b1.2 (running)",
        "b1.3 (queued)",
    ];
    assert_why(&live, "needs", &needs);
    let shown = live.json(&["show", "runs", "--json"], 0);
    assert_eq!(shown["under_way"]["attempt"], 1);
    let shown = live.bex(&["show", "runs"], 0);
    assert!(shown.contains("  running\n"), "{shown}");

    live.bex(&["pause"], 0);
    assert_why(&live, "queued", &["the batch is paused", "bex resume"]);
    live.bex(&["resume"], 0);
    // A delayed one can be cancelled, and the rest does not wait an hour for it.
    live.bex(&["cancel", "fails"], 0);
    live.let_go(1);
    live.bex(&["wait"], 1);
    assert_why(&live, "needs", &["because b1.1, which it needs"]);
}

#[test]
fn tasks_of_a_batch_that_ended_early_say_so() {
    let live = Live::new();
    live.place.tasks(&json!({ "max_concurrent": 1, "tasks": [
        shell_task("fails", "exit 7", &json!({})),
        shell_task("rest", "touch ran", &json!({})),
    ]}));
    live.bex(&["run", "--fail-fast", "--format=none", "tasks.json"], 1);
    assert_why(
        &live,
        "rest",
        &["the batch was ended", "a failure ended it"],
    );
    assert!(!live.place.has("ran"));
    assert_eq!(live.status()["state"], "failed");
}

#[test]
fn a_task_without_a_retry_left_says_how_many_it_had() {
    let live = Live::new();
    let at_once = json!({ "max_retries": 2, "retry": { "backoff": "none" } });
    let only_timeouts =
        json!({ "max_retries": 2, "retry": { "backoff": "none", "on": ["timeout"] } });
    live.place.tasks(&json!([
        shell_task("thrice", "exit 7", &at_once),
        shell_task("once", "exit 7", &only_timeouts),
    ]));
    live.bex(&["run", "--format=none", "tasks.json"], 1);
    assert_why(
        &live,
        "thrice",
        &["failed after 3 attempts", "2 retries allowed"],
    );
    assert_why(
        &live,
        "once",
        &[
            "failed after 1 attempt ",
            "0 of 2 retries used",
            "not retried",
        ],
    );
}

#[test]
fn what_cannot_be_changed_is_told_and_the_rest_is_changed() {
    let mut live = Live::new();
    live.bex(&["add", "--", "true"], 0);
    live.add_waiting("true");
    live.bex(&["add", "--", "true"], 0);
    live.bex(&["start", "-j", "1"], 0);
    assert_eq!(live.begun(), "b1.2");
    live.latest();
    let args = ["set", "--priority", "high", "1", "2", "3"];
    let set = live.place.bex(&args).expect(0);
    assert_eq!(set.stdout, "1 task now has priority high\n");
    for part in ["b1.1 is already completed", "b1.2 is running"] {
        assert!(set.stderr.contains(part), "{part}: {set:?}");
    }
    let reply = live.json(&["cancel", "1", "3", "--json"], 0);
    let refused = json!([{ "task": "b1.1", "why": "b1.1 is already completed" }]);
    assert_eq!(
        reply,
        json!({ "changed": 1, "refused": refused, "refused_in_all": 1 })
    );
    live.let_go(1);
    live.bex(&["wait"], 1);
}

#[test]
fn cancel_by_filter_takes_running_and_queued_ones() {
    let mut live = Live::new();
    for tag in ["x", "y", "x", "y"] {
        let script = waiting(&format!("echo {tag} >> effects"));
        live.bex(&["add", "--tag", tag, "--shell", &script], 0);
    }
    live.bex(&["start", "-j", "2"], 0);
    let mut begun = [live.begun(), live.begun()];
    begun.sort_unstable();
    assert_eq!(begun, ["b1.1", "b1.2"]);
    let cancelled = live.bex(&["cancel", "--filter", "tag:x"], 0);
    assert_eq!(cancelled, "2 tasks cancelled\n");
    assert_eq!(live.begun(), "b1.4");
    live.let_go(2);
    live.bex(&["wait"], 1);
    assert_eq!(live.place.read("effects"), "y\ny\n");
}

#[test]
fn waiting_ends_at_its_limit_and_only_there() {
    let mut live = Live::new();
    live.bex(&["add", "--", "true"], 0);
    live.add_waiting("true");
    live.bex(&["start"], 0);
    live.begun();
    live.bex(&["wait", "--until", "1", "--timeout", "1h"], 0);
    for until in ["done", "2", "first-failure"] {
        let status = live.json(&["wait", "--until", until, "--timeout", "0", "--json"], 6);
        assert_eq!(status["state"], "running", "{until}");
    }
    live.let_go(1);
    // More than there are: all of them.
    live.bex(&["wait", "--until", "100"], 0);
    live.bex(&["wait", "--until", "first-failure"], 0);
}

/// Runs a verb with --json; its reply is one line.
#[track_caller]
fn reply(live: &Live, args: &[&str], code: i32) -> Value {
    let ended = live.place.bex(&[args, &["--json"]].concat()).expect(code);
    assert_eq!(ended.stdout.lines().count(), 1, "{args:?}: {ended:?}");
    ended.json()
}

#[test]
fn verbs_that_change_something_reply_as_json() {
    let mut live = Live::new();
    live.add_waiting("true");
    live.add_waiting("false");
    let nothing = json!({ "changed": 0, "refused": [], "refused_in_all": 0 });
    assert_eq!(reply(&live, &["pause"], 0), nothing);
    let set = reply(&live, &["set", "-j", "1"], 0);
    assert_eq!(set["max_concurrent"], 1);
    let started = reply(&live, &["resume", "-d"], 0);
    let names: Vec<&String> = started.as_object().unwrap().keys().collect();
    assert_eq!(names, ["batch", "interrupted", "open", "pid", "run"]);
    assert_eq!(
        (&started["batch"], &started["open"]),
        (&json!("b1"), &json!(2))
    );
    live.begun();
    assert_eq!(reply(&live, &["resume"], 0), nothing);
    assert_eq!(reply(&live, &["pause"], 0), nothing);
    assert_eq!(
        reply(&live, &["status", "--detailed"], 0)["state"],
        "paused"
    );
    let stopping = reply(&live, &["stop"], 0);
    assert_eq!(stopping["batch"], "b1");
    live.let_go(1);
    assert_eq!(reply(&live, &["wait"], 5)["completed"], 1);

    assert_eq!(reply(&live, &["start"], 0)["run"], 2);
    live.begun();
    live.let_go(1);
    assert_eq!(reply(&live, &["wait"], 1)["failed"], 1);
    assert_eq!(reply(&live, &["retry"], 0)["changed"], 1);
    assert_eq!(reply(&live, &["cancel", "--all"], 0)["changed"], 1);
    assert_eq!(reply(&live, &["clear"], 0)["changed"], 2);
    assert_eq!(reply(&live, &["rm", "b1"], 0), json!(["b1"]));
}
