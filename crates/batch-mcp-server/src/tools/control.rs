//! `bex_control`: changes a batch.

use std::num::NonZeroU32;
use std::time::Instant;

use batch_actions::{Choice, Control, State, Stop, affected, status as read_status};
use batch_core::{Priority, TaskId};
use batch_store::{BatchFile, Store};
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::args::Args;
use crate::call_error::CallError;
use crate::cursor::Cursor;
use crate::page::{DEFAULT_LIMIT, Page, add_next, sentence};
use crate::session::Session;
use crate::structured::full;
use crate::tools::change::Change;

/// The arguments that select tasks.
pub(crate) const SELECTION: [&str; 5] = ["tasks", "status", "cause", "filter", "all"];

const ACTIONS: [&str; 7] = [
    "cancel", "retry", "pause", "resume", "stop", "set", "remove",
];

/// The actions on a whole batch.
const WHOLE: [&str; 3] = ["pause", "resume", "stop"];

pub(crate) fn control(
    session: &Session,
    arguments: &Map<String, Value>,
) -> Result<Answer, CallError> {
    let began = Instant::now();
    let args = Args::new(arguments, "bex_control")?;
    let action = args
        .text("action")?
        .filter(|action| ACTIONS.contains(action));
    let action = action
        .ok_or_else(|| CallError::of("action", format!("must be one of {}", ACTIONS.join(", "))))?;
    check_together(action, &args)?;
    let settings = Settings::of(action, &args)?;
    let file = session.file(args.batch_of_tasks()?)?;
    let tasks = args.choice()?;
    // Checked here, where an error can name its argument; an executor could only answer in words.
    tasks.resolve(&Store::open_read(file.clone())?)?;
    if args.flag("dry_run")? {
        return dry_run(action, session, &args, &file, settings, tasks);
    }
    let mut change = Change::new(session, file, began);
    let done = match action {
        "pause" => {
            change.ask(Control::Pause, "paused")?;
            "Paused: no more tasks start, running tasks continue.".to_owned()
        }
        "resume" => resume(&mut change)?,
        "stop" => stop(&args, &change)?,
        _ => change_tasks(action, session, settings, tasks, &mut change)?,
    };
    answer(&change, &done)
}

/// Refuses arguments that an action would ignore: a model that names tasks to pause must not pause all.
fn check_together(action: &str, args: &Args<'_>) -> Result<(), CallError> {
    if action != "set" {
        args.refuse(
            &["max_concurrent", "priority"],
            "only valid with action set",
        )?;
    }
    if action != "stop" {
        args.refuse(&["now"], "only valid with action stop")?;
    }
    if WHOLE.contains(&action) {
        let why = format!("{action} applies to the whole batch; omit it");
        args.refuse(&SELECTION, &why)?;
    }
    let all = format!("to {action} all tasks, give all: true instead");
    args.refuse_empty(&SELECTION[..4], &all)?;
    let is_selected =
        SELECTION[..4].iter().any(|name| args.get(name).is_some()) || args.flag("all")?;
    if matches!(action, "cancel" | "remove") && !is_selected {
        let message = "no tasks are selected; give tasks, status, cause, filter, or all";
        return Err(CallError::of("tasks", message));
    }
    Ok(())
}

/// What the action `set` sets.
#[derive(Clone, Copy, Default)]
struct Settings {
    slots: Option<NonZeroU32>,
    priority: Option<Priority>,
}

impl Settings {
    fn of(action: &str, args: &Args<'_>) -> Result<Self, CallError> {
        let settings = Self {
            slots: args.slots("max_concurrent")?,
            priority: args.priority("priority")?,
        };
        if action == "set" && settings.slots.is_none() && settings.priority.is_none() {
            let message = "nothing to set; give max_concurrent or priority";
            return Err(CallError::of("max_concurrent", message));
        }
        Ok(settings)
    }
}

/// The change of tasks that an action makes, and the participle for what it does to them.
fn change_of(action: &str, tasks: Choice, priority: Option<Priority>) -> Option<(Control, String)> {
    Some(match (action, priority) {
        ("cancel", _) => (Control::Cancel { tasks }, "cancelled".to_owned()),
        ("retry", _) => (Control::Retry { tasks }, "queued again".to_owned()),
        ("remove", _) => (Control::Clear { tasks }, "removed".to_owned()),
        (_, Some(priority)) => (
            Control::SetPriority { tasks, priority },
            format!("set to priority {priority}"),
        ),
        _ => return None,
    })
}

/// Does what the action says, and describes it.
fn change_tasks(
    action: &str,
    session: &Session,
    settings: Settings,
    tasks: Choice,
    change: &mut Change<'_>,
) -> Result<String, CallError> {
    let mut done = Vec::new();
    if let Some(asked) = settings.slots {
        let max_concurrent = session.limits.concurrency(asked, &mut change.notes);
        change.ask(Control::SetConcurrency { max_concurrent }, "set")?;
        done.push(format!("Up to {max_concurrent} tasks run at once now."));
    }
    if let Some((control, what)) = change_of(action, tasks, settings.priority) {
        done.push(change.ask(control, &what)?);
    }
    if action == "retry" {
        change.start_if_needed()?;
    }
    Ok(done.join(" "))
}

fn resume(change: &mut Change<'_>) -> Result<String, CallError> {
    let status = read_status(&change.file, false)?;
    let done = if status.pid.is_some() && !status.is_stopping() {
        change.ask(Control::Resume, "resumed")?;
        match status.state {
            State::Paused => "Resumed.",
            _ => "It is running already.",
        }
    } else if status.queued + status.running == 0 {
        "All tasks are finished."
    } else {
        change.start_if_needed()?;
        "Resumed with the remaining tasks."
    };
    Ok(done.to_owned())
}

fn stop(args: &Args<'_>, change: &Change<'_>) -> Result<String, CallError> {
    let how = if args.flag("now")? {
        Stop::Now
    } else {
        Stop::Graceful
    };
    let done = if change.stop(how)? {
        "Stopping: queued tasks stay queued."
    } else {
        "Nothing was running."
    };
    Ok(done.to_owned())
}

fn answer(change: &Change<'_>, done: &str) -> Result<Answer, CallError> {
    let status = read_status(&change.file, false)?;
    let mut page = Page::new(DEFAULT_LIMIT, &format!("{done} {}", sentence(&status)));
    page.notes(&change.notes);
    let cursor = Cursor::of(&status).text();
    add_next(&mut page, &status, &cursor);
    let mut structured = full(&status, &status.causes);
    structured["done"] = done.into();
    structured["cursor"] = cursor.into();
    structured["notes"] = json!(change.notes);
    Ok(Answer::done(page.finish("bex_status has more"), structured))
}

/// Shows what an action would change, by the selection of the action itself.
fn dry_run(
    action: &str,
    session: &Session,
    args: &Args<'_>,
    file: &BatchFile,
    settings: Settings,
    tasks: Choice,
) -> Result<Answer, CallError> {
    if WHOLE.contains(&action) {
        let message = "only valid with cancel, retry, set and remove";
        return Err(CallError::of("dry_run", message));
    }
    let mut notes = Vec::new();
    let slots = settings.slots;
    let slots = slots.map(|asked| session.limits.concurrency(asked, &mut notes));
    let store = Store::open_read(file.clone())?;
    let tasks = match change_of(action, tasks, settings.priority) {
        Some((control, _)) => affected(&control, &store)?,
        None => Vec::new(),
    };
    let batch = store.batch();
    let named = tasks.iter().take(NAMED);
    let names: Vec<String> = named.map(|task| batch.task(*task).to_string()).collect();
    let mut what = Vec::new();
    if let Some(slots) = slots {
        let now = store.info()?.settings.max_concurrent;
        what.push(format!("max_concurrent from {now} to {slots}"));
    }
    if slots.is_none() || !tasks.is_empty() {
        what.push(list(&tasks, &names));
    }
    let what = what.join(", and ");
    let sentence = format!("{action} would change {what}. Nothing was changed.");
    let mut page = Page::new(DEFAULT_LIMIT, &sentence);
    page.notes(&notes);
    let batch = batch.to_string();
    let next = if slots.is_none() && tasks.is_empty() {
        let look = json!({ "batch": batch });
        page.next("bex_status", &look, "shows the batch");
        json!({ "tool": "bex_status", "arguments": look })
    } else {
        let changes = json!({ "batch": batch, "dry_run": null });
        page.again("bex_control", args.all(), &changes, "does it")
    };
    let structured = json!({
        "batch": batch,
        "action": action,
        "tasks": tasks.len(),
        "first": names,
        "max_concurrent": slots,
        "dry_run": true,
        "next": next,
        "notes": notes,
    });
    Ok(Answer::done(page.finish("name fewer tasks"), structured))
}

/// How many tasks a dry run names.
const NAMED: usize = 20;

/// The number of tasks, and the first of them by name.
fn list(tasks: &[TaskId], names: &[String]) -> String {
    let more = match tasks.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match tasks.len() {
        0 => "no task".to_owned(),
        count => format!("{count} tasks: {}{more}", names.join(", ")),
    }
}
