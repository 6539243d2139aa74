//! Ids that stay apart when a template is expanded once for each row: [`RowIds`].
//!
//! An id that is the same text in each row gets the number of the row: `fetch` becomes `fetch-1`, `fetch-2`. What
//! refers to it from the same template, in `depends_on` or by `{{ tasks.fetch.result }}`, follows.

use std::borrow::Cow;
use std::collections::HashSet;

use batch_core::Json;
use batch_template::{Encodings, Placeholder, fill, rename_tasks};
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
                rename_tasks(&value, &|id| self.renamed(id, row))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(text: &str) -> String {
        let ids = RowIds(["a", "odd \"]"].map(str::to_owned).into());
        let renamed = rename_tasks(&Json::from(Value::from(text)), &|id| ids.renamed(id, 7));
        renamed.get().unwrap()
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
}
