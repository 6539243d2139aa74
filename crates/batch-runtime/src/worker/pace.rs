//! How long jobs take: [`Sample`].

use std::time::{Duration, Instant};

/// Below this, another thread takes longer to wake than the job takes.
const SHORT: Duration = Duration::from_micros(2);

/// Jobs in a sample.
const JOBS: u32 = 32;

/// The last jobs of one worker that ended without waiting for anything.
#[derive(Debug, Default)]
pub(super) struct Sample {
    jobs: u32,
    took: Duration,
    /// When the worker began with jobs that are not counted yet.
    since: Option<Instant>,
}

impl Sample {
    /// The worker begins with a job.
    pub(super) fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// A job waits for something.
    pub(super) fn discard(&mut self) {
        *self = Self::default();
    }

    /// A job has ended, maybe the last for now. Says whether jobs are short, once that is known.
    pub(super) fn ended(&mut self, last: bool) -> Option<bool> {
        self.jobs += 1;
        if !last && self.jobs < JOBS {
            return None;
        }
        let now = Instant::now();
        let since = self.since.replace(now)?;
        self.took += now - since;
        if self.jobs < JOBS {
            return None;
        }
        let short = self.took < SHORT * self.jobs;
        (self.jobs, self.took) = (0, Duration::ZERO);
        Some(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_short_when_a_sample_of_them_was() {
        let mut sample = Sample::default();
        sample.begin();
        let said: Vec<_> = (1..JOBS).map(|job| sample.ended(job % 8 == 0)).collect();
        assert!(said.iter().all(Option::is_none));
        sample.took = SHORT * JOBS;
        assert_eq!(sample.ended(true), Some(false));
    }

    #[test]
    fn a_job_that_waits_begins_a_new_sample() {
        let mut sample = Sample::default();
        sample.begin();
        sample.took = SHORT * JOBS;
        sample.discard();
        assert_eq!(sample.ended(true), None);
        assert_eq!(sample.took, Duration::ZERO);
    }
}
