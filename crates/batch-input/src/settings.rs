//! What is around the tasks of a file: its settings and the defaults of its tasks.

use batch_core::{SettingsRequest, TaskOptions, settings::Halt};
use serde_json::value::RawValue;

use crate::fields::{Fields, is_null, kind, text};
use crate::file::{Format, ReadOptions};
use crate::options::read_option;
use crate::scope::{Report, Scope};
use crate::source::{Lines, Source};
use crate::task::{TASK_FIELDS, WORK_FIELDS};
use crate::yaml;

/// The options of tasks that give none, before the defaults of their file.
pub(crate) fn base_options() -> TaskOptions {
    TaskOptions {
        max_retries: 3,
        ..TaskOptions::default()
    }
}

/// Lets the caller's wishes win over the defaults of the file.
pub(crate) fn overridden(mut defaults: TaskOptions, options: &ReadOptions) -> TaskOptions {
    defaults.timeout = options.timeout.or(defaults.timeout);
    defaults.max_retries = options.max_retries.unwrap_or(defaults.max_retries);
    defaults.allow_code |= options.allow_code;
    defaults
}

/// Turns bytes of one of the formats with one document into JSON text; reports when that fails. Every format but YAML
/// is taken as JSON.
fn document_text(bytes: &[u8], format: Format, report: &mut Report) -> Option<(String, Lines)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = memchr::memchr_iter(b'\n', before).count() + 1;
            report.add(
                u32::try_from(line).unwrap_or(u32::MAX),
                "the text is not UTF-8",
                None,
            );
            return None;
        }
    };
    if format == Format::Yaml {
        if is_lines(text) {
            report.add_lines();
            return None;
        }
        return yaml::to_json(text, report).map(|(text, marks)| (text, Lines::Marks(marks)));
    }
    if text.trim().is_empty() {
        report.add(
            0,
            "the file is empty",
            Some("an empty list of tasks is written []"),
        );
        return None;
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Some((text.to_owned(), Lines::Counted)),
        Err(_) if is_lines(text) => {
            report.add_lines();
            None
        }
        Err(error) => {
            report.add_syntax(text, &error, 1);
            None
        }
    }
}

/// Whether a text is one JSON object in each of its first lines, and no document.
fn is_lines(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut is_object = || {
        let line = lines.next()?;
        Some(line.starts_with('{') && serde_json::from_str::<&RawValue>(line).is_ok())
    };
    is_object() == Some(true) && is_object() == Some(true)
}

/// Reads the root of a document in one of these formats; reports when it cannot be read.
pub(crate) fn read_root(
    bytes: &[u8],
    format: Format,
    report: &mut Report,
    read: impl FnOnce(&RawValue, &Source<'_>, &mut Report),
) {
    let Some((text, lines)) = document_text(bytes, format, report) else {
        return;
    };
    if let Ok(root) = serde_json::from_str::<&RawValue>(&text) {
        read(root, &Source::new(&text, lines), report);
    }
}

/// The whole of a document: its settings, its tasks.
pub(crate) struct Document<'r> {
    pub(crate) settings: SettingsRequest,
    pub(crate) defaults: TaskOptions,
    /// The program that runs scripts, as JSON.
    pub(crate) shell_program: Option<Box<RawValue>>,
    pub(crate) tasks: Option<&'r RawValue>,
}

/// Reads what is around the tasks.
pub(crate) fn read_document<'r>(
    root: &'r RawValue,
    source: &Source<'_>,
    report: &mut Report,
) -> Option<Document<'r>> {
    read_document_with(root, source, report, &[])
}

/// Reads what is around the tasks but for the fields in `others`, which the caller reads.
pub(crate) fn read_document_with<'r>(
    root: &'r RawValue,
    source: &Source<'_>,
    report: &mut Report,
    others: &[&'static str],
) -> Option<Document<'r>> {
    let mut scope = Scope {
        source,
        report,
        task: None,
    };
    let mut document = Document {
        settings: SettingsRequest::default(),
        defaults: base_options(),
        shell_program: None,
        tasks: None,
    };
    match kind(root) {
        "an array" => document.tasks = Some(root),
        "an object" => {
            let Fields(fields) = scope.object(root, "")?;
            let single = fields
                .iter()
                .any(|(name, _)| WORK_FIELDS.contains(&&**name));
            let known = [&SETTINGS[..], others].concat();
            for (name, raw) in &fields {
                let given = *name == "tasks" || !is_null(raw);
                if !given || others.contains(&&**name) {
                    continue;
                }
                if SETTINGS.contains(&&**name) || CALL_FIELDS.contains(&&**name) {
                    read_setting(&mut scope, &mut document, name, raw);
                } else if !single || !TASK_FIELDS.contains(&&**name) {
                    // Fields of a single task are told once, as the missing "tasks".
                    scope.unknown(raw, name, &known, "");
                }
            }
            if document.tasks.is_none() && !fields.iter().any(|(name, _)| name == "tasks") {
                let help = match single {
                    true => "put the task into a list: {\"tasks\": [{…}]}",
                    false => "write {\"tasks\": [{…}, {…}]}",
                };
                let message = "the file has no \"tasks\"".to_owned();
                scope.problem(root.get(), "tasks", message, Some(help.to_owned()));
            }
        }
        other => {
            let help = "write {\"tasks\": [{…}, {…}]}, or only the list".to_owned();
            let message = format!("the file must hold a list of tasks, not {other}");
            scope.problem(root.get(), "", message, Some(help));
        }
    }
    Some(document)
}

const SETTINGS: [&str; 10] = [
    "tasks",
    "name",
    "key",
    "max_concurrent",
    "batch_timeout",
    "limits",
    "fail_fast",
    "halt",
    "delay",
    "defaults",
];

/// Fields of a call of the predecessor, which are accepted and not suggested.
const CALL_FIELDS: [&str; 2] = ["tool_name", "action"];

fn read_setting<'r>(
    scope: &mut Scope<'_, '_>,
    document: &mut Document<'r>,
    name: &str,
    raw: &'r RawValue,
) {
    let settings = &mut document.settings;
    match name {
        "tasks" if kind(raw) == "an array" => document.tasks = Some(raw),
        "tasks" => scope.wrong(raw, name, "a list of tasks"),
        "name" => settings.name = scope.text(raw, name).map(Into::into),
        "key" => settings.key = scope.text(raw, name).map(Into::into),
        "max_concurrent" => {
            settings.max_concurrent = scope.whole(raw, name, "a number of tasks, 1 or more");
        }
        "batch_timeout" => settings.batch_timeout = scope.time_limit(raw, name),
        "fail_fast" | "halt" => {
            let halt = match name {
                "halt" => read_halt(scope, name, raw),
                _ => scope.bool(raw, name).map(|fails_fast| match fails_fast {
                    true => Halt::FAIL_FAST,
                    false => Halt::Never,
                }),
            };
            if halt.is_some() && settings.halt.is_some() {
                let message = "fail_fast and halt both say when the batch ends".to_owned();
                let help = "keep one of them; fail_fast: true is halt: now,fail=1".to_owned();
                scope.problem(raw.get(), name, message, Some(help));
            }
            settings.halt = halt.or(settings.halt);
        }
        "delay" => settings.delay = scope.time_limit(raw, name),
        "limits" => {
            for (limit, raw) in scope.object(raw, name).map(|f| f.0).unwrap_or_default() {
                let field = format!("limits.{limit}");
                if let Some(most) = scope.whole(raw, &field, "a number of tasks, 1 or more") {
                    settings.limits.insert(limit.into_owned(), most);
                }
            }
        }
        "defaults" => {
            for (option, raw) in scope.object(raw, name).map(|f| f.0).unwrap_or_default() {
                if option == "shell_program" {
                    let program = scope.text(raw, "defaults.shell_program");
                    document.shell_program = program.map(|_| raw.to_owned());
                    continue;
                }
                read_option(scope, &mut document.defaults, &option, raw, "defaults.");
            }
        }
        "tool_name" => expect(scope, name, raw, "batch_executor"),
        "action" => expect(scope, name, raw, "add_batch"),
        _ => {}
    }
}

fn read_halt(scope: &mut Scope<'_, '_>, name: &str, raw: &RawValue) -> Option<Halt> {
    let halt: Result<Halt, _> = scope.text(raw, name)?.parse();
    halt.map_err(|error| scope.problem(raw.get(), name, format!("halt: {error}"), None))
        .ok()
}

/// The fields of the predecessor's payload have one value each.
fn expect(scope: &mut Scope<'_, '_>, name: &str, raw: &RawValue, wanted: &str) {
    if text(raw).as_deref() != Some(wanted) {
        scope.wrong(
            raw,
            name,
            &format!("{wanted:?}, as in a payload that adds tasks"),
        );
    }
}
