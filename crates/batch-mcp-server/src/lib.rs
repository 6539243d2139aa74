//! Batches for AI agents: few tools with small schemas and short true answers, over the Model Context Protocol.
//!
//! A [`Dispatcher`] turns the call of a tool into an action on a stored batch and its reply into an [`Answer`]: one
//! sentence with the counts, at most a page, failures by cause, and the exact next call. [`serve_stdio`],
//! [`serve_stream`] and [`serve_http`] carry calls and answers over MCP; `bex tool` uses the dispatcher alone.
//!
//! ```text
//! wire ─► Dispatcher ─► tools ─► batch-actions
//!   serve_*  by name     arguments in, Answer out
//! ```
//!
//! Nothing is kept between calls: a [`Session`] says where batches are and what tasks may do, a cursor in the answers
//! says what a client has seen. So a client may start a new server for each call, and a batch outlives them all.

#![forbid(unsafe_code)]

mod answer;
mod args;
mod call_error;
mod cursor;
mod dispatch;
mod limits;
mod page;
mod session;
mod structured;
mod tools;
mod truncate;
mod wire;

pub use answer::{Answer, ResourceContents, ToolInfo};
pub use dispatch::Dispatcher;
pub use limits::{Limits, NamedTool};
pub use session::{CallContext, Progress, Session};
pub use wire::{
    HttpOptions, ServeError, ServeHttpError, new_token, serve_http, serve_stdio, serve_stream,
};
