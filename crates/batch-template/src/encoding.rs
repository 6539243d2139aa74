//! How a value is written where it is filled in, so that data never becomes code: [`Encoding`].

use crate::datum::Datum;
use crate::document::string_end;
use crate::interpreters::{Code, Language};
use crate::shell_words::{ShellRules, quote_for_shell};

/// How a filled-in value is written inside a longer text, so that data never becomes code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A text as it is, other values as JSON.
    Text,
    /// As one word for a POSIX shell. The placeholder must not be in quotes.
    Shell(ShellRules),
    /// As a literal of Python. The placeholder must not be in quotes.
    Python,
    /// As a literal of JavaScript. The placeholder must not be in quotes.
    JavaScript,
    /// As what the place in a URL takes: escaped in the path and the query, plain in the name of the host, and as it is
    /// where the URL begins with it.
    Url,
    /// As a value of a form, `a=1&b=2`: escaped.
    Form,
    /// Into the text of a JSON document: as JSON, and escaped inside a text.
    JsonText,
    /// Into the value of a header: escaped in quotes.
    Header,
    /// Into the value of a header with cookies: escaped.
    Cookie,
    /// Not at all: the text is code for which there is no safe way.
    Code(Code),
}

/// A shell whose quotes are not those of POSIX, or that is not known yet.
const OTHER_SHELL: Code = Code {
    program: "a shell that reads quotes in its own way",
    language: Language::Other,
};

impl Encoding {
    /// That of a script which a shell with this name or path reads, given with its options.
    ///
    /// ```
    /// use batch_template::{Encoding, ShellRules};
    /// assert_eq!(Encoding::of_script("/bin/bash -o pipefail"), Encoding::Shell(ShellRules::default()));
    /// assert!(matches!(Encoding::of_script("fish"), Encoding::Code(_)));
    /// ```
    pub fn of_script(shell: &str) -> Self {
        let mut words = shell.split(' ').filter(|word| !word.is_empty());
        let program = words.next().unwrap_or_default();
        if !are_options(words) {
            return Self::Code(OTHER_SHELL);
        }
        let name = program.rsplit('/').next().unwrap_or(program);
        let is_eager = match name.trim_end_matches(|c: char| c.is_ascii_digit() || ".-".contains(c))
        {
            "zsh" | "rzsh" | "ksh" | "mksh" | "pdksh" | "lksh" | "oksh" => true,
            "sh" | "bash" | "rbash" | "dash" | "ash" | "yash" => false,
            _ => return Self::Code(OTHER_SHELL),
        };
        Self::Shell(ShellRules {
            is_eager,
            ..ShellRules::default()
        })
    }

    /// Whether a text of this kind is run.
    pub const fn is_code(self) -> bool {
        matches!(
            self,
            Self::Shell(_) | Self::Python | Self::JavaScript | Self::Code(_)
        )
    }

    /// The same, where its author said whether values may become code, or a part of a URL other than they mean.
    #[must_use]
    pub const fn allowing(self, code: bool) -> Self {
        match self {
            Self::Code(_)
            | Self::Url
            | Self::Form
            | Self::JsonText
            | Self::Header
            | Self::Cookie
                if code =>
            {
                Self::Text
            }
            Self::Shell(rules) => Self::Shell(ShellRules {
                allow_code: code,
                ..rules
            }),
            other => other,
        }
    }
}

/// Whether words are options of a shell and their values, and nothing that has it read something else than the script.
fn are_options<'w>(words: impl Iterator<Item = &'w str>) -> bool {
    let mut takes_value = false;
    for word in words {
        let is_value = std::mem::take(&mut takes_value);
        let is_plain = |text: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        match word.strip_prefix(['-', '+']) {
            Some(letters) if letters.starts_with('-') => {
                if !is_plain(letters) {
                    return false;
                }
            }
            // `-c` is ours, and `-s` reads the script from elsewhere.
            Some(letters) if is_plain(letters) && !letters.contains(['c', 's']) => {
                takes_value = letters.ends_with(['o', 'O']);
            }
            None if is_value && is_plain(word) => {}
            _ => return false,
        }
    }
    true
}

/// Writes a value as a word or a literal of code, or as it is.
pub(crate) fn encode(value: &Datum, encoding: Encoding, to: &mut String) -> Result<(), String> {
    match encoding {
        Encoding::Shell(_) => {
            let text = value.plain_text();
            if text.contains('\0') {
                return Err("a word of a shell cannot hold a NUL byte".to_owned());
            }
            let mut word = Vec::new();
            quote_for_shell(text.as_bytes(), &mut word);
            to.push_str(&String::from_utf8_lossy(&word));
        }
        Encoding::Python => push_literal(value, ["None", "True", "False"], to),
        Encoding::JavaScript => push_literal(value, ["null", "true", "false"], to),
        // No place with a placeholder got here.
        Encoding::Code(_) => {}
        _ => to.push_str(value.plain_text()),
    }
    Ok(())
}

/// Writes a literal that Python and JavaScript read alike but for the three words.
///
/// Quotes, backticks, dollars and line separators are escaped, so that even in the wrong place a text
/// would not end a string or begin an expression.
fn push_literal(value: &Datum, words: [&str; 3], to: &mut String) {
    let json = match value {
        Datum::Text(text) => return push_string_literal(text, to),
        Datum::Json(json) => json.as_str(),
    };
    let mut at = 0;
    while at < json.len() {
        let rest = &json[at..];
        let (end, literal) = match rest.as_bytes()[0] {
            b'"' => {
                let end = string_end(json.as_bytes(), at);
                let text: String = serde_json::from_str(&json[at..end]).unwrap_or_default();
                // In JavaScript `"__proto__": …` would set the prototype; `["__proto__"]` is a field.
                let is_prototype = text == "__proto__" && json[end..].starts_with(':');
                match is_prototype && words[0] == "null" {
                    true => to.push_str("[\"__proto__\"]"),
                    false => push_string_literal(&text, to),
                }
                (end, "")
            }
            b'n' => (at + "null".len(), words[0]),
            b't' => (at + "true".len(), words[1]),
            b'f' => (at + "false".len(), words[2]),
            b',' => (at + 1, ", "),
            b':' => (at + 1, ": "),
            _ => {
                let is_part = |c: char| !"\",:ntf".contains(c);
                let end = at + rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                (end, &json[at..end])
            }
        };
        to.push_str(literal);
        at = end;
    }
}

fn push_string_literal(text: &str, to: &mut String) {
    to.push('"');
    for c in text.chars() {
        match c {
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\\' => to.push_str("\\\\"),
            '"' | '\'' | '`' | '$' | '\u{2028}' | '\u{2029}' => {
                to.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c if c.is_control() => to.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => to.push(c),
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_are_known_by_their_names() {
        for (shell, is_eager) in [("sh", false), ("bash-5.2", false), ("/bin/zsh-5.9", true)] {
            let found = Encoding::of_script(shell);
            assert!(
                matches!(found, Encoding::Shell(rules) if rules.is_eager == is_eager),
                "{shell}"
            );
        }
        for shell in [
            "bash -o pipefail -eu",
            "/bin/zsh -f +o nomatch",
            "bash --posix",
            "sh -e",
        ] {
            assert!(
                matches!(Encoding::of_script(shell), Encoding::Shell(_)),
                "{shell}"
            );
        }
        for shell in [
            "fish",
            "{{ a.b }}",
            "",
            "bash x.sh",
            "bash -c",
            "bash -ec",
            "sh -s",
            "sudo bash",
            "env X=1 sh",
            "'bash'",
            "bash -o $x",
            "bash --rcfile=x",
            "bash -o pipefail x",
        ] {
            assert!(matches!(Encoding::of_script(shell), Encoding::Code(_)));
        }
    }
}
