//! The journal as a sink of the run: [`JournalSink`].
//!
//! Rows are written when nothing more waits, or when there are many, but with a pause after each
//! transaction: others that write to the file get their turn, and the disk is asked to sync sixty times a
//! second at most.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batch_core::{CancelReason, Event, Reason};
use batch_runtime::{Sink, SinkError};
use batch_store::Journal;

use super::room::Room;

/// Between the end of one transaction and the beginning of the next.
const PAUSE: Duration = Duration::from_millis(15);

/// So many rows are written without waiting for a moment of rest,
const MANY: usize = 16_384;

/// and so are any after this time.
const LATEST: Duration = Duration::from_millis(16);

/// Writes the events of a run into the file of its batch.
pub(crate) struct JournalSink {
    journal: Journal,
    room: Arc<Room>,
    written: Instant,
}

impl JournalSink {
    pub(crate) fn new(journal: Journal, room: Arc<Room>) -> Self {
        Self {
            journal,
            room,
            written: Instant::now(),
        }
    }

    /// Writes what waits; with `all`, also that attempts have just begun.
    fn flush(&mut self, all: bool) -> Result<(), SinkError> {
        let journal = RefCell::new(&mut self.journal);
        let write = || match all {
            true => journal.borrow_mut().flush_all(),
            false => journal.borrow_mut().flush(),
        };
        self.room
            .until_written(write, || journal.borrow().make_room())
            .map_err(|error| SinkError(Box::new(error)))?;
        self.written = Instant::now();
        Ok(())
    }
}

impl Sink for JournalSink {
    fn on_events(&mut self, events: &[Event]) -> Result<(), SinkError> {
        self.journal.take(events);
        if events.iter().any(is_stop) {
            self.room.note_stopping();
        }
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

/// Whether it tells that the run takes up nothing more: it was stopped, or the batch ended for good.
const fn is_stop(event: &Event) -> bool {
    matches!(
        event,
        Event::Stopping { .. }
            | Event::Finished {
                reason: Some(Reason::Cancelled(CancelReason::BatchStopped)),
                ..
            }
    )
}
