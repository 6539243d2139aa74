//! What the driver and the workers share: [`Pool`].
//!
//! Jobs are in one queue behind a short lock, and a worker takes them one by one, so a handler that blocks its
//! thread holds up no job but its own. The driver calls one worker; one that takes a job calls the next while jobs
//! are left. A report wakes the driver.
//!
//! While jobs are short all this costs more than the jobs. One worker then does them all, and wakes the driver when
//! it has nothing left to do.
//!
//! A handler that blocks may also hold up a worker that was called on the same thread, or, where one worker does
//! all, the rest. A *watch* sees within [`STALL`] that nobody takes the jobs that there are, and calls another.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use super::pace::Sample;
use super::{Job, Report, WorkerContext, work};

/// How long jobs may wait while no worker takes one.
const STALL: Duration = Duration::from_millis(5);

pub(super) struct Pool {
    pub(super) context: WorkerContext,
    state: Mutex<State>,
    /// Wakes a worker.
    called: Notify,
    /// Wakes the driver.
    reported: Notify,
}

struct State {
    jobs: VecDeque<Job>,
    reports: Vec<Report>,
    /// Workers that wait to be called.
    idle: usize,
    /// A worker was called and has not arrived yet; it calls the next if there is more to do.
    calling: bool,
    closed: bool,
    /// Jobs have been short lately.
    short: bool,
    watch: Watch,
    /// How many jobs were taken so far.
    taken: u64,
}

/// Whether the watch runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    Off,
    /// It was started and is not there yet.
    Starting,
    On,
    /// There is no other thread that could help.
    Useless,
}

/// What a worker finds that has been called.
pub(super) enum Arrival {
    Job(Job),
    Idle,
    Over,
}

impl Pool {
    pub(super) fn new(context: WorkerContext) -> Arc<Self> {
        let alone = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        Arc::new(Self {
            context,
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                reports: Vec::new(),
                idle: 0,
                calling: false,
                closed: false,
                short: false,
                watch: if alone { Watch::Useless } else { Watch::Off },
                taken: 0,
            }),
            called: Notify::new(),
            reported: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics with the pool locked")
    }

    /// Adds jobs.
    pub(super) fn add(self: &Arc<Self>, jobs: &mut Vec<Job>) {
        let mut state = self.lock();
        let in_progress = state.is_brisk() && !state.jobs.is_empty();
        state.jobs.extend(jobs.drain(..));
        if state.watch == Watch::Off && state.jobs.len() > 1 {
            // By the driver, which will not block the thread on which this starts.
            state.watch = Watch::Starting;
            tokio::spawn(watch(Arc::downgrade(self)));
        }
        if !in_progress {
            self.call(&mut state);
        }
    }

    /// Calls a worker for the jobs in the queue, unless one is on its way.
    fn call(self: &Arc<Self>, state: &mut State) {
        if state.jobs.is_empty() || state.calling {
            return;
        }
        state.calling = true;
        if state.idle == 0 {
            tokio::spawn(work(Arc::clone(self)));
        } else {
            state.idle -= 1;
            self.called.notify_one();
        }
    }

    /// Waits until this worker is called.
    pub(super) async fn called(&self) {
        self.called.notified().await;
    }

    /// A worker that was called is there.
    pub(super) fn arrive(self: &Arc<Self>) -> Arrival {
        let mut state = self.lock();
        if state.closed {
            self.called.notify_one();
            return Arrival::Over;
        }
        state.calling = false;
        let job = self.next_job(&mut state);
        job.map_or(Arrival::Idle, Arrival::Job)
    }

    /// The next job for a worker; without one it is idle.
    fn next_job(self: &Arc<Self>, state: &mut State) -> Option<Job> {
        let Some(job) = state.jobs.pop_front() else {
            state.idle += 1;
            return None;
        };
        state.taken += 1;
        if !state.is_brisk() {
            self.call(state);
        }
        Some(job)
    }

    /// Takes in a report, and gives the worker its next job; without one it is idle.
    pub(super) fn hand_in(self: &Arc<Self>, report: Report, sample: &mut Sample) -> Option<Job> {
        let mut state = self.lock();
        let first = state.reports.is_empty();
        state.reports.push(report);
        let last = state.jobs.is_empty();
        if let Some(short) = sample.ended(last) {
            state.short = short;
        }
        let next = self.next_job(&mut state);
        let wake = next.is_none() || (first && !state.is_brisk());
        drop(state);
        if wake {
            self.reported.notify_one();
        }
        next
    }

    /// A worker waits with its job: what it would have done next is for others.
    pub(super) fn suspend(self: &Arc<Self>) {
        let mut state = self.lock();
        state.short = false;
        self.hurry(&mut state);
    }

    /// Passes on what one worker would else have done when it came to it.
    fn hurry(self: &Arc<Self>, state: &mut State) {
        self.call(state);
        if !state.reports.is_empty() {
            self.reported.notify_one();
        }
    }

    pub(super) async fn reported(&self) {
        self.reported.notified().await;
    }

    pub(super) fn take_reports(&self, into: &mut Vec<Report>) {
        std::mem::swap(&mut self.lock().reports, into);
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.called.notify_waiters();
        self.called.notify_one();
    }
}

impl State {
    /// Whether one worker does all jobs.
    fn is_brisk(&self) -> bool {
        self.short && matches!(self.watch, Watch::On | Watch::Useless)
    }
}

/// Watches that jobs are taken, until there are none for a while.
async fn watch(pool: Weak<Pool>) {
    let mut seen = None;
    loop {
        {
            let Some(pool) = pool.upgrade() else { return };
            let mut state = pool.lock();
            state.watch = Watch::On;
            if seen == Some(state.taken) {
                state.short = false;
                if state.jobs.is_empty() && state.reports.is_empty() {
                    state.watch = Watch::Off;
                    return;
                }
                // Who was called does not come.
                state.calling = false;
                pool.hurry(&mut state);
            }
            seen = Some(state.taken);
        }
        tokio::time::sleep(STALL).await;
    }
}
