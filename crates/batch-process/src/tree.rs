//! Ending processes on Linux, whatever they do against it: [`Tree`].
//!
//! Killing one by one loses against what starts others: the new one is not known yet, and its parent, which led to
//! it, is gone. So all are stopped first, round after round until no other turns up, and killed then; what is stopped
//! starts nothing, and keeps its place where the number of processes is limited. Two kinds need more than rounds:
//!
//! * What starts another one and ends, over and over, is gone before a look through all processes comes to its end.
//!   Each of them becomes an orphan, though, so the one who adopts those has it among its children, which can be looked
//!   through in some microseconds: see [`Tree::chase`].
//! * What belongs to another user may not be signalled. It is not waited for, and told of.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{timeout, timeout_at};

use crate::attempt_mark::AttemptMark;
use crate::leaders;
use crate::procfs::{Entry, Identity, Table, orphans_of, own_pid};
use crate::scope::Scope;
use crate::signal::Signal;
use crate::start::KILL_WAIT;
use crate::sweep::Leftover;
use crate::sys::{self, Pid};

/// Between two looks at what may end at any time.
const POLL: Duration = Duration::from_millis(20);

/// How long the last ones killed may take to be gone, when the time to look for more is over.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Processes that are ended together.
#[derive(Debug)]
pub(crate) struct Tree {
    scope: Scope,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// All that were found, ended or not: one may have lost its parents since, and have no marks.
    known: HashSet<Identity>,
    stopped: HashSet<Identity>,
    /// Those that this process may not signal.
    denied: HashSet<Identity>,
    /// Those that ran when they were found.
    found: Vec<(Identity, Leftover)>,
}

/// What a look found.
struct Look {
    running: HashSet<Identity>,
    /// Those of them that were not known.
    new: Vec<Identity>,
    /// An orphan turned up, or the trace of one.
    has_orphans: bool,
    /// An ended one turned up that was not known while it ran: there may be others.
    has_traces: bool,
}

/// What a step towards the end came to.
enum Step {
    /// Others turned up; there may be more.
    Further,
    /// These were killed.
    Killed(HashSet<Identity>),
    /// None runs that could be killed.
    Done,
}

impl Tree {
    fn new(scope: Scope) -> Self {
        Self {
            scope,
            state: Mutex::default(),
        }
    }

    /// The processes of an attempt. Its leader, whose number is also the group's, must not be waited for while this
    /// is in use.
    pub(crate) fn of_attempt(leader: Pid, task: &str, mark: AttemptMark) -> Self {
        let task = task.to_owned();
        Self::new(Scope::Attempt { leader, task, mark })
    }

    /// What the run of a dead executor left.
    pub(crate) fn of_run(mark: &str) -> Self {
        Self::new(Scope::run(mark))
    }

    /// All below this process.
    pub(crate) fn below() -> Self {
        Self::new(Scope::Below)
    }

    /// Asks all to end; whether there are any.
    pub(crate) async fn ask_to_end(&self) -> bool {
        // What left the group must be found while its parents, which connect it, are alive.
        let look = self.look_together().await;
        self.note(&look.new);
        let running = look.running;
        // What is stopped acts on the request only when it goes on.
        for signal in [Signal::Terminate, Signal::Continue] {
            self.send(&running, signal);
        }
        !running.is_empty()
    }

    /// Waits until none runs.
    pub(crate) async fn ended(&self) {
        for round in 0_u32.. {
            let look = self.look_together().await;
            self.note(&look.new);
            let running = look.running;
            if running.is_empty() {
                return;
            }
            all_ended(&running).await;
            if round > 0 {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// Kills all and waits for their end, for five seconds at most. What may not be signalled is not waited for. Where
    /// none seems to run it makes sure of that: a look may miss what starts itself over and over.
    pub(crate) async fn kill(&self) {
        let until = tokio::time::Instant::now() + KILL_WAIT;
        while tokio::time::Instant::now() < until {
            let moment = Instant::now();
            // As in `look_together`.
            tokio::task::yield_now().await;
            match self.step(moment) {
                Step::Further => {}
                // What does not end hangs in the kernel.
                Step::Killed(members) => drop(timeout_at(until, all_ended(&members)).await),
                Step::Done => return,
            }
        }
        let killed = self.kill_stopped();
        let _ = timeout(LAST_WAIT, all_ended(&killed)).await;
    }

    /// As [`Tree::kill`], where there is no runtime.
    pub(crate) fn kill_blocking(&self) {
        let until = Instant::now() + KILL_WAIT;
        while Instant::now() < until {
            match self.step(Instant::now()) {
                Step::Further => {}
                Step::Killed(_) => std::thread::sleep(Duration::from_millis(1)),
                Step::Done => return,
            }
        }
        self.kill_stopped();
    }

    /// Kills all without waiting for their end.
    pub(crate) fn kill_now(&self) {
        /// More rounds than this are needed by nothing but a program that starts itself for ever.
        const ROUNDS: usize = 8;
        for _ in 0..ROUNDS {
            if !matches!(self.step(Instant::now()), Step::Further) {
                return;
            }
        }
        self.kill_stopped();
    }

    /// Those that run still.
    pub(crate) fn left(&self) -> Vec<Leftover> {
        let look = self.look(Instant::now());
        self.note(&look.new);
        let running = look.running;
        let found = self.report().into_iter();
        let pids: HashSet<Pid> = running.iter().map(|member| member.pid).collect();
        found
            .filter(|left| !left.ended && pids.contains(&left.pid))
            .collect()
    }

    /// All that ran when they were found, and which of them ended.
    pub(crate) fn report(&self) -> Vec<Leftover> {
        let state = self.state();
        let found = state.found.iter().map(|(identity, left)| Leftover {
            ended: !identity.is_alive(),
            ..left.clone()
        });
        found.collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at all processes, as they are at a moment not before this one.
    fn look(&self, moment: Instant) -> Look {
        let table = Table::since(moment);
        let mut state = self.state();
        let members = self.scope.members(&table, &state.known);
        let mut look = Look {
            running: HashSet::new(),
            new: Vec::new(),
            has_orphans: false,
            has_traces: false,
        };
        let mut adopters = None;
        for member in members {
            let identity = member.identity();
            if !member.ended {
                look.running.insert(identity);
            }
            if !state.known.insert(identity) {
                continue;
            }
            let adopters = adopters.get_or_insert_with(|| self.scope.adopters(&table));
            look.has_orphans |=
                adopters.contains(&member.parent) && !leaders::is_leader(member.pid);
            match member.ended {
                true => look.has_traces = true,
                false => look.new.push(identity),
            }
        }
        look
    }

    /// Notes what processes are called, for the report.
    fn note(&self, new: &[Identity]) {
        let described = new.iter().filter_map(|identity| {
            let entry = Entry::read(identity.pid).filter(|entry| entry.identity() == *identity)?;
            Some((*identity, describe(&entry)))
        });
        let described: Vec<_> = described.collect();
        self.state().found.extend(described);
    }

    /// As `look`, but lets the other tasks that are being ended come to the same point first, so that one table
    /// serves them all.
    async fn look_together(&self) -> Look {
        let moment = Instant::now();
        tokio::task::yield_now().await;
        self.look(moment)
    }

    /// Stops those that turned up since the last step; where none did, kills them all.
    fn step(&self, moment: Instant) -> Step {
        let look = self.look(moment);
        let further: HashSet<Identity> = {
            let state = self.state();
            let further = look.running.iter();
            let is_new = |member: &&Identity| {
                !state.stopped.contains(member) && !state.denied.contains(member)
            };
            further.filter(is_new).copied().collect()
        };
        if !further.is_empty() || look.has_traces {
            self.send(&further, Signal::Stop);
            self.state().stopped.extend(&further);
            // Now that they hang: to read what they are called takes long.
            self.note(&look.new);
            if look.has_orphans {
                self.chase(&self.scope.adopters(&Table::since(moment)));
            }
            return Step::Further;
        }
        if look.running.is_empty() {
            let adopters = self.scope.adopters(&Table::since(moment));
            // Orphans of this process leave a trace: nobody else takes their ends.
            let is_certain = adopters.iter().all(|adopter| *adopter == own_pid());
            return match is_certain || !self.chase(&adopters) {
                true => Step::Done,
                false => Step::Further,
            };
        }
        self.send(&look.running, Signal::Kill);
        let state = self.state();
        let killed: HashSet<Identity> = look.running.difference(&state.denied).copied().collect();
        match killed.is_empty() {
            true => Step::Done,
            false => Step::Killed(killed),
        }
    }

    /// Stops orphans as soon as they turn up among the children of the one who adopts them, until none has for a moment;
    /// whether there were any.
    fn chase(&self, adopters: &HashSet<Pid>) -> bool {
        const QUIET: Duration = Duration::from_millis(1);
        const LIMIT: Duration = Duration::from_millis(10);
        let begun = Instant::now();
        let mut seen: HashSet<Pid> = self.state().known.iter().map(|known| known.pid).collect();
        let mut last = None;
        while last.unwrap_or(begun).elapsed() < QUIET && begun.elapsed() < LIMIT {
            for pid in adopters.iter().flat_map(|adopter| orphans_of(*adopter)) {
                if seen.insert(pid) && self.catch(pid) {
                    last = Some(Instant::now());
                }
            }
        }
        last.is_some()
    }

    /// Stops an orphan, if it is one of these processes; whether it is.
    fn catch(&self, pid: Pid) -> bool {
        // The descriptor first: what is asked of the number then is true of it, or it has ended.
        let Ok(fd) = sys::pidfd_open(pid) else {
            return false;
        };
        if leaders::is_leader(pid) || !self.scope.claims(pid) {
            return false;
        }
        let stopped = sys::pidfd_signal(fd.as_fd(), Signal::Stop.number()).is_ok();
        if leaders::take_end_of_orphan(pid) {
            return true;
        }
        if let Some(entry) = Entry::read(pid).filter(|entry| stopped && !entry.ended) {
            let identity = entry.identity();
            let mut state = self.state();
            state.stopped.insert(identity);
            if state.known.insert(identity) {
                state.found.push((identity, describe(&entry)));
            }
        }
        true
    }

    /// Kills what has been stopped, when there is no time to look for more, and gives that.
    fn kill_stopped(&self) -> HashSet<Identity> {
        let stopped = self.state().stopped.clone();
        self.send(&stopped, Signal::Kill);
        let state = self.state();
        stopped.difference(&state.denied).copied().collect()
    }

    /// Sends a signal to the group at one stroke, and to these one by one.
    fn send(&self, members: &HashSet<Identity>, signal: Signal) {
        if let Scope::Attempt { leader, .. } = self.scope {
            let _ = sys::kill(-leader, signal.number());
        }
        let mut state = self.state();
        for member in members {
            let Some(fd) = member.open() else { continue };
            match sys::pidfd_signal(fd.as_fd(), signal.number()) {
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                    state.denied.insert(*member);
                }
                // It may have ended meanwhile; and one may become someone else.
                _ => drop(state.denied.remove(member)),
            }
        }
    }
}

async fn all_ended(members: &HashSet<Identity>) {
    for fd in members.iter().filter_map(|member| member.open()) {
        match sys::watch_readable(fd) {
            Ok(watch) => drop(watch.readable().await),
            // Short of file handles: look again in a moment.
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// What is told of a process.
pub(crate) fn describe(entry: &Entry) -> Leftover {
    Leftover {
        pid: entry.pid,
        program: entry.program(),
        task: entry.task().map(str::to_owned),
        user: entry.user().filter(|user| *user != sys::own_user()),
        ended: false,
    }
}
