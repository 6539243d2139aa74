//! The tools as an agent meets them: a new [`Dispatcher`](batch_mcp_server::Dispatcher) for every call, as a client that starts a
//! server for each would have it, and real executors. Those are the example `executor`, which cargo builds with the
//! tests: `cargo test -p batch-mcp-server`.

mod control;
mod errors;
mod executor;
mod limits;
mod place;
mod resources;
mod run;
mod sizes;
mod structured;
mod wait;
