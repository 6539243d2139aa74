//! The server as its clients meet it, in process: on a pair of streams, and over HTTP.
//!
//! What needs a real executor, and the official SDKs, are tested with the binary.

mod http;
mod place;
mod stream;
