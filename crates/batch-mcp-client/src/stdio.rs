//! A server that is a process: [`spawn`] and [`ServerProcess`], which watches and ends it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use batch_core::{
    outcome::{ProcessEnd, SignalNumber},
    text::last_line,
};
use batch_process::{PipedProcess, SpawnError, Spec, when_written};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::answer::shortened;
use crate::config::{Endpoint, MissingVariable};

/// How long a server may take to end by itself when its standard input is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The time from SIGTERM to SIGKILL after that.
const GRACE: Duration = Duration::from_secs(2);

/// How long its end is waited for when it has closed its output.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// How many bytes at the end of its standard error are kept.
const TAIL: usize = 4 * 1024;

/// The caller's ends of the pipes that the conversation goes through.
pub(crate) struct Pipes {
    pub(crate) stdin: pipe::Sender,
    pub(crate) stdout: pipe::Receiver,
}

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StdioError {
    #[error(transparent)]
    Variable(#[from] MissingVariable),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

/// Watches a server's process, reads its standard error, and ends it. Dropping this kills the process and
/// everything it started.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    /// How the process ended, once it has.
    fate: watch::Receiver<Option<Arc<str>>>,
    end: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Starts the process of a server; `None` when it is reached in another way.
pub(crate) async fn spawn(
    name: &str,
    endpoint: &Endpoint,
) -> Result<Option<(ServerProcess, Pipes)>, StdioError> {
    let Some(spec) = spec(name, endpoint)? else {
        return Ok(None);
    };
    let (process, pipes) = when_written(|| PipedProcess::spawn(&spec)).await?;
    let pipes_of_caller = Pipes {
        stdin: pipes.stdin,
        stdout: pipes.stdout,
    };
    Ok(Some((
        ServerProcess::new(process, pipes.stderr),
        pipes_of_caller,
    )))
}

fn spec(name: &str, endpoint: &Endpoint) -> Result<Option<Spec>, MissingVariable> {
    // What one start left is found by its mark while the next one runs already, so the marks differ.
    static STARTS: AtomicU64 = AtomicU64::new(1);
    let Endpoint::Command {
        command,
        args,
        env,
        cwd,
        base,
    } = endpoint
    else {
        return Ok(None);
    };
    let variable = |name: &str| std::env::var(name).ok();
    let mut argv = vec![command.fill(variable)?];
    for arg in args {
        argv.push(arg.fill(variable)?);
    }
    let mut variables = Vec::new();
    for (name, value) in env {
        variables.push((name.into(), value.fill(variable)?.into()));
    }
    let cwd = cwd.as_ref().map(|cwd| cwd.fill(variable)).transpose()?;
    let start = STARTS.fetch_add(1, Ordering::Relaxed);
    Ok(Some(Spec {
        cwd: cwd.map(|cwd| base.join(PathBuf::from(cwd))),
        env: variables,
        task: format!("mcp.{name}.{start}"),
        grace: GRACE,
        ..Spec::new(argv)
    }))
}

impl ServerProcess {
    fn new(process: PipedProcess, stderr: pipe::Receiver) -> Self {
        let (sender, fate) = watch::channel(None);
        let end = Arc::new(Notify::new());
        let task = watch_process(process, stderr, Arc::clone(&end), sender);
        Self {
            fate,
            end,
            task: Mutex::new(Some(tokio::spawn(task))),
        }
    }

    /// Whether the process has not ended, as far as is known.
    pub(crate) fn is_running(&self) -> bool {
        self.fate.borrow().is_none()
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(&self) {
        let mut fate = self.fate.clone();
        // An error means that the watching task has ended.
        let _ = fate.wait_for(Option::is_some).await;
    }

    /// How the process ended, if it did a moment ago.
    pub(crate) async fn fate(&self) -> Option<Arc<str>> {
        let _ = timeout(END_TIMEOUT, self.ended()).await;
        self.fate.borrow().clone()
    }

    /// Ends the process, after its standard input has been closed.
    pub(crate) async fn close(&self) {
        let task = self.task.lock();
        let task = task.unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut task) = task else { return };
        if timeout(CLOSE_TIMEOUT, &mut task).await.is_err() {
            self.end.notify_one();
            // It takes a bounded time.
            let _ = task.await;
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task {
            // With its task the process is dropped, and so killed.
            task.abort();
        }
    }
}

/// Reads standard error until the process has ended or should end, ends what is left, and reports it.
async fn watch_process(
    process: PipedProcess,
    mut stderr: pipe::Receiver,
    end: Arc<Notify>,
    sender: watch::Sender<Option<Arc<str>>>,
) {
    let mut tail = Tail::default();
    let mut buffer = vec![0; TAIL];
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            () = end.notified() => break,
            read = stderr.read(&mut buffer), if open => match read {
                Ok(len @ 1..) => tail.push(&buffer[..len]),
                Ok(0) | Err(_) => open = false,
            },
            () = process.exited() => break,
        }
    }
    // Another process may hold the pipe, so only what is there is read.
    while let Ok(len @ 1..) = stderr.try_read(&mut buffer) {
        tail.push(&buffer[..len]);
    }
    let end = process.end().await;
    sender.send_replace(Some(describe(end, &tail).into()));
}

/// The last bytes of standard error.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let over = self.0.len().saturating_sub(TAIL);
        self.0.drain(..over);
    }

    /// The last line that is not blank.
    fn last_line(&self) -> Option<String> {
        let (front, back) = self.0.as_slices();
        last_line(&[front, back].concat()).map(|line| shortened(&line))
    }
}

fn describe(end: ProcessEnd, tail: &Tail) -> String {
    let how = match (end.exit_code, end.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(number)) => SignalNumber(number).to_string(),
        (None, None) => "ended".to_owned(),
    };
    match tail.last_line() {
        Some(line) => format!("{how}: {line}"),
        None => how,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_and_its_last_line_counts() {
        let mut tail = Tail::default();
        assert_eq!(tail.last_line(), None);
        for n in 0..3000 {
            tail.push(format!("line {n}\n").as_bytes());
        }
        tail.push(b"\xff half\n  \n");
        assert!(tail.0.len() <= TAIL);
        assert_eq!(tail.last_line().unwrap(), "\u{fffd} half");
    }
}
