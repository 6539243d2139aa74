//! `batch_executor`, its results and export: the formats and statuses of the former tool over those there are.

use std::path::Path;

use batch_actions::{Choice, status as read_status, status_of, summary_of};
use batch_export::{Format, UnknownFormat};
use batch_store::{BatchFile, Store};
use serde_json::{Map, json};

use crate::args::Args;
use crate::call::{Agent, Answer};
use crate::mistake::Mistake;
use crate::tools::executor::{answer, queue};
use crate::tools::export::{Export, export_to};

pub(crate) fn results(agent: &Agent, args: &Args<'_>) -> Result<Answer, Mistake> {
    const FIELDS: [&str; 7] = [
        "name",
        "function",
        "status",
        "execution_time",
        "retry_count",
        "result",
        "error",
    ];
    let file = queue(agent)?;
    let format = args.text("format")?.unwrap_or("text");
    let status = read_status(&file, false)?;
    let mut call = Map::new();
    call.insert("batch".to_owned(), status.batch.clone().into());
    match args.text("filter_status")? {
        None | Some("all") => {}
        Some("pending") => {
            call.insert("status".to_owned(), json!(["queued"]));
        }
        Some(wanted) => {
            // Told by the name it has here.
            args.statuses("filter_status")?;
            call.insert("status".to_owned(), json!([wanted]));
        }
    }
    let limit = args.number("limit")?.unwrap_or(50);
    call.insert("limit".to_owned(), limit.into());
    match format {
        "summary" => summary(&file),
        "text" => crate::tools::results(agent, &call),
        "json" => {
            call.insert("fields".to_owned(), json!(FIELDS));
            crate::tools::results(agent, &call)
        }
        other => Err(Mistake::of(
            "format",
            format!("{other:?} is none of text, json, summary"),
        )),
    }
}

/// The sums of all tasks.
fn summary(file: &BatchFile) -> Result<Answer, Mistake> {
    let store = Store::open_read(file.clone())?;
    let (status, summary) = (status_of(&store)?, summary_of(&store)?);
    let summary = summary.to_string();
    let first = summary.lines().next().unwrap_or_default();
    let mut answer = answer(&status, "", &[])?;
    answer.text = answer.text.replacen('\n', &format!("\n{first}\n"), 1);
    answer.structured["summary"] = first.into();
    Ok(answer)
}

pub(crate) fn export(agent: &Agent, args: &Args<'_>) -> Result<Answer, Mistake> {
    let file = queue(agent)?;
    let format: Format = match args.text("format")? {
        None => Format::Json,
        Some("txt") => Format::Text,
        Some(text) => text
            .parse()
            .map_err(|error: UnknownFormat| Mistake::of("format", error.to_string()))?,
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
    // Who names a format gets it, whatever the file is called.
    let given = args.get("format").map(|_| format);
    let of_path = Format::of_file(Path::new(&path));
    let export = Export {
        tasks: Choice::default(),
        limit: None,
        path: &path,
        format: given.or(of_path).or(Some(format)),
    };
    export_to(agent, &file, export).map_err(|mistake| match mistake.field.as_deref() {
        Some("path") => Mistake::of("output_file", mistake.message),
        _ => mistake,
    })
}
