//! When a batch ends before all of its tasks have run: [`Halt`].

use std::fmt;
use std::str::FromStr;

use crate::status::Status;

/// When a batch ends before all of its tasks have run. What has not started by then is cancelled.
///
/// Written as GNU parallel has it: `now,fail=1`, `soon,fail=10%`, `now,success=1`, `soon,done=20`, `never`.
///
/// ```
/// use batch_core::settings::Halt;
/// let halt: Halt = "soon,fail=10%".parse().unwrap();
/// assert!(halt.is_reached(&|status| u64::from(status == batch_core::Status::Failed), 10));
/// assert_eq!("now,fail=1".parse(), Ok(Halt::FAIL_FAST));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Halt {
    /// All of them have their turn.
    #[default]
    Never,
    /// As soon as this many have ended in this way.
    When {
        /// What becomes of running tasks.
        mode: HaltMode,
        /// Which ends count.
        of: HaltOf,
        /// How many it takes.
        limit: HaltLimit,
    },
}

/// What becomes of the tasks that run when a batch is halted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltMode {
    /// They are ended, and cancelled.
    Now,
    /// They go on to their end. One that fails is not tried again.
    Soon,
}

/// Which ends of tasks count for a halt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltOf {
    /// Failed.
    Fail,
    /// Completed.
    Success,
    /// Either.
    Done,
}

/// How many tasks it takes to halt a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltLimit {
    /// How many.
    Tasks(u32),
    /// How many of a hundred of those that are known by then.
    Percent(u8),
}

/// The text does not say when to halt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} does not say when to halt; write now or soon, then fail, success or done with a number or a percentage, as in now,fail=3 or soon,success=10%"
)]
pub struct ParseHaltError(String);

impl Halt {
    /// The first failure ends the batch, running tasks as well.
    pub const FAIL_FAST: Self = Self::When {
        mode: HaltMode::Now,
        of: HaltOf::Fail,
        limit: HaltLimit::Tasks(1),
    };

    /// Whether it is reached, given how many tasks have a status and how many there are.
    pub fn is_reached(self, count: &dyn Fn(Status) -> u64, total: u64) -> bool {
        let Self::When { limit, .. } = self else {
            return false;
        };
        let counted = Status::ALL
            .into_iter()
            .filter(|status| self.counts(*status));
        let ended: u64 = counted.map(count).sum();
        ended > 0
            && match limit {
                HaltLimit::Tasks(tasks) => ended >= tasks.into(),
                HaltLimit::Percent(percent) => ended * 100 >= total * u64::from(percent),
            }
    }

    /// Whether a task that ends so counts.
    pub const fn counts(self, status: Status) -> bool {
        matches!(
            (self, status),
            (
                Self::When {
                    of: HaltOf::Fail | HaltOf::Done,
                    ..
                },
                Status::Failed
            ) | (
                Self::When {
                    of: HaltOf::Success | HaltOf::Done,
                    ..
                },
                Status::Completed
            )
        )
    }

    /// Whether what it waits for is that tasks complete: then it is no failure to halt.
    pub const fn is_of_success(self) -> bool {
        matches!(
            self,
            Self::When {
                of: HaltOf::Success,
                ..
            }
        )
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::When { mode, of, limit } = self else {
            return f.write_str("never");
        };
        let mode = match mode {
            HaltMode::Now => "now",
            HaltMode::Soon => "soon",
        };
        let of = match of {
            HaltOf::Fail => "fail",
            HaltOf::Success => "success",
            HaltOf::Done => "done",
        };
        match limit {
            HaltLimit::Tasks(tasks) => write!(f, "{mode},{of}={tasks}"),
            HaltLimit::Percent(percent) => write!(f, "{mode},{of}={percent}%"),
        }
    }
}

impl FromStr for Halt {
    type Err = ParseHaltError;

    fn from_str(text: &str) -> Result<Self, ParseHaltError> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let read = || {
            let (mode, rest) = text.split_once(',')?;
            let mode = match mode.trim() {
                "now" => HaltMode::Now,
                "soon" => HaltMode::Soon,
                _ => return None,
            };
            let (of, limit) = rest.split_once('=')?;
            let of = match of.trim() {
                "fail" => HaltOf::Fail,
                "success" => HaltOf::Success,
                "done" => HaltOf::Done,
                _ => return None,
            };
            let limit = match limit.trim().strip_suffix('%') {
                Some(percent) => {
                    let percent = percent.parse().ok();
                    HaltLimit::Percent(percent.filter(|percent| (1..=100).contains(percent))?)
                }
                None => {
                    let tasks = limit.trim().parse().ok();
                    HaltLimit::Tasks(tasks.filter(|tasks| *tasks > 0)?)
                }
            };
            Some(Self::When { mode, of, limit })
        };
        read().ok_or_else(|| ParseHaltError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(halt: &str, completed: u64, failed: u64, total: u64) -> bool {
        let count = move |status| match status {
            Status::Completed => completed,
            Status::Failed => failed,
            _ => 0,
        };
        halt.parse::<Halt>().unwrap().is_reached(&count, total)
    }

    #[test]
    fn what_is_written_is_read_and_shown_again() {
        for text in ["never", "now,fail=1", "soon,success=3", "now,done=100%"] {
            assert_eq!(text.parse::<Halt>().unwrap().to_string(), text);
        }
        assert_eq!(
            "soon, fail = 7".parse::<Halt>().unwrap().to_string(),
            "soon,fail=7"
        );
        for wrong in [
            "",
            "now",
            "fail=1",
            "now,fail",
            "now,fail=0",
            "now,fail=0%",
            "now,fail=101%",
            "later,fail=1",
            "now,failed=1",
            "now,fail=1,success=1",
            "now,fail=-1",
            "soon, fail = 7 %",
        ] {
            assert!(wrong.parse::<Halt>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_reached_and_not_before() {
        assert!(!reached("now,fail=2", 9, 1, 10));
        assert!(reached("now,fail=2", 0, 2, 10));
        assert!(!reached("soon,fail=10%", 0, 0, 0));
        assert!(!reached("soon,fail=15%", 0, 1, 10));
        assert!(reached("soon,fail=15%", 0, 2, 10));
        assert!(reached("soon,success=1", 1, 0, 10));
        assert!(reached("soon,done=3", 1, 2, 10));
        assert!(!reached("never", 9, 9, 18));
    }
}
