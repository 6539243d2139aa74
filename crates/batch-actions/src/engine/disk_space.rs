//! What a run does while its batch file or its outputs cannot be written: [`DiskSpace`].
//!
//! The one who finds the disk full or the file held by another program, the journal, who adds tasks or an output, waits
//! here and tries again. Meanwhile nothing more is started, and the lease says why, as the batch file itself cannot.
//! It also says that the run is being stopped.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use batch_core::StopMode;
use batch_process::{DiskSpaceWatch, is_disk_full};
use batch_runtime::{ResourceShortage, RunHandle};
use batch_store::lease::Notice;
use batch_store::{LeaseNote, Obstacle, StoreError};

use crate::state_reason::{StateReason, short_note};

/// Between two tries to write to a full disk.
const FULL_PAUSE: Duration = Duration::from_millis(500);

/// Between two tries to write to a file that another program holds; each of them waits for that program as well.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Others may hold the file for this long before that is worth a word.
const BUSY_SILENCE: Duration = Duration::from_secs(2);

/// DiskSpace on the disk of a batch and access to its file, for the threads of one run; for a run in memory, room for its
/// outputs. While someone waits for either, the run starts nothing more.
#[derive(Debug)]
pub struct DiskSpace {
    notice: Option<Notice>,
    run: OnceLock<RunHandle>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many outputs wait for room on the disk, and with them their tasks.
    outputs: usize,
    /// How many writers of the batch file or of the results do.
    without_space: usize,
    /// How many wait for another program to let go of the file,
    locked_out: usize,
    /// and since when any does.
    locked_out_since: Option<Instant>,
    /// The run takes up nothing more.
    stopping: bool,
    /// From then on nobody is to wait any more.
    give_up_at: Option<Instant>,
    /// The executor waits for more tasks when all is done.
    stays: bool,
    /// What the system is short of.
    short: Option<LeaseNote>,
    /// What the lease says now.
    noted: Option<LeaseNote>,
}

impl State {
    const fn is_waiting(&self) -> bool {
        self.outputs + self.without_space + self.locked_out > 0
    }

    /// Whether the run is to end, and waits for tasks that cannot end by themselves.
    const fn are_tasks_stuck(&self) -> bool {
        self.outputs > 0 && self.give_up_at.is_some()
    }

    const fn waiters(&mut self, obstacle: Obstacle) -> &mut usize {
        match obstacle {
            Obstacle::DiskFull => &mut self.without_space,
            Obstacle::Busy => &mut self.locked_out,
        }
    }

    /// Whether nobody is to wait any more for a thing. No room comes by waiting a little longer, but another program
    /// may let go.
    fn is_given_up(&self, obstacle: Obstacle) -> bool {
        self.give_up_at
            .is_some_and(|at| obstacle == Obstacle::DiskFull || Instant::now() >= at)
    }

    fn note(&self) -> Option<LeaseNote> {
        if self.stopping {
            Some(LeaseNote::Stopping)
        } else if self.outputs + self.without_space > 0 {
            Some(LeaseNote::DiskFull)
        } else if self
            .locked_out_since
            .is_some_and(|since| since.elapsed() >= BUSY_SILENCE)
        {
            Some(LeaseNote::FileBusy)
        } else {
            let staying = self.stays.then_some(LeaseNote::Staying);
            self.short.clone().or(staying)
        }
    }
}

impl DiskSpace {
    /// `notice` says in the lease why the batch waits; a run in memory has none.
    pub fn new(notice: Option<Notice>) -> Self {
        Self {
            notice,
            run: OnceLock::new(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The room of a process that handles one request for someone: it tells them what is in the way, and does not
    /// wait.
    pub(crate) fn for_one_request() -> Self {
        let disk_space = Self::new(None);
        disk_space.lock().give_up_at = Some(Instant::now());
        disk_space
    }

    /// The run that starts nothing while someone waits.
    pub fn set_run(&self, run: RunHandle) {
        // There is one run, and it is told here once.
        let _ = self.run.set(run);
    }

    /// Whether the run is being stopped.
    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Has the lease say that fewer tasks run at once than were asked for, for lack of something.
    pub(crate) fn note_short(&self, short: Option<&ResourceShortage>) {
        let short = short.map(short_note);
        self.change(|state| state.short = short);
    }

    /// The executor waits for more tasks when all is done.
    pub(crate) fn note_staying(&self) {
        self.change(|state| state.stays = true);
    }

    /// The run is being stopped, and takes up nothing more.
    pub(crate) fn note_stopping(&self) {
        self.change(|state| state.stopping = true);
    }

    /// The run is being stopped: nobody is to wait for room any more, and for another program only a little longer.
    pub fn give_up(&self, mode: StopMode) {
        let patience = match mode {
            StopMode::Graceful => Duration::from_secs(8),
            StopMode::End => Duration::from_secs(3),
            StopMode::Kill => Duration::ZERO,
        };
        let at = Instant::now() + patience;
        self.change(|state| {
            state.stopping = true;
            state.give_up_at = Some(state.give_up_at.map_or(at, |before| before.min(at)));
        });
        self.changed.notify_all();
    }

    /// Writes by `write`, again and again while the disk is full or another program holds the file, on a thread that
    /// may wait. Where the disk is full `shrink_log` is called, and it is tried once more at once.
    ///
    /// # Errors
    /// What `write` says, when it is anything else, or the run is being stopped.
    pub(crate) fn until_written<T>(
        &self,
        mut write: impl FnMut() -> Result<T, StoreError>,
        shrink_log: impl Fn(),
    ) -> Result<T, StoreError> {
        let mut try_to_write = || match write() {
            Err(error) if error.is_full() => {
                shrink_log();
                write()
            }
            written => written,
        };
        let mut waiting = Waiting {
            disk_space: self,
            obstacle: None,
        };
        loop {
            let error = match try_to_write() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let obstacle = error.obstacle();
            let Some(obstacle) = obstacle.filter(|what| !self.lock().is_given_up(*what)) else {
                return Err(error);
            };
            // At once: whatever starts meanwhile may not get on record, and run twice.
            waiting.set(Some(obstacle));
            self.pause(obstacle);
            if obstacle == Obstacle::DiskFull {
                // First, or what is written takes the room that the log needs to give back its own.
                shrink_log();
            }
        }
    }

    /// Writes something else than the batch file by `write`, again and again while its disk is full, on a thread that may
    /// wait.
    ///
    /// # Errors
    /// What `write` says, when it is anything else, or the run is being stopped.
    pub fn until_space<T>(&self, mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let mut waiting = Waiting {
            disk_space: self,
            obstacle: None,
        };
        loop {
            match write() {
                Err(error)
                    if is_disk_full(&error) && !self.lock().is_given_up(Obstacle::DiskFull) => {}
                done => return done,
            }
            waiting.set(Some(Obstacle::DiskFull));
            self.pause(Obstacle::DiskFull);
        }
    }

    /// Changes the state, and holds the run and tells the lease as it is then.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let was_waiting = state.is_waiting();
        change(&mut state);
        state.locked_out_since = match state.locked_out {
            0 => None,
            _ => state.locked_out_since.or_else(|| Some(Instant::now())),
        };
        if state.are_tasks_stuck()
            && let Some(run) = self.run.get()
        {
            run.stop(StopMode::End);
        }
        match (was_waiting, state.is_waiting(), self.run.get()) {
            (false, true, Some(run)) => run.suspend_starts(),
            (true, false, Some(run)) => run.resume_starts(),
            _ => {}
        }
        let note = state.note();
        if state.noted == note {
            return;
        }
        match (&state.noted, &note) {
            (_, Some(waits @ (LeaseNote::DiskFull | LeaseNote::FileBusy))) => {
                tracing::warn!("paused: {}", StateReason::Noted(waits.clone()));
            }
            (_, Some(LeaseNote::Stopping | LeaseNote::Staying)) => {}
            (Some(LeaseNote::DiskFull), _) => {
                tracing::warn!("there is free space on the disk again; continuing");
            }
            (Some(LeaseNote::FileBusy), _) => {
                tracing::warn!("the batch file is free again; going on");
            }
            _ => {}
        }
        let written = self
            .notice
            .as_ref()
            .map(|notice| notice.note(note.as_ref()));
        state.noted = note;
        if let Some(Err(error)) = written {
            tracing::warn!(%error, "the lease could not be written");
        }
    }

    /// Waits a while, or until nobody is to wait any more.
    fn pause(&self, obstacle: Obstacle) {
        let pause = match obstacle {
            Obstacle::DiskFull => FULL_PAUSE,
            Obstacle::Busy => BUSY_PAUSE,
        };
        let go_on = |state: &mut State| !state.is_given_up(obstacle);
        let _ = self.changed.wait_timeout_while(self.lock(), pause, go_on);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Outputs wait in their processes' pipes, and tell here that they do.
impl DiskSpaceWatch for DiskSpace {
    fn wanted(&self) {
        self.change(|state| state.outputs += 1);
    }

    fn found(&self) {
        self.change(|state| state.outputs -= 1);
    }
}

/// Someone who waits, for as long as it lives.
struct Waiting<'a> {
    disk_space: &'a DiskSpace,
    obstacle: Option<Obstacle>,
}

impl Waiting<'_> {
    /// What is waited for from now on. The same again tells of it when that has gone on for long enough.
    fn set(&mut self, obstacle: Option<Obstacle>) {
        let before = std::mem::replace(&mut self.obstacle, obstacle);
        if before.is_none() && obstacle.is_none() {
            return;
        }
        self.disk_space.change(|state| {
            // In one step, so that nobody hears that all is well in between.
            if let Some(obstacle) = obstacle {
                *state.waiters(obstacle) += 1;
            }
            if let Some(before) = before {
                *state.waiters(before) -= 1;
            }
        });
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.set(None);
    }
}
