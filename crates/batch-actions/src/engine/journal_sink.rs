//! The journal as a sink of the run: [`JournalSink`].
//!
//! Rows are written when nothing more waits, or when there are many, but with a pause after each
//! transaction: others that write to the file get their turn, and the disk is asked to sync a hundred times a
//! second at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use batch_core::Event;
use batch_runtime::{Sink, SinkError};
use batch_store::{Journal, StoreError};

/// Between the end of one transaction and the beginning of the next.
const PAUSE: Duration = Duration::from_millis(8);

/// So many rows are written without waiting for a moment of rest,
const MANY: usize = 16_384;

/// and so are any after this time.
const LATEST: Duration = Duration::from_millis(15);

/// Between two tries to write to a full disk.
const FULL_PAUSE: Duration = Duration::from_millis(500);

/// What the sink and the engine tell each other about the disk.
#[derive(Debug, Default)]
pub(crate) struct DiskState {
    /// The disk is full and the sink waits for room.
    pub(crate) full: AtomicBool,
    /// The run is being stopped: no more waiting for room.
    pub(crate) give_up: AtomicBool,
}

/// Writes the events of a run into the file of its batch.
pub(crate) struct JournalSink {
    journal: Journal,
    disk: Arc<DiskState>,
    written: Instant,
}

impl JournalSink {
    pub(crate) fn new(journal: Journal, disk: Arc<DiskState>) -> Self {
        Self {
            journal,
            disk,
            written: Instant::now(),
        }
    }

    /// Writes what waits; with `all`, also that attempts have just begun.
    fn flush(&mut self, all: bool) -> Result<(), SinkError> {
        loop {
            let written = match all {
                true => self.journal.flush_all(),
                false => self.journal.flush(),
            };
            match written {
                Ok(()) => break,
                Err(error) if error.is_full() => self.wait_for_room(error)?,
                Err(error) => return Err(SinkError(Box::new(error))),
            }
        }
        self.disk.full.store(false, Ordering::Release);
        self.written = Instant::now();
        Ok(())
    }

    fn wait_for_room(&self, error: StoreError) -> Result<(), SinkError> {
        self.disk.full.store(true, Ordering::Release);
        self.journal.make_room();
        let until = Instant::now() + FULL_PAUSE;
        while Instant::now() < until {
            if self.disk.give_up.load(Ordering::Acquire) {
                return Err(SinkError(Box::new(error)));
            }
            std::thread::sleep(FULL_PAUSE / 20);
        }
        Ok(())
    }
}

impl Sink for JournalSink {
    fn on_events(&mut self, events: &[Event]) -> Result<(), SinkError> {
        self.journal.take(events);
        if self.journal.waiting() >= MANY || self.written.elapsed() >= LATEST {
            self.flush(false)?;
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<Option<Duration>, SinkError> {
        let since = self.written.elapsed();
        if since < PAUSE {
            return Ok(Some(PAUSE - since));
        }
        self.flush(false)?;
        // Attempts that have just begun are written next time, if they still run then.
        Ok(self.journal.has_unwritten_attempts().then_some(PAUSE))
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        self.flush(true)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.flush(true)
    }
}
