//! Taking up a batch: the lease, what a dead executor left, and the tasks ([`acquire`], [`restore`]).

use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batch_core::{Event, restore::Restorer};
use batch_process::{Leftover, boot_id, end_run, own_mark, process_alive, remove_dead_scratch};
use batch_store::lease::LeftInLease;
use batch_store::{
    BatchFile, BatchInfo, Durability, EndCause, Holder, Journal, Lease, LeaseError, LeaseNote,
    LeftBehind, Run, Store, lock,
};

use super::options::{Mode, Observer};
use crate::clock::{Poll, now};
use crate::error::ActionError;

/// What processes of a dead executor get to end by themselves.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

/// How long to wait for the one who has the lease for a moment, to carry out a request of their own.
const LEASE_TIMEOUT: Duration = Duration::from_secs(60);

const LEASE_POLL: Duration = Duration::from_millis(5);

/// The right to work on a batch, with its open file. Given up when dropped.
#[derive(Debug)]
pub struct Claim {
    pub(crate) store: Store,
    pub(crate) lease: Lease,
    /// What a dead executor left in the lease.
    pub(crate) left: LeftInLease,
    /// The run that has begun with a new batch; 0 where none has.
    pub(crate) begun_run: u32,
}

impl Claim {
    /// Claims a batch, as soon as nobody has it for a moment only.
    ///
    /// # Errors
    /// When an executor has it, there is no such batch, or the file cannot be used.
    pub(crate) async fn take(
        file: &BatchFile,
        durability: Durability,
        mode: Mode,
    ) -> Result<Self, ActionError> {
        refuse_network(file.path())?;
        loop {
            // Opened first: what is no batch gets no lease.
            let store = Store::open(file.clone(), durability)?;
            let run = match mode {
                Mode::Execute => store.last_run()?.map_or(0, |run| run.run) + 1,
                Mode::Control => 0,
            };
            let (lease, left) = take_lease(file, run).await?;
            if store.is_of(&lease) {
                return Ok(Self {
                    store,
                    lease,
                    left,
                    begun_run: 0,
                });
            }
        }
    }

    /// Claims a batch to run it, once its tasks are written.
    ///
    /// # Errors
    /// When an executor has it, there is no such batch, its tasks are missing, or the file cannot be used.
    pub async fn to_run(file: &BatchFile, durability: Durability) -> Result<Self, ActionError> {
        let claim = Self::take(file, durability, Mode::Execute).await?;
        ActionError::refuse_incomplete(file, &claim.store.info()?)?;
        Ok(claim)
    }

    /// The open file.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The batch.
    pub fn file(&self) -> &BatchFile {
        self.store.file()
    }

    /// Gives it up after a good end.
    ///
    /// # Errors
    /// When the lease cannot be written.
    pub(crate) fn release(self) -> Result<(), ActionError> {
        let Self { store, lease, .. } = self;
        let path = store.file().lease_path();
        lease
            .release()
            .map_err(|error| ActionError::io("release", path, error))
    }
}

/// A batch that is ours, before its tasks are read.
pub(super) struct Acquired {
    pub(super) store: Store,
    pub(super) info: BatchInfo,
    pub(super) lease: Lease,
    pub(super) left: LeftBehind,
    pub(super) leftovers: Vec<Leftover>,
    pub(super) run_id: u32,
}

/// Begins to work on a batch, and ends what a dead executor left.
pub(super) async fn acquire(
    claim: Claim,
    mode: Mode,
    unpause: bool,
) -> Result<Acquired, ActionError> {
    let Claim {
        mut store,
        mut lease,
        left: in_lease,
        begun_run,
    } = claim;
    let file = store.file().clone();
    let mut info = store.info()?;
    ActionError::refuse_incomplete(&file, &info)?;
    remove_dead_scratch();
    if unpause && info.paused.take().is_some() {
        store.set_paused(None)?;
    }
    let (left, leftovers, run_id) = match begun_run {
        0 => {
            let leftovers = end_leftovers(&store.unended_runs()?, in_lease.holder.as_ref()).await;
            let left = left_behind(&mut store, in_lease)?;
            let run_id = match mode {
                Mode::Execute => store.begin_run(&me(0), now())?,
                Mode::Control => {
                    store.mark_dead_runs()?;
                    0
                }
            };
            (left, leftovers, run_id)
        }
        run => (LeftBehind::default(), Vec::new(), run),
    };
    lease.sign(&me(run_id))?;
    store.remove_stray_files()?;
    if mode == Mode::Execute {
        file.create_folder()?;
    }
    Ok(Acquired {
        store,
        info,
        lease,
        left,
        leftovers,
        run_id,
    })
}

/// What an earlier run left in the batch. How it ended gets on record here where its executor told it in the lease only.
fn left_behind(store: &mut Store, in_lease: LeftInLease) -> Result<LeftBehind, ActionError> {
    let last_run = store.last_run()?;
    let end = last_run
        .as_ref()
        .and_then(|run| end_of(run, in_lease.holder.as_ref()));
    if let (Some(run), Some(end)) = (&last_run, &end)
        && run.ended_at.is_none()
    {
        store.end_run(run.run, end, run.seen_at, None)?;
    }
    let knows_all_starts = in_lease.holder.as_ref().zip(last_run.as_ref());
    let knows_all_starts = knows_all_starts.is_some_and(|(holder, run)| {
        // After a crash of the system the lease may lack what was written last.
        holder.mark == run.mark && holder.run == run.run && holder.boot == boot_id()
    });
    Ok(LeftBehind {
        started: in_lease.started,
        knows_all_starts,
        run: last_run.as_ref().map_or(0, |run| run.run),
        last_seen: last_run.map(|run| run.seen_at).unwrap_or_default(),
        was_stopped: end.is_some(),
    })
}

/// How a run ended, by the record or by what `last`, who had the lease last, noted there; `None` when its executor died.
pub(crate) fn end_of(run: &Run, last: Option<&Holder>) -> Option<EndCause> {
    let noted = || {
        let last = last.filter(|last| last.mark == run.mark && last.run == run.run)?;
        match last.note.as_ref()? {
            LeaseNote::Ended(end) => Some(end),
            _ => None,
        }
    };
    let end = run.end.as_ref().or_else(noted);
    end.filter(|end| **end != EndCause::Died).cloned()
}

/// Takes the lease as soon as nobody has it for a moment only; `run` is the run that is to begin, 0 for none.
///
/// # Errors
/// When an executor has it, there is no such batch, or the file cannot be used.
pub(crate) async fn take_lease(
    file: &BatchFile,
    run: u32,
) -> Result<(Lease, LeftInLease), ActionError> {
    when_free(file, || Lease::take(file, &me(run))).await
}

/// Takes the lease of a batch that is to go, as soon as nobody has it for a moment only.
///
/// # Errors
/// As [`take_lease`].
pub(crate) async fn take_lease_to_remove(file: &BatchFile) -> Result<Lease, ActionError> {
    when_free(file, || Lease::take_unsigned(file)).await
}

async fn when_free<T>(
    file: &BatchFile,
    take: impl Fn() -> Result<T, LeaseError>,
) -> Result<T, ActionError> {
    let poll = Poll::every(LEASE_POLL).within(LEASE_TIMEOUT);
    loop {
        match take() {
            Err(LeaseError::Held(by)) if by.run == 0 && poll.again().await => {}
            taken => return taken.map_err(|error| ActionError::of_lease(file, error)),
        }
    }
}

/// This process as the holder of a lease; run 0 for one that runs nothing.
pub(crate) fn me(run: u32) -> Holder {
    Holder {
        pid: std::process::id(),
        mark: own_mark().to_owned(),
        boot: boot_id(),
        run,
        ..Holder::default()
    }
}

/// Ends the processes of executors that died and could not: of the last holder of the lease, and of runs
/// without an end. An executor that lives works on another file, of which this one is a copy.
pub(crate) async fn end_leftovers(unended: &[Run], last: Option<&Holder>) -> Vec<Leftover> {
    let boot = boot_id();
    let runs = unended.iter().map(|run| (&run.boot, &run.mark));
    let holder = last.filter(|holder| holder.run > 0);
    let marks = runs.chain(holder.map(|holder| (&holder.boot, &holder.mark)));
    let marks: BTreeSet<&String> = marks
        .filter(|(of, mark)| **of == boot && !process_alive(mark))
        .map(|(_, mark)| mark)
        .collect();
    let mut ended = Vec::new();
    for mark in marks {
        ended.extend(end_run(mark, LEFTOVER_GRACE).await);
    }
    ended
}

/// Puts the tasks into the batch and what became of those cut off into the file. Gives their number.
pub(super) fn restore(
    batch: &mut Restorer,
    store: &Arc<Mutex<Store>>,
    left: &LeftBehind,
    journal: &mut Journal,
    mut observe: Option<Observer<'_>>,
) -> Result<u64, ActionError> {
    journal.set_recovering(Some(left));
    let mut interrupted = 0;
    {
        let store = lock(store);
        store.load(batch, left, now(), |events| {
            journal.take(events);
            let cut_off = events
                .iter()
                .filter(|event| matches!(event, Event::AttemptEnded { .. }));
            interrupted += cut_off.count() as u64;
            if let Some(observe) = &mut observe {
                observe(&store, events);
            }
        })?;
    }
    journal.flush()?;
    journal.set_recovering(None);
    Ok(interrupted)
}

/// Refuses files where SQLite's log does not work.
pub(crate) fn refuse_network(path: &Path) -> Result<(), ActionError> {
    if env::var_os("BEX_ALLOW_NETWORK_FS").is_some_and(|value| value == "1") {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    match batch_process::network_file_system(folder) {
        Ok(Some(kind)) => Err(ActionError::NetworkFileSystem {
            path: folder.to_owned(),
            kind,
        }),
        // What cannot be told is taken for local.
        Ok(None) | Err(_) => Ok(()),
    }
}
