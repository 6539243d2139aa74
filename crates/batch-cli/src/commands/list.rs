//! `bex list`: all batches, a line each.

use batch_actions::{BatchStatus, Home, Listed, list, now};
use batch_core::duration::ShortDuration;
use batch_export::Visible;
use serde_json::Value;

use crate::args::ListArgs;
use crate::exit::{CliError, Exit};
use crate::hints::status_json;
use crate::reply::print;

pub(crate) fn run(args: &ListArgs) -> Result<Exit, CliError> {
    let batches = list(&Home::of_environment())?;
    let document: Vec<Value> = batches.iter().map(entry).collect();
    print(args.json, &document, || table(&batches))?;
    Ok(Exit::Completed)
}

fn entry(batch: &Listed) -> Value {
    match batch {
        Ok(status) => status_json(status),
        Err(unreadable) => serde_json::to_value(unreadable).expect("replies are JSON"),
    }
}

fn table(batches: &[Listed]) -> String {
    if batches.is_empty() {
        return "no batches".to_owned();
    }
    let mut lines = vec![format!(
        "{:<6} {:<12} {:>15} {:>8} {:>8}  {}",
        "batch", "state", "finished", "failed", "age", "name"
    )];
    for batch in batches {
        lines.push(match batch {
            Ok(status) => line(status),
            Err(broken) => format!("{:<6} unreadable: {}", broken.batch, broken.error),
        });
    }
    lines.join("\n")
}

fn line(status: &BatchStatus) -> String {
    let finished = format!("{}/{}", status.finished(), status.total);
    let age = ShortDuration(now().since(status.created)).to_string();
    let name = status.name.as_deref().unwrap_or_default();
    let line = format!(
        "{:<6} {:<12} {finished:>15} {:>8} {age:>8}  {}",
        status.batch,
        status.state,
        status.failed,
        Visible(name)
    );
    line.trim_end().to_owned()
}
