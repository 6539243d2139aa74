//! Tools of MCP servers as tasks of a batch: the function `tool {server, tool, args}`.
//!
//! [`ToolServers`] holds the servers that a configuration file names, and [`with_tools`] adds to a registry the
//! function `tool` and a function for each tool that the file gives a name of its own:
//!
//! ```text
//! Handler ─► Server ─► Connection ─► rmcp ─► pipes of a process, or HTTP
//!            slots,    who answers
//!            restarts
//! ```
//!
//! A server is started by the first call, shared by all tasks, and started again when it has died. Calls that
//! were under way then fail and may be tried again. [`ToolServers::close`] ends the servers; what is dropped
//! without it is killed.
//!
//! A process is started by `batch-process` and not by rmcp, since tokio's own processes do not work in an
//! executor (see [`batch_process::guard`]).

#![forbid(unsafe_code)]

mod answer;
mod config;
mod connection;
mod handler;
mod http;
mod io_thread;
mod params;
mod server;
mod servers;
mod stdio;

pub use config::{ConfigError, ConfigProblem, RESERVED, default_path};
pub use handler::with_tools;
pub use servers::ToolServers;
