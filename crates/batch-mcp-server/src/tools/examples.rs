//! A right call for a wrong one: [`example`]. This is the one place that knows a right value for each argument.
//!
//! An example has the argument that was wrong, and names batches, tasks and causes that there are. It may be sent as it
//! stands, so it never cancels or removes anything: where the action would, it is tried out.

use batch_actions::status as read_status;
use batch_core::{FullTaskId, nearest};
use batch_store::{BatchFile, Selection, Store};
use serde_json::{Map, Value, json};

use crate::call::Agent;
use crate::cursor::Cursor;
use crate::cut::shorten;
use crate::limits::Limits;
use crate::mistake::{Example, Mistake};
use crate::tools::control::CHOICE;
use crate::tools::executor;
use crate::tools::schema::known;

/// A right call in place of one in which something is wrong; `None` for a tool that there is not.
pub(crate) fn example(
    agent: &Agent,
    tool: &str,
    arguments: &Map<String, Value>,
    mistake: &Mistake,
) -> Option<Example> {
    let known = known(tool)?;
    let (field, inner) = split(mistake.field.as_deref().unwrap_or_default());
    let told = mistake.inner.as_deref().map(|inner| split(inner).0);
    let inner = told.unwrap_or(inner);
    let is_known = known.iter().any(|name| name == field) || tool == "batch_executor";
    // An unknown argument is shown by the one that may have been meant.
    let field = match is_known {
        true => field,
        false => nearest(field, known.iter().map(String::as_str)).unwrap_or_default(),
    };
    let wrong = Wrong {
        field,
        inner,
        action: arguments
            .get("action")
            .and_then(Value::as_str)
            .unwrap_or_default(),
        arguments,
        limits: agent.limits(),
    };
    let there = There::of(agent, tool, arguments);
    Some(match tool {
        "bex_run" => Example::of(wrong.run()),
        "batch_executor" => Example::of(wrong.executor(&there)),
        // What is about a batch is shown by what makes one.
        _ if there.batch.is_none() && NAMES.contains(&field) => {
            let first = Wrong { field: "", ..wrong };
            Example::of_tool("bex_run", first.run())
        }
        "bex_wait" => Example::of(wrong.wait(&there)),
        "bex_status" => Example::of(wrong.status(&there)),
        "bex_results" => Example::of(wrong.results(&there)),
        _ => Example::of(wrong.control(&there)),
    })
}

/// A call of `batch_executor` that adds a task.
pub(crate) fn first_task(agent: &Agent) -> Value {
    added(sample(agent.limits()))
}

/// Arguments that name a batch or something in it, and none.
const NAMES: [&str; 7] = ["", "batch", "tasks", "task", "cause", "cursor", "action"];

/// `tasks[0].cwd` is the argument `tasks`, and in it `cwd`.
fn split(field: &str) -> (&str, &str) {
    let end = field.find(['[', '.']).unwrap_or(field.len());
    let inner = field[end..].rsplit_once(['.', ']']);
    (&field[..end], inner.map_or("", |(_, inner)| inner))
}

/// What an example can name.
#[derive(Default)]
struct There {
    batch: Option<String>,
    task: Option<String>,
    cause: Option<String>,
    cursor: Option<String>,
}

impl There {
    /// Of the batch that the call named, else the latest.
    fn of(agent: &Agent, tool: &str, arguments: &Map<String, Value>) -> Self {
        let named = ["batch", "task", "tasks"].into_iter().find_map(|name| {
            let value = arguments.get(name)?;
            let text = value.as_str().or_else(|| value.get(0)?.as_str())?;
            let of_task = text.parse::<FullTaskId>().ok().map(|full| full.batch);
            text.parse().ok().or(of_task)
        });
        let file = match tool {
            "batch_executor" => executor::queue(agent).ok().flatten(),
            _ => agent.file(named).or_else(|_| agent.file(None)).ok(),
        };
        file.and_then(|file| Self::read(&file)).unwrap_or_default()
    }

    fn read(file: &BatchFile) -> Option<Self> {
        let status = read_status(file, false).ok()?;
        let store = Store::open_read(file.clone()).ok()?;
        let mut task = None;
        let all = Selection {
            without_outputs: true,
            ..Selection::default()
        };
        let first = store.for_each_task::<Mistake>(&all, |record| {
            task = Some(record.id().to_string());
            Ok(false)
        });
        first.ok()?;
        Some(Self {
            task,
            cause: status.causes.first().map(|cause| cause.cause.clone()),
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

    /// A right value of an argument that chooses tasks.
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

/// What was wrong with a call.
#[derive(Clone, Copy)]
struct Wrong<'a> {
    /// The argument.
    field: &'a str,
    /// A field of a task in it.
    inner: &'a str,
    action: &'a str,
    arguments: &'a Map<String, Value>,
    limits: &'a Limits,
}

impl Wrong<'_> {
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
                    format!("{}-2", shorten(taken, 40))
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

    /// A list of tasks, of which one has the field that was wrong.
    fn tasks(self) -> Value {
        let mut task = sample(self.limits);
        match self.inner {
            "depends_on" => {
                let mut first = task.clone();
                first["id"] = "first".into();
                task["depends_on"] = json!(["first"]);
                return json!([first, task]);
            }
            // The short forms stand for a function.
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

    fn wait(self, there: &There) -> Value {
        there.call(match self.field {
            "until" => json!({ "until": "done" }),
            "n" => json!({ "until": "n", "n": 100 }),
            "cursor" => json!({ "cursor": there.cursor }),
            _ => json!({ "timeout_s": 40 }),
        })
    }

    fn status(self, there: &There) -> Value {
        match self.field {
            "task" => json!({ "task": there.task() }),
            "all" => json!({ "all": true }),
            _ => there.call(json!({})),
        }
    }

    fn results(self, there: &There) -> Value {
        if let Some(value) = there.choice(self.field) {
            return there.call(json!({ self.field: value }));
        }
        there.call(match self.field {
            "fields" => json!({ "fields": ["name", "status", "error"] }),
            "output" => json!({ "output": "tail" }),
            "cursor" => json!({ "cursor": "1" }),
            "path" => json!({ "path": "results.json" }),
            _ => json!({ "status": ["failed"], "limit": 5 }),
        })
    }

    fn control(self, there: &There) -> Value {
        let is_whole = matches!(self.action, "pause" | "resume" | "stop");
        let about_tasks = match self.action {
            "cancel" | "remove" => self.action,
            _ => "retry",
        };
        let none_chosen = CHOICE
            .iter()
            .all(|name| !self.arguments.contains_key(*name));
        let call = match self.field {
            "max_concurrent" => json!({ "action": "set", "max_concurrent": 8 }),
            "priority" => json!({ "action": "set", "priority": "high" }),
            // Gently: what runs may be worth more than the example.
            "now" => json!({ "action": "stop", "now": false }),
            "dry_run" => json!({ "action": "retry", "dry_run": true }),
            "" | "batch" | "action" | "tasks" | "status" | "cause" | "filter" | "all"
                if is_whole =>
            {
                json!({ "action": self.action })
            }
            "all" => json!({ "action": about_tasks, "all": true, "dry_run": true }),
            "tasks" if none_chosen => {
                json!({ "action": about_tasks, "all": true, "dry_run": true })
            }
            field => match there.choice(field) {
                Some(value) => json!({ "action": about_tasks, field: value, "dry_run": true }),
                None => json!({ "action": "retry" }),
            },
        };
        there.call(call)
    }

    fn executor(self, there: &There) -> Value {
        match self.action {
            "add_batch" => json!({ "action": "add_batch", "tasks": self.tasks() }),
            "start" => json!({ "action": "start", "max_concurrent": 4, "timeout": 600 }),
            "status" => json!({ "action": "status", "detailed": true }),
            "results" => {
                json!({ "action": "results", "format": "text", "filter_status": "failed", "limit": 20 })
            }
            // There is nothing to be exported yet.
            "export" if self.field.is_empty() && there.task.is_none() => added(sample(self.limits)),
            "export" => {
                json!({ "action": "export", "format": "json", "output_file": "results.json" })
            }
            // The nearest task is not the one that was meant, so it is not offered to be cancelled.
            "cancel" if there.task.is_some() => json!({ "action": "results" }),
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

fn with_items(way: &str) -> Value {
    let value = match way {
        "command" => json!(["wc", "-l", "{}"]),
        _ => json!("wc -l {}"),
    };
    json!({ way: value, "items": ["a.txt", "b.txt"] })
}

/// A task that the operator allows.
fn sample(limits: &Limits) -> Value {
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
fn added(mut task: Value) -> Value {
    task["action"] = "add".into();
    task["name"] = "count".into();
    task
}

/// A right value of a field of a task.
fn of_task(field: &str) -> Option<Value> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::schema::tools;

    #[test]
    fn an_example_has_the_argument_that_was_wrong() {
        let limits = Limits::default();
        let there = There {
            batch: Some("b1".to_owned()),
            cursor: Some("b1-0-0-0-".to_owned()),
            ..There::default()
        };
        for tool in tools() {
            let properties = tool.input_schema["properties"].as_object().unwrap();
            for field in properties.keys() {
                let arguments = Map::new();
                let wrong = Wrong {
                    field,
                    inner: "",
                    action: "",
                    arguments: &arguments,
                    limits: &limits,
                };
                let call = match tool.name {
                    "bex_run" => wrong.run(),
                    "bex_wait" => wrong.wait(&there),
                    "bex_status" => wrong.status(&there),
                    "bex_results" => wrong.results(&there),
                    "bex_control" if field == "tasks" => continue,
                    "bex_control" => wrong.control(&there),
                    // There it is the action that says what else there is.
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
