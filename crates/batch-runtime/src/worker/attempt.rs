//! One job, from its placeholders to its report: [`perform`].

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use batch_core::{Failure, FailureKind, Outcome, Output, control::Urgency};
use batch_template::Secrets;
use futures_util::FutureExt;

use super::{Job, JobEnd, Needs, Report, WorkerContext};
use crate::cancel::CancelToken;
use crate::chain;
use crate::handler::{AttemptError, Handler, OnCancel, TaskContext};
use crate::masking;
use crate::offload::offload;

/// A handler that was told to kill what it runs gets this long before it is dropped.
const LAST_GRACE: Duration = Duration::from_secs(10);

/// Performs a job.
pub(super) async fn perform(
    job: Job,
    handler: &Arc<dyn Handler>,
    context: &WorkerContext,
) -> Report {
    let Job {
        token,
        slot,
        spec,
        cancel,
        needs,
    } = job;
    let mut task = TaskContext {
        id: context.batch.task(token.task),
        attempt: token.attempt,
        slot,
        spec,
        secrets: None,
        cancel,
    };
    let end = match prepare(&mut task, needs, handler, context).await {
        Ok(()) => {
            // Right before, and not with the claim: what never began is not to be taken for the cause of our death.
            context.log(|log| log.starting(slot, token));
            match attempt(&task, handler.as_ref()).await {
                end if task.secrets.is_some() => masked(end, task.secrets()).await,
                JobEnd::Performed(outcome) => JobEnd::Performed(masking::shortened(outcome)),
                end => end,
            }
        }
        Err(end) => end,
    };
    if matches!(end, JobEnd::Busy(_)) {
        context.log(|log| log.not_started(slot));
    }
    Report {
        token,
        slot,
        cancel: task.cancel,
        end,
    }
}

/// Waits for what must come before an attempt, and fills in all placeholders.
async fn prepare(
    task: &mut TaskContext,
    needs: Option<Box<Needs>>,
    handler: &Arc<dyn Handler>,
    context: &WorkerContext,
) -> Result<(), JobEnd> {
    let Needs { inputs, after } = needs.map(|needs| *needs).unwrap_or_default();
    if let Some(after) = after {
        tokio::select! {
            biased;
            () = task.cancel.cancelled() => {}
            synced = after.reached() => if !synced {
                return Err(JobEnd::NotSynced);
            },
        }
    }
    if task.cancel.urgency().is_some() {
        return Err(JobEnd::NotStarted);
    }
    // A doubled brace may also be an escaped one.
    if inputs.is_none() && !chain::is_template(&task.spec) {
        return Ok(());
    }
    let inputs = inputs.unwrap_or_default();
    if let Some(source) = &context.source
        && !chain::are_known(&inputs)
    {
        let (inputs, source) = (inputs.clone(), Arc::clone(source));
        let looked = tokio::task::spawn_blocking(move || chain::look_for(&inputs, &source));
        // If that panicked, the result is not at hand, and the task fails with this.
        looked.await.unwrap_or(Ok(())).map_err(failed)?;
    }
    let (spec, handler) = (Arc::clone(&task.spec), Arc::clone(handler));
    let (size, slot) = (chain::size_of(&inputs), task.slot);
    let filled = offload(size, move || {
        chain::fill_in(&spec, &inputs, slot, handler.as_ref())
    })
    .await;
    let (spec, secrets) = filled.map_err(failed)?;
    task.spec = spec;
    task.secrets = (!secrets.is_empty()).then_some(secrets);
    Ok(())
}

fn failed(failure: Failure) -> JobEnd {
    JobEnd::Performed(Outcome::Failed(Arc::new(failure)))
}

async fn masked(end: JobEnd, secrets: &Secrets) -> JobEnd {
    match end {
        JobEnd::Performed(outcome) => {
            let (size, secrets) = (masking::size_of(&outcome), secrets.clone());
            let mask = move || masking::shortened(masking::mask(outcome, &secrets));
            JobEnd::Performed(offload(size, mask).await)
        }
        JobEnd::Busy(why) => JobEnd::Busy(secrets.mask(&why).into()),
        end => end,
    }
}

async fn attempt(task: &TaskContext, handler: &dyn Handler) -> JobEnd {
    let run = AssertUnwindSafe(handler.run(task)).catch_unwind();
    let result = tokio::select! {
        biased;
        result = run => result,
        () = give_up(&task.cancel, handler.on_cancel()) => {
            return JobEnd::Performed(Outcome::Cancelled(None));
        }
    };
    let failure = match result {
        Ok(Ok(output)) => return JobEnd::Performed(Outcome::Completed(keep(output))),
        Ok(Err(AttemptError::Busy(why))) => return JobEnd::Busy(why.into()),
        Ok(Err(AttemptError::Failed(failure))) => *failure,
        Err(panic) => {
            let message = format!("the handler panicked: {}", panic_text(panic.as_ref()));
            Failure::new(FailureKind::Panic, message)
        }
    };
    failed(failure)
}

/// Returns when the attempt is no longer waited for.
async fn give_up(cancel: &CancelToken, on_cancel: OnCancel) {
    match on_cancel {
        OnCancel::Drop => cancel.cancelled().await,
        OnCancel::Cooperate => {
            cancel.reached(Urgency::Kill).await;
            tokio::time::sleep(LAST_GRACE).await;
        }
    }
}

/// Most handlers that only do something leave nothing worth keeping.
fn keep(output: Output) -> Option<Arc<Output>> {
    let nothing = output.value.is_none()
        && output.process.is_none()
        && output.stdout.is_empty()
        && output.stderr.is_empty();
    (!nothing).then(|| Arc::new(output))
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
