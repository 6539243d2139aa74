//! Ids that stay apart when a template is expanded once for each row: [`RowIds`].
//!
//! An id that is the same text in each row gets the number of the row: `fetch` becomes `fetch-1`, `fetch-2`. What
//! refers to it from the same template, in `depends_on` or by `{{ tasks.fetch.result }}`, follows.

use std::borrow::Cow;
use std::collections::HashSet;

use batch_core::Json;
use batch_template::{Encodings, Placeholder, Segment, Template, fill};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fields::plain_text;
use crate::task_template::{TaskTemplate, TemplateField, is_kept};

/// The ids of a template that are the same in each row.
pub(crate) struct RowIds(HashSet<String>);

impl RowIds {
    pub(crate) fn of(tasks: &[TaskTemplate]) -> Self {
        Self(tasks.iter().filter_map(same_id).collect())
    }

    /// A filled field with the ids of a row, which are numbered from 1.
    pub(crate) fn apply(&self, field: &TemplateField, value: Json, row: usize) -> Json {
        match field.name.as_str() {
            // An id with a placeholder is its author's business, even where it comes out as one of the others.
            "id" if !field.placeholders.is_empty() => value,
            "id" | "depends_on" => self.rename_all(&value, row).unwrap_or(value),
            name if is_kept(name) && self.is_used_in(field) => {
                let renamed = rewrite_texts(value.as_str(), |text| self.rename_in(text, row));
                Json::parse(&renamed).unwrap_or(value)
            }
            _ => value,
        }
    }

    fn renamed(&self, id: &str, row: usize) -> Option<String> {
        self.0.contains(id).then(|| format!("{id}-{row}"))
    }

    /// Renames an id or a list of ids.
    fn rename_all(&self, value: &Json, row: usize) -> Option<Json> {
        let rename = |raw: &RawValue| {
            let renamed = plain_text(raw).and_then(|id| self.renamed(&id, row));
            renamed.map_or_else(|| raw.get().to_owned(), |id| Value::from(id).to_string())
        };
        let text = match serde_json::from_str::<Vec<&RawValue>>(value.as_str()) {
            Ok(list) => format!(
                "[{}]",
                list.into_iter().map(rename).collect::<Vec<_>>().join(",")
            ),
            Err(_) => rename(serde_json::from_str(value.as_str()).ok()?),
        };
        Json::parse(&text).ok()
    }

    fn is_used_in(&self, field: &TemplateField) -> bool {
        let ids = field.placeholders.iter().filter_map(Placeholder::task_id);
        ids.into_iter().any(|id| self.0.contains(id))
    }

    /// Renames the tasks in the placeholders of a text; `None` when there are none to rename.
    fn rename_in(&self, text: &str, row: usize) -> Option<String> {
        let mut renamed = String::new();
        let mut at = 0;
        while let Some(begin) = text[at..].find("{{").map(|found| at + found) {
            let (template, end) = braces(text, begin)?;
            let placeholder = template.placeholders().next();
            let new = placeholder.and_then(|p| {
                let id = self.renamed(p.task_id()?, row)?;
                Some(format!("tasks{}{}", Segment::Field(id), after_id(p)?))
            });
            renamed.push_str(&text[at..begin]);
            match new {
                Some(source) => renamed.push_str(&format!("{{{{ {source} }}}}")),
                None => renamed.push_str(&text[begin..end]),
            }
            at = end;
        }
        renamed.push_str(&text[at..]);
        (renamed != text).then_some(renamed)
    }
}

/// The id of a task, when it is the same whatever the values.
fn same_id(task: &TaskTemplate) -> Option<String> {
    let field = task.fields.iter().find(|field| field.name == "id")?;
    if !field.placeholders.is_empty() {
        return None;
    }
    let none = |_: &Placeholder| Err(String::new());
    let value = fill(&field.value, &none, &|_| Encodings::text()).ok()?;
    let raw = serde_json::from_str(value.as_str()).ok()?;
    plain_text(raw).map(Cow::into_owned)
}

/// The braces that open at `begin` and the place after them. They end at the first "}}" with which they are well
/// formed: others are inside quotes.
fn braces(text: &str, begin: usize) -> Option<(Template, usize)> {
    let mut ends = text[begin..]
        .match_indices("}}")
        .map(|(at, _)| begin + at + 2);
    ends.find_map(|end| Some((Template::parse(&text[begin..end]).ok()?, end)))
}

/// What follows `tasks.ID` or `tasks["ID"]` in a placeholder.
fn after_id(placeholder: &Placeholder) -> Option<&str> {
    let rest = placeholder.source.strip_prefix("tasks")?;
    let path = rest.strip_prefix('.').unwrap_or(rest);
    match path.strip_prefix('[') {
        Some(quoted) => {
            let quoted = quoted.trim_start();
            let mut texts = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
            texts.next()?.ok()?;
            quoted[texts.byte_offset()..].trim_start().strip_prefix(']')
        }
        None => path.strip_prefix(placeholder.task_id()?),
    }
}

/// Replaces texts of a JSON document by what `replace` gives; names of fields and all else stay as they were
/// written.
fn rewrite_texts(json: &str, replace: impl Fn(&str) -> Option<String>) -> String {
    let mut written = String::with_capacity(json.len());
    let mut at = 0;
    while let Some(begin) = json[at..].find('"').map(|found| at + found) {
        let rest = &json[begin..];
        let mut texts = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let Some(Ok(text)) = texts.next() else {
            break;
        };
        let end = begin + texts.byte_offset();
        let is_name = json[end..].trim_start().starts_with(':');
        written.push_str(&json[at..begin]);
        match replace(&text).filter(|_| !is_name) {
            Some(new) => written.push_str(&Value::from(new).to_string()),
            None => written.push_str(&json[begin..end]),
        }
        at = end;
    }
    written.push_str(&json[at..]);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(text: &str) -> String {
        let ids = RowIds(["a", "odd \"]"].map(str::to_owned).into());
        let text = Value::from(text).to_string();
        let json = rewrite_texts(&text, |text| ids.rename_in(text, 7));
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn references_follow_however_they_are_written() {
        for (text, expected) in [
            ("{{tasks.a.result}}!", "{{ tasks.a-7.result }}!"),
            (
                "{{ tasks[\"a\"].result | int }}",
                "{{ tasks.a-7.result | int }}",
            ),
            ("{{ tasks.[ \"\\u0061\" ][0] }}", "{{ tasks.a-7[0] }}"),
            (
                "{{ tasks[\"odd \\\"]\"][\"}}\"] }}",
                "{{ tasks[\"odd \\\"]-7\"][\"}}\"] }}",
            ),
        ] {
            assert_eq!(renamed(text), expected);
        }
    }

    #[test]
    fn all_else_stays() {
        for text in [
            "{{ tasks.ab.result }} {{ tasks.b.a }} a {{ x.a }}",
            "{{ \"{{\" }} tasks.a.result }}",
            "{{ \"{{ tasks.a.result }}\" }}",
        ] {
            assert_eq!(renamed(text), text);
        }
    }

    #[test]
    fn names_of_fields_stay() {
        let json = r#"{ "x" : ["x", {"x":"y\"x", "n": 1.50}] }"#;
        let rewritten = rewrite_texts(json, |text| (text == "x").then(|| "z".to_owned()));
        assert_eq!(rewritten, r#"{ "x" : ["z", {"x":"y\"x", "n": 1.50}] }"#);
    }
}
