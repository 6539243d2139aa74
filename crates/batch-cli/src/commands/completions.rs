//! `bex completions SHELL`.

use std::io::{self, Write as _};

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{CliError, Exit};
use crate::reply::quiet;

pub(crate) fn run(shell: clap_complete::Shell) -> Result<Exit, CliError> {
    // Not straight to standard output: what cannot be written there would be a panic.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bex", &mut text);
    quiet(io::stdout().write_all(&text))?;
    Ok(Exit::Completed)
}
