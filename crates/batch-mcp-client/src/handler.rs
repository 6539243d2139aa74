//! The functions that tasks name: `tool`, and those that mean one tool. [`with_tools`] adds them.

use std::sync::Arc;

use async_trait::async_trait;
use batch_core::{Json, Output, catalog::ParamProblem};
use batch_runtime::params::{Fields, is_placeholder, object};
use batch_runtime::{AttemptError, Handler, Registry, TaskContext};

use crate::params::{Call, check, check_numbers};
use crate::servers::ToolServers;

/// Adds the function `tool` and those that the configuration gives to single tools.
///
/// ```
/// use std::sync::Arc;
/// use batch_core::catalog::Catalog;
/// use batch_runtime::Registry;
/// use batch_mcp_client::{ToolServers, with_tools};
///
/// let registry = with_tools(Registry::new(), Arc::new(ToolServers::none()));
/// assert_eq!(registry.functions(), ["tool"]);
/// ```
pub fn with_tools(registry: Registry, servers: Arc<ToolServers>) -> Registry {
    let mut registry = registry.with_help(servers.help());
    for (name, server, tool) in servers.functions() {
        let handler = NamedTool {
            servers: Arc::clone(&servers),
            server: server.to_owned(),
            tool: tool.to_owned(),
        };
        registry = registry.with(name, handler);
    }
    registry.with("tool", ToolHandler { servers })
}

/// `tool {server, tool, args}`.
struct ToolHandler {
    servers: Arc<ToolServers>,
}

#[async_trait]
impl Handler for ToolHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let Call { server, tool, args } = Call::of(task).await?;
        self.servers.call(&server, &tool, args).await
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        check(params, |server| self.servers.check(server))
    }
}

/// A function that means one tool: the parameters of the task are its arguments.
struct NamedTool {
    servers: Arc<ToolServers>,
    server: String,
    tool: String,
}

#[async_trait]
impl Handler for NamedTool {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        check_numbers(&task.spec.params).map_err(|problem| ParamProblem::new("", problem))?;
        let args = Fields::of(task).await?.into_object();
        self.servers.call(&self.server, &self.tool, args).await
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        match params.to_value() {
            args if is_placeholder(&args) => Ok(()),
            args => object(args).map(drop).map_err(|problem| vec![problem]),
        }
    }
}
