//! The results and the export of `batch_executor`: the former tool's formats and statuses.

use std::path::Path;

use batch_actions::{Choice, status_of, summary_of_chosen};
use batch_core::{Status, status::UnknownName};
use batch_export::{Format, TaskFilter, UnknownFormat};
use batch_store::{BatchFile, Store};
use serde_json::{Map, json};

use crate::answer::Answer;
use crate::args::Args;
use crate::call_error::CallError;
use crate::session::Session;
use crate::tools::batch_executor::queue::{answer, queue, queue_answer};
use crate::tools::export::{Export, export_to};
use crate::tools::results::results as bex_results;

pub(crate) fn results(
    session: &Session,
    args: &Args<'_>,
    notes: &[String],
) -> Result<Answer, CallError> {
    const FIELDS: [&str; 7] = [
        "name",
        "function",
        "status",
        "execution_time",
        "retry_count",
        "result",
        "error",
    ];
    let mut call = Map::new();
    let statuses = statuses(args)?;
    if !statuses.is_empty() {
        let names: Vec<&str> = statuses.iter().map(|status| status.name()).collect();
        call.insert("status".to_owned(), json!(names));
    }
    let limit = args.number("limit")?.unwrap_or(50);
    call.insert("limit".to_owned(), limit.into());
    let format = args.text("format")?.unwrap_or("text");
    match format {
        "json" => drop(call.insert("fields".to_owned(), json!(FIELDS))),
        "text" | "summary" => {}
        other => {
            let message = format!("unknown format {other:?}; must be text, json or summary");
            return Err(CallError::of("format", message));
        }
    }
    let Some(file) = queue(session)? else {
        return queue_answer(session, None, "", notes);
    };
    if format == "summary" {
        return summary(&file, statuses, notes);
    }
    let batch = Store::open_read(file)?.batch().to_string();
    call.insert("batch".to_owned(), batch.into());
    bex_results(session, &call, notes)
}

/// The statuses to show: a list, or one text with commas. The former tool's names are taken as well.
fn statuses(args: &Args<'_>) -> Result<Vec<Status>, CallError> {
    let texts = args.texts("filter_status")?;
    let names = texts.iter().flat_map(|text| text.split(','));
    let names = names.map(|name| name.trim().to_lowercase());
    let mut statuses = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        match name.as_str() {
            "all" => return Ok(Vec::new()),
            "pending" => statuses.push(Status::Queued),
            name => {
                statuses.push(name.parse().map_err(|error: UnknownName| {
                    CallError::of("filter_status", error.to_string())
                })?)
            }
        }
    }
    Ok(statuses)
}

/// The totals of all tasks, or of those with some statuses.
fn summary(file: &BatchFile, statuses: Vec<Status>, notes: &[String]) -> Result<Answer, CallError> {
    let store = Store::open_read(file.clone())?;
    let tasks = Choice {
        statuses,
        ..Choice::default()
    };
    let summary = summary_of_chosen(&store, &tasks, &TaskFilter::default())?;
    let status = status_of(&store)?;
    let summary = summary.counts().to_string();
    let mut answer = answer(&status, "", Some(&summary), notes);
    answer.structured["summary"] = summary.into();
    Ok(answer)
}

pub(crate) fn export(
    session: &Session,
    args: &Args<'_>,
    notes: &[String],
) -> Result<Answer, CallError> {
    let format: Format = match args.text("format")? {
        None => Format::Json,
        Some("txt") => Format::Text,
        Some(text) => text
            .parse()
            .map_err(|error: UnknownFormat| CallError::of("format", error.to_string()))?,
    };
    let ending = match format {
        Format::Text => "txt",
        other => other.name(),
    };
    let path = args.text("output_file")?.unwrap_or("batch_results");
    let path = match Path::new(path).extension() {
        Some(_) => path.to_owned(),
        None => format!("{path}.{ending}"),
    };
    // A format that is given wins over the name of the file.
    let given = args.get("format").map(|_| format);
    let of_path = Format::of_file(Path::new(&path));
    session
        .path(&path)
        .map_err(|message| CallError::of("output_file", message))?;
    let file = queue(session)?.ok_or_else(|| CallError::new("no tasks were added yet"))?;
    let export = Export {
        tasks: Choice::default(),
        limit: None,
        path: &path,
        format: given.or(of_path).or(Some(format)),
        notes,
    };
    export_to(session, &file, export).map_err(|error| error.renamed("path", "output_file"))
}
