//! The shapes in which things are stored: types of their own, so that inner ones may change freely.
//!
//! [`StoredOptions`] is the JSON of the table `options`; a kind of failure is a name and a number in the
//! columns `reason` and `detail`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use batch_core::{
    FailureKind, OnInterrupt, Priority, Reason, TaskId, TaskOptions, Time,
    retry::{Backoff, Condition, RetrySpec},
    status::{CancelReason, QueuedReason, StopReason},
};
use serde::{Deserialize, Serialize};

/// How a task is to be treated, as it is stored. Durations are microseconds.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct StoredOptions {
    priority: String,
    max_retries: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<StoredRetry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    /// The folder it runs in, which all versions read here.
    #[serde(default, with = "path", skip_serializing_if = "Option::is_none")]
    cwd: Option<PathBuf>,
    /// What its author wrote of it; never there in files of the first identity.
    #[serde(default, with = "path", skip_serializing_if = "Option::is_none")]
    written_cwd: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
    grace_us: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_interrupt: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    hold: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    finally: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before_us: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    allow_code: bool,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct StoredRetry {
    backoff: String,
    initial_us: u64,
    factor: f64,
    max_us: u64,
    /// Not there where it is that of all tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_wait_us: Option<u64>,
    jitter: bool,
    on: Vec<StoredCondition>,
    give_up_on: Vec<StoredCondition>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct StoredCondition {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
}

/// A path: its text, or `{"base64": …}` where its bytes are none.
mod path {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::PathBuf;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Text(String),
        Bytes { base64: String },
    }

    pub(super) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let stored = path.as_ref().map(|path| match path.to_str() {
            Some(text) => Stored::Text(text.to_owned()),
            None => Stored::Bytes {
                base64: STANDARD.encode(path.as_os_str().as_bytes()),
            },
        });
        stored.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let path = |stored| match stored {
            Stored::Text(text) => Ok(text.into()),
            Stored::Bytes { base64 } => {
                let bytes = STANDARD.decode(base64).map_err(de::Error::custom)?;
                Ok(OsString::from_vec(bytes).into())
            }
        };
        let stored = Option::<Stored>::deserialize(deserializer)?;
        stored.map(path).transpose()
    }
}

impl From<&TaskOptions> for StoredOptions {
    fn from(options: &TaskOptions) -> Self {
        Self {
            priority: options.priority.name().to_owned(),
            max_retries: options.max_retries,
            timeout_us: options.timeout.map(micros),
            retry: (options.retry != RetrySpec::default()).then(|| (&options.retry).into()),
            tags: options.tags.clone(),
            cwd: options.working_folder().map(Path::to_owned),
            written_cwd: options.cwd.clone(),
            env: options.env.clone(),
            limit: options.limit.clone(),
            grace_us: micros(options.grace),
            on_interrupt: (options.on_interrupt != OnInterrupt::default())
                .then(|| options.on_interrupt.name().to_owned()),
            hold: options.hold,
            finally: options.finally,
            not_before_us: options.not_before.map(|at| column(at.as_micros())),
            allow_code: options.allow_code,
        }
    }
}

impl StoredOptions {
    /// The options again, or what in them is not understood.
    pub(crate) fn options(self) -> Result<TaskOptions, String> {
        let on_interrupt = match &self.on_interrupt {
            Some(name) => name.parse().map_err(|_| unknown("on_interrupt", name))?,
            None => OnInterrupt::default(),
        };
        Ok(TaskOptions {
            priority: parse_priority(&self.priority)?,
            max_retries: self.max_retries,
            timeout: self.timeout_us.map(Duration::from_micros),
            retry: match self.retry {
                Some(retry) => retry.spec()?,
                None => RetrySpec::default(),
            },
            tags: self.tags,
            folder: self
                .cwd
                .filter(|cwd| Some(cwd) != self.written_cwd.as_ref()),
            cwd: self.written_cwd,
            env: self.env,
            limit: self.limit,
            grace: Duration::from_micros(self.grace_us),
            on_interrupt,
            hold: self.hold,
            finally: self.finally,
            not_before: self.not_before_us.map(time),
            allow_code: self.allow_code,
        })
    }
}

impl From<&RetrySpec> for StoredRetry {
    fn from(spec: &RetrySpec) -> Self {
        let conditions = |list: &[Condition]| list.iter().map(|c| (*c).into()).collect();
        Self {
            backoff: spec.backoff.to_string(),
            initial_us: micros(spec.initial),
            factor: spec.factor,
            max_us: micros(spec.max),
            max_wait_us: (spec.max_wait != RetrySpec::MAX_WAIT).then(|| micros(spec.max_wait)),
            jitter: spec.jitter,
            on: conditions(&spec.on),
            give_up_on: conditions(&spec.give_up_on),
        }
    }
}

impl StoredRetry {
    fn spec(self) -> Result<RetrySpec, String> {
        let conditions = |list: Vec<StoredCondition>| {
            let conditions = list.into_iter().map(StoredCondition::condition);
            conditions.collect::<Result<Vec<_>, _>>()
        };
        Ok(RetrySpec {
            backoff: self
                .backoff
                .parse::<Backoff>()
                .map_err(|_| unknown("backoff", &self.backoff))?,
            initial: Duration::from_micros(self.initial_us),
            factor: self.factor,
            max: Duration::from_micros(self.max_us),
            max_wait: self
                .max_wait_us
                .map_or(RetrySpec::MAX_WAIT, Duration::from_micros),
            jitter: self.jitter,
            on: conditions(self.on)?,
            give_up_on: conditions(self.give_up_on)?,
        })
    }
}

impl From<Condition> for StoredCondition {
    fn from(condition: Condition) -> Self {
        let (kind, number) = condition.parts();
        Self {
            kind: kind.to_owned(),
            number,
        }
    }
}

impl StoredCondition {
    fn condition(self) -> Result<Condition, String> {
        // Earlier files give kinds without a number the number 0.
        let number = self.number;
        Condition::named(&self.kind, number)
            .or_else(|| Condition::named(&self.kind, None).filter(|_| number == Some(0)))
            .ok_or_else(|| unknown("reason", &self.kind))
    }
}

/// In `detail` of a task that was cancelled with its batch: the time of the batch was up.
const TIME_LIMIT: i64 = 1;

/// In `detail` of a task that was cancelled with its batch: another task failed.
const FAIL_FAST: i64 = 2;

/// In `detail` of a task that was cancelled with its batch: this many tasks had ended as it asked for.
const HALTED: i64 = 3;

/// The columns `reason` and `detail` of a reason.
pub(crate) fn reason_columns(reason: Reason) -> (&'static str, Option<i64>) {
    let detail = match reason {
        Reason::Failed(kind) => kind.number(),
        Reason::Cancelled(CancelReason::DependencyFailed { root }) => Some(root.get().into()),
        Reason::Cancelled(CancelReason::BatchStopped(StopReason::TimeLimit)) => Some(TIME_LIMIT),
        Reason::Cancelled(CancelReason::BatchStopped(StopReason::FailFast)) => Some(FAIL_FAST),
        Reason::Cancelled(CancelReason::BatchStopped(StopReason::Halted)) => Some(HALTED),
        _ => None,
    };
    (reason.name(), detail)
}

/// The kind of failure with a name and a number.
pub(crate) fn failure_kind(name: &str, number: Option<i64>) -> Result<FailureKind, String> {
    FailureKind::named(name, number).ok_or_else(|| unknown("reason", name))
}

/// The reason of a cancelled task.
pub(crate) fn cancel_reason(name: &str, detail: Option<i64>) -> Result<CancelReason, String> {
    Ok(match name {
        "user" => CancelReason::User,
        // Earlier files do not say why.
        "batch stopped" => CancelReason::BatchStopped(match detail {
            Some(TIME_LIMIT) => StopReason::TimeLimit,
            Some(FAIL_FAST) => StopReason::FailFast,
            Some(HALTED) => StopReason::Halted,
            _ => StopReason::Requested,
        }),
        "dependency failed" => CancelReason::DependencyFailed {
            root: detail
                .and_then(task_id)
                .ok_or_else(|| unknown("task", "of a dependency"))?,
        },
        _ => return Err(unknown("reason", name)),
    })
}

/// Why a queued task waits, as far as its row knows.
pub(crate) fn queued_reason(name: Option<&str>, until: Option<Time>) -> QueuedReason {
    match (name, until) {
        (Some("held"), _) => QueuedReason::Held,
        (_, Some(until)) => QueuedReason::Delayed { until },
        _ => QueuedReason::Ready,
    }
}

pub(crate) fn parse_priority(name: &str) -> Result<Priority, String> {
    name.parse().map_err(|_| unknown("priority", name))
}

pub(crate) fn task_id(number: i64) -> Option<TaskId> {
    u32::try_from(number).ok().and_then(TaskId::new)
}

/// Microseconds, up to the end of time.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A time or duration in microseconds as SQLite keeps it.
pub(crate) fn column(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// How many tasks, attempts or retries: no more than there can be, whatever a file says, so that their sums fit.
pub(crate) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default().min(1 << 40)
}

pub(crate) fn time(column: i64) -> Time {
    Time::from_micros(u64::try_from(column).unwrap_or_default())
}

pub(crate) fn duration(column: i64) -> Duration {
    Duration::from_micros(u64::try_from(column).unwrap_or_default())
}

fn unknown(what: &str, text: &str) -> String {
    format!("the {what} {text:?} is unknown")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn options_come_back_as_they_went() {
        let options = TaskOptions {
            priority: Priority::Critical,
            max_retries: 7,
            timeout: Some(Duration::from_millis(1_500)),
            retry: RetrySpec {
                backoff: Backoff::Fixed,
                factor: 1.5,
                on: vec![
                    Condition::Exactly(FailureKind::Signal(9)),
                    Condition::Exactly(FailureKind::Timeout),
                ],
                give_up_on: vec![Condition::AnyHttpStatus, Condition::HttpClass(4)],
                max_wait: Duration::from_secs(5),
                ..RetrySpec::default()
            },
            tags: vec!["a".to_owned()],
            cwd: Some("tmp".into()),
            folder: Some("/home/tmp".into()),
            env: BTreeMap::from([("A".to_owned(), "b".to_owned())]),
            limit: Some("api".to_owned()),
            grace: Duration::from_secs(1),
            on_interrupt: OnInterrupt::Hold,
            hold: true,
            finally: true,
            not_before: Some(Time::from_micros(1_800_000_000_000_000)),
            allow_code: true,
        };
        let elsewhere = TaskOptions {
            cwd: Some(OsStr::from_bytes(b"a\xff").into()),
            folder: Some(OsStr::from_bytes(b"/\xfe/a\xff").into()),
            ..options.clone()
        };
        for options in [options, elsewhere, TaskOptions::default()] {
            let json = serde_json::to_string(&StoredOptions::from(&options)).unwrap();
            let stored: StoredOptions = serde_json::from_str(&json).unwrap();
            assert_eq!(stored.options().unwrap(), options, "{json}");
        }
    }

    #[test]
    fn every_kind_of_failure_comes_back() {
        for name in FailureKind::NAMES {
            let kind = FailureKind::named(name, None).or(FailureKind::named(name, Some(503)));
            let kind = kind.unwrap();
            assert_eq!(failure_kind(kind.name(), kind.number()), Ok(kind));
        }
        assert_eq!(
            failure_kind("exit code", Some(-3)),
            Ok(FailureKind::ExitCode(-3))
        );
        assert!(failure_kind("bad luck", None).is_err());
        assert!(failure_kind("http status", Some(70_000)).is_err());
    }
}
