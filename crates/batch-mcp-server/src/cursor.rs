//! What a client has seen of a batch, as a short text that any later process understands: [`Cursor`].

use std::time::Duration;

use batch_actions::BatchStatus;
use batch_core::{BatchId, Time};
use batch_export::{CauseGroup, CauseId};

/// The state of a batch when it was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Which batch; `None` before the first look.
    pub(crate) batch: Option<BatchId>,
    pub(crate) finished: u64,
    pub(crate) failed: u64,
    /// How many causes there were.
    causes_in_all: u64,
    /// The most frequent ones of them.
    causes: Vec<String>,
    /// When the last task had finished, counted from when the batch was made.
    last_end: Option<Duration>,
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
                .map(|cause| cause.cause.id().to_string())
                .collect(),
            last_end: status.last_end.map(|end| end.since(status.created)),
        }
    }

    /// Reads `BATCH-FINISHED-FAILED-CAUSES-CAUSE.CAUSE…-MICROSECONDS`. The time is left out where nothing has finished.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, '-');
        let batch = parts.next()?.parse().ok()?;
        let finished = parts.next()?.parse().ok()?;
        let failed = parts.next()?.parse().ok()?;
        let causes_in_all = parts.next()?.parse().ok()?;
        let causes = parts.next()?.split('.').filter(|cause| !cause.is_empty());
        let last_end = match parts.next() {
            Some(micros) => Some(Duration::from_micros(micros.parse().ok()?)),
            None => None,
        };
        Some(Self {
            batch: Some(batch),
            finished,
            failed,
            causes_in_all,
            causes: causes.map(str::to_owned).collect(),
            last_end,
        })
    }

    pub(crate) fn text(&self) -> String {
        let batch = self
            .batch
            .map_or_else(String::new, |batch| batch.to_string());
        let mut text = format!(
            "{batch}-{}-{}-{}-{}",
            self.finished,
            self.failed,
            self.causes_in_all,
            self.causes.join(".")
        );
        if let Some(last_end) = self.last_end {
            text.push_str(&format!("-{}", last_end.as_micros()));
        }
        text
    }

    /// When the batch, made at this time, was looked at; `None` before the first look, or where the cursor does not have it.
    pub(crate) fn time(&self, created: Time) -> Option<Time> {
        self.batch?;
        match (self.last_end, self.finished) {
            (Some(last_end), _) => Some(created.after(last_end)),
            (None, 0) => Some(created),
            (None, _) => None,
        }
    }

    /// Whether the cursor names all causes that there were.
    pub(crate) fn names_all(&self) -> bool {
        self.causes_in_all <= self.causes.len() as u64
    }

    /// The causes that were not known yet. Of those that the cursor has no room to name, these came since.
    pub(crate) fn new_causes<'a>(
        &self,
        now: &'a [CauseGroup],
        since: &[CauseId],
    ) -> Vec<&'a CauseGroup> {
        let is_new = |group: &&CauseGroup| {
            let id = group.cause.id();
            !self.causes.contains(&id.to_string()) && (self.names_all() || since.contains(&id))
        };
        now.iter().filter(is_new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export::Cause;
    use std::sync::Arc;

    fn causes(count: usize) -> Vec<CauseGroup> {
        let cause = |n: usize| {
            let id = format!("c{n:06x}").parse().unwrap();
            CauseGroup {
                cause: Arc::new(Cause::from_parts(id, String::new(), String::new())),
                tasks: 1,
                sample_task: "b7.1".parse().unwrap(),
                sample_name: String::new(),
            }
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
                .map(|cause| cause.cause.id().to_string())
                .collect(),
            last_end: Some(Duration::from_micros(1_234_567)),
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
        for wrong in [
            "",
            "x",
            "b7",
            "b7-1-2-3",
            "7-1-2-3-",
            "b7-1-x-3-",
            "b7-1-2-3--x",
        ] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_is_known_where_something_had_finished_or_nothing_could_have() {
        let created = Time::from_micros(10);
        let time = |text: &str| Cursor::parse(text).unwrap().time(created);
        assert_eq!(time("b7-2-1-1-c000001-5"), Some(Time::from_micros(15)));
        assert_eq!(time("b7-0-0-0-"), Some(created));
        assert_eq!(time("b7-2-1-1-c000001"), None);
        assert_eq!(Cursor::default().time(created), None);
    }

    #[test]
    fn causes_that_are_not_known_yet_are_named() {
        let now = causes(3);
        let names = |cursor: &Cursor, now: &[CauseGroup], since: &[CauseId]| -> Vec<String> {
            let new = cursor.new_causes(now, since).into_iter();
            new.map(|cause| cause.cause.id().to_string()).collect()
        };
        assert_eq!(names(&knowing(1), &now, &[]), ["c000001", "c000002"]);
        assert_eq!(names(&Cursor::default(), &now, &[]).len(), 3);
        // Those that a cursor has no room for are new only where they came since.
        let many = knowing(1_000);
        assert_eq!(names(&many, &causes(1_002), &[]).len(), 0);
        let since = ["c0003e8", "c000001"].map(|id| id.parse().unwrap());
        assert_eq!(names(&many, &causes(1_002), &since), ["c0003e8"]);
    }
}
