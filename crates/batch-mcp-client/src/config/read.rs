//! Reads the file as a whole. TOML gives the places, the strict reader of `batch-runtime` the fields.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use batch_core::{catalog::ParamProblem, text::did_you_mean};
use batch_runtime::params::{Fields, mismatch, unknown_fields};
use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigProblem, Problems};
use super::server::{FIELDS, server, tools};
use super::{Config, RESERVED, ToolName};

/// Reads a file. `base` is its folder.
///
/// # Errors
/// All problems.
pub(super) fn config(text: &str, base: &Path) -> Result<Config, Vec<ConfigProblem>> {
    let mut problems = Problems::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        problems.add(
            error.span().unwrap_or(0..0),
            error.message().to_owned(),
            None,
        );
    }
    // What could not be read would only look like further problems.
    problems.check()?;
    let mut reader = Reader {
        base,
        problems,
        config: Config::default(),
        names: BTreeSet::new(),
    };
    reader.root(root.get_ref());
    reader.problems.check()?;
    Ok(reader.config)
}

type Key<'t> = Spanned<Cow<'t, str>>;

struct Reader<'a> {
    base: &'a Path,
    problems: Problems<'a>,
    config: Config,
    /// All servers that the file names, also invalid ones.
    names: BTreeSet<String>,
}

impl Reader<'_> {
    fn root(&mut self, root: &DeTable<'_>) {
        self.unknown(root, "the file", &["functions", "mcp_servers"]);
        for (name, value) in self.table(root, "mcp_servers").into_iter().flatten() {
            self.server(name, value);
        }
        for (name, value) in self.table(root, "functions").into_iter().flatten() {
            self.function(name, value);
        }
    }

    fn table<'t>(&mut self, root: &'t DeTable<'t>, name: &str) -> Option<&'t DeTable<'t>> {
        let value = root.get(name)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            let message = format!("the file: {name} must be a table");
            let help = format!("write it as [{name}]");
            self.problems.add(value.span(), message, Some(help));
        }
        table
    }

    /// Adds a problem for each field that is not known, and returns the fields.
    fn unknown(&mut self, table: &DeTable<'_>, what: &str, known: &[&str]) -> Map<String, Value> {
        let object = object(table);
        for ParamProblem {
            path,
            message,
            help,
        } in unknown_fields(&object, known)
        {
            let message = format!("{what}: {message}");
            self.problems.add(place(table, &path), message, help);
        }
        object
    }

    fn server(&mut self, key: &Key<'_>, value: &Spanned<DeValue<'_>>) {
        let name: &str = key.get_ref();
        self.names.insert(name.to_owned());
        if !is_server_name(name) {
            let message = format!("{name:?} cannot be the name of a server");
            let help = "use letters, digits, - and _";
            self.problems
                .add(key.span(), message, Some(help.to_owned()));
        }
        let what = format!("the server {name:?}");
        let Some(table) = value.get_ref().as_table() else {
            let problem = mismatch("", "a table", &json(value.get_ref()));
            let message = format!("{what} {}", problem.message);
            return self.problems.add(value.span(), message, None);
        };
        let mut fields = Fields::new(self.unknown(table, &what, &FIELDS));
        for (at, tool) in tools(&mut fields) {
            let target = ToolName {
                server: name.to_owned(),
                tool: tool.clone(),
            };
            self.add_function(&tool, place(table, &at), target);
        }
        let server = server(&mut fields, self.base);
        for problem in fields.finish().err().unwrap_or_default() {
            let (message, at) = match &*problem.path {
                "" => (format!("{what} {}", problem.message), key.span()),
                path => (
                    format!("{what}: {path} {}", problem.message),
                    place(table, path),
                ),
            };
            self.problems.add(at, message, problem.help);
        }
        if let Some(server) = server {
            self.config.servers.insert(name.to_owned(), server);
        }
    }

    /// `knowledge_search = "server.tool"`.
    fn function(&mut self, key: &Key<'_>, value: &Spanned<DeValue<'_>>) {
        let name: &str = key.get_ref();
        let parts = value
            .get_ref()
            .as_str()
            .and_then(|text| text.split_once('.'));
        let Some((server, tool)) = parts.filter(|(_, tool)| !tool.is_empty()) else {
            let message = format!("the function {name:?} must be \"SERVER.TOOL\"");
            return self.problems.add(value.span(), message, None);
        };
        if !self.names.contains(server) {
            let message = format!("the function {name:?}: unknown server {server:?}");
            let help = self.server_help(server);
            self.problems.add(value.span(), message, Some(help));
        }
        let target = ToolName {
            server: server.to_owned(),
            tool: tool.to_owned(),
        };
        self.add_function(name, key.span(), target);
    }

    fn server_help(&self, server: &str) -> String {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        match did_you_mean(server, names.iter().copied()) {
            Some(question) => question,
            None if names.is_empty() => format!("add it: [mcp_servers.{server}]"),
            None => format!("known servers: {}", names.join(", ")),
        }
    }

    fn add_function(&mut self, name: &str, at: Range<usize>, target: ToolName) {
        let taken = match self.config.functions.get(name) {
            _ if RESERVED.contains(&name) => "is a function of bex itself".to_owned(),
            _ if name.is_empty() => "is empty".to_owned(),
            Some(other) if *other != target => {
                format!("stands for {}.{} already", other.server, other.tool)
            }
            _ => {
                self.config.functions.insert(name.to_owned(), target);
                return;
            }
        };
        let help = "give it another name under [functions]".to_owned();
        let message = format!("the function {name:?} {taken}");
        self.problems.add(at, message, Some(help));
    }
}

/// A name that is unambiguous in `SERVER.TOOL`.
fn is_server_name(name: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= 64 && name.chars().all(fit)
}

/// Where a part of a table is: `args[1]`, `env.NAME`. The name of an inner field is its place, as its value may be wrong.
fn place(table: &DeTable<'_>, path: &str) -> Range<usize> {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let Some((key, value)) = table.get_key_value(&path[..end]) else {
        return 0..0;
    };
    let inner = &path[end..];
    let in_list = || {
        let at = inner.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
        let item: &Spanned<DeValue<'_>> = value.get_ref().as_array()?.get::<usize>(at)?;
        Some(item.span())
    };
    let in_table = || {
        let fields = value.get_ref().as_table()?;
        let (key, _) = fields.get_key_value(inner.strip_prefix('.')?)?;
        Some(key.span())
    };
    in_list().or_else(in_table).unwrap_or_else(|| key.span())
}

fn object(table: &DeTable<'_>) -> Map<String, Value> {
    let pairs = table.iter();
    pairs
        .map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())))
        .collect()
}

/// A value as JSON. What JSON does not have, dates and endless numbers, becomes an object, which no field takes.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(&**text),
        DeValue::Integer(number) => number
            .as_str()
            .parse()
            .map_or_else(|_| json!({}), Value::Number),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or_else(|_| json!({}), Value::Number),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => json!({}),
        DeValue::Array(list) => list.iter().map(|value| json(value.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(object(table)),
    }
}
