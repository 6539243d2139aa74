//! Passing results on: the results that later tasks use, and filling them into parameters.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::env::VarError;
use std::sync::{Arc, OnceLock, PoisonError};

use batch_core::{
    Failure, FailureKind, Json, Output, TaskId, TaskOptions, TaskSpec, catalog::ParamProblem,
    outcome::Stream,
};
use batch_template::{
    Datum, Placeholder, SLOT_ROOT, Secrets, Segment, VARIABLE_ROOT, fill, fill_variables,
    may_have_placeholders, part, placeholders, variable_of,
};
use serde_json::json;

use crate::durable::{SharedSource, SourceError};
use crate::handler::{Handler, encodings_for};

/// The largest value that is passed on, as JSON text: as a tree it can take eighty times as much.
const MOST_PASSED_ON: usize = 8 * 1024 * 1024;

/// The results a task uses.
pub(crate) type Inputs = Vec<Input>;

/// A result that a task uses.
#[derive(Clone)]
pub(crate) struct Input {
    /// The author's id of the task it comes from.
    id: Box<str>,
    /// That task; `None` where the batch does not know it by its id any more.
    source: Option<TaskId>,
    result: Slot,
}

/// Where a result is put: empty until it is known, then what the task left, if anything.
type Slot = Arc<OnceLock<Option<Arc<Output>>>>;

/// The results that unfinished tasks will use.
#[derive(Default)]
pub(crate) struct Results {
    /// What each task uses.
    uses: HashMap<TaskId, Inputs>,
    kept: HashMap<TaskId, Kept>,
}

#[derive(Default)]
struct Kept {
    users: u32,
    result: Slot,
}

impl Results {
    /// Notes which results a new task will use. `find` tells the tasks by their author's ids.
    pub(crate) fn add_user(
        &mut self,
        task: TaskId,
        spec: &TaskSpec,
        find: impl Fn(&str) -> Option<TaskId>,
    ) {
        if !may_have_placeholders(&spec.params) {
            return;
        }
        self.finished(task);
        let mut inputs = Inputs::new();
        for placeholder in placeholders(&spec.params).unwrap_or_default() {
            if let Some(id) = placeholder.task_id()
                && inputs.iter().all(|known| *known.id != *id)
            {
                inputs.push(self.input(id, find(id)));
            }
        }
        if !inputs.is_empty() {
            self.uses.insert(task, inputs);
        }
    }

    fn input(&mut self, id: &str, source: Option<TaskId>) -> Input {
        let result = source.map(|source| {
            let kept = self.kept.entry(source).or_default();
            kept.users += 1;
            Arc::clone(&kept.result)
        });
        Input {
            id: id.into(),
            source,
            result: result.unwrap_or_default(),
        }
    }

    /// Whether no task uses a result.
    pub(crate) fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }

    /// Keeps the result of a completed task, if another will use it.
    pub(crate) fn completed(&mut self, task: TaskId, output: Option<&Arc<Output>>) {
        let Some(kept) = self.kept.get_mut(&task) else {
            return;
        };
        let known = output.cloned();
        if let Err(known) = kept.result.set(known) {
            // It completed before and was opened again: the result is a new one.
            kept.result = Arc::new(OnceLock::from(known));
            let result = &kept.result;
            let inputs = self.uses.values_mut().flatten();
            for input in inputs.filter(|input| input.source == Some(task)) {
                input.result = Arc::clone(result);
            }
        }
    }

    /// The results that an attempt of a task is given. `find` as for [`add_user`](Self::add_user): a task
    /// may have come after those that use its result.
    pub(crate) fn inputs(
        &self,
        task: TaskId,
        find: impl Fn(&str) -> Option<TaskId>,
    ) -> Option<Inputs> {
        if self.uses.is_empty() {
            return None;
        }
        let mut inputs = self.uses.get(&task)?.clone();
        for input in &mut inputs {
            input.source = input.source.or_else(|| find(&input.id));
        }
        Some(inputs)
    }

    /// A task is finished: it uses no results any more.
    pub(crate) fn finished(&mut self, task: TaskId) {
        for input in self.uses.remove(&task).unwrap_or_default() {
            let Some(source) = input.source else { continue };
            if let Some(kept) = self.kept.get_mut(&source) {
                kept.users -= 1;
                if kept.users == 0 {
                    self.kept.remove(&source);
                }
            }
        }
    }
}

/// Whether a task may hold placeholders, also in the variables that it is given.
pub(crate) fn is_template(spec: &TaskSpec) -> bool {
    may_have_placeholders(&spec.params)
        || spec.options.env.values().any(|value| value.contains("{{"))
}

/// How many bytes the results have, as far as they are known and are in memory.
pub(crate) fn size_of(inputs: &[Input]) -> usize {
    let known = inputs.iter().filter_map(|input| input.result.get());
    known.flatten().map(|output| output.in_memory()).sum()
}

/// Whether all results are known.
pub(crate) fn are_known(inputs: &[Input]) -> bool {
    inputs.iter().all(|input| input.result.get().is_some())
}

/// Whether a result is not known that may have come about in this run.
pub(crate) fn are_fresh(inputs: &[Input]) -> bool {
    inputs
        .iter()
        .any(|input| input.source.is_some() && input.result.get().is_none())
}

/// Asks for the results that are not known. It may wait for a disk.
///
/// # Errors
/// When one of them cannot be read.
pub(crate) fn look_for(inputs: &[Input], source: &SharedSource) -> Result<(), Failure> {
    let mut stored = source.lock().unwrap_or_else(PoisonError::into_inner);
    for input in inputs {
        if input.result.get().is_some() {
            continue;
        }
        let unread = |error: SourceError| {
            let message = format!("the result of task {:?} cannot be read: {error}", input.id);
            Failure::new(FailureKind::InputError, message)
        };
        let task = match input.source {
            Some(task) => Some(task),
            None => stored.find(&input.id).map_err(unread)?,
        };
        if let Some(task) = task {
            let result = stored.result(task).map_err(unread)?;
            // Another task that uses it may have asked meanwhile.
            input.result.get_or_init(|| result);
        }
    }
    Ok(())
}

/// Fills results, variables and its slot, from 0, into a task. Gives the values of the variables as well.
pub(crate) fn fill_in(
    spec: &TaskSpec,
    inputs: &[Input],
    slot: u32,
    handler: &dyn Handler,
) -> Result<(Arc<TaskSpec>, Secrets), Failure> {
    let values = RefCell::new(Vec::new());
    let variable = |name: &str| {
        let value = variable(name)?;
        values.borrow_mut().push(value.clone());
        Ok(value)
    };
    let encodings = encodings_for(handler, spec);
    let lookup = |placeholder: &Placeholder| match placeholder.root.as_str() {
        VARIABLE_ROOT => variable_of(placeholder)
            .map_err(|problem| problem.message)
            .and_then(|name| variable(name).map(Datum::from)),
        SLOT_ROOT => Ok(Datum::Text((u64::from(slot) + 1).to_string())),
        _ => look_up(placeholder, inputs),
    };
    let params =
        fill(&spec.params, &lookup, &encodings).map_err(|problems| bad_input(&problems))?;
    let options = fill_options(&spec.options, &variable)?;
    let spec = TaskSpec {
        params,
        options,
        ..spec.clone()
    };
    Ok((Arc::new(spec), Secrets::of(values.take())))
}

fn fill_options(
    options: &Arc<TaskOptions>,
    variable: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Arc<TaskOptions>, Failure> {
    let mut filled = Vec::new();
    for (name, value) in &options.env {
        match fill_variables(value, variable) {
            Ok(None) => {}
            Ok(Some(value)) => filled.push((name.clone(), value)),
            Err(why) => {
                let message = format!("env.{name}: {why}");
                return Err(Failure::new(FailureKind::InputError, message).permanent());
            }
        }
    }
    if filled.is_empty() {
        return Ok(Arc::clone(options));
    }
    let mut options = TaskOptions::clone(options);
    options.env.extend(filled);
    Ok(Arc::new(options))
}

/// The value of a variable of our environment.
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| match error {
        VarError::NotPresent => {
            format!("the variable {name} is not set in the environment of the executor")
        }
        VarError::NotUnicode(_) => format!("the value of the variable {name} is not UTF-8"),
    })
}

fn bad_input(problems: &[ParamProblem]) -> Failure {
    let texts: Vec<String> = problems
        .iter()
        .map(|problem| match problem.path.as_str() {
            "" => format!("params: {}", problem.message),
            path => format!("params.{path}: {}", problem.message),
        })
        .collect();
    Failure::new(FailureKind::InputError, texts.join("; ")).permanent()
}

fn look_up(placeholder: &Placeholder, inputs: &[Input]) -> Result<Datum, String> {
    let Some((Segment::Field(id), path)) = placeholder.path.split_first() else {
        return Err("it names no task".to_owned());
    };
    let output = inputs
        .iter()
        .find(|input| *input.id == **id)
        .and_then(|input| input.result.get())
        .ok_or_else(|| format!("the result of task {id:?} is not at hand"))?;
    let output = output
        .as_ref()
        .ok_or_else(|| format!("task {id:?} left no result"))?;
    // The first step is the word `result` itself.
    let path = &path[1.min(path.len())..];
    let value = match &output.value {
        Some(value) => Cow::Borrowed(value),
        None => Cow::Owned(result_of_process(output)?),
    };
    let found = part(&value, path)
        .or_else(|why| part(&value, &in_lower_case(path)).map_err(|_| why))
        .map_err(|why| format!("in the result {why}"))?;
    if found.len() > MOST_PASSED_ON {
        return Err(too_large("value", found.len() as u64));
    }
    Datum::read(found)
}

/// A path to a header with its name as results have it: the names of headers are the same in any case.
fn in_lower_case(path: &[Segment]) -> Vec<Segment> {
    let mut path = path.to_vec();
    if let [Segment::Field(headers), Segment::Field(name), ..] = &mut path[..]
        && headers == "headers"
    {
        name.make_ascii_lowercase();
    }
    path
}

/// What a process left, as other tasks see it.
fn result_of_process(output: &Output) -> Result<Json, String> {
    Ok(Json::from(json!({
        "exit_code": output.process.and_then(|process| process.exit_code),
        "stdout": text(&output.stdout)?,
        "stderr": text(&output.stderr)?,
    })))
}

fn text(stream: &Stream) -> Result<String, String> {
    match stream {
        Stream::Inline(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Stream::File { len, .. } => Err(too_large("output", *len)),
    }
}

fn too_large(what: &str, len: u64) -> String {
    format!(
        "the {what} is too large to pass on ({len} bytes); write it to a file and pass its name"
    )
}
