//! Strict reading of an object with named fields: [`Fields`].
//!
//! The one reader for the parameters of tasks, when a plan is checked and when an attempt starts, and for the arguments
//! of tool calls. What is unknown or of the wrong type is a [`ParamProblem`]; nothing is guessed or left out.

use std::time::Duration;

use batch_core::{
    Failure, FailureKind, Json,
    catalog::ParamProblem,
    duration::{duration_from_seconds, parse_duration},
    text::did_you_mean,
};
use batch_template::{Segment, part};
use serde_json::{Map, Value};

use crate::handler::{AttemptError, TaskContext};
use crate::offload::offload;

/// The fields of a parameter object.
///
/// Before a run a handler collects all problems with [`check`](Fields::check) and its kin; when an attempt starts, it
/// reads with [`text`](Fields::text) and its kin, which give the first one.
///
/// ```
/// use batch_core::Json;
/// use batch_runtime::params::Fields;
///
/// let params = Json::parse(r#"{"path": 5, "depht": 1}"#).unwrap();
/// let mut fields = Fields::unfilled(&params, &["path", "depth"]);
/// fields.require("path", "a text", serde_json::Value::is_string);
/// let problems = fields.finish().unwrap_err();
/// let texts: Vec<&str> = problems.iter().map(|problem| &*problem.message).collect();
/// assert_eq!(texts, [r#"unknown field "depht""#, "must be a text, not a number"]);
/// assert_eq!(problems[0].help.as_deref(), Some(r#"did you mean "depth"?"#));
/// ```
#[derive(Debug)]
pub struct Fields {
    fields: Map<String, Value>,
    /// The object as it was written; `null` where only its fields are known.
    source: Json,
    problems: Vec<ParamProblem>,
}

impl Fields {
    /// An object whose fields are checked elsewhere for unknown ones.
    pub fn new(fields: Map<String, Value>) -> Self {
        Self {
            fields,
            source: Json::null(),
            problems: Vec::new(),
        }
    }

    /// The parameters of a task before it runs: an object that may have these fields and no others. Texts with
    /// placeholders are still to be filled in, so they fit everywhere.
    pub fn unfilled(params: &Json, known: &[&str]) -> Self {
        match params.to_value() {
            Value::Object(fields) => Self {
                problems: unknown_fields(&fields, known),
                ..Self::new(fields)
            },
            other => Self {
                problems: vec![mismatch("", "an object", &other)],
                ..Self::new(Map::new())
            },
        }
    }

    /// The parameters of an attempt, with all placeholders filled in. They were checked before, but what was filled in
    /// may be of any type: a number where a text is expected is written out.
    ///
    /// # Errors
    /// When they are no object.
    pub async fn of(task: &TaskContext) -> Result<Self, ParamProblem> {
        let source = task.spec.params.clone();
        let params = source.clone();
        let value = offload(params.as_str().len(), move || params.to_value()).await;
        let fields = object(value)?;
        Ok(Self {
            source,
            ..Self::new(fields)
        })
    }

    /// A field; `null` is as good as absent.
    pub fn get(&self, name: &str) -> Option<&Value> {
        present(&self.fields, name)
    }

    /// A field as a document, with the digits of its numbers and the order of its fields as they were written.
    pub fn json(&self, name: &str) -> Option<Json> {
        let value = self.get(name)?;
        let path = [Segment::Field(name.to_owned())];
        let written = part(&self.source, &path).ok().map(str::to_owned);
        let document = written.and_then(|text| Json::compact(text).ok());
        Some(document.unwrap_or_else(|| value.into()))
    }

    /// A text, a number as it was written, or a truth value, as text. `path` leads to the value.
    pub fn written_out(&self, path: &[Segment], value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => {
                let written = part(&self.source, path).map(str::to_owned);
                Some(written.unwrap_or_else(|_| number.to_string()))
            }
            Value::Bool(is) => Some(is.to_string()),
            _ => None,
        }
    }

    /// The object itself.
    pub fn into_object(self) -> Map<String, Value> {
        self.fields
    }

    /// Takes a field out of the object.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// Reads a field that may be absent.
    ///
    /// # Errors
    /// When `read` gives nothing: the value is not what is `expected`, such as `a text`.
    pub fn read<'v, T>(
        &'v self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'v Value) -> Option<T>,
    ) -> Result<Option<T>, ParamProblem> {
        let value = self.get(name);
        value
            .map(|value| read(value).ok_or_else(|| mismatch(name, expected, value)))
            .transpose()
    }

    /// Reads a text.
    ///
    /// # Errors
    /// When the field has no plain text.
    pub fn text(&self, name: &str) -> Result<Option<String>, ParamProblem> {
        let path = [Segment::Field(name.to_owned())];
        self.read(name, "a text", |value| self.written_out(&path, value))
    }

    /// Reads a text that must be there.
    ///
    /// # Errors
    /// When it is missing, or has no plain text.
    pub fn required_text(&self, name: &str) -> Result<String, ParamProblem> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// Reads the pairs of an object of texts; none when it is absent.
    ///
    /// # Errors
    /// When it is no object, or one of its fields has no plain text.
    pub fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, ParamProblem> {
        let fields = self.read(name, "an object of texts", Value::as_object)?;
        let pairs = fields.into_iter().flatten().map(|(key, value)| {
            let path = [name, key].map(|name| Segment::Field(name.to_owned()));
            let text = self.written_out(&path, value);
            let text = text.ok_or_else(|| mismatch(&format!("{name}.{key}"), "a text", value))?;
            Ok((key.clone(), text))
        });
        pairs.collect()
    }

    /// Reads a duration: seconds, or a text such as `1m30s`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, ParamProblem> {
        self.read(name, DURATION, duration)
    }

    /// Notes a problem.
    pub fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.note(ParamProblem::new(path, message));
    }

    /// Notes a problem that has its place and help.
    pub fn note(&mut self, problem: ParamProblem) {
        self.problems.push(problem);
    }

    /// Checks a field that may be absent.
    pub fn check(&mut self, name: &str, expected: &str, fits: impl Fn(&Value) -> bool) {
        let fits = |value: &Value| (is_placeholder(value) || fits(value)).then_some(());
        if let Err(problem) = self.read(name, expected, fits) {
            self.note(problem);
        }
    }

    /// Checks a field that must be there.
    pub fn require(&mut self, name: &str, expected: &str, fits: impl Fn(&Value) -> bool) {
        match self.get(name) {
            None => self.problem(
                name,
                format!("the field {name:?} is missing; it must be {expected}"),
            ),
            Some(_) => self.check(name, expected, fits),
        }
    }

    /// Checks a field that may be absent as a duration.
    pub fn check_duration(&mut self, name: &str) {
        self.check(name, DURATION, |value| duration(value).is_some());
    }

    /// Ends the check.
    ///
    /// # Errors
    /// All problems found.
    pub fn finish(self) -> Result<(), Vec<ParamProblem>> {
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(self.problems),
        }
    }
}

const DURATION: &str = "seconds or a text such as \"1m30s\"";

/// The object that a value is; `null` is an empty one.
///
/// # Errors
/// When it is something else.
pub fn object(value: Value) -> Result<Map<String, Value>, ParamProblem> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        other => Err(mismatch("", "an object", &other)),
    }
}

/// A field that is there and not `null`.
pub fn present<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// A problem for each field that is not known, with a suggestion.
pub fn unknown_fields(fields: &Map<String, Value>, known: &[&str]) -> Vec<ParamProblem> {
    let unknown = fields.keys().filter(|name| !known.contains(&name.as_str()));
    let problem = |name: &String| {
        let help = did_you_mean(name, known.iter().copied())
            .unwrap_or_else(|| format!("known fields: {}", known.join(", ")));
        ParamProblem::new(name.as_str(), format!("unknown field {name:?}")).with_help(help)
    };
    unknown.map(problem).collect()
}

/// Whether a text will be filled in later, so that its type is not known yet.
pub fn is_placeholder(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("{{"))
}

/// The problem of a field that must be there.
pub fn missing(name: &str) -> ParamProblem {
    ParamProblem::new(name, "the field is missing")
}

/// The problem of a value of another type than expected. The value itself may be a secret, so it is not shown.
pub fn mismatch(path: &str, expected: &str, value: &Value) -> ParamProblem {
    let message = format!("must be {expected}, not {}", Json::type_name(value));
    ParamProblem::new(path, message)
}

/// Seconds as a number, or a text such as `"1m30s"`.
pub fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => parse_duration(text).ok(),
        value => duration_from_seconds(value.as_f64()?),
    }
}

/// Another attempt would find the same parameters, so it is a permanent failure.
impl From<ParamProblem> for AttemptError {
    fn from(problem: ParamProblem) -> Self {
        let ParamProblem { path, message, .. } = problem;
        let message = match &*path {
            "" => format!("params: {message}"),
            path => format!("params.{path}: {message}"),
        };
        Failure::new(FailureKind::InputError, message)
            .permanent()
            .into()
    }
}
