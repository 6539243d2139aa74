//! `bex_control`: changing a batch.

use batch_actions::{Choice, Control, ControlReply, State, Stop, ask, status as read_status};
use batch_core::Status;
use batch_store::{BatchFile, Store};
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::call::{Agent, Answer, block_on};
use crate::cursor::Cursor;
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
    let example = || json!({ "batch": "b7", "action": "retry", "cause": "c3fa21b" });
    let args = Args::new(arguments, &KNOWN).map_err(|mistake| mistake.with_example(example()))?;
    let action = args
        .text("action")?
        .filter(|action| ACTIONS.contains(action));
    let action = action.ok_or_else(|| {
        Mistake::of("action", format!("it is one of {}", ACTIONS.join(", ")))
            .with_example(example())
    })?;
    let file = agent.file(args.batch()?)?;
    let choice = args.choice()?;
    if args.flag("dry_run")? {
        return dry_run(action, &file, &choice);
    }
    let mut notes = Vec::new();
    let done = match action {
        "cancel" => {
            if choice.is_all() && !args.flag("all")? {
                return Err(Mistake::of(
                    "tasks",
                    "which tasks? give tasks, status, cause, filter, or all",
                )
                .with_example(json!({ "action": "cancel", "all": true })));
            }
            changed(&file, Control::Cancel { tasks: choice }, "cancelled")?
        }
        "retry" => {
            let done = changed(&file, Control::Retry { tasks: choice }, "queued again")?;
            start_if_needed(agent, &file)?;
            done
        }
        "pause" => {
            changed(&file, Control::Pause, "paused")?;
            "Paused: nothing more starts, running tasks go on.".to_owned()
        }
        "resume" => resume(agent, &file)?,
        "stop" => {
            let how = if args.flag("now")? {
                Stop::Now
            } else {
                Stop::Graceful
            };
            changed(&file, Control::Stop { how }, "stopped")?;
            "Stopping: what is queued stays queued.".to_owned()
        }
        "set" => set(agent, &args, &file, choice, &mut notes)?,
        _ => changed(&file, Control::Clear { tasks: choice }, "removed")?,
    };
    answer(&file, &done, &notes)
}

fn answer(file: &BatchFile, done: &str, notes: &[String]) -> Result<Answer, Mistake> {
    let status = read_status(file, false)?;
    let mut page = Page::new(USUAL, &format!("{done} {}", sentence(&status)));
    for note in notes {
        page.line(&format!("Note: {note}"));
    }
    add_next(&mut page, &status, &Cursor::of(&status).text());
    let mut structured = serde_json::to_value(&status).expect("a status is JSON");
    structured["done"] = done.into();
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
    } = reply;
    let mut text = format!(
        "{changed} {} {what}.",
        if changed == 1 { "task" } else { "tasks" }
    );
    if refused_in_all > 0 {
        let first = refused.first().map_or("", |first| first.why.as_str());
        text.push_str(&format!(" {refused_in_all} could not be, first: {first}."));
    }
    Ok(text)
}

fn resume(agent: &Agent, file: &BatchFile) -> Result<String, Mistake> {
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
    start_if_needed(agent, file)?;
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
        let max_concurrent = agent
            .limits()
            .concurrency(Some(asked), notes)
            .unwrap_or(asked);
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
fn dry_run(action: &str, file: &BatchFile, choice: &Choice) -> Result<Answer, Mistake> {
    let statuses: &[Status] = match action {
        "cancel" => &[Status::Queued, Status::Running],
        "retry" => &[Status::Failed],
        "set" => &[Status::Queued],
        "remove" => &[Status::Completed, Status::Failed, Status::Cancelled],
        _ => {
            return Err(Mistake::of(
                "dry_run",
                "it goes with cancel, retry, set and remove",
            ));
        }
    };
    let store = Store::open_read(file.clone()).map_err(batch_actions::ActionError::from)?;
    let resolved = choice.clone().or_statuses(statuses).resolve(&store)?;
    let tasks = resolved.tasks(&store)?;
    let batch = store.batch();
    let names: Vec<String> = tasks
        .iter()
        .take(20)
        .map(|task| batch.task(*task).to_string())
        .collect();
    let count = tasks.len();
    let more = count.saturating_sub(names.len());
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Ok(Answer {
        text: format!(
            "{action} would change {count} tasks: {}{rest}. Nothing was changed.",
            names.join(", ")
        ),
        structured: json!({ "action": action, "tasks": count, "first": names, "dry_run": true }),
        is_error: false,
    })
}
