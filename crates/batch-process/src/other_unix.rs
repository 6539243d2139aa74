//! Watching and ending processes where there are no pidfds and no `/proc`: `SIGCHLD` and the process
//! group. Its sibling is `linux.rs`.
//!
//! What leaves its group here is not found.

use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::limits::Limit;
use crate::signal::Signal;
use crate::start::KILL_WAIT;
use crate::sweep::Leftover;
use crate::sys::{self, Pid};

/// How often a group is asked whether anybody is left in it: there is no event for that.
const POLL: Duration = Duration::from_millis(20);

/// Nobody tells how many processes there are.
pub(crate) fn process_limits(_wanted: u64) -> Vec<Limit> {
    Vec::new()
}

/// How many files this process has open.
pub(crate) fn open_now() -> Option<u64> {
    let open = std::fs::read_dir("/dev/fd").ok()?.count();
    Some((open as u64).saturating_sub(1))
}

/// What marks the processes of this run.
pub(crate) fn run_mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        format!("{}-{}", std::process::id(), now.as_micros())
    })
}

/// A file for standard input that no other process sees.
pub(crate) fn stdin_file() -> io::Result<File> {
    tempfile::tempfile()
}

/// Tells when a process has ended.
#[derive(Debug)]
pub(crate) struct ExitWatch {
    pid: Pid,
    children: Mutex<SignalStream>,
}

impl ExitWatch {
    /// Watches a child that has not been waited for.
    pub(crate) fn new(pid: Pid) -> io::Result<Self> {
        let children = Mutex::new(signal(SignalKind::child())?);
        Ok(Self { pid, children })
    }

    /// Waits until it has ended. May be called again.
    pub(crate) async fn exited(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                // The signal is asked first: what ends after the look then wakes us.
                let news = children.poll_recv(cx);
                if sys::has_ended(self.pid)? {
                    return std::task::Poll::Ready(Ok(()));
                }
                if news.is_pending() {
                    return std::task::Poll::Pending;
                }
            }
        })
        .await
    }
}

/// Marks an attempt: not here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptMark;

impl AttemptMark {
    pub(crate) const fn next() -> Self {
        Self
    }

    /// The limits that would carry it.
    pub(crate) const fn limits(self) -> Option<(u64, u64)> {
        None
    }
}

/// Nobody counts them here.
pub(crate) const fn count_memory_kills() {}

/// Nor noted.
pub const fn note_memory_kills() {}

/// Not known here.
pub(crate) const fn was_killed_for_memory() -> bool {
    false
}

/// This process carries no mark.
pub(crate) const fn leave_attempt() {}

/// Processes that are ended together: the group of a leader. What left it, what the run of a dead executor left and
/// what is below this process are not known here.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Not waited for while this is in use.
    leader: Option<Pid>,
}

impl Tree {
    /// The group of a leader; the marks find nobody here.
    pub(crate) fn of_attempt(leader: Pid, _task: &str, _mark: AttemptMark) -> Self {
        Self {
            leader: Some(leader),
        }
    }

    /// The mark finds nobody here.
    pub(crate) fn of_run(_mark: &str) -> Self {
        Self { leader: None }
    }

    /// They are not known here.
    pub(crate) fn below() -> Self {
        Self { leader: None }
    }

    /// Asks all to end; whether there are any.
    pub(crate) async fn ask_to_end(&self) -> bool {
        // What is stopped acts on the request only when it goes on.
        for signal in [Signal::Terminate, Signal::Continue] {
            self.send(signal.number());
        }
        self.leader.is_some()
    }

    /// Waits until nobody in the group can be signalled. A leader that ended counts as nobody.
    pub(crate) async fn ended(&self) {
        while self.send(0) {
            tokio::time::sleep(POLL).await;
        }
    }

    /// Kills all and waits for their end, for five seconds at most.
    pub(crate) async fn kill(&self) {
        self.kill_now();
        // What does not end hangs in the kernel.
        let _ = tokio::time::timeout(KILL_WAIT, self.ended()).await;
    }

    /// As [`Tree::kill`], where there is no runtime.
    pub(crate) fn kill_blocking(&self) {
        self.kill_now();
    }

    /// Kills all without waiting for their end.
    pub(crate) fn kill_now(&self) {
        self.send(Signal::Kill.number());
    }

    /// Those that run still: not known here.
    pub(crate) fn left(&self) -> Vec<Leftover> {
        Vec::new()
    }

    /// All that there were: not known here.
    pub(crate) fn report(&self) -> Vec<Leftover> {
        Vec::new()
    }

    /// Whether there was someone to send it to.
    fn send(&self, signal: i32) -> bool {
        self.leader
            .is_some_and(|leader| sys::kill(-leader, signal).is_ok())
    }
}

/// Leaves open what was open when this process began: there is no one call to close it.
pub(crate) const fn close_inherited() {}

/// The system's name for the time since it began: there is none here.
pub(crate) fn boot_id() -> String {
    String::new()
}

/// Nobody tells here which processes a task has.
pub(crate) fn stopped_processes(_mark: &str, _task: &str) -> Vec<Leftover> {
    Vec::new()
}

/// Whether there is a process of the number in a mark: when it began is not known here.
pub(crate) fn process_alive(mark: &str) -> bool {
    let pid = mark.split_once('-').and_then(|(pid, _)| pid.parse().ok());
    let Some(pid) = pid.filter(|pid: &Pid| *pid > 0) else {
        return false;
    };
    match sys::kill(pid, 0) {
        Ok(()) => true,
        // Someone else's.
        Err(error) => error.raw_os_error() == Some(libc::EPERM),
    }
}

/// Signals the process that a mark names: it cannot be told from a later one of its number here.
pub(crate) fn signal_process(_mark: &str, _signal: Signal) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whose guardian it is cannot be told here.
pub(crate) fn wake_guardian(_mark: &str) -> io::Result<()> {
    Ok(())
}

/// Ends of children of this process that nobody has taken: orphans do not come to us here.
pub(crate) fn ended_children() -> Vec<Pid> {
    Vec::new()
}
