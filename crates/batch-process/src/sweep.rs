//! The end of a run: [`sweep`] ends what the tasks left behind.

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

fn has_children() -> bool {
    let none = Some(libc::ECHILD);
    !sys::ended_child().is_err_and(|error: io::Error| error.raw_os_error() == none)
}
