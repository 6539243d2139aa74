//! What an agent has seen of a batch, in a short text that any later process understands: [`Cursor`].

use batch_actions::BatchStatus;

/// How a batch stood when it was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) finished: u64,
    pub(crate) failed: u64,
    /// The causes known, the most frequent ones.
    pub(crate) causes: Vec<String>,
}

/// No more causes are kept in a cursor.
const CAUSES: usize = 40;

impl Cursor {
    pub(crate) fn of(status: &BatchStatus) -> Self {
        Self {
            finished: status.finished(),
            failed: status.failed,
            causes: status
                .causes
                .iter()
                .take(CAUSES)
                .map(|cause| cause.cause.clone())
                .collect(),
        }
    }

    /// Reads `FINISHED-FAILED-CAUSE.CAUSE…`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let finished = parts.next()?.parse().ok()?;
        let failed = parts.next()?.parse().ok()?;
        let causes = parts.next()?.split('.').filter(|cause| !cause.is_empty());
        Some(Self {
            finished,
            failed,
            causes: causes.map(str::to_owned).collect(),
        })
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "{}-{}-{}",
            self.finished,
            self.failed,
            self.causes.join(".")
        )
    }

    /// Whether a cause was known.
    pub(crate) fn knows(&self, cause: &str) -> bool {
        self.causes.iter().any(|known| known == cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        for causes in [vec![], vec!["c3fa21b".to_owned(), "c000001".to_owned()]] {
            let cursor = Cursor {
                finished: 120,
                failed: 3,
                causes,
            };
            assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        }
        assert_eq!(Cursor::parse("x"), None);
        assert_eq!(Cursor::parse("1-2"), None);
    }
}
