//! `simulate {duration, fail}`: takes time and fails as it is told, for trying out a batch.

use async_trait::async_trait;
use batch_core::{Failure, Json, Output, catalog::ParamProblem};
use batch_runtime::params::Fields;
use batch_runtime::{AttemptError, Handler, TaskContext};
use serde_json::Value;

/// Sleeps, then fails or not.
pub(crate) struct SimulateHandler;

#[async_trait]
impl Handler for SimulateHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let params = Fields::of(task).await?;
        let duration = params.duration("duration")?.unwrap_or_default();
        if !duration.is_zero() {
            tokio::time::sleep(duration).await;
        }
        if params
            .get("fail")
            .is_some_and(|fail| fails(fail, task.attempt))
        {
            return Err(Failure::error("simulated failure").into());
        }
        Ok(Output::default())
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let mut fields = Fields::unfilled(params, &["duration", "fail"]);
        fields.check_duration("duration");
        fields.check("fail", "true, false, or how many attempts fail", |value| {
            value.is_boolean() || value.is_u64()
        });
        fields.finish()
    }
}

fn fails(fail: &Value, attempt: u32) -> bool {
    match fail {
        Value::Bool(fail) => *fail,
        fail => fail
            .as_u64()
            .is_some_and(|attempts| u64::from(attempt) <= attempts),
    }
}
