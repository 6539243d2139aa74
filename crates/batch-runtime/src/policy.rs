//! When a failed task is tried again: [`SpecPolicy`].

use std::time::Duration;

use batch_core::{
    Failure, TaskSpec,
    retry::{Backoff, RetryPolicy, RetrySpec},
};

/// Follows what each task says in its [`RetrySpec`]; draws jitter from a seed.
#[derive(Clone, Debug)]
pub(crate) struct SpecPolicy {
    random: fastrand::Rng,
}

impl SpecPolicy {
    /// A policy whose jitter follows from the seed: the same seed and failures, the same delays.
    pub(crate) fn with_seed(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
        }
    }
}

impl RetryPolicy for SpecPolicy {
    fn delay(&mut self, spec: &TaskSpec, failure: &Failure, retry: u32) -> Option<Duration> {
        let rules = &spec.options.retry;
        if !rules.allows(failure) {
            return None;
        }
        let full = backoff_delay(rules, retry);
        let drawn = if rules.jitter && rules.backoff != Backoff::None {
            let seconds = full.as_secs_f64() * self.random.f64();
            Duration::try_from_secs_f64(seconds).unwrap_or(full)
        } else {
            full
        };
        // What the other side asked for is the least.
        Some(drawn.max(failure.retry_after.unwrap_or_default()))
    }
}

/// The delay before retry number `retry`, from 1, without jitter.
pub fn backoff_delay(rules: &RetrySpec, retry: u32) -> Duration {
    match rules.backoff {
        Backoff::None => Duration::ZERO,
        Backoff::Fixed => rules.initial.min(rules.max),
        Backoff::Exponential => {
            let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
            let seconds = rules.initial.as_secs_f64() * rules.factor.max(1.0).powi(exponent);
            if seconds < rules.max.as_secs_f64() {
                Duration::try_from_secs_f64(seconds).unwrap_or(rules.max)
            } else {
                rules.max
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_core::FailureKind;

    fn delays(rules: RetrySpec, seed: u64) -> Vec<Option<Duration>> {
        let spec = TaskSpec::new("x").with_retry(rules);
        let mut policy = SpecPolicy::with_seed(seed);
        let failure = Failure::new(FailureKind::ExitCode(1), "");
        (1..=8)
            .map(|retry| policy.delay(&spec, &failure, retry))
            .collect()
    }

    fn seconds(values: &[u64]) -> Vec<Option<Duration>> {
        values
            .iter()
            .map(|s| Some(Duration::from_secs(*s)))
            .collect()
    }

    #[test]
    fn exponential_delays_double_up_to_the_cap() {
        let rules = RetrySpec {
            jitter: false,
            ..RetrySpec::default()
        };
        assert_eq!(delays(rules, 1), seconds(&[1, 2, 4, 8, 16, 32, 60, 60]));
    }

    #[test]
    fn fixed_and_no_backoff_stay_the_same() {
        let rules = |backoff| RetrySpec {
            backoff,
            jitter: false,
            initial: Duration::from_secs(3),
            ..RetrySpec::default()
        };
        assert_eq!(delays(rules(Backoff::Fixed), 1), seconds(&[3; 8]));
        assert_eq!(delays(rules(Backoff::None), 1), seconds(&[0; 8]));
    }

    #[test]
    fn jitter_stays_below_the_full_delay_and_follows_the_seed() {
        let drawn = delays(RetrySpec::default(), 7);
        assert_eq!(drawn, delays(RetrySpec::default(), 7));
        assert_ne!(drawn, delays(RetrySpec::default(), 8));
        let full = seconds(&[1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(drawn.iter().zip(&full).all(|(drawn, full)| drawn <= full));
    }

    #[test]
    fn the_wish_of_the_other_side_is_the_least() {
        let mut failure = Failure::new(FailureKind::HttpStatus(429), "");
        failure.retry_after = Some(Duration::from_secs(90));
        let delay = SpecPolicy::with_seed(1).delay(&TaskSpec::new("http"), &failure, 1);
        assert_eq!(delay, Some(Duration::from_secs(90)));
    }
}
