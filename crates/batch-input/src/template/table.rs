//! One expansion for each row of a table: [`SavedTemplate::expand_rows`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;

use batch_template::Placeholder;
use csv::StringRecord;

use super::param::{Param, ParamType};
use super::row_ids::RowIds;
use super::saved::SavedTemplate;
use super::values::{Values, near_or_all, report_missing};
use crate::file::{ReadError, ReadOptions, TaskFile};
use crate::rows::{Table, read_table};
use crate::scope::Report;
use crate::settings::overridden;
use crate::source::Lines;
use crate::task::TaskReader;
use crate::task_template::{TaskTemplate, add_unfilled, object_text};

impl SavedTemplate {
    /// The tasks of one expansion for each row of a table, whose header names parameters. `fixed` gives, as texts,
    /// those that are the same for all rows. `name` means the table in problems.
    ///
    /// An empty cell of a parameter that is no text counts as not given. An id without a placeholder gets the number
    /// of the row, from 1: `fetch-1`, `fetch-2`; `depends_on` and `{{ tasks.fetch.result }}` point to the task of the
    /// same row.
    ///
    /// # Errors
    /// When the table cannot be read at all. What is wrong in it is told by [`TaskFile::problems`], with its lines.
    pub fn expand_rows(
        &self,
        mut rows: impl Read,
        name: &str,
        fixed: &BTreeMap<String, String>,
        options: &ReadOptions,
    ) -> Result<TaskFile, ReadError> {
        let mut file = TaskFile::new(name);
        file.settings = self.settings.clone();
        let mut report = Report::new(name);
        let bytes = read_table(&mut rows, name)?;
        let mut table = Table::new(&bytes, options.separator.unwrap_or(b','));
        let (header, line) = table.header(&mut report);
        let fixed = Values::from_texts(&self.params, fixed, &mut report);
        // A file with nothing in it is no table with a wrong header, but an empty input.
        if !bytes.is_empty() {
            self.check_columns(&header, line, &fixed, &mut report);
        }
        if report.problems.is_empty() {
            let declared = self.params.iter().map(|param| (&*param.name, param));
            let declared: HashMap<&str, &Param> = declared.collect();
            let columns = header.iter().filter_map(|name| declared.get(name).copied());
            let mut rows = Rows {
                template: self,
                columns: columns.collect(),
                fixed,
                ids: RowIds::of(&self.tasks),
                reader: TaskReader::new(overridden(self.defaults.clone(), options)),
                number: 0,
            };
            while let Some((record, line)) = table.next(&mut report) {
                rows.read(&record, line, &mut report, &mut file);
            }
        }
        file.problems = report.problems;
        Ok(file)
    }

    /// Reports columns that are no parameters, and parameters that no row can give.
    fn check_columns(&self, header: &StringRecord, line: u32, fixed: &Values, report: &mut Report) {
        let declared: HashSet<&str> = self.params.iter().map(|param| &*param.name).collect();
        for (index, name) in header.iter().enumerate() {
            let (message, help) = match declared.contains(name) {
                true if fixed.has(name) => (
                    format!("the parameter {name:?} is given by a column and for all rows, too"),
                    "keep one of them".to_owned(),
                ),
                true => continue,
                false if name.is_empty() => (
                    format!("the column {} has no name", index + 1),
                    "name it after a parameter, or take it away".to_owned(),
                ),
                false => (
                    format!("the column {name:?} is not a parameter of the template"),
                    near_or_all(&self.params, name, &mut report.suggestions),
                ),
            };
            report.add(line, message, Some(&help));
        }
        let mut given = fixed.clone();
        let missing = given.complete(&self.params).into_iter();
        let columns: HashSet<&str> = header.iter().collect();
        let missing: Vec<&Param> = missing
            .filter(|param| !columns.contains(&*param.name))
            .collect();
        report_missing(&missing, as_column, report);
    }
}

/// The rows being read.
struct Rows<'t> {
    template: &'t SavedTemplate,
    /// The parameter of each column.
    columns: Vec<&'t Param>,
    fixed: Values,
    ids: RowIds,
    reader: TaskReader,
    /// Of the row, from 1.
    number: usize,
}

impl Rows<'_> {
    fn read(&mut self, record: &StringRecord, line: u32, report: &mut Report, file: &mut TaskFile) {
        self.number += 1;
        let first = report.problems.len();
        let values = self.values(record, line, report);
        if report.problems.len() > first {
            return;
        }
        let template = self.template;
        for task in &template.tasks {
            self.read_task(task, &values, line, report, file);
        }
    }

    fn values(&self, record: &StringRecord, line: u32, report: &mut Report) -> Values {
        let mut values = self.fixed.clone();
        for (param, cell) in self.columns.iter().zip(record) {
            let given = !cell.trim().is_empty() || param.kind == ParamType::Text;
            if given {
                values.take(param, param.read(cell), line, report);
            }
        }
        for param in values.complete(&self.template.params) {
            let (name, kind) = (&param.name, param.kind);
            let message =
                format!("the cell of {name:?} ({kind}) is empty, and there is no default");
            report.add(line, message, Some("write a value, or declare a default"));
        }
        values
    }

    fn read_task(
        &mut self,
        task: &TaskTemplate,
        values: &Values,
        line: u32,
        report: &mut Report,
        file: &mut TaskFile,
    ) {
        let lookup = |placeholder: &Placeholder| values.lookup(placeholder);
        let filling = task.fill(&["params"], self.reader.allows_code(), &lookup);
        let broken = !filling.problems.is_empty();
        for problem in filling.problems {
            let table = report.file.clone();
            add_unfilled(report, &table, line, problem);
        }
        if broken {
            return;
        }
        let fields = filling.fields.into_iter();
        let fields: Vec<_> = fields
            .map(|(field, value)| (&*field.name, self.ids.apply(field, value, self.number)))
            .collect();
        let fields = fields.iter();
        let (text, _) = object_text(fields.map(|(name, value)| (*name, value.as_str(), line)));
        if let Some(read) = self.reader.read_made(&text, Lines::Fixed(line), report) {
            file.tasks.push(read);
            file.lines.push(line);
        }
    }
}

/// How to give a parameter beside a table.
fn as_column(param: &Param) -> String {
    let (name, kind) = (&param.name, param.kind.name().to_uppercase());
    format!("add a column {name:?}, or --param {name}={kind} for all rows")
}
