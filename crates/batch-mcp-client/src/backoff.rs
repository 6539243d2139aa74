//! How long a server that died is left alone before it is started again: [`Backoff`].

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);

/// Counts the starts in a row that came to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The last start was of no use.
    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// The last start gave a server that answered.
    pub(crate) fn worked(&mut self) {
        self.failures = 0;
    }

    /// The pause before the next start.
    pub(crate) fn pause(self) -> Duration {
        let Some(doublings) = self.failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        FIRST.saturating_mul(factor).min(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_begin_anew() {
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pauses.push(backoff.pause().as_millis());
            backoff.failed();
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
        backoff.failures = u32::MAX;
        backoff.failed();
        assert_eq!(backoff.pause(), MOST);
        backoff.worked();
        assert_eq!(backoff.pause(), Duration::ZERO);
    }
}
