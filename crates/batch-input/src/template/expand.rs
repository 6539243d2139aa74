//! One expansion of a template with values: [`SavedTemplate::expand`], [`SavedTemplate::expand_json`].

use std::collections::BTreeMap;

use batch_template::Placeholder;
use serde_json::{Map, Value};

use super::param::Param;
use super::saved::SavedTemplate;
use super::values::{Values, report_missing};
use crate::file::{ReadOptions, TaskFile};
use crate::problem::Problem;
use crate::scope::Report;
use crate::settings::overridden;
use crate::task::TaskReader;
use crate::task_template::{add_unfilled, object_text};

impl SavedTemplate {
    /// The tasks, with values given as texts: those of `--param k=v`. Each is read by the declared type.
    ///
    /// # Errors
    /// All that is wrong: unknown and missing parameters, values of the wrong type, and what the values make wrong
    /// in the tasks.
    pub fn expand(
        &self,
        values: &BTreeMap<String, String>,
        options: &ReadOptions,
    ) -> Result<TaskFile, Vec<Problem>> {
        let mut report = Report::new(&self.name);
        let values = Values::from_texts(&self.params, values, &mut report);
        self.expand_with(values, as_flag, report, options)
    }

    /// The tasks, with values given as JSON, each of the declared type.
    ///
    /// `null` is as good as no value, but for a parameter of the type `json`.
    ///
    /// # Errors
    /// As [`expand`](Self::expand).
    pub fn expand_json(
        &self,
        values: &Map<String, Value>,
        options: &ReadOptions,
    ) -> Result<TaskFile, Vec<Problem>> {
        let mut report = Report::new(&self.name);
        let values = Values::from_json(&self.params, values, &mut report);
        self.expand_with(values, as_field, report, options)
    }

    fn expand_with(
        &self,
        mut values: Values,
        how_to_give: fn(&Param) -> String,
        mut report: Report,
        options: &ReadOptions,
    ) -> Result<TaskFile, Vec<Problem>> {
        let missing = values.complete(&self.params);
        report_missing(&missing, how_to_give, &mut report);
        if !report.problems.is_empty() {
            return Err(report.problems);
        }
        let mut file = TaskFile::new(&self.name);
        file.settings = self.settings.clone();
        let mut reader = TaskReader::new(overridden(self.defaults.clone(), options));
        for task in &self.tasks {
            let lookup = |placeholder: &Placeholder| values.lookup(placeholder);
            let filling = task.fill(&["params"], reader.allows_code(), &lookup);
            for problem in filling.problems {
                add_unfilled(
                    &mut report,
                    &self.name,
                    task.line_of(&problem.path),
                    problem,
                );
            }
            let fields = filling.fields.iter();
            let fields = fields.map(|(field, value)| (&*field.name, value.as_str(), field.line));
            let (text, lines) = object_text(fields);
            if let Some(read) = reader.read_made(&text, lines, &mut report) {
                file.tasks.push(read);
                file.lines.push(task.line);
            }
        }
        if report.problems.is_empty() {
            Ok(file)
        } else {
            Err(report.problems)
        }
    }
}

/// How to give a parameter on the command line.
fn as_flag(param: &Param) -> String {
    format!(
        "add --param {}={}",
        param.name,
        param.kind.name().to_uppercase()
    )
}

/// How to give a parameter in JSON.
fn as_field(param: &Param) -> String {
    format!("add {:?} with a value of type {}", param.name, param.kind)
}
