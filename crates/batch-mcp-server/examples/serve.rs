//! An MCP server on standard input and output, with the functions of `batch-handlers`.
//!
//! Batches are kept in the folder given. The example `executor` beside this one works on them:
//! `cargo run -p batch-mcp-server --example serve -- /tmp/batches`.

use std::process::Command;

use batch_actions::Home;
use batch_handlers::{HandlerConfig, standard_registry};
use batch_mcp_server::{Dispatcher, Session, serve_stdio};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("give a folder")?;
    let registry = standard_registry(&HandlerConfig::new(std::env::temp_dir()));
    let executor = std::env::current_exe()?.with_file_name("executor");
    let session = Session::new(Home::new(folder), registry, move |file| {
        let mut command = Command::new(&executor);
        command.arg(file);
        command
    });
    serve_stdio(Dispatcher::new(session)).await?;
    Ok(())
}
