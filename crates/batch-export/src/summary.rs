//! What a batch came to: the [`Summary`] shown at its end, a fold over records.

use std::fmt;
use std::time::Duration;

use batch_core::{
    BatchId, Status, Time,
    duration::ShortDuration,
    stats::Totals,
    text::{Counted, Grouped},
};

use crate::causes::Causes;
use crate::record::TaskRecord;
use crate::times::ExecutionTimes;

/// How a batch ended: its totals and why its tasks failed. Shown to people, and the metadata of a JSON
/// export.
///
/// Add every task of the batch, also those that a filter keeps out of the results.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The batch.
    pub batch: BatchId,
    /// Its name for people.
    pub name: Option<String>,
    /// When the results were written.
    pub exported_at: Time,
    /// How long it took on the clock, where more is known than its first start and last end.
    pub elapsed: Option<Duration>,
    /// How long the completed tasks took.
    pub times: ExecutionTimes,
    totals: Totals,
    causes: Causes,
}

impl Summary {
    /// The summary of a batch without tasks.
    pub fn new(batch: BatchId) -> Self {
        Self::from_parts(batch, Totals::default(), Causes::new())
    }

    /// The summary of a batch whose tasks were added up elsewhere. Set [`Summary::times`] where they are known.
    pub fn from_parts(batch: BatchId, totals: Totals, causes: Causes) -> Self {
        Self {
            batch,
            name: None,
            exported_at: Time::ZERO,
            elapsed: None,
            times: ExecutionTimes::default(),
            totals,
            causes,
        }
    }

    /// Adds a task.
    pub fn add(&mut self, record: &TaskRecord) {
        self.totals += record.totals();
        self.times.add_task(record);
        self.causes.add(record);
    }

    /// The sums over all tasks.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Why tasks failed.
    pub const fn causes(&self) -> &Causes {
        &self.causes
    }

    /// How long the batch took on the clock: what was given, else from the first start to the last end.
    pub fn wall_time(&self) -> Option<Duration> {
        self.elapsed
            .or_else(|| Some(self.totals.last_end?.since(self.totals.first_start?)))
    }

    /// How many tasks completed or failed per second.
    fn rate(&self) -> Option<f64> {
        let ended = self.totals.count(Status::Completed) + self.totals.count(Status::Failed);
        let seconds = self.wall_time()?.as_secs_f64();
        (ended > 1 && seconds > 0.0).then(|| ended as f64 / seconds)
    }
}

impl fmt::Display for Summary {
    /// One line of counts, one of execution times if several tasks completed, then the failures by their causes. Ends
    /// without a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_counts(f)?;
        let spread = self.times.spread();
        if self.totals.count(Status::Completed) > 1 && spread.max_execution_time.is_some() {
            write!(f, "\nexecution time: {spread}")?;
        }
        if self.causes.is_empty() {
            return Ok(());
        }
        write!(f, "\n{}", self.causes)
    }
}

/// The counts of a [`Summary`] in one line.
struct Counts<'a>(&'a Summary);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_counts(f)
    }
}

impl Summary {
    /// The counts alone, in one line.
    pub fn counts(&self) -> impl fmt::Display + '_ {
        Counts(self)
    }

    fn fmt_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.totals.tasks();
        write!(f, "{:#}", Counted(tasks, "task"))?;
        let mut before = ": ";
        for status in [
            Status::Completed,
            Status::Failed,
            Status::Cancelled,
            Status::Running,
            Status::Queued,
        ] {
            let count = self.totals.count(status);
            if count == 0 {
                continue;
            }
            write!(f, "{before}{} {status}", Grouped(count))?;
            if status == Status::Completed && self.totals.flaky > 0 {
                write!(f, " ({} flaky)", Grouped(self.totals.flaky))?;
            }
            before = ", ";
        }
        if let Some(time) = self.wall_time() {
            write!(f, " in {}", ShortDuration(time))?;
        }
        match self.rate() {
            Some(rate) if rate >= 1_000.0 => write!(f, " ({}/s)", Grouped(rate as u64)),
            Some(rate) => write!(f, " ({rate:.1}/s)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;
    use crate::record::{AttemptEnd, AttemptRecord};
    use batch_core::{FailureKind, TaskId, TaskSpec};
    use std::sync::Arc;

    fn record(number: u32, status: Status) -> TaskRecord {
        let spec = TaskSpec::new("command").with_name(&format!("Page {number}"));
        let task = TaskId::new(number).unwrap();
        let mut record = TaskRecord::queued(BatchId::default(), task, Arc::new(spec), Time::ZERO);
        record.status = status;
        if matches!(status, Status::Completed | Status::Failed) {
            record.started_at = Some(Time::ZERO.after(Duration::from_secs(1)));
            record.completed_at = Some(Time::ZERO.after(Duration::from_secs(64)));
            record.execution_time = Some(Duration::from_millis(500));
            let attempt = AttemptRecord {
                attempt: 1,
                started_at: Time::ZERO,
                ended_at: Time::ZERO,
                took: Duration::ZERO,
                end: AttemptEnd::Completed,
                error: None,
            };
            record.attempts = vec![attempt; 1 + number as usize % 2];
        }
        if status == Status::Failed {
            let line = format!("grep: /tmp/{number}: No such file or directory");
            let kind = FailureKind::ExitCode(2 + i32::from(number.is_multiple_of(6)));
            let cause = Cause::of("command", kind, "", line.as_bytes());
            record.cause = Some(Arc::new(cause));
        }
        record
    }

    fn summary(parts: &[(Status, u32)]) -> Summary {
        let mut summary = Summary::new(BatchId::default());
        let mut number = 0;
        for (status, count) in parts {
            for _ in 0..*count {
                number += 1;
                let mut record = record(number, *status);
                record.flaky = *status == Status::Completed && number <= 4;
                summary.add(&record);
            }
        }
        summary
    }

    #[test]
    fn a_batch_with_failures() {
        let parts = [
            (Status::Completed, 3_100),
            (Status::Failed, 12),
            (Status::Cancelled, 8),
        ];
        insta::assert_snapshot!(summary(&parts), @"
        3,120 tasks: 3,100 completed (4 flaky), 12 failed, 8 cancelled in 1m03s (49.4/s)
        execution time: median 0.50s, 95 % within 0.50s, longest 0.50s
        12 failed, 2 causes:
          c7d87d8  10 x command: exit code 2: grep: P: No such file or directory
                   e.g. b1.3101 Page 3101: grep: /tmp/3101: No such file or directory
          c7c8c19   2 x command: exit code 3: grep: P: No such file or directory
                   e.g. b1.3102 Page 3102: grep: /tmp/3102: No such file or directory
        ");
    }

    #[test]
    fn small_and_stopped_batches() {
        insta::assert_snapshot!(summary(&[]), @"0 tasks");
        insta::assert_snapshot!(
            summary(&[(Status::Completed, 6)]),
            @"
        6 tasks: 6 completed (4 flaky) in 1m03s (0.1/s)
        execution time: median 0.50s, 95 % within 0.50s, longest 0.50s
        "
        );
        let mut stopped = summary(&[(Status::Running, 1), (Status::Queued, 2_000_000)]);
        stopped.elapsed = Some(Duration::ZERO);
        insta::assert_snapshot!(stopped, @"2,000,001 tasks: 1 running, 2,000,000 queued in 0.00s");
    }

    #[test]
    fn a_summary_of_stored_sums_is_that_of_the_records() {
        let of_records = summary(&[(Status::Completed, 30), (Status::Failed, 12)]);
        let totals = of_records.totals();
        let counts = Status::ALL.map(|status| (status, totals.count(status)));
        let stored = totals.with_counts(counts);
        assert_eq!(stored, *totals);
        let causes = of_records.causes().largest_first().into_iter().cloned();
        let causes = Causes::from_groups(causes, 0);
        let mut stored = Summary::from_parts(BatchId::default(), stored, causes);
        stored.times = of_records.times.clone();
        assert_eq!(stored.to_string(), of_records.to_string());
    }

    #[test]
    fn totals_count_what_was_executed() {
        let totals = summary(&[
            (Status::Completed, 3),
            (Status::Failed, 1),
            (Status::Cancelled, 2),
        ]);
        let totals = totals.totals();
        assert_eq!(totals.execution_time, Duration::from_secs(2));
        assert_eq!(totals.average_task_time(), Some(Duration::from_millis(500)));
        assert_eq!(
            (
                totals.tasks(),
                totals.count(Status::Cancelled),
                totals.flaky
            ),
            (6, 2, 3)
        );
        assert_eq!(Totals::default().average_task_time(), None);
    }
}
