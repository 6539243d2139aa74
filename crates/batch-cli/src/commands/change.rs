//! Verbs that have something done to a batch by the process that works on it: `cancel`, `retry`, `clear`, `pause`, `set`.

use batch_actions::{Choice, Control, ControlReply, Home, status};
use batch_core::text::Counted;
use batch_store::BatchFile;

use crate::args::{ChangeArgs, Named, PlainArgs, SetArgs};
use crate::exit::{CliError, Exit};
use crate::hints::Naming;
use crate::reply::{print, tell};
use crate::request_change::request_change;

/// `bex cancel`.
pub(crate) fn cancel(args: &ChangeArgs) -> Result<Exit, CliError> {
    let (file, tasks, is_whole) = chosen(args)?;
    if tasks.is_all() && !is_whole {
        let message = "which tasks? name them, or give --filter, --status or --all";
        return Err(CliError::Usage(message.to_owned()));
    }
    let reply = request_change(&file, Control::Cancel { tasks })?;
    reply_with(args.json, &reply, |n| {
        format!("{} cancelled", Counted(n, "task"))
    })
}

/// `bex release`.
pub(crate) fn release(args: &ChangeArgs) -> Result<Exit, CliError> {
    let (file, tasks, is_whole) = chosen(args)?;
    if tasks.is_all() && !is_whole {
        let message = "which tasks? name them, or give --filter or --all";
        return Err(CliError::Usage(message.to_owned()));
    }
    let reply = request_change(&file, Control::Release { tasks })?;
    let exit = reply_with(args.json, &reply, |n| {
        format!("{} released", Counted(n, "task"))
    })?;
    tell_if_nothing_runs(args, &file, &reply)?;
    Ok(exit)
}

/// `bex retry`.
pub(crate) fn retry(args: &ChangeArgs) -> Result<Exit, CliError> {
    let (file, tasks, _) = chosen(args)?;
    let reply = request_change(&file, Control::Retry { tasks })?;
    let exit = reply_with(args.json, &reply, |n| {
        format!("{} queued again", Counted(n, "task"))
    })?;
    tell_if_nothing_runs(args, &file, &reply)?;
    Ok(exit)
}

/// Tasks that were queued may have nobody to run them.
fn tell_if_nothing_runs(
    args: &ChangeArgs,
    file: &BatchFile,
    reply: &ControlReply,
) -> Result<(), CliError> {
    let status = status(file, false)?;
    if !args.json && reply.changed > 0 && status.pid.is_none() {
        let (batch, naming) = (&status.batch, Naming::of(&status));
        tell(format_args!(
            "bex: nothing runs {batch}; run it with: bex start {naming}, or bex resume {naming}"
        ));
    }
    Ok(())
}

/// `bex clear`.
pub(crate) fn clear(args: &ChangeArgs) -> Result<Exit, CliError> {
    let (file, tasks, _) = chosen(args)?;
    let reply = request_change(&file, Control::Clear { tasks })?;
    let removed = reply.removed.unwrap_or_default();
    reply_with(args.json, &reply, |n| {
        let each = [
            (removed.completed, "completed"),
            (removed.failed, "failed"),
            (removed.cancelled, "cancelled"),
        ];
        let each = each.iter().filter(|(count, _)| *count > 0);
        let each: Vec<String> = each
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let told = format!("{} cleared", Counted(n, "finished task"));
        match each.is_empty() {
            true => told,
            false => format!("{told}: {}", each.join(", ")),
        }
    })
}

/// `bex pause`.
pub(crate) fn pause(args: &PlainArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let reply = request_change(&file, Control::Pause)?;
    let status = status(&file, false)?;
    reply_with(args.json, &reply, |_| {
        let (batch, naming) = (&status.batch, Naming::of(&status));
        match (status.state.is_done(), status.pid) {
            (true, _) => format!(
                "{batch} {}, and nothing runs; tasks added from now on wait for: bex resume {naming}",
                status.state.predicate()
            ),
            (false, None) => format!("{batch} is paused. Continue with: bex resume {naming}"),
            (false, Some(_)) => format!(
                "{batch} is paused; running tasks continue to their end. Continue with: bex resume {naming}"
            ),
        }
    })
}

/// `bex set`.
pub(crate) fn set(args: &SetArgs) -> Result<Exit, CliError> {
    let words = &args.choice.tasks;
    let Named { file, tasks, .. } = args.batch.find_with(&Home::of_environment(), words)?;
    let tasks = args.choice.choice(tasks);
    let message = match (args.max_concurrent, args.priority) {
        (None, None) => "nothing to set; give -j N, or --priority PRIORITY with tasks or a filter",
        (_, None) if !tasks.is_all() => "tasks were selected but no --priority was given",
        _ => "",
    };
    if !message.is_empty() {
        return Err(CliError::Usage(message.to_owned()));
    }
    let mut reply = ControlReply::default();
    let mut said = Vec::new();
    if let Some(max_concurrent) = args.max_concurrent {
        reply = request_change(&file, Control::SetConcurrency { max_concurrent })?;
        said.push(match max_concurrent.get() {
            1 => "1 task runs at once".to_owned(),
            n => format!("{n} tasks run at once"),
        });
    }
    if let Some(priority) = args.priority {
        reply = ControlReply {
            max_concurrent: reply.max_concurrent,
            ..request_change(&file, Control::SetPriority { tasks, priority })?
        };
        let tasks = Counted(reply.changed, "task");
        let have = if reply.changed == 1 { "has" } else { "have" };
        said.push(format!("{tasks} now {have} priority {priority}"));
    }
    reply_with(args.json, &reply, |_| said.join(", "))
}

/// The batch that is meant, the choice of its tasks, and whether all of it is named.
fn chosen(args: &ChangeArgs) -> Result<(BatchFile, Choice, bool), CliError> {
    let words = &args.choice.tasks;
    let named = args.batch.find_with(&Home::of_environment(), words)?;
    if args.all && !named.tasks.is_empty() {
        let message = "--all is all tasks of the batch; name some, or give --all";
        return Err(CliError::Usage(message.to_owned()));
    }
    let is_whole = named.is_whole || args.all;
    Ok((named.file, args.choice.choice(named.tasks), is_whole))
}

/// Tells what changed, and what could not be: where nothing could, that is an error.
fn reply_with(
    json: bool,
    reply: &ControlReply,
    text: impl FnOnce(u64) -> String,
) -> Result<Exit, CliError> {
    print(json, reply, || text(reply.changed))?;
    for refused in &reply.refused {
        tell(format_args!("bex: {}", refused.why));
    }
    if let Some(more) = reply
        .refused_in_all
        .checked_sub(reply.refused.len() as u64)
        .filter(|more| *more > 0)
    {
        tell(format_args!("bex: … and {more} more"));
    }
    Ok(match (reply.changed, reply.refused_in_all) {
        (0, 1..) => Exit::Usage,
        _ => Exit::Completed,
    })
}
