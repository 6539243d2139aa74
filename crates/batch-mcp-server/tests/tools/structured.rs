//! What the text of an answer says, its structure says as well, and no more of it.

use serde_json::{Value, json};

use crate::place::{MOST, Place, count};

/// Two tasks that complete and one that fails.
fn some(place: &Place) -> String {
    let tasks = json!([
        { "name": "talks", "shell": "seq 1 500; echo err >&2" },
        { "id": "value", "function": "custom_function", "params": { "code": "def process():\n    return {'n': 7}" } },
        { "name": "fails", "shell": "echo oh no >&2; exit 3", "max_retries": 1, "retry": { "backoff": "none" } },
    ]);
    place.run(json!({ "tasks": tasks }))
}

/// The counts that the first sentence has.
#[track_caller]
fn has_counts(structured: &Value) {
    for (status, count) in [
        ("total", 3),
        ("completed", 2),
        ("failed", 1),
        ("cancelled", 0),
        ("queued", 0),
        ("running", 0),
    ] {
        assert_eq!(structured[status], count, "{status}: {structured}");
    }
}

#[test]
fn results_have_counts_causes_and_what_each_task_left() {
    let place = Place::new();
    let batch = some(&place);
    let results = place.call("bex_results", json!({ "batch": batch }));
    let structured = &results.structured;
    has_counts(structured);
    assert_eq!(structured["causes"][0]["count"], 1);
    assert_eq!(structured["causes_in_all"], 1);
    let [talks, value, fails] = &structured["tasks"].as_array().unwrap()[..] else {
        panic!("{structured}");
    };
    assert_eq!(
        (&talks["name"], &talks["function"]),
        (&json!("talks"), &json!("shell"))
    );
    assert!(talks["execution_time"].is_f64(), "{talks}");
    assert_eq!(talks["stderr"], "err", "{talks}");
    let shown = talks["stdout"].as_str().unwrap();
    assert!(shown.ends_with("\n499\n500"), "{talks}");
    let whole: u64 = (1..=500).map(|n: u32| n.to_string().len() as u64 + 1).sum();
    let cut = talks["stdout_cut"].as_u64().unwrap();
    assert_eq!(cut + shown.len() as u64 + 1, whole);
    assert!(
        results
            .text
            .contains(&format!("… ({cut} characters before this)"))
    );
    assert_eq!(value["result"], json!({ "n": 7 }), "{value}");
    assert!(value.get("result_cut").is_none(), "{value}");
    assert_eq!(
        (&fails["status"], &fails["stderr"]),
        (&json!("failed"), &json!("oh no"))
    );
    assert!(
        fails["error"].is_string() && fails["cause"].is_string(),
        "{fails}"
    );
}

#[test]
fn exports_plans_and_single_tasks_say_in_structure_what_they_say() {
    let place = Place::new();
    let batch = some(&place);
    let export = place.call("bex_results", json!({ "batch": batch, "path": "x.json" }));
    has_counts(&export.structured);
    assert_eq!(export.structured["tasks"], 3);
    let plan = place.call(
        "bex_run",
        json!({ "shell": "echo {} > x", "items": ["a"], "plan": true }),
    );
    assert_eq!(
        plan.structured["first"][0]["params"],
        r#"{"script":"echo a > x"}"#
    );
    let task = place
        .call("bex_status", json!({ "task": "b1.3" }))
        .structured;
    assert_eq!(task["attempts_in_all"], 2, "{task}");
    let attempts = task["attempts"].as_array().unwrap();
    for (attempt, number) in attempts.iter().zip([1, 2]) {
        assert_eq!(attempt["attempt"], number);
        assert_eq!(attempt["outcome"], "failed");
        assert!(
            attempt["error"].as_str().unwrap().contains("oh no"),
            "{attempt}"
        );
    }
}

#[test]
fn the_former_tool_says_the_ids_and_the_counts() {
    let place = Place::new();
    let task = json!({ "function": "shell", "params": { "script": "true" } });
    let call = |arguments: Value| place.call("batch_executor", arguments);
    let mut add = task.clone();
    add["action"] = "add".into();
    assert_eq!(call(add).structured["ids"], json!(["b1.1"]));
    let added = call(json!({ "action": "add_batch", "tasks": [task, task] }));
    assert_eq!(added.structured["ids"], json!(["b1.2", "b1.3"]));
    let many = call(json!({ "action": "add_batch", "tasks": vec![task; 2_000] })).structured;
    assert_eq!(many["added"], 2_000);
    assert_eq!(
        (&many["first"], &many["last"]),
        (&json!("b1.4"), &json!("b1.2003"))
    );
    assert!(many["ids"].as_array().unwrap().len() > 50);
    let results = call(json!({ "action": "results" }));
    assert_eq!(
        (count(&results, "total"), count(&results, "queued")),
        (2_003, 2_003)
    );
}

#[test]
fn a_full_page_ends_with_the_last_task_that_is_shown_whole() {
    let place = Place::new();
    let script = "n={}; head -c $((3000 * n)) /dev/zero | tr '\\0' '\"'; echo end >&2";
    let batch =
        place.run(json!({ "shell": script, "items": ["1", "1", "9", "1", "1", "1", "1", "1"] }));
    let mut call = json!({ "batch": batch, "output": "full", "limit": 100 });
    let mut seen = Vec::new();
    loop {
        let page = place.call("bex_results", call.clone());
        assert!(page.structured.to_string().len() < MOST);
        assert!(!page.text.contains("\n| \n"), "{}", page.text);
        for (index, task) in page.structured["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
        {
            // What is longer than a page begins one, and leaves room for what is short.
            assert!(
                index == 0 || task.get("stdout_cut").is_none(),
                "{}",
                page.text
            );
            assert_eq!(task["stderr"], "end");
            seen.push(task["task_id"].as_str().unwrap().to_owned());
        }
        match page.structured["cursor"].as_str() {
            Some(cursor) => call["cursor"] = cursor.into(),
            None => break,
        }
    }
    let all: Vec<String> = (1..=8).map(|n| format!("b1.{n}")).collect();
    assert_eq!(seen, all);
}

#[test]
fn a_long_call_is_said_in_words_and_never_with_nothing_in_it() {
    let place = Place::new();
    let items: Vec<String> = (0..300).map(|n| format!("item {n}")).collect();
    let call = json!({ "shell": "exit 1; : {}", "items": items });
    let mut planned = call.clone();
    planned["plan"] = true.into();
    let plan = place.call("bex_run", planned);
    let next = "\nNext: bex_run: send the same call without plan  (runs them)";
    assert!(plan.text.ends_with(next), "{}", plan.text);
    assert_eq!(
        plan.structured["next"]["words"],
        "send the same call without plan"
    );
    let batch = place.run(call);
    let ids: Vec<String> = (1..=300).map(|n| format!("{batch}.{n}")).collect();
    let trial = json!({ "action": "retry", "tasks": ids, "dry_run": true });
    let trial = place.call("bex_control", trial);
    let next = "\nNext: bex_control: send the same call without dry_run with {\"batch\":\"b1\"}  (does it)";
    assert!(trial.text.ends_with(next), "{}", trial.text);
    let page = place.call("bex_results", json!({ "tasks": ids }));
    let next = "\nNext: bex_results: send the same call with {\"batch\":\"b1\",\"cursor\":";
    assert!(page.text.contains(next), "{}", page.text);
}
