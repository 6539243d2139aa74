//! What makes two tasks the same work: [`ContentHash`].
//!
//! The identity of a task is its content: function, parameters, its author's id, and the content of what it
//! depends on. Its place, its options, the number of attempts do not count, so a file that was reordered or
//! got other timeouts is still the same work.

use std::fmt;

use batch_core::TaskSpec;

/// A fingerprint of a task, the same on every machine. Not against people who try to collide it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(u128);

impl ContentHash {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    /// The fingerprint of a task whose dependencies have these.
    pub fn of_task(spec: &TaskSpec, needs: impl IntoIterator<Item = Self>) -> Self {
        let mut hash = Self(Self::OFFSET)
            .with(spec.function.as_bytes())
            .with(spec.params.as_str().as_bytes())
            .with(spec.id.as_deref().unwrap_or_default().as_bytes());
        for need in needs {
            hash = hash.with(&need.0.to_le_bytes());
        }
        hash
    }

    /// The fingerprint of tasks in their order.
    pub fn of_all(tasks: impl IntoIterator<Item = Self>) -> Self {
        let start = Self(Self::OFFSET);
        tasks
            .into_iter()
            .fold(start, |all, task| all.with(&task.0.to_le_bytes()))
    }

    /// FNV-1a over a part and its length, so that parts cannot run into each other.
    fn with(self, part: &[u8]) -> Self {
        let length = (part.len() as u64).to_le_bytes();
        let step = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(Self::PRIME);
        Self(part.iter().chain(&length).fold(self.0, step))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_nothing_else_counts() {
        let task = |function: &str, id: &str| TaskSpec::new(function).with_id(id);
        let hash = |spec: &TaskSpec| ContentHash::of_task(spec, []);
        let one = hash(&task("a", "bc"));
        assert_eq!(
            one,
            hash(&task("a", "bc").with_max_retries(9).with_name("n"))
        );
        assert_ne!(one, hash(&task("ab", "c")));
        assert_ne!(one, ContentHash::of_task(&task("a", "bc"), [one]));
        assert_ne!(ContentHash::of_all([one]), ContentHash::of_all([one, one]));
        // The same on every machine and in every version: it lies in batch files.
        assert_eq!(
            hash(&TaskSpec::new("x")).to_string(),
            "1762d58f44cb4dd9c1aadf495dab7d34"
        );
    }
}
