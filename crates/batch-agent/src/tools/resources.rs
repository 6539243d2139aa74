//! Outputs and results as resources: `bex://b7/results`, `bex://b7/tasks/42/stdout`.

use batch_actions::{Choice, ResultsRequest, find_task, list, results};
use batch_core::BatchId;
use batch_export::{Filter, Format, Visible, WriterOptions, copy_stream};
use batch_store::Store;

use crate::call::{Agent, ResourceContents};
use crate::page::{MOST, shorten};

/// How many batches are listed.
const LISTED: usize = 20;

/// Addresses by example, with a name and a description.
pub(crate) fn resource_templates() -> Vec<(&'static str, &'static str, &'static str)> {
    vec![
        (
            "bex://{batch}/results",
            "results",
            "The results of a batch, one JSON object a line, cut where they grow long",
        ),
        (
            "bex://{batch}/tasks/{task}/stdout",
            "stdout",
            "What a task printed",
        ),
        (
            "bex://{batch}/tasks/{task}/stderr",
            "stderr",
            "What a task printed to standard error",
        ),
    ]
}

/// The latest batches.
pub(crate) fn resources(agent: &Agent) -> Vec<(String, String)> {
    let batches = list(agent.home()).unwrap_or_default();
    batches
        .iter()
        .rev()
        .flatten()
        .take(LISTED)
        .map(|status| {
            let name = format!("results of {} ({})", status.batch, status.state);
            (format!("bex://{}/results", status.batch), name)
        })
        .collect()
}

/// Reads one.
pub(crate) fn read_resource(agent: &Agent, uri: &str) -> Result<ResourceContents, String> {
    let unknown = || {
        format!(
            "there is no resource {uri}; addresses look like bex://b7/results and bex://b7/tasks/42/stdout"
        )
    };
    let path = uri.strip_prefix("bex://").ok_or_else(unknown)?;
    let parts: Vec<&str> = path.split('/').collect();
    let batch: BatchId = parts
        .first()
        .and_then(|batch| batch.parse().ok())
        .ok_or_else(unknown)?;
    match parts[1..] {
        ["results"] => batch_results(agent, batch),
        ["tasks", task, stream @ ("stdout" | "stderr")] => output(agent, batch, task, stream),
        _ => Err(unknown()),
    }
}

fn batch_results(agent: &Agent, batch: BatchId) -> Result<ResourceContents, String> {
    let file = agent
        .file(Some(batch))
        .map_err(|mistake| mistake.to_string())?;
    let request = ResultsRequest {
        tasks: Choice::default(),
        more: Filter::default(),
        options: WriterOptions::new(Format::Jsonl),
        offset: 0,
        limit: Some(200),
    };
    let mut bytes = Vec::new();
    results(&file, &request, &mut bytes, std::io::sink()).map_err(|error| error.to_string())?;
    Ok(ResourceContents {
        mime_type: "application/jsonl",
        text: shorten(&String::from_utf8_lossy(&bytes), MOST),
    })
}

fn output(
    agent: &Agent,
    batch: BatchId,
    task: &str,
    stream: &str,
) -> Result<ResourceContents, String> {
    let text = |error: batch_actions::ActionError| error.to_string();
    let file = agent
        .file(Some(batch))
        .map_err(|mistake| mistake.to_string())?;
    let store = Store::open_read(file).map_err(|error| error.to_string())?;
    let id = find_task(&store, task).map_err(text)?;
    let record = store.task(id).map_err(|error| error.to_string())?;
    let output = record.and_then(|record| record.output).unwrap_or_default();
    let which = if stream == "stdout" {
        &output.stdout
    } else {
        &output.stderr
    };
    let mut bytes = Vec::new();
    copy_stream(which, &mut bytes).map_err(|error| error.to_string())?;
    let lines: Vec<String> = String::from_utf8_lossy(&bytes)
        .lines()
        .map(|line| Visible(line).to_string())
        .collect();
    Ok(ResourceContents {
        mime_type: "text/plain",
        text: shorten(&lines.join("\n"), MOST),
    })
}
