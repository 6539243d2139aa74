//! The two outputs of a process, read together: [`Outputs`].

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Poll;

use batch_core::Stream;

use crate::capture::{Capture, CaptureLimits, CaptureTarget, Filled};
use crate::sys;

/// Standard output and standard error of a process.
#[derive(Debug)]
pub(crate) struct Outputs {
    stdout: Capture,
    stderr: Capture,
}

impl Outputs {
    pub(crate) fn new(
        stdout: PipeReader,
        stderr: PipeReader,
        task: &str,
        limits: &Arc<CaptureLimits>,
    ) -> io::Result<Self> {
        let target = |suffix| CaptureTarget {
            limits: limits.clone(),
            prefix: file_prefix(task),
            suffix,
        };
        Ok(Self {
            stdout: Capture::new(stdout, target(".stdout"))?,
            stderr: Capture::new(stderr, target(".stderr"))?,
        })
    }

    /// Whether there is nothing more to read from either.
    pub(crate) fn are_closed(&self) -> bool {
        self.stdout.is_closed() && self.stderr.is_closed()
    }

    /// Reads both until they are closed, or one of them fails. May be dropped and called again.
    pub(crate) async fn fill(&mut self) -> Filled {
        std::future::poll_fn(|cx| {
            let stdout = self.stdout.poll_fill(cx);
            let stderr = self.stderr.poll_fill(cx);
            match (stdout, stderr) {
                (Poll::Ready(Filled::Failed), _) | (_, Poll::Ready(Filled::Failed)) => {
                    Poll::Ready(Filled::Failed)
                }
                (Poll::Ready(Filled::Closed), Poll::Ready(Filled::Closed)) => {
                    Poll::Ready(Filled::Closed)
                }
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Reads what is in the pipes now, without waiting.
    pub(crate) fn read_rest(&mut self) {
        self.stdout.read_rest();
        self.stderr.read_rest();
    }

    /// Closes both and gives what they held.
    pub(crate) async fn finish(self) -> (io::Result<Stream>, io::Result<Stream>) {
        (self.stdout.finish().await, self.stderr.finish().await)
    }
}

/// A pipe whose read end does not block; both ends are closed on exec.
pub(crate) fn output_pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    sys::set_nonblocking(reader.as_fd())?;
    Ok((reader, writer))
}

/// The task's id without what may not stand in a file name.
fn file_prefix(task: &str) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '_'
        }
    };
    task.chars().take(100).map(fit).chain(['-']).collect()
}
