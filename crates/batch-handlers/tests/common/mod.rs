//! Attempts by hand: what the runtime would do around a handler.

use batch_core::{
    BatchId, Failure, Json, Output, TaskId, TaskSpec,
    catalog::{Catalog, ParamProblem},
    outcome::Stream,
};
use batch_handlers::{HandlerConfig, standard_registry};
use batch_runtime::{AttemptError, Registry, TaskContext};
use serde_json::Value;

/// The handlers, with a folder of their own.
pub(crate) struct Handlers {
    pub(crate) registry: Registry,
    pub(crate) folder: tempfile::TempDir,
}

impl Handlers {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = standard_registry(&HandlerConfig::new(folder.path().to_owned()));
        Self { registry, folder }
    }

    /// Runs one attempt.
    pub(crate) async fn run(&self, function: &str, params: Value) -> Result<Output, AttemptError> {
        self.run_task(&task(function, params)).await
    }

    pub(crate) async fn run_task(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        self.registry
            .get(&task.spec.function)
            .unwrap()
            .run(task)
            .await
    }

    /// Runs one attempt that goes well.
    pub(crate) async fn output(&self, function: &str, params: Value) -> Output {
        match self.run(function, params).await {
            Ok(output) => output,
            Err(AttemptError::Failed(failure)) => panic!("{}: {failure:?}", failure.message),
            Err(AttemptError::Busy(why)) => panic!("busy: {why}"),
        }
    }

    /// Runs one attempt that fails.
    pub(crate) async fn failure(&self, function: &str, params: Value) -> Failure {
        failure(self.run(function, params).await)
    }

    /// What is wrong with parameters, as `path: message`.
    pub(crate) fn problems(&self, function: &str, params: Value) -> Vec<String> {
        let task = TaskSpec {
            params: Json::from(params),
            ..TaskSpec::new(function)
        };
        let problems = self.registry.check(&task);
        let show = |problem: ParamProblem| {
            let help = problem
                .help
                .map_or_else(String::new, |help| format!(" ({help})"));
            format!("{}: {}{help}", problem.path, problem.message)
        };
        problems
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(show)
            .collect()
    }
}

pub(crate) fn failure(result: Result<Output, AttemptError>) -> Failure {
    match result {
        Err(AttemptError::Failed(failure)) => *failure,
        other => panic!("not failed: {other:?}"),
    }
}

pub(crate) fn task(function: &str, params: Value) -> TaskContext {
    attempt(TaskSpec::new(function).with_params(&params).unwrap())
}

/// The first attempt at a task.
pub(crate) fn attempt(spec: TaskSpec) -> TaskContext {
    let mut task = TaskContext::new(BatchId::new(7).unwrap().task(unique_task()), spec);
    task.slot = 3;
    task
}

/// Processes are found by the id of their task, so those of two tests must differ.
fn unique_task() -> TaskId {
    use std::sync::atomic::{AtomicU32, Ordering};
    static LAST: AtomicU32 = AtomicU32::new(1);
    TaskId::new(LAST.fetch_add(1, Ordering::Relaxed)).unwrap()
}

pub(crate) fn text(stream: &Stream) -> &str {
    match stream {
        Stream::Inline(bytes) => std::str::from_utf8(bytes).unwrap(),
        Stream::File { .. } => panic!("in a file"),
    }
}

/// Whether a program is there. Where it must be, on a build server, its absence is a failure.
pub(crate) fn has(program: &str) -> bool {
    let found = batch_process::find_program(program).is_some();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "{program} is not installed"
    );
    if !found {
        eprintln!("NOT TESTED: {program} is not installed");
    }
    found
}
