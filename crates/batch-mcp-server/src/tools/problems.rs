//! What is wrong with tasks, told by the argument that they came with: [`Source`].

use batch_core::{Catalog, Plan, PlanProblem, Surroundings};
use batch_input::{Problem, TaskFile};

use crate::cut::visible;
use crate::limits::Refused;
use crate::mistake::{LONGEST, Mistake};

/// So many problems are shown, and the number of all of them.
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
pub(crate) struct Wanted {
    pub(crate) file: TaskFile,
    pub(crate) source: Source,
}

impl Wanted {
    /// Checks the tasks together. All problems are told at once, also those found while they were read.
    pub(crate) fn plan<C: Catalog + ?Sized>(
        &self,
        around: &Surroundings<'_, C>,
    ) -> Result<Plan, Mistake> {
        let checked = Plan::check_in(self.file.tasks.clone(), around);
        match checked {
            Ok(plan) if self.file.problems.is_empty() => Ok(plan),
            Ok(_) => Err(self.invalid(Vec::new())),
            Err(found) => Err(self.invalid(found)),
        }
    }

    /// What was found while the tasks were read, and what a check of them found.
    pub(crate) fn invalid(&self, found: Vec<PlanProblem>) -> Mistake {
        let mut problems = self.file.problems.clone();
        problems.extend(self.file.problems_of(found));
        let place = |problem: &Problem| {
            let task = problem.task.as_ref().map_or(0, |task| task.number);
            (problem.line, task)
        };
        problems.sort_by_key(place);
        self.source.mistake(&problems)
    }

    /// What the operator does not allow.
    pub(crate) fn refused(&self, refused: Refused) -> Mistake {
        let Some(index) = refused.index else {
            return self.source.of_all(refused.message);
        };
        match self.source {
            Source::Tasks => refused.into(),
            Source::Call => Mistake::of(refused.field, refused.message),
            Source::File | Source::Items(_) => {
                let problem = self
                    .file
                    .problem(index, refused.field, refused.message, None);
                self.source.mistake(&[problem])
            }
        }
    }
}

impl Source {
    fn of_all(self, message: String) -> Mistake {
        match self {
            Self::Tasks => Mistake::of("tasks", message),
            Self::Call => Mistake::new(message),
            Self::File => Mistake::of("file", message),
            Self::Items(_) => Mistake::of("items", message),
        }
    }

    /// The first problems in one text, which says how many there are.
    pub(crate) fn mistake(self, problems: &[Problem]) -> Mistake {
        let shown = problems.len().min(SHOWN);
        // So that the last of them is not cut off with its neighbours.
        let longest = (LONGEST - 100) / shown.max(1) - 2;
        let texts = problems.iter().take(shown);
        let texts: Vec<String> = texts
            .map(|problem| visible(&self.text(problem), longest))
            .collect();
        let mut message = texts.join("; ");
        if problems.len() > shown {
            let all = problems.len();
            message = format!("{shown} of {all} problems are shown: {message}");
        }
        match self {
            Self::Tasks => {
                let first = problems.first().map_or("", |problem| &problem.field);
                Mistake::of("tasks", message).in_task(first)
            }
            Self::File => Mistake::of("file", message),
            Self::Items(way) => Mistake::of(way, message),
            Self::Call => {
                let field = problems.first().map_or("", |problem| &problem.field);
                match field.split('.').next().unwrap_or_default() {
                    "" => Mistake::of("function", message),
                    field => Mistake::of(field, message),
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
