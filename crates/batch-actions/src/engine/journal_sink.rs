//! The journal as a sink of the run: [`JournalSink`].
//!
//! Rows are written when nothing more waits, or when there are many, but with a pause after each
//! transaction: others that write to the file get their turn, and the disk is asked to sync sixty times a
//! second at most.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batch_core::{Event, Reason, status::CancelReason};
use batch_runtime::{Sink, SinkError};
use batch_store::runs::EndRun;
use batch_store::{Journal, StoreError};

use super::disk_space::DiskSpace;
use crate::clock::now;

/// Between the end of one transaction and the beginning of the next.
const PAUSE: Duration = Duration::from_millis(15);

/// How many rows are written without waiting for a moment of rest,
const MANY: usize = 16_384;

/// and so are any after this time.
const LATEST: Duration = Duration::from_millis(16);

/// Writes the events of a run into the file of its batch.
pub(crate) struct JournalSink {
    journal: Journal,
    disk_space: Arc<DiskSpace>,
    ending: Arc<Ending>,
    written: Instant,
}

/// How a run that has nothing more to do is ended in the transaction of its last rows.
#[derive(Debug, Default)]
pub(crate) struct Ending(Mutex<Option<End>>);

#[derive(Debug)]
enum End {
    /// With the next sync, unless there is more to do than was seen.
    Wanted((u32, i64)),
    Tried(EndRun),
}

impl Ending {
    /// Has the next sync end the run, unless tasks or requests came in after those seen.
    pub(crate) fn want(&self, seen: (u32, i64)) {
        *self.lock() = Some(End::Wanted(seen));
    }

    /// What came of it; `None` where there was no sync.
    pub(crate) fn take(&self) -> Option<EndRun> {
        match self.lock().take()? {
            End::Wanted(_) => None,
            End::Tried(ended) => Some(ended),
        }
    }

    fn wanted(&self) -> Option<(u32, i64)> {
        match &*self.lock() {
            Some(End::Wanted(seen)) => Some(*seen),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<End>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JournalSink {
    pub(crate) fn new(journal: Journal, disk_space: Arc<DiskSpace>, ending: Arc<Ending>) -> Self {
        Self {
            journal,
            disk_space,
            ending,
            written: Instant::now(),
        }
    }

    /// Writes by `write`, as soon as there is room.
    fn write<T>(
        &mut self,
        write: impl Fn(&mut Journal) -> Result<T, StoreError>,
    ) -> Result<T, SinkError> {
        let journal = RefCell::new(&mut self.journal);
        let written = self
            .disk_space
            .until_written(
                || write(&mut journal.borrow_mut()),
                || journal.borrow().shrink_log(),
            )
            .map_err(|error| SinkError(Box::new(error)))?;
        self.written = Instant::now();
        Ok(written)
    }
}

impl Sink for JournalSink {
    fn on_events(&mut self, events: &[Event]) -> Result<(), SinkError> {
        self.journal.take(events);
        if events.iter().any(is_stop) {
            self.disk_space.note_stopping();
        }
        if self.journal.waiting() >= MANY || self.written.elapsed() >= LATEST {
            self.write(Journal::flush)?;
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<Option<Duration>, SinkError> {
        let since = self.written.elapsed();
        if since < PAUSE {
            return Ok(Some(PAUSE - since));
        }
        self.write(Journal::flush)?;
        // Attempts that have just begun are written next time, if they still run then.
        Ok(self.journal.has_unwritten_attempts().then_some(PAUSE))
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        let Some(seen) = self.ending.wanted() else {
            return self.write(Journal::flush_all);
        };
        let ended = self.write(|journal| journal.finish(now(), seen))?;
        *self.ending.lock() = Some(End::Tried(ended));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.write(Journal::flush_all)
    }
}

/// Whether it tells that the run takes up nothing more: it was stopped, or the batch ended for good.
const fn is_stop(event: &Event) -> bool {
    matches!(
        event,
        Event::Stopping { .. }
            | Event::Finished {
                reason: Some(Reason::Cancelled(CancelReason::BatchStopped(_))),
                ..
            }
    )
}
