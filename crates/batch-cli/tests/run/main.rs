//! `bex run` from outside: items, placeholders, results, exit codes, retries and dependencies.

#[path = "../common/mod.rs"]
mod common;

mod exports;
mod items;
mod labels;
mod messages;
mod mistakes;
mod output;
mod scheduling;
mod task_fields;
mod usage;

use serde_json::Value;

/// The task object of a JSON export whose field `key` is `value`.
#[track_caller]
fn task_by<'a>(document: &'a Value, key: &str, value: &str) -> &'a Value {
    let tasks = document["tasks"].as_array().unwrap();
    let found = tasks.iter().find(|task| task[key] == value);
    found.unwrap_or_else(|| panic!("no task {value} in {document}"))
}

#[track_caller]
fn task<'a>(document: &'a Value, id: &str) -> &'a Value {
    task_by(document, "id", id)
}
