//! A task with gaps for values: [`TaskTemplate`].
//!
//! It is what the template for the rows of a table and the tasks of a saved template have in common. The fields of
//! the task are kept as they were written, each with its placeholders; [`TaskTemplate::fill`] puts values in. Where a
//! value goes into code, it is written as a word or literal of that language, and braces in it never become a
//! placeholder.

use std::sync::Arc;

use batch_core::{Json, catalog::ParamProblem};
use batch_template::{
    Code, Datum, Encoding, Encodings, Functions, Language, Placeholder, SLOT_ROOT, VARIABLE_ROOT,
    fill, fill_root, placeholders,
};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fields::Fields;
use crate::params::ShortForm;
use crate::problem::Problem;
use crate::scope::Report;
use crate::source::{Lines, Source};

/// A task with gaps for values.
#[derive(Clone, Debug)]
pub(crate) struct TaskTemplate {
    pub(crate) fields: Vec<TemplateField>,
    /// The line of the task.
    pub(crate) line: u32,
    /// What it may do: one thing, or any of the functions where its own is a placeholder.
    works: Vec<Work>,
    functions: Arc<dyn Functions>,
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
    function: String,
    params: Json,
    /// The short form it is said in.
    short: Option<&'static ShortForm>,
    /// The program that runs its script.
    shell_program: Option<Json>,
}

/// The fields of a task with their gaps filled, in their order, and what went wrong. A field that could not be
/// filled is there as it was written.
pub(crate) struct Filling<'t> {
    pub(crate) fields: Vec<(&'t TemplateField, Json)>,
    pub(crate) problems: Vec<ParamProblem>,
}

impl TaskTemplate {
    /// One without fields, whose task begins at a line.
    pub(crate) fn new(functions: &Arc<dyn Functions>, line: u32) -> Self {
        Self {
            fields: Vec::new(),
            line,
            works: Vec::new(),
            functions: Arc::clone(functions),
        }
    }

    /// Reads a task that is an object.
    pub(crate) fn read(
        task: &RawValue,
        functions: &Arc<dyn Functions>,
        source: &Source<'_>,
        report: &mut Report,
        shell_program: Option<&RawValue>,
    ) -> Self {
        Self::read_but(&[], task, functions, source, report, shell_program)
    }

    /// The same, but for some fields, which the caller reads.
    pub(crate) fn read_but(
        others: &[&str],
        task: &RawValue,
        functions: &Arc<dyn Functions>,
        source: &Source<'_>,
        report: &mut Report,
        shell_program: Option<&RawValue>,
    ) -> Self {
        let mut template = Self::new(functions, source.line(task.get()));
        if let Ok(Fields(fields)) = serde_json::from_str::<Fields<'_>>(task.get()) {
            for (name, raw) in fields.iter().filter(|(name, _)| !others.contains(&&**name)) {
                template
                    .fields
                    .extend(TemplateField::read(name, raw, source, report));
            }
            let says = |name: &str| fields.iter().any(|(field, _)| field == name);
            if says("shell") && !says("shell_program") {
                let program = shell_program.and_then(|raw| Json::parse(raw.get()).ok());
                template.fields.extend(program.map(|value| TemplateField {
                    name: SHELL_PROGRAM.to_owned(),
                    value,
                    line: template.line,
                    placeholders: Vec::new(),
                }));
            }
            template.works = template.find_works();
            template.check_code(report);
        }
        template
    }

    /// All placeholders, with the fields they are in.
    pub(crate) fn placeholders(&self) -> impl Iterator<Item = (&TemplateField, &Placeholder)> {
        self.fields.iter().flat_map(|field| {
            let placeholders = field.placeholders.iter();
            placeholders.map(move |placeholder| (field, placeholder))
        })
    }

    /// Fills in the placeholders with the given roots. Those with others stay in parameters and variables, where
    /// they are filled in when the task starts; elsewhere `lookup` is asked for them, too. `allow_code` is what the
    /// defaults say of values in code.
    pub(crate) fn fill(
        &self,
        roots: &[&str],
        allow_code: bool,
        lookup: &dyn Fn(&Placeholder) -> Result<Datum, String>,
    ) -> Filling<'_> {
        let mut filling = Filling {
            fields: Vec::with_capacity(self.fields.len()),
            problems: Vec::new(),
        };
        let allow_code = self.allows_code().unwrap_or(allow_code);
        for field in &self.fields {
            let encodings = |value: &Json| {
                let found = self.encodings(&field.name, value);
                found
                    .reduce(Encodings::or)
                    .unwrap_or_default()
                    .allowing(allow_code)
            };
            let filled = if is_kept(&field.name) || field.name == ENVIRONMENT {
                fill_root(&field.value, roots, lookup, &encodings)
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
        let mut fields = self.fields.iter();
        let short = fields.find_map(|field| Some((ShortForm::named(&field.name)?, field)));
        if let Some((form, field)) = short {
            let program = self
                .field_of(SHELL_PROGRAM)
                .map(|field| field.value.clone());
            return vec![Work::of(form, &field.value, program.as_ref())];
        }
        let Some(function) = self.field_of("function") else {
            return Vec::new();
        };
        let names = if function.placeholders.is_empty() {
            function.value.get::<String>().into_iter().collect()
        } else {
            let names = self.functions.functions().into_iter();
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        let params = self.field_of("params").map(|field| field.value.clone());
        let work = |function| Work {
            function,
            params: params.clone().unwrap_or_else(Json::null),
            short: None,
            shell_program: None,
        };
        names.into_iter().map(work).collect()
    }

    /// How the places in a field take values, when the field has this value: for each thing that the task may do.
    fn encodings(&self, field: &str, value: &Json) -> impl Iterator<Item = Encodings> {
        let works = self.works.iter();
        works.map(move |work| work.encodings(field, value, &*self.functions))
    }

    /// What the task itself says of values in code.
    fn allows_code(&self) -> Option<bool> {
        self.field_of("allow_code")?.value.get().ok()
    }

    /// Refuses placeholders in code whose language is not known, and in what must be known beforehand.
    fn check_code(&self, report: &mut Report) {
        let function = self.field_of("function");
        let any_function = function.is_some_and(|field| !field.placeholders.is_empty());
        for field in &self.fields {
            let mut code = self
                .encodings(&field.name, &field.value)
                .flat_map(|encodings| {
                    let places = field.placeholders.iter().map(|p| p.place.as_str());
                    places.map(|place| encodings.at(place)).collect::<Vec<_>>()
                });
            let problem = match field.name.as_str() {
                "allow_code" if !field.placeholders.is_empty() => (
                    "allow_code takes no placeholders: data would let itself through",
                    "write true or false",
                ),
                "params" if any_function && code.any(is_of_the_function) => (
                    "the code has placeholders and its function is one, too",
                    "write the function's name, so that values are written in its way",
                ),
                "params" if !any_function && code.any(is_unknown) => (
                    "the code has placeholders and no known runtime",
                    "write python, nodejs or terminal, so that cells are written in its way",
                ),
                _ => continue,
            };
            report.add(field.line, problem.0, Some(problem.1));
        }
    }

    /// Whether one of its parameters is code, so that a value cannot mean all of them.
    pub(crate) fn has_code(&self, field: &TemplateField) -> bool {
        let has_code = |work: &Work| {
            let encodings = self.functions.encodings(&work.function, &Json::null());
            encodings.has_code()
        };
        field.name == "params" && self.works.iter().any(has_code)
    }
}

/// Whether the function says that a place is code: other than in a command, whatever its arguments are.
fn is_of_the_function(encoding: Encoding) -> bool {
    encoding.is_code() && !matches!(encoding, Encoding::Code(_))
}

fn is_unknown(encoding: Encoding) -> bool {
    let unknown = Language::Unknown;
    matches!(encoding, Encoding::Code(Code { language, .. }) if language == unknown)
}

impl Work {
    /// What a short form with this value says.
    fn of(form: &'static ShortForm, value: &Json, shell_program: Option<&Json>) -> Self {
        let params = match (form.param, shell_program) {
            ("", _) => Ok(value.clone()),
            ("script", Some(program)) => Json::parse(&format!(
                "{{{},\"shell\":{}}}",
                form.params(value.as_str()),
                program.as_str()
            )),
            _ => Json::parse(&format!("{{{}}}", form.params(value.as_str()))),
        };
        Self {
            function: form.function.to_owned(),
            params: params.unwrap_or_else(|_| Json::null()),
            short: Some(form),
            shell_program: shell_program.cloned(),
        }
    }

    /// How the places in a field of the task take values, when the field has this value.
    fn encodings(&self, field: &str, value: &Json, functions: &dyn Functions) -> Encodings {
        let of = |params: &Json| functions.encodings(&self.function, params);
        match (field, self.short) {
            ("params", None) => of(value),
            ("stdin", _) => of(&self.params).inside("stdin"),
            ("env", _) => of(&self.params).inside("env"),
            (field, Some(form)) if field == form.field => {
                let program = self.shell_program.as_ref();
                of(&Self::of(form, value, program).params).inside(form.param)
            }
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
}

/// The field with the program that runs a script.
const SHELL_PROGRAM: &str = "shell_program";

/// The field with the variables of a task, into which variables of the executor are filled when it starts.
const ENVIRONMENT: &str = "env";

/// Whether placeholders with a root stay in a field until the task starts.
pub(crate) fn is_for_later(field: &str, root: &str) -> bool {
    match root {
        "tasks" | SLOT_ROOT => is_kept(field),
        VARIABLE_ROOT => is_kept(field) || field == ENVIRONMENT,
        _ => false,
    }
}

/// Whether a field becomes part of the parameters, which are filled in once more when the task starts.
pub(crate) fn is_kept(field: &str) -> bool {
    ShortForm::named(field).is_some() || matches!(field, "params" | "stdin")
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

/// Adds what went wrong with filling in a place.
pub(crate) fn add_unfilled(report: &mut Report, file: &str, line: u32, problem: ParamProblem) {
    let message = format!("{}: {}", problem.path, problem.message);
    add(report, file, line, &problem.path, message, problem.help);
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
