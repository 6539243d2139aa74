//! `batch_executor`: the nine actions of the former tool, with their parameters as they were.
//!
//! That tool held one queue in memory. Here it is one batch, found by its key, so that each call may come from
//! another process.

use std::num::NonZeroU32;
use std::time::Duration;

use batch_actions::{
    AddReply, AddRequest, BatchRequest, BatchStatus, Choice, Control, Stop, Target, add, create,
    status as read_status,
};
use batch_core::{BatchSettings, Plan, Status};
use batch_store::{BatchFile, Durability, Origin, Store};
use serde_json::{Map, Value, json};

use crate::args::{Args, resolve};
use crate::call::{Agent, Answer, CallContext};
use crate::cursor::Cursor;
use crate::facts::facts;
use crate::mistake::Mistake;
use crate::page::{Page, USUAL, add_causes, sentence};
use crate::tools::control::changed;
use crate::tools::executor_results::{export, results};
use crate::tools::run::{place, slots, start_if_needed};
use crate::tools::status::add_running;
use crate::tools::wait::{Until, Waiting, wait_for};
use crate::tools::wanted::from_json;

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
    let args = Args::new(arguments, &KNOWN)?;
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
        Some("stop") => stop(agent),
        Some("status") => status(agent, args.flag("detailed")?),
        Some("results") => results(agent, &args),
        Some("export") => export(agent, &args),
        Some("clear") => clear(agent),
        Some("cancel") => cancel(agent, &args),
        _ => Err(Mistake::of(
            "action",
            format!("it is one of {}", ACTIONS.join(", ")),
        )),
    }
}

/// The one queue, made when it is first needed.
pub(crate) fn queue(agent: &Agent) -> Result<BatchFile, Mistake> {
    if let Some(file) = agent.home().of_key(KEY)? {
        return Ok(file);
    }
    let request = BatchRequest {
        settings: BatchSettings {
            key: Some(KEY.to_owned()),
            name: Some(KEY.to_owned()),
            ..BatchSettings::with_slots(slots(agent, None, &mut Vec::new()))
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
        "timeout",
    ] {
        if let Some(value) = arguments.get(field).filter(|value| !value.is_null()) {
            task.insert(field.to_owned(), value.clone());
        }
    }
    add_tasks(agent, &[task.into()])
}

fn add_tasks(agent: &Agent, tasks: &[Value]) -> Result<Answer, Mistake> {
    let mut wanted = from_json(tasks, &batch_input::ReadOptions::default())?;
    place(agent, &mut wanted.tasks);
    let mut notes = Vec::new();
    let file = queue(agent)?;
    let there = read_status(&file, false)?.total;
    agent.limits().apply(&mut wanted.tasks, there, &mut notes)?;
    let request = AddRequest {
        tasks: wanted.tasks,
        target: Target::Batch(file.clone()),
        catalog: agent.registry(),
    };
    let added = add(agent.home(), request)?;
    told(&file, &added_text(&added), &notes)
}

fn added_text(added: &AddReply) -> String {
    let ids = match (&added.first, &added.last) {
        (Some(first), Some(last)) if first == last => first.clone(),
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    };
    let plural = if added.added == 1 { "" } else { "s" };
    let mut text = format!("Added {} task{plural}: {ids}.", added.added);
    if added.existing > 0 {
        text.push_str(&format!(" {} were there already.", added.existing));
    }
    text
}

fn start(agent: &Agent, args: &Args<'_>, context: &CallContext) -> Result<Answer, Mistake> {
    let file = queue(agent)?;
    let mut notes = Vec::new();
    let asked = args.slots("max_concurrent")?;
    let timeout = args.duration("timeout")?;
    let is_running = read_status(&file, false)?.pid.is_some();
    match is_running {
        true => adjust(agent, &file, asked, timeout, &mut notes)?,
        false => {
            let slots = asked.map(|asked| slots(agent, Some(asked), &mut notes));
            set(&file, slots, timeout)?;
        }
    }
    start_if_needed(agent, &file, &mut notes)?;
    let waiting = Waiting {
        until: Until::Done,
        before: &Cursor::default(),
        timeout: START_WAIT,
    };
    wait_for(&file, &waiting, context)?;
    let done = if is_running {
        "It was started already."
    } else {
        "Started."
    };
    told(&file, done, &notes)
}

/// The settings of the run that comes. A time limit holds for the run that it was given for, and for no later one.
fn set(
    file: &BatchFile,
    slots: Option<NonZeroU32>,
    timeout: Option<Duration>,
) -> Result<(), Mistake> {
    let mut store = Store::open(file.clone(), Durability::Full)?;
    store.change_settings(|settings| {
        settings.max_concurrent = slots.unwrap_or(settings.max_concurrent);
        settings.batch_timeout = timeout;
    })?;
    Ok(())
}

/// What a run under way can still change.
fn adjust(
    agent: &Agent,
    file: &BatchFile,
    asked: Option<NonZeroU32>,
    timeout: Option<Duration>,
    notes: &mut Vec<String>,
) -> Result<(), Mistake> {
    if let Some(asked) = asked {
        let max_concurrent = slots(agent, Some(asked), notes);
        changed(file, Control::SetConcurrency { max_concurrent }, "set")?;
    }
    if timeout.is_some() {
        notes.push("timeout was not taken: it runs already; stop it first".to_owned());
    }
    Ok(())
}

fn stop(agent: &Agent) -> Result<Answer, Mistake> {
    let file = queue(agent)?;
    if read_status(&file, false)?.pid.is_none() {
        return told(&file, "Nothing was running.", &[]);
    }
    match changed(&file, Control::Stop { how: Stop::Now }, "stopped") {
        Ok(_) => told(&file, "Stopped.", &[]),
        // It ended by itself meanwhile.
        Err(_) if read_status(&file, false)?.pid.is_none() => {
            told(&file, "Nothing was running any more.", &[])
        }
        Err(mistake) => Err(mistake),
    }
}

fn status(agent: &Agent, detailed: bool) -> Result<Answer, Mistake> {
    let file = queue(agent)?;
    answer(&read_status(&file, detailed)?, "", &[])
}

fn clear(agent: &Agent) -> Result<Answer, Mistake> {
    let file = queue(agent)?;
    let tasks = Choice::default();
    let done = changed(&file, Control::Clear { tasks }, "cleared")?;
    told(&file, &done, &[])
}

/// What was done, and how the queue stands.
fn told(file: &BatchFile, done: &str, notes: &[String]) -> Result<Answer, Mistake> {
    answer(&read_status(file, false)?, done, notes)
}

/// How the queue stands, with the line that loops look for.
pub(crate) fn answer(
    status: &BatchStatus,
    done: &str,
    notes: &[String],
) -> Result<Answer, Mistake> {
    let first = match done {
        "" => sentence(status),
        done => format!("{done} {}", sentence(status)),
    };
    let mut page = Page::new(USUAL, &first);
    page.line(&format!("Progress: {:.1}%", shown_progress(status)));
    add_causes(&mut page, status, 5);
    add_running(&mut page, status);
    for note in notes {
        page.note(note);
    }
    let (next, what) = match (status.pid, status.queued) {
        (Some(_), _) => (json!({ "action": "status" }), "shows how it goes on"),
        (None, 1..) => (json!({ "action": "start" }), "runs what is queued"),
        (None, 0) => (
            json!({ "action": "results", "format": "summary" }),
            "shows the results",
        ),
    };
    page.next(KEY, &next, what);
    let mut structured = facts(status, &status.causes);
    structured["done"] = done.into();
    structured["notes"] = json!(notes);
    Ok(Answer {
        text: page.finish("use results"),
        structured,
        is_error: false,
    })
}

/// Loops end at `100.0%`, so what is not all done must never be rounded up to it.
fn shown_progress(status: &BatchStatus) -> f64 {
    match status.finished() < status.total {
        true => status.progress.min(99.9),
        false => status.progress,
    }
}

fn cancel(agent: &Agent, args: &Args<'_>) -> Result<Answer, Mistake> {
    let file = queue(agent)?;
    let mut tasks = args.texts("task_ids")?;
    tasks.extend(args.texts("task_id")?);
    let field = if args.get("task_id").is_some() {
        "task_id"
    } else {
        "task_ids"
    };
    let tasks = match tasks.is_empty() {
        // The former tool cancelled everything that waited.
        true => Choice {
            statuses: vec![Status::Queued, Status::Running],
            ..Choice::default()
        },
        false => Choice::of(tasks),
    };
    let known = Store::open_read(file.clone())
        .map_err(Mistake::from)
        .and_then(|store| resolve(&tasks, &store));
    known.map_err(|mistake| match mistake.field.as_deref() {
        Some("tasks") => Mistake::of(field, mistake.message),
        _ => mistake,
    })?;
    let done = changed(&file, Control::Cancel { tasks }, "cancelled")?;
    told(&file, &done, &[])
}
