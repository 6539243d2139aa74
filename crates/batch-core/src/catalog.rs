//! What functions there are, as far as checking a plan needs to know.

use crate::spec::TaskSpec;

/// The most bytes that one argument of a process, or one `NAME=value` of its environment, may have, without the closing NUL.
///
/// Linux refuses more with `E2BIG`; other systems have only a limit for all of them together.
pub const MAX_ARGUMENT: usize = 131_071;

/// The functions that tasks may name, and the check of their parameters.
///
/// The runtime's registry of handlers is one; a list of names is another, without checks and references.
pub trait Catalog {
    /// The names, for "did you mean".
    fn functions(&self) -> Vec<&str>;

    /// Checks the parameters of a task of a known function, before anything runs.
    ///
    /// # Errors
    /// All problems found.
    fn check(&self, task: &TaskSpec) -> Result<(), Vec<ParamProblem>>;

    /// The tasks whose results a task uses: it waits for them. Without templates there are none.
    fn references(&self, task: &TaskSpec) -> References {
        let _ = task;
        References::default()
    }

    /// Checks the value that a task gives a variable of its environment.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check_variable(&self, value: &str) -> Result<(), ParamProblem> {
        let _ = value;
        Ok(())
    }

    /// How to come by a function that is not there, for the help of that mistake.
    fn help(&self) -> Option<&str> {
        None
    }
}

/// What the parameters of a task refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// The author's ids of the tasks whose results are used, in the order of the text.
    pub tasks: Vec<String>,
    /// What is wrong with the references.
    pub problems: Vec<ParamProblem>,
}

/// Something wrong with the parameters of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamProblem {
    /// Where in the parameters, such as `argv[0]`; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

impl ParamProblem {
    /// A problem at a place.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            help: None,
        }
    }

    /// Adds how to fix it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Catalog for [&str] {
    fn functions(&self) -> Vec<&str> {
        self.to_vec()
    }

    fn check(&self, _task: &TaskSpec) -> Result<(), Vec<ParamProblem>> {
        Ok(())
    }
}
