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
//! {{ tasks.count.result.stdout | int }}  a filter: trim, json, int, float, text, url
//! {{ tasks.a.result.stdout | json | .items[0].id }}   a path is a filter, too
//! {{ env.TOKEN }}                        a variable of the executor's environment
//! {{ "{{" }}                             a text in quotes stands for itself: two literal braces
//! ```

use std::fmt;

use batch_core::text::did_you_mean;

use crate::datum::Datum;
use crate::filter::Filter;
use crate::parts::{Delimiters, Meaning, Template};
use crate::path::{Segment, is_name};

/// One placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// The first word: `tasks`, `env`, `row`, `params`.
    pub root: String,
    /// What follows it.
    pub path: Vec<Segment>,
    /// What is done to the value found, in this order.
    pub filters: Vec<Filter>,
    /// Where it is in its document, such as `argv[1]`; empty outside documents.
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
    /// What is between the braces is no path.
    #[error("\"{{{{{source_text}}}}}\" is not a placeholder: {found}")]
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
    /// How to fix it.
    pub fn help(&self) -> String {
        match self {
            Self::Unclosed { .. } | Self::BadPath { .. } => {
                "write {{ tasks.ID.result.stdout }}, or {{ \"{{\" }} for two literal braces"
                    .to_owned()
            }
            Self::UnknownFilter { name, .. } => did_you_mean(name, Filter::NAMES)
                .unwrap_or_else(|| format!("the filters are {}", Filter::NAMES.join(", "))),
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
    /// use batch_template::Template;
    /// let template = Template::parse("id={{ tasks.fetch.result.body.id | int }}").unwrap();
    /// assert_eq!(template.values().next().unwrap().task_id(), Some("fetch"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::parse_with(text, Delimiters::VALUE, read)
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
    pub fn filtered(&self, value: Datum) -> Result<Datum, String> {
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

/// Reads what is between the braces.
fn read(at: usize, inner: Option<&str>) -> Result<Meaning<Placeholder>, TemplateError> {
    let inner = inner.ok_or(TemplateError::Unclosed { at })?;
    let mut words = Words { rest: inner.trim() };
    let bad = |found: String| TemplateError::BadPath {
        at,
        source_text: inner.to_owned(),
        found,
    };
    if words.rest.starts_with('"') {
        let literal = words.quoted().map_err(bad)?;
        words.finish().map_err(bad)?;
        return Ok(Meaning::Text(literal));
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
                at,
                name: name.to_owned(),
            })?
        });
    }
    words.finish().map_err(bad)?;
    Ok(Meaning::Value(Placeholder {
        root,
        path,
        filters,
        place: String::new(),
        source: inner.trim().to_owned(),
    }))
}

/// The name of the field that a path begins with, and what follows it.
pub(crate) fn first_field(path: &str) -> Option<(String, &str)> {
    let rest = path.strip_prefix('.').filter(|rest| rest.starts_with('['));
    let mut words = Words {
        rest: rest.unwrap_or(path),
    };
    match words.step() {
        Ok(Some(Segment::Field(name))) => Some((name, words.rest)),
        _ => None,
    }
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
        self.rest = self
            .rest
            .strip_prefix('.')
            .filter(|rest| rest.starts_with('['))
            .unwrap_or(self.rest);
        while let Some(step) = self.step()? {
            path.push(step);
        }
        Ok(path)
    }

    fn step(&mut self) -> Result<Option<Segment>, String> {
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            return self
                .name()
                .map(|name| Some(Segment::Field(name.to_owned())));
        }
        let Some(rest) = self.rest.strip_prefix('[') else {
            return Ok(None);
        };
        self.rest = rest.trim_start();
        self.bracketed().map(Some)
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
    use crate::parts::Part;
    use crate::path::follow;
    use serde_json::{Value, json};

    fn one(text: &str) -> Placeholder {
        Template::parse(text)
            .unwrap()
            .values()
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
            let filtered = placeholder.filtered(found.into());
            assert_eq!(filtered, Ok(json!(5).into()), "{path}");
        }
    }

    #[test]
    fn filters_read_text() {
        let apply = |text: &str, value: Value| {
            let filtered = one(text).filtered(value.into());
            filtered.map(|value| serde_json::from_str::<Value>(&value.to_json()).unwrap())
        };
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
    fn filters_keep_digits_and_order() {
        for (filter, text, expected) in [
            (
                "int",
                " +00123456789012345678901234567890\n",
                "123456789012345678901234567890",
            ),
            ("int", "-007", "-7"),
            ("int", "-0", "0"),
            ("float", "2.50", "2.50"),
            (
                "float",
                "123456789012345678901234567890.10",
                "123456789012345678901234567890.10",
            ),
            ("float", "7", "7.0"),
            ("float", ".5", "0.5"),
            (
                "json",
                "\u{feff}{\"z\": 1e2, \"a\": 0.10}",
                "{\"z\":1e2,\"a\":0.10}",
            ),
            (
                "json | .a[0]",
                "{\"a\": [36893488147419103232]}",
                "36893488147419103232",
            ),
            (
                "json | .a | int",
                "{\"a\": 36893488147419103232}",
                "36893488147419103232",
            ),
            ("json | text", "[1.50]", "\"[1.50]\""),
            ("url", "a b&c/ä~", "\"a%20b%26c%2F%C3%A4~\""),
        ] {
            let placeholder = one(&format!("{{{{ a | {filter} }}}}"));
            let filtered = placeholder.filtered(text.into()).unwrap();
            assert_eq!(filtered.to_json(), expected, "{filter} {text}");
        }
        let digits = "9".repeat(400);
        for (filter, text) in [
            ("int", "1.0"),
            ("int", "1e3"),
            ("int", "-"),
            ("int", &digits),
            ("float", "1e999"),
        ] {
            let placeholder = one(&format!("{{{{ a | {filter} }}}}"));
            assert!(
                placeholder.filtered(text.into()).is_err(),
                "{filter} {text}"
            );
        }
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
                "\"{{ }}\" is not a placeholder: a name is missing at its end",
            ),
            (
                "{{.Names}}",
                "\"{{.Names}}\" is not a placeholder: a name is missing before \".Names\"",
            ),
            (
                "{{ a.b c }}",
                "\"{{ a.b c }}\" is not a placeholder: the end is missing before \"c\"",
            ),
            (
                "{{ a[x] }}",
                "\"{{ a[x] }}\" is not a placeholder: [x] is neither a position from 0 nor a name in double quotes",
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
