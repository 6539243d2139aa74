//! Where results go while the batch runs: [`ResultSink`], and its end: [`Results`].

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use batch_actions::{Room, now};
use batch_core::{BatchId, Event};
use batch_export::files::{AtomicFile, FileHandle};
use batch_export::{
    ExportError, Format, Records, ResultWriter, Summary, TaskFilter, WriterOptions, result_writer,
};
use batch_runtime::{Sink, SinkError};

use crate::signals::give_up_on_signal;
use crate::terminal::{TerminalWriter, stderr, stdout};

/// What is written, and where.
pub(crate) struct OutputPlan {
    pub(crate) options: WriterOptions,
    /// A file, in place of standard output.
    pub(crate) file: Option<PathBuf>,
    /// The file, once it is open.
    pub(crate) opened: Option<AtomicFile>,
    pub(crate) filter: TaskFilter,
}

/// Turns events into results, as they come. Clones feed the same results.
#[derive(Clone)]
pub(crate) struct ResultSink(Arc<Mutex<Option<State>>>);

/// The results, once the run is over.
pub(crate) struct Results {
    state: Arc<Mutex<Option<State>>>,
    room: SharedRoom,
}

/// Whom to ask for room on the disk, once there is a run.
#[derive(Clone, Default)]
pub(crate) struct SharedRoom(Arc<OnceLock<Arc<Room>>>);

impl SharedRoom {
    pub(crate) fn set(&self, room: &Arc<Room>) {
        // There is one run, and it is told here once.
        let _ = self.0.set(Arc::clone(room));
    }

    /// The run is over: a signal has nothing more to stop but the waiting for room.
    pub(crate) fn run_is_over(&self) {
        if let Some(room) = self.0.get() {
            give_up_on_signal(Arc::clone(room));
        }
    }
}

/// The file of the results: while its disk is full, it waits as the run does.
pub(crate) struct PatientFile {
    pub(crate) file: FileHandle,
    pub(crate) room: SharedRoom,
}

impl Write for PatientFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.room.0.get() {
            Some(room) => room.until_room(|| self.file.write(bytes)),
            None => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl AsFd for PatientFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

struct State {
    records: Records,
    summary: Summary,
    filter: TaskFilter,
    writer: Box<dyn ResultWriter>,
    file: Option<AtomicFile>,
}

impl OutputPlan {
    /// Opens the file, so that one that cannot be made is told before anything runs.
    pub(crate) fn open_file(&mut self) -> Result<(), ExportError> {
        // The format `none` writes nothing, not even an empty file.
        if let Some(path) = &self.file
            && self.options.format != Format::None
        {
            self.opened = Some(AtomicFile::create(path)?);
        }
        Ok(())
    }

    /// Gets ready to write results, to the file where one is open.
    pub(crate) fn open(self, batch: BatchId) -> Result<(ResultSink, Results), ExportError> {
        let file = self.opened;
        let room = SharedRoom::default();
        let out: Box<dyn Write + Send> = match &file {
            Some(file) => Box::new(TerminalWriter::new(PatientFile {
                file: file.handle()?,
                room: room.clone(),
            })),
            None => Box::new(stdout()),
        };
        let writer = result_writer(&self.options, out, stderr())?;
        let state = State {
            records: Records::new(batch),
            summary: Summary::new(batch),
            filter: self.filter,
            writer,
            file,
        };
        let state = Arc::new(Mutex::new(Some(state)));
        Ok((ResultSink(Arc::clone(&state)), Results { state, room }))
    }
}

impl Sink for ResultSink {
    fn on_events(&mut self, events: &[Event]) -> Result<(), SinkError> {
        let mut state = self.0.lock().expect("no writer panics with the lock");
        match state.as_mut() {
            Some(state) => state
                .take_in(events)
                .map_err(|error| SinkError(Box::new(error))),
            None => Ok(()),
        }
    }
}

impl State {
    fn take_in(&mut self, events: &[Event]) -> Result<(), ExportError> {
        for event in events {
            let Some(record) = self.records.apply(event) else {
                continue;
            };
            self.summary.add(&record);
            if self.filter.matches(&record) {
                self.writer.task(&record)?;
            } else {
                self.writer.skip(record.task)?;
            }
        }
        self.writer.flush()
    }
}

impl Results {
    /// Has the file wait for room as the run does.
    pub(crate) fn set_room(&self, room: &Arc<Room>) {
        self.room.set(room);
    }

    /// Writes what is not finished too, closes the results and gives the summary: the one of the whole batch
    /// where it is known, else that of the tasks seen.
    pub(crate) fn finish(
        self,
        name: Option<String>,
        of_batch: Option<Summary>,
    ) -> Result<Summary, ExportError> {
        let state = self
            .state
            .lock()
            .expect("no writer panics with the lock")
            .take();
        let State {
            records,
            mut summary,
            filter,
            mut writer,
            file,
        } = state.expect("finished once");
        if file.is_some() {
            self.room.run_is_over();
        }
        for record in records.unfinished() {
            summary.add(&record);
            if filter.matches(&record) {
                writer.task(&record)?;
            } else {
                writer.skip(record.task)?;
            }
        }
        summary.name = name;
        if let Some(of_batch) = of_batch {
            summary = of_batch;
        }
        summary.exported_at = now();
        writer.finish(&summary)?;
        drop(writer);
        if let Some(file) = file {
            file.commit()?;
        }
        Ok(summary)
    }

    /// Gives the summary of what there is, where the results themselves could not be written.
    pub(crate) fn give_up(self) -> Option<Summary> {
        let state = self
            .state
            .lock()
            .expect("no writer panics with the lock")
            .take();
        state.map(|state| state.summary)
    }
}
