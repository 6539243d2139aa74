//! Finds the placeholders in the strings of a JSON document: [`placeholders`].
//!
//! The document is gone through as text, and nothing else of it is read.

use std::borrow::Cow;
use std::ops::Range;

use batch_core::{Json, catalog::ParamProblem};
use serde_json::Value;

use crate::parts::Template;
use crate::path::Segment;
use crate::template::{Placeholder, TemplateError};

/// All placeholders of a document, each with its `place`.
///
/// Only values are looked at: a name in an object is never a placeholder.
///
/// # Errors
/// All texts that are no well-formed templates.
pub fn placeholders(params: &Json) -> Result<Vec<Placeholder>, Vec<ParamProblem>> {
    if !may_have_placeholders(params) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut problems = Vec::new();
    each_template(params.as_str(), |path, template, _| {
        let place = place_name(path);
        match template {
            Ok(template) => found.extend(template.values().map(|placeholder| Placeholder {
                place: place.clone(),
                ..placeholder.clone()
            })),
            Err(error) => problems.push(syntax_problem(&place, &error)),
        }
    });
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

/// Whether it is worth while to look for placeholders: a cheap look at the text. A brace can be written as an
/// escape, too.
pub fn may_have_placeholders(params: &Json) -> bool {
    params.as_str().contains("{{") || params.as_str().contains("\\u007")
}

/// Writes a text so that it is a template for itself: two braces become `{{ "{{" }}`.
///
/// ```
/// assert_eq!(batch_template::escape_braces("{{.Names}}"), "{{ \"{{\" }}.Names}}");
/// assert_eq!(batch_template::escape_braces("{}"), "{}");
/// ```
pub fn escape_braces(text: &str) -> Cow<'_, str> {
    if text.contains("{{") {
        Cow::Owned(text.replace("{{", "{{ \"{{\" }}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The document with other texts. Names of fields, numbers and all else stay as they were written, and so does a text
/// that comes back as it was.
pub fn map_texts(document: &Json, change: &mut dyn FnMut(&str) -> String) -> Json {
    let source = document.as_str();
    let mut written = String::with_capacity(source.len());
    let mut copied = 0;
    each_text(source, |_, range| {
        let text: String = serde_json::from_str(&source[range.clone()]).unwrap_or_default();
        let changed = change(&text);
        if changed != text {
            written.push_str(&source[copied..range.start]);
            written.push_str(&Value::from(changed).to_string());
            copied = range.end;
        }
    });
    written.push_str(&source[copied..]);
    Json::parse(&written).expect("a text took the place of another")
}

pub(crate) fn syntax_problem(place: &str, error: &TemplateError) -> ParamProblem {
    ParamProblem::new(place, error.to_string()).with_help(error.help())
}

/// Calls `visit` for each string value that holds two braces: the path to it, the template, its bytes.
pub(crate) fn each_template(
    source: &str,
    mut visit: impl FnMut(&[Segment], Result<Template, TemplateError>, Range<usize>),
) {
    each_text(source, |path, range| {
        let raw = &source[range.clone()];
        if raw.contains("{{") || raw.contains("\\u007") {
            let text: String = serde_json::from_str(raw).unwrap_or_default();
            if text.contains("{{") {
                visit(path, Template::parse(&text), range);
            }
        }
    });
}

/// Calls `visit` for each string value: the path to it, and its bytes.
fn each_text(source: &str, mut visit: impl FnMut(&[Segment], Range<usize>)) {
    let bytes = source.as_bytes();
    // In which field or element the walk is, from the outside in.
    let mut path: Vec<Segment> = Vec::new();
    let mut awaits_name = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => {
                path.push(Segment::Field(String::new()));
                awaits_name = true;
            }
            b'[' => path.push(Segment::Index(0)),
            b'}' | b']' => {
                path.pop();
                awaits_name = false;
            }
            b',' => match path.last_mut() {
                Some(Segment::Index(index)) => *index += 1,
                _ => awaits_name = true,
            },
            b'"' => {
                let range = at..string_end(bytes, at);
                at = range.end - 1;
                if let Some(Segment::Field(name)) = path.last_mut().filter(|_| awaits_name) {
                    read_name(&source[range], name);
                    awaits_name = false;
                } else {
                    visit(&path, range);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Reads the name of a field; most have no escapes.
fn read_name(raw: &str, name: &mut String) {
    if raw.contains('\\') {
        *name = serde_json::from_str(raw).unwrap_or_default();
    } else {
        name.clear();
        name.push_str(raw.trim_matches('"'));
    }
}

pub(crate) fn place_name(path: &[Segment]) -> String {
    let mut place = String::new();
    for segment in path {
        place.push_str(&segment.to_string());
    }
    match place.strip_prefix('.') {
        Some(rest) => rest.to_owned(),
        None => place,
    }
}

/// The place after the text that begins at `at` in a JSON document.
pub(crate) fn string_end(document: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < document.len() {
        match document[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    document.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_know_their_places() {
        let params = Json::parse(r#"{"argv": ["x", "\u007b{ tasks.a-1.result[0] }}"]}"#).unwrap();
        let found = placeholders(&params).unwrap();
        assert_eq!(found[0].place, "argv[1]");
        assert_eq!(found[0].task_id(), Some("a-1"));
    }
}
