//! `bex run --dry-run`: what would run, one line a task.

use std::io::{self, BufWriter, Write};

use batch_core::{BatchId, TaskId, TaskSpec};
use batch_export::Visible;
use batch_template::shown_params;
use serde_json::Value;

use crate::exit::{CliError, Exit};
use crate::request::Work;
use crate::terminal::stdout;

pub(crate) fn show(work: Work) -> Result<Exit, CliError> {
    let mut out = BufWriter::new(stdout());
    let written = match work {
        Work::Plan(plan) => plan
            .tasks()
            .enumerate()
            .try_for_each(|(index, (spec, after))| {
                let after: Vec<TaskId> = after.map(TaskId::from_index).collect();
                show_task(&mut out, TaskId::from_index(index), spec, &after)
            }),
        Work::Stream(mut stream) => stream.by_ref().enumerate().try_for_each(|(index, task)| {
            let spec = task.map_err(|error| io::Error::other(error.to_string()))?;
            show_task(&mut out, TaskId::from_index(index), &spec, &[])
        }),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::Other => {
            Err(CliError::Usage(error.to_string()))
        }
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::System("write to standard output", error))
        }
        _ => Ok(Exit::Completed),
    }
}

fn show_task(
    out: &mut impl Write,
    id: TaskId,
    spec: &TaskSpec,
    after: &[TaskId],
) -> io::Result<()> {
    let id = BatchId::default().task(id);
    write!(
        out,
        "{id}  {:8}  {}  {}",
        spec.options.priority,
        Visible(&spec.function),
        Visible(&what(spec))
    )?;
    if let Some(name) = spec.name.as_deref().or(spec.id.as_deref()) {
        write!(out, "  # {}", Visible(name))?;
    }
    if !after.is_empty() {
        let shown: Vec<String> = after.iter().take(5).map(TaskId::to_string).collect();
        let more = if after.len() > 5 {
            format!(" and {} more", after.len() - 5)
        } else {
            String::new()
        };
        write!(out, "  (after {}{more})", shown.join(", "))?;
    }
    writeln!(out)
}

/// A command as one would type it, a script as it is, other parameters as JSON.
fn what(spec: &TaskSpec) -> String {
    let shown = shown_params(spec);
    let params: Value = serde_json::from_str(&shown).unwrap_or_default();
    let argv = || -> Option<Vec<&str>> {
        params
            .get("argv")?
            .as_array()?
            .iter()
            .map(Value::as_str)
            .collect()
    };
    match spec.function.as_ref() {
        "command" => argv()
            .and_then(|argv| shlex::try_join(argv).ok())
            .unwrap_or_else(|| shown.to_string()),
        "shell" => params
            .get("script")
            .and_then(Value::as_str)
            .map_or_else(|| shown.to_string(), ToOwned::to_owned),
        _ => shown.to_string(),
    }
}
