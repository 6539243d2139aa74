//! Which tasks a task refers to: [`references`], which a catalog hands on to the plan.

use batch_core::{
    TaskSpec,
    catalog::{ParamProblem, References},
    text::did_you_mean,
};

use crate::document::placeholders;
use crate::path::Segment;
use crate::template::Placeholder;
use crate::variables::{VARIABLE_ROOT, variable_of};

/// The first word of the placeholder for the slot that a task runs in, `{{ slot }}`: a number from 1, which no two
/// tasks that run at one time have together. It is known when an attempt starts.
pub const SLOT_ROOT: &str = "slot";

/// The tasks whose results the parameters of a task use, and what is wrong with its placeholders.
///
/// ```
/// use batch_core::TaskSpec;
/// let params = serde_json::json!({"n": "{{ tasks.count.result.stdout | int }}"});
/// let task = TaskSpec::new("double").with_params(&params).unwrap();
/// assert_eq!(batch_template::references(&task).tasks, ["count"]);
/// ```
pub fn references(task: &TaskSpec) -> References {
    let mut found = References::default();
    match placeholders(&task.params) {
        Ok(placeholders) => {
            for placeholder in &placeholders {
                let checked = match placeholder.root.as_str() {
                    VARIABLE_ROOT => variable_of(placeholder).map(drop),
                    SLOT_ROOT if placeholder.path.is_empty() => Ok(()),
                    _ => referenced_task(placeholder).map(|id| found.tasks.push(id.to_owned())),
                };
                // The same mistake in one text is one mistake.
                found.problems.extend(
                    checked
                        .err()
                        .filter(|problem| !found.problems.contains(problem)),
                );
            }
        }
        Err(problems) => found.problems = problems,
    }
    found
}

/// The id of the task whose result a placeholder means.
fn referenced_task(placeholder: &Placeholder) -> Result<&str, ParamProblem> {
    let root = placeholder.root.as_str();
    let message = match placeholder.path.as_slice() {
        _ if root != "tasks" => format!("unknown placeholder {root:?}"),
        [Segment::Field(id), Segment::Field(what), ..] if what == "result" => return Ok(id),
        _ => format!("the placeholder {placeholder} names no result"),
    };
    let near =
        did_you_mean(&root.to_lowercase(), ["tasks", VARIABLE_ROOT]).filter(|_| root != "tasks");
    let help = near.unwrap_or_else(|| {
        "write {{ tasks.ID.result… }} to use the result of another task, {{ env.NAME }} for a variable of the environment, {{ slot }} for the number of the slot".to_owned()
    });
    Err(ParamProblem::new("", message).with_help(help))
}
