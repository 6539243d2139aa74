//! The tasks extension: a batch is a task of the protocol, and its file has the answers.
//!
//! Nothing of a task is kept in memory, so any later server answers for it, and it does not end with a time to live.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolResponse, CreateTaskResult, DetailedTask, GetTaskResult, JsonObject, Task, TaskPayload,
    TaskStatus,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value, json};

use crate::wire::calls::{Call, Caller, internal, result};

/// A batch that is done within this time is answered directly.
const SHORT_WAIT: Duration = Duration::from_secs(2);

const POLL_MS: u64 = 2_000;

/// Runs a batch for a client that supports tasks: what takes longer becomes a task.
pub(crate) async fn run(
    caller: &Caller,
    arguments: Map<String, Value>,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let call = Call::new("bex_run", arguments).waiting(SHORT_WAIT);
    let answer = caller.call(call, context).await?;
    let goes_on = !answer.is_error && answer.structured["pid"].is_u64();
    match task(&answer.structured, &answer.text).filter(|_| goes_on) {
        Some(task) => Ok(CallToolResponse::Task(CreateTaskResult::new(task))),
        None => Ok(result(answer).into()),
    }
}

/// The state of a task, and its result once it is done.
pub(crate) async fn get(
    caller: &Caller,
    id: &str,
    context: &RequestContext<RoleServer>,
) -> Result<GetTaskResult, ErrorData> {
    let mut arguments = Map::new();
    arguments.insert("batch".to_owned(), id.into());
    arguments.insert("timeout_s".to_owned(), 0.into());
    let call = Call::new("bex_wait", arguments);
    let answer = caller.call(call, context).await?;
    let task = task(&answer.structured, &answer.text).filter(|_| !answer.is_error);
    let Some(task) = task else {
        return Err(ErrorData::invalid_params(
            format!("unknown task {id}: {}", answer.text),
            None,
        ));
    };
    let payload = match task.status {
        TaskStatus::Working => TaskPayload::Working,
        TaskStatus::Cancelled => TaskPayload::Cancelled,
        _ => {
            let result = serde_json::to_value(result(answer)).map_err(internal)?;
            let result: JsonObject = match result {
                Value::Object(fields) => fields,
                _ => Map::new(),
            };
            TaskPayload::Completed { result }
        }
    };
    Ok(GetTaskResult::new(DetailedTask::new(task, payload)))
}

/// Cancels what a task has not done.
pub(crate) async fn cancel(
    caller: &Caller,
    id: &str,
    context: &RequestContext<RoleServer>,
) -> Result<(), ErrorData> {
    let arguments = json!({ "batch": id, "action": "cancel", "all": true });
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let call = Call::new("bex_control", arguments);
    let answer = caller.call(call, context).await?;
    if answer.is_error {
        return Err(ErrorData::invalid_params(answer.text, None));
    }
    Ok(())
}

/// The task of a batch, from its status.
fn task(status: &Value, text: &str) -> Option<Task> {
    let batch = status["batch"].as_str()?;
    let created = status["created_at"].as_str()?;
    let updated = status["ended_at"].as_str().unwrap_or(created);
    let is_none = |what: &str| status[what].as_u64() == Some(0);
    // Only a batch with an executor continues by itself. What was cancelled for a failure has a failure beside it.
    let at = match status["pid"].is_u64() {
        true => TaskStatus::Working,
        false if !is_none("cancelled") && is_none("failed") => TaskStatus::Cancelled,
        false => TaskStatus::Completed,
    };
    let line = text.lines().next().unwrap_or_default();
    let task = Task::new(batch, at, created, updated);
    Some(
        task.with_status_message(line)
            .with_poll_interval_ms(POLL_MS),
    )
}
