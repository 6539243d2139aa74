//! `bex`, the batch executor: arguments in, layers wired together, exit code out.

mod args;
mod commands;
mod exit;
mod output;
mod progress;
mod request;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command, split_items};
use crate::exit::{CliError, Exit};

fn main() -> ExitCode {
    let (args, items) = split_items(std::env::args_os());
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes.
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Completed
            };
            let _ = error.print();
            return exit.into();
        }
    };
    let ended = match cli.command {
        Command::Run(args) => commands::run::run(*args, items),
        Command::Completions { shell } => commands::completions::run(shell),
        Command::Man => commands::man::run(),
    };
    ended.unwrap_or_else(|error| report(&error)).into()
}

fn report(error: &CliError) -> Exit {
    eprintln!("bex: {error}");
    error.exit()
}
