//! What a batch task can do (first cut).
use std::path::PathBuf;
use std::sync::Arc;
use async_trait::async_trait;
use batch_core::{Failure, FailureKind, Output};
use batch_process::{CaptureLimits, Process, Spec};
use batch_runtime::{AttemptError, Handler, OnCancel, Registry, TaskContext, Urgency};
/// Config.
pub struct HandlerConfig { spill: PathBuf }
impl HandlerConfig { /// New.
 pub fn new(spill: PathBuf) -> Self { Self { spill } } }
struct Cmd { shell: bool, capture: Arc<CaptureLimits> }
#[async_trait]
impl Handler for Cmd {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let v: serde_json::Value = task.params()?;
        let argv: Vec<String> = if self.shell { vec!["sh".into(), "-c".into(), v["script"].as_str().unwrap_or("").into()] } else {
            v["argv"].as_array().unwrap().iter().map(|a| a.as_str().unwrap().to_owned()).collect() };
        let mut spec = Spec::new(argv);
        spec.task = task.id.to_string();
        spec.capture = Arc::clone(&self.capture);
        let p = match Process::spawn(&spec) { Ok(p) => p, Err(e) if e.is_busy() => return Err(AttemptError::Busy(e.to_string())),
            Err(e) => return Err(Failure::new(FailureKind::SpawnError, e.to_string()).permanent().into()) };
        let ended = p.run(task.cancel.reached(Urgency::End), task.cancel.reached(Urgency::Kill)).await;
        let out = Output { value: None, process: Some(ended.end), stdout: ended.stdout, stderr: ended.stderr };
        match ended.end.exit_code { Some(0) => Ok(out), Some(c) => Err(Failure::new(FailureKind::ExitCode(c), format!("exit code {c}")).with_output(out).into()),
            None => Err(Failure::new(FailureKind::Signal(ended.end.signal.unwrap_or(0)), "signal").with_output(out).into()) }
    }
    fn on_cancel(&self) -> OnCancel { OnCancel::Cooperate }
}
/// Standard.
pub fn standard_registry(c: &HandlerConfig) -> Registry {
    let capture = Arc::new(CaptureLimits { folder: c.spill.clone(), in_memory: 262144 });
    Registry::new().with("command", Cmd { shell: false, capture: capture.clone() }).with("shell", Cmd { shell: true, capture })
        .with_fn("simulate", |_| async { Ok(Output::default()) })
}
