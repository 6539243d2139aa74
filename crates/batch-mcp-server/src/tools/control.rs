//! `bex_control`: changing a batch.

use std::num::NonZeroU32;
use std::time::Instant;

use batch_actions::{Choice, Control, State, Stop, status as read_status};
use batch_core::{Priority, QueuedReason, Reason, Status, TaskId};
use batch_export::TaskRecord;
use batch_store::{BatchFile, Store};
use serde_json::{Map, Value, json};

use crate::args::{Args, resolve};
use crate::call::{Agent, Answer};
use crate::cursor::Cursor;
use crate::facts::facts;
use crate::mistake::Mistake;
use crate::page::{Page, USUAL, add_next, sentence};
use crate::tools::change::Change;

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

/// What chooses tasks.
pub(crate) const CHOICE: [&str; 5] = ["tasks", "status", "cause", "filter", "all"];

const ACTIONS: [&str; 7] = [
    "cancel", "retry", "pause", "resume", "stop", "set", "remove",
];

pub(crate) fn control(agent: &Agent, arguments: &Map<String, Value>) -> Result<Answer, Mistake> {
    let began = Instant::now();
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
        return dry_run(action, agent, &args, &file, &choice);
    }
    let mut change = Change::new(agent, file, began);
    let done = done(action, &args, choice, agent, &mut change)?;
    answer(&change, &done)
}

/// Does it, and says so.
fn done(
    action: &str,
    args: &Args<'_>,
    tasks: Choice,
    agent: &Agent,
    change: &mut Change<'_>,
) -> Result<String, Mistake> {
    match action {
        "cancel" => change.ask(Control::Cancel { tasks }, "cancelled"),
        "retry" => {
            let done = change.ask(Control::Retry { tasks }, "queued again")?;
            change.start_if_needed()?;
            Ok(done)
        }
        "pause" => {
            change.ask(Control::Pause, "paused")?;
            Ok("Paused: nothing more starts, running tasks go on.".to_owned())
        }
        "resume" => resume(change),
        "stop" => {
            let how = match args.flag("now")? {
                true => Stop::Now,
                false => Stop::Graceful,
            };
            Ok(match change.stop(how)? {
                true => "Stopping: what is queued stays queued.",
                false => "Nothing was running.",
            }
            .to_owned())
        }
        "set" => set(agent, args, tasks, change),
        _ => change.ask(Control::Clear { tasks }, "removed"),
    }
}

/// Arguments that an action would ignore are refused: an agent that names tasks to pause must not pause all.
fn check_together(action: &str, args: &Args<'_>) -> Result<(), Mistake> {
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
    let all = format!("to {action} all tasks give all: true in its place");
    args.refuse_empty(&CHOICE[..4], &all)?;
    let is_chosen = CHOICE[..4].iter().any(|name| args.get(name).is_some()) || args.flag("all")?;
    if matches!(action, "cancel" | "remove") && !is_chosen {
        let message = "which tasks? give tasks, status, cause, filter, or all";
        return Err(Mistake::of("tasks", message));
    }
    Ok(())
}

fn answer(change: &Change<'_>, done: &str) -> Result<Answer, Mistake> {
    let status = read_status(&change.file, false)?;
    let mut page = Page::new(USUAL, &format!("{done} {}", sentence(&status)));
    for note in &change.notes {
        page.note(note);
    }
    let cursor = Cursor::of(&status).text();
    add_next(&mut page, &status, &cursor);
    let mut structured = facts(&status, &status.causes);
    structured["done"] = done.into();
    structured["cursor"] = cursor.into();
    structured["notes"] = json!(change.notes);
    Ok(Answer {
        text: page.finish("bex_status has more"),
        structured,
        is_error: false,
    })
}

fn resume(change: &mut Change<'_>) -> Result<String, Mistake> {
    let status = read_status(&change.file, false)?;
    if status.pid.is_some() && !status.is_stopping() {
        change.ask(Control::Resume, "resumed")?;
        return Ok(match status.state {
            State::Paused => "It goes on.".to_owned(),
            _ => "It is running already.".to_owned(),
        });
    }
    if status.queued + status.running == 0 {
        return Ok("Nothing is left to do.".to_owned());
    }
    change.start_if_needed()?;
    Ok("It goes on with what is left.".to_owned())
}

fn set(
    agent: &Agent,
    args: &Args<'_>,
    tasks: Choice,
    change: &mut Change<'_>,
) -> Result<String, Mistake> {
    let (slots, priority) = setting(args)?;
    let mut done = Vec::new();
    if let Some(asked) = slots {
        let max_concurrent = agent.limits().concurrency(asked, &mut change.notes);
        change.ask(Control::SetConcurrency { max_concurrent }, "set")?;
        done.push(format!("{max_concurrent} tasks run at once now."));
    }
    if let Some(priority) = priority {
        let what = format!("of priority {priority} now");
        done.push(change.ask(Control::SetPriority { tasks, priority }, &what)?);
    }
    Ok(done.join(" "))
}

/// What is to be set.
fn setting(args: &Args<'_>) -> Result<(Option<NonZeroU32>, Option<Priority>), Mistake> {
    let slots = args.slots("max_concurrent")?;
    let priority = args.priority("priority")?;
    if slots.is_none() && priority.is_none() {
        let message = "nothing to set; give max_concurrent or priority";
        return Err(Mistake::of("max_concurrent", message));
    }
    Ok((slots, priority))
}

/// What an action would change.
fn dry_run(
    action: &str,
    agent: &Agent,
    args: &Args<'_>,
    file: &BatchFile,
    choice: &Choice,
) -> Result<Answer, Mistake> {
    if matches!(action, "pause" | "resume" | "stop") {
        let message = "it goes with cancel, retry, set and remove";
        return Err(Mistake::of("dry_run", message));
    }
    let mut notes = Vec::new();
    let slots = match action {
        "set" => setting(args)?.0,
        _ => None,
    };
    let slots = slots.map(|asked| agent.limits().concurrency(asked, &mut notes));
    let store = Store::open_read(file.clone())?;
    let tasks = match (action, args.get("priority")) {
        // Only how many run at once.
        ("set", None) => Vec::new(),
        _ => would_change(action, &store, choice)?,
    };
    let batch = store.batch();
    let named = tasks.iter().take(NAMED);
    let names: Vec<String> = named.map(|task| batch.task(*task).to_string()).collect();
    let mut what = Vec::new();
    if let Some(slots) = slots {
        let now = store.info()?.settings.max_concurrent;
        what.push(format!("how many tasks run at once, from {now} to {slots}"));
    }
    if slots.is_none() || !tasks.is_empty() {
        what.push(in_words(&tasks, &names));
    }
    let what = what.join(", and ");
    let sentence = format!("{action} would change {what}. Nothing was changed.");
    let mut page = Page::new(USUAL, &sentence);
    for note in &notes {
        page.note(note);
    }
    let batch = batch.to_string();
    let next = match slots.is_none() && tasks.is_empty() {
        true => {
            let look = json!({ "batch": batch });
            page.next("bex_status", &look, "shows the batch");
            json!({ "tool": "bex_status", "arguments": look })
        }
        false => {
            let changes = json!({ "batch": batch, "dry_run": null });
            page.again("bex_control", args.all(), &changes, "does it")
        }
    };
    Ok(Answer {
        text: page.finish("name fewer tasks"),
        structured: json!({
            "batch": batch,
            "action": action,
            "tasks": tasks.len(),
            "first": names,
            "max_concurrent": slots,
            "dry_run": true,
            "next": next,
            "notes": notes,
        }),
        is_error: false,
    })
}

/// So many tasks are named in a trial.
const NAMED: usize = 20;

/// Tasks, of which the first are named.
fn in_words(tasks: &[TaskId], names: &[String]) -> String {
    let more = match tasks.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match tasks.len() {
        0 => "no task".to_owned(),
        count => format!("{count} tasks: {}{more}", names.join(", ")),
    }
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
