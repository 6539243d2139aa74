//! Placeholders in parameters: `{{ tasks.fetch.result.body.id }}`, `{{ row.name | trim }}`.
//!
//! [`Template`] is one text, parsed. [`placeholders`](crate::placeholders) and [`fill`](crate::fill) apply
//! it to the strings of a JSON document: a plan checks them at submit, and the runtime fills them in when a
//! task starts.
//!
//! The language is small on purpose. A placeholder is a path and any number of filters:
//!
//! ```text
//! {{ tasks.fetch-1.result.stdout }}      fields, by name; a name ends at  .  [  ]  {  }  |  "  or white space
//! {{ tasks.list.result[0]["odd key"] }}  elements by number, and names of any kind in quotes
//! {{ tasks.count.result.stdout | int }}  a filter: trim, json, int, float, text
//! {{ tasks.a.result.stdout | json | .items[0].id }}   a path is a filter, too
//! {{ env.TOKEN }}                        a variable of the executor's environment
//! {{ "{{" }}                             a text in quotes stands for itself: two literal braces
//! ```

use std::fmt;

use serde_json::Value;

use batch_core::nearest;

use crate::filter::Filter;
use crate::path::{Segment, is_name};

/// A text with placeholders, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub(crate) parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Stands for itself.
    Text(String),
    /// Is replaced.
    Value(Placeholder),
}

/// One placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// The first word: `tasks`, `env`, `row`, `params`.
    pub root: String,
    /// What follows it.
    pub path: Vec<Segment>,
    /// What is done to the value found, in this order.
    pub filters: Vec<Filter>,
    /// Where it stands in its document, such as `argv[1]`; empty outside documents.
    pub place: String,
    /// The text between the braces.
    pub source: String,
}

/// A text that is no template. `at` is the byte at which the placeholder begins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("a placeholder begins with \"{{{{\" and does not end")]
    Unclosed {
        /// Where.
        at: usize,
    },
    /// What stands between the braces is no path.
    #[error("\"{{{{{source_text}}}}}\" is no placeholder: {found}")]
    BadPath {
        /// Where.
        at: usize,
        /// The text between the braces.
        source_text: String,
        /// What was found.
        found: String,
    },
    /// A filter that does not exist.
    #[error("unknown filter {name:?}")]
    UnknownFilter {
        /// Where.
        at: usize,
        /// The name.
        name: String,
    },
}

impl TemplateError {
    /// How to mend it.
    pub fn help(&self) -> String {
        match self {
            Self::Unclosed { .. } | Self::BadPath { .. } => {
                "write {{ tasks.ID.result.stdout }}, or {{ \"{{\" }} for two literal braces"
                    .to_owned()
            }
            Self::UnknownFilter { name, .. } => match nearest(name, Filter::NAMES) {
                Some(known) => format!("did you mean {known:?}?"),
                None => format!("the filters are {}", Filter::NAMES.join(", ")),
            },
        }
    }
}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// At the first placeholder that is not well formed or has an unknown filter.
    ///
    /// ```
    /// let template = batch_template::Template::parse("id={{ tasks.fetch.result.body.id | int }}").unwrap();
    /// assert_eq!(template.placeholders().next().unwrap().task_id(), Some("fetch"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(begin) = text[at..].find("{{").map(|found| at + found) {
            literal.push_str(&text[at..begin]);
            let (part, end) = parse_braces(text, begin)?;
            match part {
                Part::Text(text) => literal.push_str(&text),
                Part::Value(_) => {
                    push_text(&mut parts, &mut literal);
                    parts.push(part);
                }
            }
            at = end;
        }
        literal.push_str(&text[at..]);
        push_text(&mut parts, &mut literal);
        Ok(Self { parts })
    }

    /// The placeholders, in the order of the text.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(placeholder) => Some(placeholder),
            Part::Text(_) => None,
        })
    }
}

impl Placeholder {
    /// The id of the task it refers to, when it is `tasks.ID…`.
    pub fn task_id(&self) -> Option<&str> {
        match self.path.first() {
            Some(Segment::Field(id)) if self.root == "tasks" => Some(id),
            _ => None,
        }
    }

    /// Applies the filters to the value found.
    ///
    /// # Errors
    /// In words, when the value is not what a filter takes.
    pub fn filtered(&self, value: Value) -> Result<Value, String> {
        self.filters
            .iter()
            .try_fold(value, |value, filter| filter.apply(value))
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{ {} }}}}", self.source)
    }
}

fn push_text(parts: &mut Vec<Part>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Text(std::mem::take(literal)));
    }
}

/// Reads from the `{{` at `begin`; gives the part and the place after its `}}`.
fn parse_braces(text: &str, begin: usize) -> Result<(Part, usize), TemplateError> {
    let inner = &text[begin + 2..];
    let length = inner_length(inner).ok_or(TemplateError::Unclosed { at: begin })?;
    let end = begin + 2 + length + 2;
    let inner = &inner[..length];
    let mut words = Words { rest: inner.trim() };
    let bad = |found: String| TemplateError::BadPath {
        at: begin,
        source_text: inner.to_owned(),
        found,
    };
    if words.rest.starts_with('"') {
        let literal = words.quoted().map_err(bad)?;
        words.finish().map_err(bad)?;
        return Ok((Part::Text(literal), end));
    }
    let root = words.name().map_err(bad)?.to_owned();
    let path = words.path().map_err(bad)?;
    let mut filters = Vec::new();
    while words.eat('|') {
        filters.push(if words.rest.starts_with(['.', '[']) {
            Filter::Path(words.path().map_err(bad)?)
        } else {
            let name = words.name().map_err(bad)?;
            Filter::named(name).ok_or_else(|| TemplateError::UnknownFilter {
                at: begin,
                name: name.to_owned(),
            })?
        });
    }
    words.finish().map_err(bad)?;
    let source = inner.trim().to_owned();
    let place = String::new();
    Ok((
        Part::Value(Placeholder {
            root,
            path,
            filters,
            place,
            source,
        }),
        end,
    ))
}

/// The length of what stands before the closing `}}`, which may be quoted inside.
fn inner_length(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let mut quoted = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'}' if !quoted && bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// What is left of the text between the braces.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn eat(&mut self, c: char) -> bool {
        match self.rest.trim_start().strip_prefix(c) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn name(&mut self) -> Result<&'a str, String> {
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() {
            return Err(self.found("a name is missing"));
        }
        self.rest = rest;
        Ok(name)
    }

    fn path(&mut self) -> Result<Vec<Segment>, String> {
        let mut path = Vec::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                if !self.rest.starts_with('[') || !path.is_empty() {
                    path.push(Segment::Field(self.name()?.to_owned()));
                }
            } else if let Some(rest) = self.rest.strip_prefix('[') {
                self.rest = rest.trim_start();
                path.push(self.bracketed()?);
            } else {
                return Ok(path);
            }
        }
    }

    fn bracketed(&mut self) -> Result<Segment, String> {
        let segment = if self.rest.starts_with('"') {
            Segment::Field(self.quoted()?)
        } else {
            let number = self.name()?;
            Segment::Index(number.parse().map_err(|_| {
                format!("[{number}] is neither a position from 0 nor a name in double quotes")
            })?)
        };
        if self.eat(']') {
            Ok(segment)
        } else {
            Err(self.found("\"]\" is missing"))
        }
    }

    /// A JSON string.
    fn quoted(&mut self) -> Result<String, String> {
        let mut texts = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        match texts.next() {
            Some(Ok(text)) => {
                self.rest = &self.rest[texts.byte_offset()..];
                Ok(text)
            }
            _ => Err("the text in quotes is not well formed".to_owned()),
        }
    }

    fn finish(&self) -> Result<(), String> {
        if self.rest.trim().is_empty() {
            Ok(())
        } else {
            Err(self.found("the end is missing"))
        }
    }

    fn found(&self, what: &str) -> String {
        match self.rest.trim() {
            "" => format!("{what} at its end"),
            rest => format!("{what} before {rest:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::follow;
    use serde_json::json;

    fn one(text: &str) -> Placeholder {
        Template::parse(text)
            .unwrap()
            .placeholders()
            .next()
            .unwrap()
            .clone()
    }

    #[test]
    fn paths_take_hyphens_positions_and_odd_names() {
        let value = json!({"result": {"a-1": [{"odd ]key}}": {"x": 5}}]}});
        for path in [
            r#"{{ t.result.a-1[0]["odd ]key}}"].x }}"#,
            r#"{{t.result["a-1"][ 0 ]["odd ]key}}"].x|trim|int}}"#,
            r#"{{ t.result | ["a-1"] | .[0] | ["odd ]key}}"].x }}"#,
        ] {
            let placeholder = one(&path.replace("|trim", ""));
            let found = follow(&value, &placeholder.path).unwrap().clone();
            assert_eq!(placeholder.filtered(found), Ok(json!(5)), "{path}");
        }
    }

    #[test]
    fn filters_read_text() {
        let apply = |text: &str, value: Value| one(text).filtered(value);
        assert_eq!(apply("{{ a | trim }}", json!(" x\n")), Ok(json!("x")));
        assert_eq!(apply("{{ a | int }}", json!(" 42\n")), Ok(json!(42)));
        assert_eq!(apply("{{ a | float }}", json!("2.5")), Ok(json!(2.5)));
        assert_eq!(
            apply("{{ a | json | .x[1] }}", json!("{\"x\": [1, 2]}")),
            Ok(json!(2))
        );
        assert_eq!(apply("{{ a | text }}", json!([1])), Ok(json!("[1]")));
        assert_eq!(
            apply("{{ a | int }}", json!("4x")).unwrap_err(),
            "\"4x\" is not a whole number"
        );
        assert!(
            apply("{{ a | json }}", json!("{"))
                .unwrap_err()
                .starts_with("not JSON: ")
        );
        assert!(apply("{{ a | trim }}", json!(1)).is_err());
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| Template::parse(text).unwrap_err();
        for (text, message) in [
            (
                "a {{ x",
                "a placeholder begins with \"{{\" and does not end",
            ),
            (
                "{{ }}",
                "\"{{ }}\" is no placeholder: a name is missing at its end",
            ),
            (
                "{{.Names}}",
                "\"{{.Names}}\" is no placeholder: a name is missing before \".Names\"",
            ),
            (
                "{{ a.b c }}",
                "\"{{ a.b c }}\" is no placeholder: the end is missing before \"c\"",
            ),
            (
                "{{ a[x] }}",
                "\"{{ a[x] }}\" is no placeholder: [x] is neither a position from 0 nor a name in double quotes",
            ),
            ("{{ a | trmi }}", "unknown filter \"trmi\""),
        ] {
            assert_eq!(error(text).to_string(), message);
        }
        assert_eq!(error("{{ a | trmi }}").help(), "did you mean \"trim\"?");
        assert!(error("{{ x").help().contains("{{ \"{{\" }}"));
    }

    #[test]
    fn quoted_text_stands_for_itself() {
        let template = Template::parse("a{{ \"{{\" }}b {{\"}}\"}}").unwrap();
        assert_eq!(template.parts, [Part::Text("a{{b }}".to_owned())]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[{}\\[\\].|\"\\\\ aä0]{0,24}") {
            let _ = Template::parse(&text);
        }
    }
}
