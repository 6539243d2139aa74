//! `add` and `add_batch`: tasks for the queue.

use batch_actions::{
    ActionError, AddReply, AddRequest, BatchRequest, Target, add, create, place_tasks,
    status as read_status,
};
use batch_core::{BatchSettings, Plan, SettingsRequest, TaskId, ids::FullTaskId};
use batch_store::{BatchFile, Origin};
use serde_json::{Value, json};

use super::call::given;
use super::queue::{KEY, queue, queue_answer};
use crate::answer::Answer;
use crate::args::Args;
use crate::call_error::CallError;
use crate::session::Session;
use crate::structured::fitting;
use crate::tools::read_tasks::from_json;
use crate::tools::task_input::{Source, TaskInput};

pub(super) fn task_list<'a>(args: &Args<'a>) -> Result<&'a [Value], CallError> {
    let tasks = args.list("tasks")?;
    tasks
        .map(Vec::as_slice)
        .ok_or_else(|| CallError::of("tasks", "add_batch needs a list of tasks"))
}

/// Creates the queue for the first tasks. They are checked before, so that invalid ones leave nothing behind.
fn new_queue(session: &Session, input: &TaskInput) -> Result<BatchFile, CallError> {
    let request = BatchRequest {
        settings: BatchSettings {
            key: Some(KEY.to_owned()),
            name: Some(KEY.to_owned()),
            ..BatchSettings::with_slots(session.slots(None, &mut Vec::new()))
        },
        origin: Origin {
            way: KEY.to_owned(),
            file: None,
            format: Some("text".to_owned()),
            ..Origin::default()
        },
        ..BatchRequest::default()
    };
    input.plan(&session.registry, &request.settings.limits)?;
    // Created empty, so that another call that creates it at the same time gets the same one.
    let created = create(&session.home, &request, &Plan::default())?;
    Ok(BatchFile::new(created.file))
}

pub(super) fn add_tasks(
    session: &Session,
    tasks: &[Value],
    source: Source,
    mut notes: Vec<String>,
) -> Result<Answer, CallError> {
    let tasks: Vec<Value> = tasks.iter().map(given).collect();
    let mut input = from_json(&tasks, source, &batch_input::ReadOptions::default())?;
    if !input.file.problems.is_empty() {
        return Err(input.invalid(Vec::new()));
    }
    place_tasks(&mut input.file.tasks, &session.folder);
    let file = queue(session)?;
    let existing = match &file {
        Some(file) => read_status(file, false)?.total,
        None => 0,
    };
    let limits = &session.limits;
    let limited = limits.apply(&mut input.file.tasks, existing, &mut notes);
    limited.map_err(|refused| input.refused(refused))?;
    if input.file.tasks.is_empty() {
        return queue_answer(session, file.as_ref(), "No tasks were given.", &notes);
    }
    let file = file.map_or_else(|| new_queue(session, &input), Ok)?;
    let request = AddRequest {
        tasks: input.file.tasks.clone(),
        target: Target::Batch(file.clone()),
        settings: SettingsRequest::default(),
        catalog: &session.registry,
    };
    let added = add(&session.home, request).map_err(|error| match error {
        ActionError::Invalid(found) => input.invalid(found),
        other => other.into(),
    })?;
    let mut answer = queue_answer(session, Some(&file), &added_text(&added), &notes)?;
    answer.structured["added"] = added.added.into();
    answer.structured["ids"] = ids(&added);
    answer.structured["first"] = added.first.into();
    answer.structured["last"] = added.last.into();
    Ok(answer)
}

/// The ids of tasks that were added one after the other, as many as fit.
fn ids(added: &AddReply) -> Value {
    const BYTES: usize = 1_000;
    let number = |name: &Option<String>| name.as_deref()?.parse::<FullTaskId>().ok();
    let (Some(first), Some(last)) = (number(&added.first), number(&added.last)) else {
        return json!([]);
    };
    // Existing ones have any numbers.
    let tasks = match added.existing {
        0 => first.task.index()..=last.task.index(),
        _ => return json!([]),
    };
    let name = |index| first.batch.task(TaskId::from_index(index)).to_string();
    fitting(tasks.map(|index| name(index).into()), BYTES)
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
        text.push_str(&format!(" {} existed already.", added.existing));
    }
    text
}
