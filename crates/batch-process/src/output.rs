//! The two outputs of a process, read together: [`Outputs`].

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use batch_core::outcome::{Stream, StreamKind};
use tokio::time::{Sleep, sleep};

use crate::capture::{Capture, Filled};
use crate::capture_limits::{CaptureLimits, CaptureTarget};
use crate::sys;
use crate::tap::OutputTap;

/// Standard output and standard error of a process.
#[derive(Debug)]
pub(crate) struct Outputs {
    stdout: Capture,
    stderr: Capture,
    /// Until the outputs become live; `None` when they never do, or have.
    live: Option<Pin<Box<Sleep>>>,
}

impl Outputs {
    pub(crate) fn new(
        stdout: PipeReader,
        stderr: PipeReader,
        task: &str,
        limits: &Arc<CaptureLimits>,
        tap: Option<&Arc<dyn OutputTap>>,
    ) -> Self {
        let target = |stream, suffix| CaptureTarget {
            limits: limits.clone(),
            prefix: file_prefix(task),
            suffix,
            stream,
            tap: tap.cloned(),
        };
        Self {
            stdout: Capture::new(stdout, target(StreamKind::Stdout, ".stdout")),
            stderr: Capture::new(stderr, target(StreamKind::Stderr, ".stderr")),
            live: limits.live_after.map(|after| Box::pin(sleep(after))),
        }
    }

    /// Whether there is nothing more to read from either.
    pub(crate) fn are_closed(&self) -> bool {
        self.stdout.is_closed() && self.stderr.is_closed()
    }

    /// Whether [`Outputs::fill`] has anything to do: there is more to read, or what has been read is
    /// to be written at some time.
    pub(crate) fn have_work(&self) -> bool {
        let waits = self.live.is_some() && (self.stdout.holds() || self.stderr.holds());
        waits || !self.stdout.is_done() || !self.stderr.is_done()
    }

    /// Reads both until they are closed, or one of them fails. May be dropped and called again.
    pub(crate) async fn fill(&mut self) -> Filled {
        std::future::poll_fn(|cx| {
            loop {
                let stdout = self.stdout.poll_fill(cx);
                let stderr = self.stderr.poll_fill(cx);
                let failed = Poll::Ready(Filled::Failed);
                if stdout == failed || stderr == failed {
                    return failed;
                }
                if !self.have_work() {
                    return Poll::Ready(Filled::Closed);
                }
                if self.poll_live(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Waits for the moment from which on the outputs are live. The timer is armed by the first call.
    fn poll_live(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = &mut self.live else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(cx));
        self.live = None;
        self.stdout.go_live();
        self.stderr.go_live();
        Poll::Ready(())
    }

    /// Reads what is in the pipes now, without waiting: the process has ended, so nothing becomes live
    /// any more.
    pub(crate) fn read_rest(&mut self) {
        self.live = None;
        self.stdout.read_rest();
        self.stderr.read_rest();
    }

    /// Closes both and gives what they held. An output that finds no room on the disk waits for it until `give_up`.
    pub(crate) async fn finish(
        mut self,
        give_up: impl Future<Output = ()>,
    ) -> (io::Result<Stream>, io::Result<Stream>) {
        let (mut give_up, mut given_up) = (pin!(give_up), false);
        std::future::poll_fn(|cx| {
            loop {
                let both = [&mut self.stdout, &mut self.stderr];
                if both.map(|output| output.poll_close(cx).is_ready()) == [true; 2] {
                    return Poll::Ready(());
                }
                if !self.stdout.is_stalled() && !self.stderr.is_stalled() {
                    return Poll::Pending;
                }
                if !given_up {
                    ready!(give_up.as_mut().poll(cx));
                    given_up = true;
                }
                self.stdout.give_up();
                self.stderr.give_up();
            }
        })
        .await;
        (self.stdout.take().await, self.stderr.take().await)
    }
}

/// A pipe whose read end does not block; both ends are closed on exec.
pub(crate) fn output_pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    sys::set_nonblocking(reader.as_fd())?;
    Ok((reader, writer))
}

/// The task's id without what may not be in a file name.
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
