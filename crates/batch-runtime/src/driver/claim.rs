//! What starts: claims, and their way to the workers.

use std::sync::Arc;

use batch_core::OnInterrupt;

use super::Driver;
use crate::cancel::CancelToken;
use crate::chain;
use crate::handler::{Handler, Missing};
use crate::worker::Job;

impl Driver {
    pub(super) fn claim(&mut self) {
        if !self.may_claim() {
            return;
        }
        self.try_more();
        let now = self.clock.now();
        while !self.has_no_slot()
            && let Some(claim) = self.batch.claim(now)
        {
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

    pub(super) fn may_claim(&self) -> bool {
        !self.control_only && !self.held
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
        self.workers
            .hand_out(&mut self.jobs, self.batch.running() as usize);
    }
}
