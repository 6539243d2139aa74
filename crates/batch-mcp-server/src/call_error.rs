//! What is wrong with a call: [`CallError`], with an example of a valid call.

use std::fmt;

use batch_actions::ActionError;
use batch_core::catalog::ParamProblem;
use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::truncate::visible;

/// A message is no longer, in bytes.
pub(crate) const LONGEST: usize = 1_800;

/// Something wrong with a call, or a reason why it was not done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CallError {
    /// The argument, where it is one.
    pub(crate) field: Option<String>,
    /// The field of a task in that argument, where it is one.
    pub(crate) inner: Option<String>,
    /// What is wrong.
    pub(crate) message: String,
    /// A valid call.
    pub(crate) example: Option<Example>,
}

/// A valid call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Example {
    /// The tool, where it is another one than was called.
    pub(crate) tool: Option<&'static str>,
    pub(crate) arguments: Value,
}

impl CallError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            field: None,
            inner: None,
            message: message.into(),
            example: None,
        }
    }

    pub(crate) fn of(field: &str, message: impl Into<String>) -> Self {
        Self::new(message).in_field(field)
    }

    pub(crate) fn with_example(self, example: Example) -> Self {
        Self {
            example: Some(example),
            ..self
        }
    }

    /// The same error, in this field of a task.
    pub(crate) fn in_task(self, inner: &str) -> Self {
        Self {
            inner: Some(inner.to_owned()),
            ..self
        }
    }

    /// The same error, in another argument.
    pub(crate) fn in_field(self, field: &str) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..self
        }
    }

    /// The same error; where it is in one argument, it is in another one here.
    pub(crate) fn renamed(self, from: &str, to: &str) -> Self {
        match self.field.as_deref() == Some(from) {
            true => self.in_field(to),
            false => self,
        }
    }

    /// The answer. What it quotes comes from the call, so it is truncated and escaped as all foreign text is.
    pub(crate) fn answer(mut self) -> Answer {
        self.message = visible(&self.message, LONGEST);
        self.field = self.field.map(|field| visible(&field, 100));
        let mut structured = Map::new();
        structured.insert("error".to_owned(), self.message.clone().into());
        if let Some(field) = &self.field {
            structured.insert("field".to_owned(), field.clone().into());
        }
        if let Some(example) = &self.example {
            structured.insert("example".to_owned(), example.arguments.clone());
            if let Some(tool) = example.tool {
                structured.insert("example_tool".to_owned(), tool.into());
            }
        }
        Answer {
            text: self.to_string(),
            structured: structured.into(),
            is_error: true,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "Invalid argument `{field}`: {}", self.message)?,
            None => write!(f, "Error: {}", self.message)?,
        }
        match &self.example {
            Some(Example { tool, arguments }) => {
                let tool = tool.map(|tool| format!("{tool} ")).unwrap_or_default();
                write!(f, "\nA valid call: {tool}{arguments}")
            }
            None => Ok(()),
        }
    }
}

impl From<ParamProblem> for CallError {
    fn from(problem: ParamProblem) -> Self {
        let message = match problem.help {
            Some(help) => format!("{}; {help}", problem.message),
            None => problem.message,
        };
        Self::of(&problem.path, message)
    }
}

impl From<ActionError> for CallError {
    fn from(error: ActionError) -> Self {
        match &error {
            ActionError::NoBatch => Self::new("there is no batch yet; create one with bex_run"),
            ActionError::UnknownBatch { .. } => Self::of("batch", error.to_string()),
            ActionError::UnknownTask { .. } | ActionError::AmbiguousTask { .. } => {
                Self::of("tasks", error.to_string())
            }
            ActionError::UnknownCause { .. } => Self::of("cause", error.to_string()),
            ActionError::OtherBatch { batch, task } => Self::of(
                "tasks",
                format!(
                    "{task} is not a task of {batch}; give batch {:?} with it",
                    task.batch.to_string()
                ),
            ),
            ActionError::KeyTaken { .. } => Self::of("key", error.to_string()),
            ActionError::Filter(_) => Self::of("filter", error.to_string()),
            _ => Self::new(error.to_string()),
        }
    }
}

impl From<batch_store::StoreError> for CallError {
    fn from(error: batch_store::StoreError) -> Self {
        Self::new(error.to_string())
    }
}
