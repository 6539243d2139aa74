//! `bex list`: all batches, a line each.

use std::io;

use batch_actions::{BatchStatus, Home, Listed, list, now};
use batch_core::duration::ShortDuration;
use batch_export::Visible;
use serde_json::Value;

use crate::args::ListArgs;
use crate::exit::{CliError, Exit};
use crate::hints::status_json;
use crate::paint::{painted, paints};
use crate::reply::print_safe;

pub(crate) fn run(args: &ListArgs) -> Result<Exit, CliError> {
    let batches = list(&Home::of_environment())?;
    let document: Vec<Value> = batches.iter().map(entry).collect();
    print_safe(args.json, &document, || {
        table(&batches, paints(&io::stdout()))
    })?;
    Ok(Exit::Completed)
}

fn entry(batch: &Listed) -> Value {
    match batch {
        Ok(status) => status_json(status),
        Err(unreadable) => serde_json::to_value(unreadable).expect("replies are JSON"),
    }
}

/// The table, in which all texts from outside are made visible.
fn table(batches: &[Listed], paints: bool) -> String {
    if batches.is_empty() {
        return "no batches".to_owned();
    }
    let mut lines = vec![format!(
        "{:<6} {:<12} {:>15} {:>8} {:>8}  {}",
        "batch", "state", "finished", "failed", "age", "name"
    )];
    for batch in batches {
        lines.push(match batch {
            Ok(status) => line(status, paints),
            Err(broken) => {
                format!("{:<6} unreadable: {}", broken.batch, Visible(&broken.error))
            }
        });
    }
    lines.join("\n")
}

/// How many characters of a command are shown.
const LONGEST_COMMAND: usize = 60;

/// What people know a batch by: its name, else its command, cut in the middle.
fn name_of(status: &BatchStatus) -> String {
    match (&status.name, &status.command) {
        (Some(name), _) => Visible(name).to_string(),
        (None, Some(command)) => Visible(command).cut_middle(LONGEST_COMMAND),
        (None, None) => String::new(),
    }
}

fn line(status: &BatchStatus, paints: bool) -> String {
    let finished = format!("{}/{}", status.finished(), status.total);
    let age = ShortDuration(now().since(status.created)).to_string();
    let state = painted(&format!("{:<12}", status.state), status.state, paints);
    let line = format!(
        "{:<6} {state} {finished:>15} {:>8} {age:>8}  {}",
        status.batch,
        status.failed,
        name_of(status)
    );
    line.trim_end().to_owned()
}
