//! What `bex_run` is to run, read from whichever argument says it: [`wanted`].

use std::ffi::OsString;
use std::sync::Arc;

use batch_core::{TaskOptions, TaskSpec};
use batch_input::{
    CommandTemplate, FileSettings, Format, ItemTemplate, Items, Problem, ReadOptions,
    ShellTemplate, TaskFile, TaskStream, TemplateFolder, read_task_file, read_tasks,
};
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::call::Agent;
use crate::mistake::Mistake;
use crate::tools::run::in_folder;

/// What is to be run.
pub(crate) struct Wanted {
    pub(crate) tasks: Vec<TaskSpec>,
    pub(crate) settings: FileSettings,
}

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
        template: None,
    };
    match given.as_slice() {
        ["tasks"] => {
            args.refuse(&["items"], "it goes with shell, command or template")?;
            let list = args.list("tasks")?.expect("it was given");
            from_json(list, &options)
        }
        ["file"] => {
            args.refuse(&["items"], "it goes with shell, command or template")?;
            let path = args.text("file")?.unwrap_or_default();
            let path = in_folder(agent, path).map_err(|message| Mistake::of("file", message))?;
            let file = read_task_file(&path, None, &options);
            whole(
                file.map_err(|error| Mistake::of("file", error.to_string()))?,
                "file",
            )
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
pub(crate) fn from_json(tasks: &[Value], options: &ReadOptions) -> Result<Wanted, Mistake> {
    let text = json!({ "tasks": tasks }).to_string();
    let file = read_tasks(text.as_bytes(), "tasks", Format::Json, options);
    whole(
        file.map_err(|error| Mistake::of("tasks", error.to_string()))?,
        "tasks",
    )
}

fn whole(file: TaskFile, field: &str) -> Result<Wanted, Mistake> {
    if !file.problems.is_empty() {
        return Err(Mistake::of(field, problems(&file.problems)));
    }
    Ok(Wanted {
        tasks: file.tasks,
        settings: file.settings,
    })
}

/// The first problems in one text.
fn problems(problems: &[Problem]) -> String {
    const SHOWN: usize = 10;
    let mut texts: Vec<String> = problems
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect();
    if problems.len() > SHOWN {
        texts.push(format!("and {} more", problems.len() - SHOWN));
    }
    texts.join("; ")
}

fn from_template(agent: &Agent, args: &Args<'_>, options: &ReadOptions) -> Result<Wanted, Mistake> {
    let name = args.text("template")?.unwrap_or_default();
    let template = TemplateFolder::new(agent.home().templates())
        .load(name)
        .map_err(|error| Mistake::of("template", error.to_string()))?;
    let none = vec![Value::Object(Map::new())];
    let items = args.list("items")?.unwrap_or(&none);
    let mut all = Wanted {
        tasks: Vec::new(),
        settings: FileSettings::default(),
    };
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
            .map_err(|found| Mistake::of(&field, problems(&found)))?;
        if items.len() > 1 && file.tasks.iter().any(|task| task.id.is_some()) {
            let message =
                "this template gives its tasks ids, so it can be run with one item at a time";
            return Err(Mistake::of("items", message));
        }
        all.settings = file.settings;
        all.tasks.extend(file.tasks);
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
    let template = match args.text("shell")? {
        Some(script) => ShellTemplate::new(script.into())
            .map(ItemTemplate::Shell)
            .map_err(|error| Mistake::of("shell", error.to_string()))?,
        None => {
            let argv: Vec<OsString> = argv(args)?.into_iter().map(Into::into).collect();
            ItemTemplate::Command(CommandTemplate::new(argv))
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
    Ok(Wanted {
        tasks,
        settings: FileSettings::default(),
    })
}

/// The program and its arguments. A text of one word is as good as a list of it; of more, nobody guesses where it
/// would be split.
fn argv(args: &Args<'_>) -> Result<Vec<String>, Mistake> {
    let wrong = |message: &str| {
        let example = json!({ "command": ["wc", "-l", "{}"], "items": ["a.txt"] });
        Err(Mistake::of("command", message).with_example(example))
    };
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
