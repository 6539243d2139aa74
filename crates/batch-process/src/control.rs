//! What the terminal, other programs and the guardian ask of an executor: [`ControlSignals`].

use std::future::poll_fn;
use std::io::{self, Read};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::oneshot;

use crate::guard::Guarded;
use crate::leaders::signal_all;
use crate::platform::Tree;
use crate::signal::Signal;
use crate::sys;

/// How long an executor whose guardian is gone may take to end its tasks and itself.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// What is asked of the executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlSignal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal is gone.
    Hangup,
    /// SIGQUIT: Ctrl-\.
    Quit,
    /// SIGTSTP: Ctrl-Z. Answer it with [`suspend`].
    Suspend,
    /// SIGCONT: it goes on after a stop. The tasks have been told already.
    Continue,
    /// The guardian was killed: kill all tasks and end, at once. An executor that is still there after
    /// five seconds is ended by force.
    ParentDied,
}

/// The stream of what is asked of the executor.
#[derive(Debug)]
pub struct ControlSignals {
    signals: Vec<(ControlSignal, SignalStream)>,
    /// Told by the thread that watches the guardian.
    parent: Option<oneshot::Receiver<()>>,
}

impl ControlSignals {
    /// Begins to listen. From here on these signals no longer end this process by themselves, but for
    /// those it was told to ignore, which stay ignored.
    ///
    /// # Errors
    /// When a signal cannot be listened to, or the thread that watches the guardian cannot be started.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub fn new(guarded: Guarded) -> io::Result<Self> {
        const ALL: [(ControlSignal, i32); 6] = [
            (ControlSignal::Interrupt, libc::SIGINT),
            (ControlSignal::Terminate, libc::SIGTERM),
            (ControlSignal::Hangup, libc::SIGHUP),
            (ControlSignal::Quit, libc::SIGQUIT),
            (ControlSignal::Suspend, libc::SIGTSTP),
            (ControlSignal::Continue, libc::SIGCONT),
        ];
        let heard = ALL
            .into_iter()
            .filter(|(_, number)| !guarded.ignored.contains(number));
        let signals = heard
            .map(|(name, number)| Ok((name, signal(SignalKind::from_raw(number))?)))
            .collect::<io::Result<_>>()?;
        let parent = guarded.parent.map(watch_parent).transpose()?;
        Ok(Self { signals, parent })
    }

    /// Waits for the next one. May be dropped and called again.
    pub async fn next(&mut self) -> ControlSignal {
        let asked = poll_fn(|cx| {
            if let Some(parent) = &mut self.parent
                && std::pin::Pin::new(parent).poll(cx).is_ready()
            {
                self.parent = None;
                return Poll::Ready(ControlSignal::ParentDied);
            }
            for (name, stream) in &mut self.signals {
                if stream.poll_recv(cx).is_ready() {
                    return Poll::Ready(*name);
                }
            }
            Poll::Pending
        })
        .await;
        if asked == ControlSignal::Continue {
            signal_all(Signal::Continue);
        }
        asked
    }
}

/// Stops all running tasks and then this process, as Ctrl-Z wants it; returns when it goes on, after
/// letting the tasks go on, and says how long it was stopped.
///
/// The whole process is stopped meanwhile, with all its threads. What left its group runs on.
pub fn suspend() -> Duration {
    signal_all(Signal::Stop);
    let stopped = Instant::now();
    let own = i32::try_from(std::process::id()).expect("a pid fits a pid_t");
    // A process may always signal itself.
    let _ = sys::kill(own, libc::SIGSTOP);
    let stopped = stopped.elapsed();
    signal_all(Signal::Continue);
    stopped
}

/// Watches the guardian from a thread of its own: it must be noticed even when the runtime is busy.
fn watch_parent(mut pipe: io::PipeReader) -> io::Result<oneshot::Receiver<()>> {
    let (tell, told) = oneshot::channel();
    let watch = move || {
        // Nothing is ever written: this returns when the guardian's end is closed.
        let _ = pipe.read(&mut [0]);
        let _ = tell.send(());
        std::thread::sleep(LAST_GRACE);
        Tree::below().kill_blocking();
        std::process::exit(128 + libc::SIGKILL);
    };
    std::thread::Builder::new()
        .name("guardian-watch".into())
        .spawn(watch)?;
    Ok(told)
}
