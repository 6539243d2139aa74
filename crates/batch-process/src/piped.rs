//! A process that is talked to over its pipes for as long as it lives: [`PipedProcess`].

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use batch_core::outcome::ProcessEnd;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::spawn_error::SpawnError;
use crate::spec::Spec;
use crate::start::{Leader, start};

/// A started process that serves for longer than one task. Dropping it kills everything it started.
///
/// It differs from [`Process`](crate::Process) in its pipes: they are the caller's, and nothing of what goes
/// through them is kept.
pub struct PipedProcess {
    leader: Leader,
    grace: Duration,
}

/// The caller's ends of the pipes of a process. To close the first is how most are asked to end.
#[derive(Debug)]
pub struct Pipes {
    /// Goes to its standard input.
    pub stdin: pipe::Sender,
    /// Comes from its standard output.
    pub stdout: pipe::Receiver,
    /// Comes from its standard error. Must be read, or the process hangs when the pipe is full.
    pub stderr: pipe::Receiver,
}

impl PipedProcess {
    /// Starts a process. Must be called inside a tokio runtime with I/O and time enabled.
    ///
    /// Of the spec, `stdin` and `capture` are not used.
    ///
    /// # Errors
    /// Whatever keeps it from starting, made out as exactly as the system allows.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(spec: &Spec) -> Result<(Self, Pipes), SpawnError> {
        let program = spec.argv.first().ok_or(SpawnError::NoProgram)?;
        let early = |error| SpawnError::before_start(program, error);
        let (stdin_end, stdin) = io::pipe().map_err(early)?;
        let (stdout, stdout_end) = io::pipe().map_err(early)?;
        let (stderr, stderr_end) = io::pipe().map_err(early)?;
        let receiver = |end: io::PipeReader| pipe::Receiver::from_owned_fd(OwnedFd::from(end));
        let pipes = Pipes {
            stdin: pipe::Sender::from_owned_fd(stdin.into()).map_err(early)?,
            stdout: receiver(stdout).map_err(early)?,
            stderr: receiver(stderr).map_err(early)?,
        };
        let stdio = [stdin_end.as_fd(), stdout_end.as_fd(), stderr_end.as_fd()];
        let process = Self {
            leader: start(spec, stdio)?,
            grace: spec.grace,
        };
        Ok((process, pipes))
    }

    /// The number of the process, which is that of its group too.
    pub fn id(&self) -> u32 {
        self.leader.pid.unsigned_abs()
    }

    /// Waits until the process has ended. What it started may still run. May be called again.
    pub async fn exited(&self) {
        // An error of the watch would be one for every later wait too.
        let _ = self.leader.watch.exited().await;
    }

    /// Asks the process and everything it started to end (SIGTERM), kills what is left after the time of
    /// grace, and tells how the process ended. Dropping the future kills everything at once.
    pub async fn end(mut self) -> ProcessEnd {
        let tree = &self.leader.tree;
        tree.ask_to_end().await;
        // Whether they are gone is seen next.
        let _ = timeout(self.grace, tree.ended()).await;
        tree.kill().await;
        self.leader.take_end(false).await
    }
}

impl fmt::Debug for PipedProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipedProcess").field(&self.id()).finish()
    }
}
