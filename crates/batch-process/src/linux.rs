//! Watching and ending processes on Linux: pidfds and `/proc`. Its sibling is `other_unix.rs`.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;

use crate::procfs::{Entry, Identity, Table, own_mark, own_pid};
use crate::signal::Signal;
use crate::sweep::Leftover;
use crate::sys::{self, Pid};

pub(crate) use crate::process_limits::{open_now, process_limits};
pub(crate) use crate::sys::memory_file as stdin_file;

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

/// The processes of one task.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Its leader, whose number is also the group's. Not waited for while this is in use.
    leader: Pid,
    task: String,
    /// Those found before: one may have lost its parents since, and never have had marks.
    known: Mutex<HashSet<Identity>>,
}

impl Tree {
    /// The tree below a leader that carries the mark of a task.
    pub(crate) fn new(leader: Pid, task: &str) -> Self {
        Self {
            leader,
            task: task.to_owned(),
            known: Mutex::default(),
        }
    }

    /// The number of the leader.
    pub(crate) fn leader(&self) -> Pid {
        self.leader
    }

    /// The processes besides the leader, now.
    fn members(&self, now: Instant) -> HashSet<Identity> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let members = Table::since(now).members(self.leader, &self.task, &known);
        known.extend(&members);
        members
    }

    /// As `members`, but lets the other tasks that are being ended come to the same point first, so
    /// that one table serves them all.
    async fn members_together(&self) -> HashSet<Identity> {
        let now = Instant::now();
        tokio::task::yield_now().await;
        self.members(now)
    }

    /// Asks all processes of the task to end.
    pub(crate) async fn ask_to_end(&self) {
        // What left the group must be found while its parents, which connect it, are alive.
        let members = self.members_together().await;
        // What is stopped acts on the request only when it goes on.
        for signal in [Signal::Terminate, Signal::Continue] {
            self.send(&members, signal);
        }
    }

    /// Waits until the leader is the only process of the task, if it is there at all.
    pub(crate) async fn alone(&self) {
        loop {
            let members = self.members_together().await;
            if members.is_empty() {
                return;
            }
            all_ended(&members).await;
        }
    }

    /// Kills all processes of the task and waits for the end of all but the leader.
    ///
    /// They are stopped first, round after round until no other turns up: one that is killed while it
    /// starts another one would leave that without a trace of where it came from.
    pub(crate) async fn kill(&self) {
        let mut stopped = HashSet::new();
        loop {
            let members = self.members_together().await;
            if !self.stop_further(&mut stopped, members) {
                break;
            }
        }
        self.send(&stopped, Signal::Kill);
        all_ended(&stopped).await;
    }

    /// Kills all processes of the task without waiting for their end.
    pub(crate) fn kill_now(&self) {
        /// More rounds than this are needed by nothing but a program that starts itself for ever.
        const ROUNDS: usize = 8;
        let mut stopped = HashSet::new();
        for _ in 0..ROUNDS {
            let members = self.members(Instant::now());
            if !self.stop_further(&mut stopped, members) {
                break;
            }
        }
        self.send(&stopped, Signal::Kill);
    }

    /// Stops those that are not yet; whether there were any.
    fn stop_further(&self, stopped: &mut HashSet<Identity>, members: HashSet<Identity>) -> bool {
        let further: HashSet<Identity> = members.difference(stopped).copied().collect();
        self.send(&further, Signal::Stop);
        stopped.extend(&further);
        !further.is_empty()
    }

    /// What is left of the task besides its leader.
    pub(crate) fn leftovers(&self) -> Vec<Leftover> {
        let members = self.members(Instant::now());
        let entries = members
            .into_iter()
            .filter_map(|member| Entry::read(member.pid));
        entries.map(|entry| describe(&entry)).collect()
    }

    /// Sends a signal to the group at one stroke, and to these one by one.
    fn send(&self, members: &HashSet<Identity>, signal: Signal) {
        let _ = sys::kill(-self.leader, signal.number());
        send(members, signal);
    }
}

/// What the run of a dead executor left. They are not our children, so pidfds tell their ends.
#[derive(Debug)]
pub(crate) struct DeadRun {
    mark: String,
    /// Those found before: one may have lost its parents since, and never have had marks.
    known: HashSet<Identity>,
    found: Vec<Leftover>,
}

impl DeadRun {
    /// What carries the mark of a run, and what belongs to that.
    pub(crate) fn new(mark: &str) -> Self {
        Self {
            mark: mark.to_owned(),
            known: HashSet::new(),
            found: Vec::new(),
        }
    }

    /// The processes that run now.
    fn members(&mut self) -> HashSet<Identity> {
        let table = Table::since(Instant::now());
        let entries = table.of_run(&self.mark, &self.known);
        for entry in &entries {
            if self.known.insert(entry.identity()) {
                self.found.push(describe(entry));
            }
        }
        entries.into_iter().map(Entry::identity).collect()
    }

    /// Stops all that run, round after round until no other turns up, and gives them: what is started
    /// by one that ends, between being looked for and that end, would leave no trace of where it came
    /// from.
    async fn stop(&mut self) -> HashSet<Identity> {
        let mut stopped = HashSet::new();
        loop {
            let members = self.members();
            let further: HashSet<Identity> = members.difference(&stopped).copied().collect();
            if further.is_empty() {
                return stopped;
            }
            send(&further, Signal::Stop);
            stopped.extend(further);
            tokio::task::yield_now().await;
        }
    }

    /// Asks them all to end; whether there are any.
    pub(crate) async fn ask_to_end(&mut self) -> bool {
        let stopped = self.stop().await;
        for signal in [Signal::Terminate, Signal::Continue] {
            send(&stopped, signal);
        }
        !stopped.is_empty()
    }

    /// Waits until none is running.
    pub(crate) async fn ended(&mut self) {
        loop {
            let members = self.members();
            if members.is_empty() {
                return;
            }
            all_ended(&members).await;
            // One that cannot be opened for want of file handles is not waited for above.
            tokio::task::yield_now().await;
        }
    }

    /// Kills them until none is left.
    pub(crate) async fn kill(&mut self) {
        loop {
            let stopped = self.stop().await;
            if stopped.is_empty() {
                return;
            }
            send(&stopped, Signal::Kill);
            all_ended(&stopped).await;
        }
    }

    /// All that there were.
    pub(crate) fn into_found(self) -> Vec<Leftover> {
        self.found
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
pub(crate) fn signal_process(mark: &str, signal: Signal) -> io::Result<bool> {
    let Some(process) = Identity::from_mark(mark) else {
        return Ok(false);
    };
    let Some(fd) = process.find()? else {
        return Ok(false);
    };
    match sys::pidfd_signal(fd.as_fd(), signal.number()) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Ends of children of this process that nobody has taken.
pub(crate) fn ended_children() -> Vec<Pid> {
    let table = Table::since(Instant::now());
    let ended = table.children(own_pid()).filter(|child| child.ended);
    ended.map(|child| child.pid).collect()
}

/// Sends a signal to all processes below this one, and tells which they are.
pub(crate) fn signal_descendants(signal: Signal) -> Vec<Leftover> {
    let table = Table::since(Instant::now());
    let below = table.descendants([own_pid()]);
    let members: HashSet<Identity> = below.iter().map(|entry| entry.identity()).collect();
    let found = below.into_iter().map(describe).collect();
    send(&members, signal);
    found
}

/// Waits until no process below this one is running.
pub(crate) async fn descendants_ended() {
    loop {
        let members: HashSet<Identity> = {
            let table = Table::since(Instant::now());
            table
                .descendants([own_pid()])
                .into_iter()
                .map(Entry::identity)
                .collect()
        };
        if members.is_empty() {
            return;
        }
        all_ended(&members).await;
    }
}

fn send(members: &HashSet<Identity>, signal: Signal) {
    for fd in members.iter().filter_map(|member| member.open()) {
        // It may have ended meanwhile.
        let _ = sys::pidfd_signal(fd.as_fd(), signal.number());
    }
}

async fn all_ended(members: &HashSet<Identity>) {
    for fd in members.iter().filter_map(|member| member.open()) {
        match sys::watch_readable(fd) {
            Ok(watch) => drop(watch.readable().await),
            // Short of file handles: look again in a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn describe(entry: &Entry) -> Leftover {
    Leftover {
        pid: entry.pid,
        command: entry.command(),
        task: entry.task().map(str::to_owned),
    }
}
