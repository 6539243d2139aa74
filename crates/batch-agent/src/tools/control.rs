//! `bex_control`: changing a batch.

use batch_actions::{Choice, Control, ControlReply, State, Stop, ask, status as read_status};
use batch_core::{QueuedReason, Reason, Status, TaskId};
use batch_export::TaskRecord;
use batch_store::{BatchFile, Store};
use serde_json::{Map, Value, json};

use crate::args::{Args, resolve};
use crate::call::{Agent, Answer, block_on};
use crate::cursor::Cursor;
use crate::cut::visible;
use crate::facts::facts;
use crate::mistake::Mistake;
use crate::page::{Page, USUAL, add_next, sentence};
use crate::tools::run::start_if_needed;

const KNOWN: [&str; 11] = [
    "batch",
    "action",
    "tasks",
    "status",
    "cause",
    "filter",
    "all",
    "max_concurrent",
    "priority",
    "now",
    "dry_run",
];

const ACTIONS: [&str; 7] = [
    "cancel", "retry", "pause", "resume", "stop", "set", "remove",
];

pub(crate) fn control(agent: &Agent, arguments: &Map<String, Value>) -> Result<Answer, Mistake> {
    let args = Args::new(arguments, &KNOWN)?;
    let action = args
        .text("action")?
        .filter(|action| ACTIONS.contains(action));
    let action = action
        .ok_or_else(|| Mistake::of("action", format!("it is one of {}", ACTIONS.join(", "))))?;
    check_together(action, &args)?;
    let file = agent.file(args.batch_of_tasks()?)?;
    let choice = args.choice()?;
    // Here a wrong choice has its argument to be told by; an executor could only answer in words.
    resolve(&choice, &Store::open_read(file.clone())?)?;
    if args.flag("dry_run")? {
        return dry_run(action, &file, &choice, arguments);
    }
    let mut notes = Vec::new();
    let done = match action {
        "cancel" => changed(&file, Control::Cancel { tasks: choice }, "cancelled")?,
        "retry" => {
            let done = changed(&file, Control::Retry { tasks: choice }, "queued again")?;
            start_if_needed(agent, &file, &mut notes)?;
            done
        }
        "pause" => {
            changed(&file, Control::Pause, "paused")?;
            "Paused: nothing more starts, running tasks go on.".to_owned()
        }
        "resume" => resume(agent, &file, &mut notes)?,
        "stop" => {
            let how = match args.flag("now")? {
                true => Stop::Now,
                false => Stop::Graceful,
            };
            changed(&file, Control::Stop { how }, "stopped")?;
            "Stopping: what is queued stays queued.".to_owned()
        }
        "set" => set(agent, &args, &file, choice, &mut notes)?,
        _ => changed(&file, Control::Clear { tasks: choice }, "removed")?,
    };
    answer(&file, &done, &notes)
}

/// Arguments that an action would ignore are refused: an agent that names tasks to pause must not pause all.
fn check_together(action: &str, args: &Args<'_>) -> Result<(), Mistake> {
    const CHOICE: [&str; 5] = ["tasks", "status", "cause", "filter", "all"];
    if action != "set" {
        args.refuse(&["max_concurrent", "priority"], "it goes with action set")?;
    }
    if action != "stop" {
        args.refuse(&["now"], "it goes with action stop")?;
    }
    if matches!(action, "pause" | "resume" | "stop") {
        let why = format!("{action} is about a whole batch; leave it out");
        args.refuse(&CHOICE, &why)?;
    }
    let is_chosen = CHOICE[..4].iter().any(|name| args.get(name).is_some()) || args.flag("all")?;
    if matches!(action, "cancel" | "remove") && !is_chosen {
        let message = "which tasks? give tasks, status, cause, filter, or all";
        let example = json!({ "action": action, "all": true });
        return Err(Mistake::of("tasks", message).with_example(example));
    }
    Ok(())
}

fn answer(file: &BatchFile, done: &str, notes: &[String]) -> Result<Answer, Mistake> {
    let status = read_status(file, false)?;
    let mut page = Page::new(USUAL, &format!("{done} {}", sentence(&status)));
    for note in notes {
        page.note(note);
    }
    let cursor = Cursor::of(&status).text();
    add_next(&mut page, &status, &cursor);
    let mut structured = facts(&status, &status.causes);
    structured["done"] = done.into();
    structured["cursor"] = cursor.into();
    structured["notes"] = json!(notes);
    Ok(Answer {
        text: page.finish("bex_status has more"),
        structured,
        is_error: false,
    })
}

/// Has something done, and says how much.
pub(crate) fn changed(file: &BatchFile, control: Control, what: &str) -> Result<String, Mistake> {
    let reply = block_on(ask(file, control))??;
    let ControlReply {
        changed,
        refused,
        refused_in_all,
        ..
    } = reply;
    let mut text = format!(
        "{changed} {} {what}.",
        if changed == 1 { "task" } else { "tasks" }
    );
    if refused_in_all > 0 {
        let first = refused.first().map_or("", |first| first.why.as_str());
        let first = visible(first, 200);
        text.push_str(&format!(" {refused_in_all} could not be, first: {first}."));
    }
    Ok(text)
}

fn resume(agent: &Agent, file: &BatchFile, notes: &mut Vec<String>) -> Result<String, Mistake> {
    let status = read_status(file, false)?;
    if status.pid.is_some() {
        changed(file, Control::Resume, "resumed")?;
        return Ok(match status.state {
            State::Paused => "It goes on.".to_owned(),
            _ => "It is running already.".to_owned(),
        });
    }
    if status.queued + status.running == 0 {
        return Ok("Nothing is left to do.".to_owned());
    }
    start_if_needed(agent, file, notes)?;
    Ok("It goes on with what is left.".to_owned())
}

fn set(
    agent: &Agent,
    args: &Args<'_>,
    file: &BatchFile,
    tasks: Choice,
    notes: &mut Vec<String>,
) -> Result<String, Mistake> {
    let slots = args.slots("max_concurrent")?;
    let priority = args.priority("priority")?;
    if slots.is_none() && priority.is_none() {
        return Err(Mistake::of(
            "max_concurrent",
            "nothing to set; give max_concurrent or priority",
        )
        .with_example(json!({ "action": "set", "max_concurrent": 8 })));
    }
    let mut done = Vec::new();
    if let Some(asked) = slots {
        let max_concurrent = agent.limits().concurrency(asked, notes);
        changed(file, Control::SetConcurrency { max_concurrent }, "set")?;
        done.push(format!("{max_concurrent} tasks run at once now."));
    }
    if let Some(priority) = priority {
        let what = format!("of priority {priority} now");
        done.push(changed(
            file,
            Control::SetPriority { tasks, priority },
            &what,
        )?);
    }
    Ok(done.join(" "))
}

/// What an action would change.
fn dry_run(
    action: &str,
    file: &BatchFile,
    choice: &Choice,
    arguments: &Map<String, Value>,
) -> Result<Answer, Mistake> {
    const NAMED: usize = 20;
    if matches!(action, "pause" | "resume" | "stop") {
        let message = "it goes with cancel, retry, set and remove";
        return Err(Mistake::of("dry_run", message));
    }
    let store = Store::open_read(file.clone())?;
    let tasks = would_change(action, &store, choice)?;
    let batch = store.batch();
    let named = tasks.iter().take(NAMED);
    let names: Vec<String> = named.map(|task| batch.task(*task).to_string()).collect();
    let count = tasks.len();
    let mut list = names.join(", ");
    if count > NAMED {
        list.push_str(&format!(" and {} more", count - NAMED));
    }
    let what = match list.is_empty() {
        true => "no task".to_owned(),
        false => format!("{count} tasks: {list}"),
    };
    let sentence = format!("{action} would change {what}. Nothing was changed.");
    let mut page = Page::new(USUAL, &sentence);
    let batch = batch.to_string();
    match count {
        0 => page.next("bex_status", &json!({ "batch": batch }), "shows the batch"),
        _ => {
            let changes = json!({ "batch": batch, "dry_run": null });
            page.again("bex_control", arguments, &changes, "does it");
        }
    }
    Ok(Answer {
        text: page.finish("name fewer tasks"),
        structured: json!({ "batch": batch, "action": action, "tasks": count, "first": names, "dry_run": true }),
        is_error: false,
    })
}

/// The tasks that an action would change: of those chosen, the ones whose state allows it.
fn would_change(action: &str, store: &Store, choice: &Choice) -> Result<Vec<TaskId>, Mistake> {
    let is_plain = choice.statuses.is_empty() && choice.tasks.is_empty();
    let fits = |record: &TaskRecord| match action {
        "cancel" => !record.status.is_final(),
        "set" => record.status == Status::Queued,
        "retry" => match record.reason {
            Some(Reason::Queued(QueuedReason::Held)) => choice.cause.is_none(),
            // What completed is run again only when it is named, what was cancelled also when a filter finds it.
            _ if !is_plain => record.status.is_final(),
            _ if choice.filter.is_some() => {
                matches!(record.status, Status::Failed | Status::Cancelled)
            }
            _ => record.status == Status::Failed,
        },
        _ => record.status.is_final(),
    };
    let resolved = resolve(choice, store)?;
    let mut selection = resolved.selection.clone();
    selection.without_outputs = true;
    let mut tasks = Vec::new();
    store.for_each_task::<Mistake>(&selection, |record| {
        if resolved.matches(&record) && fits(&record) {
            tasks.push(record.task);
        }
        Ok(true)
    })?;
    Ok(tasks)
}
