//! A task with gaps for the cells of a row: [`RowTemplate`].

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use batch_core::{SettingsRequest, TaskOptions, catalog::ParamProblem, text::Suggestions};
use batch_template::{Datum, Functions, Placeholder, Segment, escape_braces};
use csv::StringRecord;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fields::{Fields, kind};
use crate::file::{Format, ReadError};
use crate::problem::Problem;
use crate::scope::Report;
use crate::settings::{base_options, read_document, read_root};
use crate::source::Source;
use crate::task_template::{TaskTemplate, add, is_for_later, object_text, place_in};

/// A task with gaps for the cells of a row.
#[derive(Clone, Debug)]
pub struct RowTemplate {
    pub(crate) name: String,
    pub(crate) settings: SettingsRequest,
    pub(crate) defaults: TaskOptions,
    task: TaskTemplate,
    pub(crate) problems: Vec<Problem>,
}

impl RowTemplate {
    /// Reads a template from a JSON or YAML file: one task, or a file of tasks with one task in it.
    ///
    /// # Errors
    /// When it cannot be read at all. What is wrong in it is told with the rows, by [`read_csv`](crate::read_csv).
    pub fn read(path: &Path, functions: Arc<dyn Functions>) -> Result<Self, ReadError> {
        let name = path.display().to_string();
        let format = Format::of(path)?;
        let bytes = std::fs::read(path).map_err(|source| ReadError::Io {
            file: name.clone(),
            source,
        })?;
        Ok(Self::parse(&bytes, &name, format, functions))
    }

    /// Parses a template. `name` means it in problems; every format but YAML is taken as JSON. `functions` say
    /// how their parameters take values.
    pub fn parse(bytes: &[u8], name: &str, format: Format, functions: Arc<dyn Functions>) -> Self {
        let mut template = Self {
            name: name.to_owned(),
            settings: SettingsRequest::default(),
            defaults: base_options(),
            task: TaskTemplate::new(&functions, 0),
            problems: Vec::new(),
        };
        let mut report = Report::new(name);
        read_root(bytes, format, &mut report, |root, source, report| {
            template.read_root(root, &functions, source, report);
        });
        template.problems = report.problems;
        template
    }

    fn read_root(
        &mut self,
        root: &RawValue,
        functions: &Arc<dyn Functions>,
        source: &Source<'_>,
        report: &mut Report,
    ) {
        let fields = serde_json::from_str::<Fields<'_>>(root.get());
        let is_task = fields.is_ok_and(|fields| fields.0.iter().all(|(name, _)| name != "tasks"));
        let mut task = root;
        let mut shell_program = None;
        if !is_task {
            let Some(document) = read_document(root, source, report) else {
                return;
            };
            self.settings = document.settings;
            self.defaults = document.defaults;
            shell_program = document.shell_program;
            let list = document
                .tasks
                .map(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()));
            match list {
                Some(Ok(list)) if list.len() == 1 => task = list[0],
                Some(_) => {
                    let message = "a template for rows must hold one task";
                    return report.add(source.line(root.get()), message, None);
                }
                None => return,
            }
        }
        self.task.line = source.line(task.get());
        if kind(task) != "an object" {
            return report.add(
                self.task.line,
                "a template for rows must be an object",
                None,
            );
        }
        self.task = TaskTemplate::read(task, functions, source, report, shell_program.as_deref());
    }

    /// Reports placeholders for columns that the table does not have, once each.
    pub(crate) fn check_columns(&self, header: &StringRecord, report: &mut Report) {
        let mut told = HashSet::new();
        let columns: HashSet<&str> = header.iter().collect();
        let mut suggestions = Suggestions::default();
        for (field, placeholder) in self.task.placeholders() {
            let place = place_in(&field.name, &placeholder.place);
            let (message, help) = match (placeholder.root.as_str(), &placeholder.path[..]) {
                ("row", []) => continue,
                ("row", [Segment::Field(name)]) if columns.contains(&**name) => continue,
                ("row", [Segment::Field(name)]) => {
                    let near = suggestions.did_you_mean(name, columns.iter().copied());
                    let help =
                        near.unwrap_or_else(|| format!("the columns are {}", some_of(header)));
                    (format!("the table has no column {name:?}"), help)
                }
                ("row", _) => {
                    let help = "write {{ row.NAME }} or {{ row[\"NAME\"] }}".to_owned();
                    (format!("{placeholder} names no cell"), help)
                }
                (root, _) if is_for_later(&field.name, root) => continue,
                (root, _) => {
                    let message = format!("unknown placeholder {root:?} in {place}");
                    (message, "write {{ row.COLUMN }} for a cell".to_owned())
                }
            };
            if told.insert(message.clone()) {
                add(report, &self.name, field.line, &place, message, Some(help));
            }
        }
    }

    /// The JSON text of the task for a row.
    ///
    /// `allow_code` is what the defaults say of values in code.
    pub(crate) fn fill(
        &self,
        row: &Row<'_>,
        allow_code: bool,
    ) -> Result<String, Vec<ParamProblem>> {
        let lookup = |placeholder: &Placeholder| row.value(placeholder);
        let filling = self.task.fill(&["row"], allow_code, &lookup);
        if !filling.problems.is_empty() {
            return Err(filling.problems);
        }
        let has = |name: &str| self.task.field_of(name).is_some();
        let row = (has("function") && !has("params")).then(|| row.object());
        let filled = filling.fields.iter();
        let fields = filled.map(|(field, value)| (&*field.name, value.as_str(), field.line));
        let row = row
            .iter()
            .map(|row| ("params", row.as_str(), self.task.line));
        Ok(object_text(fields.chain(row)).0)
    }

    /// Whether what is wrong with a field depends on the row.
    pub(crate) fn depends_on_row(&self, place: &str) -> bool {
        let field = self.task.field_of(place);
        field.is_some_and(|field| field.has_root("row"))
    }

    pub(crate) fn line_of(&self, place: &str) -> u32 {
        self.task.line_of(place)
    }
}

/// The names of the columns, the first ones of many.
fn some_of(header: &StringRecord) -> String {
    const SHOWN: usize = 20;
    let mut names: Vec<&str> = header.iter().take(SHOWN).collect();
    if header.len() > SHOWN {
        names.push("…");
    }
    names.join(", ")
}

/// The cells of a row.
pub(crate) struct Row<'r> {
    pub(crate) header: &'r StringRecord,
    pub(crate) record: &'r StringRecord,
    pub(crate) columns: &'r HashMap<&'r str, usize>,
}

impl Row<'_> {
    fn value(&self, placeholder: &Placeholder) -> Result<Datum, String> {
        match &placeholder.path[..] {
            [] => {
                let cells = self.record.iter().map(|cell| Value::from(cell).to_string());
                let cells: Vec<String> = cells.collect();
                let fields = self.header.iter().zip(&cells);
                Datum::read(&object_text(fields.map(|(name, cell)| (name, cell.as_str(), 0))).0)
            }
            [Segment::Field(name), ..] => {
                let cell = self
                    .columns
                    .get(&**name)
                    .and_then(|index| self.record.get(*index));
                cell.map(Datum::from)
                    .ok_or_else(|| format!("there is no column {name:?}"))
            }
            _ => Err("it names no cell".to_owned()),
        }
    }

    /// All cells as an object, in the order of the columns.
    fn object(&self) -> String {
        let cell = |cell: &str| Value::from(escape_braces(cell)).to_string();
        let cells: Vec<String> = self.record.iter().map(cell).collect();
        let fields = self.header.iter().zip(&cells);
        object_text(fields.map(|(name, cell)| (name, cell.as_str(), 0))).0
    }
}
