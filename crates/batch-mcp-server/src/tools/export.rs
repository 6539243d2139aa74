//! Results into a file: the `path` of `bex_results`, and the export of the former tool.

use batch_actions::{ActionError, Choice, ResultsRequest, export, status as read_status};
use batch_export::{Filter, Format, WriterOptions};
use batch_store::{BatchFile, Store};
use serde_json::json;

use crate::args::resolve;
use crate::call::{Agent, Answer};
use crate::facts::counts;
use crate::mistake::Mistake;
use crate::page::{Page, USUAL};
use crate::tools::run::in_folder;

/// What is written where.
pub(crate) struct Export<'a> {
    pub(crate) tasks: Choice,
    pub(crate) limit: Option<u64>,
    pub(crate) path: &'a str,
    /// The format; the ending of the path says it where this does not.
    pub(crate) format: Option<Format>,
    pub(crate) notes: &'a [String],
}

/// Writes all results that are wanted to a file.
pub(crate) fn export_to(
    agent: &Agent,
    file: &BatchFile,
    wanted: Export<'_>,
) -> Result<Answer, Mistake> {
    let target = in_folder(agent, wanted.path).map_err(|message| Mistake::of("path", message))?;
    let format = match wanted.format.or_else(|| Format::of_file(&target)) {
        Some(format) => format,
        None => return Err(no_format()),
    };
    resolve(&wanted.tasks, &Store::open_read(file.clone())?)?;
    let request = ResultsRequest {
        tasks: wanted.tasks,
        more: Filter::default(),
        options: WriterOptions::new(format),
        offset: 0,
        limit: wanted.limit,
    };
    let (summary, written) = export(file, &request, &target).map_err(|error| match error {
        ActionError::Export(error) => Mistake::of("path", error.to_string()),
        other => other.into(),
    })?;
    let status = read_status(file, false)?;
    let shown = target.display().to_string();
    let summary = summary.to_string();
    let first = summary.lines().next().unwrap_or_default();
    let mut page = Page::new(
        USUAL,
        &format!("{written} results written to {shown}. {first}"),
    );
    for note in wanted.notes {
        page.note(note);
    }
    page.next(
        "bex_status",
        &json!({ "batch": status.batch }),
        "shows the whole batch",
    );
    let mut structured = counts(&status);
    structured["path"] = shown.into();
    structured["format"] = format.name().into();
    structured["tasks"] = written.into();
    structured["summary"] = first.into();
    structured["notes"] = json!(wanted.notes);
    Ok(Answer {
        text: page.finish("the file has all"),
        structured,
        is_error: false,
    })
}

fn no_format() -> Mistake {
    let message = "its ending gives the format: .json, .jsonl, .csv or .txt";
    Mistake::of("path", message)
}
