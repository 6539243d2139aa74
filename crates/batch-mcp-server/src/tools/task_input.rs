//! The tasks of a call and the argument that they came with: [`TaskInput`]. Errors in them name that argument.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use batch_core::{Plan, plan::PlanProblem};
use batch_input::{Problem, TaskFile};
use batch_runtime::Registry;

use crate::call_error::{CallError, LONGEST};
use crate::limits::Refused;
use crate::truncate::visible;

/// How many problems are shown, with the number of all of them.
const SHOWN: usize = 10;

/// Where tasks came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The list of a call.
    Tasks,
    /// The arguments of a call, which are the fields of one task.
    Call,
    /// A file.
    File,
    /// A template or command that this argument gives, and items.
    Items(&'static str),
}

/// Tasks that are to be run, and where they came from.
pub(crate) struct TaskInput {
    pub(crate) file: TaskFile,
    pub(crate) source: Source,
}

impl TaskInput {
    /// Checks the tasks together. All problems are reported together, also those found while they were read.
    pub(crate) fn plan(
        &self,
        registry: &Registry,
        limits: &BTreeMap<String, NonZeroU32>,
    ) -> Result<Plan, CallError> {
        let checked = self.file.plan(registry, limits);
        checked.map_err(|problems| self.source.error(&problems))
    }

    /// The error of problems that a check of the tasks found.
    pub(crate) fn invalid(&self, found: Vec<PlanProblem>) -> CallError {
        self.source.error(&self.file.all_problems(found))
    }

    /// The error of what the operator does not allow.
    pub(crate) fn refused(&self, refused: Refused) -> CallError {
        let Some(index) = refused.index else {
            return self.source.of_all(refused.message);
        };
        match self.source {
            Source::Tasks => refused.into(),
            Source::Call => CallError::of(refused.field, refused.message),
            Source::File | Source::Items(_) => {
                let problem = self
                    .file
                    .problem(index, refused.field, refused.message, None);
                self.source.error(&[problem])
            }
        }
    }
}

impl Source {
    fn of_all(self, message: String) -> CallError {
        match self {
            Self::Tasks => CallError::of("tasks", message),
            Self::Call => CallError::new(message),
            Self::File => CallError::of("file", message),
            Self::Items(_) => CallError::of("items", message),
        }
    }

    /// The first problems in one text, with the number of all of them.
    pub(crate) fn error(self, problems: &[Problem]) -> CallError {
        let shown = problems.len().min(SHOWN);
        // Each gets its share, so that the last of them is not cut off.
        let longest = (LONGEST - 100) / shown.max(1) - 2;
        let texts = problems.iter().take(shown);
        let texts: Vec<String> = texts
            .map(|problem| visible(&self.text(problem), longest))
            .collect();
        let mut message = texts.join("; ");
        if problems.len() > shown {
            let all = problems.len();
            message = format!("{shown} of {all} problems: {message}");
        }
        match self {
            Self::Tasks => {
                let first = problems.first().map_or("", |problem| &problem.field);
                CallError::of("tasks", message).in_task(first)
            }
            Self::File => CallError::of("file", message),
            Self::Items(way) => CallError::of(way, message),
            Self::Call => {
                let field = problems.first().map_or("", |problem| &problem.field);
                match field.split('.').next().unwrap_or_default() {
                    "" => CallError::of("function", message),
                    field => CallError::of(field, message),
                }
            }
        }
    }

    fn text(self, problem: &Problem) -> String {
        let help = match &problem.help {
            Some(help) => format!("; {help}"),
            None => String::new(),
        };
        let index = problem.task.as_ref().map(|task| task.number - 1);
        match (self, index) {
            (Self::Tasks, Some(index)) if problem.field.is_empty() => {
                format!("tasks[{index}]: {}{help}", problem.message)
            }
            (Self::Tasks, Some(index)) => {
                format!(
                    "tasks[{index}].{}: {}{help}",
                    problem.field, problem.message
                )
            }
            (Self::Tasks | Self::Call, _) => format!("{}{help}", problem.message),
            (Self::File | Self::Items(_), _) => problem.to_string(),
        }
    }
}
