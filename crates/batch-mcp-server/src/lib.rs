//! Batches for AI agents: few tools with small schemas and short true answers, over the Model Context Protocol.
//!
//! [`Agent`] turns the call of a tool into an action on a stored batch and its reply into an [`Answer`]: one
//! sentence with the counts, at most a page, failures by cause, and the exact next call. [`serve_stdio`],
//! [`serve_stream`] and [`serve_http`] carry calls and answers; so do the lines of `bex tool`, which use [`Agent`] alone.

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
mod wire;

pub use call::{Agent, AgentConfig, Answer, CallContext, Progress, ResourceContents, ToolInfo};
pub use limits::{Limits, NamedTool};
pub use wire::{
    HttpOptions, ServeError, ServeHttpError, new_token, serve_http, serve_stdio, serve_stream,
};
