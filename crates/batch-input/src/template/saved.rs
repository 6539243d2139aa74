//! A task file with declared parameters: [`SavedTemplate`].
//!
//! Parsing tells everything that is wrong with the template itself, whatever the values: the tasks are read once
//! with a sample value for each parameter, and what depends on the value is left to the expansion.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use batch_core::{Json, SettingsRequest, TaskOptions, text::Suggestions};
use batch_template::{Functions, Placeholder, Segment, placeholders};
use serde_json::value::RawValue;

use super::declared::read_params;
use super::param::{Param, ParamType};
use super::values::{Values, near};
use crate::fields::{Fields, is_null, kind};
use crate::file::Format;
use crate::options::OPTION_FIELDS;
use crate::problem::Problem;
use crate::scope::{Report, Scope};
use crate::settings::{base_options, read_document_with, read_root};
use crate::source::Source;
use crate::task::TaskReader;
use crate::task_template::{
    TaskTemplate, TemplateField, add, add_unfilled, is_for_later, object_text, place_in,
};

/// The fields of a template beside those of a task file.
const TEMPLATE_FIELDS: [&str; 2] = ["params", "description"];

/// A task file with declared parameters, in whose tasks `{{ params.NAME }}` means a value.
///
/// Values stay data: in shell and code they are written as a word or literal, and braces in them never become a
/// placeholder. `{{ tasks.ID.result… }}` is left for the time when the task starts.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Arc;
/// use batch_handlers::{HandlerConfig, standard_registry};
/// use batch_input::{Format, ReadOptions, SavedTemplate};
/// let functions = Arc::new(standard_registry(&HandlerConfig::new(std::env::temp_dir())));
/// let text = br#"{
///   "params": {"city": {"type": "text"}, "times": {"type": "integer", "default": 2}},
///   "tasks": [{"shell": "greet {{ params.city }}", "tags": ["{{ params.times }} times"]}]
/// }"#;
/// let template = SavedTemplate::parse(text, "greet", Format::Json, functions).unwrap();
/// let values = BTreeMap::from([("city".to_owned(), "Rome; date".to_owned())]);
/// let file = template.expand(&values, &ReadOptions::default()).unwrap();
/// assert_eq!(file.tasks[0].params.as_str(), r#"{"script":"greet 'Rome; date'"}"#);
/// assert_eq!(file.tasks[0].options.tags, ["2 times"]);
/// ```
#[derive(Clone, Debug)]
pub struct SavedTemplate {
    pub(super) name: Arc<str>,
    description: Option<String>,
    pub(super) params: Vec<Param>,
    pub(super) settings: SettingsRequest,
    pub(super) defaults: TaskOptions,
    pub(super) tasks: Vec<TaskTemplate>,
    functions: Arc<dyn Functions>,
}

impl SavedTemplate {
    /// Parses and checks a template. `name` means it in problems; every format but YAML is taken as JSON.
    /// `functions` say how their parameters take values.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the text, with lines.
    pub fn parse(
        bytes: &[u8],
        name: &str,
        format: Format,
        functions: Arc<dyn Functions>,
    ) -> Result<Self, Vec<Problem>> {
        let mut template = Self {
            name: name.into(),
            description: None,
            params: Vec::new(),
            settings: SettingsRequest::default(),
            defaults: base_options(),
            tasks: Vec::new(),
            functions,
        };
        let mut report = Report::new(name);
        read_root(bytes, format, &mut report, |root, source, report| {
            template.read_root(root, source, report);
        });
        if report.problems.is_empty() {
            return Ok(template);
        }
        report.problems.sort_by_key(|problem| problem.line);
        Err(report.problems)
    }

    /// The name it was parsed with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in the words of its author.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The declared parameters, in the order of the declarations.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// How many tasks one expansion has.
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    fn read_root(&mut self, root: &RawValue, source: &Source<'_>, report: &mut Report) {
        let Some(document) = read_document_with(root, source, report, &TEMPLATE_FIELDS) else {
            return;
        };
        self.settings = document.settings;
        self.defaults = document.defaults;
        if let Ok(Fields(fields)) = serde_json::from_str::<Fields<'_>>(root.get()) {
            for (name, raw) in &fields {
                self.read_field(name, raw, source, report);
            }
        }
        let tasks = document.tasks.map_or("[]", RawValue::get);
        for task in serde_json::from_str::<Vec<&RawValue>>(tasks).unwrap_or_default() {
            if report.is_full() {
                break;
            }
            self.read_task(task, source, report, document.shell_program.as_deref());
        }
    }

    /// Reads a field that task files do not have, and looks for placeholders in those they have.
    fn read_field(&mut self, name: &str, raw: &RawValue, source: &Source<'_>, report: &mut Report) {
        let mut scope = Scope {
            source,
            report,
            task: None,
        };
        match name {
            "tasks" => {}
            "params" => self.params = read_params(&mut scope, raw),
            "description" if is_null(raw) => {}
            "description" => self.description = scope.text(raw, name).map(Into::into),
            _ => {
                let value = Json::parse(raw.get()).ok();
                let found = value.and_then(|value| placeholders(&value).ok());
                let mut found = found.into_iter().flatten();
                if let Some(placeholder) = found.find(|p| p.root == "params") {
                    let place = place_in(name, &placeholder.place);
                    let message = format!("{placeholder} in {place}: values go into tasks only");
                    let help = "write it into the tasks".to_owned();
                    scope.problem(raw.get(), name, message, Some(help));
                }
            }
        }
    }

    fn read_task(
        &mut self,
        task: &RawValue,
        source: &Source<'_>,
        report: &mut Report,
        shell_program: Option<&RawValue>,
    ) {
        if kind(task) != "an object" {
            let message = format!("a task must be an object, not {}", kind(task));
            return report.add(source.anchor(task.get()), message, None);
        }
        source.anchor(task.get());
        let before = report.problems.len();
        let template = TaskTemplate::read(task, &self.functions, source, report, shell_program);
        // A field that could not be read would be missed a second time.
        let readable = report.problems.len() == before;
        self.check_placeholders(&template, report);
        if readable {
            self.check_task(&template, report);
        }
        self.tasks.push(template);
    }

    /// Reports placeholders that mean nothing, and those that would bring code along.
    fn check_placeholders(&self, task: &TaskTemplate, report: &mut Report) {
        let mut told = HashSet::new();
        let declared = self.params.iter().map(|param| (&*param.name, param));
        let declared: HashMap<&str, &Param> = declared.collect();
        for (field, placeholder) in task.placeholders() {
            let suggestions = &mut report.suggestions;
            let refusal = self.refusal(task, &declared, field, placeholder, suggestions);
            if let Some((message, help)) = refusal
                && told.insert(message.clone())
            {
                let place = place_in(&field.name, &placeholder.place);
                add(report, &self.name, field.line, &place, message, Some(help));
            }
        }
    }

    fn refusal(
        &self,
        task: &TaskTemplate,
        declared: &HashMap<&str, &Param>,
        field: &TemplateField,
        placeholder: &Placeholder,
        suggestions: &mut Suggestions,
    ) -> Option<(String, String)> {
        let place = place_in(&field.name, &placeholder.place);
        let around_code = task.has_code(field);
        match (placeholder.root.as_str(), &placeholder.path[..]) {
            (root, _) if is_for_later(&field.name, root) => None,
            ("params", _) if around_code && placeholder.place.is_empty() => Some((
                format!("{placeholder} is all of {place}, with the code in it"),
                "write the fields out, and a placeholder for each value".to_owned(),
            )),
            ("params", []) => None,
            ("params", [Segment::Field(name), rest @ ..]) => {
                let Some(param) = declared.get(&**name) else {
                    return Some(self.undeclared(name, &place, suggestions));
                };
                let has_parts = matches!(param.kind, ParamType::List | ParamType::Json);
                (!rest.is_empty() && !has_parts).then(|| {
                    let (name, kind) = (&param.name, param.kind);
                    (
                        format!("{placeholder}: the parameter {name:?} is of type {kind}, which has no parts"),
                        format!("write {{{{ params.{name} }}}}"),
                    )
                })
            }
            ("params", _) => Some((
                format!("{placeholder} names no parameter"),
                "write {{ params.NAME }}".to_owned(),
            )),
            (root, _) => {
                let name = if declared.contains_key(root) {
                    root
                } else {
                    "NAME"
                };
                Some((
                    format!("unknown placeholder {root:?} in {place}"),
                    format!("write {{{{ params.{name} }}}} for a parameter"),
                ))
            }
        }
    }

    fn undeclared(
        &self,
        name: &str,
        place: &str,
        suggestions: &mut Suggestions,
    ) -> (String, String) {
        let help = near(&self.params, name, suggestions).unwrap_or_else(|| {
            format!("declare it: {{\"params\": {{{name:?}: {{\"type\": \"text\"}}}}}}")
        });
        (
            format!("the parameter {name:?} in {place} is not declared"),
            help,
        )
    }

    /// Reads a task with sample values; reports what is wrong whatever the values.
    fn check_task(&self, task: &TaskTemplate, report: &mut Report) {
        let sample = Values::sample(&self.params);
        // What means nothing was told; the rest of its text is still to be checked.
        let any =
            |placeholder: &Placeholder| sample.lookup(placeholder).or_else(|_| Ok("x".into()));
        // Whether values may be code is known when the template is used.
        let filling = task.fill(&["params"], true, &any);
        for problem in filling.problems {
            // Only mistakes of the template, such as quotes around a placeholder, come with help.
            if problem.help.is_some() {
                add_unfilled(report, &self.name, task.line_of(&problem.path), problem);
            }
        }
        self.check_sample(task, &filling.fields, report);
    }

    /// Reads a task that is filled with sample values.
    fn check_sample(
        &self,
        task: &TaskTemplate,
        filled: &[(&TemplateField, Json)],
        report: &mut Report,
    ) {
        let fields = filled.iter();
        let fields = fields.map(|(field, value)| (&*field.name, value.as_str(), field.line));
        let (text, lines) = object_text(fields);
        let mut found = Report::new(&self.name);
        TaskReader::new(self.defaults.clone()).read_made(&text, lines, &mut found);
        let number = u32::try_from(self.tasks.len() + 1).unwrap_or(u32::MAX);
        let named = task.field_of("name").or_else(|| task.field_of("id"));
        let is_sample_name = named.is_some_and(|field| field.has_root("params"));
        for mut problem in found.problems {
            if self.depends_on_value(task, &problem.field) {
                continue;
            }
            if let Some(label) = &mut problem.task {
                label.number = number;
                label.name = label.name.take().filter(|_| !is_sample_name);
            }
            if task.field_of(&problem.field).is_none() {
                problem.line = task.line;
            }
            report.problems.push(problem);
        }
    }

    /// Whether what is wrong at a place can be right with another value.
    fn depends_on_value(&self, task: &TaskTemplate, place: &str) -> bool {
        const ANY_TEXT: [&str; 4] = ["tags", "cwd", "env", "limit"];
        let Some(field) = task.field_of(place) else {
            return false;
        };
        let name = field.name.as_str();
        let any_text = !OPTION_FIELDS.contains(&name) || ANY_TEXT.contains(&name);
        field.placeholders.iter().any(|placeholder| {
            let of_one_type = match &placeholder.path[..] {
                [Segment::Field(name)] => self.params.iter().any(|param| {
                    param.name == *name && !matches!(param.kind, ParamType::List | ParamType::Json)
                }),
                _ => false,
            };
            let fixed = any_text && of_one_type && placeholder.filters.is_empty();
            let is_filled = !is_for_later(name, &placeholder.root);
            is_filled && !fixed
        })
    }
}
