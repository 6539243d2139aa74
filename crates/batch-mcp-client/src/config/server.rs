//! Reading the table of one server.

use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fields::{Fields, Notes};
use super::{Endpoint, ServerConfig};

const FIELDS: [&str; 10] = [
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

/// More calls at once than this no server answers.
const MOST_CONCURRENT: usize = 10_000;

/// These belong to the protocol.
const OWN_HEADERS: [&str; 5] = [
    "accept",
    "content-type",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
];

/// Reads a server; `None` when it has no endpoint, which is noted.
pub(super) fn server(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    table: &DeTable<'_>,
    base: &Path,
    notes: &mut Notes<'_>,
) -> Option<ServerConfig> {
    let called = format!("the server {:?}", name.get_ref());
    let mut fields = Fields::new(table, called, &FIELDS, notes);
    let timeout = fields.duration("timeout", TIMEOUT);
    let start_timeout = fields.duration("start_timeout", START_TIMEOUT);
    let max_concurrent = fields.count("max_concurrent", MAX_CONCURRENT, MOST_CONCURRENT);
    let endpoint = match (fields.get("command"), fields.get("url")) {
        (Some(_), None) => command(&mut fields, base)?,
        (None, Some(_)) => url(&mut fields)?,
        (Some(_), Some(url)) => {
            fields.problem(url.span(), "has both command and url; give one", None);
            return None;
        }
        (None, None) => {
            let help = "give command = \"…\" with args = […], or url = \"https://…\"";
            fields.problem(name.span(), "has neither command nor url", Some(help));
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

fn command(fields: &mut Fields<'_, '_, '_>, base: &Path) -> Option<Endpoint> {
    refuse(fields, &["headers"], "url");
    let command = fields.template("command");
    if let (Some(value), Some("")) = (
        fields.get("command"),
        command.as_ref().and_then(|c| c.plain()),
    ) {
        fields.problem(value.span(), "command is empty", None);
    }
    let args = fields.templates("args");
    let mut env = Vec::new();
    for (name, at, value) in fields.named_templates("env") {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("{name:?} cannot be the name of a variable");
            fields.problem(at, &message, None);
        }
        env.push((name, value));
    }
    let cwd = fields.template("cwd");
    Some(Endpoint::Command {
        command: command?,
        args,
        env,
        cwd,
        base: base.to_owned(),
    })
}

fn url(fields: &mut Fields<'_, '_, '_>) -> Option<Endpoint> {
    refuse(fields, &["args", "env", "cwd"], "command");
    let url = fields.template("url");
    let plain = url.as_ref().and_then(|url| url.plain());
    if let (Some(value), Some(Err(problem))) = (fields.get("url"), plain.map(parse_url)) {
        fields.problem(value.span(), &format!("url {problem}"), None);
    }
    let mut headers = Vec::new();
    for (name, at, value) in fields.named_templates("headers") {
        // The value may be a secret, so it is not shown.
        if let Err(problem) = parse_header(&name, value.plain().unwrap_or_default()) {
            fields.problem(at, &problem, None);
        }
        headers.push((name, value));
    }
    Some(Endpoint::Url { url: url?, headers })
}

/// Fields that go with the other kind of server.
fn refuse(fields: &mut Fields<'_, '_, '_>, names: &[&str], with: &str) {
    for name in names {
        if let Some(value) = fields.get(name) {
            let message = format!("{name} goes with {with} only");
            fields.problem(value.span(), &message, None);
        }
    }
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
        .map_err(|_| format!("{name:?} cannot be the name of a header"))?;
    if OWN_HEADERS.contains(&parsed.as_str()) {
        return Err(format!("the header {name:?} is set by the protocol"));
    }
    let mut value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| format!("the header {name:?} has a value that cannot be sent"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// The texts of `tools`, with their places.
pub(super) fn tools<'t>(
    table: &'t DeTable<'t>,
    name: &str,
    notes: &mut Notes<'_>,
) -> Vec<(&'t str, std::ops::Range<usize>)> {
    let Some(value) = table.get("tools") else {
        return Vec::new();
    };
    let what = format!("the server {name:?}: tools");
    let Some(list) = value.get_ref().as_array() else {
        notes.wrong(&what, "a list of names", value);
        return Vec::new();
    };
    let mut names = Vec::new();
    for value in list {
        match value.get_ref() {
            DeValue::String(name) => names.push((name.as_ref(), value.span())),
            _ => notes.wrong(&what, "a list of names", value),
        }
    }
    names
}
