//! The parameters of the function `tool`: [`check`] before anything runs, [`Call`] when it does.

use batch_core::{Json, catalog::ParamProblem};
use batch_runtime::TaskContext;
use batch_runtime::params::{Fields, is_placeholder, missing, object};
use serde_json::{Map, Value};

/// What is to be called, with what.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) server: String,
    pub(crate) tool: String,
    pub(crate) args: Map<String, Value>,
}

impl Call {
    /// Reads the parameters of an attempt.
    pub(crate) async fn of(task: &TaskContext) -> Result<Self, ParamProblem> {
        let mut fields = Fields::of(task).await?;
        let text = |name: &str| {
            let text = fields.read(name, "a text", Value::as_str)?;
            text.map(str::to_owned).ok_or_else(|| missing(name))
        };
        let (server, tool) = (text("server")?, text("tool")?);
        if let Some(args) = fields.json("args") {
            check_numbers(&args).map_err(|problem| ParamProblem::new("args", problem))?;
        }
        let args = object(fields.take("args").unwrap_or_default());
        Ok(Self {
            server,
            tool,
            args: args.map_err(|problem| ParamProblem::new("args", problem.message))?,
        })
    }
}

/// Refuses whole numbers that a call would carry as floats, with other digits.
pub(crate) fn check_numbers(args: &Json) -> Result<(), String> {
    match args.inexact_number() {
        None => Ok(()),
        Some(number) => Err(format!(
            "a tool takes no whole number beyond 64 bits, such as {number}; write it as a text"
        )),
    }
}

/// Checks the parameters of a task before anything runs. `unknown_server` says what is wrong with the name
/// of a server, and how to fix it.
pub(crate) fn check(
    params: &Json,
    unknown_server: impl Fn(&str) -> Option<(String, String)>,
) -> Result<(), Vec<ParamProblem>> {
    let mut fields = Fields::unfilled(params, &["server", "tool", "args"]);
    for name in ["server", "tool"] {
        fields.require(name, "a text", Value::is_string);
        if fields.get(name).and_then(Value::as_str) == Some("") {
            fields.problem(name, "is empty");
        }
    }
    let server = fields.get("server").filter(|name| !is_placeholder(name));
    let server = server
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty());
    if let Some((message, help)) = server.and_then(unknown_server) {
        fields.note(ParamProblem::new("server", message).with_help(help));
    }
    fields.check("args", "an object", Value::is_object);
    fields.finish()
}
