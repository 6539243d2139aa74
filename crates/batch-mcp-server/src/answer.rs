//! What clients see: the tools there are ([`ToolInfo`]), and the [`Answer`] to a call.

use serde_json::{Map, Value};

/// A tool, as clients list it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ToolInfo {
    /// Its name: `bex_run`.
    pub name: &'static str,
    /// What it does, in a sentence or two.
    pub description: &'static str,
    /// The JSON schema of its arguments: an object.
    pub input_schema: Map<String, Value>,
    /// It changes nothing.
    pub read_only: bool,
    /// It may end or remove something.
    pub destructive: bool,
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// For the model: short, and complete.
    pub text: String,
    /// The same facts for programs: an object.
    pub structured: Value,
    /// The call was wrong, or could not be done.
    pub is_error: bool,
}

impl Answer {
    /// The answer to a call that was done.
    pub(crate) const fn done(text: String, structured: Value) -> Self {
        Self {
            text,
            structured,
            is_error: false,
        }
    }
}

/// A resource: what a task printed, or the results of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceContents {
    /// Its media type: `text/plain`, `application/jsonl`.
    pub mime_type: &'static str,
    /// The text.
    pub text: String,
}
