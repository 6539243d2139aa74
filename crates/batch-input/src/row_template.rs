//! A task with gaps for the cells of a row: [`RowTemplate`].

use std::collections::{HashMap, HashSet};
use std::path::Path;

use batch_core::{
    Encoding, Json, ParamProblem, Placeholder, Segment, TaskOptions, escape_braces, fill,
    fill_root, nearest, placeholders,
};
use csv::StringRecord;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fields::{Fields, kind};
use crate::file::{FileSettings, Format, ReadError};
use crate::problem::Problem;
use crate::scope::Report;
use crate::settings::{base_options, document_text, read_document};
use crate::source::Source;
use crate::task::TASK_FIELDS;

/// A task with gaps for the cells of a row.
#[derive(Clone, Debug)]
pub struct RowTemplate {
    pub(crate) name: String,
    pub(crate) settings: FileSettings,
    pub(crate) defaults: TaskOptions,
    fields: Vec<TemplateField>,
    /// The line of the task.
    line: u32,
    pub(crate) problems: Vec<Problem>,
}

#[derive(Clone, Debug)]
struct TemplateField {
    name: String,
    value: Json,
    line: u32,
    placeholders: Vec<Placeholder>,
    /// Where in the value code stands, and in which language.
    code: Option<(&'static str, Encoding)>,
}

impl RowTemplate {
    /// Reads a template from a JSON or YAML file: one task, or a file of tasks with one task in it.
    ///
    /// # Errors
    /// When it cannot be read at all. What is wrong in it is told with the rows, by [`read_csv`](crate::read_csv).
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let name = path.display().to_string();
        let format = Format::of(path)?;
        let bytes = std::fs::read(path).map_err(|source| ReadError::Io {
            file: name.clone(),
            source,
        })?;
        Ok(Self::parse(&bytes, &name, format))
    }

    /// Parses a template. `name` stands for it in problems; every format but YAML is taken as JSON.
    pub fn parse(bytes: &[u8], name: &str, format: Format) -> Self {
        let mut template = Self {
            name: name.to_owned(),
            settings: FileSettings::default(),
            defaults: base_options(),
            fields: Vec::new(),
            line: 1,
            problems: Vec::new(),
        };
        let mut report = Report::new(name);
        let format = if format == Format::Yaml {
            format
        } else {
            Format::Json
        };
        if let Some((text, lines)) = document_text(bytes, format, &mut report) {
            let source = Source::new(&text, lines);
            if let Ok(root) = serde_json::from_str::<&RawValue>(&text) {
                template.read_root(root, &source, &mut report);
            }
        }
        template.problems = report.problems;
        template
    }

    fn read_root(&mut self, root: &RawValue, source: &Source<'_>, report: &mut Report) {
        let fields = serde_json::from_str::<Fields<'_>>(root.get());
        let is_task = fields.is_ok_and(|fields| fields.0.iter().all(|(name, _)| name != "tasks"));
        let mut task = root;
        if !is_task {
            let Some(document) = read_document(root, source, report) else {
                return;
            };
            self.settings = document.settings;
            self.defaults = document.defaults;
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
        self.line = source.line(task.get());
        if kind(task) != "an object" {
            return report.add(self.line, "a template for rows must be an object", None);
        }
        if let Ok(Fields(fields)) = serde_json::from_str::<Fields<'_>>(task.get()) {
            for (name, raw) in &fields {
                self.add_field(name, raw, source, report);
            }
            self.find_code(report);
        }
    }

    fn add_field(&mut self, name: &str, raw: &RawValue, source: &Source<'_>, report: &mut Report) {
        let line = source.line(raw.get());
        let value = match Json::parse(raw.get()) {
            Ok(value) => value,
            Err(error) => return report.add(line, format!("{name} cannot be read: {error}"), None),
        };
        match placeholders(&value) {
            Ok(placeholders) => {
                let name = name.to_owned();
                self.fields.push(TemplateField {
                    name,
                    value,
                    line,
                    placeholders,
                    code: None,
                });
            }
            Err(problems) => {
                for problem in problems {
                    let place = place_in(name, &problem.path);
                    report.add(
                        line,
                        format!("{place}: {}", problem.message),
                        problem.help.as_deref(),
                    );
                }
            }
        }
    }

    /// Finds the places in which a cell would become code.
    fn find_code(&mut self, report: &mut Report) {
        let function = self.fields.iter().find(|field| field.name == "function");
        let function = function.and_then(|field| field.value.get::<String>().ok());
        for field in &mut self.fields {
            field.code = match field.name.as_str() {
                "shell" => Some(("", Encoding::Shell)),
                "python" => Some(("", Encoding::Python)),
                "node" => Some(("", Encoding::JavaScript)),
                "params" => match function.as_deref() {
                    Some("shell") => Some(("script", Encoding::Shell)),
                    Some("custom_function") => Some(("code", Encoding::Python)),
                    Some("code_execution") => code_language(field, report),
                    _ => None,
                },
                _ => None,
            };
        }
    }

    /// Reports placeholders for columns that the table does not have, once each.
    pub(crate) fn check_columns(&self, header: &StringRecord, report: &mut Report) {
        let mut told = HashSet::new();
        let all = self.fields.iter().flat_map(|field| {
            field
                .placeholders
                .iter()
                .map(move |placeholder| (field, placeholder))
        });
        for (field, placeholder) in all {
            let place = place_in(&field.name, &placeholder.place);
            let (message, help) = match (placeholder.root.as_str(), &placeholder.path[..]) {
                ("row", []) => continue,
                ("row", [Segment::Field(name)]) if header.iter().any(|column| column == name) => {
                    continue;
                }
                ("row", [Segment::Field(name)]) => {
                    let help = match nearest(name, header) {
                        Some(near) => format!("did you mean {near:?}?"),
                        None => format!(
                            "the columns are {}",
                            header.iter().collect::<Vec<_>>().join(", ")
                        ),
                    };
                    (format!("the table has no column {name:?}"), help)
                }
                ("row", _) => {
                    let help = "write {{ row.NAME }} or {{ row[\"NAME\"] }}".to_owned();
                    (format!("{placeholder} names no cell"), help)
                }
                ("tasks", _) if is_kept(&field.name) => continue,
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
    pub(crate) fn fill(&self, row: &Row<'_>) -> Result<String, Vec<ParamProblem>> {
        let mut task = String::from("{");
        let mut problems = Vec::new();
        for field in &self.fields {
            let encoding = |place: &str| match field.code {
                Some((code, encoding)) if code == place => encoding,
                _ => Encoding::Text,
            };
            let lookup = |placeholder: &Placeholder| row.value(placeholder);
            let filled = if is_kept(&field.name) {
                fill_root(&field.value, "row", &lookup, &encoding)
            } else {
                fill(&field.value, &lookup, &encoding)
            };
            match filled {
                Ok(value) => push_field(&mut task, &field.name, value.as_str()),
                Err(found) => problems.extend(found.into_iter().map(|problem| ParamProblem {
                    path: place_in(&field.name, &problem.path),
                    ..problem
                })),
            }
        }
        let has = |names: &[&str]| {
            self.fields
                .iter()
                .any(|field| names.contains(&&*field.name))
        };
        if has(&["function"]) && !has(&["params"]) {
            push_field(&mut task, "params", &row.object());
        }
        task.push('}');
        if problems.is_empty() {
            Ok(task)
        } else {
            Err(problems)
        }
    }

    /// Whether what is wrong with a field depends on the row.
    pub(crate) fn depends_on_row(&self, place: &str) -> bool {
        let name = place.split(['.', '[']).next().unwrap_or_default();
        let field = self.fields.iter().find(|field| field.name == name);
        field.is_some_and(|field| field.placeholders.iter().any(|p| p.root == "row"))
    }

    pub(crate) fn line_of(&self, place: &str) -> u32 {
        let name = place.split(['.', '[']).next().unwrap_or_default();
        let field = self.fields.iter().find(|field| field.name == name);
        field.map_or(self.line, |field| field.line)
    }
}

/// The cells of a row.
pub(crate) struct Row<'r> {
    pub(crate) header: &'r StringRecord,
    pub(crate) record: &'r StringRecord,
    pub(crate) columns: &'r HashMap<&'r str, usize>,
}

impl Row<'_> {
    fn value(&self, placeholder: &Placeholder) -> Result<Value, String> {
        match &placeholder.path[..] {
            [] => {
                let cells = self.header.iter().zip(self.record);
                Ok(Value::Object(
                    cells
                        .map(|(name, cell)| (name.to_owned(), cell.into()))
                        .collect(),
                ))
            }
            [Segment::Field(name), ..] => {
                let cell = self
                    .columns
                    .get(&**name)
                    .and_then(|index| self.record.get(*index));
                cell.map(Value::from)
                    .ok_or_else(|| format!("there is no column {name:?}"))
            }
            _ => Err("it names no cell".to_owned()),
        }
    }

    /// All cells as an object, in the order of the columns.
    fn object(&self) -> String {
        let mut object = String::from("{");
        for (name, cell) in self.header.iter().zip(self.record) {
            push_field(
                &mut object,
                name,
                &Value::from(escape_braces(cell)).to_string(),
            );
        }
        object.push('}');
        object
    }
}

/// Whether a field becomes part of the parameters, which are filled in once more when the task starts.
fn is_kept(field: &str) -> bool {
    TASK_FIELDS[2..10].contains(&field) && field != "function"
}

fn push_field(object: &mut String, name: &str, value: &str) {
    object.push_str(if object.len() == 1 { "" } else { "," });
    object.push_str(&Value::from(name).to_string());
    object.push(':');
    object.push_str(value);
}

fn place_in(field: &str, path: &str) -> String {
    match path {
        "" => field.to_owned(),
        path if path.starts_with('[') => format!("{field}{path}"),
        path => format!("{field}.{path}"),
    }
}

fn code_language(params: &TemplateField, report: &mut Report) -> Option<(&'static str, Encoding)> {
    let fields = params.value.get::<serde_json::Map<String, Value>>().ok()?;
    match fields.get("runtime").and_then(Value::as_str) {
        Some("python") => Some(("code", Encoding::Python)),
        Some("nodejs") => Some(("code", Encoding::JavaScript)),
        Some("terminal") => Some(("code", Encoding::Shell)),
        _ => {
            if params.placeholders.iter().any(|p| p.place == "code") {
                let help =
                    Some("write python, nodejs or terminal, so that cells are written in its way");
                report.add(
                    params.line,
                    "the code has placeholders and no known runtime",
                    help,
                );
            }
            None
        }
    }
}

pub(crate) fn add(
    report: &mut Report,
    file: &str,
    line: u32,
    field: &str,
    message: String,
    help: Option<String>,
) {
    report.problems.push(Problem {
        file: file.into(),
        line,
        column: None,
        task: None,
        field: field.to_owned(),
        message,
        help,
    });
}
