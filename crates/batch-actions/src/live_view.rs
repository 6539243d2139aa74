//! How the tasks of a batch are shown at a moment: [`LiveView`].
//!
//! What an executor was running when it died is `running` in the file until someone takes the batch up again. But
//! nothing runs it, so it is shown as queued.

use batch_core::{OnInterrupt, Reason, Status, status::QueuedReason};
use batch_export::TaskRecord;
use batch_process::{boot_id, process_alive};
use batch_store::{BatchFile, Holder, Lease, Overview, Run, Selection, Store};

use crate::error::ActionError;

/// How the tasks of a batch are to be shown at a moment.
#[derive(Clone, Debug)]
pub struct LiveView {
    /// Who works on the batch, be it for a moment.
    holder: Option<Holder>,
}

/// The process that works on a batch, if there is one. Where its lease is someone else's and cannot be read, the last
/// run on record is asked for, and whether its process lives.
pub(crate) fn holder_of(file: &BatchFile) -> Result<Option<Holder>, ActionError> {
    match Lease::holder(file) {
        Err(error) if error.is_denied() => {
            let last = Store::open_read(file.clone())?.last_run()?;
            let works = |run: &Run| {
                run.ended_at.is_none() && run.boot == boot_id() && process_alive(&run.mark)
            };
            Ok(last.filter(works).map(|run| Holder {
                pid: run.pid,
                mark: run.mark,
                boot: run.boot,
                run: run.run,
                ..Holder::default()
            }))
        }
        found => Ok(found?),
    }
}

/// The process that runs the tasks of a batch, if there is one.
pub(crate) fn executor_of(file: &BatchFile) -> Result<Option<Holder>, ActionError> {
    Ok(holder_of(file)?.filter(|holder| holder.run > 0))
}

impl LiveView {
    /// Looks who works on the batch. To be asked before the file is read: a run that ends in between has written its
    /// last word before it lets go.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn of(store: &Store) -> Result<Self, ActionError> {
        let holder = Lease::holder(store.file())?;
        Ok(Self { holder })
    }

    pub(crate) fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    pub(crate) fn executor(&self) -> Option<&Holder> {
        self.holder().filter(|holder| holder.run > 0)
    }

    /// How many tasks have a status.
    pub fn count(&self, overview: &Overview, status: Status) -> u64 {
        match status {
            Status::Queued => overview.totals.count(status) + self.interrupted(overview),
            Status::Running => overview.totals.count(status) - self.interrupted(overview),
            status => overview.totals.count(status),
        }
    }

    /// How many of the queued tasks a dead executor was running.
    pub fn interrupted(&self, overview: &Overview) -> u64 {
        match self.executor() {
            Some(_) => 0,
            None => overview.totals.count(Status::Running),
        }
    }

    /// Makes of a task as the file has it the task that is shown.
    pub fn show(&self, record: &mut TaskRecord) {
        if self.executor().is_some() || record.status != Status::Running {
            return;
        }
        record.status = Status::Queued;
        let reason = match record.spec.options.on_interrupt {
            OnInterrupt::Rerun => Some(QueuedReason::Ready),
            OnInterrupt::Hold => Some(QueuedReason::Held),
            // It will have failed as soon as someone takes it up.
            OnInterrupt::Fail => None,
        };
        record.reason = reason.map(Reason::Queued);
    }

    /// What to read from the file so that the tasks chosen are among it.
    #[must_use]
    pub fn to_read(&self, chosen: &Selection) -> Selection {
        let mut selection = chosen.clone();
        if self.executor().is_none() && selection.statuses.contains(&Status::Queued) {
            selection.statuses.push(Status::Running);
        }
        selection
    }
}

/// Whether a task that is shown is one of those chosen by their status.
pub(crate) fn is_chosen(chosen: &Selection, record: &TaskRecord) -> bool {
    chosen.statuses.is_empty() || chosen.statuses.contains(&record.status)
}
