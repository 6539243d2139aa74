//! Valid tasks and calls for examples: [`sample`] and its kin.

use serde_json::{Value, json};

use crate::limits::Limits;

/// A call of `batch_executor` that adds a task.
pub(crate) fn first_task(limits: &Limits) -> Value {
    added(sample(limits))
}

pub(super) fn with_items(way: &str) -> Value {
    let value = match way {
        "command" => json!(["wc", "-l", "{}"]),
        _ => json!("wc -l {}"),
    };
    json!({ way: value, "items": ["a.txt", "b.txt"] })
}

/// A task that the operator allows.
pub(super) fn sample(limits: &Limits) -> Value {
    let simulate = || json!({ "duration": 1 });
    let (function, params) = match ["command", "shell", "code_execution", "http"]
        .into_iter()
        .find(|function| limits.allows(function))
    {
        Some("command") => ("command", json!({ "argv": ["wc", "-l", "a.txt"] })),
        Some("shell") => ("shell", json!({ "script": "wc -l a.txt" })),
        Some("code_execution") => (
            "code_execution",
            json!({ "runtime": "python", "code": "print(1)" }),
        ),
        Some(_) => ("http", json!({ "url": "https://example.org/" })),
        None => ("simulate", simulate()),
    };
    json!({ "function": function, "params": params })
}

/// The call that adds a task.
pub(super) fn added(mut task: Value) -> Value {
    task["action"] = "add".into();
    task["name"] = "count".into();
    task
}

/// A valid value of a field of a task.
pub(super) fn of_task(field: &str) -> Option<Value> {
    Some(match field {
        "id" => json!("first"),
        "name" => json!("count"),
        "priority" => json!("high"),
        "max_retries" => json!(2),
        "timeout" => json!(60),
        "tags" => json!(["slow"]),
        "cwd" => json!("."),
        "env" => json!({ "LANG": "C" }),
        "retry" => json!({ "backoff": "fixed", "initial": 1 }),
        "grace" => json!(5),
        "on_interrupt" => json!("rerun"),
        "allow_code" => json!(false),
        _ => return None,
    })
}
