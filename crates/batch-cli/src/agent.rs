//! The tools for agents: [`dispatcher`], for `bex tool` and `bex mcp`.

use std::process::Command;
use std::sync::Arc;

use batch_actions::Home;
use batch_core::{catalog::Catalog as _, text::did_you_mean};
use batch_mcp_server::{Dispatcher, Limits, Session};
use batch_runtime::Registry;

use crate::args::LimitArgs;
use crate::exit::CliError;
use crate::functions::Functions;
use crate::request::current_folder;

/// The tools for agents, within what the operator allows.
pub(crate) fn dispatcher(limits: &LimitArgs) -> Result<Dispatcher, CliError> {
    let program = std::env::current_exe()
        .map_err(|error| CliError::System("find the program itself", error))?;
    let functions = Functions::of_environment().usable()?;
    let limits = Limits {
        tool_functions: functions.named_tools(),
        ..limits.limits()
    };
    let registry = functions.registry();
    check(&limits, &registry)?;
    let folder = match &limits.root {
        Some(root) => std::path::absolute(root)
            .map_err(|error| CliError::System("tell the root folder", error))?,
        None => current_folder()?,
    };
    Ok(Dispatcher::new(Session {
        home: Home::of_environment(),
        registry,
        executor: Arc::new(move |file| {
            let mut command = Command::new(&program);
            command.arg("execute").arg(file);
            command
        }),
        folder,
        limits,
    }))
}

/// Limits that would hold nobody back are a mistake of the operator.
fn check(limits: &Limits, registry: &Registry) -> Result<(), CliError> {
    if let Some(root) = limits.root.as_ref().filter(|root| !root.is_dir()) {
        return Err(CliError::Usage(format!(
            "--root {}: there is no such folder",
            root.display()
        )));
    }
    let named = limits
        .allowed_functions
        .iter()
        .chain(&limits.denied_functions);
    let is_unknown =
        |name: &&String| registry.get(name).is_none() && !limits.tool_functions.contains_key(*name);
    match named.into_iter().find(is_unknown) {
        None => Ok(()),
        Some(name) => {
            let hint = did_you_mean(name, registry.functions());
            let hint = hint.map_or_else(String::new, |question| format!("; {question}"));
            let message =
                format!("--allow and --deny name functions, and {name:?} is not one{hint}");
            Err(CliError::Usage(message))
        }
    }
}
