//! `bex tool`: one JSON request a line on standard input, one JSON reply a line on standard output.
//!
//! ```text
//! {"tool": "bex_run", "arguments": {…}, "id": 1}  ─►  {"id": 1, "text": …, "structured": …, "is_error": false}
//! ```
//!
//! The way agents write calls is taken as well: `tool_name` with `tool_args`, and the arguments beside
//! `tool_name`.

use std::io::{self, BufRead, Write};

use batch_agent::{Agent, CallContext};
use serde_json::{Map, Value, json};

use crate::agent::agent;
use crate::args::ToolArgs;
use crate::exit::{CliError, Exit};
use crate::reply::quiet;

/// A request is no longer than this many bytes.
const LONGEST: u64 = 64 << 20;

pub(crate) fn run(args: &ToolArgs) -> Result<Exit, CliError> {
    let agent = agent(&args.limits)?;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = io::Read::take(&mut input, LONGEST).read_until(b'\n', &mut line);
        let read = read.map_err(|error| CliError::System("read standard input", error))?;
        if read == 0 {
            return Ok(Exit::Completed);
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let reply = answer(&agent, &line);
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{reply}").and_then(|()| out.flush());
        let gone = written
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        quiet(written)?;
        if gone {
            return Ok(Exit::Completed);
        }
    }
}

fn answer(agent: &Agent, line: &[u8]) -> Value {
    let request: Map<String, Value> = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => {
            return wrong(
                &Value::Null,
                &format!("the line is no JSON object: {error}"),
            );
        }
    };
    let id = request.get("id").cloned().unwrap_or_default();
    let Some((tool, arguments)) = call(&request) else {
        return wrong(&id, "the request names no tool");
    };
    let answer = agent.call(&tool, &arguments, &CallContext::default());
    json!({
        "id": id,
        "text": answer.text,
        "structured": answer.structured,
        "is_error": answer.is_error,
    })
}

fn wrong(id: &Value, what: &str) -> Value {
    let example = json!({ "tool": "bex_status", "arguments": {} });
    json!({
        "id": id,
        "text": format!("{what}\nA right request: {example}"),
        "structured": { "error": what, "example": example },
        "is_error": true,
    })
}

/// The tool that a request names, and its arguments.
fn call(request: &Map<String, Value>) -> Option<(String, Map<String, Value>)> {
    const TOOL: [&str; 3] = ["tool", "tool_name", "name"];
    const ARGUMENTS: [&str; 3] = ["arguments", "args", "tool_args"];
    let named = TOOL
        .iter()
        .find(|name| request.get(**name).is_some_and(Value::is_string))?;
    let tool = request.get(*named)?.as_str()?.to_owned();
    let given = ARGUMENTS
        .iter()
        .find_map(|name| request.get(*name)?.as_object());
    let arguments = match given {
        Some(arguments) => arguments.clone(),
        None => request
            .iter()
            .filter(|(name, _)| *name != named && *name != "id")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    };
    Some((tool, arguments))
}
