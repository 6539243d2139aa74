//! Naming executors beyond their end: [`own_mark`], and what can be asked of a mark.
//!
//! A stored batch keeps the mark of the executor that runs it. The one who opens the batch later learns from
//! it whether that executor still lives, can send it a signal, and ends what a dead one left behind: see
//! [`end_run`](crate::end_run).

use std::io;
use std::time::Duration;

use crate::platform;
use crate::signal::Signal;
use crate::sweep::Leftover;

/// What this process and no other is called: on Linux `PID-STARTTIME`, the time in clock ticks since the
/// system began. Unique together with [`boot_id`].
///
/// All processes started by [`Process`](crate::Process) carry it as `BEX_RUN` in their environment. It
/// is fixed at the first call, so [`guard::enter`](crate::guard::enter) must come before that.
pub fn own_mark() -> &'static str {
    platform::run_mark()
}

/// What the time since the last start of the system is called; empty where the system has no such name.
///
/// A mark of another boot names nobody: all its processes are gone.
pub fn boot_id() -> String {
    platform::boot_id()
}

/// How long this system has been awake since it started: the same clock for all processes, that no one sets, and that
/// hangs while the computer sleeps.
pub fn awake_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}

/// Whether the process that is called so still runs. One that has ended and was not waited for (a zombie)
/// does not; something that is no mark names nobody.
///
/// On other systems than Linux: whether there is any process of that number.
pub fn process_alive(mark: &str) -> bool {
    platform::process_alive(mark)
}

/// The processes of a task of the executor that is called so which a signal has stopped, and which hang until they
/// get SIGCONT.
///
/// On other systems than Linux none is found.
pub fn stopped_processes(mark: &str, task: &str) -> Vec<Leftover> {
    platform::stopped_processes(mark, task)
}

/// Has the guardian (see [`crate::guard`]) of an executor that is called so and was killed go on, if it was stopped: nobody
/// else wakes it. On other systems than Linux it does nothing.
///
/// # Errors
/// When it may not be signalled.
pub fn wake_guardian(mark: &str) -> io::Result<()> {
    platform::wake_guardian(mark)
}

/// Sends a signal to the process that is called so, and to no other one that has its number by now;
/// whether it still runs.
///
/// # Errors
/// When it may not be signalled, or this process is short of file handles. On other systems than Linux
/// always, with [`io::ErrorKind::Unsupported`].
pub fn signal_process(mark: &str, signal: Signal) -> io::Result<bool> {
    platform::signal_process(mark, signal)
}
