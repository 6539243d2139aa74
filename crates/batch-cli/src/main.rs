//! `bex`, the batch executor: arguments in, layers wired together, exit code out.

mod agent;
mod args;
mod background;
mod beside;
mod blocks;
mod capacity;
mod commands;
mod drive;
mod dry_run;
mod earlier;
mod exit;
mod feed;
mod foreground;
mod functions;
mod hints;
mod item_sources;
mod leftovers;
mod live;
mod output;
mod paint;
mod progress;
mod reply;
mod request;
mod request_change;
mod runtime;
mod same_file;
mod signals;
mod status_text;
mod step_summary;
mod terminal;
mod warnings;
mod whole_results;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use batch_export::Visible;

use crate::args::{Command, parse, split_sources};
use crate::exit::{CliError, Exit};
use crate::reply::{quiet, tell};
use crate::terminal::stdout;

fn main() -> ExitCode {
    // What is too long to be written is an error to be told.
    batch_process::ignore_file_size_limit();
    let (args, sources) = split_sources(std::env::args_os());
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                // It repeats arguments as they are.
                tell(format_args!("{}", error.to_string().trim_end()));
                return Exit::Usage.into();
            }
            // Help and version, which were asked for.
            let text = error.render();
            let text = match io::stdout().is_terminal() {
                true => text.ansi().to_string(),
                false => text.to_string(),
            };
            let printed = stdout().write_all(text.as_bytes());
            let ended = quiet(printed).map(|()| Exit::Completed);
            return ended.unwrap_or_else(|error| report(&error)).into();
        }
    };
    paint::set_colors(cli.color);
    // The one who drives these may not read their standard error, and wait for nothing as soon as it is full.
    if !matches!(cli.command, Command::Mcp(_) | Command::Tool(_)) {
        warnings::show();
    }
    let ended = match cli.command {
        Command::Run(args) => commands::run::run(*args, sources),
        Command::Start(args) => commands::start::run(&args),
        Command::Resume(args) => commands::resume::run(*args),
        Command::Add(args) => commands::add::run(*args),
        Command::Stop(args) => commands::stop::run(&args),
        Command::Pause(args) => commands::change::pause(&args),
        Command::Set(args) => commands::change::set(&args),
        Command::Cancel(args) => commands::change::cancel(&args),
        Command::Release(args) => commands::change::release(&args),
        Command::Retry(args) => commands::change::retry(&args),
        Command::Clear(args) => commands::change::clear(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::List(args) => commands::list::run(&args),
        Command::Show(args) => commands::show::run(&args),
        Command::Why(args) => commands::show::run_why(&args),
        Command::Logs(args) => commands::logs::run(&args),
        Command::Watch(args) => commands::watch::run(&args),
        Command::Wait(args) => commands::wait::run(&args),
        Command::Results(args) => commands::wanted::show(&args),
        Command::Export(args) => commands::wanted::write(&args),
        Command::Rm(args) => commands::remove::rm(&args),
        Command::Prune(args) => commands::remove::run_prune(&args),
        Command::Template(command) => commands::template::run(command),
        Command::Mcp(args) => commands::mcp::run(args),
        Command::Tool(args) => commands::tool::run(&args),
        Command::Execute(args) => commands::execute::run(args),
        Command::Completions { shell } => commands::completions::run(shell),
        Command::Man => commands::man::run(),
    };
    ended.unwrap_or_else(|error| report(&error)).into()
}

fn report(error: &CliError) -> Exit {
    match error {
        CliError::Input(_) | CliError::Config(_) => tell(format_args!("bex: {error}")),
        // One line, whatever line ends the names in it have.
        other => tell(format_args!("bex: {}", Visible(&hints::with_hint(other)))),
    }
    error.exit()
}
