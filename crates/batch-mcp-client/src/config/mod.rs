//! The configuration file: [`Config`], read from TOML with all problems reported together.

mod place;
mod problem;
mod read;
mod server;
mod template;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use place::default_path;
pub(crate) use place::of_environment;
pub use problem::{ConfigError, ConfigProblem};
pub(crate) use server::{parse_header, parse_url};
pub(crate) use template::{MissingVariable, Template};

/// Functions that are something else already: no tool can have their names.
pub const RESERVED: [&str; 7] = [
    "code_execution",
    "command",
    "custom_function",
    "http",
    "shell",
    "simulate",
    "tool",
];

/// The longest configuration that is read.
const LONGEST: u64 = 4 << 20;

/// What the file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    /// The servers by name.
    pub(crate) servers: BTreeMap<String, ServerConfig>,
    /// Tools that are functions of their own.
    pub(crate) functions: BTreeMap<String, ToolName>,
}

/// A tool of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolName {
    pub(crate) server: String,
    pub(crate) tool: String,
}

/// One server.
#[derive(Clone, Debug)]
pub(crate) struct ServerConfig {
    pub(crate) endpoint: Endpoint,
    /// For one call.
    pub(crate) timeout: Duration,
    /// For the start, until it has listed its tools.
    pub(crate) start_timeout: Duration,
    /// The most calls at once.
    pub(crate) max_concurrent: usize,
}

/// How a server is reached.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    /// A process that is talked to over its standard input and output.
    Command {
        command: Template,
        args: Vec<Template>,
        env: Vec<(String, Template)>,
        /// The executor's own when `None`.
        cwd: Option<Template>,
        /// What a relative `cwd` is meant from: the folder of the file.
        base: PathBuf,
    },
    /// A server that runs already.
    Url {
        url: Template,
        headers: Vec<(String, Template)>,
    },
}

impl Config {
    /// Reads a file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_plain(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        read::config(&text, base).map_err(|problems| ConfigError::Invalid {
            path: path.to_owned(),
            problems,
        })
    }
}

/// Reads a file whose name may come from a variable that someone set long ago: nobody is waited for, as a pipe would be.
fn read_plain(path: &Path) -> io::Result<String> {
    let wrong = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    if !path.metadata()?.is_file() {
        return Err(wrong("it is not a regular file"));
    }
    let mut text = String::new();
    let read = File::open(path)?
        .take(LONGEST + 1)
        .read_to_string(&mut text)?;
    match read as u64 > LONGEST {
        true => Err(wrong("it is longer than 4 MiB")),
        false => Ok(text),
    }
}
