//! The arguments of `batch_executor`. What an action does not take is ignored and noted, as prompts written for the former
//! tool may have more in them.

use serde_json::{Map, Value};

use crate::call_error::CallError;
use crate::truncate::visible;

/// The actions, and what each takes.
const ACTIONS: [(&str, &[&str]); 9] = [
    ("add", &TASK),
    ("add_batch", &["tasks"]),
    ("start", &["max_concurrent", "timeout"]),
    ("stop", &[]),
    ("status", &["detailed"]),
    ("results", &["format", "filter_status", "limit"]),
    ("export", &["format", "output_file"]),
    ("clear", &[]),
    ("cancel", &TASKS),
];

/// Whether it is one of the nine.
pub(crate) fn is_executor_action(name: &str) -> bool {
    ACTIONS.iter().any(|(action, _)| *action == name)
}

/// The fields of a task.
const TASK: [&str; 16] = [
    "id",
    "name",
    "function",
    "params",
    "priority",
    "max_retries",
    "timeout",
    "depends_on",
    "tags",
    "cwd",
    "env",
    "shell",
    "command",
    "python",
    "node",
    "http",
];

/// The arguments that name tasks. An action on some tasks must not become one on all because of another name.
pub(crate) const TASKS: [&str; 6] = ["task_id", "task_ids", "task", "tasks", "id", "ids"];

/// A call of which all arguments count.
pub(crate) struct ExecutorCall {
    pub(crate) action: &'static str,
    pub(crate) arguments: Map<String, Value>,
    /// What was ignored.
    pub(crate) notes: Vec<String>,
}

impl ExecutorCall {
    pub(crate) fn read(arguments: &Map<String, Value>) -> Result<Self, CallError> {
        let asked = arguments.get("action").and_then(Value::as_str);
        let known = ACTIONS.iter().find(|(name, _)| asked == Some(*name));
        let Some((action, takes)) = known else {
            let names = ACTIONS.map(|(name, _)| name).join(", ");
            return Err(CallError::of("action", format!("must be one of {names}")));
        };
        let mut call = Self {
            action,
            arguments: Map::new(),
            notes: Vec::new(),
        };
        let mut ignored = Vec::new();
        for (name, value) in arguments.iter().filter(|(name, _)| *name != "action") {
            match value {
                // As good as absent.
                Value::Null => {}
                Value::String(text) if text.is_empty() && *action != "cancel" => {
                    ignored.push(name.as_str());
                }
                _ if !takes.contains(&name.as_str()) => ignored.push(name),
                _ => drop(call.arguments.insert(name.clone(), value.clone())),
            }
        }
        if !ignored.is_empty() {
            call.notes.push(note(action, takes, &ignored));
        }
        Ok(call)
    }
}

/// A task without empty fields. Models fill in forms: an empty text means nothing.
pub(crate) fn given(task: &Value) -> Value {
    let Value::Object(fields) = task else {
        return task.clone();
    };
    let is_given = |value: &Value| !value.is_null() && value.as_str() != Some("");
    let fields = fields.iter().filter(|(_, value)| is_given(value));
    fields
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn note(action: &str, takes: &[&str], ignored: &[&str]) -> String {
    const NAMED: usize = 4;
    // The fields of the former tool.
    const NAMED_TAKEN: usize = 6;
    let named = ignored.iter().take(NAMED).map(|name| visible(name, 30));
    let mut names = named.collect::<Vec<_>>().join(", ");
    if ignored.len() > NAMED {
        names.push_str(&format!(" and {} more", ignored.len() - NAMED));
    }
    match takes {
        [] => format!("ignored: {names}; {action} takes no arguments"),
        _ => {
            let most = takes.len().min(NAMED_TAKEN);
            let takes = takes[..most].join(", ");
            format!("ignored: {names}; {action} takes {takes}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(call: Value) -> (Value, Vec<String>) {
        let read = ExecutorCall::read(call.as_object().unwrap()).unwrap();
        (read.arguments.into(), read.notes)
    }

    #[test]
    fn what_an_action_does_not_take_is_noted_and_harmless() {
        let call = json!({ "action": "start", "tool_name": "batch_executor", "max_concurrent": 2, "priority": "high", "timeout": "", "detailed": null });
        let told = "ignored: priority, timeout, tool_name; start takes max_concurrent, timeout";
        assert_eq!(
            read(call),
            (json!({ "max_concurrent": 2 }), vec![told.to_owned()])
        );
        let many = json!({ "action": "stop", "a": 1, "b": 1, "c\n": 1, "d": 1, "e": 1 });
        let told = r"ignored: a, b, c\n, d and 1 more; stop takes no arguments";
        assert_eq!(read(many), (json!({}), vec![told.to_owned()]));
        assert_eq!(
            read(json!({ "action": "clear", "tasks": null })),
            (json!({}), vec![])
        );
    }

    #[test]
    fn tasks_are_found_by_whatever_name() {
        for name in TASKS {
            let call = json!({ "action": "cancel", name: "b1.1" });
            assert_eq!(read(call), (json!({ name: "b1.1" }), vec![]));
        }
    }
}
