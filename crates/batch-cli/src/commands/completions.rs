//! `bex completions SHELL`.

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{CliError, Exit};

pub(crate) fn run(shell: clap_complete::Shell) -> Result<Exit, CliError> {
    clap_complete::generate(shell, &mut Cli::command(), "bex", &mut std::io::stdout());
    Ok(Exit::Completed)
}
