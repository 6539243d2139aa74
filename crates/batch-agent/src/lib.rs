//! Batches for AI agents: few tools with small schemas, and short true answers.
//!
//! [`Agent`] turns the call of a tool into an action on a stored batch and its reply into an [`Answer`]: one
//! sentence with the counts, at most a page, failures by cause, and the exact next call. How calls arrive is the
//! business of others: the MCP server, and the lines of `bex tool`.

#![forbid(unsafe_code)]

mod args;
mod call;
mod cursor;
mod cut;
mod facts;
mod limits;
mod mistake;
mod page;
mod tools;

pub use call::{Agent, AgentConfig, Answer, CallContext, Progress, ResourceContents, ToolInfo};
pub use limits::{Limits, NamedTool};
