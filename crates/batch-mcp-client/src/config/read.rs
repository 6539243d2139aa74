//! Reading the file as a whole.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fields::{Fields, Notes, hint};
use super::problem::ConfigProblem;
use super::server::{server, tools};
use super::{Config, RESERVED, ToolName};

/// Reads a file. `base` is its folder.
///
/// # Errors
/// All mistakes.
pub(super) fn config(text: &str, base: &Path) -> Result<Config, Vec<ConfigProblem>> {
    let mut notes = Notes::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        notes.add(
            error.span().unwrap_or(0..0),
            error.message().to_owned(),
            None,
        );
    }
    // What could not be read would only look like further mistakes.
    notes.check()?;
    let mut reader = Reader {
        base,
        notes,
        config: Config::default(),
        names: BTreeSet::new(),
    };
    reader.root(root.get_ref());
    reader.notes.check()?;
    Ok(reader.config)
}

struct Reader<'a> {
    base: &'a Path,
    notes: Notes<'a>,
    config: Config,
    /// All servers that the file names, also those that cannot be used.
    names: BTreeSet<String>,
}

impl Reader<'_> {
    fn root(&mut self, root: &DeTable<'_>) {
        let known = ["functions", "mcp_servers"];
        let mut fields = Fields::new(root, "the file".to_owned(), &known, &mut self.notes);
        let servers = table(&mut fields, "mcp_servers");
        let functions = table(&mut fields, "functions");
        for (name, value) in servers.into_iter().flatten() {
            self.server(name, value);
        }
        for (name, value) in functions.into_iter().flatten() {
            self.function(name, value);
        }
    }

    fn server(&mut self, key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let name: &str = key.get_ref();
        self.names.insert(name.to_owned());
        if !is_server_name(name) {
            let message = format!("{name:?} cannot be the name of a server");
            let help = "use letters, digits, - and _";
            self.notes.add(key.span(), message, Some(help.to_owned()));
        }
        let Some(table) = value.get_ref().as_table() else {
            self.notes
                .wrong(&format!("the server {name:?}"), "a table", value);
            return;
        };
        for (tool, at) in tools(table, name, &mut self.notes) {
            let target = ToolName {
                server: name.to_owned(),
                tool: tool.to_owned(),
            };
            self.add_function(tool, at, target);
        }
        if let Some(server) = server(key, table, self.base, &mut self.notes) {
            self.config.servers.insert(name.to_owned(), server);
        }
    }

    /// `knowledge_search = "server.tool"`.
    fn function(&mut self, key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let name: &str = key.get_ref();
        let parts = value
            .get_ref()
            .as_str()
            .and_then(|text| text.split_once('.'));
        let Some((server, tool)) = parts.filter(|(_, tool)| !tool.is_empty()) else {
            let what = format!("the function {name:?} must be \"SERVER.TOOL\"");
            self.notes.add(value.span(), what, None);
            return;
        };
        if !self.names.contains(server) {
            let message = format!("the function {name:?}: there is no server {server:?}");
            let help = hint(server, self.names.iter().map(String::as_str));
            let help = help.unwrap_or_else(|| format!("add it: [mcp_servers.{server}]"));
            self.notes.add(value.span(), message, Some(help));
        }
        let target = ToolName {
            server: server.to_owned(),
            tool: tool.to_owned(),
        };
        self.add_function(name, key.span(), target);
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
        self.notes.add(at, message, Some(help));
    }
}

fn table<'t>(fields: &mut Fields<'t, '_, '_>, name: &str) -> Option<&'t DeTable<'t>> {
    let value = fields.get(name)?;
    let table = value.get_ref().as_table();
    if table.is_none() {
        let message = format!("{name} must be a table");
        let help = format!("write it as [{name}]");
        fields.problem(value.span(), &message, Some(&help));
    }
    table
}

/// A name that stands in `SERVER.TOOL` without doubt.
fn is_server_name(name: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= 64 && name.chars().all(fit)
}
