//! What `bex_run` is to run, read from whichever argument says it: [`wanted`].

use std::ffi::OsString;
use std::sync::Arc;

use batch_core::{TaskOptions, TaskSpec};
use batch_input::{
    CommandTemplate, FileSettings, Format, ItemTemplate, Items, ReadOptions, ShellTemplate,
    TaskFile, TaskStream, TemplateFolder, read_task_file, read_tasks,
};
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::call::Agent;
use crate::mistake::Mistake;
use crate::tools::problems::{Source, Wanted};
use crate::tools::run::in_folder;

/// Reads what is to be run from whichever argument says it.
pub(crate) fn wanted(agent: &Agent, args: &Args<'_>) -> Result<Wanted, Mistake> {
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
        allow_code: false,
        template: None,
    };
    match given.as_slice() {
        ["tasks"] => {
            args.refuse(&["items"], "it goes with shell, command or template")?;
            let list = args.list("tasks")?.expect("it was given");
            from_json(list, Source::Tasks, &options)
        }
        ["file"] => {
            args.refuse(&["items"], "it goes with shell, command or template")?;
            let path = args.text("file")?.unwrap_or_default();
            let path = in_folder(agent, path).map_err(|message| Mistake::of("file", message))?;
            let file = read_task_file(&path, None, &options);
            Ok(Wanted {
                file: file.map_err(|error| Mistake::of("file", error.to_string()))?,
                source: Source::File,
            })
        }
        ["template"] => from_template(agent, args, &options),
        ["shell"] | ["command"] => from_items(args, &options),
        [] => Err(Mistake::new(
            "nothing to run; give tasks, shell or command with items, template, or file",
        )),
        more => Err(Mistake::of(
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
) -> Result<Wanted, Mistake> {
    let text = json!({ "tasks": tasks }).to_string();
    let file = read_tasks(text.as_bytes(), "tasks", Format::Json, options);
    let file = file.map_err(|error| Mistake::of("tasks", error.to_string()))?;
    Ok(Wanted { file, source })
}

/// Tasks that were made and not read from a file.
fn made(tasks: Vec<TaskSpec>, way: &'static str) -> Wanted {
    Wanted {
        file: TaskFile {
            name: way.into(),
            settings: FileSettings::default(),
            tasks,
            lines: Vec::new(),
            problems: Vec::new(),
        },
        source: Source::Items(way),
    }
}

fn from_template(agent: &Agent, args: &Args<'_>, options: &ReadOptions) -> Result<Wanted, Mistake> {
    let name = args.text("template")?.unwrap_or_default();
    let template = TemplateFolder::new(agent.home().templates())
        .load(name)
        .map_err(|error| Mistake::of("template", error.to_string()))?;
    let none = vec![Value::Object(Map::new())];
    let items = args.list("items")?.unwrap_or(&none);
    let mut all = made(Vec::new(), "template");
    for (index, item) in items.iter().enumerate() {
        let field = format!("items[{index}]");
        let values = item.as_object().ok_or_else(|| {
            Mistake::of(
                &field,
                "for a template it must be an object with its parameters",
            )
        })?;
        let file = template
            .expand_json(values, options)
            .map_err(|found| Source::Items("items").mistake(&found).in_field(&field))?;
        if items.len() > 1 && file.tasks.iter().any(|task| task.id.is_some()) {
            let message =
                "this template gives its tasks ids, so it can be run with one item at a time";
            return Err(Mistake::of("items", message));
        }
        all.file.settings = file.settings;
        all.file.tasks.extend(file.tasks);
    }
    Ok(all)
}

fn from_items(args: &Args<'_>, options: &ReadOptions) -> Result<Wanted, Mistake> {
    let items: Vec<OsString> = args.texts("items")?.into_iter().map(Into::into).collect();
    if args.get("items").is_none() {
        return Err(Mistake::of(
            "items",
            "it is missing: one task is run for each item",
        ));
    }
    let (way, template) = match args.text("shell")? {
        Some(script) => {
            let template = ShellTemplate::new(script.into(), false).map(ItemTemplate::Shell);
            let wrong =
                |error: batch_input::ShellTemplateError| Mistake::of("shell", error.to_string());
            ("shell", template.map_err(wrong)?)
        }
        None => {
            let argv: Vec<OsString> = argv(args)?.into_iter().map(Into::into).collect();
            let template = CommandTemplate::new(argv, false);
            let template = template.map_err(|error| Mistake::of("command", error.to_string()))?;
            ("command", ItemTemplate::Command(template))
        }
    };
    let treated = Arc::new(TaskOptions {
        timeout: options.timeout,
        max_retries: options.max_retries.unwrap_or(0),
        ..TaskOptions::default()
    });
    let tasks = TaskStream::new(Items::list(items), template, treated)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Mistake::of("items", error.to_string()))?;
    Ok(made(tasks, way))
}

/// The program and its arguments. A text of one word is as good as a list of it; of more, nobody guesses where it
/// would be split.
fn argv(args: &Args<'_>) -> Result<Vec<String>, Mistake> {
    let wrong = |message: &str| Err(Mistake::of("command", message));
    let line = args.get("command").and_then(Value::as_str);
    if line.is_some_and(|line| line.contains(char::is_whitespace)) {
        return wrong(
            "it is a list, the program and each argument apart; a line for the shell goes into shell",
        );
    }
    match args.texts("command")? {
        argv if argv.is_empty() => wrong("it is a list, and begins with the program"),
        argv => Ok(argv),
    }
}
