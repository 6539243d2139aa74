//! Where results go while the batch runs: [`ResultSink`], and its end: [`Results`].

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use batch_actions::{DiskSpace, now};
use batch_core::{BatchId, Event, TaskId};
use batch_export::files::{AtomicFile, FileHandle};
use batch_export::{
    ExportError, Format, Records, Started, Summary, TaskFilter, TaskRecord, WriterOptions,
    result_writer,
};
use batch_process::LiveOutput;
use batch_runtime::{Sink, SinkError};
use batch_store::Store;

use crate::beside::{Beside, Writer};
use crate::earlier::{Earlier, begun_before};
use crate::live::{LiveQueue, Piece, Taps};
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
    pub(crate) beside: Beside,
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
    queue: Option<Arc<LiveQueue>>,
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
    writer: Writer,
    /// What is written of all tasks, whatever the filter says.
    beside: Vec<Writer>,
    live: Option<Live>,
    file: Option<AtomicFile>,
}

/// What tasks print, on its way.
struct Live {
    queue: Arc<LiveQueue>,
    /// What came before its attempt was known to have begun.
    early: Vec<Piece>,
    /// The attempts under way.
    running: HashMap<TaskId, u32>,
}

/// Events may be kept back for this long while tasks are listened to.
const LIVE_PAUSE: Duration = Duration::from_millis(20);

impl OutputPlan {
    /// Opens the file, so that one that cannot be made is told before anything runs.
    pub(crate) fn open_file(&mut self) -> Result<(), ExportError> {
        // The format `none` writes nothing, not even an empty file.
        if let Some(path) = &self.file
            && self.options.format != Format::None
        {
            self.opened = Some(AtomicFile::create(path)?);
        }
        self.beside.open_files()
    }

    /// Gets ready to write results, to the file where one is open.
    pub(crate) fn open(self, batch: BatchId) -> Result<(ResultSink, Results), ExportError> {
        let queue = self.beside.queue(self.options.format);
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
        let live = queue.clone().map(|queue| Live {
            queue,
            early: Vec::new(),
            running: HashMap::new(),
        });
        let state = State {
            records: Records::new(batch),
            earlier: None,
            summary: Summary::new(batch),
            filter: self.filter,
            writer,
            beside: self.beside.open(&disk_space)?,
            live,
            file,
        };
        let state = Arc::new(Mutex::new(Some(state)));
        let results = Results {
            state: Arc::clone(&state),
            disk_space,
            queue,
        };
        Ok((ResultSink(state), results))
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

    fn rest(&mut self) -> Result<Option<Duration>, SinkError> {
        let mut state = self.0.lock().expect("no writer panics with the lock");
        let Some(state) = state.as_mut().filter(|state| state.live.is_some()) else {
            return Ok(None);
        };
        let shown = state.take_printed().and_then(|()| state.flush());
        shown.map_err(|error| SinkError(Box::new(error)))?;
        Ok(Some(LIVE_PAUSE))
    }
}

impl State {
    /// All that is written to, and who hears what runs.
    fn writers(&mut self) -> impl Iterator<Item = &mut Writer> {
        self.beside.iter_mut().chain([&mut self.writer])
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.writers().try_for_each(|writer| writer.flush())
    }

    /// Hands on what tasks have printed.
    fn take_printed(&mut self) -> Result<(), ExportError> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        let mut pieces = std::mem::take(&mut live.early);
        pieces.extend(live.queue.take());
        let is_known = |piece: &Piece| {
            let printed = piece.printed();
            live.running.get(&printed.task.task) == Some(&printed.attempt)
        };
        let (known, early): (Vec<_>, Vec<_>) = pieces.into_iter().partition(is_known);
        live.early = early;
        known.iter().try_for_each(|piece| {
            self.writers()
                .try_for_each(|writer| writer.printed(&piece.printed()))
        })
    }

    /// Takes note of what runs, for those who hear it.
    fn take_note(&mut self, event: &Event) -> Result<(), ExportError> {
        if self.live.is_none() && self.beside.is_empty() {
            return Ok(());
        }
        match event {
            Event::Started {
                task, at, attempt, ..
            } => {
                let started = Started {
                    attempt: *attempt,
                    at: *at,
                };
                self.tell_writers(*task, |writer, record| writer.started(record, &started))?;
                if let Some(live) = &mut self.live {
                    live.running.insert(*task, *attempt);
                }
                self.take_printed()
            }
            Event::AttemptEnded { task, .. } => {
                if let Some(live) = &mut self.live {
                    live.running.remove(task);
                }
                self.tell_writers(*task, |writer, record| writer.attempt_ended(record))
            }
            _ => Ok(()),
        }
    }

    fn tell_writers(
        &mut self,
        task: TaskId,
        tell: impl Fn(&mut Writer, &TaskRecord) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let Some(record) = self.records.begun(task) else {
            return Ok(());
        };
        let mut writers = self.beside.iter_mut().chain([&mut self.writer]);
        writers.try_for_each(|writer| tell(writer, record))
    }

    /// Takes in what happened; `earlier` tells what was left of a task that came in by an event.
    fn take_in(
        &mut self,
        events: &[Event],
        mut earlier: impl FnMut(&Event) -> Option<TaskRecord>,
    ) -> Result<(), ExportError> {
        self.take_printed()?;
        for event in events {
            let finished = self.records.apply(event);
            if let Some(left) = earlier(event) {
                self.records.go_on_from(left);
            }
            self.take_note(event)?;
            if let Some(record) = finished {
                self.put(&record)?;
            }
        }
        self.flush()
    }

    /// Writes a task.
    fn put(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        self.summary.add(record);
        for writer in &mut self.beside {
            writer.task(record)?;
        }
        match self.filter.matches(record) {
            true => self.writer.task(record),
            false => self.writer.skip(record.task),
        }
    }
}

impl Results {
    /// Hears what tasks print, if someone wants to.
    pub(crate) fn live(&self) -> Option<Arc<dyn LiveOutput>> {
        let queue = self.queue.clone()?;
        Some(Arc::new(Taps(queue)))
    }

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
        let mut state = state.expect("finished once");
        if state.file.is_some() {
            self.disk_space.run_is_over();
        }
        state.take_printed()?;
        let records = std::mem::replace(&mut state.records, Records::new(BatchId::default()));
        for record in records.unfinished() {
            state.put(&record)?;
        }
        let State {
            mut summary,
            mut writer,
            beside,
            file,
            ..
        } = state;
        summary.name = name;
        if let Some(of_batch) = of_batch {
            summary = of_batch;
        }
        summary.exported_at = now();
        for mut writer in beside {
            writer.finish(&summary)?;
        }
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
