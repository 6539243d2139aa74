//! The command line as it is written: the first pass, in which nothing is decided yet.

mod advice;
mod agent;
mod batch;
mod blank;
mod common;
mod examples;
mod help;
mod items;
mod look;
mod run;
mod shown;
mod stored;
mod task;

use std::ffi::OsString;

use clap::{Parser, Subcommand, ValueEnum};

use crate::paint::ColorWhen;

pub(crate) use advice::no_such_file;
pub(crate) use agent::{HttpAddress, LimitArgs, McpArgs, ToolArgs};
pub(crate) use batch::{Named, all_named};
pub(crate) use help::parse;
pub(crate) use items::{ItemArgs, SourceWords, split_sources};
pub(crate) use look::{
    ExportArgs, ListArgs, LogsArgs, ResultsArgs, StatusArgs, TaskArgs, WaitArgs, WantedArgs,
    WatchArgs,
};
pub(crate) use run::{ExecuteArgs, ResultArgs, ResumeArgs, RunArgs, StartArgs};
pub(crate) use shown::ShownArgs;
pub(crate) use stored::{
    AddArgs, ChangeArgs, PlainArgs, PruneArgs, RmArgs, SetArgs, StopArgs, TemplateCommand,
};

/// Run many tasks with bounded concurrency, in priority order, with retries, and report what happened.
#[derive(Debug, Parser)]
#[command(
    name = "bex",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// Where colours are used: on a terminal, everywhere or nowhere
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t)]
    pub(crate) color: ColorWhen,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a task file, or one command for each input line, to its end
    #[command(after_help = run::RUN_EXAMPLES, override_usage = run::RUN_USAGE)]
    Run(Box<RunArgs>),
    /// Add tasks to a batch
    Add(Box<AddArgs>),
    /// Run a batch in the background
    Start(StartArgs),
    /// Stop the run of a batch; what is queued stays queued
    Stop(StopArgs),
    /// Resume a paused batch, or run an unfinished one to its end
    Resume(Box<ResumeArgs>),
    /// Pause a batch: no more tasks start until it is resumed
    Pause(PlainArgs),
    /// Change a batch, also while it runs
    Set(SetArgs),
    /// Cancel tasks
    #[command(after_help = examples::CANCEL_EXAMPLES)]
    Cancel(ChangeArgs),
    /// Release held tasks, so that they run
    #[command(after_help = examples::RELEASE_EXAMPLES)]
    Release(ChangeArgs),
    /// Run failed tasks again, and release held ones
    #[command(after_help = examples::RETRY_EXAMPLES)]
    Retry(ChangeArgs),
    /// Remove finished tasks from a batch: all of them, unless some are selected
    #[command(after_help = examples::CLEAR_EXAMPLES)]
    Clear(ChangeArgs),
    /// Show a batch's progress
    Status(StatusArgs),
    /// List the batches
    List(ListArgs),
    /// Show a task with all its attempts
    Show(TaskArgs),
    /// Explain in a sentence why a task waits, failed, was cancelled or runs again
    Why(TaskArgs),
    /// Show what a task printed
    Logs(LogsArgs),
    /// Show a batch's progress until it ends
    Watch(WatchArgs),
    /// Wait for a batch
    Wait(WaitArgs),
    /// Print results
    Results(Box<ResultsArgs>),
    /// Write results to a file
    Export(Box<ExportArgs>),
    /// Remove batches
    Rm(RmArgs),
    /// Remove old finished batches
    Prune(PruneArgs),
    /// Save, list, show and remove templates
    #[command(subcommand)]
    Template(TemplateCommand),
    /// Serve agents over the Model Context Protocol
    Mcp(McpArgs),
    /// Answer calls of an agent: one JSON request per line, one JSON reply per line
    Tool(ToolArgs),
    /// Work on a batch, for `start`
    #[command(hide = true)]
    Execute(ExecuteArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// What survives the end of bex, and a power failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// A finished task survives the end of bex and a power failure
    #[default]
    Full,
    /// A finished task survives the end of bex
    Fast,
    /// Nothing is kept: the batch ends with this process
    None,
}

impl Durability {
    /// The durability of the store; `None` without one.
    pub(crate) fn of_store(self) -> Option<batch_store::Durability> {
        match self {
            Self::Full => Some(batch_store::Durability::Full),
            Self::Fast => Some(batch_store::Durability::Fast),
            Self::None => None,
        }
    }
}

/// The same for a batch that is kept already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeptDurability {
    /// A finished task survives the end of bex and a power failure
    #[default]
    Full,
    /// A finished task survives the end of bex
    Fast,
}

impl From<KeptDurability> for batch_store::Durability {
    fn from(durability: KeptDurability) -> Self {
        match durability {
            KeptDurability::Full => Self::Full,
            KeptDurability::Fast => Self::Fast,
        }
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// A bar on a terminal, lines elsewhere
    #[default]
    Auto,
    /// A bar
    Bar,
    /// A line every ten seconds
    Plain,
    /// Nothing
    None,
}

/// The formats of task files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// One YAML document
    Yaml,
    /// A table, with --template
    Csv,
    /// A table with tabs, with --template
    Tsv,
}

impl From<InputFormat> for batch_input::Format {
    fn from(format: InputFormat) -> Self {
        match format {
            InputFormat::Json => Self::Json,
            InputFormat::Jsonl => Self::Jsonl,
            InputFormat::Yaml => Self::Yaml,
            InputFormat::Csv => Self::Csv,
            InputFormat::Tsv => Self::Tsv,
        }
    }
}

/// The verb, behind options that all of them have.
pub(super) fn verb(args: &[OsString]) -> Option<&OsString> {
    let mut args = args.iter().skip(1);
    loop {
        let arg = args.next()?;
        if arg == "--color" {
            args.next();
        } else if !arg.as_encoded_bytes().starts_with(b"--color=") {
            return Some(arg);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }
}
