//! Which parameters of the standard functions are code, and how values are written there: [`Encodings`].

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use crate::encoding::Encoding;
use crate::interpreters::{Code, Language, UNKNOWN, VARIABLE, code_in_command, is_code_variable};
use crate::shell_words::ShellRules;
use crate::template::{Part, Template};

/// How values are written at the places of one document of parameters, such as `argv[1]`.
///
/// The document is read once; each place is then a look-up. A place that is not known takes values as text.
///
/// ```
/// use batch_template::{Encoding, Encodings};
/// let params = serde_json::json!({"argv": ["bash", "-c", "echo {{ row.x }}", "_", "{{ row.x }}"]});
/// let encodings = Encodings::of("command", &params);
/// assert!(matches!(encodings.at("argv[2]"), Encoding::Code(_)));
/// assert_eq!(encodings.at("argv[4]"), Encoding::Text);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encodings {
    places: HashMap<String, Encoding>,
    /// Some variables in `env` are code.
    has_variables: bool,
    /// The field that is taken for the whole document.
    field: &'static str,
}

impl Encodings {
    /// Those of a document that takes values as text everywhere.
    pub fn text() -> Self {
        Self::default()
    }

    /// Those of the parameters of a function. One that is not among the standard functions takes values as text
    /// everywhere.
    pub fn of(function: &str, params: &Value) -> Self {
        let process = Self {
            has_variables: true,
            ..Self::text()
        };
        match function {
            "command" => process.with_command(params),
            "shell" => process.with("script", in_script(params)),
            "custom_function" => process.with("code", Encoding::Python),
            "code_execution" => process.with("code", in_code(params)),
            _ => Self::text(),
        }
    }

    /// The same with an encoding for a place and what is inside it. An empty place is the whole document; of places
    /// inside each other the innermost one counts.
    ///
    /// ```
    /// use batch_template::{Encoding, Encodings};
    /// let encodings = Encodings::text().with("code", Encoding::Python);
    /// assert_eq!(encodings.at("code"), Encoding::Python);
    /// assert_eq!(encodings.at("codes"), Encoding::Text);
    /// assert_eq!(Encodings::text().with("", Encoding::Python).at("any"), Encoding::Python);
    /// ```
    #[must_use]
    pub fn with(mut self, place: impl Into<String>, encoding: Encoding) -> Self {
        self.places.insert(place.into(), encoding);
        self
    }

    /// The same, where their author said whether values may become code.
    #[must_use]
    pub fn allowing(mut self, code: bool) -> Self {
        let encodings = self.places.values_mut();
        encodings.for_each(|encoding| *encoding = encoding.allowing(code));
        self.has_variables &= !code;
        self
    }

    /// These, and where they take values as text, the others: for a document whose function is not known yet.
    #[must_use]
    pub fn or(mut self, others: Self) -> Self {
        for (place, encoding) in others.places {
            self.places.entry(place).or_insert(encoding);
        }
        self.has_variables |= others.has_variables;
        self
    }

    /// Those of a field of the document, which is a document of its own: its places begin at that field.
    ///
    /// ```
    /// use batch_template::{Encoding, Encodings};
    /// let params = serde_json::json!({"argv": ["sh", "-c", "{{ row.x }}"]});
    /// let argv = Encodings::of("command", &params).inside("argv");
    /// assert!(matches!(argv.at("[2]"), Encoding::Code(_)));
    /// ```
    #[must_use]
    pub fn inside(mut self, field: &'static str) -> Self {
        self.field = field;
        self
    }

    /// How a value is written at a place.
    pub fn at(&self, place: &str) -> Encoding {
        let place = match (self.field, place) {
            ("", place) => Cow::Borrowed(place),
            (field, "") => Cow::Borrowed(field),
            (field, place) if place.starts_with('[') => format!("{field}{place}").into(),
            (field, place) => format!("{field}.{place}").into(),
        };
        let variable = place.strip_prefix("env.").filter(|_| self.has_variables);
        if variable.is_some_and(|name| is_code_variable(name.as_bytes())) {
            return Encoding::Code(VARIABLE);
        }
        let inner = place.rmatch_indices(['.', '[']).map(|(end, _)| end);
        let mut ends = [place.len()].into_iter().chain(inner).chain([0]);
        ends.find_map(|end| self.places.get(&place[..end]))
            .copied()
            .unwrap_or(Encoding::Text)
    }

    fn with_command(mut self, params: &Value) -> Self {
        let argv = params.get("argv").and_then(Value::as_array);
        let argv: Vec<Vec<u8>> = argv.into_iter().flatten().map(argument).collect();
        let found = code_in_command(&argv);
        let arguments = found.arguments.into_iter();
        let arguments = arguments.map(|(at, code)| (format!("argv[{at}]"), code));
        let stdin = found.stdin.map(|code| ("stdin".to_owned(), code));
        let code = arguments.chain(stdin);
        self.places
            .extend(code.map(|(place, code)| (place, Encoding::Code(code))));
        self
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

fn in_code(params: &Value) -> Encoding {
    match text_of(params, "runtime") {
        Some("python") => Encoding::Python,
        Some("nodejs") => Encoding::JavaScript,
        Some("terminal") => Encoding::Shell(ShellRules::default()),
        _ => Encoding::Code(UNKNOWN_RUNTIME),
    }
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
            matches!(
                Encodings::of(function, &params).at(place),
                Encoding::Code(_)
            )
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
        let zsh = Encodings::of("shell", &json!({"shell": "/bin/zsh-5.9"})).at("script");
        assert!(matches!(zsh, Encoding::Shell(rules) if rules.is_eager));
    }

    #[test]
    fn a_field_is_a_document_and_others_join_in() {
        let params = json!({"argv": ["sh", "-c", "x"], "runtime": "nodejs"});
        let of = |function: &str| Encodings::of(function, &params);
        let argv = of("command").inside("argv");
        assert!(matches!(argv.at("[2].base64"), Encoding::Code(_)));
        assert_eq!(argv.at("[22]"), Encoding::Text);
        assert_eq!(argv.at(""), Encoding::Text);
        assert_eq!(of("shell").inside("code").at(""), Encoding::Text);
        assert_eq!(
            of("custom_function").inside("code").at(""),
            Encoding::Python
        );
        let env = of("shell").inside("env");
        assert!(matches!(env.at("BASH_ENV"), Encoding::Code(_)));
        assert_eq!(env.at("X"), Encoding::Text);
        assert_eq!(
            of("shell").allowing(true).at("env.BASH_ENV"),
            Encoding::Text
        );

        let any = of("http").or(of("command")).or(of("code_execution"));
        let any = any.or(of("custom_function"));
        assert_eq!(any.at("code"), Encoding::JavaScript);
        assert!(matches!(any.at("argv[2]"), Encoding::Code(_)));
        assert!(matches!(any.at("env.BASH_ENV"), Encoding::Code(_)));
        assert_eq!(any.allowing(true).at("argv[2]"), Encoding::Text);
    }
}
