//! What an author says about retries: [`RetrySpec`] and the conditions in it.
//!
//! The core keeps and checks them; the policy that turns them into a delay lives in the runtime.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use crate::batch::RetryPolicy;
use crate::outcome::Failure;
use crate::signal::SignalNumber;
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
    /// How long the task waits in all because a server asks for it. A longer pause is a failure, and no retry.
    pub max_wait: Duration,
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

/// A failure that a retry rule is about.
///
/// In task files: a number is an exit code, `"SIGKILL"` or `"signal 9"` a signal, `"http 503"` a status, and
/// the other texts are the kinds: `"timeout"`, `"exit code"`, `"signal"`, `"spawn error"`, … What is shown of
/// a failure is read as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A failure with exactly this number, or of a kind that has none.
    Exactly(FailureKind),
    /// Any exit code but 0.
    AnyExitCode,
    /// Any signal.
    AnySignal,
    /// Any status of a server.
    AnyHttpStatus,
    /// Any status of a hundred, such as 4 for those from 400 to 499.
    HttpClass(u8),
}

/// The text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseConditionError {
    /// There is no such failure.
    #[error(
        "unknown failure {text:?}; write an exit code (3), a signal (\"SIGKILL\"), a status (\"http 503\", \"http 5xx\"), or one of: {}",
        FailureKind::NAMES.join(", ")
    )]
    Unknown {
        /// What was written.
        text: String,
    },
    /// There is such a failure, but never with this number.
    #[error("nothing fails with {text:?}: {why}")]
    Impossible {
        /// What was written.
        text: String,
        /// Which numbers there are.
        why: &'static str,
    },
}

impl Default for RetrySpec {
    /// Exponential from one second, doubled each time, a minute at most, with jitter, for all failures.
    fn default() -> Self {
        Self {
            backoff: Backoff::Exponential,
            initial: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(60),
            max_wait: Self::MAX_WAIT,
            jitter: true,
            on: Vec::new(),
            give_up_on: Vec::new(),
        }
    }
}

impl RetrySpec {
    /// [`max_wait`](Self::max_wait) where the author does not say: an hour.
    pub const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

    /// Whether the rules allow another attempt after this failure.
    ///
    /// A permanent failure is retried where `on` names it; `give_up_on` wins over `on`. One after which a server asks for
    /// a longer pause than [`max_wait`](Self::max_wait) is not.
    pub fn allows(&self, failure: &Failure) -> bool {
        let matches = |conditions: &[Condition]| conditions.iter().any(|c| c.matches(failure.kind));
        let is_named = match self.on.is_empty() {
            true => !failure.permanent,
            false => matches(&self.on),
        };
        is_named && !matches(&self.give_up_on) && !self.is_too_long(failure)
    }

    /// Whether a server asks for a pause that the task does not wait for.
    pub fn is_too_long(&self, failure: &Failure) -> bool {
        failure
            .retry_after
            .is_some_and(|pause| pause > self.max_wait)
    }
}

/// The names of the classes of statuses that can be failures, by their first digit.
const HTTP_CLASSES: [(&str, u8); 3] = [("http 3xx", 3), ("http 4xx", 4), ("http 5xx", 5)];

impl Condition {
    /// The condition with the name of a kind of failure and, where the kind has numbers, a number.
    pub fn named(name: &str, number: Option<i64>) -> Option<Self> {
        match (name, number) {
            ("exit code", None) => Some(Self::AnyExitCode),
            ("signal", None) => Some(Self::AnySignal),
            ("http status", None) => Some(Self::AnyHttpStatus),
            _ => match HTTP_CLASSES.iter().find(|(class, _)| *class == name) {
                Some((_, class)) => number.is_none().then_some(Self::HttpClass(*class)),
                None => FailureKind::named(name, number).map(Self::Exactly),
            },
        }
    }

    /// The name of its kind of failure, and the number if it is about a single one.
    pub fn parts(self) -> (&'static str, Option<i64>) {
        match self {
            Self::Exactly(kind) => (kind.name(), kind.number()),
            Self::AnyExitCode => ("exit code", None),
            Self::AnySignal => ("signal", None),
            Self::AnyHttpStatus => ("http status", None),
            Self::HttpClass(class) => {
                let known = HTTP_CLASSES.iter().find(|(_, known)| *known == class);
                (known.map_or("http status", |(name, _)| name), None)
            }
        }
    }

    /// Why nothing ever fails like this; `None` where something may.
    fn impossible(name: &str, number: i64) -> Option<&'static str> {
        match (name, number) {
            ("exit code", 1..=255) | ("signal", 1..=64) | ("http status", 101 | 300..=999) => None,
            ("exit code", 256..=599) => {
                Some("exit codes are 1 to 255; write \"http 503\" for the status of a server")
            }
            ("exit code", _) => Some("exit codes are 1 to 255"),
            ("signal", _) => Some("signals are 1 to 64"),
            ("http status", 200..=299) => Some("these statuses say that it went well"),
            ("http status", _) => Some("the statuses of failures are 300 to 999"),
            _ => None,
        }
    }

    /// Whether a failure of this kind is meant.
    pub fn matches(self, kind: FailureKind) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == kind,
            Self::AnyExitCode => matches!(kind, FailureKind::ExitCode(_)),
            Self::AnySignal => matches!(kind, FailureKind::Signal(_)),
            Self::AnyHttpStatus => matches!(kind, FailureKind::HttpStatus(_)),
            Self::HttpClass(class) => {
                matches!(kind, FailureKind::HttpStatus(status) if status / 100 == u16::from(class))
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (name, Some(number)) => write!(f, "{name} {number}"),
            (name, None) => f.write_str(name),
        }
    }
}

impl FromStr for Condition {
    type Err = ParseConditionError;

    fn from_str(text: &str) -> Result<Self, ParseConditionError> {
        let spaced = text.trim().replace('_', " ").to_lowercase();
        // As a signal is shown: with its name behind the number.
        let plain = spaced.split(" (").next().unwrap_or_default();
        let (name, number) = match plain.rsplit_once(' ') {
            _ if plain.parse::<i64>().is_ok() => ("exit code", plain.parse().ok()),
            Some((name, number)) if number.parse::<i64>().is_ok() => (name, number.parse().ok()),
            _ => (plain, None),
        };
        let name = match name {
            "http" => "http status".to_owned(),
            name => name.replace("http status ", "http "),
        };
        let impossible = number.and_then(|number| Self::impossible(&name, number));
        if let Some(why) = impossible {
            let text = text.to_owned();
            return Err(ParseConditionError::Impossible { text, why });
        }
        let signal =
            || SignalNumber::named(plain).map(|SignalNumber(number)| FailureKind::Signal(number));
        Self::named(&name, number)
            .or_else(|| signal().map(Self::Exactly))
            .ok_or_else(|| ParseConditionError::Unknown {
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
    use proptest::prelude::*;

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
        assert!(matches(
            "SIGBUS",
            FailureKind::Signal(SignalNumber::named("SIGBUS").unwrap().0)
        ));
        assert!(matches("signal 7", FailureKind::Signal(7)));
        assert!(matches("signal 9 (SIGKILL)", FailureKind::Signal(9)));
        assert!(matches("signal", FailureKind::Signal(64)));
        assert!(matches("http", FailureKind::HttpStatus(404)));
        for wrong in ["tiemout", "", "signal x", "timeout 3", "http 6xx"] {
            let error = wrong.parse::<Condition>();
            assert!(
                matches!(error, Err(ParseConditionError::Unknown { .. })),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_never_happens_is_no_condition() {
        for wrong in [
            "0",
            "-1",
            "256",
            "500",
            "99999999999",
            "exit code 0",
            "exit_code -3",
            "exit code 3000000000",
            "signal 0",
            "signal 65",
            "signal -9",
            "http 0",
            "http 99",
            "http 200",
            "http 204",
            "http 70000",
            "http status 1000",
            "http -404",
        ] {
            let error = wrong.parse::<Condition>();
            assert!(
                matches!(error, Err(ParseConditionError::Impossible { .. })),
                "{wrong}"
            );
        }
        let told = "500".parse::<Condition>().unwrap_err().to_string();
        assert!(told.contains("\"http 503\""), "{told}");
    }

    #[test]
    fn classes_of_statuses_are_conditions() {
        for (text, class) in [("http 4xx", 4), ("HTTP 5XX", 5), ("http_status 3xx", 3)] {
            let condition: Condition = text.parse().unwrap();
            assert_eq!(condition, Condition::HttpClass(class));
            assert_eq!(condition.to_string().parse(), Ok(condition));
            assert!(condition.matches(FailureKind::HttpStatus(u16::from(class) * 100 + 4)));
            assert!(!condition.matches(FailureKind::HttpStatus(600)));
            assert!(!condition.matches(FailureKind::ExitCode(i32::from(class) * 100)));
        }
    }

    #[test]
    fn what_is_named_is_retried_though_it_is_permanent() {
        let refused = Failure::new(FailureKind::HttpStatus(404), "").permanent();
        let rules = |on: &[&str], give_up_on: &[&str]| {
            let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            RetrySpec {
                on: read(on),
                give_up_on: read(give_up_on),
                ..RetrySpec::default()
            }
        };
        assert!(!rules(&[], &[]).allows(&refused));
        assert!(!rules(&["http 5xx"], &[]).allows(&refused));
        for on in ["http 404", "http 4xx", "http"] {
            assert!(rules(&[on], &[]).allows(&refused), "{on}");
            assert!(!rules(&[on], &["http 404"]).allows(&refused), "{on}");
        }
        let mut later = Failure::new(FailureKind::HttpStatus(429), "");
        for (pause, allowed) in [(3_600, true), (3_601, false)] {
            later.retry_after = Some(Duration::from_secs(pause));
            assert_eq!(rules(&["http 429"], &[]).allows(&later), allowed, "{pause}");
        }
    }

    fn kinds() -> impl Strategy<Value = FailureKind> {
        let unnumbered = FailureKind::NAMES.into_iter();
        let unnumbered: Vec<_> = unnumbered
            .filter_map(|name| FailureKind::named(name, None))
            .collect();
        prop_oneof![
            (1..=255_i32).prop_map(FailureKind::ExitCode),
            (1..=64_i32).prop_map(FailureKind::Signal),
            (300..=999_u16).prop_map(FailureKind::HttpStatus),
            proptest::sample::select(unnumbered),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_shown_of_a_failure_is_read_back(kind in kinds()) {
            let exactly = Condition::Exactly(kind);
            prop_assert_eq!(kind.to_string().parse(), Ok(exactly));
            prop_assert_eq!(exactly.to_string().parse(), Ok(exactly));
            if let FailureKind::Signal(number) = kind {
                prop_assert_eq!(SignalNumber(number).to_string().parse(), Ok(exactly));
            }
            let any: Condition = kind.name().parse().unwrap();
            prop_assert!(any.matches(kind));
            prop_assert_eq!(any.to_string().parse(), Ok(any));
        }
    }

    #[test]
    fn every_signal_is_read_by_its_name_and_as_it_is_shown() {
        for (name, signal) in SignalNumber::all() {
            let exactly = Ok(Condition::Exactly(FailureKind::Signal(signal.0)));
            assert_eq!(name.parse(), exactly);
            assert_eq!(signal.to_string().parse(), exactly);
            assert_eq!(FailureKind::Signal(signal.0).to_string().parse(), exactly);
        }
        for name in FailureKind::NAMES {
            assert!(name.parse::<Condition>().is_ok(), "{name}");
        }
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
    }
}
