//! `batch_executor`: the nine actions of the former tool, with their parameters as they were.
//!
//! That tool held one queue in memory. Here it is one batch, found by its key, so that each call may come from
//! another process.

use std::time::Duration;

use batch_actions::{
    AddReply, AddRequest, BatchRequest, Choice, Control, Stop, Target, add, create, place_tasks,
    status as read_status,
};
use batch_core::{BatchSettings, Plan, Status};
use batch_store::{BatchFile, Durability, Origin, Store};
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::call::{Agent, Answer, CallContext};
use crate::cursor::Cursor;
use crate::mistake::Mistake;
use crate::page::{Page, USUAL, add_causes, sentence};
use crate::tools::control::changed;
use crate::tools::results::export_to;
use crate::tools::run::{default_slots, from_json, start_if_needed};
use crate::tools::wait::{Until, wait_for};

const KEY: &str = "batch_executor";

const KNOWN: [&str; 17] = [
    "action",
    "name",
    "function",
    "params",
    "priority",
    "max_retries",
    "tasks",
    "max_concurrent",
    "timeout",
    "detailed",
    "format",
    "filter_status",
    "output_file",
    "task_id",
    "task_ids",
    "limit",
    "id",
];

const ACTIONS: [&str; 9] = [
    "add",
    "add_batch",
    "start",
    "stop",
    "status",
    "results",
    "export",
    "clear",
    "cancel",
];

/// A start answers after so long at the latest.
const START_WAIT: Duration = Duration::from_secs(20);

pub(crate) fn executor(
    agent: &Agent,
    arguments: &Map<String, Value>,
    context: &CallContext,
) -> Result<Answer, Mistake> {
    let example = || json!({ "action": "add", "name": "list", "function": "command", "params": { "argv": ["ls"] } });
    let args = Args::new(arguments, &KNOWN).map_err(|mistake| mistake.with_example(example()))?;
    match args.text("action")? {
        Some("add") => add_one(agent, arguments),
        Some("add_batch") => {
            let tasks = args.list("tasks")?.ok_or_else(|| {
                Mistake::of("tasks", "add_batch needs a list of tasks").with_example(
                    json!({ "action": "add_batch", "tasks": [{ "name": "a", "function": "shell", "params": { "script": "ls" } }] }),
                )
            })?;
            add_tasks(agent, tasks)
        }
        Some("start") => start(agent, &args, context),
        Some("stop") => {
            let file = queue(agent)?;
            changed(&file, Control::Stop { how: Stop::Now }, "stopped")?;
            told(&file, "Stopped.")
        }
        Some("status") => told(&queue(agent)?, ""),
        Some("results") => results(agent, &args),
        Some("export") => export(agent, &args),
        Some("clear") => {
            let file = queue(agent)?;
            let done = changed(
                &file,
                Control::Clear {
                    tasks: Choice::default(),
                },
                "cleared",
            )?;
            told(&file, &done)
        }
        Some("cancel") => cancel(agent, &args),
        _ => Err(
            Mistake::of("action", format!("it is one of {}", ACTIONS.join(", ")))
                .with_example(example()),
        ),
    }
}

/// The one queue, made when it is first needed.
fn queue(agent: &Agent) -> Result<BatchFile, Mistake> {
    if let Some(file) = agent.home().of_key(KEY) {
        return Ok(file);
    }
    let request = BatchRequest {
        settings: BatchSettings {
            key: Some(KEY.to_owned()),
            name: Some(KEY.to_owned()),
            ..BatchSettings::with_slots(default_slots())
        },
        origin: Origin {
            way: KEY.to_owned(),
            file: None,
            format: Some("text".to_owned()),
        },
        ..BatchRequest::default()
    };
    let made = create(agent.home(), &request, &Plan::default())?;
    Ok(BatchFile::new(made.file))
}

/// A task given by the fields of the call itself.
fn add_one(agent: &Agent, arguments: &Map<String, Value>) -> Result<Answer, Mistake> {
    let mut task = Map::new();
    for field in [
        "id",
        "name",
        "function",
        "params",
        "priority",
        "max_retries",
    ] {
        if let Some(value) = arguments.get(field).filter(|value| !value.is_null()) {
            task.insert(field.to_owned(), value.clone());
        }
    }
    add_tasks(agent, &[task.into()])
}

fn add_tasks(agent: &Agent, tasks: &[Value]) -> Result<Answer, Mistake> {
    let mut wanted = from_json(tasks, &batch_input::ReadOptions::default())?;
    place_tasks(&mut wanted.tasks, agent.folder());
    let mut notes = Vec::new();
    agent.limits().apply(&mut wanted.tasks, &mut notes)?;
    let file = queue(agent)?;
    let request = AddRequest {
        tasks: wanted.tasks,
        target: Target::Batch(file.clone()),
        catalog: agent.registry(),
    };
    let added = add(agent.home(), request)?;
    told(&file, &added_text(&added, &notes))
}

fn added_text(added: &AddReply, notes: &[String]) -> String {
    let ids = match (&added.first, &added.last) {
        (Some(first), Some(last)) if first == last => first.clone(),
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    };
    let mut text = format!("Added {} tasks: {ids}.", added.added);
    for note in notes {
        text.push_str(&format!(" Note: {note}."));
    }
    text
}

fn start(agent: &Agent, args: &Args<'_>, context: &CallContext) -> Result<Answer, Mistake> {
    let file = queue(agent)?;
    let mut notes = Vec::new();
    let slots = agent
        .limits()
        .concurrency(args.slots("max_concurrent")?, &mut notes);
    let timeout = args.duration("timeout")?;
    if slots.is_some() || timeout.is_some() {
        let change = || {
            let mut store = Store::open(file.clone(), Durability::Full)?;
            let mut settings = store.info()?.settings;
            settings.max_concurrent = slots.unwrap_or(settings.max_concurrent);
            settings.batch_timeout = timeout.or(settings.batch_timeout);
            store.set_settings(&settings)
        };
        change().map_err(batch_actions::ActionError::from)?;
    }
    start_if_needed(agent, &file)?;
    wait_for(&file, Until::Done, &Cursor::default(), START_WAIT, context)?;
    told(&file, &format!("Started. {}", notes.join(" ")))
}

/// What was done, how the queue stands, and the line that loops look for.
fn told(file: &BatchFile, done: &str) -> Result<Answer, Mistake> {
    let status = read_status(file, false)?;
    let first = match done.trim() {
        "" => sentence(&status),
        done => format!("{done} {}", sentence(&status)),
    };
    let mut page = Page::new(USUAL, &first);
    page.line(&format!("Progress: {:.1}%", status.progress));
    add_causes(&mut page, &status, 5);
    let next = match (status.pid, status.queued) {
        (Some(_), _) => json!({ "action": "status" }),
        (None, 1..) => json!({ "action": "start" }),
        (None, 0) => json!({ "action": "results", "format": "summary" }),
    };
    page.next(KEY, &next, "goes on");
    let mut structured = serde_json::to_value(&status).expect("a status is JSON");
    structured["done"] = done.into();
    Ok(Answer {
        text: page.finish("use results"),
        structured,
        is_error: false,
    })
}

fn results(agent: &Agent, args: &Args<'_>) -> Result<Answer, Mistake> {
    let file = queue(agent)?;
    let format = args.text("format")?.unwrap_or("text");
    let status = read_status(&file, false)?;
    let mut call = Map::new();
    call.insert("batch".to_owned(), status.batch.clone().into());
    if let Some(wanted) = args
        .text("filter_status")?
        .filter(|wanted| *wanted != "all")
    {
        call.insert("status".to_owned(), json!([wanted]));
    }
    call.insert(
        "limit".to_owned(),
        args.number("limit")?.unwrap_or(50).into(),
    );
    match format {
        "summary" => told(&file, ""),
        "text" => crate::tools::results(agent, &call),
        "json" => {
            let fields = [
                "name",
                "function",
                "status",
                "execution_time",
                "retry_count",
                "result",
                "error",
            ];
            call.insert("fields".to_owned(), json!(fields));
            crate::tools::results(agent, &call)
        }
        other => Err(Mistake::of(
            "format",
            format!("{other:?} is none of text, json, summary"),
        )),
    }
}

fn export(agent: &Agent, args: &Args<'_>) -> Result<Answer, Mistake> {
    let file = queue(agent)?;
    let format = args.text("format")?.unwrap_or("json");
    let path = match args.text("output_file")? {
        Some(path) if path.contains('.') => path.to_owned(),
        Some(path) => format!("{path}.{format}"),
        None => format!("batch_results.{format}"),
    };
    let none = Map::new();
    export_to(agent, &Args::new(&none, &[])?, &file, &path)
}

fn cancel(agent: &Agent, args: &Args<'_>) -> Result<Answer, Mistake> {
    let file = queue(agent)?;
    let mut tasks = args.texts("task_ids")?;
    tasks.extend(args.texts("task_id")?);
    let tasks = match tasks.is_empty() {
        // The former tool cancelled everything that waited.
        true => Choice {
            statuses: vec![Status::Queued, Status::Running],
            ..Choice::default()
        },
        false => Choice::of(tasks),
    };
    let done = changed(&file, Control::Cancel { tasks }, "cancelled")?;
    told(&file, &done)
}
