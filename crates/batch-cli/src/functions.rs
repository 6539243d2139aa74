//! The functions that tasks may name: [`Functions`], ours and the tools that the configuration names.
//!
//! A configuration that cannot be used stops only what needs it: a run with a task of another function than ours, and
//! the service of agents, whose limits name functions. Everything else goes on with a warning.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use batch_actions::ActionError;
use batch_core::Status;
use batch_handlers::{HandlerConfig, standard_registry};
use batch_mcp_client::{ConfigError, ToolServers, with_tools};
use batch_mcp_server::NamedTool;
use batch_process::{DiskSpaceWatch, LiveOutput, Scratch};
use batch_runtime::Registry;
use batch_store::{Selection, Store};

use crate::reply::tell;

/// A task that has run for this long writes its output where `bex logs` finds it.
const LIVE_AFTER: Duration = Duration::from_secs(1);

/// All functions, with the servers of tools behind some of them.
pub(crate) struct Functions {
    servers: Arc<ToolServers>,
    scratch: Scratch,
    /// Why the configuration cannot be used.
    unusable: Option<ConfigError>,
    /// Hears what tasks print.
    live: Option<Arc<dyn LiveOutput>>,
}

impl Functions {
    /// Ours, and those of the configuration file; with a warning where that cannot be used. Nothing is started.
    pub(crate) fn of_environment() -> Self {
        let (servers, unusable) = match ToolServers::of_environment() {
            Ok(servers) => (servers, None),
            Err(error) => {
                warn(&error);
                (ToolServers::unusable(&error), Some(error))
            }
        };
        Self {
            servers: Arc::new(servers),
            scratch: Scratch::default(),
            unusable,
            live: None,
        }
    }

    /// The same, with someone who hears what tasks print.
    pub(crate) fn heard_by(mut self, live: Option<Arc<dyn LiveOutput>>) -> Self {
        self.live = live;
        self
    }

    /// These, unless the configuration cannot be used.
    pub(crate) fn usable(self) -> Result<Self, ConfigError> {
        match self.unusable {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    /// Refuses to run a stored batch with open tasks that need a configuration which cannot be used.
    pub(crate) fn check_batch(&self, store: &Store) -> Result<(), ActionError> {
        let Some(error) = &self.unusable else {
            return Ok(());
        };
        let ours = standard_registry(&HandlerConfig::new(std::env::temp_dir()));
        let open = Selection::states(&[Status::Queued, Status::Running]);
        store.for_each_task(&open, |task| match ours.get(&task.spec.function) {
            Some(_) => Ok(true),
            None => {
                let (task, function) = (store.batch().task(task.task), &task.spec.function);
                let needed = format!("{task} needs the configuration for {function:?}: {error}");
                Err(ActionError::Refused(needed))
            }
        })
    }

    /// The handlers for checking tasks.
    pub(crate) fn registry(&self) -> Registry {
        self.with_servers(HandlerConfig::new(std::env::temp_dir()))
    }

    /// The handlers of a run in memory, whose large outputs are in a private folder; who hears when those find no room.
    pub(crate) fn in_memory(
        &self,
        disk_space: Arc<dyn DiskSpaceWatch>,
    ) -> std::io::Result<Registry> {
        let config = HandlerConfig::new(self.scratch.folder()?);
        Ok(self.with_servers(HandlerConfig {
            disk_space: Some(disk_space),
            ..config
        }))
    }

    /// The folder of a run in memory.
    pub(crate) fn scratch_folder(&self) -> std::io::Result<PathBuf> {
        self.scratch.folder()
    }

    /// The functions that mean a tool of a server.
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
    pub(crate) fn stored(&self, folder: &Path, disk_space: Arc<dyn DiskSpaceWatch>) -> Registry {
        self.with_servers(HandlerConfig {
            live_after: Some(LIVE_AFTER),
            disk_space: Some(disk_space),
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
            live: self.live.clone(),
            ..config
        };
        with_tools(standard_registry(&config), Arc::clone(&self.servers))
    }
}

/// Says, once, that the configuration cannot be used.
fn warn(error: &ConfigError) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tell(format_args!(
            "bex: going on without the servers and functions of the configuration: {error}"
        ));
    });
}
