//! The agent's side of the batches: [`agent`], for `bex tool` and `bex mcp`.

use std::process::Command;
use std::sync::Arc;

use batch_actions::Home;
use batch_agent::{Agent, AgentConfig, Limits};

use crate::args::LimitArgs;
use crate::exit::CliError;
use crate::functions::Functions;
use crate::request::current_folder;

/// An agent's side, within what the operator allows.
pub(crate) fn agent(limits: &LimitArgs) -> Result<Agent, CliError> {
    let program = std::env::current_exe()
        .map_err(|error| CliError::System("find the program itself", error))?;
    let functions = Functions::of_environment()?;
    let limits = Limits {
        tool_functions: functions.named_tools(),
        ..limits.limits()
    };
    let folder = match &limits.root {
        Some(root) => std::path::absolute(root)
            .map_err(|error| CliError::System("tell the root folder", error))?,
        None => current_folder()?,
    };
    Ok(Agent::new(AgentConfig {
        home: Home::of_environment(),
        registry: functions.registry(),
        executor: Arc::new(move |file| {
            let mut command = Command::new(&program);
            command.arg("execute").arg(file);
            command
        }),
        folder,
        limits,
    }))
}
