//! Gives tasks other ids where a document refers to them: [`rename_tasks`].

use batch_core::Json;
use serde_json::Value;

use crate::document::each_template;
use crate::encoding::Encoding;
use crate::fill::{Filled, join};
use crate::parts::{Part, Template};
use crate::path::Segment;
use crate::template::{Placeholder, first_field};

/// The document with other ids in its placeholders, `{{ tasks.ID.result }}`. `rename` gives the new id of a task that
/// gets one. All else stays as it was written.
pub fn rename_tasks(params: &Json, rename: &dyn Fn(&str) -> Option<String>) -> Json {
    let source = params.as_str();
    let mut written = String::new();
    let mut copied = 0;
    each_template(source, |_, template, range| {
        let renamed = template.ok().and_then(|found| renamed(&found, rename));
        if let Some(text) = renamed {
            written.push_str(&source[copied..range.start]);
            written.push_str(&Value::from(text).to_string());
            copied = range.end;
        }
    });
    written.push_str(&source[copied..]);
    Json::parse(&written).unwrap_or_else(|_| params.clone())
}

/// The text of a template with other ids; `None` where none of its tasks gets one.
fn renamed(template: &Template, rename: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let with_new_id = |placeholder: &Placeholder| {
        let id = rename(placeholder.task_id()?)?;
        let (_, rest) = first_field(placeholder.source.strip_prefix("tasks")?)?;
        let source = format!("tasks{}{rest}", Segment::Field(id));
        Some(Placeholder {
            source,
            ..placeholder.clone()
        })
    };
    let new: Vec<Option<Placeholder>> = template.values().map(with_new_id).collect();
    if new.iter().all(Option::is_none) {
        return None;
    }
    let mut new = new.iter();
    let parts: Vec<Filled<'_>> = template
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Filled::Text(text),
            Part::Value(old) => {
                let new = new.next().and_then(Option::as_ref);
                Filled::Kept(new.unwrap_or(old))
            }
        })
        .collect();
    join(&parts, "", Encoding::Text, true).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_renamed_and_all_else_stays() {
        let rename = |id: &str| (id == "a").then(|| "a-7".to_owned());
        for (document, renamed) in [
            (
                r#"{ "{{ tasks.a.x }}" : ["{{tasks.a.x}}", {"x":"\u007b{ tasks[\"a\"] }}", "n": 1.50}] }"#,
                r#"{ "{{ tasks.a.x }}" : ["{{ tasks.a-7.x }}", {"x":"{{ tasks.a-7 }}", "n": 1.50}] }"#,
            ),
            (
                r#"["{{ \"{{\" }} {{ tasks.a }}{", "{{ \"{\" }}{{tasks.a}}", "{{ tasks.ab }}", "{{ tasks.a"]"#,
                r#"["{{ \"{{\" }} {{ tasks.a-7 }}{", "{{ \"{\" }}{{ tasks.a-7 }}", "{{ tasks.ab }}", "{{ tasks.a"]"#,
            ),
        ] {
            let found = rename_tasks(&Json::parse(document).unwrap(), &rename);
            assert_eq!(found.as_str(), renamed);
        }
    }
}
