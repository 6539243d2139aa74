//! `code_execution` and `custom_function`: code that runs from a private file.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use batch_core::{Encoding, Failure, FailureKind, Json, Output, ParamProblem};
use batch_process::{CaptureLimits, find_program};
use batch_runtime::{AttemptError, Handler, OnCancel, TaskContext};
use serde_json::Value;

use crate::check::Fields;
use crate::process::{run, spec};

/// The Python side of `custom_function`: calls `process(**args)` and hands back what it returns.
const HARNESS: &str = include_str!("harness.py");

/// `code_execution {runtime, code, cwd, env, stdin}`.
pub(crate) struct CodeHandler {
    pub(crate) capture: Arc<CaptureLimits>,
}

/// `custom_function {code, args, cwd, env, stdin}`: Python code that defines `process`.
pub(crate) struct FunctionHandler {
    pub(crate) capture: Arc<CaptureLimits>,
}

/// A language that code can be in.
#[derive(Clone, Copy)]
enum Language {
    Python,
    Node,
    Terminal,
}

impl Language {
    const NAMES: &str = "\"python\", \"nodejs\" or \"terminal\"";

    fn of(params: &Value) -> Option<Self> {
        match params.get("runtime")?.as_str()? {
            "python" => Some(Self::Python),
            "nodejs" => Some(Self::Node),
            "terminal" => Some(Self::Terminal),
            _ => None,
        }
    }

    /// The interpreters that will do, the best first.
    const fn programs(self) -> [&'static str; 2] {
        match self {
            Self::Python => ["python3", "python"],
            Self::Node => ["node", "nodejs"],
            Self::Terminal => ["bash", "sh"],
        }
    }

    const fn file_name(self) -> &'static str {
        match self {
            Self::Python => "code.py",
            Self::Node => "code.js",
            Self::Terminal => "code.sh",
        }
    }

    const fn encoding(self) -> Encoding {
        match self {
            Self::Python => Encoding::Python,
            Self::Node => Encoding::JavaScript,
            Self::Terminal => Encoding::Shell,
        }
    }

    fn interpreter(self) -> Result<PathBuf, Failure> {
        let programs = self.programs();
        programs
            .iter()
            .find_map(|program| find_program(program))
            .ok_or_else(|| {
                let message = format!(
                    "neither {} nor {} is in PATH; install one",
                    programs[0], programs[1]
                );
                Failure::new(FailureKind::SpawnError, message).permanent()
            })
    }
}

/// A private folder for one attempt, gone when dropped.
struct Workshop(PathBuf);

impl Workshop {
    fn open(folder: &Path, task: &TaskContext) -> Result<Self, Failure> {
        let path = folder.join(format!("code-{}-{}", task.id, task.attempt));
        // One left by an earlier run of the same name would only be in the way.
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| cannot_write(&path, &error))?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, content: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        fs::write(&path, content).map_err(|error| cannot_write(&path, &error))?;
        Ok(path)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        FailureKind::SpawnError,
        format!("cannot write {}: {error}", path.display()),
    )
}

#[async_trait]
impl Handler for CodeHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let params: Value = task.params()?;
        let language = Language::of(&params).ok_or_else(|| {
            let message = format!("params.runtime: must be {}", Language::NAMES);
            Failure::new(FailureKind::InputError, message).permanent()
        })?;
        let workshop = Workshop::open(&self.capture.folder, task)?;
        let code = params
            .get("code")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let file = workshop.write(language.file_name(), code)?;
        let argv = vec![language.interpreter()?.into(), file.into()];
        run(task, &spec(task, &params, argv, &self.capture)).await
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let mut fields = Fields::of(params, &["runtime", "code", "cwd", "env", "stdin"]);
        fields.require("code", "a text", Value::is_string);
        fields.require("runtime", "a text", Value::is_string);
        if let Some(Value::String(runtime)) = fields.get("runtime")
            && Language::of(&params.to_value()).is_none()
        {
            let message = format!("unknown runtime {runtime:?}; it is {}", Language::NAMES);
            fields.problem("runtime", message);
        }
        fields.check_surroundings();
        fields.finish()
    }

    fn on_cancel(&self) -> OnCancel {
        OnCancel::Cooperate
    }

    fn encoding(&self, params: &Json, path: &str) -> Encoding {
        match Language::of(&params.to_value()) {
            Some(language) if path == "code" => language.encoding(),
            _ => Encoding::Text,
        }
    }
}

#[async_trait]
impl Handler for FunctionHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let params: Value = task.params()?;
        let workshop = Workshop::open(&self.capture.folder, task)?;
        let code = params
            .get("code")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let args = params
            .get("args")
            .map_or_else(|| "{}".to_owned(), Value::to_string);
        let result = workshop.0.join("result.json");
        let argv: Vec<OsString> = vec![
            Language::Python.interpreter()?.into(),
            workshop.write("harness.py", HARNESS)?.into(),
            workshop.write("function.py", code)?.into(),
            workshop.write("args.json", &args)?.into(),
            result.clone().into(),
        ];
        let mut output = run(task, &spec(task, &params, argv, &self.capture)).await?;
        output.value = Some(returned(&result).map_err(Failure::error)?);
        Ok(output)
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let mut fields = Fields::of(params, &["code", "args", "cwd", "env", "stdin"]);
        fields.require(
            "code",
            "a text that defines process(**args)",
            Value::is_string,
        );
        fields.check("args", "an object", Value::is_object);
        fields.check_surroundings();
        fields.finish()
    }

    fn on_cancel(&self) -> OnCancel {
        OnCancel::Cooperate
    }

    fn encoding(&self, _params: &Json, path: &str) -> Encoding {
        if path == "code" {
            Encoding::Python
        } else {
            Encoding::Text
        }
    }
}

/// What the function returned.
fn returned(file: &Path) -> Result<Json, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("process() returned nothing: {error}"))?;
    Json::parse(&text)
        .map_err(|error| format!("what process() returned cannot be kept as JSON: {error}"))
}
