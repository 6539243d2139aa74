//! What functions there are, as far as checking a plan needs to know.

use crate::spec::TaskSpec;

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
    /// How to mend it.
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

    /// Adds how to mend it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Finds near names for a list of mistakes, as far as that takes no long time: each look goes through all names that
/// are known, so that with many mistakes only the first ones get a suggestion.
#[derive(Debug)]
pub struct Suggestions {
    /// So many names may still be compared; a first look is always taken.
    left: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        Self { left: 100_000 }
    }
}

impl Suggestions {
    /// What [`nearest`] finds among so many names, as long as there is time for it.
    pub fn nearest<'a>(
        &mut self,
        name: &str,
        known: impl ExactSizeIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        if self.left == 0 {
            return None;
        }
        self.left = self.left.saturating_sub(known.len().max(1));
        nearest(name, known)
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

/// The question whether a known name was meant, if one is near enough.
///
/// ```
/// let known = ["command", "shell"];
/// let question = batch_core::text::did_you_mean("comand", known);
/// assert_eq!(question.as_deref(), Some("did you mean \"command\"?"));
/// ```
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean {near:?}?"))
}

/// Bytes of a name up to which it is compared with others: what it takes grows with the square of the length.
const LONGEST_NAME: usize = 200;

/// The known name nearest to a mistyped one, if one is near enough to suggest.
///
/// ```
/// assert_eq!(batch_core::text::nearest("comand", ["command", "shell"]), Some("command"));
/// assert_eq!(batch_core::text::nearest("xyz", ["command", "shell"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let is_short = |name: &str| name.len() <= LONGEST_NAME;
    known
        .into_iter()
        .filter(|candidate| is_short(name) && is_short(candidate))
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
