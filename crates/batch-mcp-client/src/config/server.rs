//! Reads the table of one server.

use std::path::Path;
use std::time::Duration;

use batch_core::catalog::ParamProblem;
use batch_runtime::params::{Fields, duration, mismatch};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::template::Template;
use super::{Endpoint, ServerConfig};

pub(super) const FIELDS: [&str; 10] = [
    "args",
    "command",
    "cwd",
    "env",
    "headers",
    "max_concurrent",
    "start_timeout",
    "timeout",
    "tools",
    "url",
];

const TIMEOUT: Duration = Duration::from_secs(120);
const START_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_CONCURRENT: usize = 8;

/// No server answers more calls at once than this.
const MOST_CONCURRENT: usize = 10_000;

/// These belong to the protocol.
const OWN_HEADERS: [&str; 5] = [
    "accept",
    "content-type",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
];

/// Reads a server; `None` when it has no valid endpoint, which is noted.
pub(super) fn server(fields: &mut Fields, base: &Path) -> Option<ServerConfig> {
    let timeout = timeout(fields, "timeout").unwrap_or(TIMEOUT);
    let start_timeout = self::timeout(fields, "start_timeout").unwrap_or(START_TIMEOUT);
    let max_concurrent = max_concurrent(fields).unwrap_or(MAX_CONCURRENT);
    let endpoint = match (fields.get("command"), fields.get("url")) {
        (Some(_), None) => command(fields, base)?,
        (None, Some(_)) => url(fields)?,
        (Some(_), Some(_)) => {
            fields.problem("url", "is given with command; give one of them");
            return None;
        }
        (None, None) => {
            let help = "give command = \"…\" with args = […], or url = \"https://…\"";
            let problem = ParamProblem::new("", "has neither command nor url");
            fields.note(problem.with_help(help));
            return None;
        }
    };
    Some(ServerConfig {
        endpoint,
        timeout,
        start_timeout,
        max_concurrent,
    })
}

/// The texts of `tools`, with their places.
pub(super) fn tools(fields: &mut Fields) -> Vec<(String, String)> {
    let texts = texts(fields, "tools", "a list of names", "a name");
    texts
        .into_iter()
        .enumerate()
        .filter_map(|(at, text)| Some((format!("tools[{at}]"), text?)))
        .collect()
}

fn command(fields: &mut Fields, base: &Path) -> Option<Endpoint> {
    refuse(fields, &["headers"], "url");
    let command = template(fields, "command");
    if command.as_ref().and_then(|command| command.plain()) == Some("") {
        fields.problem("command", "is empty");
    }
    let args = texts(fields, "args", "a list of texts", "a text").into_iter();
    let args = args.enumerate().filter_map(|(at, text)| {
        let text = text?;
        as_template(fields, &format!("args[{at}]"), &text)
    });
    let args = args.collect();
    let env = templates(fields, "env");
    for (name, _) in &env {
        if name.is_empty() || name.contains(['=', '\0']) {
            fields.problem(format!("env.{name}"), "cannot be the name of a variable");
        }
    }
    let cwd = template(fields, "cwd");
    Some(Endpoint::Command {
        command: command?,
        args,
        env,
        cwd,
        base: base.to_owned(),
    })
}

fn url(fields: &mut Fields) -> Option<Endpoint> {
    refuse(fields, &["args", "env", "cwd"], "command");
    let url = template(fields, "url");
    let plain = url.as_ref().and_then(|url| url.plain());
    if let Some(Err(problem)) = plain.map(parse_url) {
        fields.problem("url", problem);
    }
    let headers = templates(fields, "headers");
    for (name, value) in &headers {
        // The value may be a secret, so it is not shown.
        if let Err(problem) = parse_header(name, value.plain().unwrap_or_default()) {
            fields.problem(format!("headers.{name}"), problem);
        }
    }
    Some(Endpoint::Url { url: url?, headers })
}

/// Refuses fields of the other kind of server.
fn refuse(fields: &mut Fields, names: &[&str], with: &str) {
    for name in names {
        if fields.get(name).is_some() {
            fields.problem(*name, format!("is only valid with {with}"));
        }
    }
}

/// Notes a problem, if there is one.
fn noted<T>(fields: &mut Fields, read: Result<Option<T>, ParamProblem>) -> Option<T> {
    read.unwrap_or_else(|problem| {
        fields.note(problem);
        None
    })
}

/// A text that may name variables.
fn template(fields: &mut Fields, name: &str) -> Option<Template> {
    let text = fields
        .read(name, "a text", Value::as_str)
        .map(|text| text.map(str::to_owned));
    let text = noted(fields, text)?;
    as_template(fields, name, &text)
}

fn as_template(fields: &mut Fields, path: &str, text: &str) -> Option<Template> {
    if text.contains('\0') {
        fields.problem(path, "holds a zero byte");
        return None;
    }
    let template = Template::parse(text);
    template
        .inspect_err(|problem| {
            let help = "write ${NAME} for a variable, and $${ for ${ itself";
            fields.note(ParamProblem::new(path, problem).with_help(help));
        })
        .ok()
}

/// The texts of a list, each where it is one; none when it is absent.
fn texts(fields: &mut Fields, name: &str, list: &str, item: &str) -> Vec<Option<String>> {
    let found = fields
        .read(name, list, Value::as_array)
        .map(|found| found.cloned());
    let found = noted(fields, found).unwrap_or_default();
    let text = |(at, value): (usize, Value)| match value {
        Value::String(text) => Some(text),
        other => {
            fields.note(mismatch(&format!("{name}[{at}]"), item, &other));
            None
        }
    };
    found.into_iter().enumerate().map(text).collect()
}

/// A table of texts that may name variables; empty when absent.
fn templates(fields: &mut Fields, name: &str) -> Vec<(String, Template)> {
    let found = fields
        .read(name, "a table of texts", Value::as_object)
        .map(|found| found.cloned());
    let found = noted(fields, found).unwrap_or_default();
    let pairs = found.into_iter().filter_map(|(key, value)| {
        let path = format!("{name}.{key}");
        let Value::String(text) = &value else {
            fields.note(mismatch(&path, "a text", &value));
            return None;
        };
        let template = as_template(fields, &path, text)?;
        Some((key, template))
    });
    pairs.collect()
}

/// Seconds, or a text such as `1m30s`; more than zero.
fn timeout(fields: &mut Fields, name: &str) -> Option<Duration> {
    let value = fields.get(name)?;
    let found = duration(value).filter(|duration| !duration.is_zero());
    if found.is_none() {
        let message = "must be more than zero seconds, such as 30 or \"1m30s\"";
        fields.problem(name, message);
    }
    found
}

fn max_concurrent(fields: &mut Fields) -> Option<usize> {
    let number = fields.get("max_concurrent")?.as_u64();
    let number = number.and_then(|number| usize::try_from(number).ok());
    let found = number.filter(|number| (1..=MOST_CONCURRENT).contains(number));
    if found.is_none() {
        let message = format!("must be a whole number from 1 to {MOST_CONCURRENT}");
        fields.problem("max_concurrent", message);
    }
    found
}

/// Reads an address.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    const HELP: &str = "write it as https://example.org/mcp";
    // The text may hold a secret, so it is not shown.
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error}); {HELP}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!(
            "begins with {other:?}, which is not supported; {HELP}"
        )),
    }
}

/// Reads a header.
pub(crate) fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| "cannot be the name of a header".to_owned())?;
    if OWN_HEADERS.contains(&parsed.as_str()) {
        return Err("is set by the protocol".to_owned());
    }
    let mut value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| "has a value that cannot be sent".to_owned())?;
    value.set_sensitive(true);
    Ok((parsed, value))
}
