//! What every process takes: the checks of [`ProcessFields`], and bytes as text or base64.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use batch_core::catalog::ParamProblem;
use batch_process::MAX_ARGUMENT_BYTES;
use batch_runtime::params::{Fields, is_placeholder, mismatch, missing};
use batch_template::Segment;
use serde_json::Value;

/// What texts and bytes are called in messages.
const BYTES: &str = "a text or {\"base64\": …}";

/// What standard input may be.
const STDIN: &str = "a text, {\"base64\": …} or {\"file\": PATH}";

/// A file that a process reads on standard input.
pub(crate) enum StdinFile<'v> {
    /// By its path, from the working folder of the task.
    Path(&'v str),
    /// A piece of the input of `bex run --pipe`, by its name in the folder of the batch.
    Block(&'v str),
}

/// The file that `{"file": …}` or `{"block": …}` names.
pub(crate) fn stdin_file(value: &Value) -> Option<StdinFile<'_>> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    let (name, value) = fields.iter().next()?;
    let text = value
        .as_str()
        .filter(|text| !text.is_empty() && !text.contains('\0'))?;
    match name.as_str() {
        "file" => Some(StdinFile::Path(text)),
        "block" => is_block(text).then_some(StdinFile::Block(text)),
        _ => None,
    }
}

/// The fields that a process is started with.
pub(crate) trait ProcessFields {
    /// Checks the fields every process has.
    fn check_surroundings(&mut self);

    /// Checks a text that a process is started with, for what the system would refuse.
    fn check_argument(&mut self, path: &str, value: &Value);

    /// Reads a text or bytes.
    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, ParamProblem>;

    /// Reads a list of arguments that must be there.
    fn arguments(&self, name: &str) -> Result<Vec<OsString>, ParamProblem>;
}

impl ProcessFields for Fields {
    fn check_surroundings(&mut self) {
        self.check("cwd", "a text, the path of a folder", |value| {
            value
                .as_str()
                .is_some_and(|path| !path.is_empty() && !path.contains('\0'))
        });
        self.check("stdin", STDIN, |value| {
            is_bytes(value) || stdin_file(value).is_some()
        });
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
                other => self.note(mismatch(&path, "a text", &other)),
            }
        }
    }

    fn check_argument(&mut self, path: &str, value: &Value) {
        match bytes(value) {
            None if is_bytes(value) => {}
            None => self.note(mismatch(path, BYTES, value)),
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

    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, ParamProblem> {
        let path = [Segment::Field(name.to_owned())];
        let value = self.get(name);
        value
            .map(|value| text_or_bytes(self, name, &path, value))
            .transpose()
    }

    fn arguments(&self, name: &str) -> Result<Vec<OsString>, ParamProblem> {
        let list = self.read(name, "a list of texts", Value::as_array)?;
        let list = list.ok_or_else(|| missing(name))?.iter().enumerate();
        let argument = |(at, value)| {
            let path = [Segment::Field(name.to_owned()), Segment::Index(at)];
            text_or_bytes(self, &format!("{name}[{at}]"), &path, value).map(OsString::from_vec)
        };
        list.map(argument).collect()
    }
}

/// Whether a name is that of a piece of input: nothing but a number behind `in-`, and no path.
fn is_block(name: &str) -> bool {
    let number = name.strip_prefix("in-");
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

/// Whether a value is a text, or bytes as `{"base64": "…"}`, maybe to be filled in later.
pub(crate) fn is_bytes(value: &Value) -> bool {
    bytes(value).is_some() || value.get("base64").is_some_and(is_placeholder)
}

/// The bytes of a text or of `{"base64": "…"}`.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(fields) if fields.len() == 1 => {
            BASE64.decode(fields.get("base64")?.as_str()?).ok()
        }
        _ => None,
    }
}

fn text_or_bytes(
    fields: &Fields,
    place: &str,
    path: &[Segment],
    value: &Value,
) -> Result<Vec<u8>, ParamProblem> {
    let written = || fields.written_out(path, value).map(String::into_bytes);
    bytes(value).or_else(written).ok_or_else(|| {
        let expected = if value.is_object() { BYTES } else { "a text" };
        mismatch(place, expected, value)
    })
}
