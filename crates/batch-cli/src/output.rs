//! Where results go while the batch runs: [`ResultSink`], and its end: [`Results`].

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use batch_actions::{DiskSpace, now};
use batch_core::{BatchId, Event, TaskId};
use batch_export::files::{AtomicFile, FileHandle};
use batch_export::{
    ExportError, Format, Records, ResultWriter, Summary, TaskFilter, TaskRecord, WriterOptions,
    result_writer,
};
use batch_runtime::{Sink, SinkError};
use batch_store::{BatchFile, Store};

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
    /// The file of the page to which what the batch came to is appended.
    pub(crate) step_summary: Option<PathBuf>,
}

/// Turns events into results, as they come. Clones feed the same results.
#[derive(Clone)]
pub(crate) struct ResultSink(Arc<Mutex<Option<State>>>);

/// The results, once the run is over.
pub(crate) struct Results {
    state: Arc<Mutex<Option<State>>>,
    disk_space: SharedDiskSpace,
}

/// Whom to ask for room on the disk, once there is a run.
#[derive(Clone, Default)]
pub(crate) struct SharedDiskSpace(Arc<OnceLock<Arc<DiskSpace>>>);

impl SharedDiskSpace {
    pub(crate) fn set(&self, disk_space: &Arc<DiskSpace>) {
        // There is one run, and it is told here once.
        let _ = self.0.set(Arc::clone(disk_space));
    }

    /// The run is over: a signal has nothing more to stop but the waiting for room.
    pub(crate) fn run_is_over(&self) {
        if let Some(disk_space) = self.0.get() {
            give_up_on_signal(Arc::clone(disk_space));
        }
    }
}

/// The file of the results: while its disk is full, it waits as the run does.
pub(crate) struct PatientFile {
    pub(crate) file: FileHandle,
    pub(crate) disk_space: SharedDiskSpace,
}

impl Write for PatientFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.disk_space.0.get() {
            Some(disk_space) => disk_space.until_space(|| self.file.write(bytes)),
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
    /// What earlier runs left, where the batch is kept.
    earlier: Option<Earlier>,
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
        let disk_space = SharedDiskSpace::default();
        let out: Box<dyn Write + Send> = match &file {
            Some(file) => Box::new(TerminalWriter::new(PatientFile {
                file: file.handle()?,
                disk_space: disk_space.clone(),
            })),
            None => Box::new(stdout()),
        };
        let writer = result_writer(&self.options, out, stderr())?;
        let state = State {
            records: Records::new(batch),
            earlier: None,
            summary: Summary::new(batch),
            filter: self.filter,
            writer,
            file,
        };
        let state = Arc::new(Mutex::new(Some(state)));
        Ok((
            ResultSink(Arc::clone(&state)),
            Results { state, disk_space },
        ))
    }
}

impl ResultSink {
    /// Takes in the tasks of a kept batch as it is loaded, and what earlier runs left of them.
    pub(crate) fn load(&self, store: &Store, events: &[Event]) {
        let mut state = self.0.lock().expect("no writer panics with the lock");
        if let Some(state) = state.as_mut() {
            state
                .earlier
                .get_or_insert_with(|| Earlier::new(store.file().clone()));
            let begun = begun_before(store, events);
            // A writer that fails says so again at the end.
            let _ = state.take_in(events, |event| match event {
                Event::Submitted { task, .. } => begun.get(task).cloned(),
                _ => None,
            });
        }
    }
}

/// The tasks among those that come in which have begun in an earlier run. What cannot be read shows at the end.
fn begun_before(store: &Store, events: &[Event]) -> HashMap<TaskId, TaskRecord> {
    let tasks = || {
        events.iter().filter_map(|event| match event {
            Event::Submitted { task, .. } => Some(*task),
            _ => None,
        })
    };
    let range = tasks().min().zip(tasks().max());
    let begun = range.and_then(|(first, last)| store.begun(first, last).ok());
    let records = begun.into_iter().flatten();
    records.map(|record| (record.task, record)).collect()
}

/// The batch file, opened when a task is run again.
struct Earlier {
    file: BatchFile,
    open: Option<Store>,
}

impl Earlier {
    const fn new(file: BatchFile) -> Self {
        Self { file, open: None }
    }

    /// A task that is reopened, as its last attempt left it.
    fn of(&mut self, event: &Event) -> Option<TaskRecord> {
        let Event::Reopened { task, attempts, .. } = event else {
            return None;
        };
        if self.open.is_none() {
            self.open = Store::open_read(self.file.clone()).ok();
        }
        self.open.as_ref()?.task_after(*task, *attempts).ok()?
    }
}

impl Sink for ResultSink {
    fn on_events(&mut self, events: &[Event]) -> Result<(), SinkError> {
        let mut state = self.0.lock().expect("no writer panics with the lock");
        match state.as_mut() {
            Some(state) => {
                let mut earlier = state.earlier.take();
                let taken = state.take_in(events, |event| earlier.as_mut()?.of(event));
                state.earlier = earlier;
                taken.map_err(|error| SinkError(Box::new(error)))
            }
            None => Ok(()),
        }
    }
}

impl State {
    /// Takes in what happened; `earlier` tells what was left of a task that came in by an event.
    fn take_in(
        &mut self,
        events: &[Event],
        mut earlier: impl FnMut(&Event) -> Option<TaskRecord>,
    ) -> Result<(), ExportError> {
        for event in events {
            let finished = self.records.apply(event);
            if let Some(left) = earlier(event) {
                self.records.go_on_from(left);
            }
            let Some(record) = finished else {
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
    pub(crate) fn set_disk_space(&self, disk_space: &Arc<DiskSpace>) {
        self.disk_space.set(disk_space);
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
            earlier: _,
            mut summary,
            filter,
            mut writer,
            file,
        } = state.expect("finished once");
        if file.is_some() {
            self.disk_space.run_is_over();
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
