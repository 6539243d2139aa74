//! What is wrong with a configuration file: [`ConfigError`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It says something that cannot be.
    #[error("{}", list(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it, in the order of the lines.
        problems: Vec<ConfigProblem>,
    },
}

impl ConfigError {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. } | Self::Invalid { path, .. } => path,
        }
    }
}

/// One mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// So many problems are shown, and the number of the rest.
const MOST_SHOWN: usize = 100;

fn list(path: &Path, problems: &[ConfigProblem]) -> String {
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    let path = path.display();
    let lines = problems
        .iter()
        .take(MOST_SHOWN)
        .map(|problem| format!("\n  {path}:{}: {problem}", problem.line));
    let rest = match problems.len().saturating_sub(MOST_SHOWN) {
        0 => String::new(),
        more => format!("\n  … and {more} more"),
    };
    format!(
        "{count} in the configuration{}{rest}",
        lines.collect::<String>()
    )
}
