//! What an author says about retries: [`RetrySpec`] and the conditions in it.
//!
//! The core keeps and checks them; the policy that turns them into a delay lives in the runtime.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::outcome::Failure;
use crate::status::FailureKind;

/// Which failures are retried, and after which delays.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySpec {
    /// How the delay grows.
    pub backoff: Backoff,
    /// The delay before the first retry.
    pub initial: Duration,
    /// What the delay is multiplied by after each retry, with exponential backoff. At least 1.
    pub factor: f64,
    /// The longest delay.
    pub max: Duration,
    /// Draw the delay evenly between nothing and its full length, so that many tasks that failed
    /// together are not tried again together.
    pub jitter: bool,
    /// Retry these failures only; empty for all.
    pub on: Vec<Condition>,
    /// Never retry these failures.
    pub give_up_on: Vec<Condition>,
}

/// How the delay before a retry grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// Retry at once.
    None,
    /// The same delay each time.
    Fixed,
    /// Multiplied each time.
    Exponential,
}

/// A failure that a retry rule speaks of.
///
/// In task files: a number is an exit code, `"SIGKILL"` a signal, `"http 503"` a status, and the other
/// texts are the kinds: `"timeout"`, `"exit code"`, `"signal"`, `"spawn error"`, `"out of memory"`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A failure with exactly this number.
    Exactly(FailureKind),
    /// A failure of this kind, with any number.
    AnyOf(FailureKind),
}

/// The text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown failure {text:?}; write an exit code (3), a signal (\"SIGKILL\"), a status (\"http 503\"), or one of: {}",
    Condition::KINDS.map(FailureKind::name).join(", ")
)]
pub struct ParseConditionError {
    text: String,
}

impl Default for RetrySpec {
    /// Exponential from one second, doubled each time, a minute at most, with jitter, for all failures.
    fn default() -> Self {
        Self {
            backoff: Backoff::Exponential,
            initial: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(60),
            jitter: true,
            on: Vec::new(),
            give_up_on: Vec::new(),
        }
    }
}

impl RetrySpec {
    /// Whether the rules allow another attempt after this failure.
    ///
    /// A permanent failure is never retried; `give_up_on` wins over `on`.
    pub fn allows(&self, failure: &Failure) -> bool {
        let matches = |conditions: &[Condition]| conditions.iter().any(|c| c.matches(failure.kind));
        !failure.permanent
            && !matches(&self.give_up_on)
            && (self.on.is_empty() || matches(&self.on))
    }
}

impl Condition {
    /// The kinds a condition can name, with any number.
    pub const KINDS: [FailureKind; 11] = [
        FailureKind::ExitCode(0),
        FailureKind::Signal(0),
        FailureKind::Timeout,
        FailureKind::SpawnError,
        FailureKind::OutOfMemory,
        FailureKind::OutputError,
        FailureKind::Quarantined,
        FailureKind::HttpStatus(0),
        FailureKind::InputError,
        FailureKind::Error,
        FailureKind::Panic,
    ];

    const SIGNALS: [(&'static str, i32); 12] = [
        ("SIGHUP", 1),
        ("SIGINT", 2),
        ("SIGQUIT", 3),
        ("SIGILL", 4),
        ("SIGTRAP", 5),
        ("SIGABRT", 6),
        ("SIGFPE", 8),
        ("SIGKILL", 9),
        ("SIGSEGV", 11),
        ("SIGPIPE", 13),
        ("SIGALRM", 14),
        ("SIGTERM", 15),
    ];

    /// Whether a failure of this kind is meant.
    pub fn matches(self, kind: FailureKind) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == kind,
            Self::AnyOf(wanted) => wanted.name() == kind.name(),
        }
    }
}

impl FromStr for Condition {
    type Err = ParseConditionError;

    fn from_str(text: &str) -> Result<Self, ParseConditionError> {
        let spaced = text.trim().replace('_', " ").to_lowercase();
        if let Ok(code) = spaced.parse() {
            return Ok(Self::Exactly(FailureKind::ExitCode(code)));
        }
        if let Some(code) = spaced.strip_prefix("http ").and_then(|c| c.parse().ok()) {
            return Ok(Self::Exactly(FailureKind::HttpStatus(code)));
        }
        if let Some(code) = spaced
            .strip_prefix("exit code ")
            .and_then(|c| c.parse().ok())
        {
            return Ok(Self::Exactly(FailureKind::ExitCode(code)));
        }
        let signal = |(name, _): &&(&str, i32)| name.eq_ignore_ascii_case(text.trim());
        if let Some((_, number)) = Self::SIGNALS.iter().find(signal) {
            return Ok(Self::Exactly(FailureKind::Signal(*number)));
        }
        Self::KINDS
            .into_iter()
            .find(|kind| kind.name() == spaced)
            .map(Self::AnyOf)
            .ok_or_else(|| ParseConditionError {
                text: text.to_owned(),
            })
    }
}

impl FromStr for Backoff {
    type Err = UnknownBackoff;

    fn from_str(text: &str) -> Result<Self, UnknownBackoff> {
        match text {
            "none" => Ok(Self::None),
            "fixed" => Ok(Self::Fixed),
            "exponential" => Ok(Self::Exponential),
            _ => Err(UnknownBackoff(text.to_owned())),
        }
    }
}

/// The text names no backoff.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown backoff {0:?}; it is one of none, fixed, exponential")]
pub struct UnknownBackoff(String);

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Fixed => "fixed",
            Self::Exponential => "exponential",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_read_codes_signals_statuses_and_kinds() {
        let matches = |text: &str, kind| text.parse::<Condition>().unwrap().matches(kind);
        assert!(matches("3", FailureKind::ExitCode(3)));
        assert!(!matches("3", FailureKind::ExitCode(4)));
        assert!(matches("exit_code", FailureKind::ExitCode(4)));
        assert!(matches("SIGKILL", FailureKind::Signal(9)));
        assert!(matches("http 503", FailureKind::HttpStatus(503)));
        assert!(matches("timeout", FailureKind::Timeout));
        assert!("tiemout".parse::<Condition>().is_err());
    }

    #[test]
    fn giving_up_wins_over_retrying() {
        let rules = RetrySpec {
            on: vec!["exit code".parse().unwrap()],
            give_up_on: vec!["2".parse().unwrap()],
            ..RetrySpec::default()
        };
        let fails = |kind| rules.allows(&Failure::new(kind, ""));
        assert!(fails(FailureKind::ExitCode(1)));
        assert!(!fails(FailureKind::ExitCode(2)));
        assert!(!fails(FailureKind::Timeout));
        assert!(!rules.allows(&Failure::new(FailureKind::ExitCode(1), "").permanent()));
    }
}
