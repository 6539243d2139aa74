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
    let mut rest = args.as_str();
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[at..];
        let end = match rest.strip_prefix('"') {
            Some(text) => 1 + end_of_text(text),
            None => rest
                .find(|c: char| !"+-.eE0123456789".contains(c))
                .unwrap_or(rest.len()),
        };
        let number = &rest[..end];
        let is_whole = !number.contains(['"', '.', 'e', 'E']);
        if is_whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
            return Err(format!(
                "a tool takes no whole number beyond 64 bits, such as {number}; write it as a text"
            ));
        }
        rest = &rest[end..];
    }
    Ok(())
}

/// How long a text is, with the quotes at its end.
fn end_of_text(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_would_change_are_refused() {
        for (args, fits) in [
            (
                r#"{"a": [18446744073709551615, -9223372036854775808, 1e30, 0.10]}"#,
                true,
            ),
            (
                r#"{"a": "\\\"18446744073709551616", "18446744073709551616": ""}"#,
                true,
            ),
            (r#"{"a": [1, 18446744073709551616]}"#, false),
            (r#"{"a\\": -9223372036854775809}"#, false),
        ] {
            let args = Json::parse(args).unwrap();
            assert_eq!(check_numbers(&args).is_ok(), fits, "{args}");
        }
    }
}
