//! `batch_executor`: the nine actions of the former tool, with their parameters as they were.
//!
//! That tool held one queue in memory. Here it is one batch, found by its key, so that each call may come from
//! another process.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use batch_actions::{
    ActionError, AddReply, AddRequest, BatchRequest, BatchStatus, Choice, Control, Stop, Target,
    add, create, place_tasks, status as read_status,
};
use batch_core::{BatchSettings, FullTaskId, Plan, Status, Surroundings, TaskId};
use batch_store::{BatchFile, Durability, Origin, Store};
use serde_json::{Map, Value, json};

use crate::args::{Args, resolve};
use crate::call::{Agent, Answer, CallContext};
use crate::cursor::Cursor;
use crate::facts::{facts, within};
use crate::mistake::Mistake;
use crate::page::{Page, USUAL, add_causes, sentence};
use crate::tools::change::Change;
use crate::tools::examples::first_task;
use crate::tools::executor_call::{ExecutorCall, TASKS, given};
use crate::tools::executor_results::{export, results};
use crate::tools::problems::{Source, Wanted};
use crate::tools::run::slots;
use crate::tools::status::add_running;
use crate::tools::wait::{Until, Waiting, wait_for};
use crate::tools::wanted::from_json;

const KEY: &str = "batch_executor";

/// A start answers after so long at the latest.
const START_WAIT: Duration = Duration::from_secs(20);

pub(crate) fn executor(
    agent: &Agent,
    arguments: &Map<String, Value>,
    context: &CallContext,
) -> Result<Answer, Mistake> {
    let ExecutorCall {
        action,
        arguments,
        notes,
    } = ExecutorCall::read(arguments)?;
    let args = Args::of(&arguments);
    match action {
        // A task given by the fields of the call itself.
        "add" => add_tasks(agent, &[arguments.clone().into()], Source::Call, notes),
        "add_batch" => add_tasks(agent, task_list(&args)?, Source::Tasks, notes),
        "start" => start(agent, &args, notes, context),
        "stop" => stop(agent, &notes),
        "status" => status(agent, args.flag("detailed")?, &notes),
        "results" => results(agent, &args, &notes),
        "export" => export(agent, &args, &notes),
        "clear" => clear(agent, &notes),
        _ => cancel(agent, &args, &notes),
    }
}

fn task_list<'a>(args: &Args<'a>) -> Result<&'a [Value], Mistake> {
    let tasks = args.list("tasks")?;
    tasks
        .map(Vec::as_slice)
        .ok_or_else(|| Mistake::of("tasks", "add_batch needs a list of tasks"))
}

/// The one queue; there is none before a task was added.
pub(crate) fn queue(agent: &Agent) -> Result<Option<BatchFile>, Mistake> {
    Ok(agent.home().of_key(KEY)?)
}

/// Makes the queue for the first tasks. They are checked before, so that wrong ones leave nothing behind.
fn new_queue(agent: &Agent, wanted: &Wanted) -> Result<BatchFile, Mistake> {
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
            ..Origin::default()
        },
        ..BatchRequest::default()
    };
    wanted.plan(&Surroundings {
        catalog: agent.registry(),
        limits: &request.settings.limits,
        submitted: &|_| None,
    })?;
    // Made empty, so that another call that makes it at the same time gets the same one.
    let made = create(agent.home(), &request, &Plan::default())?;
    Ok(BatchFile::new(made.file))
}

fn add_tasks(
    agent: &Agent,
    tasks: &[Value],
    source: Source,
    mut notes: Vec<String>,
) -> Result<Answer, Mistake> {
    let tasks: Vec<Value> = tasks.iter().map(given).collect();
    let mut wanted = from_json(&tasks, source, &batch_input::ReadOptions::default())?;
    if !wanted.file.problems.is_empty() {
        return Err(wanted.invalid(Vec::new()));
    }
    place_tasks(&mut wanted.file.tasks, agent.folder());
    let file = queue(agent)?;
    let there = match &file {
        Some(file) => read_status(file, false)?.total,
        None => 0,
    };
    let limited = agent
        .limits()
        .apply(&mut wanted.file.tasks, there, &mut notes);
    limited.map_err(|refused| wanted.refused(refused))?;
    if wanted.file.tasks.is_empty() {
        return told(agent, file.as_ref(), "No task was given.", &notes);
    }
    let file = file.map_or_else(|| new_queue(agent, &wanted), Ok)?;
    let request = AddRequest {
        tasks: wanted.file.tasks.clone(),
        target: Target::Batch(file.clone()),
        catalog: agent.registry(),
    };
    let added = add(agent.home(), request).map_err(|error| match error {
        ActionError::Invalid(found) => wanted.invalid(found),
        other => other.into(),
    })?;
    let mut answer = told(agent, Some(&file), &added_text(&added), &notes)?;
    answer.structured["added"] = added.added.into();
    answer.structured["ids"] = ids(&added);
    answer.structured["first"] = added.first.into();
    answer.structured["last"] = added.last.into();
    Ok(answer)
}

/// The first of the ids of tasks that were added one after the other.
fn ids(added: &AddReply) -> Value {
    const BYTES: usize = 1_000;
    let number = |name: &Option<String>| name.as_deref()?.parse::<FullTaskId>().ok();
    let (Some(first), Some(last)) = (number(&added.first), number(&added.last)) else {
        return json!([]);
    };
    // Some that were there already lie anywhere.
    let tasks = match added.existing {
        0 => first.task.index()..=last.task.index(),
        _ => return json!([]),
    };
    let name = |index| first.batch.task(TaskId::from_index(index)).to_string();
    within(tasks.map(|index| name(index).into()), BYTES)
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

fn start(
    agent: &Agent,
    args: &Args<'_>,
    mut notes: Vec<String>,
    context: &CallContext,
) -> Result<Answer, Mistake> {
    let began = Instant::now();
    let asked = args.slots("max_concurrent")?;
    let timeout = args.duration("timeout")?;
    let Some(file) = queue(agent)? else {
        return told(agent, None, "", &notes);
    };
    let mut change = Change::new(agent, file, began);
    let is_running = read_status(&change.file, false)?.pid.is_some();
    match is_running {
        true => adjust(agent, &mut change, asked, timeout)?,
        false => {
            let slots = asked.map(|asked| slots(agent, Some(asked), &mut change.notes));
            set(&change.file, slots, timeout)?;
        }
    }
    change.start_if_needed()?;
    let waiting = Waiting {
        until: Until::Done,
        before: &Cursor::default(),
        timeout: START_WAIT.min(change.left()),
    };
    wait_for(&change.file, &waiting, context)?;
    let done = if is_running {
        "It was started already."
    } else {
        "Started."
    };
    notes.append(&mut change.notes);
    told(agent, Some(&change.file), done, &notes)
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
    change: &mut Change<'_>,
    asked: Option<NonZeroU32>,
    timeout: Option<Duration>,
) -> Result<(), Mistake> {
    if let Some(asked) = asked {
        let max_concurrent = slots(agent, Some(asked), &mut change.notes);
        change.ask(Control::SetConcurrency { max_concurrent }, "set")?;
    }
    if timeout.is_some() {
        let note = "timeout was not taken: it runs already; stop it first";
        change.notes.push(note.to_owned());
    }
    Ok(())
}

fn stop(agent: &Agent, notes: &[String]) -> Result<Answer, Mistake> {
    let nothing = "Nothing was running.";
    let Some(file) = queue(agent)? else {
        return told(agent, None, nothing, notes);
    };
    let change = Change::new(agent, file, Instant::now());
    let done = match change.stop(Stop::Now)? {
        true => "Stopped.",
        false => nothing,
    };
    told(agent, Some(&change.file), done, notes)
}

fn status(agent: &Agent, detailed: bool, notes: &[String]) -> Result<Answer, Mistake> {
    match queue(agent)? {
        Some(file) => answer(&read_status(&file, detailed)?, "", notes),
        None => told(agent, None, "", notes),
    }
}

fn clear(agent: &Agent, notes: &[String]) -> Result<Answer, Mistake> {
    let Some(file) = queue(agent)? else {
        return told(agent, None, "0 tasks cleared.", notes);
    };
    let tasks = Choice::default();
    let change = Change::new(agent, file, Instant::now());
    let done = change.ask(Control::Clear { tasks }, "cleared")?;
    told(agent, Some(&change.file), &done, notes)
}

/// What was done, and how the queue stands.
pub(crate) fn told(
    agent: &Agent,
    file: Option<&BatchFile>,
    done: &str,
    notes: &[String],
) -> Result<Answer, Mistake> {
    match file {
        Some(file) => answer(&read_status(file, false)?, done, notes),
        None => Ok(empty(agent, done, notes)),
    }
}

/// The answer while there is no queue.
fn empty(agent: &Agent, done: &str, notes: &[String]) -> Answer {
    let first = format!("{done} Nothing was added yet: 0 of 0 tasks finished.");
    let mut page = Page::new(USUAL, first.trim_start());
    page.line("Progress: 100.0%");
    for note in notes {
        page.note(note);
    }
    let add = first_task(agent);
    page.next(KEY, &add, "adds a task");
    Answer {
        text: page.finish("there is no more"),
        structured: json!({
            "total": 0, "queued": 0, "running": 0, "completed": 0, "failed": 0, "cancelled": 0,
            "tasks": [], "done": done, "notes": notes,
        }),
        is_error: false,
    }
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

fn cancel(agent: &Agent, args: &Args<'_>, notes: &[String]) -> Result<Answer, Mistake> {
    let mut named = Vec::new();
    for name in TASKS {
        let texts = args.texts(name)?.into_iter();
        named.extend(texts.filter(|text| !text.trim().is_empty()));
    }
    if named.is_empty() {
        args.refuse_empty(&TASKS, "leave it out to cancel all that waits or runs")?;
    }
    let field = TASKS.into_iter().find(|name| args.get(name).is_some());
    let field = field.unwrap_or("task_id");
    let Some(file) = queue(agent)? else {
        return match named.is_empty() {
            true => told(agent, None, "0 tasks cancelled.", notes),
            false => Err(Mistake::of(field, "there is no task yet")),
        };
    };
    let tasks = match named.is_empty() {
        // The former tool cancelled everything that waited.
        true => Choice {
            statuses: vec![Status::Queued, Status::Running],
            ..Choice::default()
        },
        false => Choice::of(named),
    };
    let known = Store::open_read(file.clone())
        .map_err(Mistake::from)
        .and_then(|store| resolve(&tasks, &store));
    known.map_err(|mistake| match mistake.field.as_deref() {
        Some("tasks") => Mistake::of(field, mistake.message),
        _ => mistake,
    })?;
    let change = Change::new(agent, file, Instant::now());
    let done = change.ask(Control::Cancel { tasks }, "cancelled")?;
    told(agent, Some(&change.file), &done, notes)
}
