//! `batch_executor`, its results and export: the formats and statuses of the former tool over those there are.

use std::path::Path;

use batch_actions::{Choice, status_of, summary_of_chosen};
use batch_core::{Status, UnknownName};
use batch_export::{Filter, Format, UnknownFormat};
use batch_store::{BatchFile, Store};
use serde_json::{Map, json};

use crate::args::Args;
use crate::call::{Agent, Answer};
use crate::mistake::Mistake;
use crate::tools::executor::{answer, queue, told};
use crate::tools::export::{Export, export_to};
use crate::tools::noted_results;
use crate::tools::run::in_folder;

pub(crate) fn results(agent: &Agent, args: &Args<'_>, notes: &[String]) -> Result<Answer, Mistake> {
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
    let wanted = wanted_status(args)?;
    if !wanted.is_empty() {
        let names: Vec<&str> = wanted.iter().map(|status| status.name()).collect();
        call.insert("status".to_owned(), json!(names));
    }
    let limit = args.number("limit")?.unwrap_or(50);
    call.insert("limit".to_owned(), limit.into());
    let format = args.text("format")?.unwrap_or("text");
    match format {
        "json" => drop(call.insert("fields".to_owned(), json!(FIELDS))),
        "text" | "summary" => {}
        other => {
            let message = format!("{other:?} is none of text, json, summary");
            return Err(Mistake::of("format", message));
        }
    }
    let Some(file) = queue(agent)? else {
        return told(agent, None, "", notes);
    };
    if format == "summary" {
        return summary(&file, wanted, notes);
    }
    let batch = Store::open_read(file)?.batch().to_string();
    call.insert("batch".to_owned(), batch.into());
    noted_results(agent, &call, notes)
}

/// The statuses asked for, by the names that they have here: a list, or one text with commas.
fn wanted_status(args: &Args<'_>) -> Result<Vec<Status>, Mistake> {
    let texts = args.texts("filter_status")?;
    let names = texts.iter().flat_map(|text| text.split(','));
    let names = names.map(|name| name.trim().to_lowercase());
    let mut wanted = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        match name.as_str() {
            "all" => return Ok(Vec::new()),
            "pending" => wanted.push(Status::Queued),
            name => {
                wanted.push(name.parse().map_err(|error: UnknownName| {
                    Mistake::of("filter_status", error.to_string())
                })?)
            }
        }
    }
    Ok(wanted)
}

/// The sums of all tasks, or of those with some statuses.
fn summary(file: &BatchFile, wanted: Vec<Status>, notes: &[String]) -> Result<Answer, Mistake> {
    let store = Store::open_read(file.clone())?;
    let tasks = Choice {
        statuses: wanted,
        ..Choice::default()
    };
    let summary = summary_of_chosen(&store, &tasks, &Filter::default())?;
    let status = status_of(&store)?;
    let summary = summary.to_string();
    let first = summary.lines().next().unwrap_or_default();
    let mut answer = answer(&status, "", notes)?;
    answer.text = answer.text.replacen('\n', &format!("\n{first}\n"), 1);
    answer.structured["summary"] = first.into();
    Ok(answer)
}

pub(crate) fn export(agent: &Agent, args: &Args<'_>, notes: &[String]) -> Result<Answer, Mistake> {
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
    in_folder(agent, &path).map_err(|message| Mistake::of("output_file", message))?;
    let file = queue(agent)?.ok_or_else(|| Mistake::new("nothing was added yet"))?;
    let export = Export {
        tasks: Choice::default(),
        limit: None,
        path: &path,
        format: given.or(of_path).or(Some(format)),
        notes,
    };
    export_to(agent, &file, export).map_err(|mistake| match mistake.field.as_deref() {
        Some("path") => Mistake::of("output_file", mistake.message),
        _ => mistake,
    })
}
