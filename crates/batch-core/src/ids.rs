//! Ids: small numbers with a type of their own, and the speakable forms `b7` and `b7.42`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// The number of a task inside its batch, counted from 1 in the order of submission.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU32);

/// The number of a batch, written `b7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(NonZeroU32);

/// The number of a run: one executor process working on a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RunId(pub u32);

/// A task named together with its batch, written `b7.42`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullTaskId {
    /// The batch.
    pub batch: BatchId,
    /// The task inside it.
    pub task: TaskId,
}

/// The text was not an id of the expected form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseIdError {
    text: String,
    expected: &'static str,
}

impl TaskId {
    /// The task with this number; `None` for 0, which no task has.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// The number, from 1.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The position in the order of submission, from 0.
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// The task at a position in the order of submission, from 0.
    ///
    /// # Panics
    /// When the position does not fit an id (4,294,967,295 tasks and more).
    pub fn from_index(index: usize) -> Self {
        u32::try_from(index + 1)
            .ok()
            .and_then(Self::new)
            .expect("a batch holds fewer than 2^32 tasks")
    }
}

impl BatchId {
    /// The batch with this number; `None` for 0, which no batch has.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// The number, from 1.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Names a task of this batch.
    pub const fn task(self, task: TaskId) -> FullTaskId {
        FullTaskId { batch: self, task }
    }
}

impl Default for BatchId {
    /// The first batch, `b1`.
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.0)
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

impl fmt::Debug for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchId({})", self.0)
    }
}

impl fmt::Display for FullTaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.batch, self.task)
    }
}

impl fmt::Debug for FullTaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TaskId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.parse().ok().map(Self).ok_or_else(|| ParseIdError {
            text: text.to_owned(),
            expected: "a task number such as 42",
        })
    }
}

impl FromStr for BatchId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix('b')
            .and_then(|number| number.parse().ok())
            .map(Self)
            .ok_or_else(|| ParseIdError {
                text: text.to_owned(),
                expected: "a batch id such as b7",
            })
    }
}

impl FromStr for FullTaskId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.split_once('.')
            .and_then(|(batch, task)| Some((batch.parse().ok()?, task.parse().ok()?)))
            .map(|(batch, task)| Self { batch, task })
            .ok_or_else(|| ParseIdError {
                text: text.to_owned(),
                expected: "a task id such as b7.42",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        let id = BatchId::new(7).unwrap().task(TaskId::new(42).unwrap());
        assert_eq!(id.to_string(), "b7.42");
        assert_eq!("b7.42".parse(), Ok(id));
        assert_eq!(TaskId::from_index(41).get(), 42);
    }

    #[test]
    fn what_is_no_id_is_named() {
        for text in ["", "7.42", "b7", "b7.", "b0.1", "b7.0", "b7.-1"] {
            let error = text.parse::<FullTaskId>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
