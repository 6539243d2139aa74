//! The arguments of the verbs that change stored batches; those that only look are in `look`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use batch_actions::Choice;
use batch_core::{Priority, Status, duration::parse_duration};
use clap::{Args, Subcommand};

use super::InputFormat;
use super::batch::{BatchArgs, WholeBatchArgs};
use super::common::{AttemptArgs, FunctionArgs, parse_limit, parse_slots};
use super::examples::{ADD_EXAMPLES, SET_EXAMPLES, STOP_EXAMPLES};
use super::task::TaskFieldArgs;

/// Options of `bex add`.
#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    /// Make a new batch
    #[arg(long, conflicts_with_all = ["batch", "store"])]
    pub(crate) new: bool,

    /// Idempotency key: the same key and tasks return the existing batch
    #[arg(long, value_name = "KEY", conflicts_with_all = ["batch", "store", "new"])]
    pub(crate) key: Option<String>,

    /// A name for the batch
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// The least time between two starts, for the batch
    #[arg(long, value_name = "DUR", value_parser = parse_limit)]
    pub(crate) delay: Option<Duration>,

    /// Run the batch in the background, if nothing runs it yet
    #[arg(long)]
    pub(crate) start: bool,

    /// A command
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,

    /// A shell script
    #[arg(long, value_name = "SCRIPT", help_heading = "What to run")]
    pub(crate) shell: Option<String>,

    #[command(flatten)]
    pub(crate) function: FunctionArgs,

    /// All tasks of a file: .json, .jsonl, .yaml, or .csv with --template; - for standard input
    #[arg(long, value_name = "FILE", help_heading = "What to run")]
    pub(crate) file: Option<PathBuf>,

    /// The task for each row of a .csv file
    #[arg(
        long,
        value_name = "FILE",
        requires = "file",
        help_heading = "What to run"
    )]
    pub(crate) template: Option<PathBuf>,

    /// What is between the cells of a table, where its name does not tell: tab, comma, semicolon, a character
    #[arg(
        long,
        value_name = "SEPARATOR",
        requires = "template",
        help_heading = "What to run"
    )]
    pub(crate) sep: Option<String>,

    /// The format of --file, if its extension does not say it
    #[arg(
        long,
        value_name = "FORMAT",
        requires = "file",
        help_heading = "What to run"
    )]
    pub(crate) input: Option<InputFormat>,

    #[command(flatten)]
    pub(crate) attempt: AttemptArgs,

    /// Print the reply as JSON
    #[arg(long)]
    pub(crate) json: bool,

    // Last, as its heading would go on.
    #[command(flatten)]
    pub(crate) task: TaskFieldArgs,
}

/// Which tasks of a batch.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ChoiceArgs {
    /// Tasks: b7.42, 42, or their ids; or a batch, such as b7, and tasks of it
    #[arg(value_name = "TASK")]
    pub(crate) tasks: Vec<String>,

    /// Tasks that match, such as 'function:http time>10'
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,

    /// Tasks of these statuses
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    pub(crate) status: Vec<Status>,

    /// Tasks that failed for this cause, such as c3fa21b
    #[arg(long, value_name = "CAUSE")]
    pub(crate) cause: Option<String>,
}

impl ChoiceArgs {
    /// The choice, of tasks of which the batch was told apart.
    pub(crate) fn choice(&self, tasks: Vec<String>) -> Choice {
        Choice {
            tasks,
            statuses: self.status.clone(),
            cause: self.cause.clone(),
            filter: self.filter.clone(),
        }
    }
}

/// Options of verbs that change tasks: `cancel`, `retry`, `clear`.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,

    /// All tasks that can be changed so
    #[arg(long, conflicts_with_all = ["filter", "status", "cause"])]
    pub(crate) all: bool,

    /// Print the reply as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of verbs that need no more than a batch: `pause`.
#[derive(Debug, Args)]
pub(crate) struct PlainArgs {
    #[command(flatten)]
    pub(crate) batch: WholeBatchArgs,

    /// Print the reply as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bex stop`.
#[derive(Debug, Args)]
#[command(after_help = STOP_EXAMPLES)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) batch: WholeBatchArgs,

    /// Ask running tasks to end, and kill them after their grace time
    #[arg(long)]
    pub(crate) now: bool,

    /// Kill running tasks
    #[arg(long, conflicts_with = "now")]
    pub(crate) kill: bool,

    /// Wait until the executor has ended; --now and --kill always do
    #[arg(long)]
    pub(crate) wait: bool,

    /// Print the reply as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bex set`.
#[derive(Debug, Args)]
#[command(after_help = SET_EXAMPLES)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    pub(crate) batch: BatchArgs,

    /// How many tasks run at once, from now on
    #[arg(short = 'j', long, value_name = "N", value_parser = parse_slots)]
    pub(crate) max_concurrent: Option<NonZeroU32>,

    /// The priority of the selected queued tasks, or of all
    #[arg(long, value_name = "PRIORITY")]
    pub(crate) priority: Option<Priority>,

    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,

    /// Print the reply as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bex rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The batches: b7, 7, or their names
    #[arg(required = true, value_name = "BATCH")]
    pub(crate) batches: Vec<String>,

    /// Print the reply as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bex prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Only batches without activity for this long
    #[arg(long, value_name = "DUR", default_value = "7d", value_parser = parse_age)]
    pub(crate) older_than: Duration,

    /// Show which batches would be removed, and remove none
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print the reply as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A duration that may be given in days.
fn parse_age(text: &str) -> Result<Duration, String> {
    if let Some(days) = text.strip_suffix('d') {
        let days: u64 = days
            .parse()
            .map_err(|_| format!("{text:?} is not a number of days such as 7d"))?;
        return Ok(Duration::from_secs(days.saturating_mul(86_400)));
    }
    parse_duration(text).map_err(|error| error.to_string())
}

/// `bex template …`
#[derive(Debug, Subcommand)]
pub(crate) enum TemplateCommand {
    /// Save a template
    Save {
        /// Its name
        name: String,
        /// A JSON or YAML file
        file: PathBuf,
        /// Replace the template of this name
        #[arg(long)]
        replace: bool,
        /// Print the reply as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the saved templates
    List {
        /// Print the list as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a template and its parameters
    Show {
        /// Its name
        name: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a template
    Rm {
        /// Its name
        name: String,
        /// Print the reply as JSON
        #[arg(long)]
        json: bool,
    },
}
