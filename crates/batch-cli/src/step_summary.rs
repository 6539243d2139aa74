//! `--step-summary`: what a batch came to, on the page that GitHub Actions shows of a job.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use batch_actions::{ActionError, Choice, ResultsRequest, results};
use batch_export::{CauseGroup, ExportError, Format, TaskFilter, WriterOptions};
use batch_store::BatchFile;

use crate::exit::CliError;
use crate::reply::tell;

/// How many causes are shown as annotations; GitHub takes ten of a step.
const ANNOTATIONS: usize = 10;

/// The file that the page is made of.
pub(crate) fn target() -> Result<PathBuf, CliError> {
    let path = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
    path.map(PathBuf::from).ok_or_else(|| {
        let message = "--step-summary goes into the file that GITHUB_STEP_SUMMARY names, and it names none; \
                       outside of GitHub Actions, write the page with: bex export -o summary.md";
        CliError::Usage(message.to_owned())
    })
}

/// Appends the page of a batch, and tells its first causes as annotations.
pub(crate) fn append(batch: &BatchFile, path: &Path) -> Result<(), CliError> {
    let request = ResultsRequest {
        tasks: Choice::default(),
        more: TaskFilter::default(),
        options: WriterOptions::new(Format::Markdown),
        offset: 0,
        limit: None,
    };
    let file = OpenOptions::new().append(true).create(true).open(path);
    let file = file.map_err(|error| {
        ActionError::from(ExportError::File {
            action: "open",
            path: path.to_owned(),
            error,
        })
    })?;
    let (summary, _) = results(batch, &request, file, io::sink())?;
    for group in summary.causes().largest_first().iter().take(ANNOTATIONS) {
        tell(format_args!("{}", annotation(group)));
    }
    Ok(())
}

/// A line that the runner shows as an error.
fn annotation(group: &CauseGroup) -> String {
    let tasks = match group.tasks {
        1 => "1 task".to_owned(),
        tasks => format!("{tasks} tasks"),
    };
    let title = escaped(&format!("{tasks} failed"), &[':', ',']);
    let text = format!(
        "{} ({}: {})",
        group.cause.label(),
        group.sample_task,
        group.cause.sample()
    );
    format!("::error title={title}::{}", escaped(&text, &[]))
}

/// A text as the runner takes it, with further characters that mean something there.
fn escaped(text: &str, more: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' | '\r' | '\n' => escaped.push_str(&format!("%{:02X}", u32::from(c))),
            c if more.contains(&c) => escaped.push_str(&format!("%{:02X}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}
