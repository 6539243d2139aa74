//! The arguments of the verbs that look at stored batches and wait for them.

use std::path::PathBuf;
use std::time::Duration;

use batch_core::duration::parse_duration;
use batch_export::Format;
use clap::Args;

use super::batch::{BatchArgs, WholeBatchArgs};
use super::common::{CellArgs, NarrowArgs};
use super::examples::{RESULTS_EXAMPLES, WAIT_EXAMPLES};
use super::stored::ChoiceArgs;

/// Options of `bex status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) batch: WholeBatchArgs,

    /// List the running tasks, too
    #[arg(long)]
    pub(crate) detailed: bool,

    /// Print the status as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bex list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which results, for `bex results` and `bex export`.
#[derive(Clone, Debug, Args)]
pub(crate) struct WantedArgs {
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,

    /// Results of failed tasks only
    #[arg(long, conflicts_with = "status")]
    pub(crate) failed: bool,

    #[command(flatten)]
    pub(crate) narrow: NarrowArgs,

    #[command(flatten)]
    pub(crate) cells: CellArgs,

    /// Print at most N results
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,

    /// Skip the first N results
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: u64,
}

/// Options of `bex results`.
#[derive(Debug, Args)]
#[command(after_help = RESULTS_EXAMPLES)]
pub(crate) struct ResultsArgs {
    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    #[command(flatten)]
    pub(crate) wanted: WantedArgs,

    /// text, json, jsonl, csv, raw, events, junit, markdown, perfetto, or summary [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,

    /// Print the document of the JSON export
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
}

/// Options of `bex export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    /// The file; its extension gives the format
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// text, json, jsonl, csv or raw
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    #[command(flatten)]
    pub(crate) wanted: WantedArgs,

    /// Print the reply as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bex show` and `bex why`.
#[derive(Debug, Args)]
pub(crate) struct TaskArgs {
    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    /// The task: b7.42, 42, or its id
    pub(crate) task: String,

    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bex logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    /// The task: b7.42, 42, or its id [default: all, with the name of each before its lines]
    pub(crate) task: Option<String>,

    /// The attempt [default: the last]
    #[arg(long, value_name = "N", requires = "task")]
    pub(crate) attempt: Option<u32>,

    /// Wait for the task, or all tasks, to start, and follow the output until the end, or nothing runs the batch (exit code 5)
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Print the output as JSON: {"stdout", "stderr"}
    #[arg(long, requires = "task")]
    pub(crate) json: bool,
}

/// Options of `bex watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) batch: WholeBatchArgs,

    /// Print JSON, one line each: the status, what happens (started, output, attempt_ended, finished), the status at the end
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bex wait`.
#[derive(Debug, Args)]
#[command(after_help = WAIT_EXAMPLES)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) batch: WholeBatchArgs,

    /// done, first-failure, or a number of finished tasks
    #[arg(long, value_name = "WHAT", default_value = "done")]
    pub(crate) until: String,

    /// How long to wait at most
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Print the status as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
