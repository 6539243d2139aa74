//! What a run does while the disk is full: [`Room`].
//!
//! Whoever finds no room, the journal or who adds tasks, waits here and tries again. Meanwhile nothing more is
//! started, and the lease says why, as the batch file itself cannot.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use batch_runtime::RunHandle;
use batch_store::{Notice, StoreError};

/// Between two tries to write to a full disk.
const PAUSE: Duration = Duration::from_millis(500);

/// Between two looks whether the run is being stopped.
const LOOK: Duration = Duration::from_millis(25);

/// Why the batch stands still, as others read it in the lease.
pub(crate) const DISK_FULL: &str = "the disk is full; it goes on when there is room";

/// What the lease says while the run is being stopped.
pub(crate) const STOPPING: &str = "it is being stopped";

/// Room on the disk of a batch, for the threads of one run that write into its file.
#[derive(Debug)]
pub(crate) struct Room {
    notice: Option<Notice>,
    run: OnceLock<RunHandle>,
    /// How many threads wait for room.
    waiting: AtomicUsize,
    /// The run is being stopped: nobody waits any more.
    given_up: AtomicBool,
}

impl Room {
    /// `notice` says in the lease why the batch stands still.
    pub(crate) fn new(notice: Option<Notice>) -> Self {
        Self {
            notice,
            run: OnceLock::new(),
            waiting: AtomicUsize::new(0),
            given_up: AtomicBool::new(false),
        }
    }

    /// The run that starts nothing while there is no room.
    pub(crate) fn set_run(&self, run: RunHandle) {
        // There is one run, and it is told here once.
        let _ = self.run.set(run);
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_wanting(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// The run is being stopped: nobody waits for room any more, and the lease says so.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        self.say(STOPPING);
    }

    /// Whether the run is being stopped.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
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
        self.begin_to_wait();
        let done = loop {
            make();
            let given_up = self.pause();
            match write() {
                Err(error) if error.is_full() && !given_up => {}
                done => break done,
            }
        };
        self.end_to_wait();
        done
    }

    fn begin_to_wait(&self) {
        if self.waiting.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        tracing::warn!("paused: {DISK_FULL}");
        self.say(DISK_FULL);
        if let Some(run) = self.run.get() {
            run.hold();
        }
    }

    fn end_to_wait(&self) {
        if self.waiting.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        if self.is_given_up() {
            return;
        }
        self.say("");
        if let Some(run) = self.run.get() {
            run.let_go();
        }
        tracing::warn!("there is room on the disk again; going on");
    }

    fn say(&self, text: &str) {
        let said = self.notice.as_ref().map(|notice| notice.note(text));
        if let Some(Err(error)) = said {
            tracing::warn!(%error, "the lease could not be written");
        }
    }

    /// Waits a while; whether the run is being stopped.
    fn pause(&self) -> bool {
        let until = Instant::now() + PAUSE;
        while Instant::now() < until && !self.is_given_up() {
            std::thread::sleep(LOOK);
        }
        self.is_given_up()
    }
}
