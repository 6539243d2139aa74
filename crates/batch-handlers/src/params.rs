//! Reading the parameters of an attempt: [`Params`].
//!
//! They were checked at submit, but a value from another task that was filled in since may be of any
//! type: a number where a text is wanted is written out, and what has no plain text is an error. Nothing
//! is ever left out in silence.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use batch_core::{Failure, FailureKind, duration_from_seconds, parse_duration};
use batch_runtime::{TaskContext, offload};
use serde_json::Value;

use crate::check::{bytes, kind};

/// The parameters of one attempt, with all placeholders filled in.
pub(crate) struct Params(Value);

impl Params {
    pub(crate) async fn of(task: &TaskContext) -> Result<Self, Failure> {
        let params = task.spec.params.clone();
        let read = offload(params.as_str().len(), move || params.get()).await;
        read.map(Self)
            .map_err(|error| bad_params(format!("params: {error}")))
    }

    /// A field; `null` is as good as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A field that is a text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        self.get(name).map(|value| text(name, value)).transpose()
    }

    /// A text that must be there.
    pub(crate) fn required_text(&self, name: &str) -> Result<String, Failure> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// A field that is a text or bytes.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.get(name)
            .map(|value| text_or_bytes(name, value))
            .transpose()
    }

    /// A list of arguments that must be there.
    pub(crate) fn arguments(&self, name: &str) -> Result<Vec<OsString>, Failure> {
        let value = self.get(name).ok_or_else(|| missing(name))?;
        let list = value
            .as_array()
            .ok_or_else(|| wrong(name, "a list of texts", value))?;
        list.iter()
            .enumerate()
            .map(|(at, value)| text_or_bytes(&format!("{name}[{at}]"), value))
            .map(|bytes| bytes.map(OsString::from_vec))
            .collect()
    }

    /// The pairs of an object of texts; none when it is absent.
    pub(crate) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, Failure> {
        let Some(value) = self.get(name) else {
            return Ok(Vec::new());
        };
        let fields = value
            .as_object()
            .ok_or_else(|| wrong(name, "an object of texts", value))?;
        fields
            .iter()
            .map(|(key, value)| Ok((key.clone(), text(&format!("{name}.{key}"), value)?)))
            .collect()
    }

    /// A field that is a duration.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, Failure> {
        let read = |value| {
            duration(value).ok_or_else(|| wrong(name, "seconds or a text such as \"1m30s\"", value))
        };
        self.get(name).map(read).transpose()
    }
}

/// Seconds as a number, or a text such as `"1m30s"`.
pub(crate) fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => parse_duration(text).ok(),
        value => duration_from_seconds(value.as_f64()?),
    }
}

/// The failure of parameters that another attempt cannot mend.
pub(crate) fn bad_params(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::InputError, message).permanent()
}

fn missing(name: &str) -> Failure {
    bad_params(format!("params.{name}: the field is missing"))
}

fn wrong(path: &str, wanted: &str, value: &Value) -> Failure {
    bad_params(format!(
        "params.{path}: must be {wanted}, not {}",
        kind(value)
    ))
}

fn text(path: &str, value: &Value) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(wrong(path, "a text", value)),
    }
}

fn text_or_bytes(path: &str, value: &Value) -> Result<Vec<u8>, Failure> {
    match bytes(value) {
        Some(bytes) => Ok(bytes),
        None if value.is_object() => Err(wrong(path, "a text or {\"base64\": …}", value)),
        None => text(path, value).map(String::into_bytes),
    }
}
