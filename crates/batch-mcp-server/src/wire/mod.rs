//! How calls arrive: the Model Context Protocol on a pair of streams and over HTTP.
//!
//! A thin adapter: [`Dispatcher`](crate::Dispatcher) has the tools and their answers, `rmcp` the protocol. The generic
//! parts of `rmcp` are instantiated behind two boxed futures, in `stream` and `http`.

mod calls;
mod http;
mod line_filter;
mod server;
mod stdio;
mod stream;
mod tasks;

pub use http::{HttpOptions, ServeHttpError, new_token, serve_http};
pub use stream::{ServeError, serve_stdio, serve_stream};
