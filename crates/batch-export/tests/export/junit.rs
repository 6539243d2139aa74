//! JUnit XML is read back by quick-junit, whatever the tasks are called and print.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{completed, process, samples, text};
use batch_core::{FailureKind, Reason, Status, TaskSpec, Time};
use batch_export::{AttemptEnd, AttemptRecord, Cause, Format, TaskRecord};
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};

fn attempt(number: u32, end: AttemptEnd, error: Option<&str>) -> AttemptRecord {
    AttemptRecord {
        attempt: number,
        started_at: Time::from_micros(1_000_000),
        ended_at: Time::from_micros(2_000_000),
        took: Duration::from_secs(1),
        end,
        error: error.map(str::to_owned),
    }
}

fn tagged(number: u32, name: &str) -> TaskRecord {
    let mut spec = TaskSpec::new("shell").with_name(name);
    Arc::make_mut(&mut spec.options).tags = vec!["suite".to_owned()];
    completed(number, spec)
}

fn failed(number: u32, name: &str, kind: FailureKind, error: &str, stderr: &str) -> TaskRecord {
    let mut record = tagged(number, name);
    record.status = Status::Failed;
    record.reason = Some(Reason::Failed(kind));
    record.error = Some(error.to_owned());
    record.cause = Some(Arc::new(Cause::of("shell", kind, error, stderr.as_bytes())));
    record.output = Some(Arc::new(process(1, "out", stderr)));
    record.attempts = vec![attempt(1, AttemptEnd::Failed(kind), Some(error))];
    record
}

const HOSTILE: &str = "a <b> & \"c\" ]]> \u{1b}[31mred\u{1b}[0m \u{0}\u{8}\u{fffe} ü \n\t end";

#[test]
fn quick_junit_reads_what_became_of_each_task() {
    let code = FailureKind::ExitCode(3);
    let mut flaky = tagged(2, "flaky");
    flaky.flaky = true;
    flaky.attempts = vec![
        attempt(1, AttemptEnd::Failed(code), Some("exit code 3")),
        attempt(2, AttemptEnd::Completed, None),
    ];
    let mut again = failed(3, HOSTILE, code, HOSTILE, HOSTILE);
    again.attempts.insert(
        0,
        attempt(
            1,
            AttemptEnd::Failed(FailureKind::Timeout),
            Some("timed out"),
        ),
    );
    let mut cancelled = tagged(5, "cancelled");
    cancelled.status = Status::Cancelled;
    cancelled.error = Some("b1.3 failed".to_owned());
    let records = [
        tagged(1, "good"),
        flaky,
        again,
        failed(4, "late", FailureKind::Timeout, "timed out after 1s", ""),
        cancelled,
    ];
    let xml = text(Format::Junit, &records);
    let report = Report::deserialize_from_str(&xml).unwrap();
    assert_eq!(
        (report.tests, report.failures, report.errors),
        (5, 1, 1),
        "{xml}"
    );
    let suite = &report.test_suites[0];
    assert_eq!((suite.name.as_str(), suite.tests), ("suite", 5));
    let cases: BTreeMap<&str, &TestCaseStatus> = suite
        .test_cases
        .iter()
        .map(|case| (case.name.as_str(), &case.status))
        .collect();
    let TestCaseStatus::Success { flaky_runs } = cases["flaky"] else {
        panic!("{xml}")
    };
    assert_eq!(flaky_runs.len(), 1);
    assert_eq!(flaky_runs[0].message.as_deref(), Some("exit code 3"));
    let is = |name: &str, kind: NonSuccessKind| matches!(cases[name], TestCaseStatus::NonSuccess { kind: found, .. } if *found == kind);
    assert!(is("late", NonSuccessKind::Error), "{xml}");
    assert!(
        matches!(cases["cancelled"], TestCaseStatus::Skipped { message, .. } if message.as_deref() == Some("b1.3 failed"))
    );
    // What XML cannot hold is replaced, and the colours of a terminal are taken away.
    let hostile = cases
        .keys()
        .find(|name| name.starts_with("a <b> & \"c\" ]]> red "));
    let hostile = *hostile.unwrap_or_else(|| panic!("{:?}", cases.keys()));
    assert!(
        is(hostile, NonSuccessKind::Failure) && hostile.contains("\u{fffd} ü"),
        "{xml}"
    );
}

#[test]
fn every_sample_makes_a_readable_report() {
    let report = Report::deserialize_from_str(&text(Format::Junit, &samples())).unwrap();
    assert_eq!(report.tests, samples().len());
    let report = Report::deserialize_from_str(&text(Format::Junit, &[])).unwrap();
    assert_eq!(report.tests, 0);
}

#[test]
fn of_very_many_tasks_those_that_completed_are_left_out() {
    let good = (1..=50_001).map(|number| tagged(number, "good"));
    let bad = failed(50_002, "bad", FailureKind::ExitCode(1), "exit code 1", "");
    let records: Vec<TaskRecord> = good.chain([bad]).collect();
    let xml = text(Format::Junit, &records);
    let report = Report::deserialize_from_str(&xml).unwrap();
    assert_eq!((report.tests, report.failures), (1, 1));
    assert!(
        xml.contains("value=\"50,001 tasks that completed\""),
        "{xml}"
    );
    assert!(xml.len() < 10_000);
}
