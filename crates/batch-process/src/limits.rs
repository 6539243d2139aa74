//! How many tasks the limits of the system allow at once: [`raise_limits`].
//!
//! The limit of open files is raised for the executor and given back to tasks. Those of processes count threads as
//! well, and what others have started; there is nothing to be raised.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::{platform, sys};

/// Open files that are plenty for a task: two pipes, the process, files of large output, and what it needs besides.
const PLENTY_PER_TASK: u64 = 8;

/// Open files that are plenty for the executor itself: terminal, files of results, the store, sockets.
const PLENTY: u64 = 64;

/// Open files that one task needs: its process, two pipes, and two files for large outputs.
const FILES_PER_TASK: u64 = 5;

/// Open files that the executor needs besides those that are open at first: the batch file twice, its lease, and what
/// tells it of events.
const FILES: u64 = 22;

/// A shell and what it runs.
const PROCESSES_PER_TASK: u64 = 2;

/// The threads of the executor that have not started yet.
const THREADS: u64 = 10;

/// The limits of open files there were, soft and hard, before the soft one was raised.
static ORIGINAL: OnceLock<(u64, u64)> = OnceLock::new();

/// How many tasks can run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// At most as many as were asked for; 0 when not even one can.
    pub tasks: u64,
    /// What allows no more, where they are fewer.
    pub limit: Option<Limit>,
}

/// A limit that allows fewer tasks than were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The limit of open files of a process, RLIMIT_NOFILE.
    OpenFiles {
        /// The limit.
        limit: u64,
        /// What one task at a time needs.
        needed: u64,
    },
    /// A limit of processes and threads.
    Processes {
        /// Whose: a user's, RLIMIT_NPROC, for `None`, or that of a cgroup, `pids.max`.
        cgroup: Option<PathBuf>,
        /// The limit.
        limit: u64,
        /// How many there were.
        used: u64,
    },
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenFiles { limit, needed } => write!(
                f,
                "the limit of open files (RLIMIT_NOFILE) is {limit}, and one task at a time needs {needed}"
            ),
            Self::Processes {
                cgroup: None,
                limit,
                used,
            } => write!(
                f,
                "the limit of processes of this user (RLIMIT_NPROC) is {limit}, of which {used} are in use"
            ),
            Self::Processes {
                cgroup: Some(folder),
                limit,
                used,
            } => write!(
                f,
                "the limit of processes in {} (pids.max) is {limit}, of which {used} are in use",
                folder.display()
            ),
        }
    }
}

/// Finds out how many tasks can run at once, `wanted` at most, and raises the soft limit of open files for them if need
/// be. Processes started afterwards get the old soft limit back, as some programs do poorly with a high one.
///
/// Of processes at least one task is taken to fit, as the others that use them up may end. On systems other than Linux
/// only the limit of open files is looked at, and tasks keep the raised one.
///
/// # Errors
/// When the limits of open files can be neither read nor set.
pub fn raise_limits(wanted: u64) -> io::Result<Capacity> {
    let mut capacity = Capacity {
        tasks: wanted,
        limit: None,
    };
    let (tasks, limit) = room_for_files(wanted)?;
    capacity.lower(tasks, limit);
    for limit in platform::process_limits(wanted.saturating_mul(PROCESSES_PER_TASK)) {
        let Limit::Processes {
            limit: most, used, ..
        } = &limit
        else {
            continue;
        };
        let free = most.saturating_sub(*used).saturating_sub(THREADS);
        capacity.lower((free / PROCESSES_PER_TASK).max(1), limit);
    }
    Ok(capacity)
}

impl Capacity {
    fn lower(&mut self, tasks: u64, limit: Limit) {
        if tasks < self.tasks {
            self.tasks = tasks;
            self.limit = Some(limit);
        }
    }
}

fn room_for_files(tasks: u64) -> io::Result<(u64, Limit)> {
    let (soft, hard) = sys::open_files()?;
    let plenty = PLENTY.saturating_add(tasks.saturating_mul(PLENTY_PER_TASK));
    let wanted = plenty.min(hard);
    let mut limit = soft;
    if wanted > soft {
        sys::set_open_files(wanted, hard)?;
        ORIGINAL.get_or_init(|| (soft, hard));
        limit = wanted;
    }
    let own = match limit < plenty {
        true => FILES + platform::open_now().unwrap_or(3),
        // No need to look.
        false => FILES,
    };
    let room = limit.saturating_sub(own) / FILES_PER_TASK;
    let needed = own + FILES_PER_TASK;
    Ok((room, Limit::OpenFiles { limit, needed }))
}

/// The limits, soft and hard, that a process would have without us, where they are not those that we have.
pub(crate) fn to_give_back() -> Option<(u64, u64)> {
    ORIGINAL.get().copied()
}
