//! A task with gaps for values: [`TaskTemplate`].
//!
//! It is what the template for the rows of a table and the tasks of a saved template have in common. The fields of
//! the task are kept as they were written, each with its placeholders; [`TaskTemplate::fill`] puts values in. Where a
//! value goes into code, it is written as a word or literal of that language, and braces in it never become a
//! placeholder.

use batch_core::{
    Encoding, Json, ParamProblem, Placeholder, VARIABLE_ROOT, fill, fill_root, placeholders,
};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fields::Fields;
use crate::problem::Problem;
use crate::scope::Report;
use crate::source::{Lines, Source};
use crate::task::TASK_FIELDS;

/// A task with gaps for values.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskTemplate {
    pub(crate) fields: Vec<TemplateField>,
    /// The line of the task.
    pub(crate) line: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct TemplateField {
    pub(crate) name: String,
    pub(crate) value: Json,
    pub(crate) line: u32,
    pub(crate) placeholders: Vec<Placeholder>,
    /// Where in the value code stands, and in which language.
    code: Option<(&'static str, Encoding)>,
}

/// The fields of a task with their gaps filled, in their order, and what went wrong. A field that could not be
/// filled stands there as it was written.
pub(crate) struct Filling<'t> {
    pub(crate) fields: Vec<(&'t TemplateField, Json)>,
    pub(crate) problems: Vec<ParamProblem>,
}

impl TaskTemplate {
    /// Reads a task that is an object.
    pub(crate) fn read(task: &RawValue, source: &Source<'_>, report: &mut Report) -> Self {
        let mut template = Self {
            fields: Vec::new(),
            line: source.line(task.get()),
        };
        if let Ok(Fields(fields)) = serde_json::from_str::<Fields<'_>>(task.get()) {
            for (name, raw) in &fields {
                template
                    .fields
                    .extend(TemplateField::read(name, raw, source, report));
            }
            template.find_code(report);
        }
        template
    }

    /// All placeholders, with the fields they stand in.
    pub(crate) fn placeholders(&self) -> impl Iterator<Item = (&TemplateField, &Placeholder)> {
        self.fields.iter().flat_map(|field| {
            let placeholders = field.placeholders.iter();
            placeholders.map(move |placeholder| (field, placeholder))
        })
    }

    /// Fills in the placeholders with the given root. Those with other roots stay in parameters and variables, where
    /// they are filled in when the task starts; elsewhere `lookup` is asked for them, too.
    pub(crate) fn fill(
        &self,
        root: &str,
        lookup: &dyn Fn(&Placeholder) -> Result<Value, String>,
    ) -> Filling<'_> {
        let mut filling = Filling {
            fields: Vec::with_capacity(self.fields.len()),
            problems: Vec::new(),
        };
        for field in &self.fields {
            let encoding = |place: &str| match field.code {
                Some((code, encoding)) if code == place => encoding,
                _ => Encoding::Text,
            };
            let filled = if is_kept(&field.name) || field.name == ENVIRONMENT {
                fill_root(&field.value, root, lookup, &encoding)
            } else {
                fill(&field.value, lookup, &encoding)
            };
            let value = filled.unwrap_or_else(|found| {
                let found = found.into_iter().map(|problem| ParamProblem {
                    path: place_in(&field.name, &problem.path),
                    ..problem
                });
                filling.problems.extend(found);
                field.value.clone()
            });
            filling.fields.push((field, value));
        }
        filling
    }

    /// The field in which a place such as `params.n` is.
    pub(crate) fn field_of(&self, place: &str) -> Option<&TemplateField> {
        let name = place.split(['.', '[']).next().unwrap_or_default();
        self.fields.iter().find(|field| field.name == name)
    }

    /// The line of the field in which a place is; else that of the task.
    pub(crate) fn line_of(&self, place: &str) -> u32 {
        self.field_of(place).map_or(self.line, |field| field.line)
    }

    /// Finds the places in which a value would become code, and refuses placeholders where its language is not
    /// known.
    fn find_code(&mut self, report: &mut Report) {
        let function = self.fields.iter().find(|field| field.name == "function");
        let any_function = function.is_some_and(|field| !field.placeholders.is_empty());
        let function = function.and_then(|field| field.value.get::<String>().ok());
        for field in &mut self.fields {
            field.code = match field.name.as_str() {
                "shell" => Some(("", Encoding::Shell)),
                "python" => Some(("", Encoding::Python)),
                "node" => Some(("", Encoding::JavaScript)),
                "params" if any_function => field.refuse_unknown_code(report),
                "params" => match function.as_deref() {
                    Some("shell") => Some(("script", Encoding::Shell)),
                    Some("custom_function") => Some(("code", Encoding::Python)),
                    Some("code_execution") => field.code_language(report),
                    _ => None,
                },
                _ => None,
            };
            field.refuse_encoded_code(report);
        }
    }
}

impl TemplateField {
    /// Reads a field; reports placeholders that are not well formed.
    fn read(name: &str, raw: &RawValue, source: &Source<'_>, report: &mut Report) -> Option<Self> {
        let line = source.line(raw.get());
        let value = match Json::parse(raw.get()) {
            Ok(value) => value,
            Err(error) => {
                report.add(line, format!("{name} cannot be read: {error}"), None);
                return None;
            }
        };
        match placeholders(&value) {
            Ok(placeholders) => Some(Self {
                name: name.to_owned(),
                value,
                line,
                placeholders,
                code: None,
            }),
            Err(problems) => {
                for problem in problems {
                    let place = place_in(name, &problem.path);
                    let message = format!("{place}: {}", problem.message);
                    report.add(line, message, problem.help.as_deref());
                }
                None
            }
        }
    }

    /// Whether it has a placeholder with the given root.
    pub(crate) fn has_root(&self, root: &str) -> bool {
        self.placeholders.iter().any(|p| p.root == root)
    }

    /// Where code stands in it, if it holds code.
    pub(crate) fn code_place(&self) -> Option<&'static str> {
        self.code.map(|(place, _)| place)
    }

    /// The language of the `code` in parameters, by the `runtime` beside it.
    fn code_language(&self, report: &mut Report) -> Option<(&'static str, Encoding)> {
        let fields = self.value.get::<serde_json::Map<String, Value>>().ok()?;
        match fields.get("runtime").and_then(Value::as_str) {
            Some("python") => Some(("code", Encoding::Python)),
            Some("nodejs") => Some(("code", Encoding::JavaScript)),
            Some("terminal") => Some(("code", Encoding::Shell)),
            _ => {
                if self.placeholders.iter().any(|p| p.place == "code") {
                    let help =
                        "write python, nodejs or terminal, so that cells are written in its way";
                    let message = "the code has placeholders and no known runtime";
                    report.add(self.line, message, Some(help));
                }
                None
            }
        }
    }

    fn refuse_unknown_code(&self, report: &mut Report) -> Option<(&'static str, Encoding)> {
        let mut places = self.placeholders.iter().map(|p| p.place.as_str());
        if places.any(|place| matches!(place, "script" | "code")) {
            let help = "write the function's name, so that values are written in its way";
            let message = "the code has placeholders and its function is one, too";
            report.add(self.line, message, Some(help));
        }
        None
    }

    /// In base64 a value could not be written as a word.
    fn refuse_encoded_code(&self, report: &mut Report) {
        let Some((code, _)) = self.code else {
            return;
        };
        let encoded = place_in(code, "base64");
        let encoded = encoded.trim_start_matches('.');
        if self.placeholders.iter().any(|p| p.place == encoded) {
            let message = format!("{}: code in base64 takes no placeholders", self.name);
            report.add(self.line, message, Some("write the code as a text"));
        }
    }
}

/// The field with the variables of a task, into which variables of the executor are filled when it starts.
const ENVIRONMENT: &str = "env";

/// Whether placeholders with a root stay in a field until the task starts.
pub(crate) fn is_for_later(field: &str, root: &str) -> bool {
    match root {
        "tasks" => is_kept(field),
        VARIABLE_ROOT => is_kept(field) || field == ENVIRONMENT,
        _ => false,
    }
}

/// Whether a field becomes part of the parameters, which are filled in once more when the task starts.
pub(crate) fn is_kept(field: &str) -> bool {
    TASK_FIELDS[2..10].contains(&field) && field != "function"
}

/// The JSON text of an object with these fields, values as JSON, and from which line each came.
pub(crate) fn object_text<'f>(
    fields: impl IntoIterator<Item = (&'f str, &'f str, u32)>,
) -> (String, Lines) {
    let mut text = String::from("{");
    let mut marks = Vec::new();
    for (name, value, line) in fields {
        text.push_str(if text.len() == 1 { "" } else { "," });
        text.push_str(&Value::from(name).to_string());
        text.push(':');
        marks.push((text.len(), line));
        text.push_str(value);
    }
    text.push('}');
    (text, Lines::Marks(marks))
}

/// A place inside a field: `params` and `argv[0]` is `params.argv[0]`.
pub(crate) fn place_in(field: &str, path: &str) -> String {
    match path {
        "" => field.to_owned(),
        path if path.starts_with('[') => format!("{field}{path}"),
        path => format!("{field}.{path}"),
    }
}

/// Adds a problem with a place of a file that need not be the one being read.
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
