//! The limit of open files: raised for the executor, given back to tasks.

use std::io;
use std::sync::OnceLock;

use crate::sys;

/// Open files that one running task needs: two pipes, the process, and what its start needs besides.
const PER_TASK: u64 = 8;

/// Open files of the executor itself: terminal, files of results, the store, sockets.
const OWN: u64 = 64;

/// The limits there were, soft and hard, before the soft one was raised.
static ORIGINAL: OnceLock<(u64, u64)> = OnceLock::new();

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
/// one. On systems other than Linux tasks keep the raised one. Where the limit needs no raising this costs nothing.
///
/// # Errors
/// When the limits can be neither read nor set.
pub fn raise_open_files(tasks: u64) -> io::Result<OpenFiles> {
    let (soft, hard) = sys::open_files()?;
    let wanted = OWN.saturating_add(tasks.saturating_mul(PER_TASK)).min(hard);
    let mut limit = soft;
    if wanted > soft {
        sys::set_open_files(wanted, hard)?;
        ORIGINAL.get_or_init(|| (soft, hard));
        limit = wanted;
    }
    Ok(OpenFiles {
        limit,
        tasks: limit.saturating_sub(OWN) / PER_TASK,
    })
}

/// The limits, soft and hard, that a process would have without us, where they are not those that we have.
pub(crate) fn to_give_back() -> Option<(u64, u64)> {
    ORIGINAL.get().copied()
}
