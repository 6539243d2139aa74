//! How calls arrive: the Model Context Protocol on a pair of streams and over HTTP.
//!
//! A thin adapter: [`Agent`](crate::Agent) has the tools and their answers, `rmcp` the protocol. Nothing of a batch is
//! kept here, so a client may start a new server for each call, and a batch outlives them all. With the tasks extension,
//! a batch is the task: its state is read from its file whenever somebody asks.

mod http;
mod line;
mod server;
mod sieve;
mod tasks;

pub use http::{HttpOptions, ServeHttpError, new_token, serve_http};
pub use line::{ServeError, serve_stdio, serve_stream};
