//! The arguments of what runs a batch: `run`, `start`, `resume`, and the hidden `execute`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use batch_core::settings::Halt;
use batch_export::Format;
use clap::Args;

use super::batch::WholeBatchArgs;
use super::common::{AttemptArgs, CellArgs, FunctionArgs, SlotArgs, parse_limit, parse_slots};
use super::items::ItemArgs;
use super::shown::ShownArgs;
use super::task::TaskFieldArgs;
use super::{Durability, InputFormat, KeptDurability, Progress};

pub(crate) const RUN_USAGE: &str = "bex run [OPTIONS] FILE
       bex run [OPTIONS] -- CMD ARG… < lines
       bex run [OPTIONS] -- CMD ARG… ::: ITEM…
       bex run [OPTIONS] --shell 'CMD {}' ::: ITEM…";

pub(crate) const RUN_EXAMPLES: &str = "\
In CMD, {} is the item, {.} the item without extension, {..} without two, {/} its base name, {//} its
folder, {/.} its base name without extension; {1} {2.} {NAME/} the same of one of several sources or
columns; {#} the number of the task, {%} its slot. Without any of them items are added at the end.
Several sources: ::: a b ::: 1 2 is each with each, :::+ pairs with the source before,
:::: FILE and ::::+ FILE read one.

Examples:
  bex run tasks.yaml                                run a task file
  bex run tasks.json -o results.csv                 and keep the results
  ls *.wav | bex run -j 4 -- flac -s {}             one command for each line
  bex run --max-retries 3 -- curl -fsO ::: URL…     retry what fails, after 1 s, 2 s, 4 s at most
  bex run -- convert {1} -resize {2} {1/.}-{2}.png ::: *.jpg ::: 100 200   each with each
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

    /// A shell script, run once for each item; items are quoted
    #[arg(long, value_name = "SCRIPT", help_heading = "What to run")]
    pub(crate) shell: Option<OsString>,

    #[command(flatten)]
    pub(crate) function: FunctionArgs,

    /// The task for each row of a .csv FILE; without FILE, a saved template
    #[arg(long, value_name = "FILE|NAME", help_heading = "What to run")]
    pub(crate) template: Option<PathBuf>,

    /// The format of FILE, if its extension does not say it
    #[arg(long, value_name = "FORMAT", help_heading = "What to run")]
    pub(crate) input: Option<InputFormat>,

    /// Show what would run, and run nothing
    #[arg(long, help_heading = "What to run")]
    pub(crate) dry_run: bool,

    /// How many tasks run at once [default: number of CPUs]
    #[arg(short = 'j', long, value_name = "N", value_parser = parse_slots, help_heading = "How to run")]
    pub(crate) max_concurrent: Option<NonZeroU32>,

    #[command(flatten)]
    pub(crate) attempt: AttemptArgs,

    /// How long the whole batch may take
    #[arg(long, value_name = "DUR", value_parser = parse_limit, help_heading = "How to run")]
    pub(crate) batch_timeout: Option<Duration>,

    /// End the batch at the first task that fails: running tasks are ended, and queued ones cancelled
    #[arg(long, conflicts_with = "halt", help_heading = "How to run")]
    pub(crate) fail_fast: bool,

    /// End the batch when this many tasks have failed, completed or either: now,fail=1 ends running tasks, soon,fail=10%
    /// lets them end by themselves; also success and done. What has not started is cancelled
    #[arg(long, value_name = "WHEN", help_heading = "How to run")]
    pub(crate) halt: Option<Halt>,

    /// The least time between two starts
    #[arg(long, value_name = "DUR", value_parser = parse_limit, help_heading = "How to run")]
    pub(crate) delay: Option<Duration>,

    /// Run only the tasks of FILE that match, such as 'tag:smoke', and what they depend on
    #[arg(long, value_name = "EXPR", help_heading = "What to run")]
    pub(crate) only: Option<String>,

    #[command(flatten)]
    pub(crate) task: TaskFieldArgs,

    /// Keep the batch in this file, not in the state folder
    #[arg(long, value_name = "FILE", help_heading = "The batch")]
    pub(crate) store: Option<PathBuf>,

    /// What finished tasks survive: full (a power failure), fast (the end of bex), none (nothing is kept)
    #[arg(long, value_enum, default_value_t, help_heading = "The batch")]
    pub(crate) durability: Durability,

    /// A name for the batch
    #[arg(long, value_name = "NAME", help_heading = "The batch")]
    pub(crate) name: Option<String>,

    /// Idempotency key: the same key and tasks return the existing batch
    #[arg(long, value_name = "KEY", help_heading = "The batch")]
    pub(crate) key: Option<String>,

    /// Continue the last batch of FILE: run tasks that are new, failed or unfinished, compared by content
    #[arg(long, help_heading = "The batch")]
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
    pub(crate) items: ItemArgs,

    #[command(flatten)]
    pub(crate) results: ResultArgs,
}

/// What becomes of the results.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct ResultArgs {
    /// Write the results to a file; its extension gives the format
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// text, json, jsonl, csv, raw, events, junit, markdown, perfetto or none [default: text for files, raw for commands]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// Append what the batch came to to the page of the job in GitHub Actions
    #[arg(long)]
    pub(crate) step_summary: bool,

    /// Write results in the order of the tasks, not as they finish
    #[arg(short, long)]
    pub(crate) keep_order: bool,

    /// Show only results that match, such as 'status:failed time>10'; all tasks run
    #[arg(long, value_name = "EXPR")]
    pub(crate) show: Option<String>,

    #[arg(long, hide = true, value_parser = refuse_narrowing)]
    filter: Option<Infallible>,

    #[arg(long, hide = true, value_parser = refuse_narrowing)]
    status: Option<Infallible>,

    #[command(flatten)]
    pub(crate) cells: CellArgs,

    #[command(flatten)]
    pub(crate) shown: ShownArgs,

    /// How progress is shown
    #[arg(long, value_enum, default_value_t)]
    pub(crate) progress: Progress,
}

/// Options of `bex start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(crate) batch: WholeBatchArgs,

    #[command(flatten)]
    pub(crate) slots: SlotArgs,

    /// Wait for more tasks when all is done, until bex stop
    #[arg(long)]
    pub(crate) stay: bool,

    /// Print the reply as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bex resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) batch: WholeBatchArgs,

    /// Run it in the background
    #[arg(short, long, conflicts_with_all = ["output", "format", "keep_order"])]
    pub(crate) detach: bool,

    #[command(flatten)]
    pub(crate) slots: SlotArgs,

    /// What finished tasks survive: full (a power failure), fast (the end of bex)
    #[arg(long, value_enum, default_value_t)]
    pub(crate) durability: KeptDurability,

    /// Print JSON: the results at the end, or the reply with --detach
    #[arg(long, conflicts_with_all = ["format", "output"])]
    pub(crate) json: bool,

    // Last, as its heading would go on.
    #[command(flatten)]
    pub(crate) results: ResultArgs,
}

/// Options of the hidden `bex execute`.
#[derive(Debug, Args)]
pub(crate) struct ExecuteArgs {
    /// The batch file
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) slots: SlotArgs,

    /// What survives what
    #[arg(long, value_enum, default_value_t)]
    pub(crate) durability: KeptDurability,

    /// Wait for more tasks when all is done
    #[arg(long)]
    pub(crate) stay: bool,
}

/// `--filter` and `--status` choose tasks of verbs that look at a batch. Here they would hide results of tasks that run
/// all the same.
fn refuse_narrowing(_: &str) -> Result<Infallible, String> {
    let message = "it does not say whether tasks or results are meant; --show EXPR chooses which results are shown, \
        and --only EXPR which tasks of a FILE run, such as --only 'tag:smoke'";
    Err(message.to_owned())
}
