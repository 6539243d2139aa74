//! The parameters of the function `tool`: [`check`] before anything runs, [`Call`] when it does.

use batch_core::{Failure, FailureKind, Json, ParamProblem, nearest};
use serde_json::{Map, Value};

const FIELDS: [&str; 3] = ["server", "tool", "args"];

/// What is to be called, with what.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) server: String,
    pub(crate) tool: String,
    pub(crate) args: Map<String, Value>,
}

impl Call {
    /// Reads the parameters of an attempt. They were checked before, but values of other tasks have been
    /// filled in since.
    pub(crate) fn of(params: &Json) -> Result<Self, Failure> {
        let mut fields = object(params.to_value(), "params")?;
        let mut text = |name: &str| match fields.get_mut(name).map(Value::take) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(wrong(&format!("params.{name}"), "a text", &other)),
            None => Err(bad(format!("params.{name}: the field is missing"))),
        };
        let (server, tool) = (text("server")?, text("tool")?);
        let args = fields.remove("args").unwrap_or_default();
        Ok(Self {
            server,
            tool,
            args: object(args, "params.args")?,
        })
    }
}

/// An object; `null` is an empty one.
pub(crate) fn object(value: Value, path: &str) -> Result<Map<String, Value>, Failure> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        other => Err(wrong(path, "an object", &other)),
    }
}

/// Checks the parameters of a task before anything runs. `unknown_server` says what is wrong with the name
/// of a server, and how to mend it.
pub(crate) fn check(
    params: &Json,
    unknown_server: impl Fn(&str) -> Option<(String, String)>,
) -> Result<(), Vec<ParamProblem>> {
    let Value::Object(fields) = params.to_value() else {
        let message = format!("must be an object, not {}", kind(&params.to_value()));
        let help = "write {\"server\": …, \"tool\": …, \"args\": {…}}";
        return Err(vec![ParamProblem::new("", message).with_help(help)]);
    };
    let mut problems = Vec::new();
    for name in fields
        .keys()
        .filter(|name| !FIELDS.contains(&name.as_str()))
    {
        let help = nearest(name, FIELDS).map_or_else(
            || {
                format!(
                    "known fields: {}; what the tool takes stands in args",
                    FIELDS.join(", ")
                )
            },
            |near| format!("did you mean {near:?}?"),
        );
        let message = format!("unknown field {name:?}");
        problems.push(ParamProblem::new(name.as_str(), message).with_help(help));
    }
    for name in ["server", "tool"] {
        match fields.get(name) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(Value::String(_)) => problems.push(ParamProblem::new(name, "is empty")),
            None | Some(Value::Null) => {
                problems.push(ParamProblem::new(
                    name,
                    format!("the field {name:?} is missing"),
                ));
            }
            Some(other) => {
                let message = format!("must be a text, not {}", kind(other));
                problems.push(ParamProblem::new(name, message));
            }
        }
    }
    let server = fields.get("server").and_then(Value::as_str);
    let server = server.filter(|name| !name.is_empty() && !is_placeholder(name));
    if let Some((message, help)) = server.and_then(unknown_server) {
        problems.push(ParamProblem::new("server", message).with_help(help));
    }
    problems.extend(fields.get("args").and_then(|args| check_args(args, "args")));
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// What is wrong with arguments, if anything is.
pub(crate) fn check_args(args: &Value, path: &str) -> Option<ParamProblem> {
    match args {
        Value::Object(_) | Value::Null => None,
        Value::String(text) if is_placeholder(text) => None,
        other => {
            let message = format!("must be an object, not {}", kind(other));
            Some(ParamProblem::new(path, message))
        }
    }
}

/// Whether a text will be filled in later.
fn is_placeholder(text: &str) -> bool {
    text.contains("{{")
}

fn bad(message: String) -> Failure {
    Failure::new(FailureKind::InputError, message).permanent()
}

fn wrong(path: &str, wanted: &str, value: &Value) -> Failure {
    bad(format!("{path}: must be {wanted}, not {}", kind(value)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
