//! All servers that a configuration names: [`ToolServers`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use batch_core::{Failure, FailureKind, Output, text::did_you_mean};
use batch_runtime::AttemptError;
use futures_util::future::join_all;
use rmcp::model::JsonObject;

use crate::config::{Config, ConfigError, ToolName, default_path, of_environment};
use crate::server::Server;

/// The MCP servers that tasks may call, none of them started before its first call.
///
/// One value serves a whole process. At the end of a run call [`ToolServers::close`]; servers that are only
/// dropped are killed.
#[derive(Default)]
pub struct ToolServers {
    servers: BTreeMap<String, Server>,
    functions: BTreeMap<String, ToolName>,
    /// The file they come from.
    path: Option<PathBuf>,
    /// That file says what they are, and cannot be used.
    is_unusable: bool,
}

impl ToolServers {
    /// No servers.
    pub fn none() -> Self {
        Self::default()
    }

    /// No servers, as the configuration cannot be used, which the error of a task that names one says.
    pub fn unusable(error: &ConfigError) -> Self {
        Self {
            path: Some(error.path().to_owned()),
            is_unusable: true,
            ..Self::default()
        }
    }

    /// Reads a configuration file. Environment variables that it names are looked up when a server starts.
    ///
    /// # Errors
    /// When the file cannot be read; else all mistakes in it, with their lines.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config = Config::load(path)?;
        let servers = config.servers.into_iter().map(|(name, config)| {
            let server = Server::new(&name, config);
            (name, server)
        });
        Ok(Self {
            servers: servers.collect(),
            functions: config.functions,
            path: Some(path.to_owned()),
            is_unusable: false,
        })
    }

    /// Reads the configuration file that counts here (see [`default_path`]); none is as good as an empty one,
    /// unless `$BEX_CONFIG` names it.
    ///
    /// # Errors
    /// As [`ToolServers::load`].
    pub fn of_environment() -> Result<Self, ConfigError> {
        let Some(place) = of_environment() else {
            return Ok(Self::none());
        };
        match Self::load(&place.path) {
            Err(ConfigError::Read { error, .. })
                if !place.must_exist && error.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(Self::none())
            }
            loaded => loaded,
        }
    }

    /// The names of the servers.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.servers.keys().map(String::as_str)
    }

    /// The functions that mean a tool, with server and tool.
    pub fn functions(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let functions = self.functions.iter();
        functions
            .map(|(name, target)| (name.as_str(), target.server.as_str(), target.tool.as_str()))
    }

    /// Ends all servers that run, at once, and waits for it: a few seconds at most. Calls under way fail. A later
    /// call starts its server again.
    pub async fn close(&self) {
        join_all(self.servers.values().map(Server::close)).await;
    }

    /// Calls a tool.
    pub(crate) async fn call(
        &self,
        server: &str,
        tool: &str,
        args: JsonObject,
    ) -> Result<Output, AttemptError> {
        match self.servers.get(server) {
            Some(server) => server.call(tool, args).await,
            None => {
                let (message, help) = self.unknown(server);
                let message = format!("{message}; {help}");
                Err(Failure::new(FailureKind::InputError, message)
                    .permanent()
                    .into())
            }
        }
    }

    /// What is wrong with the name of a server and how to fix it, if anything is.
    pub(crate) fn check(&self, server: &str) -> Option<(String, String)> {
        (!self.servers.contains_key(server)).then(|| self.unknown(server))
    }

    fn unknown(&self, server: &str) -> (String, String) {
        let message = format!("there is no MCP server {server:?}");
        let help = match did_you_mean(server, self.names()) {
            Some(question) => question,
            None if self.is_unusable => self.help(),
            None if self.servers.is_empty() => {
                format!("servers are under [mcp_servers] in {}", self.file())
            }
            None => {
                let names: Vec<_> = self.names().collect();
                format!("those in {}: {}", self.file(), names.join(", "))
            }
        };
        (message, help)
    }

    /// How a task comes by a function that is not there.
    pub(crate) fn help(&self) -> String {
        let file = self.file();
        match self.is_unusable {
            true => format!(
                "the configuration {file} cannot be used, so its servers and functions are unknown; fix it"
            ),
            false => format!(
                "a tool of an MCP server becomes a function by its name in `tools` or [functions] beside [mcp_servers] in {file}"
            ),
        }
    }

    /// The file to write a server into.
    pub(crate) fn file(&self) -> String {
        let path = self.path.clone().or_else(default_path);
        path.map_or_else(
            || "the file that $BEX_CONFIG names".to_owned(),
            |path| path.display().to_string(),
        )
    }
}
