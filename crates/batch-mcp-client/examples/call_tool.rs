//! Calls a tool of a configured MCP server once for each text given.
//!
//! `cargo run -p batch-mcp-client --example call_tool -- config.toml SERVER TOOL TEXT…` calls it with `{"text": TEXT}`.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use batch_core::{BatchSettings, TaskSpec};
use batch_mcp_client::{ToolServers, with_tools};
use batch_runtime::{Registry, RunBuilder};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [config, server, tool, texts @ ..] = args.as_slice() else {
        return Err("give a configuration file, a server, a tool and texts".into());
    };
    let servers = Arc::new(ToolServers::load(Path::new(config))?);
    let registry = with_tools(Registry::new(), Arc::clone(&servers));
    let call = |text: &String| {
        let params = json!({ "server": server, "tool": tool, "args": { "text": text } });
        TaskSpec::new("tool").with_params(&params)
    };
    let tasks = texts.iter().map(call).collect::<Result<Vec<_>, _>>()?;
    let settings = BatchSettings::with_slots(NonZeroU32::MIN.saturating_add(3));
    let run = RunBuilder::new(registry).with_settings(settings).start();
    run.submit(tasks).await?;
    let report = run.finish().await;
    servers.close().await;
    eprintln!("{:?}", report.stats);
    Ok(())
}
