//! The functions that tasks may name: [`Functions`], ours and the tools that the configuration names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use batch_agent::NamedTool;
use batch_handlers::{HandlerConfig, standard_registry};
use batch_process::{OutputRoom, Scratch};
use batch_runtime::Registry;
use batch_tools::{ConfigError, ToolServers, with_tools};

/// A task that has run for so long writes its output where `bex logs` finds it.
const LIVE_AFTER: Duration = Duration::from_secs(1);

/// All functions, with the servers of tools behind some of them.
pub(crate) struct Functions {
    servers: Arc<ToolServers>,
    scratch: Scratch,
}

impl Functions {
    /// Ours, and those of the configuration file. Nothing is started.
    pub(crate) fn of_environment() -> Result<Self, ConfigError> {
        let servers = Arc::new(ToolServers::of_environment()?);
        let scratch = Scratch::default();
        Ok(Self { servers, scratch })
    }

    /// The handlers for checking tasks.
    pub(crate) fn registry(&self) -> Registry {
        self.with_servers(HandlerConfig::new(std::env::temp_dir()))
    }

    /// The handlers of a run in memory, whose large outputs lie in a private folder; who hears when those find no room.
    pub(crate) fn in_memory(&self, room: Arc<dyn OutputRoom>) -> std::io::Result<Registry> {
        let config = HandlerConfig::new(self.scratch.folder()?);
        Ok(self.with_servers(HandlerConfig {
            room: Some(room),
            ..config
        }))
    }

    /// The functions that stand for a tool of a server.
    pub(crate) fn named_tools(&self) -> BTreeMap<String, NamedTool> {
        let functions = self.servers.functions();
        functions
            .map(|(name, server, tool)| {
                let (server, tool) = (server.to_owned(), tool.to_owned());
                (name.to_owned(), NamedTool { server, tool })
            })
            .collect()
    }

    /// The handlers of a stored batch, given the folder for its large outputs, and who hears when those find no room.
    pub(crate) fn stored(&self, folder: &Path, room: Arc<dyn OutputRoom>) -> Registry {
        self.with_servers(HandlerConfig {
            live_after: Some(LIVE_AFTER),
            room: Some(room),
            ..HandlerConfig::new(folder.to_owned())
        })
    }

    /// Ends the servers that were started. For the end of a run, before what is left is swept up.
    pub(crate) async fn close(&self) {
        self.servers.close().await;
    }

    fn with_servers(&self, config: HandlerConfig) -> Registry {
        let config = HandlerConfig {
            scratch: self.scratch.clone(),
            ..config
        };
        with_tools(standard_registry(&config), Arc::clone(&self.servers))
    }
}
