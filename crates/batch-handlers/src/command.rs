//! `command` and `shell`: a program with arguments, and a script.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use async_trait::async_trait;
use batch_core::{Json, Output, catalog::ParamProblem};
use batch_process::{CaptureLimits, MAX_ARGUMENT_BYTES};
use batch_runtime::params::{Fields, missing};
use batch_runtime::{AttemptError, Handler, OnCancel, TaskContext};
use batch_template::Encodings;
use serde_json::Value;

use crate::check::{ProcessFields as _, is_bytes};
use crate::process::{encodings, is_variable, run, spec};

/// `command {argv, cwd, env, stdin}`: no shell reads the arguments.
pub(crate) struct CommandHandler {
    pub(crate) capture: Arc<CaptureLimits>,
}

/// What is wrong with a shell that is none.
const NO_SHELL: &str = "is no program with its options, such as \"bash -o pipefail\"";

/// `shell {script, cwd, env, stdin, shell}`; the shell may have options.
pub(crate) struct ShellHandler {
    pub(crate) capture: Arc<CaptureLimits>,
}

#[async_trait]
impl Handler for CommandHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let params = Fields::of(task).await?;
        let argv = params.arguments("argv")?;
        run(task, &spec(task, &params, argv, &self.capture)?).await
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        if is_usual(params) {
            return Ok(());
        }
        let mut fields = Fields::unfilled(params, &["argv", "cwd", "env", "stdin"]);
        fields.require("argv", "a list of texts", Value::is_array);
        let argv = fields.get("argv").and_then(Value::as_array).cloned();
        let argv = argv.unwrap_or_default();
        let first = argv.first().and_then(Value::as_str);
        if fields.get("argv").is_some_and(Value::is_array) && argv.is_empty() {
            fields.problem("argv", "is empty; its first text is the program");
        } else if first.is_some_and(str::is_empty) {
            fields.problem("argv[0]", "is empty; it must name the program");
        }
        for (at, value) in argv.iter().enumerate() {
            fields.check_argument(&format!("argv[{at}]"), value);
        }
        fields.check_surroundings();
        fields.finish()
    }

    fn on_cancel(&self) -> OnCancel {
        OnCancel::Cooperate
    }

    fn takes_variables(&self, path: &str) -> bool {
        is_variable(path)
    }

    fn encodings(&self, params: &Json) -> Encodings {
        encodings().with_command("argv", &params.to_value())
    }
}

/// Whether parameters are nothing but arguments that are right beyond doubt: most of a million tasks are, and
/// need no tree to be seen through.
fn is_usual(params: &Json) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Usual<'a> {
        #[serde(borrow)]
        argv: Vec<&'a str>,
    }
    let Ok(Usual { argv }) = serde_json::from_str::<Usual<'_>>(params.as_str()) else {
        return false;
    };
    let is_short =
        |argument: &&str| argument.len() <= MAX_ARGUMENT_BYTES && !argument.contains('\0');
    argv.first().is_some_and(|program| !program.is_empty()) && argv.iter().all(is_short)
}

#[async_trait]
impl Handler for ShellHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let params = Fields::of(task).await?;
        let shell = params.text("shell")?.unwrap_or_else(|| "sh".to_owned());
        let words = shlex::split(&shell).filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| ParamProblem::new("shell", NO_SHELL))?;
        let script = params.bytes("script")?.ok_or_else(|| missing("script"))?;
        let script = ["-c".into(), OsString::from_vec(script)];
        let argv = words.into_iter().map(OsString::from).chain(script);
        run(task, &spec(task, &params, argv.collect(), &self.capture)?).await
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let mut fields = Fields::unfilled(params, &["script", "shell", "cwd", "env", "stdin"]);
        fields.require("script", "a text or {\"base64\": …}", is_bytes);
        fields.check("shell", "a text, the name of a shell", Value::is_string);
        let shell = fields.get("shell").and_then(Value::as_str);
        if shell.is_some_and(|shell| shlex::split(shell).is_none_or(|words| words.is_empty())) {
            fields.problem("shell", NO_SHELL);
        }
        if let Some(script) = fields.get("script").cloned()
            && is_bytes(&script)
        {
            fields.check_argument("script", &script);
        }
        fields.check_surroundings();
        fields.finish()
    }

    fn on_cancel(&self) -> OnCancel {
        OnCancel::Cooperate
    }

    fn takes_variables(&self, path: &str) -> bool {
        is_variable(path)
    }

    fn encodings(&self, params: &Json) -> Encodings {
        let params = params.to_value();
        let shell = params.get("shell").and_then(Value::as_str);
        encodings().with_script("script", shell.unwrap_or("sh"), &params)
    }
}
