//! The end of a run: [`sweep`] ends what the tasks left behind, [`end_run`] what a dead executor did.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use crate::leaders::reap_orphans;
use crate::platform;
use crate::signal::Signal;
use crate::sys;

/// How long killed processes may take to be gone.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// A process that a task left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its number.
    pub pid: i32,
    /// Its program and arguments.
    pub command: String,
    /// The id of the task that started it, if it still carries the mark.
    pub task: Option<String>,
}

/// Ends all processes below this one and tells which there were: first asks (SIGTERM), after `grace`
/// kills, until none is left.
///
/// For an executor at the end of its run, when it has adopted what its tasks left (see
/// [`crate::guard`]); without that, orphans are not found. It ends *every* process below this one,
/// also those this crate did not start. One system call when there is none. Linux only: on other
/// systems it does nothing.
pub async fn sweep(grace: Duration) -> Vec<Leftover> {
    if !has_children() {
        return Vec::new();
    }
    reap_orphans();
    let mut found = platform::signal_descendants(Signal::Terminate);
    if !found.is_empty() {
        platform::signal_descendants(Signal::Continue);
        // Whether they are gone is seen below.
        let _ = timeout(grace, platform::descendants_ended()).await;
    }
    let _ = timeout(KILL_WAIT, kill_all(&mut found)).await;
    reap_orphans();
    found
}

/// Ends all processes of a run whose executor is dead, and tells which there were: first asks (SIGTERM),
/// after `grace` kills, until none is left or five more seconds have passed.
///
/// For the case that executor and guardian (see [`crate::guard`]) were both killed: call it before the
/// tasks run again. `mark` is that of the dead executor ([`own_mark`](crate::own_mark)). The processes
/// that carry it in their environment are found, with their groups and everything below them. Not found
/// is what has done all of this: called `setsid`, emptied its environment, and lost its parents.
/// This process, those above it, and what carries the mark of this one are spared.
///
/// Reads the environment of all processes, more than once only when it finds something. Linux only: on
/// other systems it does nothing.
pub async fn end_run(mark: &str, grace: Duration) -> Vec<Leftover> {
    let mut run = platform::DeadRun::new(mark);
    // Late only when they start others faster than they can be stopped.
    let asked = timeout(KILL_WAIT, run.ask_to_end()).await;
    if asked != Ok(false) && timeout(grace, run.ended()).await.is_err() {
        // What cannot be killed hangs in the kernel, or belongs to somebody else.
        let _ = timeout(KILL_WAIT, run.kill()).await;
    }
    run.into_found()
}

/// Kills round after round, since what is being killed may just be starting another one.
async fn kill_all(found: &mut Vec<Leftover>) {
    loop {
        let alive = platform::signal_descendants(Signal::Kill);
        if alive.is_empty() {
            return;
        }
        for process in alive {
            if !found.iter().any(|known| known.pid == process.pid) {
                found.push(process);
            }
        }
        platform::descendants_ended().await;
    }
}

/// Whether this process has a child, running or not waited for. One system call.
pub(crate) fn has_children() -> bool {
    let none = Some(libc::ECHILD);
    !sys::ended_child().is_err_and(|error: io::Error| error.raw_os_error() == none)
}
