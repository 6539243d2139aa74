//! What starts: claims, and their way to the workers.

use batch_core::{Claim, OnInterrupt, TaskSpec, Time};

use super::Driver;
use crate::cancel::CancelToken;
use crate::chain;
use crate::worker::{Job, Needs};

/// Whether the driver starts attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starts {
    Allowed,
    /// Not for now: see [`RunHandle::suspend_starts`](crate::RunHandle::suspend_starts).
    Suspended,
    /// The run only takes commands.
    Never,
}

/// The cancel token of a slot: one handle for the driver, one for the job in the slot. Both are used again for the
/// next job until the token was cancelled.
#[derive(Default)]
pub(super) struct SlotToken {
    pub(super) token: CancelToken,
    /// While no job has it.
    for_job: Option<CancelToken>,
}

impl SlotToken {
    fn lend(&mut self) -> CancelToken {
        self.for_job.take().unwrap_or_else(|| self.token.clone())
    }

    pub(super) fn give_back(&mut self, token: CancelToken) {
        if token.urgency().is_some() {
            *self = Self::default();
        } else {
            self.for_job = Some(token);
        }
    }
}

impl Driver {
    /// Claims what can start. Says whether all that happened must be on disk before that.
    pub(super) fn claim(&mut self) -> bool {
        if self.starts != Starts::Allowed {
            return false;
        }
        self.try_more();
        let now = self.clock.now();
        let mut must_sync = false;
        while !self.has_no_slot()
            && let Some(claim) = self.next_claim(now)
        {
            let slot = claim.slot as usize;
            if slot >= self.tokens.len() {
                self.tokens.resize_with(slot + 1, SlotToken::default);
            }
            let inputs = self
                .results
                .inputs(claim.token.task, |name| self.batch.find(name));
            let needs = inputs.map(|inputs| {
                Box::new(Needs {
                    inputs: Some(inputs),
                    after: None,
                })
            });
            let job = Job {
                token: claim.token,
                slot: claim.slot,
                spec: claim.spec,
                cancel: self.tokens[slot].lend(),
                needs,
            };
            must_sync |= self.must_sync_before(&job);
            self.jobs.push(job);
        }
        must_sync
    }

    /// The next claim that goes to no host that is to be left alone.
    fn next_claim(&mut self, now: Time) -> Option<Claim> {
        if self.batch.has_pauses(now) {
            let registry = &self.registry;
            let host_of = |spec: &TaskSpec| registry.get(&spec.function)?.host(&spec.params);
            self.batch.put_off(&host_of, now);
        }
        self.batch.claim(now)
    }

    /// Whether all that happened must be on disk before a job starts: so that nobody runs it again who
    /// must not, or so that the results it uses can be found.
    pub(super) fn must_sync_before(&self, job: &Job) -> bool {
        if job.spec.options.on_interrupt != OnInterrupt::Rerun {
            return true;
        }
        let inputs = job.needs.as_ref().and_then(|needs| needs.inputs.as_deref());
        self.source.is_some() && inputs.is_some_and(chain::are_fresh)
    }

    pub(super) fn start(&mut self) {
        self.workers.hand_out(&mut self.jobs);
    }
}
