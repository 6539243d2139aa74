//! Reading one task from its JSON text: [`TaskReader`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use batch_core::{DependsOn, RunOn, TaskOptions, TaskSpec};
use serde_json::value::RawValue;

use crate::fields::{Fields, is_null, kind, plain_text};
use crate::matrix::MATRIX_FIELDS;
use crate::options::{OPTION_FIELDS, read_option, read_word};
use crate::params::{ShortForm, Work, empty, read_work};
use crate::problem::TaskLabel;
use crate::scope::{Report, Scope, suggestion};
use crate::source::{Lines, Source};

/// The fields of a task.
pub(crate) const TASK_FIELDS: [&str; 29] = [
    "id",
    "name",
    "command",
    "shell",
    "python",
    "node",
    "http",
    "function",
    "params",
    "stdin",
    "shell_program",
    "depends_on",
    "priority",
    "max_retries",
    "timeout",
    "retry",
    "tags",
    "cwd",
    "env",
    "limit",
    "grace",
    "on_interrupt",
    "hold",
    "finally",
    "not_before",
    "allow_code",
    "matrix",
    "each",
    "exclude",
];

/// Those that say what it does.
pub(crate) const WORK_FIELDS: [&str; 6] =
    ["command", "shell", "python", "node", "http", "function"];

/// The settings of a file, which are sometimes looked for in a task.
const SETTINGS_ONLY: [&str; 8] = [
    "max_concurrent",
    "batch_timeout",
    "limits",
    "fail_fast",
    "halt",
    "delay",
    "defaults",
    "key",
];

/// Reads tasks one after the other, and shares between them what they have in common.
pub(crate) struct TaskReader {
    defaults: Arc<TaskOptions>,
    functions: HashSet<Arc<str>>,
    /// The options that tasks gave, by the text they were written in.
    options: HashMap<String, Arc<TaskOptions>>,
    key: String,
    count: u32,
    /// The program that runs scripts of which nothing is said, as JSON.
    shell_program: Option<Box<RawValue>>,
}

impl TaskReader {
    /// How many different options are remembered, so that a file of ten million different ones stays small.
    const MOST_OPTIONS: usize = 1_024;

    pub(crate) fn new(defaults: TaskOptions) -> Self {
        Self {
            defaults: Arc::new(defaults),
            functions: HashSet::new(),
            options: HashMap::new(),
            key: String::new(),
            count: 0,
            shell_program: None,
        }
    }

    /// The shell of scripts that name none, as JSON.
    pub(crate) fn shell_program(&self) -> Option<&RawValue> {
        self.shell_program.as_deref()
    }

    /// The same, where a program is named that runs scripts of which nothing is said.
    pub(crate) fn with_shell_program(mut self, program: Option<Box<RawValue>>) -> Self {
        self.shell_program = program;
        self
    }

    /// What the defaults say of values in code.
    pub(crate) fn allows_code(&self) -> bool {
        self.defaults.allow_code
    }

    /// Reads one task from a text that was made for it: an object.
    pub(crate) fn read_made(
        &mut self,
        text: &str,
        lines: Lines,
        report: &mut Report,
    ) -> Option<TaskSpec> {
        let raw = serde_json::from_str::<&RawValue>(text).ok()?;
        Some(self.read(&Source::new(text, lines), report, raw))
    }

    /// Reads one task. What is wrong is reported, and the rest still makes a task.
    pub(crate) fn read(
        &mut self,
        source: &Source<'_>,
        report: &mut Report,
        raw: &RawValue,
    ) -> TaskSpec {
        self.count = self.count.saturating_add(1);
        let first_problem = report.problems.len();
        let task = Some(TaskLabel {
            number: self.count,
            name: None,
        });
        let mut scope = Scope {
            source,
            report,
            task,
        };
        let spec = self.read_in(&mut scope, raw);
        if let Some(name) = spec.name.as_ref().or(spec.id.as_ref()) {
            let new = &mut report.problems[first_problem..];
            for label in new.iter_mut().filter_map(|problem| problem.task.as_mut()) {
                label.name = Some(name.clone());
            }
        }
        spec
    }

    fn read_in(&mut self, scope: &mut Scope<'_, '_>, raw: &RawValue) -> TaskSpec {
        let mut spec = TaskSpec {
            id: None,
            name: None,
            item: None,
            function: self.function(""),
            params: empty(),
            depends_on: Box::default(),
            options: self.defaults.clone(),
        };
        if kind(raw) != "an object" {
            scope.wrong(raw, "a task", "an object");
            return spec;
        }
        let Some(Fields(fields)) = scope.object(raw, "") else {
            return spec;
        };
        let mut work = Work::default();
        let mut options = Vec::new();
        for (name, value) in fields {
            let (name, given) = (&*name, (!is_null(value)).then_some(value));
            match name {
                "id" => spec.id = given.and_then(|raw| label_text(scope, raw, "id")),
                "name" => spec.name = given.and_then(|raw| label_text(scope, raw, "name")),
                "function" => work.function = given,
                "params" => work.params = given,
                "stdin" => work.stdin = given,
                "shell_program" => work.shell_program = given,
                "depends_on" => {
                    spec.depends_on = given.map(|raw| depends_on(scope, raw)).unwrap_or_default();
                }
                _ => {
                    if let Some(option) = OPTION_FIELDS.iter().find(|option| **option == name) {
                        options.push((*option, value));
                    } else if let Some(form) = ShortForm::named(name) {
                        work.short.extend(given.map(|raw| (form, raw)));
                    } else {
                        unknown_field(scope, value, name, &mut work);
                    }
                }
            }
        }
        if !options.is_empty() {
            spec.options = self.options(scope, &options);
        }
        let is_script = work.short.iter().any(|(form, _)| form.field == "shell");
        let program = self.shell_program.clone().filter(|_| is_script);
        work.shell_program = work.shell_program.or(program.as_deref());
        if !work.misspelt || work.function.is_some() || !work.short.is_empty() {
            let function = read_work(scope, raw, &work);
            spec.function = self.function(&function.name);
            spec.params = function.params;
        }
        spec
    }

    fn function(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.functions.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.functions.insert(new.clone());
        new
    }

    fn options(
        &mut self,
        scope: &mut Scope<'_, '_>,
        given: &[(&'static str, &RawValue)],
    ) -> Arc<TaskOptions> {
        self.key.clear();
        for (name, raw) in given {
            self.key.push_str(name);
            self.key.push_str(raw.get());
        }
        if let Some(known) = self.options.get(&self.key) {
            return known.clone();
        }
        let before = scope.report.problems.len();
        let mut options = TaskOptions::clone(&self.defaults);
        for (name, raw) in given {
            read_option(scope, &mut options, name, raw, "");
        }
        let options = Arc::new(options);
        if scope.report.problems.len() == before {
            if self.options.len() >= Self::MOST_OPTIONS {
                self.options.clear();
            }
            self.options.insert(self.key.clone(), options.clone());
        }
        options
    }
}

/// A text for people; numbers are taken as they are written.
fn label_text(scope: &mut Scope<'_, '_>, raw: &RawValue, field: &str) -> Option<Box<str>> {
    match plain_text(raw) {
        Some(text) if text.is_empty() => {
            scope.problem(raw.get(), field, format!("the {field} is empty"), None);
            None
        }
        Some(text) => Some(text.into()),
        None => {
            scope.wrong(raw, field, "a text");
            None
        }
    }
}

fn depends_on(scope: &mut Scope<'_, '_>, raw: &RawValue) -> Box<[DependsOn]> {
    const WANTED: &str =
        "the id of a task, {\"task\": ID, \"on\": \"failure\"}, or a list of those";
    let one_or_more = match kind(raw) {
        "an array" => scope.array(raw, "depends_on", WANTED).unwrap_or_default(),
        _ => vec![raw],
    };
    let mut needed = Vec::with_capacity(one_or_more.len());
    for raw in one_or_more {
        match plain_text(raw) {
            Some(id) => needed.push((&*id).into()),
            None if kind(raw) == "an object" => needed.extend(depends_on_end(scope, raw)),
            None => scope.wrong(raw, "depends_on", WANTED),
        }
    }
    needed.into()
}

/// A task that must end in a way that is said.
fn depends_on_end(scope: &mut Scope<'_, '_>, raw: &RawValue) -> Option<DependsOn> {
    let (mut task, mut on) = (None, RunOn::default());
    for (name, raw) in scope.object(raw, "depends_on")?.0 {
        let field = &format!("depends_on.{name}");
        match &*name {
            "task" => task = scope.text(raw, field),
            "on" => on = read_word(scope, "on", &RunOn::ALL.map(RunOn::name), field, raw)?,
            _ => scope.unknown(raw, &name, &["task", "on"], "depends_on"),
        }
    }
    if task.is_none() {
        let message = "depends_on names no task".to_owned();
        let help = "give its id: {\"task\": \"build\", \"on\": \"failure\"}".to_owned();
        scope.problem(raw.get(), "depends_on", message, Some(help));
    }
    Some(DependsOn {
        task: (&*task?).into(),
        on,
    })
}

fn unknown_field(scope: &mut Scope<'_, '_>, raw: &RawValue, name: &str, work: &mut Work<'_>) {
    if name == "tasks" {
        work.misspelt = true;
        let help = "such a file is named .json or .yaml".to_owned();
        let message = "a list of tasks is not allowed inside a task".to_owned();
        return scope.problem(raw.get(), name, message, Some(help));
    }
    if MATRIX_FIELDS.contains(&name) {
        let help = "a table gives templates their values".to_owned();
        let message = format!("{name:?} goes into task files, not into templates");
        return scope.problem(raw.get(), name, message, Some(help));
    }
    if SETTINGS_ONLY.contains(&name) {
        let help = format!("write it beside \"tasks\": {{{name:?}: …, \"tasks\": […]}}");
        let message = format!("{name:?} is a setting of the whole file");
        return scope.problem(raw.get(), name, message, Some(help));
    }
    // With `comand` for `command`, "the task does not say what to do" would be one problem too many.
    work.misspelt |= suggestion(name, &WORK_FIELDS).is_some();
    scope.unknown(raw, name, &TASK_FIELDS, "");
}
