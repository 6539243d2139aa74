//! Reading parameters strictly: [`Fields`] finds every mistake in one pass.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use batch_core::{Json, ParamProblem, did_you_mean};
use batch_process::MAX_ARGUMENT_BYTES;
use serde_json::{Map, Value};

/// The fields of a parameter object, and what is wrong with them so far.
pub(crate) struct Fields {
    fields: Map<String, Value>,
    problems: Vec<ParamProblem>,
}

impl Fields {
    /// The fields of an object that may have these and no others.
    pub(crate) fn of(params: &Json, known: &[&str]) -> Self {
        let mut problems = Vec::new();
        let fields = match params.to_value() {
            Value::Object(fields) => fields,
            other => {
                problems.push(ParamProblem::new(
                    "",
                    format!("must be an object, not {}", kind(&other)),
                ));
                Map::new()
            }
        };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let help = did_you_mean(name, known.iter().copied())
                .unwrap_or_else(|| format!("known fields: {}", known.join(", ")));
            problems.push(
                ParamProblem::new(name.as_str(), format!("unknown field {name:?}")).with_help(help),
            );
        }
        Self { fields, problems }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(ParamProblem::new(path, message));
    }

    /// Checks a field that may be absent.
    pub(crate) fn check(&mut self, name: &str, wanted: &str, fits: impl Fn(&Value) -> bool) {
        let Some(value) = self.get(name) else { return };
        if !is_placeholder(value) && !fits(value) {
            let message = format!("must be {wanted}, not {}", kind(value));
            self.problem(name, message);
        }
    }

    /// Checks a field that must be there.
    pub(crate) fn require(&mut self, name: &str, wanted: &str, fits: impl Fn(&Value) -> bool) {
        if self.get(name).is_none() {
            self.problem(
                name,
                format!("the field {name:?} is missing; it must be {wanted}"),
            );
        }
        self.check(name, wanted, fits);
    }

    /// Checks the fields every process has.
    pub(crate) fn check_surroundings(&mut self) {
        self.check("cwd", "a text, the path of a folder", |value| {
            value
                .as_str()
                .is_some_and(|path| !path.is_empty() && !path.contains('\0'))
        });
        self.check("stdin", "a text or {\"base64\": …}", is_bytes);
        self.check("env", "an object of texts", Value::is_object);
        let env = self.get("env").and_then(Value::as_object).cloned();
        for (name, value) in env.into_iter().flatten() {
            let path = format!("env.{name}");
            if name.is_empty() || name.contains(['=', '\0']) {
                self.problem(&path, format!("{name:?} cannot be the name of a variable"));
                continue;
            }
            match value {
                // Its name and `=` count too.
                Value::String(value) => {
                    self.check_argument(&path, &Value::String(format!("{name}={value}")));
                }
                other => self.problem(path, format!("must be a text, not {}", kind(&other))),
            }
        }
    }

    /// Checks a text that a process is started with, for what the system would refuse.
    pub(crate) fn check_argument(&mut self, path: &str, value: &Value) {
        match bytes(value) {
            None if is_bytes(value) => {}
            None => self.problem(
                path,
                format!("must be a text or {{\"base64\": …}}, not {}", kind(value)),
            ),
            Some(bytes) if bytes.contains(&0) => {
                self.problem(
                    path,
                    "holds a zero byte, which cannot be passed to a program",
                );
            }
            Some(bytes) if bytes.len() > MAX_ARGUMENT_BYTES => {
                let len = bytes.len();
                let message = format!(
                    "is {len} bytes long; the system takes {MAX_ARGUMENT_BYTES} at most: \
                     pass it on stdin or in a file"
                );
                self.problem(path, message);
            }
            Some(_) => {}
        }
    }

    pub(crate) fn finish(self) -> Result<(), Vec<ParamProblem>> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(self.problems)
        }
    }
}

/// Whether a text will be filled in later, so that its kind is not known yet.
pub(crate) fn is_placeholder(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("{{"))
}

/// Whether a value is a text, or bytes as `{"base64": "…"}`, maybe to be filled in later.
pub(crate) fn is_bytes(value: &Value) -> bool {
    bytes(value).is_some() || value.get("base64").is_some_and(is_placeholder)
}

/// The bytes of a text or of `{"base64": "…"}`.
pub(crate) fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(fields) if fields.len() == 1 => {
            BASE64.decode(fields.get("base64")?.as_str()?).ok()
        }
        _ => None,
    }
}

/// What a value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
