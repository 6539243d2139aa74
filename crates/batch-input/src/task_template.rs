//! A task with gaps for values: [`TaskTemplate`].
//!
//! It is what the template for the rows of a table and the tasks of a saved template have in common. The fields of
//! the task are kept as they were written, each with its placeholders; [`TaskTemplate::fill`] puts values in. Where a
//! value goes into code, it is written as a word or literal of that language, and braces in it never become a
//! placeholder.

use batch_core::{Json, ParamProblem};
use batch_template::{
    Encoding, Encodings, Placeholder, VARIABLE_ROOT, fill, fill_root, placeholders,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::fields::Fields;
use crate::problem::Problem;
use crate::scope::Report;
use crate::source::{Lines, Source};
use crate::task::PARAMETER_FIELDS;

/// A task with gaps for values.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskTemplate {
    pub(crate) fields: Vec<TemplateField>,
    /// The line of the task.
    pub(crate) line: u32,
    /// What it may do: one thing, or any of the functions where its own is a placeholder.
    works: Vec<Work>,
}

#[derive(Clone, Debug)]
pub(crate) struct TemplateField {
    pub(crate) name: String,
    pub(crate) value: Json,
    pub(crate) line: u32,
    pub(crate) placeholders: Vec<Placeholder>,
}

/// What a task does, as its template says it.
#[derive(Clone, Debug)]
struct Work {
    function: &'static str,
    params: Value,
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
            works: Vec::new(),
        };
        if let Ok(Fields(fields)) = serde_json::from_str::<Fields<'_>>(task.get()) {
            for (name, raw) in &fields {
                template
                    .fields
                    .extend(TemplateField::read(name, raw, source, report));
            }
            template.works = template.find_works();
            template.check_code(report);
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
    /// they are filled in when the task starts; elsewhere `lookup` is asked for them, too. `allow_code` is what the
    /// defaults say of values in code.
    pub(crate) fn fill(
        &self,
        root: &str,
        allow_code: bool,
        lookup: &dyn Fn(&Placeholder) -> Result<Value, String>,
    ) -> Filling<'_> {
        let mut filling = Filling {
            fields: Vec::with_capacity(self.fields.len()),
            problems: Vec::new(),
        };
        let allow_code = self.allows_code().unwrap_or(allow_code);
        for field in &self.fields {
            let encodings = |value: &Json| {
                let works = self.works.iter();
                let found = works.map(|work| work.encodings(&field.name, value));
                let found = found.reduce(Encodings::or).unwrap_or_default();
                found.allowing(allow_code)
            };
            let filled = if is_kept(&field.name) || field.name == ENVIRONMENT {
                fill_root(&field.value, root, lookup, &encodings)
            } else {
                fill(&field.value, lookup, &encodings)
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

    fn find_works(&self) -> Vec<Work> {
        const ANY: [&str; 4] = ["command", "shell", "code_execution", "custom_function"];
        let find = |name: &str| self.fields.iter().find(|field| field.name == name);
        let value = |name: &str| find(name).map(|field| field.value.to_value());
        let work = |function, params| vec![Work { function, params }];
        if let Some(argv) = value("command") {
            return work("command", json!({ "argv": argv }));
        }
        if find("shell").is_some() {
            return work("shell", json!({}));
        }
        for (form, runtime) in [("python", "python"), ("node", "nodejs")] {
            if find(form).is_some() {
                return work("code_execution", json!({ "runtime": runtime }));
            }
        }
        let any_function = find("function").is_some_and(|field| !field.placeholders.is_empty());
        let (name, params) = (value("function"), value("params").unwrap_or_default());
        let is_its = |known: &&str| any_function || name.as_ref().is_some_and(|name| name == known);
        let functions = ANY.into_iter().filter(is_its);
        let its = |function| Work {
            function,
            params: params.clone(),
        };
        functions.map(its).collect()
    }

    /// What the task itself says of values in code.
    fn allows_code(&self) -> Option<bool> {
        self.field_of("allow_code")?.value.get().ok()
    }

    /// Refuses placeholders in code whose language is not known, and in what must be known beforehand.
    fn check_code(&self, report: &mut Report) {
        let function = self.fields.iter().find(|field| field.name == "function");
        let any_function = function.is_some_and(|field| !field.placeholders.is_empty());
        let function = function.and_then(|field| field.value.get::<String>().ok());
        for field in &self.fields {
            match (field.name.as_str(), function.as_deref()) {
                ("allow_code", _) if !field.placeholders.is_empty() => {
                    let help = "write true or false";
                    let message = "allow_code takes no placeholders: data would let itself through";
                    report.add(field.line, message, Some(help));
                }
                ("params", _) if any_function => field.refuse_unknown_code(report),
                ("params", Some("code_execution")) => field.refuse_unknown_runtime(report),
                _ => {}
            }
            field.refuse_encoded_code(&self.works, report);
        }
    }

    /// Whether one of its parameters is code, so that a value cannot stand for all of them.
    pub(crate) fn has_code(&self, field: &TemplateField) -> bool {
        const PLACES: [&str; 2] = ["script", "code"];
        let is_code = |work: &Work| {
            let encodings = Encodings::of(work.function, &Value::Null);
            let mut places = PLACES.iter();
            places.any(|place| encodings.at(place) != Encoding::Text)
        };
        field.name == "params" && self.works.iter().any(is_code)
    }
}

impl Work {
    /// How the places in a field of the task take values, when the field has this value.
    fn encodings(&self, field: &str, value: &Json) -> Encodings {
        let of = |params: &Value| Encodings::of(self.function, params);
        match field {
            "params" => of(&value.to_value()),
            "command" => of(&json!({ "argv": value.to_value() })).inside("argv"),
            "shell" => of(&self.params).inside("script"),
            "python" | "node" => of(&self.params).inside("code"),
            "stdin" => of(&self.params).inside("stdin"),
            "env" => of(&self.params).inside("env"),
            _ => Encodings::text(),
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

    /// Refuses placeholders in `code` without a `runtime` that says how they are written.
    fn refuse_unknown_runtime(&self, report: &mut Report) {
        let fields = self.value.get::<serde_json::Map<String, Value>>();
        let fields = fields.unwrap_or_default();
        let runtime = fields.get("runtime").and_then(Value::as_str);
        let is_known = matches!(runtime, Some("python" | "nodejs" | "terminal"));
        if !is_known && self.placeholders.iter().any(|p| p.place == "code") {
            let help = "write python, nodejs or terminal, so that cells are written in its way";
            let message = "the code has placeholders and no known runtime";
            report.add(self.line, message, Some(help));
        }
    }

    fn refuse_unknown_code(&self, report: &mut Report) {
        let mut places = self.placeholders.iter().map(|p| p.place.as_str());
        if places.any(|place| matches!(place, "script" | "code")) {
            let help = "write the function's name, so that values are written in its way";
            let message = "the code has placeholders and its function is one, too";
            report.add(self.line, message, Some(help));
        }
    }

    /// In base64 a value could not be written as a word.
    fn refuse_encoded_code(&self, works: &[Work], report: &mut Report) {
        let places = self.placeholders.iter().map(|p| p.place.as_str());
        let around = places.filter_map(|place| place.strip_suffix("base64"));
        let around = Vec::from_iter(around.map(|place| place.trim_end_matches('.')));
        if around.is_empty() {
            return;
        }
        let is_code = |work: &Work| {
            let encodings = work.encodings(&self.name, &self.value);
            let mut found = around.iter().map(|place| encodings.at(place));
            found.any(|encoding| !matches!(encoding, Encoding::Text | Encoding::Code(_)))
        };
        if works.iter().any(is_code) {
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
    PARAMETER_FIELDS.contains(&field)
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
