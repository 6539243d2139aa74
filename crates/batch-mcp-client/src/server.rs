//! One server, shared by all tasks that call its tools: [`Server`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use batch_core::{
    Failure, Output,
    retry::{Backoff, RetrySpec},
};
use batch_runtime::{AttemptError, backoff_delay};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use rmcp::model::JsonObject;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::config::ServerConfig;
use crate::connection::{Connection, StartError};
use crate::io_thread;

type Opened = Result<Arc<Connection>, StartError>;

/// A server that is started by the first call and again when it has died.
pub(crate) struct Server {
    name: Arc<str>,
    config: Arc<ServerConfig>,
    /// One for each call under way.
    slots: Semaphore,
    link: Mutex<Link>,
}

/// The connection there is, or the last one there was.
#[derive(Default)]
struct Link {
    current: Option<Opening>,
    /// How many starts in a row failed, or gave a server that never answered.
    failures: u32,
}

/// A start that all callers wait for together. It continues when one of them gives up, so that a server that
/// takes longer to start than a task may take gets started all the same.
struct Opening {
    opened: Shared<BoxFuture<'static, Opened>>,
    task: AbortHandle,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) fn new(name: &str, config: ServerConfig) -> Self {
        Self {
            name: name.into(),
            slots: Semaphore::new(config.max_concurrent),
            config: Arc::new(config),
            link: Mutex::default(),
        }
    }

    /// Calls a tool, as soon as fewer calls are under way than the server may have.
    pub(crate) async fn call(&self, tool: &str, args: JsonObject) -> Result<Output, AttemptError> {
        // Not in a slot: all calls that wait for a server that does not start fail together.
        self.connection().await?;
        let _slot = self
            .slots
            .acquire()
            .await
            .expect("the slots are never closed");
        let connection = self.connection().await?;
        let (tool, timeout) = (tool.to_owned(), self.config.timeout);
        let call = io_thread::spawn(async move { connection.call(&tool, args, timeout).await });
        match call.await {
            Ok(answered) => Ok(answered?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Failure::error("the call was ended").into()),
            },
        }
    }

    /// Ends the server. A later call starts it again.
    pub(crate) async fn close(&self) {
        let current = self.link().current.take();
        let opened = current.and_then(|current| current.opened.clone().now_or_never());
        if let Some(Ok(connection)) = opened {
            connection.close().await;
        }
    }

    async fn connection(&self) -> Opened {
        let opened = self.opening().await;
        match &opened {
            // It started and died unnoticed.
            Ok(connection) if !connection.is_alive() => self.opening().await,
            _ => opened,
        }
    }

    /// The connection there is or that is being made, else a new one.
    fn opening(&self) -> Shared<BoxFuture<'static, Opened>> {
        let mut link = self.link();
        if let Some(current) = &link.current {
            match current.opened.peek() {
                None => return current.opened.clone(),
                Some(Ok(connection)) if connection.is_alive() => return current.opened.clone(),
                // Neither can another start help.
                Some(Err(StartError::Failed(failure))) if failure.permanent => {
                    return current.opened.clone();
                }
                Some(Ok(connection)) if connection.has_answered() => link.failures = 0,
                Some(_) => link.failures = link.failures.saturating_add(1),
            }
        }
        let opening = self.open(pause(link.failures));
        let opened = opening.opened.clone();
        link.current = Some(opening);
        opened
    }

    fn open(&self, pause: Duration) -> Opening {
        let (name, config) = (Arc::clone(&self.name), Arc::clone(&self.config));
        let task = io_thread::spawn(async move {
            tokio::time::sleep(pause).await;
            Connection::open(&name, &config).await.map(Arc::new)
        });
        let (name, abort) = (Arc::clone(&self.name), task.abort_handle());
        let opened = async move {
            task.await.unwrap_or_else(|_| {
                let message = format!("the MCP server {name:?} was ended while it started");
                Err(StartError::Failed(Failure::error(message)))
            })
        };
        Opening {
            opened: opened.boxed().shared(),
            task: abort,
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause before a server is started again.
fn pause(failures: u32) -> Duration {
    let rules = RetrySpec {
        backoff: Backoff::Exponential,
        initial: Duration::from_millis(100),
        factor: 2.0,
        max: Duration::from_secs(10),
        ..RetrySpec::default()
    };
    match failures {
        0 => Duration::ZERO,
        failures => backoff_delay(&rules, failures),
    }
}

impl From<StartError> for AttemptError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Busy(message) => Self::Busy(message),
            StartError::Failed(failure) => failure.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let pauses: Vec<_> = (0..9).map(|failures| pause(failures).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
        assert_eq!(pause(u32::MAX).as_secs(), 10);
    }
}
