//! Calls of tools while the protocol goes on: [`Caller`].

use std::sync::Arc;
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock, ProgressNotificationParam, ProgressToken};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::dispatch::Dispatcher;
use crate::session::CallContext;

/// Performs the calls of one client.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) dispatcher: Dispatcher,
    /// Cancelled once the client has closed its side: calls then answer with what they know.
    pub(crate) closed: CancellationToken,
}

/// A call of a tool, and what goes on around it.
pub(crate) struct Call {
    tool: String,
    arguments: Map<String, Value>,
    context: CallContext,
}

impl Call {
    pub(crate) fn new(tool: &str, arguments: Map<String, Value>) -> Self {
        Self {
            tool: tool.to_owned(),
            arguments,
            context: CallContext::default(),
        }
    }

    /// The same; `bex_run` waits for this time where the arguments do not say it.
    pub(crate) fn waiting(mut self, default: Duration) -> Self {
        self.context.default_wait = Some(default);
        self
    }
}

impl Caller {
    /// Performs a call on a thread that may wait.
    pub(crate) async fn call(
        &self,
        call: Call,
        request: &RequestContext<RoleServer>,
    ) -> Result<Answer, ErrorData> {
        let Call {
            tool,
            arguments,
            mut context,
        } = call;
        let (sender, mut progress) = mpsc::unbounded_channel();
        let token = request.meta.get_progress_token();
        if token.is_some() {
            context.progress = Some(Arc::new(move |done, total, line: &str| {
                // The call may have ended.
                let _ = sender.send((done, total, line.to_owned()));
            }));
        }
        let (dispatcher, around) = (self.dispatcher.clone(), context.clone());
        let mut work =
            tokio::task::spawn_blocking(move || dispatcher.call(&tool, &arguments, &around));
        let mut last = None;
        loop {
            tokio::select! {
                // Progress goes out before the answer.
                biased;
                Some(step) = progress.recv() => {
                    // Tasks that run again count down; progress in the protocol does not.
                    if last.is_none_or(|last| step.0 > last) {
                        last = Some(step.0);
                        notify(request, token.as_ref(), step).await;
                    }
                }
                answer = &mut work => return answer.map_err(internal),
                // The wait ends; the batch continues.
                () = request.ct.cancelled() => {
                    context.cancel.cancel();
                    return Err(ErrorData::internal_error("the call was cancelled; the batch continues", None));
                }
                // Nobody waits any more; what is known by now still goes out.
                () = self.closed.cancelled(), if !context.cancel.is_cancelled() => context.cancel.cancel(),
            }
        }
    }
}

/// Finished tasks, all tasks, and a line for people.
type Step = (u64, u64, String);

async fn notify(
    request: &RequestContext<RoleServer>,
    token: Option<&ProgressToken>,
    (done, total, line): Step,
) {
    if let Some(token) = token {
        let note = ProgressNotificationParam::new(token.clone(), done as f64)
            .with_total(total as f64)
            .with_message(line);
        // The client may be gone.
        let _ = request.peer.notify_progress(note).await;
    }
}

/// An error of our own.
pub(crate) fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

/// An answer as the result of a tool.
pub(crate) fn result(answer: Answer) -> CallToolResult {
    let content = vec![ContentBlock::text(answer.text)];
    let mut result = if answer.is_error {
        CallToolResult::error(content)
    } else {
        CallToolResult::success(content)
    };
    result.structured_content = Some(answer.structured);
    result
}
