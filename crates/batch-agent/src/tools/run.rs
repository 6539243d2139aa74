//! `bex_run`: tasks become a batch on disk, an executor is started for it, and one waits a while.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use batch_actions::{AddReply, BatchRequest, create, place_tasks, start};
use batch_core::{BatchSettings, Plan, Surroundings, TaskOptions, TaskSpec};
use batch_export::Visible;
use batch_input::{
    CommandTemplate, FileSettings, Format, ItemTemplate, Items, Problem, ReadOptions,
    ShellTemplate, TaskFile, TaskStream, TemplateFolder, read_task_file, read_tasks,
};
use batch_store::{BatchFile, Origin};
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::call::{Agent, Answer, CallContext};
use crate::cursor::Cursor;
use crate::mistake::Mistake;
use crate::page::{Page, USUAL, shorten};
use crate::tools::wait::{Until, answer, limited, wait_for};

const KNOWN: [&str; 14] = [
    "tasks",
    "shell",
    "command",
    "template",
    "items",
    "file",
    "key",
    "name",
    "max_concurrent",
    "max_retries",
    "timeout",
    "fail_fast",
    "wait_s",
    "plan",
];

const USUAL_WAIT: Duration = Duration::from_secs(20);

/// What is to be run.
pub(crate) struct Wanted {
    pub(crate) tasks: Vec<TaskSpec>,
    pub(crate) settings: FileSettings,
}

pub(crate) fn run(
    agent: &Agent,
    arguments: &Map<String, Value>,
    context: &CallContext,
) -> Result<Answer, Mistake> {
    let example = || json!({ "shell": "wc -l {}", "items": ["a.txt", "b.txt"] });
    let args = Args::new(arguments, &KNOWN).map_err(|mistake| mistake.with_example(example()))?;
    let mut notes = Vec::new();
    let wanted = wanted(agent, &args).map_err(|mistake| mistake.with_example(example()))?;
    let (settings, plan) = checked(agent, &args, wanted, &mut notes)?;
    let wait_s = limited(args.duration("wait_s")?, USUAL_WAIT);
    if args.flag("plan")? {
        return Ok(show_plan(&settings, &plan, &notes));
    }
    let request = BatchRequest {
        settings,
        origin: Origin {
            way: "agent".to_owned(),
            file: args.text("file")?.map(str::to_owned),
            format: Some("text".to_owned()),
        },
        ..BatchRequest::default()
    };
    // On disk before anything else: from here on the connection may go.
    let added = create(agent.home(), &request, &plan)?;
    let file = BatchFile::new(added.file.clone());
    if added.existing > 0 {
        notes.push(existing(&added));
    }
    start_if_needed(agent, &file)?;
    let status = wait_for(&file, Until::Done, &Cursor::default(), wait_s, context)?;
    let mut answer = answer(&status, &Cursor::default());
    for note in &notes {
        answer.text.push_str("\nNote: ");
        answer.text.push_str(note);
    }
    answer.structured["notes"] = json!(notes);
    Ok(answer)
}

fn existing(added: &AddReply) -> String {
    format!(
        "{} has this key and these tasks already; nothing was added",
        added.batch
    )
}

/// Starts an executor for what is not finished, unless one is at work.
pub(crate) fn start_if_needed(agent: &Agent, file: &BatchFile) -> Result<(), Mistake> {
    let status = batch_actions::status(file, false)?;
    if status.pid.is_some() || status.queued + status.running == 0 {
        return Ok(());
    }
    match start(file, agent.executor(file.path())) {
        Ok(_) => Ok(()),
        // Somebody was faster.
        Err(_) if batch_actions::status(file, false)?.pid.is_some() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads what is to be run from whichever argument says it.
fn wanted(agent: &Agent, args: &Args<'_>) -> Result<Wanted, Mistake> {
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
            let list = args.list("tasks")?.expect("it was given");
            from_json(list, &options)
        }
        ["file"] => {
            let path = args.text("file")?.unwrap_or_default();
            let path = agent.limits().below_root(&agent.folder().join(path));
            let path = path.map_err(|message| Mistake::of("file", message))?;
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
            let line = args.get("command").and_then(Value::as_str);
            if line.is_some_and(|line| line.contains(char::is_whitespace)) {
                let message = "it is a list, the program and each argument apart; a line for the shell goes into shell";
                let example = json!({ "command": ["wc", "-l", "{}"], "items": ["a.txt"] });
                return Err(Mistake::of("command", message).with_example(example));
            }
            let argv = args.texts("command")?.into_iter().map(Into::into).collect();
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

/// Checks the tasks together, within the operator's limits.
fn checked(
    agent: &Agent,
    args: &Args<'_>,
    mut wanted: Wanted,
    notes: &mut Vec<String>,
) -> Result<(BatchSettings, Plan), Mistake> {
    place_tasks(&mut wanted.tasks, agent.folder());
    agent.limits().apply(&mut wanted.tasks, notes)?;
    let from = &wanted.settings;
    let asked = args.slots("max_concurrent")?.or(from.max_concurrent);
    let settings = BatchSettings {
        name: args
            .text("name")?
            .map(str::to_owned)
            .or_else(|| from.name.clone()),
        key: args
            .text("key")?
            .map(str::to_owned)
            .or_else(|| from.key.clone()),
        max_concurrent: agent
            .limits()
            .concurrency(asked, notes)
            .unwrap_or_else(default_slots),
        batch_timeout: from.batch_timeout,
        limits: from.limits.clone(),
        fail_fast: args.flag("fail_fast")? || from.fail_fast.unwrap_or(false),
    };
    let surroundings = Surroundings {
        catalog: agent.registry(),
        limits: &settings.limits,
        submitted: &|_| None,
    };
    let plan = Plan::check_in(wanted.tasks, &surroundings);
    let plan = plan.map_err(|found| Mistake::from(batch_actions::ActionError::Invalid(found)))?;
    Ok((settings, plan))
}

pub(crate) fn default_slots() -> std::num::NonZeroU32 {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    std::num::NonZeroU32::new(u32::try_from(cpus).unwrap_or(u32::MAX))
        .unwrap_or(std::num::NonZeroU32::MIN)
}

fn show_plan(settings: &BatchSettings, plan: &Plan, notes: &[String]) -> Answer {
    let count = plan.len();
    let slots = settings.max_concurrent;
    let mut page = Page::new(
        USUAL,
        &format!("Plan: {count} tasks would run, {slots} at once. Nothing was run."),
    );
    let mut shown = Vec::new();
    for (spec, _) in plan.tasks().take(20) {
        let line = format!(
            "  {} {} {}",
            Visible(spec.label()),
            spec.function,
            Visible(&shorten(spec.params.as_str(), 160))
        );
        page.line(&line);
        shown.push(json!({ "name": spec.label(), "function": &*spec.function }));
    }
    if count > 20 {
        page.line(&format!("  … and {} more", count - 20));
    }
    for note in notes {
        page.note(&format!("Note: {note}"));
    }
    Answer {
        text: page.finish("the plan has more of the same"),
        structured: json!({ "plan": true, "tasks": count, "max_concurrent": slots.get(), "first": shown, "notes": notes }),
        is_error: false,
    }
}

/// The folder that paths of an agent are meant in.
pub(crate) fn in_folder(agent: &Agent, path: &str) -> Result<std::path::PathBuf, String> {
    agent
        .limits()
        .below_root(&agent.folder().join(Path::new(path)))
}
