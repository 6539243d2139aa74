//! `bex results` and `bex export`: what became of the tasks.

use std::io::{self, IsTerminal};

use batch_actions::{Choice, Home, ResultsRequest, export, status, summary_of_chosen};
use batch_core::{Status, text::Counted};
use batch_export::{Format, TaskFilter};
use batch_store::Store;
use serde_json::json;

use crate::args::{ExportArgs, Named, ResultsArgs, WantedArgs};
use crate::exit::{CliError, Exit};
use crate::paint::paints;
use crate::reply::{print, tell};
use crate::same_file::refuse_over_input;
use crate::whole_results::print_results;

/// `bex results`.
pub(crate) fn show(args: &ResultsArgs) -> Result<Exit, CliError> {
    let words = &args.wanted.choice.tasks;
    let Named { file, tasks, .. } = args.batch.find_with(&Home::of_environment(), words)?;
    let (format, summary_only) = match args.format.as_deref() {
        _ if args.json => (Format::Json, false),
        None => (Format::Text, false),
        Some("summary") => (Format::None, true),
        Some(name) => {
            let known = |_| {
                let message = format!(
                    "unknown format {name:?}; it is one of text, json, jsonl, csv, raw, events, junit, markdown, perfetto, summary"
                );
                CliError::Usage(message)
            };
            (name.parse().map_err(known)?, false)
        }
    };
    let terminal = io::stdout().is_terminal();
    let request = request(&args.wanted, tasks, format, true);
    if summary_only {
        let store = Store::open_read(file)?;
        let summary = summary_of_chosen(&store, &request.tasks, &request.more)?;
        print(false, &(), || summary.to_string())?;
        return Ok(Exit::Completed);
    }
    let Some(summary) = print_results(&file, &request)? else {
        return Ok(Exit::Completed);
    };
    if format == Format::Text && terminal {
        tell(format_args!("{summary}"));
    }
    Ok(Exit::Completed)
}

/// `bex export`.
pub(crate) fn write(args: &ExportArgs) -> Result<Exit, CliError> {
    let words = &args.wanted.choice.tasks;
    let Named { file, tasks, .. } = args.batch.find_with(&Home::of_environment(), words)?;
    let path = &args.output;
    refuse_over_input("-o", Some(path), [file.shown()])?;
    let given = args.format.filter(|format| *format != Format::None);
    let Some(format) = given.or_else(|| Format::of_file(path)) else {
        return Err(CliError::Usage(format!(
            "cannot tell the format of {}; name it .json, .jsonl, .csv, .txt, .xml, .md or .pftrace, or give --format",
            path.display()
        )));
    };
    let request = request(&args.wanted, tasks, format, false);
    let (summary, written) = export(&file, &request, path)?;
    let causes = status(&file, false)?.causes;
    let reply = json!({ "file": path.to_string_lossy(), "format": format.name(), "tasks": written, "causes": causes });
    print(args.json, &reply, || {
        format!("{} written to {}", Counted(written, "task"), path.display())
    })?;
    if !args.json && !summary.causes().is_empty() {
        // Rows of a table have no place for it.
        tell(format_args!("{}", summary.causes()));
    }
    Ok(Exit::Completed)
}

fn request(
    wanted: &WantedArgs,
    tasks: Vec<String>,
    format: Format,
    to_stdout: bool,
) -> ResultsRequest {
    let mut tasks: Choice = wanted.choice.choice(tasks);
    if wanted.failed {
        tasks.statuses = vec![Status::Failed];
    }
    let mut options = wanted.cells.options(format);
    options.color = to_stdout && paints(&io::stdout());
    // Raw output goes to other programs as it is.
    options.escape_control = (to_stdout && io::stdout().is_terminal()) || format == Format::Text;
    ResultsRequest {
        tasks,
        more: wanted.narrow.narrow(TaskFilter::default()),
        options,
        offset: wanted.offset,
        limit: wanted.limit,
    }
}
