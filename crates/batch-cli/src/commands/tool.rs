//! `bex tool`: one JSON request a line on standard input, one JSON reply a line on standard output.
//!
//! ```text
//! {"tool": "bex_run", "arguments": {…}, "id": 1}  ─►  {"id": 1, "text": …, "structured": …, "is_error": false}
//! ```
//!
//! The way agents write calls is taken as well: `tool_name` with `tool_args`, the arguments beside `tool_name`, and
//! an action of the former tool alone.

use std::io::{self, BufRead, Write};

use batch_core::Json;
use batch_mcp_server::{CallContext, Dispatcher};
use serde_json::{Map, Value, json};

use crate::agent::dispatcher;
use crate::args::ToolArgs;
use crate::exit::{CliError, Exit};
use crate::reply::quiet;
use crate::terminal::{stdin, stdout};

/// A request is no longer than this many bytes.
const LONGEST: u64 = 64 << 20;

pub(crate) fn run(args: &ToolArgs) -> Result<Exit, CliError> {
    let dispatcher = dispatcher(&args.limits)?;
    let mut input = stdin();
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
        let reply = answer(&dispatcher, &line);
        let mut out = stdout();
        let written = out
            .write_all(format!("{reply}\n").as_bytes())
            .and_then(|()| out.flush());
        let gone = written
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        quiet(written)?;
        if gone {
            return Ok(Exit::Completed);
        }
    }
}

fn answer(dispatcher: &Dispatcher, line: &[u8]) -> Value {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let request: Map<String, Value> = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => {
            let what = format!("the line is not a JSON object: {error}");
            return Wrong::of("", what).reply(&Value::Null);
        }
    };
    let id = request.get("id").cloned().unwrap_or_default();
    let document = str::from_utf8(line)
        .ok()
        .and_then(|text| Json::parse(text).ok());
    if let Some(number) = document.as_ref().and_then(Json::inexact_number) {
        let what =
            format!("{number} has more than 64 bits and would lose digits; write it as a text");
        return Wrong::of("", what).reply(&id);
    }
    let (tool, arguments) = match call(dispatcher, &request) {
        Ok(call) => call,
        Err(wrong) => return wrong.reply(&id),
    };
    let answer = dispatcher.call(&tool, &arguments, &CallContext::default());
    json!({
        "id": id,
        "text": answer.text,
        "structured": answer.structured,
        "is_error": answer.is_error,
    })
}

/// What is wrong with a request, and where.
struct Wrong {
    field: &'static str,
    what: String,
}

impl Wrong {
    fn of(field: &'static str, what: impl Into<String>) -> Self {
        Self {
            field,
            what: what.into(),
        }
    }

    fn reply(&self, id: &Value) -> Value {
        let example = json!({ "tool": "bex_status", "arguments": {} });
        let mut structured = json!({ "error": self.what, "example": example });
        if !self.field.is_empty() {
            structured["field"] = self.field.into();
        }
        json!({
            "id": id,
            "text": format!("{}\nA valid request: {example}", self.what),
            "structured": structured,
            "is_error": true,
        })
    }
}

/// The tool that a request names, and its arguments.
fn call(
    dispatcher: &Dispatcher,
    request: &Map<String, Value>,
) -> Result<(String, Map<String, Value>), Wrong> {
    let text = |name: &str| request.get(name)?.as_str();
    // A task has a name as well.
    let is_tool = |name: &&str| dispatcher.tools().iter().any(|tool| tool.name == *name);
    let named = ["tool", "tool_name"]
        .into_iter()
        .find_map(|field| Some((field, text(field)?)))
        .or_else(|| Some(("name", text("name").filter(is_tool)?)))
        .or_else(|| Some(("", dispatcher.tool_of_action(text("action")?)?)))
        .or_else(|| Some(("name", text("name")?)));
    let Some((field, tool)) = named else {
        return Err(Wrong::of("tool", "the request names no tool"));
    };
    let arguments = match arguments(request)? {
        Some(arguments) => arguments,
        None => request
            .iter()
            .filter(|(name, _)| *name != field && *name != "id")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    };
    Ok((tool.to_owned(), arguments))
}

/// The arguments, where they are apart: an object, or the JSON text of one, as some models write it.
fn arguments(request: &Map<String, Value>) -> Result<Option<Map<String, Value>>, Wrong> {
    const ARGUMENTS: [&str; 3] = ["arguments", "args", "tool_args"];
    let given = ARGUMENTS
        .into_iter()
        .find_map(|name| Some((name, request.get(name).filter(|value| !value.is_null())?)));
    let Some((name, value)) = given else {
        return Ok(None);
    };
    let object = match value {
        Value::Object(object) => Some(object.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    };
    match object {
        Some(object) => Ok(Some(object)),
        None => Err(Wrong::of(name, format!("{name} must be an object"))),
    }
}
