//! What is wrong with a configuration file: [`ConfigError`].

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use batch_core::text::{Counted, first_of};

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// It is invalid.
    #[error("{}", list(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All problems, in the order of the lines.
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

/// One problem of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
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

/// The problems found so far, with the text to find lines in.
pub(super) struct Problems<'a> {
    text: &'a str,
    /// With the offsets of their places.
    found: Vec<(usize, ConfigProblem)>,
}

impl<'a> Problems<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            text,
            found: Vec::new(),
        }
    }

    /// Adds a problem at a place of the text.
    pub(super) fn add(&mut self, at: Range<usize>, message: String, help: Option<String>) {
        let problem = ConfigProblem {
            line: 0,
            message,
            help,
        };
        self.found.push((at.start.min(self.text.len()), problem));
    }

    /// All problems so far, in the order of the lines.
    pub(super) fn check(&mut self) -> Result<(), Vec<ConfigProblem>> {
        if self.found.is_empty() {
            return Ok(());
        }
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|(place, _)| *place);
        let (mut line, mut from) = (1, 0);
        let with_line = |(place, mut problem): (usize, ConfigProblem)| {
            let between = &self.text.as_bytes()[from..place];
            line += between.iter().filter(|byte| **byte == b'\n').count();
            from = place;
            problem.line = line;
            problem
        };
        Err(found.into_iter().map(with_line).collect())
    }
}

fn list(path: &Path, problems: &[ConfigProblem]) -> String {
    let count = Counted(problems.len() as u64, "problem");
    let path = path.display();
    let line = |problem: &ConfigProblem| format!("  {path}:{}: {problem}", problem.line);
    let lines = first_of(problems, line, "\n");
    format!("{count} in the configuration\n{lines}")
}
