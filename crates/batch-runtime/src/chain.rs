//! Passing results on: the results that later tasks use, and filling them into parameters.

use std::collections::HashMap;
use std::sync::Arc;

use batch_core::{
    Failure, FailureKind, Json, Output, Placeholder, Segment, Stream, TaskId, TaskSpec, fill,
    placeholders,
};
use serde_json::{Value, json};

use crate::handler::Handler;

/// The results a task uses, by the author's id of the task they come from.
pub(crate) type Inputs = Vec<Input>;

/// A task by its author's id, and its result.
pub(crate) type Input = (Box<str>, Option<Arc<Output>>);

/// The results that unfinished tasks will use.
#[derive(Default)]
pub(crate) struct Results {
    /// The tasks whose results a task uses.
    uses: HashMap<TaskId, Vec<(Box<str>, TaskId)>>,
    kept: HashMap<TaskId, Kept>,
}

#[derive(Default)]
struct Kept {
    users: u32,
    output: Option<Arc<Output>>,
}

impl Results {
    /// Notes which results a new task will use. `find` tells the tasks by their author's ids.
    pub(crate) fn add_user(
        &mut self,
        task: TaskId,
        spec: &TaskSpec,
        find: impl Fn(&str) -> Option<TaskId>,
    ) {
        if !spec.params.as_str().contains("{{") {
            return;
        }
        let mut uses: Vec<(Box<str>, TaskId)> = Vec::new();
        for placeholder in placeholders(&spec.params).unwrap_or_default() {
            if let Some(Segment::Field(id)) = placeholder.path.first()
                && let Some(source) = find(id)
                && uses.iter().all(|(known, _)| **known != **id)
            {
                uses.push((id.as_str().into(), source));
                self.kept.entry(source).or_default().users += 1;
            }
        }
        if !uses.is_empty() {
            self.uses.insert(task, uses);
        }
    }

    /// Keeps the result of a completed task, if another will use it.
    pub(crate) fn completed(&mut self, task: TaskId, output: Option<&Arc<Output>>) {
        if self.kept.is_empty() {
            return;
        }
        if let Some(kept) = self.kept.get_mut(&task) {
            kept.output = output.cloned();
        }
    }

    /// The results that an attempt of a task is given.
    pub(crate) fn inputs(&self, task: TaskId) -> Option<Inputs> {
        if self.uses.is_empty() {
            return None;
        }
        let uses = self.uses.get(&task)?;
        let input = |(id, source): &(Box<str>, TaskId)| {
            let output = self.kept.get(source).and_then(|kept| kept.output.clone());
            (id.clone(), output)
        };
        Some(uses.iter().map(input).collect())
    }

    /// A task is finished: it uses no results any more.
    pub(crate) fn finished(&mut self, task: TaskId) {
        if self.uses.is_empty() {
            return;
        }
        for (_, source) in self.uses.remove(&task).unwrap_or_default() {
            if let Some(kept) = self.kept.get_mut(&source) {
                kept.users -= 1;
                if kept.users == 0 {
                    self.kept.remove(&source);
                }
            }
        }
    }
}

/// Fills results into parameters.
pub(crate) fn fill_in(
    params: &Json,
    inputs: &[Input],
    handler: &dyn Handler,
) -> Result<Json, Failure> {
    let encoding = |path: &str| handler.encoding(params, path);
    let lookup = |placeholder: &Placeholder| look_up(placeholder, inputs);
    fill(params, &lookup, &encoding).map_err(|problems| {
        let texts: Vec<String> = problems
            .iter()
            .map(|problem| format!("params.{}: {}", problem.path, problem.message))
            .collect();
        Failure::new(FailureKind::InputError, texts.join("; ")).permanent()
    })
}

fn look_up(placeholder: &Placeholder, inputs: &[Input]) -> Result<Value, String> {
    let Some((Segment::Field(id), path)) = placeholder.path.split_first() else {
        return Err(format!("{placeholder} names no task"));
    };
    let (_, output) = inputs
        .iter()
        .find(|(known, _)| **known == **id)
        .ok_or_else(|| format!("the result of task {id:?} is not at hand"))?;
    let output = output
        .as_ref()
        .ok_or_else(|| format!("task {id:?} left no result"))?;
    let mut value = result_value(output)?;
    // The first step is the word `result` itself.
    for segment in &path[1.min(path.len())..] {
        let step = match segment {
            Segment::Field(name) => value.get_mut(name),
            Segment::Index(index) => value.get_mut(index),
        };
        value = step
            .ok_or_else(|| format!("{placeholder}: the result has no {segment}"))?
            .take();
    }
    Ok(value)
}

/// The result as other tasks see it: the value, else what the process left.
fn result_value(output: &Output) -> Result<Value, String> {
    if let Some(value) = &output.value {
        return Ok(value.to_value());
    }
    Ok(json!({
        "exit_code": output.process.and_then(|process| process.exit_code),
        "stdout": text(&output.stdout)?,
        "stderr": text(&output.stderr)?,
    }))
}

fn text(stream: &Stream) -> Result<String, String> {
    match stream {
        Stream::Inline(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Stream::File { len, .. } => Err(format!(
            "the output is too large to pass on ({len} bytes); write it to a file and pass its name"
        )),
    }
}
