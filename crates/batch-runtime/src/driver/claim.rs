//! What starts: claims, their way to the workers, and fewer at once for want of resources.

use std::num::NonZeroU32;
use std::sync::Arc;

use batch_core::{ClaimToken, OnInterrupt};

use super::Driver;
use crate::cancel::CancelToken;
use crate::chain;
use crate::handler::{Handler, Missing};
use crate::worker::Job;

impl Driver {
    pub(super) fn claim(&mut self) {
        if self.control_only || self.held {
            return;
        }
        let now = self.clock.now();
        while let Some(claim) = self.batch.claim(now) {
            let slot = claim.slot as usize;
            if slot >= self.tokens.len() {
                self.tokens.resize_with(slot + 1, CancelToken::new);
            }
            let job = Job {
                token: claim.token,
                id: self.id.task(claim.token.task),
                slot: claim.slot,
                handler: self.handler(&claim.spec.function),
                spec: claim.spec,
                cancel: self.tokens[slot].clone(),
                inputs: self
                    .results
                    .inputs(claim.token.task, |name| self.batch.find(name)),
                after: None,
            };
            self.careful |= self.is_careful(&job);
            self.jobs.push(job);
        }
    }

    /// Whether all that happened must be on disk before a job starts: so that nobody runs it again who
    /// must not, or so that the results it uses can be found.
    pub(super) fn is_careful(&self, job: &Job) -> bool {
        if job.spec.options.on_interrupt != OnInterrupt::Rerun {
            return true;
        }
        let inputs = job.inputs.as_deref();
        self.source.is_some() && inputs.is_some_and(chain::are_fresh)
    }

    fn handler(&mut self, function: &Arc<str>) -> Arc<dyn Handler> {
        if let Some((last, handler)) = &self.last_handler
            && Arc::ptr_eq(last, function)
        {
            return Arc::clone(handler);
        }
        let handler = self
            .registry
            .get(function)
            .map_or_else(|| Arc::new(Missing) as Arc<dyn Handler>, Arc::clone);
        self.last_handler = Some((Arc::clone(function), Arc::clone(&handler)));
        handler
    }

    pub(super) fn start(&mut self) {
        if let Some(log) = &mut self.start_log
            && !self.jobs.is_empty()
        {
            let claims: Vec<(u32, ClaimToken)> =
                self.jobs.iter().map(|job| (job.slot, job.token)).collect();
            log.starting(&claims);
        }
        self.workers
            .hand_out(&mut self.jobs, self.batch.running() as usize);
    }

    /// Fewer at once, for a while.
    pub(super) fn hold_back(&mut self) {
        let before = self.batch.concurrency();
        let others = self.batch.running().saturating_sub(1).min(before);
        self.wanted = self.wanted.or(NonZeroU32::new(before));
        let fewer = NonZeroU32::new(others).unwrap_or(NonZeroU32::MIN);
        self.batch.set_concurrency(fewer, self.clock.now());
    }

    /// One more at once, until as many as were asked for.
    pub(super) fn relax(&mut self) {
        let Some(wanted) = self.wanted else { return };
        let more = NonZeroU32::MIN
            .saturating_add(self.batch.concurrency())
            .min(wanted);
        self.batch.set_concurrency(more, self.clock.now());
        if more == wanted {
            self.wanted = None;
        }
    }
}
