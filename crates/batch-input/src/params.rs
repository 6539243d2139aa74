//! What a task does: `function` with `params`, or one of the short forms, which mean them.

use std::borrow::Cow;

use batch_core::Json;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fields::{Fields, kind, plain_text, text};
use crate::scope::Scope;

/// A short form: a field whose value is a parameter of a function.
#[derive(Debug)]
pub(crate) struct ShortForm {
    pub(crate) field: &'static str,
    pub(crate) function: &'static str,
    /// The parameter; empty where the value is all of them.
    pub(crate) param: &'static str,
    runtime: Option<&'static str>,
}

static SHORT_FORMS: [ShortForm; 5] = [
    ShortForm::of("command", "command", "argv", None),
    ShortForm::of("shell", "shell", "script", None),
    ShortForm::of("python", "code_execution", "code", Some("python")),
    ShortForm::of("node", "code_execution", "code", Some("nodejs")),
    ShortForm::of("http", "http", "", None),
];

impl ShortForm {
    const fn of(
        field: &'static str,
        function: &'static str,
        param: &'static str,
        runtime: Option<&'static str>,
    ) -> Self {
        Self {
            field,
            function,
            param,
            runtime,
        }
    }

    /// The one of a field, if it is one.
    pub(crate) fn named(field: &str) -> Option<&'static Self> {
        SHORT_FORMS.iter().find(|form| form.field == field)
    }

    /// The fields of the parameters, as JSON, that a value of the field means.
    pub(crate) fn params(&self, value: &str) -> String {
        let param = self.param;
        match self.runtime {
            Some(runtime) => format!("\"runtime\":\"{runtime}\",\"{param}\":{value}"),
            None => format!("\"{param}\":{value}"),
        }
    }
}

/// The fields that say what a task does, as they were found.
#[derive(Default)]
pub(crate) struct Work<'r> {
    pub(crate) function: Option<&'r RawValue>,
    pub(crate) params: Option<&'r RawValue>,
    pub(crate) stdin: Option<&'r RawValue>,
    /// The program that runs the script of `shell`.
    pub(crate) shell_program: Option<&'r RawValue>,
    /// A field looks like one of these, misspelt.
    pub(crate) misspelt: bool,
    /// The short forms, in their order.
    pub(crate) short: Vec<(&'static ShortForm, &'r RawValue)>,
}

/// The function and the parameters they come to.
pub(crate) struct Function<'r> {
    pub(crate) name: Cow<'r, str>,
    pub(crate) params: Json,
}

/// Puts function and parameters together. Where these cannot be read the function is "": that was told, and what lacks
/// then is no further mistake.
pub(crate) fn read_work<'r>(
    scope: &mut Scope<'_, '_>,
    task: &'r RawValue,
    work: &Work<'r>,
) -> Function<'r> {
    let nothing = || Function {
        name: Cow::Borrowed(""),
        params: empty(),
    };
    match (work.function, &work.short[..]) {
        (Some(function), []) => read_function(scope, function, work).unwrap_or_else(nothing),
        (None, [(form, raw)]) => read_short_form(scope, form, raw, work).unwrap_or_else(nothing),
        (None, []) => {
            let help = "write \"command\", \"shell\", \"python\", \"node\", \"http\", or \"function\" with \"params\"";
            let message = "the task does not say what to do".to_owned();
            scope.problem(task.get(), "function", message, Some(help.to_owned()));
            nothing()
        }
        (function, short) => {
            let mut forms: Vec<&str> = short.iter().map(|(form, _)| form.field).collect();
            if function.is_some() {
                forms.insert(0, "function");
            }
            let message = format!(
                "the task says what to do in more than one way: {}",
                forms.join(", ")
            );
            let help = Some("keep one of them".to_owned());
            scope.problem(short[0].1.get(), short[0].0.field, message, help);
            nothing()
        }
    }
}

fn read_function<'r>(
    scope: &mut Scope<'_, '_>,
    function: &'r RawValue,
    work: &Work<'r>,
) -> Option<Function<'r>> {
    let name = scope.text(function, "function").unwrap_or_default();
    if name.is_empty() && text(function).is_some() {
        scope.problem(
            function.get(),
            "function",
            "the function is empty".to_owned(),
            None,
        );
    }
    if let Some(stdin) = work.stdin {
        let help = Some("write it into \"params\"".to_owned());
        let message = "stdin goes with the short forms \"command\" and \"shell\"".to_owned();
        scope.problem(stdin.get(), "stdin", message, help);
    }
    if let Some(program) = work.shell_program {
        misplaced_shell(scope, program, "write it into \"params\", as \"shell\"");
    }
    let params = match work.params {
        Some(raw) => document(scope, raw, "params")?,
        None => empty(),
    };
    Some(Function { name, params })
}

fn misplaced_shell(scope: &mut Scope<'_, '_>, program: &RawValue, help: &str) {
    let message = "shell_program goes with the short form \"shell\"".to_owned();
    scope.problem(
        program.get(),
        "shell_program",
        message,
        Some(help.to_owned()),
    );
}

fn read_short_form<'r>(
    scope: &mut Scope<'_, '_>,
    form: &'static ShortForm,
    raw: &RawValue,
    work: &Work<'r>,
) -> Option<Function<'r>> {
    let field = form.field;
    if let Some(params) = work.params {
        let help = format!("take \"params\" away, or write \"function\" in place of {field:?}");
        let message = format!("params go with \"function\", not with {field:?}");
        scope.problem(params.get(), "params", message, Some(help));
    }
    let stdin = work.stdin.filter(|stdin| {
        let fits = matches!(field, "command" | "shell");
        if !fits {
            let message = format!("stdin goes with \"command\" and \"shell\", not with {field:?}");
            scope.problem(stdin.get(), "stdin", message, None);
        }
        fits
    });
    let stdin = stdin.and_then(|raw| stdin_value(scope, raw));
    let program = match work.shell_program {
        Some(raw) if field == "shell" => scope.text(raw, "shell_program").map(|_| raw),
        Some(raw) => {
            misplaced_shell(scope, raw, "take it away, or write the task as a script");
            None
        }
        None => None,
    };
    let program = program.map_or_else(String::new, |program| format!(",\"shell\":{program}"));
    let stdin = stdin.map_or_else(String::new, |stdin| format!(",\"stdin\":{stdin}"));
    let value = match form.param {
        "argv" => argv(scope, raw),
        "script" => text_or_bytes(scope, raw, field),
        "code" => scope.text(raw, field).map(|_| raw.get().to_owned()),
        _ => return http(scope, form, raw),
    };
    // Each text in it was read above, so that its being JSON is enough.
    let json = format!("{{{}{program}{stdin}}}", form.params(&value?));
    let params = serde_json::from_str::<&RawValue>(&json).map(Json::from_raw);
    params.ok().map(|params| Function {
        name: Cow::Borrowed(form.function),
        params,
    })
}

fn http<'r>(
    scope: &mut Scope<'_, '_>,
    form: &'static ShortForm,
    raw: &RawValue,
) -> Option<Function<'r>> {
    if let Some(text) = text(raw) {
        let help = Some(format!("write {{\"url\": {}}}", Value::from(text)));
        let message = "http must be an object".to_owned();
        scope.problem(raw.get(), form.field, message, help);
        return None;
    }
    document(scope, raw, form.field).map(|params| Function {
        name: Cow::Borrowed(form.function),
        params,
    })
}

/// A JSON object that is kept as it was written.
fn document(scope: &mut Scope<'_, '_>, raw: &RawValue, field: &str) -> Option<Json> {
    if kind(raw) != "an object" {
        scope.wrong(raw, field, "an object");
        return None;
    }
    match Json::parse(raw.get()) {
        Ok(document) => Some(document),
        Err(error) => {
            let message = error.to_string();
            let bare = message.split(" at line ").next().unwrap_or_default();
            let message = format!("{field} cannot be read: {bare}");
            scope.problem(raw.get(), field, message, None);
            None
        }
    }
}

/// The arguments as a JSON array of texts; numbers are taken as they are written.
fn argv(scope: &mut Scope<'_, '_>, raw: &RawValue) -> Option<String> {
    const WANTED: &str = "a list of texts such as [\"gzip\", \"-k\", \"a\"]";
    if let Some(line) = text(raw) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let plain = !line.contains(['"', '\'', '\\', '$', '`', '|', '&', ';', '<', '>', '*', '(']);
        let help = match (plain, serde_json::to_string(&words)) {
            (true, Ok(list)) if !words.is_empty() => {
                format!(
                    "write {}, or use \"shell\" for a line of shell",
                    list.replace("\",\"", "\", \"")
                )
            }
            _ => "use \"shell\" for a line of shell".to_owned(),
        };
        let message = "command must be a list of texts, not one text".to_owned();
        scope.problem(raw.get(), "command", message, Some(help));
        return None;
    }
    let elements = scope.array(raw, "command", WANTED)?;
    if elements.is_empty() {
        scope.problem(raw.get(), "command", "command is empty".to_owned(), None);
        return None;
    }
    let mut list = String::from("[");
    let mut is_whole = true;
    for (index, element) in elements.into_iter().enumerate() {
        list.push_str(if index == 0 { "" } else { "," });
        match plain_text(element) {
            Some(_) if kind(element) == "a text" => list.push_str(element.get()),
            Some(text) => list.push_str(&format!("\"{text}\"")),
            None => match text_or_bytes(scope, element, &format!("command[{index}]")) {
                Some(element) => list.push_str(&element),
                None => is_whole = false,
            },
        }
    }
    list.push(']');
    is_whole.then_some(list)
}

/// A text, or `{"base64": "…"}` for bytes that are none; as JSON.
fn text_or_bytes(scope: &mut Scope<'_, '_>, raw: &RawValue, field: &str) -> Option<String> {
    if kind(raw) != "an object" {
        return scope.text(raw, field).map(|_| raw.get().to_owned());
    }
    let fields = scope.object(raw, field)?.0;
    match &fields[..] {
        [(name, value)] if name == "base64" && text(value).is_some() => Some(raw.get().to_owned()),
        _ => {
            scope.wrong(raw, field, "a text or {\"base64\": \"…\"}");
            None
        }
    }
}

/// A text, bytes, or the name of a file as `{"file": "…"}`.
fn stdin_value(scope: &mut Scope<'_, '_>, raw: &RawValue) -> Option<String> {
    let fields = serde_json::from_str::<Fields<'_>>(raw.get());
    match fields.as_ref().map(|fields| &fields.0[..]) {
        Ok([(name, value)]) if name == "file" => {
            let name = scope.text(value, "stdin.file");
            name.map(|_| raw.get().to_owned())
        }
        _ => text_or_bytes(scope, raw, "stdin"),
    }
}

/// `{}`
pub(crate) fn empty() -> Json {
    static EMPTY: std::sync::OnceLock<Json> = std::sync::OnceLock::new();
    EMPTY
        .get_or_init(|| Json::from(serde_json::json!({})))
        .clone()
}
