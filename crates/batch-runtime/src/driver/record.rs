//! Passing what happened to the sinks, and the results to the one who will use them.

use std::sync::Arc;

use batch_core::{Event, Outcome, event::NextStep};

use super::{Driver, Intake};
use crate::sink::Message;
use crate::sync_point::SyncPoint;

impl Driver {
    /// Takes what happened from the batch, and keeps the results that later tasks use.
    pub(super) fn gather(&mut self) {
        let seen = self.events.len();
        self.batch.take_events(&mut self.events);
        if self.results.is_empty() {
            return;
        }
        for event in &self.events[seen..] {
            match event {
                Event::AttemptEnded {
                    task,
                    outcome: Outcome::Completed(output),
                    then: NextStep::Final,
                    ..
                } => self.results.completed(*task, output.as_ref()),
                Event::Finished { task, .. } => self.results.finished(*task),
                _ => {}
            }
        }
    }

    /// Passes what happened to the sinks, before anything that was claimed starts.
    pub(super) async fn record(&mut self, must_sync: bool) {
        self.gather();
        self.send_events().await;
        if must_sync {
            let point = self.sync().await;
            let mut jobs = std::mem::take(&mut self.jobs);
            for job in &mut jobs {
                if self.must_sync_before(job) {
                    job.needs.get_or_insert_default().after = Some(point.clone());
                }
            }
            self.jobs = jobs;
        }
        self.gather();
        // Else a step follows at once, and takes them along.
        if !self.waiting.syncs.is_empty() && self.events.is_empty() {
            let replies = std::mem::take(&mut self.waiting.syncs);
            let point = self.sync().await;
            tokio::spawn(async move {
                // Else a sink failed, and the run ends.
                if point.reached().await {
                    for reply in replies {
                        let _ = reply.send(());
                    }
                }
            });
        }
    }

    async fn send_events(&mut self) {
        let listeners = self.subscribers.receiver_count() > 0;
        if self.events.is_empty() || (self.sinks.len() == 0 && !listeners) {
            self.events.clear();
            return;
        }
        let bytes = std::mem::take(&mut self.output_bytes);
        let room = self.events.len();
        let group = Arc::new(std::mem::replace(
            &mut self.events,
            Vec::with_capacity(room),
        ));
        if listeners {
            // The last listener may just have left.
            let _ = self.subscribers.send(Arc::clone(&group));
        }
        for sink in 0..self.sinks.len() {
            self.send(sink, Message::Events(Arc::clone(&group), bytes))
                .await;
        }
    }

    /// Asks all sinks to sync what was passed to them.
    async fn sync(&mut self) -> SyncPoint {
        let (point, acks) = SyncPoint::new(self.sinks.len());
        for (sink, ack) in acks.into_iter().enumerate() {
            self.send(sink, Message::Sync(ack)).await;
        }
        point
    }

    /// Passes a message to a sink. While that has no room, commands are handled and time passes, so that a stop
    /// and the end of its time reach what runs; but nothing is claimed, and no report is taken in.
    async fn send(&mut self, sink: usize, mut message: Message) {
        while let Err(back) = self.sinks.try_send(sink, message) {
            message = back;
            let wakeup = self.wakeup();
            tokio::select! {
                biased;
                command = self.commands.recv(), if self.intake != Intake::Abandoned => {
                    self.take_command(command);
                    self.pass_on_cancellations();
                }
                () = self.sinks.room(sink, &message) => {}
                () = wakeup => {
                    self.batch.handle_timers(self.clock.now());
                    self.pass_on_cancellations();
                }
            }
        }
    }
}
