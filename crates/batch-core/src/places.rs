//! Which parameters of the standard functions are code, and how a value is written there: [`encoding_of`].

use serde_json::Value;

use crate::fill::Encoding;
use crate::interpreters::{
    Code, CommandCode, Language, UNKNOWN, VARIABLE, code_in_command, is_code_variable,
};
use crate::shell_words::ShellRules;
use crate::template::{Part, Template};

/// How a value is written at a place of the parameters of a function, such as `argv[1]` of `command`.
///
/// A function that is not one of the standard ones takes values as text everywhere.
///
/// ```
/// use batch_core::{Encoding, encoding_of};
/// let params = serde_json::json!({"argv": ["bash", "-c", "echo {{ row.x }}", "_", "{{ row.x }}"]});
/// assert!(matches!(encoding_of("command", &params, "argv[2]"), Encoding::Code(_)));
/// assert_eq!(encoding_of("command", &params, "argv[4]"), Encoding::Text);
/// ```
pub fn encoding_of(function: &str, params: &Value, place: &str) -> Encoding {
    let is_process = matches!(
        function,
        "command" | "shell" | "code_execution" | "custom_function"
    );
    if let Some(name) = place.strip_prefix("env.").filter(|_| is_process) {
        return match is_code_variable(name.as_bytes()) {
            true => Encoding::Code(VARIABLE),
            false => Encoding::Text,
        };
    }
    match function {
        "command" => in_command(params, place),
        "shell" if is_at(place, "script") => in_script(params),
        "custom_function" if is_at(place, "code") => Encoding::Python,
        "code_execution" if is_at(place, "code") => match text_of(params, "runtime") {
            Some("python") => Encoding::Python,
            Some("nodejs") => Encoding::JavaScript,
            Some("terminal") => Encoding::Shell(ShellRules::default()),
            _ => Encoding::Code(UNKNOWN_RUNTIME),
        },
        _ => Encoding::Text,
    }
}

/// Code of a language that is not known yet.
const UNKNOWN_RUNTIME: Code = Code {
    program: "a runtime that is not known yet",
    language: Language::Other,
};

/// A shell whose quotes are not those of POSIX, or that is not known yet.
const OTHER_SHELL: Code = Code {
    program: "a shell that reads quotes in its own way",
    language: Language::Other,
};

fn in_script(params: &Value) -> Encoding {
    let shell = text_of(params, "shell").unwrap_or("sh");
    let name = shell.rsplit('/').next().unwrap_or(shell);
    match name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-')) {
        "zsh" | "rzsh" | "ksh" | "mksh" | "pdksh" | "lksh" | "oksh" => {
            Encoding::Shell(ShellRules {
                is_eager: true,
                ..ShellRules::default()
            })
        }
        "sh" | "bash" | "rbash" | "dash" | "ash" | "yash" => Encoding::Shell(ShellRules::default()),
        _ => Encoding::Code(OTHER_SHELL),
    }
}

fn in_command(params: &Value, place: &str) -> Encoding {
    let found = command_code(params);
    let code = match place
        .strip_prefix("argv[")
        .and_then(|rest| rest.split_once(']'))
    {
        Some((index, _)) => {
            let at = index.parse::<usize>().ok();
            let code = found.arguments.iter().find(|(index, _)| Some(*index) == at);
            code.map(|(_, code)| *code)
        }
        None if is_at(place, "stdin") => found.stdin,
        None => None,
    };
    code.map_or(Encoding::Text, Encoding::Code)
}

fn command_code(params: &Value) -> CommandCode {
    let argv = params.get("argv").and_then(Value::as_array);
    let argv: Vec<Vec<u8>> = argv.into_iter().flatten().map(argument).collect();
    code_in_command(&argv)
}

/// The bytes of an argument, with [`UNKNOWN`] for each placeholder.
fn argument(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => known_part(text),
        Value::Object(fields) => {
            let encoded = fields
                .get("base64")
                .and_then(Value::as_str)
                .unwrap_or_default();
            decoded(encoded).unwrap_or_else(|| vec![UNKNOWN])
        }
        other => other.to_string().into_bytes(),
    }
}

/// The bytes behind base64, for the look at them only: what is wrong with it is told elsewhere.
fn decoded(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut length) = (0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        length += 6;
        if length >= 8 {
            length -= 8;
            bytes.push(u8::try_from((bits >> length) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn known_part(text: &str) -> Vec<u8> {
    if !text.contains("{{") {
        return text.as_bytes().to_vec();
    }
    let Ok(template) = Template::parse(text) else {
        return text.as_bytes().to_vec();
    };
    let mut known = Vec::new();
    for part in &template.parts {
        match part {
            Part::Text(text) => known.extend_from_slice(text.as_bytes()),
            Part::Value(_) => known.push(UNKNOWN),
        }
    }
    known
}

/// Whether a place is a field or inside it, as the `base64` of a script.
fn is_at(place: &str, field: &str) -> bool {
    place
        .strip_prefix(field)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn text_of<'p>(params: &'p Value, field: &str) -> Option<&'p str> {
    params.get(field).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_function_says_where_its_code_is() {
        let code = |function: &str, params: Value, place: &str| {
            matches!(encoding_of(function, &params, place), Encoding::Code(_))
        };
        let argv = json!({"argv": ["env", "X={{ a.b }}", "sh", "-c", "{{ a.b }}", "{{ a.b }}"]});
        for (place, expected) in [
            ("argv[1]", false),
            ("argv[4]", true),
            ("argv[4].base64", true),
            ("argv[5]", false),
            ("argv", false),
            ("stdin", false),
            ("env.X", false),
            ("env.BASH_ENV", true),
            ("cwd", false),
        ] {
            assert_eq!(code("command", argv.clone(), place), expected, "{place}");
        }
        assert!(code("command", json!({"argv": ["sh"]}), "stdin"));
        let encoded = json!({"argv": [{"base64": "YmFzaA=="}, "-c", "{{ a.b }}"]});
        assert!(code("command", encoded, "argv[2]"));
        assert!(code(
            "command",
            json!({"argv": ["ssh", "h"]}),
            "stdin.base64"
        ));
        assert!(code("shell", json!({"shell": "fish"}), "script"));
        assert!(code("shell", json!({"shell": "{{ a.b }}"}), "script"));
        assert!(code(
            "code_execution",
            json!({"runtime": "{{ a.b }}"}),
            "code"
        ));
        assert!(!code("http", json!({}), "env.BASH_ENV"));
        let zsh = encoding_of("shell", &json!({"shell": "/bin/zsh-5.9"}), "script");
        assert!(matches!(zsh, Encoding::Shell(rules) if rules.is_eager));
    }
}
