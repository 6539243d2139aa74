//! Seeing what others write into the file while the batch is worked on: [`Engine::watch_requests`].
//!
//! The file is looked at a few times a second. That misses nothing, whatever happens to those who write, and
//! works on every system; see decision 10.

use std::sync::atomic::Ordering;
use std::time::Duration;

use batch_core::TaskId;
use batch_store::requests::StoredRequest;
use batch_store::runs::{EndRun, Heartbeat};
use batch_store::{Store, StoreError, lock};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::options::Mode;
use super::seen::Seen;
use super::start::Engine;
use crate::blocking::{on_its_thread, on_store};
use crate::clock::now;
use crate::control::{Answer, Control, ControlReply, Refusal};
use crate::error::ActionError;
use crate::handle_command::handle_command;

/// Between two looks at the file.
const FILE_POLL: Duration = Duration::from_millis(50);

/// Between two notes of how the run is progressing.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(1);

/// How many new tasks are read together.
const CHUNK: u32 = 1_024;

impl Engine {
    /// Looks after the batch for as long as the run goes on: takes in what was added, handles requests, and
    /// closes the run when everything is done. Returns when the run is over.
    ///
    /// # Errors
    /// When the file cannot be read or written, or someone has taken it away.
    pub async fn watch_requests(&self) -> Result<(), ActionError> {
        let watched = tokio::select! {
            biased;
            lost = self.show_life() => lost,
            over = self.look_until_over() => over,
        };
        // What follows has no end that could be told.
        let _ = self.lease.beat(false);
        match watched {
            Ok(()) => Ok(()),
            Err(error) => Err(self.loss()?.map_or(error, ActionError::from)),
        }
    }

    /// What was taken away of the batch, if anything.
    pub(super) fn loss(&self) -> Result<Option<StoreError>, ActionError> {
        let loss = self.watch().loss()?;
        Ok(loss.map(|loss| self.file.lost(loss)))
    }

    /// Gives signs of life for as long as the thread of the run and the disk answer, and looks whether the batch is
    /// still there; returns when it is not.
    async fn show_life(&self) -> Result<(), ActionError> {
        loop {
            if let Some(lost) = self.loss()? {
                return Err(lost.into());
            }
            if !self.is_serving.load(Ordering::Relaxed) {
                on_store(&self.store, |_| Ok(())).await?;
            }
            if let Err(error) = self.lease.beat(true) {
                tracing::warn!(%error, "the lease could not be written");
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    async fn look_until_over(&self) -> Result<(), ActionError> {
        // What was in the file when the work began was loaded; the end of the run finds what came since.
        let mut looks = interval_at(Instant::now() + FILE_POLL, FILE_POLL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let over = self.run.wait();
        tokio::pin!(over);
        let mut short = self.run.shortage();
        let mut may_end = self.seen.lock().await.may_end();
        loop {
            tokio::select! {
                biased;
                _ = &mut over => return Ok(()),
                _ = looks.tick() => {}
                () = self.nudge.notified() => {}
                Ok(()) = short.changed() => {
                    self.disk_space.note_short(short.borrow_and_update().as_ref());
                    continue;
                }
                idle = self.run.idle(), if may_end => {
                    if idle.is_err() {
                        return Ok(());
                    }
                    if self.end_if_done().await {
                        may_end = false;
                        continue;
                    }
                }
            }
            match self.look().await {
                // The next look may see more.
                Err(error) if error.is_for_now() => {}
                looked => looked?,
            }
            // What comes after the end of a run is no part of it.
            may_end = self.seen.lock().await.may_end() || self.disk_space.is_stopping();
        }
    }

    /// Says that no more tasks come from this process; with `all_read`, because there are no more.
    ///
    /// # Errors
    /// When that cannot be written.
    pub async fn all_added(&self, all_read: bool) -> Result<(), ActionError> {
        if all_read {
            let (store, disk_space) = (self.store.clone(), self.disk_space.clone());
            let note = move || {
                let write = || lock(&store).note_all_read();
                disk_space.until_written(write, || lock(&store).shrink_log())
            };
            on_its_thread(note).await?;
        }
        let was_feeding = std::mem::take(&mut self.seen.lock().await.feeding);
        if was_feeding {
            self.nudge.notify_one();
        }
        Ok(())
    }

    /// Takes in what was added and handles what was asked, now and not at the next look.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn look(&self) -> Result<(), ActionError> {
        let mut seen = self.seen.lock().await;
        self.answer(&mut seen).await?;
        loop {
            // Each time, so that what was added before a request is seen before it.
            self.admit(&mut seen).await?;
            let requests = self
                .reader
                .read(|store| store.requests_after(seen.last_request))?;
            if requests.is_empty() {
                break;
            }
            for request in requests {
                seen.last_request = request.request;
                self.is_serving.store(true, Ordering::Relaxed);
                let answer = self.serve(&request).await;
                self.is_serving.store(false, Ordering::Relaxed);
                seen.unanswered.push_back((request.request, answer));
                self.answer(&mut seen).await?;
            }
        }
        self.note_heartbeat(&mut seen).await
    }

    async fn admit(&self, seen: &mut Seen) -> Result<(), ActionError> {
        loop {
            let tasks = self
                .reader
                .read(|store| store.added_since(seen.next_task, CHUNK))?;
            if tasks.is_empty() {
                return Ok(());
            }
            self.add_limits(seen)?;
            seen.next_task = TaskId::from_index(seen.next_task.index() + tasks.len());
            if self.run.admit(tasks).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Has the run know of limits that were added with the tasks.
    fn add_limits(&self, seen: &mut Seen) -> Result<(), ActionError> {
        let limits = self.reader.read(|store| store.info())?.settings.limits;
        if limits != seen.limits {
            self.run.add_limits(limits.clone());
            seen.limits = limits;
        }
        Ok(())
    }

    /// Obeys a request; gives the answer as it goes into the file.
    async fn serve(&self, request: &StoredRequest) -> String {
        let control: Result<Control, _> = serde_json::from_str(&request.body);
        let answer: Answer = match control {
            Err(error) => Err(Refusal::Other(format!(
                "the request is not understood: {error}"
            ))),
            Ok(control) if self.disk_space.is_stopping() && !control.is_stop() => Err(
                Refusal::Other(format!("{} is being stopped", self.info.batch)),
            ),
            Ok(control) => handle_command(control, &self.run, &self.store, &self.disk_space)
                .await
                .map_err(Refusal::from),
        };
        serde_json::to_string(&answer).expect("answers are JSON")
    }

    /// Writes the answers that wait, as far as the file takes them now.
    async fn answer(&self, seen: &mut Seen) -> Result<(), ActionError> {
        while let Some((request, text)) = seen.unanswered.front().cloned() {
            let write = move |store: &mut Store| Ok(store.answer(request, &text, now())?);
            match on_store(&self.store, write).await {
                // Who asked sees what was done in the batch itself, and the answer comes later.
                Err(error) if error.is_for_now() => return Ok(()),
                answered => answered?,
            }
            seen.unanswered.pop_front();
        }
        Ok(())
    }

    async fn note_heartbeat(&self, seen: &mut Seen) -> Result<(), ActionError> {
        let due = seen
            .heartbeat
            .is_none_or(|last| last.elapsed() >= HEARTBEAT);
        if self.mode == Mode::Control || !due {
            return Ok(());
        }
        let Ok(snapshot) = self.run.snapshot().await else {
            return Ok(());
        };
        seen.heartbeat = Some(Instant::now());
        let heartbeat = Heartbeat {
            concurrency: snapshot.concurrency,
            rate: snapshot.stats.rate(snapshot.at),
            left: snapshot.remaining.map(|left| left.likely),
        };
        let run = self.run_id;
        let note = move |store: &mut Store| Ok(store.heartbeat(run, &heartbeat, now())?);
        match on_store(&self.store, note).await {
            Err(error) if error.is_for_now() => Ok(()),
            noted => noted,
        }
    }

    /// Ends the run if nothing was added and nothing asked since the last look; whether it did.
    async fn end_if_done(&self) -> bool {
        let mut seen = self.seen.lock().await;
        self.ending.want((seen.next_task.get(), seen.last_request));
        let synced = self.run.sync().await;
        let ended = self.ending.take();
        if synced.is_err() {
            return true;
        }
        if ended == Some(EndRun::Ended) {
            seen.ended = true;
            self.run.close();
        }
        seen.ended
    }

    /// Obeys one request without anybody asking by the file.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn handle_command(&self, control: Control) -> Result<ControlReply, ActionError> {
        self.look().await?;
        handle_command(control, &self.run, &self.store, &self.disk_space).await
    }
}
