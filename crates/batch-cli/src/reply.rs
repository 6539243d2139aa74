//! Printing replies: as JSON where that is asked for, else as a sentence.

use std::io::{self, Write};

use batch_export::VisibleLines;
use serde::Serialize;

use crate::exit::CliError;
use crate::terminal::stdout;
pub(crate) use crate::terminal::tell;

/// Prints a reply as JSON in one line, or as text.
pub(crate) fn print(
    json: bool,
    reply: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), CliError> {
    let line = match json {
        true => serde_json::to_string(reply).expect("replies are JSON"),
        false => VisibleLines(&text()).to_string(),
    };
    print_line(&line).map(|_| ())
}

/// The same of a text that is safe to be shown: what is from outside in it was made visible.
pub(crate) fn print_safe(
    json: bool,
    reply: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), CliError> {
    match json {
        true => print(true, reply, String::new),
        false => print_line(&text()).map(|_| ()),
    }
}

/// Prints a line of several; `false` when nobody reads any more.
pub(crate) fn print_line(line: &str) -> Result<bool, CliError> {
    let mut out = stdout();
    let written = out
        .write_all(format!("{line}\n").as_bytes())
        .and_then(|()| out.flush());
    let read = !matches!(&written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe);
    quiet(written).map(|()| read)
}

/// A reader of our output that has gone is no error.
pub(crate) fn quiet(written: io::Result<()>) -> Result<(), CliError> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::System("write to standard output", error))
        }
        _ => Ok(()),
    }
}
