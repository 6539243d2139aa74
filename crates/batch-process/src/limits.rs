//! The limit of open files: raised for the executor, given back to tasks.

use std::io;
use std::sync::OnceLock;

use crate::sys;

/// Open files that one running task needs: two pipes, the process, and what its start needs besides.
const PER_TASK: u64 = 8;

/// Open files of the executor itself: terminal, files of results, the store, sockets.
const OWN: u64 = 64;

/// The soft limit there was before it was raised.
static ORIGINAL: OnceLock<u64> = OnceLock::new();

/// What [`raise_open_files`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// The soft limit as it is now.
    pub limit: u64,
    /// How many tasks can run at once under it.
    pub tasks: u64,
}

/// Makes sure that so many tasks can run at once, raising the soft limit of open files if need be.
///
/// Processes started afterwards get the old soft limit back, as some programs do poorly with a high
/// one. On Linux that happens right after the start: for some microseconds a task sees the raised
/// limit. On other systems tasks keep it. Where the limit needs no raising this costs nothing.
///
/// # Errors
/// When the limits can be neither read nor set.
pub fn raise_open_files(tasks: u64) -> io::Result<OpenFiles> {
    let (soft, hard) = sys::open_files()?;
    let wanted = OWN.saturating_add(tasks.saturating_mul(PER_TASK)).min(hard);
    let mut limit = soft;
    if wanted > soft {
        sys::set_open_files(wanted, hard)?;
        ORIGINAL.get_or_init(|| soft);
        limit = wanted;
    }
    Ok(OpenFiles {
        limit,
        tasks: limit.saturating_sub(OWN) / PER_TASK,
    })
}

/// Gives a process that has just started the limit it would have without us.
#[cfg(target_os = "linux")]
pub(crate) fn give_back(pid: sys::Pid) {
    if let Some(soft) = ORIGINAL.get() {
        // It may have ended already.
        let _ = sys::set_open_files_of(pid, *soft);
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn give_back(_pid: sys::Pid) {}
