//! `bex completions SHELL`.

use std::io::Write as _;

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{CliError, Exit};
use crate::reply::quiet;
use crate::terminal::stdout;

pub(crate) fn run(shell: clap_complete::Shell) -> Result<Exit, CliError> {
    // Not straight to standard output: what cannot be written there would be a panic.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bex", &mut text);
    quiet(stdout().write_all(&text))?;
    Ok(Exit::Completed)
}
