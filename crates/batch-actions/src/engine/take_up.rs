//! Taking up a batch: the lease, what a dead executor left, and the tasks ([`take_up`], [`restore`]).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use batch_core::{Batch, Event};
use batch_process::{boot_id, end_run, own_mark, process_alive, remove_dead_scratch};
use batch_store::{
    BatchFile, BatchInfo, Durability, Holder, Journal, Lease, LeaseError, LeftBehind, LeftInLease,
    Store, lock,
};
use tokio::time::sleep;

use super::start::Mode;
use crate::error::ActionError;
use crate::home::{now, refuse_network};

/// What processes of a dead executor get to end by themselves.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

/// Who obeys a request of their own has the lease for a moment; so long is waited for that.
const MOMENT: Duration = Duration::from_secs(60);

const LOOK: Duration = Duration::from_millis(5);

/// A process that a dead executor left, ended before its task runs again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftoverProcess {
    /// Its number.
    pub pid: i32,
    /// Its program and arguments.
    pub command: String,
    /// The task that started it.
    pub task: Option<String>,
}

/// A batch whose lease is ours, before its tasks are read.
pub(super) struct TakenUp {
    pub(super) store: Store,
    pub(super) info: BatchInfo,
    pub(super) lease: Lease,
    pub(super) left: LeftBehind,
    pub(super) leftovers: Vec<LeftoverProcess>,
    pub(super) run_id: u32,
}

/// Takes the lease, and ends what a dead executor left.
pub(super) async fn take_up(
    file: &BatchFile,
    durability: Durability,
    mode: Mode,
    unpause: bool,
) -> Result<TakenUp, ActionError> {
    refuse_network(file.path())?;
    // The lease first: what is read after that, nobody else changes.
    let (mut lease, in_lease) = take_lease(file).await?;
    let mut store = match Store::open(file.clone(), durability) {
        Ok(store) => store,
        Err(error) => {
            if in_lease == LeftInLease::default() {
                lease.discard();
            }
            return Err(error.into());
        }
    };
    let mut info = store.info()?;
    let leftovers = end_leftovers(&store, &in_lease).await?;
    if in_lease != LeftInLease::default() {
        remove_dead_scratch();
    }
    if unpause && info.paused.take().is_some() {
        store.set_paused(None)?;
    }
    let last_run = store.last_run()?;
    let left = LeftBehind {
        started: in_lease.started,
        run: last_run.as_ref().map_or(0, |run| run.run),
        last_seen: last_run.map(|run| run.seen_at).unwrap_or_default(),
    };
    let run_id = match mode {
        Mode::Execute => store.begin_run(&me(0), now())?,
        Mode::Control => {
            store.bury_runs()?;
            0
        }
    };
    lease.sign(&me(run_id))?;
    store.remove_stray_files()?;
    if mode == Mode::Execute {
        file.create_folder()?;
    }
    Ok(TakenUp {
        store,
        info,
        lease,
        left,
        leftovers,
        run_id,
    })
}

/// Takes the lease as soon as nobody has it for a moment only.
///
/// # Errors
/// When an executor has it, there is no such batch, or the file cannot be used.
pub(crate) async fn take_lease(file: &BatchFile) -> Result<(Lease, LeftInLease), ActionError> {
    when_free(file, || Lease::take(file, &me(0))).await
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
    let until = Instant::now() + MOMENT;
    loop {
        match take() {
            Err(LeaseError::Held(by)) if by.run == 0 && Instant::now() < until => {
                sleep(LOOK).await;
            }
            taken => return taken.map_err(|error| ActionError::of_lease(file, error)),
        }
    }
}

/// This process as the holder of a lease; run 0 for one that runs nothing.
pub(super) fn me(run: u32) -> Holder {
    Holder {
        pid: std::process::id(),
        mark: own_mark().to_owned(),
        boot: boot_id(),
        run,
        note: None,
    }
}

/// Ends the processes of executors that died and could not: of the last holder of the lease, and of runs
/// without an end. An executor that lives works on another file, of which this one is a copy.
async fn end_leftovers(
    store: &Store,
    left: &LeftInLease,
) -> Result<Vec<LeftoverProcess>, ActionError> {
    let boot = boot_id();
    let mut marks: Vec<String> = store
        .unended_runs()?
        .into_iter()
        .filter(|run| run.boot == boot)
        .map(|run| run.mark)
        .collect();
    marks.extend(
        left.holder
            .iter()
            .filter(|holder| holder.boot == boot && holder.run > 0)
            .map(|holder| holder.mark.clone()),
    );
    marks.sort_unstable();
    marks.dedup();
    marks.retain(|mark| !process_alive(mark));
    let mut ended = Vec::new();
    for mark in marks {
        let leftovers = end_run(&mark, LEFTOVER_GRACE).await;
        ended.extend(leftovers.into_iter().map(|process| LeftoverProcess {
            pid: process.pid,
            command: process.command,
            task: process.task,
        }));
    }
    Ok(ended)
}

/// Puts the tasks into the batch and what became of those cut off into the file. Gives their number.
pub(super) fn restore(
    batch: &mut Batch,
    store: &Arc<Mutex<Store>>,
    left: &LeftBehind,
    journal: &mut Journal,
    observe: &mut dyn FnMut(&Store, &[Event]),
) -> Result<u64, ActionError> {
    journal.set_recovering(Some(left.run));
    let mut interrupted = 0;
    {
        let store = lock(store);
        store.load(batch, left, now(), |events| {
            journal.take(events);
            let cut_off = events
                .iter()
                .filter(|event| matches!(event, Event::AttemptEnded { .. }));
            interrupted += cut_off.count() as u64;
            observe(&store, events);
        })?;
    }
    journal.flush()?;
    journal.set_recovering(None);
    Ok(interrupted)
}
