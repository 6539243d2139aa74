//! The arguments of what agents use: `bex tool` and `bex mcp`.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use batch_core::duration::parse_duration;
use batch_mcp_server::Limits;
use clap::Args;

use super::common::parse_slots;

/// What the operator allows, whatever an agent asks for.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What agents may do")]
pub(crate) struct LimitArgs {
    /// How many tasks of a batch may run at once
    #[arg(long, value_name = "N", value_parser = parse_slots)]
    pub(crate) max_concurrent: Option<NonZeroU32>,

    /// The longest time limit of an attempt
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

    /// How many tasks a batch may have
    #[arg(long, value_name = "N")]
    pub(crate) max_tasks: Option<u64>,

    /// How many bytes a task may have: parameters, name, tags, variables
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

/// Where HTTP is served.
#[derive(Clone, Debug)]
pub(crate) struct HttpAddress {
    pub(crate) address: SocketAddr,
    /// The name that it was given by.
    pub(crate) name: Option<String>,
}

/// An address, or the name of a host with a port. Of several addresses of a name, one that only this machine reaches
/// comes first, and the older kind of address.
fn parse_address(text: &str) -> Result<HttpAddress, String> {
    if let Ok(address) = text.parse() {
        return Ok(HttpAddress {
            address,
            name: None,
        });
    }
    let help = "give an address and a port, such as 127.0.0.1:7438 or localhost:7438";
    let found = text.to_socket_addrs();
    let found = found.map_err(|error| format!("{error}; {help}"))?;
    let address = found.min_by_key(|found| (!found.ip().is_loopback(), found.is_ipv6()));
    let name = text.rsplit_once(':').map(|(name, _)| name.to_owned());
    match address {
        Some(address) => Ok(HttpAddress { address, name }),
        None => Err(format!("it has no address; {help}")),
    }
}

/// Options of `bex mcp`.
#[derive(Clone, Debug, Args)]
pub(crate) struct McpArgs {
    /// Serve streamable HTTP at this address, not standard input and output
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:7438", value_parser = parse_address)]
    pub(crate) http: Option<HttpAddress>,

    /// The token that clients of --http must send; other users may see it in the list of processes [default: BEX_MCP_TOKEN, else a new one, printed]
    #[arg(long, value_name = "TOKEN", requires = "http")]
    pub(crate) token: Option<String>,

    /// Read the token from this file, which only its owner may read
    #[arg(long, value_name = "FILE", requires = "http", conflicts_with = "token")]
    pub(crate) token_file: Option<PathBuf>,

    /// Another name by which clients may call this host
    #[arg(long, value_name = "HOST", requires = "http")]
    pub(crate) host: Vec<String>,

    /// A web page that may call, such as `https://app.example.com:443`
    #[arg(long, value_name = "ORIGIN", requires = "http")]
    pub(crate) origin: Vec<String>,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
