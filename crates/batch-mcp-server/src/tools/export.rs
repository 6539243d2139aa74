//! Results into a file: the `path` of `bex_results`, and the export of the former tool.

use batch_actions::{
    ActionError, Choice, ResultsRequest, export as write_results, status as read_status,
};
use batch_export::{Format, TaskFilter, WriterOptions};
use batch_store::{BatchFile, Store};
use serde_json::json;

use crate::answer::Answer;
use crate::call_error::CallError;
use crate::page::{DEFAULT_LIMIT, Page};
use crate::session::Session;
use crate::structured::counts;

/// What is written where.
pub(crate) struct Export<'a> {
    pub(crate) tasks: Choice,
    pub(crate) limit: Option<u64>,
    pub(crate) path: &'a str,
    /// The format; the ending of the path says it where this does not.
    pub(crate) format: Option<Format>,
    pub(crate) notes: &'a [String],
}

/// Writes the results of all selected tasks to a file.
pub(crate) fn export_to(
    session: &Session,
    file: &BatchFile,
    export: Export<'_>,
) -> Result<Answer, CallError> {
    let target = session
        .path(export.path)
        .map_err(|message| CallError::of("path", message))?;
    let format = match export.format.or_else(|| Format::of_file(&target)) {
        Some(format) => format,
        None => return Err(no_format()),
    };
    export.tasks.resolve(&Store::open_read(file.clone())?)?;
    let request = ResultsRequest {
        tasks: export.tasks,
        more: TaskFilter::default(),
        options: WriterOptions::new(format),
        offset: 0,
        limit: export.limit,
    };
    let (summary, written) =
        write_results(file, &request, &target).map_err(|error| match error {
            ActionError::Export(error) => CallError::of("path", error.to_string()),
            other => other.into(),
        })?;
    let status = read_status(file, false)?;
    let shown = target.display().to_string();
    let summary = summary.counts().to_string();
    let mut page = Page::new(
        DEFAULT_LIMIT,
        &format!("{written} results written to {shown}. {summary}"),
    );
    page.notes(export.notes);
    page.next(
        "bex_status",
        &json!({ "batch": status.batch }),
        "shows the whole batch",
    );
    let mut structured = counts(&status);
    structured["path"] = shown.into();
    structured["format"] = format.name().into();
    structured["tasks"] = written.into();
    structured["summary"] = summary.into();
    structured["notes"] = json!(export.notes);
    Ok(Answer::done(page.finish("the file has all"), structured))
}

fn no_format() -> CallError {
    let message = "unknown format; end it with .json, .jsonl, .csv, .txt, .xml, .md or .pftrace";
    CallError::of("path", message)
}
