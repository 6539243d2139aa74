//! The tools as an agent meets them: a new [`Agent`](batch_mcp_server::Agent) for every call, as a client that starts a
//! server for each would have it, and real executors. Those are the example `executor`, which cargo builds with the
//! tests: `cargo test -p batch-mcp-server`.

mod control;
mod executor;
mod facts;
mod limits;
mod mistakes;
mod place;
mod resources;
mod run;
mod sizes;
mod wait;
