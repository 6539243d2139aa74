//! What a run does while the disk is full: [`Room`].
//!
//! Whoever finds no room, the journal or who adds tasks, waits here and tries again. Meanwhile nothing more is
//! started, and the lease says why, as the batch file itself cannot. It also says that the run is being stopped.

use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use batch_runtime::{RunHandle, ShortOf};
use batch_store::{Notice, StoreError};

/// Between two tries to write to a full disk.
const PAUSE: Duration = Duration::from_millis(500);

/// Why the batch stands still, as others read it in the lease.
pub(crate) const DISK_FULL: &str = "the disk is full; it goes on when there is room";

/// What the lease says of a batch that runs with fewer tasks at once begins so.
const SHORT: &str = "short of ";

/// Why fewer tasks run at once than were asked for.
pub fn short_text(short: &ShortOf) -> String {
    let ShortOf {
        what,
        slots,
        asked_for,
    } = short;
    match slots {
        0 => format!("{SHORT}{what}; no task can start for now, and it is tried again"),
        1 => format!("{SHORT}{what}; running 1 task at once, not {asked_for}"),
        _ => format!("{SHORT}{what}; running {slots} tasks at once, not {asked_for}"),
    }
}

/// Whether a note in the lease is that of a batch that runs all the same.
pub(crate) fn is_running(note: &str) -> bool {
    note == STOPPING || note.starts_with(SHORT)
}

/// What the lease says while the run is being stopped.
pub(crate) const STOPPING: &str = "it is being stopped";

/// Room on the disk of a batch, for the threads of one run that write into its file.
#[derive(Debug)]
pub(crate) struct Room {
    notice: Option<Notice>,
    run: OnceLock<RunHandle>,
    state: Mutex<State>,
    given_up: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many threads wait for room.
    waiting: usize,
    /// The run takes up nothing more.
    stopping: bool,
    /// Nobody is to wait any more.
    given_up: bool,
    /// What the system is short of, in a sentence.
    short: Option<String>,
    /// What the lease says now.
    said: String,
}

impl Room {
    /// `notice` says in the lease why the batch stands still.
    pub(crate) fn new(notice: Option<Notice>) -> Self {
        Self {
            notice,
            run: OnceLock::new(),
            state: Mutex::default(),
            given_up: Condvar::new(),
        }
    }

    /// The run that starts nothing while there is no room.
    pub(crate) fn set_run(&self, run: RunHandle) {
        // There is one run, and it is told here once.
        let _ = self.run.set(run);
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_wanting(&self) -> bool {
        self.lock().waiting > 0
    }

    /// Whether the run is being stopped.
    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Has the lease say that fewer tasks run at once than were asked for, for want of something.
    pub(crate) fn note_short(&self, short: Option<&ShortOf>) {
        let short = short.map(short_text);
        self.change(|state| state.short = short);
    }

    /// The run is being stopped, and takes up nothing more.
    pub(crate) fn note_stopping(&self) {
        self.change(|state| state.stopping = true);
    }

    /// The run is being stopped, and nobody is to wait for room any more.
    pub(crate) fn give_up(&self) {
        self.change(|state| {
            state.stopping = true;
            state.given_up = true;
        });
        self.given_up.notify_all();
    }

    /// Writes by `write`, again and again while the disk is full, with `make` in between, on a thread that may
    /// wait.
    ///
    /// # Errors
    /// What `write` says, when it is anything else, or the run is being stopped.
    pub(crate) fn until_there_is_some<T>(
        &self,
        mut write: impl FnMut() -> Result<T, StoreError>,
        make: impl Fn(),
    ) -> Result<T, StoreError> {
        match write() {
            Err(error) if error.is_full() => {}
            done => return done,
        }
        self.change(|state| state.waiting += 1);
        let done = loop {
            make();
            let given_up = self.pause();
            match write() {
                Err(error) if error.is_full() && !given_up => {}
                done => break done,
            }
        };
        self.change(|state| state.waiting -= 1);
        done
    }

    /// Changes the state, and holds the run and tells the lease as it is then.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let wanting = state.waiting > 0;
        change(&mut state);
        match (wanting, state.waiting > 0, self.run.get()) {
            (false, true, Some(run)) => run.hold(),
            (true, false, Some(run)) => run.let_go(),
            _ => {}
        }
        let say = match (state.stopping, state.waiting) {
            (true, _) => STOPPING,
            (false, 0) => state.short.as_deref().unwrap_or_default(),
            (false, _) => DISK_FULL,
        };
        match (&*state.said, say) {
            (said, say) if said == say => return,
            (_, DISK_FULL) => tracing::warn!("paused: {DISK_FULL}"),
            (DISK_FULL, say) if say != STOPPING => {
                tracing::warn!("there is room on the disk again; going on");
            }
            _ => {}
        }
        let say = say.to_owned();
        state.said.clone_from(&say);
        if let Some(Err(error)) = self.notice.as_ref().map(|notice| notice.note(&say)) {
            tracing::warn!(%error, "the lease could not be written");
        }
    }

    /// Waits a while; whether nobody is to wait any more.
    fn pause(&self) -> bool {
        let go_on = |state: &mut State| !state.given_up;
        let waited = self.given_up.wait_timeout_while(self.lock(), PAUSE, go_on);
        waited.unwrap_or_else(PoisonError::into_inner).0.given_up
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
