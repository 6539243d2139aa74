//! The command line as it is written: the first pass, in which nothing is decided yet.

mod agent;
mod examples;
mod help;
mod look;
mod stored;

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use batch_actions::{ActionError, Home};
use batch_core::{BatchId, FullTaskId, Priority, Status, parse_duration};
use batch_export::Format;
use batch_store::BatchFile;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use agent::{LimitArgs, McpArgs, ToolArgs};
pub(crate) use help::parse;
pub(crate) use look::{
    ExportArgs, ListArgs, LogsArgs, ResultsArgs, StatusArgs, TaskArgs, WaitArgs, WantedArgs,
    WatchArgs,
};
pub(crate) use stored::{
    AddArgs, ChangeArgs, ChoiceArgs, PlainArgs, PruneArgs, RmArgs, SetArgs, StopArgs,
    TemplateCommand,
};

/// Runs many tasks with bounded concurrency, in priority order, with retries, and tells what happened.
#[derive(Debug, Parser)]
#[command(
    name = "bex",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a task file, or one command for each input line, to its end
    #[command(after_help = RUN_EXAMPLES, override_usage = RUN_USAGE)]
    Run(Box<RunArgs>),
    /// Add tasks to a batch
    Add(Box<AddArgs>),
    /// Run a batch in the background
    Start(StartArgs),
    /// Stop the run of a batch; what is queued stays queued
    Stop(StopArgs),
    /// Let a paused batch go on, or run an unfinished one to its end
    Resume(Box<ResumeArgs>),
    /// Start nothing more until the batch is resumed
    Pause(PlainArgs),
    /// Change a batch, also while it runs
    Set(SetArgs),
    /// Cancel tasks
    Cancel(ChangeArgs),
    /// Run failed tasks again, and let held ones go
    Retry(ChangeArgs),
    /// Remove finished tasks from a batch
    Clear(ChangeArgs),
    /// Show how a batch is getting on
    Status(StatusArgs),
    /// List the batches
    List(ListArgs),
    /// Show a task with all its attempts
    Show(TaskArgs),
    /// Say in a sentence why a task waits, failed, was cancelled or runs again
    Why(TaskArgs),
    /// Show what a task printed
    Logs(LogsArgs),
    /// Show a batch as it gets on
    Watch(WatchArgs),
    /// Wait for a batch
    Wait(WaitArgs),
    /// Print results
    Results(Box<ResultsArgs>),
    /// Write results to a file
    Export(Box<ExportArgs>),
    /// Remove batches
    Rm(RmArgs),
    /// Remove finished batches of some age
    Prune(PruneArgs),
    /// Save, list, show and remove templates
    #[command(subcommand)]
    Template(TemplateCommand),
    /// Serve agents over the Model Context Protocol
    Mcp(McpArgs),
    /// Answer the calls of an agent: a JSON request a line, a JSON reply a line
    Tool(ToolArgs),
    /// Work on a batch, as `start` has it done
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

/// Options of `bex start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    /// How many tasks run at once, in this run
    #[arg(short = 'j', long, value_name = "N")]
    pub(crate) max_concurrent: Option<NonZeroU32>,

    /// Print the reply as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bex resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    /// Run it in the background
    #[arg(short, long)]
    pub(crate) detach: bool,

    /// How many tasks run at once, in this run
    #[arg(short = 'j', long, value_name = "N")]
    pub(crate) max_concurrent: Option<NonZeroU32>,

    /// What survives what: full (a finished task survives a power failure), fast (the end of bex)
    #[arg(long, value_enum, default_value_t = Durability::Full)]
    pub(crate) durability: Durability,

    #[command(flatten)]
    pub(crate) results: ResultArgs,

    /// Print the reply as JSON, where the batch runs in the background
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of the hidden `bex execute`.
#[derive(Debug, Args)]
pub(crate) struct ExecuteArgs {
    /// The batch file
    pub(crate) file: PathBuf,

    /// How many tasks run at once, in this run
    #[arg(short = 'j', long, value_name = "N")]
    pub(crate) max_concurrent: Option<NonZeroU32>,

    /// What survives what
    #[arg(long, value_enum, default_value_t = Durability::Full)]
    pub(crate) durability: Durability,
}

/// Which batch.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct BatchArgs {
    /// The batch, such as b7 [default: the latest]
    #[arg(short, long, value_name = "ID")]
    pub(crate) batch: Option<BatchId>,

    /// A batch file that lies elsewhere
    #[arg(long, value_name = "FILE", conflicts_with = "batch")]
    pub(crate) store: Option<PathBuf>,
}

impl BatchArgs {
    /// The file of the batch.
    pub(crate) fn find(&self, home: &Home) -> Result<BatchFile, ActionError> {
        match &self.store {
            Some(path) => Ok(BatchFile::new(path)),
            None => home.find(self.batch),
        }
    }

    /// The file of the batch that tasks are in: a full name such as b7.42 says so, where nothing else does.
    pub(crate) fn find_with<'t>(
        &self,
        home: &Home,
        tasks: impl IntoIterator<Item = &'t String>,
    ) -> Result<BatchFile, ActionError> {
        let mut full = tasks.into_iter().filter_map(|task| task.parse().ok());
        let batch = self
            .batch
            .or_else(|| full.next().map(|task: FullTaskId| task.batch));
        match &self.store {
            Some(_) => self.find(home),
            None => home.find(batch),
        }
    }
}

/// What survives what.
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

const RUN_USAGE: &str = "bex run [OPTIONS] FILE
       bex run [OPTIONS] -- CMD ARG… < lines
       bex run [OPTIONS] -- CMD ARG… ::: ITEM…
       bex run [OPTIONS] --shell 'CMD {}' ::: ITEM…";

const RUN_EXAMPLES: &str = "\
In CMD, {} is the item, {.} the item without extension, {/} its base name, {//} its folder,
{#} the number of the task. Without any of them the item is added as the last argument.

Examples:
  bex run tasks.yaml                                run a task file
  bex run tasks.json -o results.csv                 and keep the results
  ls *.wav | bex run -j 4 -- flac -s {}             one command for each line
  bex run --max-retries 3 -- curl -fsO ::: URL…     try again what fails
  bex run --shell 'gzip -c {} > {/}.gz' ::: *.log   through a shell, items quoted

Exit codes: 0 all completed, 1 some failed, 2 wrong usage or input, 3 bex itself failed,
5 stopped before the end, 130 and 143 ended by Ctrl-C and SIGTERM.";

/// Options of `bex run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A task file: .json, .jsonl, .yaml, or .csv with --template; - for standard input
    pub(crate) file: Option<PathBuf>,

    /// A command, run once for each item
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,

    /// A shell script, run once for each item; items are put in quoted
    #[arg(long, value_name = "SCRIPT", help_heading = "What to run")]
    pub(crate) shell: Option<OsString>,

    /// A function, run once for each item, with --params
    #[arg(long, value_name = "NAME", help_heading = "What to run")]
    pub(crate) function: Option<String>,

    /// The parameters for --function: JSON, with {} in its texts for the item
    #[arg(
        long,
        value_name = "JSON",
        requires = "function",
        help_heading = "What to run"
    )]
    pub(crate) params: Option<String>,

    /// The task for each row of a .csv FILE; without FILE, a saved template
    #[arg(long, value_name = "FILE|NAME", help_heading = "What to run")]
    pub(crate) template: Option<PathBuf>,

    /// The format of FILE, where its name does not tell it
    #[arg(long, value_name = "FORMAT", help_heading = "What to run")]
    pub(crate) input: Option<InputFormat>,

    /// Items on standard input end with a NUL byte, not a line feed
    #[arg(short = '0', long, help_heading = "What to run")]
    pub(crate) null: bool,

    /// Show what would run, and run nothing
    #[arg(long, help_heading = "What to run")]
    pub(crate) dry_run: bool,

    /// How many tasks run at once [default: number of CPUs]
    #[arg(short = 'j', long, value_name = "N", help_heading = "How to run")]
    pub(crate) max_concurrent: Option<NonZeroU32>,

    /// How long one attempt may take, such as 30 or 1m30s
    #[arg(long, value_name = "DUR", value_parser = parse_duration, help_heading = "How to run")]
    pub(crate) timeout: Option<Duration>,

    /// How long the whole batch may take
    #[arg(long, value_name = "DUR", value_parser = parse_duration, help_heading = "How to run")]
    pub(crate) batch_timeout: Option<Duration>,

    /// How often a failed task is tried again [default: 3 in files, 0 for commands]
    #[arg(long, value_name = "N", help_heading = "How to run")]
    pub(crate) max_retries: Option<u32>,

    /// End the batch at the first task that fails
    #[arg(long, help_heading = "How to run")]
    pub(crate) fail_fast: bool,

    /// Keep the batch in this file, not in the state folder
    #[arg(long, value_name = "FILE", help_heading = "The batch")]
    pub(crate) store: Option<PathBuf>,

    /// What survives what: full (a finished task survives a power failure), fast (the end of bex), none
    #[arg(long, value_enum, default_value_t, help_heading = "The batch")]
    pub(crate) durability: Durability,

    /// A name for the batch
    #[arg(long, value_name = "NAME", help_heading = "The batch")]
    pub(crate) name: Option<String>,

    /// One batch for each key: the same key and tasks give the batch that there is
    #[arg(long, value_name = "KEY", help_heading = "The batch")]
    pub(crate) key: Option<String>,

    /// Go on with the last batch of FILE: run what is new, failed or unfinished, by content
    #[arg(long, requires = "file", help_heading = "The batch")]
    pub(crate) resume: bool,

    /// A value for a saved template
    #[arg(
        long,
        value_name = "NAME=VALUE",
        requires = "template",
        help_heading = "What to run"
    )]
    pub(crate) param: Vec<String>,

    /// Run a saved template once for each row of a table
    #[arg(
        long,
        value_name = "FILE",
        requires = "template",
        help_heading = "What to run"
    )]
    pub(crate) rows: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) results: ResultArgs,
}

/// What becomes of the results.
#[derive(Clone, Debug, Args)]
pub(crate) struct ResultArgs {
    /// Write the results to a file; its extension gives the format
    #[arg(short, long, value_name = "FILE", help_heading = "Results")]
    pub(crate) output: Option<PathBuf>,

    /// text, json, jsonl, csv, raw or none [default: text for files, raw for commands]
    #[arg(long, value_name = "FORMAT", help_heading = "Results")]
    pub(crate) format: Option<Format>,

    /// Write results in the order of the tasks, not as they finish
    #[arg(short, long, help_heading = "Results")]
    pub(crate) keep_order: bool,

    /// Only results that match, such as 'status:failed time>10'
    #[arg(long, value_name = "EXPR", help_heading = "Results")]
    pub(crate) filter: Option<String>,

    /// Only results of these statuses
    #[arg(
        long,
        value_name = "STATUS",
        value_delimiter = ',',
        help_heading = "Results"
    )]
    pub(crate) status: Vec<Status>,

    /// Only results of these priorities
    #[arg(
        long,
        value_name = "PRIORITY",
        value_delimiter = ',',
        help_heading = "Results"
    )]
    pub(crate) priority: Vec<Priority>,

    /// Only results with one of these tags
    #[arg(
        long,
        value_name = "TAG",
        value_delimiter = ',',
        help_heading = "Results"
    )]
    pub(crate) tag: Vec<String>,

    /// In CSV, keep spreadsheets from taking cells for formulas
    #[arg(long, help_heading = "Results")]
    pub(crate) guard_formulas: bool,

    /// How progress is shown
    #[arg(long, value_enum, default_value_t, help_heading = "Results")]
    pub(crate) progress: Progress,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// A bar on a terminal, lines elsewhere
    #[default]
    Auto,
    /// A bar
    Bar,
    /// A line now and then
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
}

impl From<InputFormat> for batch_input::Format {
    fn from(format: InputFormat) -> Self {
        match format {
            InputFormat::Json => Self::Json,
            InputFormat::Jsonl => Self::Jsonl,
            InputFormat::Yaml => Self::Yaml,
            InputFormat::Csv => Self::Csv,
        }
    }
}

/// Takes the items after the first `:::` off the arguments: they are data, and none of them is an option.
pub(crate) fn split_items(
    args: impl Iterator<Item = OsString>,
) -> (Vec<OsString>, Option<Vec<OsString>>) {
    let mut args: Vec<OsString> = args.collect();
    match args.iter().position(|arg| arg == ":::") {
        None => (args, None),
        Some(at) => {
            let items = args.split_off(at + 1);
            args.pop();
            (args, Some(items))
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

    #[test]
    fn items_are_never_options() {
        let args = ["bex", "run", "--shell", "x", ":::", "-j", "a", ":::"].map(OsString::from);
        let (args, items) = split_items(args.into_iter());
        assert_eq!(args, ["bex", "run", "--shell", "x"]);
        assert_eq!(items.unwrap(), ["-j", "a", ":::"]);
    }
}
