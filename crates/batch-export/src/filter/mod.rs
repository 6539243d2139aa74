//! Which tasks are wanted: [`TaskFilter`], from a small expression or built by hand.

mod parse;

use std::time::Duration;

use crate::cause::CauseId;
use batch_core::{BatchId, Priority, Reason, Status, TaskId};
use batch_template::task_label;

use crate::record::TaskRecord;

pub use parse::FilterError;

/// Says which tasks are wanted. The empty one wants all.
///
/// # The expression
///
/// Terms are side by side, and a task must fit all of them:
///
/// ```text
/// filter = term {space term}
/// term   = ["!" | "-"] field operator value {"," value}
/// ```
///
/// - Values after a comma are alternatives: `status:failed,cancelled`.
/// - `!` or `-` before a term turns it round: `-tag:slow`.
/// - `:` and `=` mean *is*; a text after `:~` is found anywhere, in any case: `name:~page`.
/// - `>`, `>=`, `<`, `<=` compare, with one value: `time>10`, `priority>=high`; `!=` means *is not*.
/// - A value with spaces or commas is put in quotes: `error:~"no such file"`. Inside them, `\"` is a quote
///   and `\\` a backslash.
/// - A task for which a field has no value fits no term on it, and every negated one.
///
/// | field | what | values |
/// |---|---|---|
/// | `status` | status | `queued`, `running`, `completed`, `failed`, `cancelled` |
/// | `priority` | priority now; greater is more urgent | `critical`, `high`, `medium`, `low` |
/// | `tag` | one of its tags | text |
/// | `function` | function | text |
/// | `id` | the id its author gave it | text |
/// | `name` | the name shown: the name, else the id, else the function | text |
/// | `reason` | why it has its status, such as `"exit code"` or `timeout` | text |
/// | `error` | what went wrong | text |
/// | `cause` | why it failed, as the summary groups it | `c3fa21b` |
/// | `task` | number | `42` or `b7.42` |
/// | `time` | execution time | `10`, `1m30s` |
/// | `wait` | wait before the first attempt | `10`, `1m30s` |
/// | `retries` | retries used | number |
/// | `attempts` | attempts ended | number |
/// | `exit_code` | exit code of the last attempt | number |
/// | `signal` | signal that ended the last attempt | number |
/// | `flaky` | completed on a later attempt | `true`, `false` |
///
/// ```
/// # use batch_export::TaskFilter;
/// let filter = TaskFilter::parse("status:failed,cancelled priority>=high -tag:slow time>1m30s")?;
/// # Ok::<(), batch_export::FilterError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskFilter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    negated: bool,
    test: Test,
}

/// What a term asks. Lists are alternatives.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    Status(Vec<Status>),
    Priority(Compare, Vec<Priority>),
    Text(TextField, Vec<Pattern>),
    Time(TimeField, Compare, Vec<Duration>),
    Number(NumberField, Compare, Vec<i64>),
    Flaky(Vec<bool>),
    Cause(Vec<CauseId>),
    /// Tasks, in a batch or in any.
    Task(Vec<(Option<BatchId>, TaskId)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum TextField {
    Tag,
    Function,
    Id,
    Name,
    Reason,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum TimeField {
    Execution,
    Wait,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum NumberField {
    Retries,
    Attempts,
    ExitCode,
    Signal,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A text to compare with.
#[derive(Clone, Debug, PartialEq)]
enum Pattern {
    Whole(String),
    /// Found anywhere; in lower case.
    Part(String),
}

impl TaskFilter {
    /// Reads an expression; see [`TaskFilter`] for its grammar.
    ///
    /// # Errors
    /// At the first term that is not understood.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::parse(text).map(|terms| Self { terms })
    }

    /// Whether it wants all tasks.
    pub const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Wants only tasks with one of these statuses; of none, all.
    #[must_use]
    pub fn with_statuses(self, statuses: impl IntoIterator<Item = Status>) -> Self {
        let statuses: Vec<Status> = statuses.into_iter().collect();
        self.with_any(statuses.is_empty(), Test::Status(statuses))
    }

    /// Wants only tasks with one of these priorities; of none, all.
    #[must_use]
    pub fn with_priorities(self, priorities: impl IntoIterator<Item = Priority>) -> Self {
        let priorities: Vec<Priority> = priorities.into_iter().collect();
        self.with_any(
            priorities.is_empty(),
            Test::Priority(Compare::Equal, priorities),
        )
    }

    /// Wants only tasks with one of these tags; of none, all.
    #[must_use]
    pub fn with_tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let tags: Vec<Pattern> = tags
            .into_iter()
            .map(|tag| Pattern::Whole(tag.into()))
            .collect();
        self.with_any(tags.is_empty(), Test::Text(TextField::Tag, tags))
    }

    /// Wants only tasks that failed for one of these causes; of none, all.
    #[must_use]
    pub fn with_causes(self, causes: impl IntoIterator<Item = CauseId>) -> Self {
        let causes: Vec<CauseId> = causes.into_iter().collect();
        self.with_any(causes.is_empty(), Test::Cause(causes))
    }

    /// Wants only tasks that the other filter wants as well.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.terms.extend(other.terms);
        self
    }

    /// Whether it wants a task.
    pub fn matches(&self, record: &TaskRecord) -> bool {
        self.terms
            .iter()
            .all(|term| term.test.matches(record) != term.negated)
    }

    fn with_any(mut self, of_none: bool, test: Test) -> Self {
        if !of_none {
            self.terms.push(Term {
                negated: false,
                test,
            });
        }
        self
    }
}

impl Test {
    fn matches(&self, record: &TaskRecord) -> bool {
        match self {
            Self::Status(statuses) => statuses.contains(&record.status),
            Self::Priority(compare, priorities) => compare.any(Some(record.priority), priorities),
            Self::Text(field, patterns) => field.matches(record, patterns),
            Self::Time(field, compare, times) => compare.any(field.of(record), times),
            Self::Number(field, compare, numbers) => compare.any(field.of(record), numbers),
            Self::Flaky(values) => values.contains(&record.flaky),
            Self::Cause(causes) => {
                let cause = record.cause.as_ref().map(|cause| cause.id());
                cause.is_some_and(|cause| causes.contains(&cause))
            }
            Self::Task(tasks) => tasks.iter().any(|(batch, task)| {
                *task == record.task && batch.is_none_or(|batch| batch == record.batch)
            }),
        }
    }
}

impl TextField {
    fn matches(self, record: &TaskRecord, patterns: &[Pattern]) -> bool {
        let spec = &record.spec;
        let text = match self {
            Self::Tag => {
                let mut tags = spec.options.tags.iter();
                return tags.any(|tag| patterns.iter().any(|pattern| pattern.matches(tag)));
            }
            Self::Function => Some(&*spec.function),
            Self::Id => spec.id.as_deref(),
            Self::Name => {
                let name = task_label(spec);
                return patterns.iter().any(|pattern| pattern.matches(&name));
            }
            Self::Reason => record.reason.map(Reason::name),
            Self::Error => record.error.as_deref(),
        };
        text.is_some_and(|text| patterns.iter().any(|pattern| pattern.matches(text)))
    }
}

impl TimeField {
    const fn of(self, record: &TaskRecord) -> Option<Duration> {
        match self {
            Self::Execution => record.execution_time,
            Self::Wait => record.wait_time,
        }
    }
}

impl NumberField {
    fn of(self, record: &TaskRecord) -> Option<i64> {
        match self {
            Self::Retries => Some(i64::from(record.retry_count)),
            Self::Attempts => i64::try_from(record.attempts.len()).ok(),
            Self::ExitCode => record.exit_code().map(i64::from),
            Self::Signal => record.signal().map(i64::from),
        }
    }
}

impl Compare {
    /// Whether a value compares with one of these as asked. What has no value does not.
    fn any<T: PartialOrd>(self, value: Option<T>, others: &[T]) -> bool {
        value.is_some_and(|value| {
            others.iter().any(|other| match self {
                Self::Equal => value == *other,
                Self::Less => value < *other,
                Self::LessOrEqual => value <= *other,
                Self::Greater => value > *other,
                Self::GreaterOrEqual => value >= *other,
            })
        })
    }
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Whole(whole) => text == whole,
            Self::Part(part) => text.to_lowercase().contains(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;
    use batch_core::{FailureKind, TaskSpec, Time};
    use std::sync::Arc;

    fn record() -> TaskRecord {
        let mut spec = TaskSpec::new("http")
            .with_name("Fetch page 7")
            .with_priority(Priority::High);
        Arc::make_mut(&mut spec.options).tags = vec!["api".into(), "slow, very".into()];
        let task = TaskId::new(42).unwrap();
        let mut record = TaskRecord::queued(BatchId::default(), task, Arc::new(spec), Time::ZERO);
        record.status = Status::Failed;
        record.reason = Some(Reason::Failed(FailureKind::ExitCode(3)));
        record.error = Some("No such \"file\"".into());
        let cause = CauseId::new(0x3f_a21b).unwrap();
        let cause = Cause::from_parts(cause, String::new(), String::new());
        record.cause = Some(Arc::new(cause));
        record.execution_time = Some(Duration::from_secs(75));
        record.retry_count = 2;
        record
    }

    #[test]
    fn terms_that_fit() {
        for text in [
            "  status:failed  ",
            "status:completed,failed",
            "status=failed status!=completed !status:completed -status:completed",
            "priority:high priority>medium priority<=critical priority!=low",
            "tag:api",
            "tag:x,api",
            r#"tag:"slow, very""#,
            "-tag:ap tag:~AP",
            "function:http name:~PAGE name:\"Fetch page 7\"",
            r#"error:~"such \"file\"""#,
            "reason:\"exit code\" exit_code:3 exit_code>2 exit_code!=0",
            "time>10 time<1m16s time>=75 time:1m15s",
            "-wait>0 -wait<=0 -id:x -signal:9",
            "retries>0 retries>=2 attempts:0",
            "flaky:false -flaky:true",
            "cause:c3fa21b cause:c000000,c3FA21B -cause:c000000 cause!=c000000",
            "task:42 task:7,b1.42 -task:b2.42",
        ] {
            assert!(
                TaskFilter::parse(text).unwrap().matches(&record()),
                "{text}"
            );
        }
    }

    #[test]
    fn terms_that_do_not_fit() {
        for text in [
            "-status:failed",
            "status:failed status:completed",
            "priority>high",
            "tag:slow",
            "name:Fetch",
            "time>75",
            "wait:0",
            "signal!=9 signal:9",
            "flaky:true",
            "cause:c000000",
            "task:b2.42",
        ] {
            assert!(
                !TaskFilter::parse(text).unwrap().matches(&record()),
                "{text}"
            );
        }
    }

    #[test]
    fn built_filters_are_those_that_are_written() {
        let built = TaskFilter::default()
            .with_statuses([Status::Failed])
            .with_priorities([Priority::High, Priority::Low])
            .with_tags(["api"])
            .with_causes(["c3fa21b".parse().unwrap()])
            .and(TaskFilter::parse("time>1").unwrap());
        let written =
            TaskFilter::parse("status:failed priority:high,low tag:api cause:c3fa21b time>1")
                .unwrap();
        assert_eq!(built, written);
        assert!(TaskFilter::default().is_empty() && !built.is_empty());
    }
}
