//! `bex show` and `bex why`: one task.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use batch_actions::{Home, TaskDetails, show, why};
use batch_core::{
    DependsOn, Priority, RunOn, TaskOptions, TaskSpec, duration::ShortDuration, outcome::Stream,
    text::Counted,
};
use batch_export::files::tail;
use batch_export::{AttemptEnd, AttemptRecord, Visible, VisibleLines, rfc3339, write_task_json};
use batch_template::{short_label, shown_params, shown_result};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::args::TaskArgs;
use crate::exit::{CliError, Exit};
use crate::hints;
use crate::reply::{print, quiet};
use crate::terminal::stdout;

/// So much of an output is shown; `bex logs` shows all.
const SHOWN: usize = 2_000;

/// `bex show`.
pub(crate) fn run(args: &TaskArgs) -> Result<Exit, CliError> {
    let details = details(args)?;
    if !args.json {
        let text = VisibleLines(&text(&details)?).to_string();
        quiet(stdout().write_all(text.as_bytes()))?;
        return Ok(Exit::Completed);
    }
    let mut document = Vec::new();
    write_task_json(&mut document, &details.record)?;
    // Numbers and fields of parameters and results stay as they were written.
    let mut document: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(&document).expect("a task is JSON");
    let under_way = details
        .under_way
        .map(|(attempt, started)| json!({ "attempt": attempt, "started_at": rfc3339(started) }));
    let mut add = |name: &str, value: Value| {
        let raw = to_raw_value(&value).expect("a value is JSON");
        document.insert(name.to_owned(), raw);
    };
    add("why", sentence(&details).into());
    add("under_way", under_way.unwrap_or_default());
    print(true, &document, String::new)?;
    Ok(Exit::Completed)
}

/// `bex why`.
pub(crate) fn run_why(args: &TaskArgs) -> Result<Exit, CliError> {
    let details = details(args)?;
    let sentence = sentence(&details);
    let reply = json!({ "task": details.record.id().to_string(), "why": sentence });
    print(args.json, &reply, || Visible(&sentence).to_string())?;
    Ok(Exit::Completed)
}

fn details(args: &TaskArgs) -> Result<TaskDetails, CliError> {
    let file = args.batch.find_one(&Home::of_environment(), &args.task)?;
    Ok(show(&file, &args.task)?)
}

fn sentence(details: &TaskDetails) -> String {
    hints::explained(&why(details), &details.batch)
}

fn text(details: &TaskDetails) -> Result<String, CliError> {
    let record = &details.record;
    let spec = &record.spec;
    let mut text = format!("{}  {}\n", record.id(), Visible(&short_label(spec)));
    let _ = writeln!(text, "{}", Visible(&sentence(details)));
    let _ = writeln!(
        text,
        "function   {} {}",
        spec.function,
        Visible(&short(&shown_params(spec)))
    );
    for (name, value) in treated(spec, record.priority) {
        let _ = writeln!(text, "{name:<10} {}", Visible(&value));
    }
    let _ = writeln!(text, "created    {}", rfc3339(record.created_at));
    for attempt in &record.attempts {
        let _ = writeln!(text, "{}", attempt_line(attempt));
    }
    if let Some((attempt, started)) = details.under_way {
        let how = match details.was_cut_off {
            true => "interrupted",
            false => "running",
        };
        let _ = writeln!(text, "attempt {attempt}  {}  {how}", rfc3339(started));
    }
    let Some(output) = &record.output else {
        return Ok(text);
    };
    if let Some(value) = &output.value {
        let _ = writeln!(
            text,
            "result     {}",
            Visible(&short(&shown_result(&spec.function, value)))
        );
    }
    for (name, stream) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !stream.is_empty() {
            let _ = writeln!(text, "{name} ({}):", Counted(stream.len(), "byte"));
            for line in last_part(stream)?.lines() {
                let _ = writeln!(text, "  {}", VisibleLines(line));
            }
        }
    }
    Ok(text)
}

fn attempt_line(attempt: &AttemptRecord) -> String {
    let AttemptRecord {
        attempt: number,
        started_at,
        took,
        end,
        error,
        ..
    } = attempt;
    let how = match end {
        AttemptEnd::Failed(kind) => format!("failed ({kind})"),
        other => other.name().to_owned(),
    };
    let mut line = format!(
        "attempt {number}  {}  {:>6}  {how}",
        rfc3339(*started_at),
        ShortDuration(*took).to_string()
    );
    if let Some(error) = error {
        let first = error.lines().next().unwrap_or_default();
        let _ = write!(line, ": {}", Visible(&short(first)));
    }
    line
}

/// How the task is treated, where that is not as usual.
fn treated(spec: &TaskSpec, priority: Priority) -> Vec<(&'static str, String)> {
    let (options, usual) = (&*spec.options, TaskOptions::default());
    let mut lines = Vec::new();
    if !spec.depends_on.is_empty() {
        lines.push(("depends on", depends_on(spec)));
    }
    // The task's own priority is that of when it was added.
    if priority != usual.priority {
        lines.push(("priority", priority.to_string()));
    }
    if options.max_retries != usual.max_retries {
        lines.push(("retries", options.max_retries.to_string()));
    }
    if let Some(timeout) = options.timeout {
        lines.push(("timeout", ShortDuration(timeout).to_string()));
    }
    if !options.tags.is_empty() {
        lines.push(("tags", options.tags.join(", ")));
    }
    if let Some(limit) = &options.limit {
        lines.push(("limit", limit.clone()));
    }
    if options.on_interrupt != usual.on_interrupt {
        lines.push(("if interrupted", options.on_interrupt.to_string()));
    }
    if options.allow_code {
        lines.push(("code", "values are allowed in it".to_owned()));
    }
    if let Some(folder) = options.working_folder() {
        lines.push(("folder", folder.display().to_string()));
    }
    lines
}

fn short(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The last part of an output.
fn last_part(stream: &Stream) -> Result<String, CliError> {
    let (bytes, before) = tail(stream, SHOWN)?;
    let lead = if before > 0 { "… " } else { "" };
    Ok(format!("{lead}{}", String::from_utf8_lossy(&bytes)))
}

/// The ids of what must end first, with what it must end as where that is not completed.
fn depends_on(spec: &TaskSpec) -> String {
    let named = |needed: &DependsOn| match needed.on {
        RunOn::Success => needed.task.to_string(),
        on => format!("{} ({})", needed.task, on.name()),
    };
    Vec::from_iter(spec.depends_on.iter().map(named)).join(", ")
}
