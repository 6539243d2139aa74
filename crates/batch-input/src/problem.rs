//! What is wrong with a file of tasks, and where: [`Problem`].

use std::fmt;
use std::sync::Arc;

/// Something wrong in a file of tasks.
///
/// It shows as one line: `tasks.json:14: task 3 ("build"): unknown field "comand"; did you mean "command"?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1; 0 when it is about the file as a whole.
    pub line: u32,
    /// The column in bytes, from 1, where the text could not be read at all.
    pub column: Option<u32>,
    /// The task, when it is about one.
    pub task: Option<TaskLabel>,
    /// The field, such as `timeout` or `retry.on`; empty when it is about more than one.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

/// Which task is meant, in the words of its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskLabel {
    /// The place in the file, from 1.
    pub number: u32,
    /// Its name, or else its id.
    pub name: Option<Box<str>>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        f.write_str(": ")?;
        if let Some(task) = &self.task {
            write!(f, "{task}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TaskLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "task {} ({name:?})", self.number),
            None => write!(f, "task {}", self.number),
        }
    }
}
