//! The arguments of what agents use: `bex tool` and `bex mcp`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use batch_agent::Limits;
use batch_core::parse_duration;
use clap::Args;

use super::common::parse_slots;

/// What the operator allows, whatever an agent asks for.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What agents may do")]
pub(crate) struct LimitArgs {
    /// At most so many tasks run at once in a batch
    #[arg(long, value_name = "N", value_parser = parse_slots)]
    pub(crate) max_concurrent: Option<NonZeroU32>,

    /// No attempt takes longer
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(crate) max_timeout: Option<Duration>,

    /// Working folders, task files and exports stay below this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Allow only these functions
    #[arg(long, value_name = "FUNCTION", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,

    /// Allow all functions but these
    #[arg(long, value_name = "FUNCTION", value_delimiter = ',')]
    pub(crate) deny: Vec<String>,

    /// Tasks may set only these environment variables
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) env: Option<Vec<String>>,

    /// At most so many tasks in a batch
    #[arg(long, value_name = "N")]
    pub(crate) max_tasks: Option<u64>,

    /// At most so many bytes for a task: parameters, name, tags, variables
    #[arg(long, value_name = "N")]
    pub(crate) max_bytes: Option<u64>,
}

impl LimitArgs {
    pub(crate) fn limits(&self) -> Limits {
        let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        Limits {
            max_concurrent: self.max_concurrent,
            max_timeout: self.max_timeout,
            root: self.root.clone(),
            allowed_functions: set(&self.allow),
            denied_functions: set(&self.deny),
            environment: self.env.as_deref().map(set),
            max_tasks: self.max_tasks,
            max_bytes: self.max_bytes,
            ..Limits::default()
        }
    }
}

/// Options of `bex tool`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ToolArgs {
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Options of `bex mcp`.
#[derive(Clone, Debug, Args)]
pub(crate) struct McpArgs {
    /// Serve streamable HTTP at this address, not standard input and output
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:7438")]
    pub(crate) http: Option<SocketAddr>,

    /// The token that clients of --http give [default: BEX_MCP_TOKEN, else a new one, printed]
    #[arg(long, value_name = "TOKEN", requires = "http")]
    pub(crate) token: Option<String>,

    /// A further name by which clients may call this host
    #[arg(long, value_name = "HOST", requires = "http")]
    pub(crate) host: Vec<String>,

    /// A web page that may call, such as `https://app.example.com:443`
    #[arg(long, value_name = "ORIGIN", requires = "http")]
    pub(crate) origin: Vec<String>,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
