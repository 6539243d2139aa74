//! What an agent has seen of a batch, in a short text that any later process understands: [`Cursor`].

use batch_actions::{BatchStatus, CauseStatus};
use batch_core::BatchId;

/// How a batch stood when it was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Which batch; `None` when nobody has looked yet.
    pub(crate) batch: Option<BatchId>,
    pub(crate) finished: u64,
    pub(crate) failed: u64,
    /// How many causes there were.
    causes_in_all: u64,
    /// The most frequent ones of them.
    causes: Vec<String>,
}

/// The causes that came since.
pub(crate) struct NewCauses<'a> {
    /// How many.
    pub(crate) count: u64,
    /// Which; empty where there were too many before to tell.
    pub(crate) named: Vec<&'a CauseStatus>,
}

/// No more causes are kept in a cursor. A cursor passes through the model, so it stays short.
const CAUSES: usize = 40;

impl Cursor {
    pub(crate) fn of(status: &BatchStatus) -> Self {
        Self {
            batch: status.batch.parse().ok(),
            finished: status.finished(),
            failed: status.failed,
            causes_in_all: status.causes.len() as u64,
            causes: status
                .causes
                .iter()
                .take(CAUSES)
                .map(|cause| cause.cause.clone())
                .collect(),
        }
    }

    /// Reads `BATCH-FINISHED-FAILED-CAUSES-CAUSE.CAUSE…`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let batch = parts.next()?.parse().ok()?;
        let finished = parts.next()?.parse().ok()?;
        let failed = parts.next()?.parse().ok()?;
        let causes_in_all = parts.next()?.parse().ok()?;
        let causes = parts.next()?.split('.').filter(|cause| !cause.is_empty());
        Some(Self {
            batch: Some(batch),
            finished,
            failed,
            causes_in_all,
            causes: causes.map(str::to_owned).collect(),
        })
    }

    pub(crate) fn text(&self) -> String {
        let batch = self
            .batch
            .map_or_else(String::new, |batch| batch.to_string());
        format!(
            "{batch}-{}-{}-{}-{}",
            self.finished,
            self.failed,
            self.causes_in_all,
            self.causes.join(".")
        )
    }

    /// The causes that were not known yet.
    pub(crate) fn new_causes<'a>(&self, now: &'a [CauseStatus]) -> NewCauses<'a> {
        if self.causes_in_all > self.causes.len() as u64 {
            // Those that the cursor does not name may be old or new. How many there are is certain.
            return NewCauses {
                count: (now.len() as u64).saturating_sub(self.causes_in_all),
                named: Vec::new(),
            };
        }
        let is_new = |cause: &&CauseStatus| !self.causes.contains(&cause.cause);
        let named: Vec<_> = now.iter().filter(is_new).collect();
        NewCauses {
            count: named.len() as u64,
            named,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(count: usize) -> Vec<CauseStatus> {
        let cause = |n: usize| CauseStatus {
            cause: format!("c{n:07x}"),
            count: 1,
            label: String::new(),
            sample: String::new(),
            sample_task: "b7.1".to_owned(),
        };
        (0..count).map(cause).collect()
    }

    fn knowing(count: usize) -> Cursor {
        Cursor {
            batch: "b7".parse().ok(),
            finished: 120,
            failed: 3,
            causes_in_all: count as u64,
            causes: causes(count.min(CAUSES))
                .into_iter()
                .map(|cause| cause.cause)
                .collect(),
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_went_and_stays_short() {
        for count in [0, 1, 2, 40, 1_000] {
            let cursor = knowing(count);
            let text = cursor.text();
            assert!(text.len() < 400, "{text}");
            assert_eq!(Cursor::parse(&text), Some(cursor));
        }
        for wrong in ["", "x", "b7", "b7-1-2-3", "7-1-2-3-", "b7-1-x-3-"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn new_causes_are_named_while_a_cursor_can_hold_the_old_ones() {
        let now = causes(3);
        let new = knowing(1).new_causes(&now);
        let names: Vec<_> = new.named.iter().map(|cause| &*cause.cause).collect();
        assert_eq!((new.count, names), (2, vec!["c0000001", "c0000002"]));
        assert_eq!(Cursor::default().new_causes(&now).count, 3);
    }

    #[test]
    fn causes_that_a_cursor_cannot_hold_are_not_taken_for_new() {
        let many = knowing(1_000);
        assert_eq!(many.new_causes(&causes(1_000)).count, 0);
        let now = causes(1_002);
        let new = many.new_causes(&now);
        assert_eq!((new.count, new.named.len()), (2, 0));
    }
}
