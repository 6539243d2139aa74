//! `code_execution` and `custom_function`: code that runs from a private file.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::path::Path;

use async_trait::async_trait;
use batch_core::{Failure, FailureKind, Json, Output, catalog::ParamProblem};
use batch_export::files::open_plain;
use batch_process::Spec;
use batch_runtime::params::{Fields, is_placeholder};
use batch_runtime::{AttemptError, Handler, OnCancel, TaskContext, offload};
use batch_template::{self as template, Code, Encoding, Encodings};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::check::ProcessFields as _;
use crate::language::{CodePlace, Language};
use crate::process::{encodings, is_variable, run, spec};

/// The Python side of `custom_function`: calls `process(**args)` and hands back what it returns.
const HARNESS: &str = include_str!("harness.py");

/// The longest returned value that is taken, in bytes of JSON; it is held in memory.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// The code of a runtime that is filled in later.
const UNKNOWN_RUNTIME: Code = Code {
    program: "a runtime that is not known yet",
    language: template::Language::Unknown,
};

/// `code_execution {runtime, code, cwd, env, stdin}`.
pub(crate) struct CodeHandler {
    pub(crate) place: CodePlace,
}

/// `custom_function {code, args, cwd, env, stdin}`: Python code that defines `process`.
pub(crate) struct FunctionHandler {
    pub(crate) place: CodePlace,
}

#[async_trait]
impl Handler for CodeHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let params = Fields::of(task).await?;
        let runtime = params.required_text("runtime")?;
        let language = Language::of(&runtime)
            .ok_or_else(|| ParamProblem::new("runtime", format!("must be {}", Language::NAMES)))?;
        let interpreter = language.interpreter()?;
        let code = params.required_text("code")?;
        let files = [(language.file_name(), &*code)];
        let workshop = self.place.open(task, &files).await?;
        let file = workshop.path(language.file_name());
        let options = language.options().iter().map(OsString::from);
        let argv = std::iter::once(interpreter.into())
            .chain(options)
            .chain([file.into()]);
        let mut spec = spec(task, &params, argv.collect(), &self.place.capture)?;
        if matches!(language, Language::Python) {
            import_from_folder(&mut spec);
        }
        run(task, &spec).await
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let mut fields = Fields::unfilled(params, &["runtime", "code", "cwd", "env", "stdin"]);
        match fields.get("runtime") {
            None => fields.require("runtime", Language::NAMES, Value::is_string),
            Some(_) => fields.check("runtime", "a text", Value::is_string),
        }
        fields.require("code", "a text", Value::is_string);
        if let Some(value @ Value::String(runtime)) = fields.get("runtime")
            && !is_placeholder(value)
            && Language::of(runtime).is_none()
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

    fn takes_variables(&self, path: &str) -> bool {
        is_variable(path)
    }

    fn encodings(&self, params: &Json) -> Encodings {
        let params = params.to_value();
        let runtime = params.get("runtime").and_then(Value::as_str);
        let language = runtime.and_then(Language::of);
        let encoding = language.map_or(Encoding::Code(UNKNOWN_RUNTIME), Language::encoding);
        match encoding {
            Encoding::Shell(_) => encodings().with_script("code", "sh", &params),
            encoding => encodings().with("code", encoding),
        }
    }
}

#[async_trait]
impl Handler for FunctionHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let params = Fields::of(task).await?;
        let code = params.required_text("code")?;
        params.read("args", "an object", Value::as_object)?;
        let args = params.json("args");
        let args = args.as_ref().map_or("{}", Json::as_str);
        let interpreter = Language::Python.interpreter()?;
        let files = [
            ("harness.py", HARNESS),
            ("function.py", &*code),
            ("args.json", args),
        ];
        let workshop = self.place.open(task, &files).await?;
        let answer = workshop.path("answer.json");
        let argv: Vec<OsString> = vec![
            interpreter.into(),
            "-u".into(),
            workshop.path("harness.py").into(),
            workshop.path("function.py").into(),
            workshop.path("args.json").into(),
            answer.clone().into(),
        ];
        let ended = run(task, &spec(task, &params, argv, &self.place.capture)?).await;
        // The code may have put anything in its place.
        let read = offload(usize::MAX, move || read_answer(&answer)).await;
        judge(ended, read)
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let mut fields = Fields::unfilled(params, &["code", "args", "cwd", "env", "stdin"]);
        let wanted = "a text that defines process(**args)";
        fields.require("code", wanted, Value::is_string);
        fields.check("args", "an object", Value::is_object);
        fields.check_surroundings();
        fields.finish()
    }

    fn on_cancel(&self) -> OnCancel {
        OnCancel::Cooperate
    }

    fn takes_variables(&self, path: &str) -> bool {
        is_variable(path)
    }

    fn encodings(&self, _params: &Json) -> Encodings {
        encodings().with("code", Encoding::Python)
    }
}

/// Lets Python find modules in the working folder, as it does for code that is typed in, although the
/// file is elsewhere.
fn import_from_folder(spec: &mut Spec) {
    const NAME: &str = "PYTHONPATH";
    let given = spec.env.iter().rev().find(|(name, _)| name == NAME);
    let given = given.map(|(_, value)| value.clone());
    let mut folders: OsString = spec.cwd.as_deref().unwrap_or(Path::new(".")).into();
    if let Some(further) = given.or_else(|| std::env::var_os(NAME)) {
        folders.push(":");
        folders.push(further);
    }
    spec.env.push((NAME.into(), folders));
}

/// What the harness wrote.
enum Answer {
    Value(Json),
    Problem { message: String, permanent: bool },
}

/// Reads what the harness wrote; `None` when it came to no end.
fn read_answer(file: &Path) -> io::Result<Option<Answer>> {
    let file = match open_plain(file, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MAX_ANSWER + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_ANSWER {
        let message = format!("it is longer than {MAX_ANSWER} bytes; write it to a file");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let mut fields: HashMap<&str, &RawValue> = serde_json::from_slice(&text)?;
    if let Some(value) = fields.remove("value") {
        // Python's texts may hold half a character, which is no JSON.
        return Ok(Some(Answer::Value(Json::parse(value.get())?)));
    }
    let read = |name: &str| fields.get(name).map_or("null", |raw| raw.get());
    Ok(Some(Answer::Problem {
        message: serde_json::from_str(read("problem"))?,
        permanent: serde_json::from_str(read("permanent"))?,
    }))
}

/// Puts the end of the process and the answer together.
fn judge(
    ended: Result<Output, AttemptError>,
    answer: io::Result<Option<Answer>>,
) -> Result<Output, AttemptError> {
    match (ended, answer) {
        (Ok(output), Ok(Some(Answer::Value(value)))) => Ok(Output {
            value: Some(value),
            ..output
        }),
        (Ok(output), Err(error)) => {
            let message = format!("what process() returned cannot be kept: {error}");
            let failure = Failure::new(FailureKind::OutputError, message);
            Err(failure.with_output(output).into())
        }
        (Ok(output), Ok(_)) => {
            let message = "the code ended before process() returned, as sys.exit() does";
            Err(Failure::error(message).with_output(output).into())
        }
        (
            Err(AttemptError::Failed(mut failure)),
            Ok(Some(Answer::Problem { message, permanent })),
        ) if failure.kind == FailureKind::ExitCode(1) => {
            failure.kind = FailureKind::Error;
            failure.message = message;
            failure.permanent = permanent;
            Err(AttemptError::Failed(failure))
        }
        (Err(error), _) => Err(error),
    }
}
