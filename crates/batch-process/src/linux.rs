//! Watching and naming processes on Linux: pidfds and `/proc`. Its sibling is `other_unix.rs`; how processes are ended
//! is in `tree.rs`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use tokio::io::unix::AsyncFd;

use crate::procfs::{Entry, Identity, Table, own_mark, own_pid};
use crate::signal::Signal;
use crate::sweep::Leftover;
use crate::sys::{self, Pid};
use crate::tree::describe;

pub(crate) use crate::attempt_mark::{AttemptMark, leave_attempt};
pub use crate::memory_kills::note_memory_kills;
pub(crate) use crate::memory_kills::{count_memory_kills, was_killed_for_memory};
pub(crate) use crate::process_limits::{open_now, process_limits};
pub(crate) use crate::sys::memory_file as stdin_file;
pub(crate) use crate::tree::Tree;

/// What marks the processes of this run.
pub(crate) fn run_mark() -> &'static str {
    own_mark()
}

/// Tells when a process has ended.
#[derive(Debug)]
pub(crate) struct ExitWatch(AsyncFd<OwnedFd>);

impl ExitWatch {
    /// Watches a child that has not been waited for.
    pub(crate) fn new(pid: Pid) -> io::Result<Self> {
        sys::watch_readable(sys::pidfd_open(pid)?).map(Self)
    }

    /// Waits until it has ended. May be called again.
    pub(crate) async fn exited(&self) -> io::Result<()> {
        // Readiness is never cleared: an ended process does not come back.
        self.0.readable().await.map(drop)
    }
}

/// Closes what was open when this process began, but for the standard streams.
pub(crate) fn close_inherited() {
    // A kernel that does not know the call leaves them open, as nothing depends on it.
    let _ = sys::close_from(3);
}

/// The system's name for the time since it began.
pub(crate) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Whether the process that a mark names still runs.
pub(crate) fn process_alive(mark: &str) -> bool {
    Identity::from_mark(mark).is_some_and(Identity::is_alive)
}

/// Sends a signal to the process that a mark names; whether it is there.
pub(crate) fn signal_process(mark: &str, to_send: Signal) -> io::Result<bool> {
    match Identity::from_mark(mark) {
        Some(process) => signal(process, to_send),
        None => Ok(false),
    }
}

fn signal(process: Identity, signal: Signal) -> io::Result<bool> {
    let Some(fd) = process.find()? else {
        return Ok(false);
    };
    match sys::pidfd_signal(fd.as_fd(), signal.number()) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Has the parent of the process that a mark names go on, if it was stopped.
pub(crate) fn wake_guardian(mark: &str) -> io::Result<()> {
    let guardian = || {
        let executor = Identity::from_mark(mark)?;
        let found = Entry::read(executor.pid).filter(|found| found.identity() == executor)?;
        Entry::read(found.parent).filter(|guardian| guardian.stopped)
    };
    match guardian() {
        Some(guardian) => signal(guardian.identity(), Signal::Continue).map(drop),
        None => Ok(()),
    }
}

/// The processes of a task of a run that a signal has stopped.
pub(crate) fn stopped_processes(mark: &str, task: &str) -> Vec<Leftover> {
    let table = Table::since(Instant::now());
    let stopped = table
        .processes()
        .filter(|entry| entry.stopped && entry.run() == Some(mark) && entry.task() == Some(task));
    stopped.map(describe).collect()
}

/// Ends of children of this process that nobody has taken.
pub(crate) fn ended_children() -> Vec<Pid> {
    let table = Table::since(Instant::now());
    let ended = table.children(own_pid()).filter(|child| child.ended);
    ended.map(|child| child.pid).collect()
}
