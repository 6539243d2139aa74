//! The end of a run: [`sweep`] ends what the tasks left behind, [`end_run`] what a dead executor did.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::time::timeout;

use crate::leaders::reap_orphans;
use crate::platform::Tree;
use crate::sys;

/// A process that a task left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// Its number.
    pub pid: i32,
    /// The name of its program. Not its arguments, which may hold secrets.
    pub program: String,
    /// The id of the task that started it, if its environment still names it.
    pub task: Option<String>,
    /// The user it belongs to, if that is another one than this process acts for.
    pub user: Option<u32>,
    /// Whether it has ended: what belongs to another user, or hangs in the kernel, cannot be made to.
    pub ended: bool,
}

/// `process 123 of user 0 (sleep)`, without the user where that is our own.
impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        if let Some(user) = self.user {
            write!(f, " of user {user}")?;
        }
        match &*self.program {
            "" => Ok(()),
            program => write!(f, " ({program})"),
        }
    }
}

/// Ends all processes below this one and tells which there were: first asks (SIGTERM), after `grace`
/// kills, until none is left that may be killed or five more seconds have passed.
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
    let found = end(&Tree::below(), grace).await;
    reap_orphans();
    found
}

/// Ends all processes of a run whose executor is dead, and tells which there were: first asks (SIGTERM),
/// after `grace` kills, until none is left that may be killed or five more seconds have passed.
///
/// For the case that executor and guardian (see [`crate::guard`]) were both killed: call it before the
/// tasks run again. `mark` is that of the dead executor ([`own_mark`](crate::own_mark)). Every process of its tasks
/// carries a mark that neither `setsid` nor an empty environment takes from it; these are found, with their groups
/// and everything below them. This process, those above it, and what carries the mark of this one are spared.
///
/// Reads the environment of all processes, more than twice only when it finds something. Linux only: on
/// other systems it does nothing.
pub async fn end_run(mark: &str, grace: Duration) -> Vec<Leftover> {
    end(&Tree::of_run(mark), grace).await
}

async fn end(tree: &Tree, grace: Duration) -> Vec<Leftover> {
    if tree.ask_to_end().await {
        // Whether they are gone is seen next.
        let _ = timeout(grace, tree.ended()).await;
    }
    tree.kill().await;
    tree.report()
}

/// Whether this process has a child, running or not waited for. One system call.
pub(crate) fn has_children() -> bool {
    let none = Some(libc::ECHILD);
    !sys::ended_child().is_err_and(|error: io::Error| error.raw_os_error() == none)
}
