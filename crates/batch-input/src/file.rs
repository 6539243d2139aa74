//! What files of tasks come to: a [`TaskFile`], by its [`Format`] and the [`ReadOptions`].

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use batch_core::{
    Plan, SettingsRequest, TaskSpec,
    catalog::Catalog,
    plan::{PlanContext, PlanProblem},
};
use batch_template::Functions;

use crate::problem::{Problem, TaskLabel};

/// How a file of tasks is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON document: `.json`.
    Json,
    /// One JSON object a line: `.jsonl`, `.ndjson`.
    Jsonl,
    /// One YAML document: `.yaml`, `.yml`.
    Yaml,
    /// A table with a header and commas between its cells: `.csv`. It needs a template.
    Csv,
    /// The same with tabs: `.tsv`, `.tab`.
    Tsv,
}

/// What the caller knows beside the file.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The timeout of tasks that give none themselves, in place of the file's default.
    pub timeout: Option<Duration>,
    /// The retries of tasks that give none themselves, in place of the file's default.
    pub max_retries: Option<u32>,
    /// Values may be filled into the code of interpreters, in tasks that do not say so themselves.
    pub allow_code: bool,
    /// The template for the rows of a table.
    pub template: Option<TemplateSource>,
    /// The byte between the cells of a table, in place of what its format says.
    pub separator: Option<u8>,
    /// The functions that tasks may name, which say how their parameters take the values of a matrix. Without them
    /// there is no matrix.
    pub functions: Option<Arc<dyn Functions>>,
}

/// The file of a template for rows, and the functions that its tasks may name.
#[derive(Clone, Debug)]
pub struct TemplateSource {
    /// The file.
    pub path: PathBuf,
    /// They say how their parameters take values.
    pub functions: Arc<dyn Functions>,
}

/// A file of tasks, read.
///
/// With problems it must not run, but it is still complete: a broken task is in its place, with the function
/// "" when that is unknown, so that a check of what tasks mean together is not misled.
#[derive(Clone, Debug)]
pub struct TaskFile {
    /// The file, as it was named.
    pub name: Arc<str>,
    /// What it says about the batch.
    pub settings: SettingsRequest,
    /// The tasks, in the order of the file.
    pub tasks: Vec<TaskSpec>,
    /// The line on which each task begins, from 1.
    pub lines: Vec<u32>,
    /// All that is wrong, in the order it was found.
    pub problems: Vec<Problem>,
}

/// The file could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot read {file}: {source}")]
    Io {
        /// The file, as it was named.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// Its name does not tell its format.
    #[error(
        "cannot tell the format of {file}; name it .json, .jsonl, .ndjson, .yaml, .yml, .csv or .tsv, or give the format"
    )]
    UnknownFormat {
        /// The file, as it was named.
        file: String,
    },
    /// A table was given without a template.
    #[error(
        "{file} is a table and needs a template: a JSON or YAML file with one task, in which {{{{ row.COLUMN }}}} is a cell"
    )]
    NoTemplate {
        /// The file, as it was named.
        file: String,
    },
    /// A file of tasks was given a template.
    #[error("{file} is not a table for a template; omit the template, or read it as csv or tsv")]
    NeedlessTemplate {
        /// The file, as it was named.
        file: String,
    },
}

impl Format {
    /// The format of a file by its extension.
    ///
    /// # Errors
    /// When it has none, or another; the error lists the known ones.
    pub fn of(path: &Path) -> Result<Self, ReadError> {
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        match extension.as_str() {
            "json" => Ok(Self::Json),
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            "yaml" | "yml" => Ok(Self::Yaml),
            "csv" => Ok(Self::Csv),
            "tsv" | "tab" => Ok(Self::Tsv),
            _ => Err(ReadError::UnknownFormat {
                file: path.display().to_string(),
            }),
        }
    }
}

impl Format {
    pub(crate) const fn is_table(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv)
    }

    /// The byte between the cells of a table.
    pub const fn separator(self) -> u8 {
        match self {
            Self::Tsv => b'\t',
            _ => b',',
        }
    }
}

impl TaskFile {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            settings: SettingsRequest::default(),
            tasks: Vec::new(),
            lines: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Checks all tasks together.
    ///
    /// # Errors
    /// All problems: those found while the tasks were read, and those that a plan finds.
    pub fn plan<C: Catalog + ?Sized>(
        &self,
        catalog: &C,
        limits: &BTreeMap<String, NonZeroU32>,
    ) -> Result<Plan, Vec<Problem>> {
        let context = PlanContext {
            catalog,
            limits,
            submitted: &|_| None,
        };
        match Plan::check_in(self.tasks.clone(), &context) {
            Ok(plan) if self.problems.is_empty() => Ok(plan),
            Ok(_) => Err(self.all_problems(Vec::new())),
            Err(found) => Err(self.all_problems(found)),
        }
    }

    /// The problems found while the tasks were read, and those that a plan found, in the order of the tasks.
    pub fn all_problems(&self, found: Vec<PlanProblem>) -> Vec<Problem> {
        let mut problems = self.problems.clone();
        problems.extend(self.problems_of(found));
        let place = |problem: &Problem| {
            let task = problem.task.as_ref().map_or(0, |task| task.number);
            (problem.line, task)
        };
        problems.sort_by_key(place);
        problems
    }

    /// What a plan found, as problems of this file. Where the reader could not tell what a task does, it has said why,
    /// and the plan need not say so again.
    fn problems_of(&self, found: Vec<PlanProblem>) -> Vec<Problem> {
        let labels = self
            .problems
            .iter()
            .filter_map(|problem| problem.task.as_ref());
        let told: HashSet<u32> = labels.map(|label| label.number).collect();
        let is_told = |found: &PlanProblem| {
            let function = self.tasks.get(found.index).map(|task| &*task.function);
            let number = u32::try_from(found.index + 1).unwrap_or(u32::MAX);
            found.field == "function" && function == Some("") && told.contains(&number)
        };
        let new = found.into_iter().filter(|found| !is_told(found));
        new.map(|new| self.problem(new.index, &new.field, new.message, new.help))
            .collect()
    }

    /// A problem with the task at `index`, found after reading, as by a plan.
    pub fn problem(
        &self,
        index: usize,
        field: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Problem {
        let name = self
            .tasks
            .get(index)
            .and_then(|task| task.name.as_ref().or(task.id.as_ref()));
        let message = message.into();
        // What is said of a parameter goes on from its name, where it does not say that itself.
        let parameter = field
            .starts_with("params.")
            .then(|| field.rsplit('.').next());
        let message = match parameter.flatten() {
            Some(last) if !message.contains(&format!("{last:?}")) => format!("{field}: {message}"),
            _ => message,
        };
        Problem {
            file: self.name.clone(),
            line: self.lines.get(index).copied().unwrap_or(0),
            column: None,
            task: Some(TaskLabel {
                number: u32::try_from(index + 1).unwrap_or(u32::MAX),
                name: name.cloned(),
            }),
            field: field.to_owned(),
            message,
            help,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_parameter_once() {
        let file = TaskFile::new("t.json");
        let told = |field, message: &str| file.problem(0, field, message, None).message;
        assert_eq!(
            told("params.fail", "must be true, or how many attempts fail"),
            "params.fail: must be true, or how many attempts fail"
        );
        let missing = "the field \"url\" is missing";
        assert_eq!(told("params.url", missing), missing);
        assert_eq!(told("timeout", "must be seconds"), "must be seconds");
    }
}
