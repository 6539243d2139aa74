//! The processes this crate started and has not waited for yet: the leaders of the tasks' groups.
//!
//! Children belong to the whole process, so this list does too. It serves two purposes: signals for
//! all tasks ([`signal_all`]), and telling our own children from orphans that the system gave us
//! ([`reap_orphans`]), whose ends nobody else takes.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crate::platform;
use crate::signal::Signal;
use crate::sys::{self, Pid, Usage};

/// Held for reading while a process starts, so that it is on the list before anybody takes it for an
/// orphan.
static STARTING: RwLock<()> = RwLock::new(());

static LEADERS: Mutex<BTreeSet<Pid>> = Mutex::new(BTreeSet::new());

fn leaders() -> MutexGuard<'static, BTreeSet<Pid>> {
    LEADERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process and puts it on the list.
pub(crate) fn start(spawn: impl FnOnce() -> io::Result<Pid>) -> io::Result<Pid> {
    let _starting = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    let pid = spawn()?;
    leaders().insert(pid);
    Ok(pid)
}

/// Takes the end of a leader, and it from the list; `None` while it runs.
///
/// Both under one lock: from here on the number may belong to another process.
pub(crate) fn take_end(pid: Pid) -> io::Result<Option<Usage>> {
    let mut leaders = leaders();
    let end = sys::wait(pid, false);
    if !matches!(end, Ok(None)) {
        leaders.remove(&pid);
    }
    end
}

/// Takes the end of an orphan that the system gave to this process; whether it has ended.
#[cfg(target_os = "linux")]
pub(crate) fn take_end_of_orphan(pid: Pid) -> bool {
    let _starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    !is_leader(pid) && matches!(sys::wait(pid, false), Ok(Some(_)))
}

/// Whether a process is one of the leaders.
pub(crate) fn is_leader(pid: Pid) -> bool {
    leaders().contains(&pid)
}

/// Sends a signal to the process groups of all running tasks, and gives their number.
///
/// What left its group (by `setsid`) does not get it.
pub fn signal_all(signal: Signal) -> usize {
    let leaders = leaders();
    for pid in leaders.iter() {
        // A group that is just gone is no error.
        let _ = sys::kill(-pid, signal.number());
    }
    leaders.len()
}

/// Takes the ends of orphans that the system gave to this process, and gives their number.
///
/// An executor that adopts orphans (see [`crate::guard`]) calls this now and then, so that they do not
/// fill the process table. Cheap when there is nothing to do. It takes the end of *every* ended child
/// this crate did not start: not for programs that start processes by other means.
pub fn reap_orphans() -> usize {
    let _starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    let mut reaped = 0;
    while let Ok(Some(pid)) = sys::ended_child() {
        if !is_leader(pid) {
            reaped += usize::from(sys::wait(pid, false).is_ok());
            continue;
        }
        // A leader that its task has not looked after yet hides those behind it.
        let orphans = platform::ended_children();
        let orphans = orphans.into_iter().filter(|pid| !is_leader(*pid));
        return reaped + orphans.filter(|pid| sys::wait(*pid, false).is_ok()).count();
    }
    reaped
}
