//! What people know a task by that has no name of its own: [`task_label`]. Nothing of it is stored.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use batch_core::TaskSpec;
use serde_json::Value;

use crate::parts::Template;
use crate::secrets::shown_params;
use crate::shell_words::quote_for_shell;

/// How many characters of a name that was not given are shown.
const LONGEST: usize = 80;

/// What people know a task by: its name; where it was made of items, these; else its id; else its command line, and of
/// a function without one its own name.
///
/// ```
/// use batch_core::TaskSpec;
/// use batch_template::task_label;
/// let argv = serde_json::json!({"argv": ["gzip", "-k", "photo 12.jpg"]});
/// let task = TaskSpec::new("command").with_params(&argv).unwrap();
/// assert_eq!(task_label(&task), "gzip -k 'photo 12.jpg'");
/// assert_eq!(task_label(&task.with_name("Photo 12")), "Photo 12");
/// ```
pub fn task_label(spec: &TaskSpec) -> Cow<'_, str> {
    let given = [&spec.name, &spec.item, &spec.id];
    let mut given = given.into_iter().flatten().map(|text| &**text);
    match given.find(|text| !text.trim().is_empty()) {
        Some(text) => Cow::Borrowed(text),
        None => command_line(spec).map_or(Cow::Borrowed(&*spec.function), Cow::Owned),
    }
}

/// The same to be shown: what is derived is cut in the middle.
pub fn short_label(spec: &TaskSpec) -> Cow<'_, str> {
    match (&spec.name, task_label(spec)) {
        (Some(_), name) => name,
        (None, label) => cut_middle(label),
    }
}

fn cut_middle(text: Cow<'_, str>) -> Cow<'_, str> {
    let (Some(_), Some((head, _))) = (
        text.char_indices().nth(LONGEST),
        text.char_indices().nth(LONGEST / 2),
    ) else {
        return text;
    };
    let tail = text.char_indices().nth_back(LONGEST - LONGEST / 2 - 2);
    let tail = tail.map_or(text.len(), |(at, _)| at);
    Cow::Owned(format!("{}…{}", &text[..head], &text[tail..]))
}

/// What a task does in one line: its command, its script or its code, or its request. Secrets are masked. `None` of
/// other functions.
pub fn command_line(spec: &TaskSpec) -> Option<String> {
    let params: Value = serde_json::from_str(&shown_params(spec)).ok()?;
    let line = match &*spec.function {
        "command" => arguments(&params)?,
        "shell" => in_one_line(params.get("script")?)?,
        "code_execution" | "custom_function" => in_one_line(params.get("code")?)?,
        "http" => {
            let method = params.get("method").and_then(Value::as_str);
            let url = in_one_line(params.get("url")?)?;
            format!("{} {url}", method.unwrap_or("GET"))
        }
        _ => return None,
    };
    (!line.is_empty()).then_some(line)
}

/// What a shell would have to be given: the arguments of a command, quoted where they need it, or the whole script of a
/// shell. Secrets are masked. `None` of other functions.
pub fn shell_command(spec: &TaskSpec) -> Option<String> {
    let params = || serde_json::from_str::<Value>(&shown_params(spec)).ok();
    match &*spec.function {
        "command" => arguments(&params()?),
        "shell" => text_of(params()?.get("script")?),
        _ => None,
    }
}

fn arguments(params: &Value) -> Option<String> {
    let mut line = Vec::new();
    for word in params.get("argv")?.as_array()? {
        if !line.is_empty() {
            line.push(b' ');
        }
        quote_for_shell(&written(word)?, &mut line);
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

fn in_one_line(value: &Value) -> Option<String> {
    let text = text_of(value)?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn text_of(value: &Value) -> Option<String> {
    Some(String::from_utf8_lossy(&written(value)?).into_owned())
}

/// The bytes of a text, without the escapes of literal braces, or of `{"base64": "…"}`.
fn written(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => {
            let template = Template::parse(text).ok();
            let plain = template.as_ref().and_then(Template::plain);
            Some(plain.unwrap_or(text).into())
        }
        Value::Object(fields) => STANDARD.decode(fields.get("base64")?.as_str()?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(function: &str, params: &Value) -> TaskSpec {
        TaskSpec::new(function).with_params(params).unwrap()
    }

    #[test]
    fn tasks_without_names_are_known_by_their_items_their_ids_and_their_command_lines() {
        let plain = spec("shell", &json!({ "script": "x" }));
        assert_eq!(task_label(&plain), "x");
        assert_eq!(task_label(&plain.clone().with_id("build")), "build");
        let of_item = TaskSpec {
            item: Some("photo 12.jpg".into()),
            ..plain.with_id("build")
        };
        assert_eq!(task_label(&of_item), "photo 12.jpg");
        assert_eq!(task_label(&of_item.clone().with_name("n")), "n");
        let blank = TaskSpec {
            item: Some(" ".into()),
            ..of_item
        };
        assert_eq!(task_label(&blank), "build");
    }

    #[test]
    fn what_is_derived_is_cut_in_the_middle() {
        let script = format!("begin {} end", "ä ".repeat(100));
        let task = spec("shell", &json!({ "script": script }));
        let shown = short_label(&task);
        assert_eq!(shown.chars().count(), LONGEST);
        assert!(
            shown.starts_with("begin ä") && shown.ends_with("ä end") && shown.contains('…'),
            "{shown}"
        );
        let exact = spec("shell", &json!({ "script": "x".repeat(LONGEST) }));
        assert_eq!(short_label(&exact).len(), LONGEST);
        let named = task.with_name(&"n".repeat(100));
        assert_eq!(short_label(&named).len(), 100);
    }

    #[test]
    fn a_command_line_is_one_line_without_secrets() {
        let line =
            |function: &str, params: Value| task_label(&spec(function, &params)).into_owned();
        assert_eq!(
            line("command", json!({ "argv": ["sh", "-c", "it's"] })),
            r"sh -c 'it'\''s'"
        );
        assert_eq!(
            line("command", json!({ "argv": ["echo", "{{ \"{{\" }}x}}"] })),
            "echo '{{x}}'"
        );
        assert_eq!(
            line("command", json!({ "argv": ["cat", { "base64": "Yg==" }] })),
            "cat b"
        );
        assert_eq!(line("shell", json!({ "script": "a |\n  b\n" })), "a | b");
        assert_eq!(
            line(
                "code_execution",
                json!({ "runtime": "python", "code": "print(1)\n" })
            ),
            "print(1)"
        );
        assert_eq!(
            line("http", json!({ "url": "https://u:p@h/x?token=y" })),
            "GET https://***@h/x?token=***"
        );
        assert_eq!(line("simulate", json!({ "duration": 1 })), "simulate");
        assert_eq!(line("command", json!({ "argv": 5 })), "command");
    }

    #[test]
    fn a_command_is_a_line_for_a_shell() {
        for (function, params, line) in [
            (
                "command",
                json!({"argv": ["gzip", "-k", "it's"]}),
                Some(r"gzip -k 'it'\''s'"),
            ),
            (
                "command",
                json!({"argv": ["a", {"base64": "Yg=="}]}),
                Some("a b"),
            ),
            (
                "command",
                json!({"argv": ["{{ \"{{\" }}x}}"]}),
                Some("'{{x}}'"),
            ),
            (
                "shell",
                json!({"script": "echo $HOME |\n  cat"}),
                Some("echo $HOME |\n  cat"),
            ),
            ("http", json!({"url": "https://h/"}), None),
            ("command", json!({"argv": 5}), None),
        ] {
            assert_eq!(
                shell_command(&spec(function, &params)).as_deref(),
                line,
                "{params}"
            );
        }
    }
}
