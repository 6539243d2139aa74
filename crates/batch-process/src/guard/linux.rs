//! The guardian on Linux: the fork, the guardian's loop, and the end of everything.

use std::io::{self, PipeReader, PipeWriter};

use super::{Guarded, Tell};
use crate::procfs::own_pid;
use crate::scratch::remove_dead_scratch;
use crate::sweep::has_children;
use crate::sys::{self, Change, Fork, Mask, Pid};
use crate::tree::Tree;

/// What the guardian passes on.
const FORWARDED: [i32; 8] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTSTP,
    libc::SIGCONT,
];

pub(super) fn ignored() -> Vec<i32> {
    FORWARDED
        .into_iter()
        .filter(|signal| sys::is_ignored(*signal))
        .collect()
}

pub(super) fn enter(tell: Tell) -> io::Result<Guarded> {
    let ignored = ignored();
    let (parent_lives, alive) = io::pipe()?;
    let before = sys::block(&awaited())?;
    match split() {
        Ok(Fork::Parent(executor)) => {
            drop(parent_lives);
            guard(executor, &ignored, tell, alive)
        }
        Ok(Fork::Child) => {
            drop(alive);
            become_executor(&before, ignored, parent_lives)
        }
        Err(error) => {
            sys::restore(&before)?;
            Err(error)
        }
    }
}

fn split() -> io::Result<Fork> {
    // Ends of children would not be told to a process that ignores them.
    sys::set_default(libc::SIGCHLD);
    sys::become_subreaper()?;
    sys::fork()
}

fn awaited() -> Vec<i32> {
    FORWARDED.into_iter().chain([libc::SIGCHLD]).collect()
}

fn become_executor(
    before: &Mask,
    ignored: Vec<i32>,
    parent_lives: PipeReader,
) -> io::Result<Guarded> {
    sys::become_subreaper()?;
    sys::set_name(c"batch-executor")?;
    sys::own_group(own_pid())?;
    sys::restore(before)?;
    // A group in the background may write to its terminal only so. Ends of children are told by pidfds:
    // their signals would wake whichever thread has nothing to do, for nothing.
    sys::block(&[libc::SIGTTOU, libc::SIGCHLD])?;
    Ok(Guarded {
        parent: Some(parent_lives),
        ignored,
    })
}

/// The guardian's life. `_alive` is the end of the pipe whose closing tells the executor of our end.
fn guard(executor: Pid, ignored: &[i32], tell: Tell, _alive: PipeWriter) -> ! {
    // The executor does the same; the one who comes first, nothing runs between.
    let _ = sys::own_group(executor);
    let awaited = awaited();
    // Who leads a session has no shell above that would have it go on: it goes on guarding instead.
    let stops = !sys::leads_session();
    loop {
        match sys::next_signal(&awaited) {
            Ok(libc::SIGCHLD) => {
                if let Some(status) = look_after_children(executor, stops) {
                    finish(status, tell);
                }
            }
            Ok(signal) if !ignored.contains(&signal) => {
                // It may just have ended: then a SIGCHLD is on its way.
                let _ = sys::kill(executor, signal);
            }
            _ => {}
        }
    }
}

/// Takes the ends of children and, with `stops`, stops when the executor stopped; gives the executor's end.
fn look_after_children(executor: Pid, stops: bool) -> Option<i32> {
    while let Ok(Some(change)) = sys::next_change(false) {
        match change {
            Change::Ended(pid, status) if pid == executor => return Some(status),
            Change::Stopped(pid) if pid == executor && stops => {
                // Here this process stops, until someone sends SIGCONT, which is then passed on.
                let _ = sys::kill(own_pid(), libc::SIGSTOP);
            }
            _ => {}
        }
    }
    None
}

/// Ends everything below, then this process in the way the executor ended.
///
/// What loses its parent comes to us: where there is no child there is nobody. What cannot be ended is told of if the
/// executor could not do so itself.
fn finish(status: i32, tell: Tell) -> ! {
    let mut left = Vec::new();
    if has_children() {
        let below = Tree::below();
        below.kill_blocking();
        left = below.left();
    }
    if libc::WIFSIGNALED(status) {
        tell(&left);
        remove_dead_scratch();
    }
    if libc::WIFEXITED(status) {
        std::process::exit(libc::WEXITSTATUS(status));
    }
    let signal = libc::WTERMSIG(status);
    // One core dump, the executor's own, is enough.
    sys::no_core_dump();
    if signal != libc::SIGKILL {
        sys::set_default(signal);
    }
    sys::raise_unblocked(signal);
    std::process::exit(128 + signal)
}
