//! The tasks of a `bex_run`, from whichever argument has them: [`read_tasks`].

use std::ffi::OsString;
use std::sync::Arc;

use batch_core::{SettingsRequest, TaskOptions, TaskSpec};
use batch_input::{
    Columns, CommandTemplate, Format, ItemTemplate, Items, ReadOptions, ShellTemplate, TaskFile,
    TaskStream, TemplateFolder, read_task_file, read_tasks as read_document,
};
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::call_error::CallError;
use crate::session::Session;
use crate::tools::task_input::{Source, TaskInput};

/// Reads the tasks of a call from whichever argument has them.
pub(crate) fn read_tasks(session: &Session, args: &Args<'_>) -> Result<TaskInput, CallError> {
    let ways = ["tasks", "shell", "command", "template", "file"];
    let given: Vec<&str> = ways
        .into_iter()
        .filter(|way| args.get(way).is_some())
        .collect();
    let options = ReadOptions {
        timeout: args.duration("timeout")?,
        max_retries: args
            .number("max_retries")?
            .map(|retries| u32::try_from(retries).unwrap_or(u32::MAX)),
        ..ReadOptions::default()
    };
    match given.as_slice() {
        ["tasks"] => {
            args.refuse(&["items"], "only valid with shell, command or template")?;
            let list = args.list("tasks")?.expect("it was given");
            from_json(list, Source::Tasks, &options)
        }
        ["file"] => {
            args.refuse(&["items"], "only valid with shell, command or template")?;
            let path = args.text("file")?.unwrap_or_default();
            let path = session
                .path(path)
                .map_err(|message| CallError::of("file", message))?;
            // A pipe is for people: nobody writes into one that an agent names.
            if path.metadata().is_ok_and(|found| !found.is_file()) {
                return Err(CallError::of("file", "is not a regular file"));
            }
            let options = ReadOptions {
                functions: Some(Arc::new(session.registry.clone())),
                ..options
            };
            let file = read_task_file(&path, None, &options);
            Ok(TaskInput {
                file: file.map_err(|error| CallError::of("file", error.to_string()))?,
                source: Source::File,
            })
        }
        ["template"] => from_template(session, args, &options),
        ["shell"] | ["command"] => from_items(args, &options),
        [] => Err(CallError::new(
            "no tasks; give tasks, shell or command with items, template, or file",
        )),
        more => Err(CallError::of(
            more[1],
            format!(
                "give one of {}, not both {} and {}",
                ways.join(", "),
                more[0],
                more[1]
            ),
        )),
    }
}

/// Tasks as JSON, read as a task file is.
pub(crate) fn from_json(
    tasks: &[Value],
    source: Source,
    options: &ReadOptions,
) -> Result<TaskInput, CallError> {
    let text = json!({ "tasks": tasks }).to_string();
    let file = read_document(text.as_bytes(), "tasks", Format::Json, options);
    let file = file.map_err(|error| CallError::of("tasks", error.to_string()))?;
    Ok(TaskInput { file, source })
}

/// Tasks that were not read from a file.
fn made(tasks: Vec<TaskSpec>, way: &'static str) -> TaskInput {
    TaskInput {
        file: TaskFile {
            name: way.into(),
            settings: SettingsRequest::default(),
            tasks,
            lines: Vec::new(),
            problems: Vec::new(),
        },
        source: Source::Items(way),
    }
}

fn from_template(
    session: &Session,
    args: &Args<'_>,
    options: &ReadOptions,
) -> Result<TaskInput, CallError> {
    let name = args.text("template")?.unwrap_or_default();
    let functions = Arc::new(session.registry.clone());
    let template = TemplateFolder::new(session.home.templates(), functions)
        .load(name)
        .map_err(|error| CallError::of("template", error.to_string()))?;
    let none = vec![Value::Object(Map::new())];
    let items = args.list("items")?.unwrap_or(&none);
    let mut all = made(Vec::new(), "template");
    for (index, item) in items.iter().enumerate() {
        let field = format!("items[{index}]");
        let values = item.as_object().ok_or_else(|| {
            CallError::of(
                &field,
                "must be an object with the parameters of the template",
            )
        })?;
        let file = template
            .expand_json(values, options)
            .map_err(|found| Source::Items("items").error(&found).in_field(&field))?;
        if items.len() > 1 && file.tasks.iter().any(|task| task.id.is_some()) {
            let message = "the tasks of this template have ids, so it takes one item at a time";
            return Err(CallError::of("items", message));
        }
        all.file.settings = file.settings;
        all.file.tasks.extend(file.tasks);
    }
    Ok(all)
}

fn from_items(args: &Args<'_>, options: &ReadOptions) -> Result<TaskInput, CallError> {
    let items: Vec<OsString> = args.texts("items")?.into_iter().map(Into::into).collect();
    if args.get("items").is_none() {
        return Err(CallError::of(
            "items",
            "missing; one task is run for each item",
        ));
    }
    let treated = Arc::new(TaskOptions {
        timeout: options.timeout,
        max_retries: options.max_retries.unwrap_or(0),
        ..TaskOptions::default()
    });
    let items = Items::list(items);
    let (way, stream) = match args.text("shell")? {
        Some(script) => {
            let script = script.into();
            let make = move |columns: &Columns| {
                ShellTemplate::new(script, columns, false).map(ItemTemplate::Shell)
            };
            ("shell", TaskStream::new(items, treated, make))
        }
        None => {
            let argv: Vec<OsString> = argv(args)?.into_iter().map(Into::into).collect();
            let make = move |columns: &Columns| {
                CommandTemplate::new(argv, columns, false).map(ItemTemplate::Command)
            };
            ("command", TaskStream::new(items, treated, make))
        }
    };
    let tasks = stream
        .map_err(|error| CallError::of(way, error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CallError::of("items", error.to_string()))?;
    Ok(made(tasks, way))
}

/// The program and its arguments. A text of one word is as good as a list of it; how more would be split is not guessed.
fn argv(args: &Args<'_>) -> Result<Vec<String>, CallError> {
    let wrong = |message: &str| Err(CallError::of("command", message));
    let line = args.get("command").and_then(Value::as_str);
    if line.is_some_and(|line| line.contains(char::is_whitespace)) {
        return wrong(
            "must be a list of the program and its arguments; a line for the shell goes into shell",
        );
    }
    match args.texts("command")? {
        argv if argv.is_empty() => wrong("is empty; must be a list that begins with the program"),
        argv => Ok(argv),
    }
}
