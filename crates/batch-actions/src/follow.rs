//! A batch as it happens, read from its file: [`follow`].

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use batch_core::{Status, TaskId, Time, ids::FullTaskId, outcome::StreamKind};
use batch_export::{ExportError, Printed, ResultWriter, Started, TaskRecord};
use batch_store::{BatchFile, Store};

use crate::clock::now;
use crate::error::ActionError;
use crate::live_view::holder_of;
use crate::logs::Live;
use crate::state_reason::Silence;

/// Between two looks, or this many times what a look took, if that is longer.
const EVENT_POLL: Duration = Duration::from_millis(100);
const SHARE: u32 = 4;

/// Tells a writer of all that has happened in a batch and, with `goes_on`, of what happens, as long as someone works on
/// it: of each attempt that begins, what it prints, and its end, and of each task that finishes.
///
/// After each look `goes_on_then` is asked, whether to look again.
///
/// What a task printed in its first second may come late, and what happens within a tenth of a second in another order.
///
/// # Errors
/// When something cannot be read or written, or who works on the batch gives no sign of life.
pub async fn follow(
    file: &BatchFile,
    goes_on: bool,
    writer: &mut dyn ResultWriter,
    goes_on_then: &mut dyn FnMut() -> bool,
) -> Result<(), ActionError> {
    let store = Store::open_read(file.clone())?;
    let mut follower = Follower {
        file,
        store: &store,
        told: HashMap::new(),
        running: BTreeMap::new(),
    };
    let mut version = None;
    loop {
        let begun = Instant::now();
        // The holder first: one that ends in between has written its last word before it lets go.
        let holder = match goes_on {
            true => holder_of(file)?,
            false => None,
        };
        store.check_there()?;
        let current = store.version()?;
        if version.replace(current) != Some(current) || holder.is_none() {
            follower.look(writer)?;
        }
        follower.copy(writer)?;
        writer.flush()?;
        let Some(holder) = holder.filter(|_| goes_on_then()) else {
            return Ok(());
        };
        // An executor that died prints nothing more, whatever the file says is under way.
        if let Some(silence) = Silence::of(&holder) {
            return Err(ActionError::Silent {
                silence,
                batch: store.batch(),
                file: file.shown().to_owned(),
            });
        }
        tokio::time::sleep(EVENT_POLL.max(begun.elapsed() * SHARE)).await;
    }
}

struct Follower<'f> {
    file: &'f BatchFile,
    store: &'f Store,
    /// How far each task had come when it was looked at, and how many of its attempts were told.
    told: HashMap<TaskId, ((Status, u32), u32)>,
    /// The attempts under way.
    running: BTreeMap<TaskId, (u32, Live)>,
}

impl Follower<'_> {
    /// Looks for what has changed.
    fn look(&mut self, writer: &mut dyn ResultWriter) -> Result<(), ActionError> {
        let mut changed = Vec::new();
        self.store.for_each_state(|task, state| {
            let told = self.told.entry(task).or_insert(((Status::Queued, 0), 0));
            if std::mem::replace(&mut told.0, state) != state {
                changed.push(task);
            }
        })?;
        changed
            .into_iter()
            .try_for_each(|task| self.tell(task, writer))
    }

    fn tell(&mut self, task: TaskId, writer: &mut dyn ResultWriter) -> Result<(), ActionError> {
        let under_way = self.store.under_way(task)?;
        let Some(record) = self.store.task(task)? else {
            return Ok(());
        };
        let told = self.told.get(&task).map_or(0, |(_, told)| *told);
        for index in 0..record.attempts.len() {
            if record.attempts[index].attempt > told {
                self.tell_attempt(&record, index, writer)?;
            }
        }
        let last = record.attempts.last().map_or(0, |last| last.attempt);
        if let Some((_, attempts)) = self.told.get_mut(&task) {
            *attempts = last;
        }
        if record.status.is_final() {
            return Ok(writer.task(&record)?);
        }
        if let Some((attempt, at)) = under_way.filter(|(attempt, _)| *attempt > last) {
            let mut live = Live::new(self.file, self.store, task);
            live.begin(self.store, task, attempt)?;
            writer.started(&record, &Started { attempt, at })?;
            self.running.insert(task, (attempt, live));
        }
        Ok(())
    }

    /// Tells of an attempt that has ended.
    fn tell_attempt(
        &mut self,
        record: &TaskRecord,
        index: usize,
        writer: &mut dyn ResultWriter,
    ) -> Result<(), ActionError> {
        let ended = &record.attempts[index];
        let (task, attempt) = (record.task, ended.attempt);
        let running = self.running.remove(&task);
        let live = match running.filter(|(running, _)| *running == attempt) {
            Some((_, live)) => live,
            None => {
                let started = Started {
                    attempt,
                    at: ended.started_at,
                };
                writer.started(record, &started)?;
                Live::new(self.file, self.store, task)
            }
        };
        let output = self.store.output_of(task, attempt)?.unwrap_or_default();
        let writer = RefCell::new(writer);
        let [mut out, mut err] = prints(&writer, record.id(), attempt, ended.ended_at);
        live.rest(attempt, &output, &mut out, &mut err)?;
        // As it was at that moment.
        let mut then = record.clone();
        then.attempts.truncate(index + 1);
        then.output = Some(output.into());
        if index + 1 < record.attempts.len() {
            then.reason = None;
        }
        Ok(writer.into_inner().attempt_ended(&then)?)
    }

    /// Copies what running attempts have printed.
    fn copy(&mut self, writer: &mut dyn ResultWriter) -> Result<(), ActionError> {
        let writer = RefCell::new(writer);
        for (task, (attempt, live)) in &mut self.running {
            let id = self.store.batch().task(*task);
            let [mut out, mut err] = prints(&writer, id, *attempt, now());
            live.copy(&mut out, &mut err)?;
        }
        Ok(())
    }
}

/// Passes on what an attempt prints.
struct Prints<'p, 'w> {
    writer: &'p RefCell<&'w mut dyn ResultWriter>,
    task: FullTaskId,
    attempt: u32,
    stream: StreamKind,
    at: Time,
}

fn prints<'p, 'w>(
    writer: &'p RefCell<&'w mut dyn ResultWriter>,
    task: FullTaskId,
    attempt: u32,
    at: Time,
) -> [Prints<'p, 'w>; 2] {
    [StreamKind::Stdout, StreamKind::Stderr].map(|stream| Prints {
        writer,
        task,
        attempt,
        stream,
        at,
    })
}

impl Write for Prints<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let printed = Printed {
            task: self.task,
            attempt: self.attempt,
            stream: self.stream,
            bytes,
            at: self.at,
        };
        match self.writer.borrow_mut().printed(&printed) {
            Ok(()) => Ok(bytes.len()),
            Err(ExportError::Write(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
