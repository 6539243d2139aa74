//! `batch_executor`: the nine actions of the former tool, with their parameters as they were.
//!
//! That tool held one queue in memory. Here it is one batch, found by its key, so that each call may come from
//! another process.

mod add;
mod call;
pub(crate) mod queue;
mod results;
mod start;

use std::time::Instant;

use batch_actions::{Choice, Control, status as read_status};
use batch_core::Status;
use batch_store::Store;
use serde_json::{Map, Value};

use self::add::{add_tasks, task_list};
pub(crate) use self::call::is_executor_action;
use self::call::{ExecutorCall, TASKS};
use self::queue::{answer, queue, queue_answer};
use self::results::{export, results};
use self::start::{start, stop};
use crate::answer::Answer;
use crate::args::Args;
use crate::call_error::CallError;
use crate::session::{CallContext, Session};
use crate::tools::change::Change;
use crate::tools::task_input::Source;

pub(crate) fn batch_executor(
    session: &Session,
    arguments: &Map<String, Value>,
    context: &CallContext,
) -> Result<Answer, CallError> {
    let ExecutorCall {
        action,
        arguments,
        notes,
    } = ExecutorCall::read(arguments)?;
    let args = Args::of(&arguments);
    match action {
        // A task given by the fields of the call itself.
        "add" => add_tasks(session, &[arguments.clone().into()], Source::Call, notes),
        "add_batch" => add_tasks(session, task_list(&args)?, Source::Tasks, notes),
        "start" => start(session, &args, notes, context),
        "stop" => stop(session, &notes),
        "status" => status(session, args.flag("detailed")?, &notes),
        "results" => results(session, &args, &notes),
        "export" => export(session, &args, &notes),
        "clear" => clear(session, &notes),
        _ => cancel(session, &args, &notes),
    }
}

fn status(session: &Session, detailed: bool, notes: &[String]) -> Result<Answer, CallError> {
    match queue(session)? {
        Some(file) => Ok(answer(&read_status(&file, detailed)?, "", None, notes)),
        None => queue_answer(session, None, "", notes),
    }
}

fn clear(session: &Session, notes: &[String]) -> Result<Answer, CallError> {
    let Some(file) = queue(session)? else {
        return queue_answer(session, None, "0 tasks cleared.", notes);
    };
    let tasks = Choice::default();
    let change = Change::new(session, file, Instant::now());
    let done = change.ask(Control::Clear { tasks }, "cleared")?;
    queue_answer(session, Some(&change.file), &done, notes)
}

fn cancel(session: &Session, args: &Args<'_>, notes: &[String]) -> Result<Answer, CallError> {
    let mut named = Vec::new();
    for name in TASKS {
        let texts = args.texts(name)?.into_iter();
        named.extend(texts.filter(|text| !text.trim().is_empty()));
    }
    if named.is_empty() {
        args.refuse_empty(&TASKS, "omit it to cancel all queued and running tasks")?;
    }
    let field = TASKS.into_iter().find(|name| args.get(name).is_some());
    let field = field.unwrap_or("task_id");
    let Some(file) = queue(session)? else {
        return match named.is_empty() {
            true => queue_answer(session, None, "0 tasks cancelled.", notes),
            false => Err(CallError::of(field, "no tasks were added yet")),
        };
    };
    let tasks = match named.is_empty() {
        // The former tool cancelled all queued tasks.
        true => Choice {
            statuses: vec![Status::Queued, Status::Running],
            ..Choice::default()
        },
        false => Choice::of(named),
    };
    let store = Store::open_read(file.clone())?;
    let known = tasks.resolve(&store).map_err(CallError::from);
    known.map_err(|error| error.renamed("tasks", field))?;
    let change = Change::new(session, file, Instant::now());
    let done = change.ask(Control::Cancel { tasks }, "cancelled")?;
    queue_answer(session, Some(&change.file), &done, notes)
}
