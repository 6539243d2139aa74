//! `command` and `shell`: a program with arguments, and a script.

use std::ffi::OsString;
use std::sync::Arc;

use async_trait::async_trait;
use batch_core::{Encoding, Json, Output, ParamProblem};
use batch_process::{CaptureLimits, MAX_ARGUMENT_BYTES};
use batch_runtime::{AttemptError, Handler, OnCancel, TaskContext};
use serde_json::Value;

use crate::check::{Fields, bytes, is_bytes, kind};
use crate::process::{argument, run, spec};

/// `command {argv, cwd, env, stdin}`: no shell reads the arguments.
pub(crate) struct CommandHandler {
    pub(crate) capture: Arc<CaptureLimits>,
}

/// `shell {script, cwd, env, stdin, shell}`.
pub(crate) struct ShellHandler {
    pub(crate) capture: Arc<CaptureLimits>,
}

#[async_trait]
impl Handler for CommandHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let params: Value = task.params()?;
        let argv = params.get("argv").and_then(Value::as_array);
        let argv = argv.into_iter().flatten().filter_map(argument).collect();
        run(task, &spec(task, &params, argv, &self.capture)).await
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let mut fields = Fields::of(params, &["argv", "cwd", "env", "stdin"]);
        fields.require("argv", "a list of texts", Value::is_array);
        let argv = fields
            .get("argv")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        if argv.is_empty() && fields.get("argv").is_some_and(Value::is_array) {
            fields.problem("argv", "is empty; its first text is the program");
        }
        for (at, value) in argv.iter().enumerate() {
            check_argument(&mut fields, &format!("argv[{at}]"), value);
        }
        fields.check_surroundings();
        fields.finish()
    }

    fn on_cancel(&self) -> OnCancel {
        OnCancel::Cooperate
    }
}

#[async_trait]
impl Handler for ShellHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let params: Value = task.params()?;
        let shell = params.get("shell").and_then(Value::as_str).unwrap_or("sh");
        let script = params.get("script").and_then(argument).unwrap_or_default();
        let argv = vec![OsString::from(shell), "-c".into(), script];
        run(task, &spec(task, &params, argv, &self.capture)).await
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let mut fields = Fields::of(params, &["script", "shell", "cwd", "env", "stdin"]);
        fields.require("script", "a text", is_bytes);
        fields.check("shell", "a text", Value::is_string);
        if let Some(script) = fields.get("script").cloned() {
            check_argument(&mut fields, "script", &script);
        }
        fields.check_surroundings();
        fields.finish()
    }

    fn on_cancel(&self) -> OnCancel {
        OnCancel::Cooperate
    }

    fn encoding(&self, _params: &Json, path: &str) -> Encoding {
        if path == "script" {
            Encoding::Shell
        } else {
            Encoding::Text
        }
    }
}

/// What the system would refuse, told before anything runs.
fn check_argument(fields: &mut Fields, path: &str, value: &Value) {
    match bytes(value) {
        None => fields.problem(path, format!("must be a text or {{\"base64\": …}}, not {}", kind(value))),
        Some(bytes) if bytes.contains(&0) => {
            fields.problem(path, "holds a NUL byte, which no argument can");
        }
        Some(bytes) if bytes.len() > MAX_ARGUMENT_BYTES => fields.problem(
            path,
            format!(
                "is {} bytes long; the system takes {MAX_ARGUMENT_BYTES} at most: pass it on stdin or in a file",
                bytes.len()
            ),
        ),
        Some(_) => {}
    }
}
