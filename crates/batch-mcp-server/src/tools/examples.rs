//! A valid call for an invalid one: [`example`]. Only here and in `samples` are valid values of arguments known.
//!
//! An example has the argument that was wrong, and names batches, tasks and causes that exist. A model may send it as it
//! is, so it never cancels or removes anything: where the action would, it is a dry run.

use batch_actions::status as read_status;
use batch_core::{ids::FullTaskId, text::nearest};
use batch_store::{BatchFile, Selection, Store};
use serde_json::{Map, Value, json};

use crate::call_error::{CallError, Example};
use crate::cursor::Cursor;
use crate::limits::Limits;
use crate::session::Session;
use crate::tools::batch_executor::queue::queue;
use crate::tools::control::SELECTION;
use crate::tools::samples::{added, of_task, sample, with_items};
use crate::tools::schema::known;
use crate::truncate::truncate;

/// A valid call in place of one with an error; `None` for an unknown tool.
pub(crate) fn example(
    session: &Session,
    tool: &str,
    arguments: &Map<String, Value>,
    error: &CallError,
) -> Option<Example> {
    let known = known(tool)?;
    let (field, inner) = split(error.field.as_deref().unwrap_or_default());
    let of_task = error.inner.as_deref().map(|inner| split(inner).0);
    let inner = of_task.unwrap_or(inner);
    let is_known = known.iter().any(|name| name == field) || tool == "batch_executor";
    // An unknown argument is shown by the one that may have been meant.
    let field = match is_known {
        true => field,
        false => nearest(field, known.iter().map(String::as_str)).unwrap_or_default(),
    };
    let call = InvalidCall {
        field,
        inner,
        action: arguments
            .get("action")
            .and_then(Value::as_str)
            .unwrap_or_default(),
        arguments,
        limits: &session.limits,
    };
    let existing = Existing::of(session, tool, arguments);
    let arguments = match tool {
        "bex_run" => call.run(),
        "batch_executor" => call.executor(&existing),
        // Without a batch, the example creates one.
        _ if existing.batch.is_none() && NAMES.contains(&field) => {
            let first = InvalidCall { field: "", ..call };
            return Some(Example {
                tool: Some("bex_run"),
                arguments: first.run(),
            });
        }
        "bex_wait" => call.wait(&existing),
        "bex_status" => call.status(&existing),
        "bex_results" => call.results(&existing),
        _ => call.control(&existing),
    };
    Some(Example {
        tool: None,
        arguments,
    })
}

/// Arguments that name a batch or something in it, and none.
const NAMES: [&str; 7] = ["", "batch", "tasks", "task", "cause", "cursor", "action"];

/// `tasks[0].cwd` is the argument `tasks`, and in it `cwd`.
fn split(field: &str) -> (&str, &str) {
    let end = field.find(['[', '.']).unwrap_or(field.len());
    let inner = field[end..].rsplit_once(['.', ']']);
    (&field[..end], inner.map_or("", |(_, inner)| inner))
}

/// What exists, for an example to name.
#[derive(Default)]
struct Existing {
    batch: Option<String>,
    task: Option<String>,
    cause: Option<String>,
    cursor: Option<String>,
}

impl Existing {
    /// Of the batch that the call named, else the latest.
    fn of(session: &Session, tool: &str, arguments: &Map<String, Value>) -> Self {
        let named = ["batch", "task", "tasks"].into_iter().find_map(|name| {
            let value = arguments.get(name)?;
            let text = value.as_str().or_else(|| value.get(0)?.as_str())?;
            let of_task = text.parse::<FullTaskId>().ok().map(|full| full.batch);
            text.parse().ok().or(of_task)
        });
        let file = match tool {
            "batch_executor" => queue(session).ok().flatten(),
            _ => session.file(named).or_else(|_| session.file(None)).ok(),
        };
        file.and_then(|file| Self::read(&file)).unwrap_or_default()
    }

    fn read(file: &BatchFile) -> Option<Self> {
        let status = read_status(file, false).ok()?;
        let store = Store::open_read(file.clone()).ok()?;
        let mut task = None;
        let all = Selection::states(&[]);
        let first = store.for_each_task::<CallError>(&all, |record| {
            task = Some(record.id().to_string());
            Ok(false)
        });
        first.ok()?;
        Some(Self {
            task,
            cause: status
                .causes
                .first()
                .map(|cause| cause.cause.id().to_string()),
            cursor: Some(Cursor::of(&status).text()),
            batch: Some(status.batch),
        })
    }

    fn task(&self) -> &str {
        self.task.as_deref().unwrap_or("b1.1")
    }

    /// A call about the batch.
    fn call(&self, arguments: Value) -> Value {
        let mut call = arguments;
        if let Some(batch) = &self.batch {
            call["batch"] = batch.as_str().into();
        }
        call
    }

    /// A valid value of an argument that selects tasks.
    fn choice(&self, field: &str) -> Option<Value> {
        Some(match field {
            "tasks" => json!([self.task()]),
            "status" => json!(["failed"]),
            "cause" => self.cause.as_deref().unwrap_or("c3fa21b").into(),
            "filter" => "status:failed time>10".into(),
            _ => return None,
        })
    }
}

/// A call with an error in it.
#[derive(Clone, Copy)]
struct InvalidCall<'a> {
    /// The argument with the error.
    field: &'a str,
    /// A field of a task in it.
    inner: &'a str,
    action: &'a str,
    arguments: &'a Map<String, Value>,
    limits: &'a Limits,
}

impl InvalidCall<'_> {
    fn run(self) -> Value {
        let mut call = match self.field {
            "tasks" => return json!({ "tasks": self.tasks() }),
            "file" => return json!({ "file": "tasks.json" }),
            "template" => return json!({ "template": "fetch", "items": [{ "page": 1 }] }),
            "command" => with_items("command"),
            "shell" => with_items("shell"),
            _ => match ["shell", "command"]
                .into_iter()
                .find(|way| self.limits.allows(way))
            {
                Some(way) => with_items(way),
                None => json!({ "tasks": [sample(self.limits)] }),
            },
        };
        let (name, value) = match self.field {
            "" => ("key", json!("count")),
            "key" => {
                let taken = self.arguments.get("key").and_then(Value::as_str);
                let key = taken.map_or("count".to_owned(), |taken| {
                    format!("{}-2", truncate(taken, 40))
                });
                ("key", key.into())
            }
            "name" => ("name", json!("count lines")),
            "max_concurrent" => ("max_concurrent", json!(4)),
            "max_retries" => ("max_retries", json!(2)),
            "timeout" => ("timeout", json!(60)),
            "fail_fast" => ("fail_fast", json!(true)),
            "wait_s" => ("wait_s", json!(20)),
            "plan" => ("plan", json!(true)),
            _ => return call,
        };
        call[name] = value;
        call
    }

    /// A list of tasks, of which one has the field that was call.
    fn tasks(self) -> Value {
        let mut task = sample(self.limits);
        match self.inner {
            "depends_on" => {
                let mut first = task.clone();
                first["id"] = "first".into();
                task["depends_on"] = json!(["first"]);
                return json!([first, task]);
            }
            // The short forms mean a function.
            "shell" => task = json!({ "shell": "wc -l a.txt" }),
            "command" => task = json!({ "command": ["wc", "-l", "a.txt"] }),
            "python" => task = json!({ "python": "print(1)" }),
            "node" => task = json!({ "node": "console.log(1)" }),
            "http" => task = json!({ "http": { "url": "https://example.org/" } }),
            inner => {
                if let Some(value) = of_task(inner) {
                    task[inner] = value;
                }
            }
        }
        json!([task])
    }

    fn wait(self, existing: &Existing) -> Value {
        existing.call(match self.field {
            "until" => json!({ "until": "done" }),
            "n" => json!({ "until": "n", "n": 100 }),
            "cursor" => json!({ "cursor": existing.cursor }),
            _ => json!({ "timeout_s": 40 }),
        })
    }

    fn status(self, existing: &Existing) -> Value {
        match self.field {
            "task" => json!({ "task": existing.task() }),
            "all" => json!({ "all": true }),
            _ => existing.call(json!({})),
        }
    }

    fn results(self, existing: &Existing) -> Value {
        if let Some(value) = existing.choice(self.field) {
            return existing.call(json!({ self.field: value }));
        }
        existing.call(match self.field {
            "fields" => json!({ "fields": ["name", "status", "error"] }),
            "output" => json!({ "output": "tail" }),
            "cursor" => json!({ "cursor": "1" }),
            "path" => json!({ "path": "results.json" }),
            _ => json!({ "status": ["failed"], "limit": 5 }),
        })
    }

    fn control(self, existing: &Existing) -> Value {
        let is_whole = matches!(self.action, "pause" | "resume" | "stop");
        let about_tasks = match self.action {
            "cancel" | "remove" => self.action,
            _ => "retry",
        };
        let none_selected = SELECTION
            .iter()
            .all(|name| !self.arguments.contains_key(*name));
        let call = match self.field {
            "max_concurrent" => json!({ "action": "set", "max_concurrent": 8 }),
            "priority" => json!({ "action": "set", "priority": "high" }),
            // Gracefully: what runs may be worth more than the example.
            "now" => json!({ "action": "stop", "now": false }),
            "dry_run" => json!({ "action": "retry", "dry_run": true }),
            "" | "batch" | "action" | "tasks" | "status" | "cause" | "filter" | "all"
                if is_whole =>
            {
                json!({ "action": self.action })
            }
            "all" => json!({ "action": about_tasks, "all": true, "dry_run": true }),
            "tasks" if none_selected => {
                json!({ "action": about_tasks, "all": true, "dry_run": true })
            }
            field => match existing.choice(field) {
                Some(value) => json!({ "action": about_tasks, field: value, "dry_run": true }),
                None => json!({ "action": "retry" }),
            },
        };
        existing.call(call)
    }

    fn executor(self, existing: &Existing) -> Value {
        match self.action {
            "add_batch" => json!({ "action": "add_batch", "tasks": self.tasks() }),
            "start" => json!({ "action": "start", "max_concurrent": 4, "timeout": 600 }),
            "status" => json!({ "action": "status", "detailed": true }),
            "results" => {
                json!({ "action": "results", "format": "text", "filter_status": "failed", "limit": 20 })
            }
            // Existing is nothing to be exported yet.
            "export" if self.field.is_empty() && existing.task.is_none() => {
                added(sample(self.limits))
            }
            "export" => {
                json!({ "action": "export", "format": "json", "output_file": "results.json" })
            }
            // The nearest task is not the one that was meant, so it is not offered to be cancelled.
            "cancel" if existing.task.is_some() => json!({ "action": "results" }),
            "add" | "cancel" => {
                let mut task = added(sample(self.limits));
                if let Some(value) = of_task(self.field) {
                    task[self.field] = value;
                }
                task
            }
            _ => json!({ "action": "status" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::schema::tools;

    #[test]
    fn an_example_has_the_argument_that_was_wrong() {
        let limits = Limits::default();
        let existing = Existing {
            batch: Some("b1".to_owned()),
            cursor: Some("b1-0-0-0-".to_owned()),
            ..Existing::default()
        };
        for tool in tools() {
            let properties = tool.input_schema["properties"].as_object().unwrap();
            for field in properties.keys() {
                let arguments = Map::new();
                let call = InvalidCall {
                    field,
                    inner: "",
                    action: "",
                    arguments: &arguments,
                    limits: &limits,
                };
                let call = match tool.name {
                    "bex_run" => call.run(),
                    "bex_wait" => call.wait(&existing),
                    "bex_status" => call.status(&existing),
                    "bex_results" => call.results(&existing),
                    "bex_control" if field == "tasks" => continue,
                    "bex_control" => call.control(&existing),
                    // Existing it is the action that says what else there is.
                    _ => continue,
                };
                assert!(call.get(field).is_some(), "{} {field}: {call}", tool.name);
                for name in call.as_object().unwrap().keys() {
                    assert!(
                        properties.contains_key(name),
                        "{} {name}: {call}",
                        tool.name
                    );
                }
            }
        }
    }

    #[test]
    fn a_field_of_a_task_is_found_in_its_argument() {
        assert_eq!(split("tasks[0].cwd"), ("tasks", "cwd"));
        assert_eq!(split("tasks[3]"), ("tasks", ""));
        assert_eq!(split("tasks[3].params.tool"), ("tasks", "tool"));
        assert_eq!(split("items[1]"), ("items", ""));
        assert_eq!(split("wait_s"), ("wait_s", ""));
    }
}
