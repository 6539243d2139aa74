//! Taking up the work on a batch, and laying it down: [`Engine`].

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batch_core::{ClaimToken, RunId, StopMode, TaskSpec, restore::Restorer};
use batch_export::ExportError;
use batch_process::{DiskSpaceWatch, Leftover};
use batch_runtime::durable::StartLog;
use batch_runtime::{RunBuilder, RunEnd, RunHandle, RunReport};
use batch_store::lease::{LeftInLease, Started};
use batch_store::watch::Watch;
use batch_store::{
    BatchFile, BatchInfo, Durability, EndCause, Journal, Lease, LeaseNote, Obstacle, Store,
    StoreError, lock,
};

use super::acquire::{Claim, acquire, restore};
use super::disk_space::DiskSpace;
use super::journal_sink::{Ending, JournalSink};
use super::options::{EngineOptions, Mode};
use super::reader::{Reader, Results};
use super::seen::Seen;
use crate::clock::now;
use crate::error::ActionError;

/// One process working on a batch: the lease, the driver, the journal.
pub struct Engine {
    pub(super) run: RunHandle,
    /// The connection that writes, shared with the journal.
    pub(super) store: Arc<Mutex<Store>>,
    /// A connection that reads, and so never waits for those who write.
    pub(super) reader: Arc<Reader>,
    pub(super) file: BatchFile,
    pub(super) lease: Lease,
    pub(super) watch: Mutex<Watch>,
    /// A request is being handled, which may take long.
    pub(super) is_serving: AtomicBool,
    pub(super) run_id: u32,
    pub(super) mode: Mode,
    pub(super) disk_space: Arc<DiskSpace>,
    pub(super) ending: Arc<Ending>,
    pub(super) seen: tokio::sync::Mutex<Seen>,
    pub(super) nudge: tokio::sync::Notify,
    pub(super) info: BatchInfo,
    leftovers: Vec<Leftover>,
    interrupted: u64,
    killed: AtomicBool,
}

/// How work on a batch ended.
#[derive(Debug)]
pub struct Finished {
    /// What the run came to.
    pub report: Arc<RunReport>,
    /// Tasks that are not finished.
    pub open: u64,
    /// The batch was taken away while it was worked on; what has become of it is not all kept.
    pub lost: Option<StoreError>,
    /// Why the end of the run is not on record: the disk is full, or another program holds the file. What ran last
    /// and is not on record either runs again.
    pub unwritten: Option<StoreError>,
}

impl Engine {
    /// Takes up the work on a batch, within a tokio runtime.
    ///
    /// # Errors
    /// When another process works on it, or the file cannot be used.
    pub async fn start(options: EngineOptions<'_>) -> Result<Self, ActionError> {
        let claim = Claim::take(&options.file, options.durability, options.mode).await?;
        Self::start_claimed(claim, options).await
    }

    /// Takes up the work on a batch that this process has claimed; the file and its durability are those of the claim.
    ///
    /// # Errors
    /// When the file cannot be used.
    #[expect(
        clippy::too_many_lines,
        reason = "one step after the other, each needing the ones before"
    )]
    pub async fn start_claimed(
        claim: Claim,
        options: EngineOptions<'_>,
    ) -> Result<Self, ActionError> {
        let EngineOptions {
            file: _,
            durability: _,
            mode,
            registry,
            observe,
            sinks,
            feeding,
            stay,
            max_concurrent,
            most_at_once,
            unpause,
        } = options;
        let taken = acquire(claim, mode, unpause).await?;
        let (store, mut info, mut lease) = (taken.store, taken.info, taken.lease);
        let file = store.file().clone();
        let watch = Mutex::new(lease.watch()?);
        let run_id = taken.run_id;
        if let Some(slots) = max_concurrent {
            info.settings.max_concurrent = slots;
        }
        let mut restorer = Restorer::new(info.settings.clone(), RunId(run_id));
        let store = Arc::new(Mutex::new(store));
        let mut journal = Journal::new(Arc::clone(&store), run_id);
        let interrupted = restore(&mut restorer, &store, &taken.left, &mut journal, observe)?;
        let mut batch = restorer.into_batch();
        lease.forget_started()?;
        if info.paused.is_some() {
            batch.pause(now());
            batch.take_events(&mut Vec::new());
        }
        let disk_space = Arc::new(match mode {
            Mode::Execute => DiskSpace::new(lease.notice().ok()),
            Mode::Control => DiskSpace::for_one_request(),
        });
        if mode == Mode::Execute {
            // From here on it comes back by itself.
            lock(&store).wait_briefly()?;
        }
        if stay {
            disk_space.note_staying();
        }
        let ending = Arc::new(Ending::default());
        let seen = Seen::new(&batch, feeding, stay, max_concurrent.is_none());
        let reader = Arc::new(Reader::new(file.clone()));
        let outputs = Arc::clone(&disk_space) as Arc<dyn DiskSpaceWatch>;
        let builder = RunBuilder::new(registry(&file.folder(), outputs))
            .with_ids(info.batch, RunId(run_id))
            .with_batch(batch)
            .with_slot_limit(most_at_once)
            .with_results(Results(Arc::clone(&reader)))
            .with_sink(JournalSink::new(
                journal,
                Arc::clone(&disk_space),
                Arc::clone(&ending),
            ));
        let builder = match mode {
            Mode::Control => builder.control_only(),
            Mode::Execute => builder.with_start_log(StartedLog(lease.started())),
        };
        let builder = sinks.into_iter().fold(builder, RunBuilder::with_boxed_sink);
        let run = builder.start();
        disk_space.set_run(run.clone());
        Ok(Self {
            run,
            store,
            reader,
            file,
            lease,
            watch,
            is_serving: AtomicBool::new(false),
            run_id,
            mode,
            disk_space,
            ending,
            seen: tokio::sync::Mutex::new(seen),
            nudge: tokio::sync::Notify::new(),
            info,
            leftovers: taken.leftovers,
            interrupted,
            killed: AtomicBool::new(false),
        })
    }

    /// The run, to steer it.
    pub fn run(&self) -> &RunHandle {
        &self.run
    }

    /// The open file, shared with the journal.
    pub fn store(&self) -> &Arc<Mutex<Store>> {
        &self.store
    }

    /// DiskSpace for what the run writes, and who waits for it.
    pub fn disk_space(&self) -> &Arc<DiskSpace> {
        &self.disk_space
    }

    /// What the file said of the batch when the work was taken up.
    pub fn info(&self) -> &BatchInfo {
        &self.info
    }

    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of this run.
    pub fn run_number(&self) -> u32 {
        self.run_id
    }

    /// What a dead executor had left and was ended.
    pub fn leftovers(&self) -> &[Leftover] {
        &self.leftovers
    }

    /// How many tasks were running when the last executor died.
    pub fn interrupted(&self) -> u64 {
        self.interrupted
    }

    /// Whether the run is being stopped, or the batch has ended before its time: it takes up nothing more.
    pub fn is_stopping(&self) -> bool {
        self.disk_space.is_stopping()
    }

    /// Stops the run.
    pub fn stop(&self, mode: StopMode) {
        self.disk_space.give_up(mode);
        self.run.stop(mode);
    }

    /// Kills what runs, as someone killed the process that people take for the executor. On record the executor has
    /// died: nobody asked the run to stop.
    pub fn die(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.stop(StopMode::Kill);
    }

    /// Adds tasks to the batch from a thread of its own.
    pub fn adder(&self) -> Adder {
        Adder {
            store: Arc::clone(&self.store),
            disk_space: Arc::clone(&self.disk_space),
        }
    }

    /// Lays down the work once the run is over.
    ///
    /// # Errors
    /// When the end cannot be written, and not for lack of space or as another program holds the file; the batch is
    /// whole all the same.
    pub async fn finish(self) -> Result<Finished, ActionError> {
        let lease_path = self.file.lease_path();
        let (finished, lease) = self.end().await?;
        if finished.unwritten.is_some() {
            // It says how the run ended.
            return Ok(finished);
        }
        lease
            .release()
            .map_err(|error| ActionError::io("release", lease_path, error))?;
        Ok(finished)
    }

    /// Lays down the work once the run is over, and keeps the batch claimed.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub(crate) async fn finish_claimed(self, durability: Durability) -> Result<Claim, ActionError> {
        let file = self.file.clone();
        let (finished, lease) = self.end().await?;
        match finished.lost {
            Some(lost) => Err(lost.into()),
            None => Ok(Claim {
                store: Store::open(file, durability)?,
                lease,
                left: LeftInLease::default(),
                begun_run: 0,
            }),
        }
    }

    async fn end(self) -> Result<(Finished, Lease), ActionError> {
        let report = self.run.wait().await;
        let loss = self.watch().loss()?;
        let (open, unwritten) = match &loss {
            // Nobody reads what would be written, or it would harm what was put there.
            Some(loss) if !loss.is_whole() => {
                self.watch().remove_log();
                (0, None)
            }
            _ => self.note_end(&report, loss.is_some()).await?,
        };
        if loss.is_none() {
            // Gone again where nothing large came in.
            let _ = std::fs::remove_dir(self.file.folder());
        }
        let lost = loss.map(|loss| self.file.lost(loss));
        let finished = Finished {
            report,
            open,
            lost,
            unwritten,
        };
        Ok((finished, self.lease))
    }

    /// Puts the end of the run on record, and gives the number of tasks that are open, and why the end is
    /// not on record. With `alone`, the file is to be
    /// the whole batch: its log may be elsewhere.
    async fn note_end(
        &self,
        report: &RunReport,
        alone: bool,
    ) -> Result<(u64, Option<StoreError>), ActionError> {
        let mut unwritten = None;
        // That a run is finished is on record already, unless it was stopped meanwhile.
        let on_record = self.seen.lock().await.ended && report.end == RunEnd::Finished;
        if self.mode == Mode::Execute && !on_record {
            let end = match self.killed.load(Ordering::Relaxed) {
                true if report.end == RunEnd::Stopped => EndCause::Died,
                _ => end_cause(report),
            };
            // What holds up its end held up the run before, and that was told to stop.
            self.disk_space.give_up(StopMode::End);
            let write = || lock(&self.store).end_run(self.run_id, &end, now(), None);
            let written = self
                .disk_space
                .until_written(write, || lock(&self.store).shrink_log());
            unwritten = match written {
                Err(error) if error.obstacle().is_some() => {
                    let noted = self.lease.notice();
                    let noted = noted.and_then(|notice| notice.note(Some(&LeaseNote::Ended(end))));
                    if let Err(error) = noted {
                        tracing::warn!(%error, "the lease could not be written");
                    }
                    Some(error)
                }
                written => written.map(|_| None)?,
            };
        }
        if alone {
            lock(&self.store).checkpoint()?;
        }
        let open = lock(&self.store).overview()?.totals.open();
        Ok((open, unwritten))
    }
}

/// Adds tasks to the batch that an [`Engine`] works on, from a thread that may wait for the disk.
#[derive(Clone, Debug)]
pub struct Adder {
    store: Arc<Mutex<Store>>,
    disk_space: Arc<DiskSpace>,
}

impl Adder {
    /// Adds checked tasks that need no others, with `last` as the last of the batch. While the disk is full or
    /// another program holds the file it waits.
    ///
    /// # Errors
    /// When they cannot be written; none is added then.
    pub fn add(&self, tasks: &[TaskSpec], last: bool) -> Result<(), ActionError> {
        let write = || {
            let mut store = lock(&self.store);
            let mut adding = store.adding(now())?;
            adding.add(tasks.iter().map(|task| (task, Vec::new())))?;
            if last {
                adding.note_all_read()?;
            }
            adding.commit()
        };
        self.disk_space
            .until_written(write, || lock(&self.store).shrink_log())?;
        Ok(())
    }
}

/// How a run ended, as the file keeps it.
fn end_cause(report: &RunReport) -> EndCause {
    match report.end {
        RunEnd::Finished => EndCause::Finished,
        RunEnd::CutShort => EndCause::CutShort,
        RunEnd::Stopped => EndCause::Stopped,
        RunEnd::SinkFailed if is_output_closed(report) => EndCause::OutputClosed,
        // Nobody gives up for an obstacle before the run is told to stop.
        RunEnd::SinkFailed if obstacle_of(report).is_some() => EndCause::Stopped,
        RunEnd::NothingStarts => EndCause::NothingStarts,
        RunEnd::SinkFailed => EndCause::WriteFailed,
    }
}

/// What kept a run from writing what happened.
pub(crate) fn obstacle_of(report: &RunReport) -> Option<Obstacle> {
    let error = report.sink_error.as_ref()?;
    error.0.downcast_ref::<StoreError>()?.obstacle()
}

/// Whether a run ended because nobody reads its results any more, as with `bex run | head`.
pub fn is_output_closed(report: &RunReport) -> bool {
    let error = report.sink_error.as_ref();
    let error = error.and_then(|error| error.0.downcast_ref::<ExportError>());
    error.is_some_and(ExportError::is_broken_pipe)
}

/// Notes in the lease what is about to start.
struct StartedLog(io::Result<Started>);

impl StartedLog {
    fn write(&mut self, write: impl FnOnce(&mut Started) -> io::Result<()>) {
        let written = match &mut self.0 {
            Ok(started) => write(started),
            Err(error) => Err(io::Error::from(error.kind())),
        };
        if let Err(error) = written {
            // The journal has it a moment later; only a task that kills us at once goes unnoticed.
            tracing::warn!(%error, "attempts could not be noted in the lease");
        }
    }
}

impl StartLog for StartedLog {
    fn starting(&mut self, slot: u32, claim: ClaimToken) {
        self.write(|started| started.note([(slot, claim.task, claim.attempt)]));
    }

    fn not_started(&mut self, slot: u32) {
        self.write(|started| started.forget(slot));
    }
}
