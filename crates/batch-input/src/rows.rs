//! Tables: a task of each row of a CSV file, by a template: [`RowTemplate`], [`read_csv`].
//!
//! The template is one task, in which `{{ row.COLUMN }}` stands for a cell. For each row its fields are filled in,
//! and the result is read like any other task. Where a cell goes into code, it is written as a word or
//! literal of that language; braces in a cell never become a placeholder.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use csv::StringRecord;
use serde_json::value::RawValue;

use crate::file::{ReadError, ReadOptions, TaskFile};
use crate::row_template::{Row, RowTemplate, add};
use crate::scope::Report;
use crate::settings::overridden;
use crate::source::{Lines, Source};
use crate::task::TaskReader;

/// Reads a table with a header: each row is a task, made with the template.
///
/// A template that has a `function` and no `params` takes the whole row as the parameters. `name` stands for the table
/// in problems.
///
/// # Errors
/// When it cannot be read at all. What is wrong in the table or the template is told by [`TaskFile::problems`].
pub fn read_csv(
    rows: impl Read,
    name: &str,
    template: &RowTemplate,
    options: &ReadOptions,
) -> Result<TaskFile, ReadError> {
    let mut file = TaskFile::new(name);
    file.settings = template.settings.clone();
    let mut report = Report::new(name);
    report.problems.clone_from(&template.problems);
    let mut table = csv::ReaderBuilder::new().from_reader(rows);
    let header = match table.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            add_csv_problem(error, name, &mut report)?;
            StringRecord::new()
        }
    };
    check_header(&header, &mut report);
    template.check_columns(&header, &mut report);
    if report.problems.is_empty() {
        let mut reader = RowReader {
            template,
            columns: header
                .iter()
                .enumerate()
                .map(|(index, name)| (name, index))
                .collect(),
            reader: TaskReader::new(overridden(template.defaults.clone(), options)),
            told: HashSet::new(),
        };
        for record in table.records() {
            match record {
                Ok(record) => reader.read(&record, &header, &mut report, &mut file),
                Err(error) => add_csv_problem(error, name, &mut report)?,
            }
            if report.is_full() {
                break;
            }
        }
    }
    file.problems = report.problems;
    Ok(file)
}

struct RowReader<'t> {
    template: &'t RowTemplate,
    columns: HashMap<&'t str, usize>,
    reader: TaskReader,
    /// What was said of the template, which is the same for each row.
    told: HashSet<(String, String)>,
}

impl RowReader<'_> {
    fn read(
        &mut self,
        record: &StringRecord,
        header: &StringRecord,
        report: &mut Report,
        file: &mut TaskFile,
    ) {
        let line = record.position().map_or(0, csv::Position::line);
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let row = Row {
            header,
            record,
            columns: &self.columns,
        };
        let first = report.problems.len();
        match self.template.fill(&row) {
            Ok(text) => {
                let Ok(raw) = serde_json::from_str::<&RawValue>(&text) else {
                    return;
                };
                let source = Source::new(&text, Lines::Fixed(line));
                file.tasks.push(self.reader.read(&source, report, raw));
                file.lines.push(line);
            }
            Err(problems) => {
                for problem in problems {
                    let message = format!("{}: {}", problem.path, problem.message);
                    // Quotes around a placeholder are a mistake of the template.
                    let in_template = problem.help.is_some();
                    let told = (problem.path.clone(), problem.message);
                    if in_template && self.told.insert(told) {
                        let line = self.template.line_of(&problem.path);
                        add(
                            report,
                            &self.template.name,
                            line,
                            &problem.path,
                            message,
                            problem.help,
                        );
                    } else if !in_template {
                        let file = report.file.to_string();
                        add(report, &file, line, &problem.path, message, None);
                    }
                }
            }
        }
        let new = report.problems.split_off(first);
        for mut problem in new {
            if problem.task.is_none() || self.template.depends_on_row(&problem.field) {
                report.problems.push(problem);
            } else if self
                .told
                .insert((problem.field.clone(), problem.message.clone()))
            {
                problem.file = self.template.name.as_str().into();
                problem.line = self.template.line_of(&problem.field);
                problem.task = None;
                report.problems.push(problem);
            }
        }
    }
}

fn check_header(header: &StringRecord, report: &mut Report) {
    let mut seen = HashSet::new();
    for name in header {
        if !name.is_empty() && !seen.insert(name) {
            report.add(
                1,
                format!("the column {name:?} is there twice"),
                Some("rename one of them"),
            );
        }
    }
}

fn add_csv_problem(error: csv::Error, name: &str, report: &mut Report) -> Result<(), ReadError> {
    let line = |pos: &Option<csv::Position>| {
        pos.as_ref()
            .map_or(0, |pos| u32::try_from(pos.line()).unwrap_or(u32::MAX))
    };
    match error.into_kind() {
        csv::ErrorKind::Io(source) => {
            return Err(ReadError::Io {
                file: name.to_owned(),
                source,
            });
        }
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => {
            let message = format!("the row has {len} cells, the header {expected_len}");
            report.add(
                line(&pos),
                message,
                Some("a cell with a comma goes in double quotes"),
            );
        }
        csv::ErrorKind::Utf8 { pos, .. } => report.add(line(&pos), "the row is not UTF-8", None),
        other => report.add(0, format!("not well-formed CSV: {other:?}"), None),
    }
    Ok(())
}
