//! Records for the tests of the formats.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use batch_core::{
    BatchId, FailureKind, Json, Output, Priority, Reason, Status, TaskId, TaskSpec, Time,
    outcome::{ProcessEnd, Stream},
    status::CancelReason,
};
use batch_export::Cause;
use batch_export::{
    AttemptEnd, AttemptRecord, Format, Summary, TaskRecord, WriterOptions, result_writer,
};
use serde_json::json;

/// 2026-01-02T03:04:05Z and this many milliseconds.
pub(crate) fn at(millis: u64) -> Time {
    Time::from_micros((1_767_323_045_000 + millis) * 1_000)
}

/// A task of the batch `b1` that completed on its first attempt, without output.
pub(crate) fn completed(number: u32, spec: TaskSpec) -> TaskRecord {
    let task = TaskId::new(number).expect("not zero");
    let mut record = TaskRecord::queued(BatchId::default(), task, Arc::new(spec), at(0));
    record.status = Status::Completed;
    record.started_at = Some(at(678));
    record.completed_at = Some(at(1_000));
    record.wait_time = Some(Duration::from_millis(678));
    record.execution_time = Some(Duration::from_millis(322));
    record.attempts.push(AttemptRecord {
        attempt: 1,
        started_at: at(678),
        ended_at: at(1_000),
        took: Duration::from_millis(322),
        end: AttemptEnd::Completed,
        error: None,
    });
    record
}

/// A process that ended with a code and printed this.
pub(crate) fn process(
    exit_code: i32,
    stdout: impl Into<Vec<u8>>,
    stderr: impl Into<Vec<u8>>,
) -> Output {
    Output {
        value: None,
        process: Some(ProcessEnd {
            exit_code: Some(exit_code),
            signal: None,
            cpu_time: Duration::from_millis(12),
            peak_memory: 1_048_576,
            leaking: false,
        }),
        stdout: Stream::from(stdout.into()),
        stderr: Stream::from(stderr.into()),
    }
}

/// One task of each kind: printed, flaky with a value, failed, cancelled, queued.
pub(crate) fn samples() -> Vec<TaskRecord> {
    let mut printed = completed(1, TaskSpec::new("command").with_name("Say \"hi\", twice"));
    printed.output = Some(Arc::new(process(
        0,
        "hi\n\u{1b}[1mhi\n",
        b"warn\xff".to_vec(),
    )));

    let params = json!({"args": {"n": 3}, "code": "def process(): …"});
    let spec = TaskSpec::new("custom_function")
        .with_id("sum")
        .with_priority(Priority::High);
    let mut flaky = completed(
        2,
        spec.with_params(&params)
            .expect("valid")
            .with_max_retries(3),
    );
    flaky.flaky = true;
    flaky.retry_count = 1;
    let mut first = flaky.attempts[0].clone();
    first.end = AttemptEnd::Failed(FailureKind::Timeout);
    first.error = Some("timed out after 1s".to_owned());
    flaky.attempts[0].attempt = 2;
    flaky.attempts.insert(0, first);
    flaky.output = Some(Arc::new(Output {
        value: Some(Json::from(json!({"of": ["a,b"], "sum": 6}))),
        ..process(0, "debug\n", "")
    }));

    let mut failed = completed(3, TaskSpec::new("shell").with_name("=1+1"));
    failed.status = Status::Failed;
    failed.reason = Some(Reason::Failed(FailureKind::ExitCode(3)));
    failed.error = Some("exit code 3\nsecond line".to_owned());
    failed.attempts[0].end = AttemptEnd::Failed(FailureKind::ExitCode(3));
    failed.attempts[0].error.clone_from(&failed.error);
    let errors: String = (1..=12).map(|line| format!("line {line}\n")).collect();
    let cause = Cause::of("shell", FailureKind::ExitCode(3), "", errors.as_bytes());
    failed.cause = Some(Arc::new(cause));
    failed.output = Some(Arc::new(process(3, "", errors)));

    let spec = Arc::new(TaskSpec::new("command").after("login"));
    let task = |number| TaskId::new(number).expect("not zero");
    let mut cancelled = TaskRecord::queued(BatchId::default(), task(4), spec, at(0));
    cancelled.status = Status::Cancelled;
    cancelled.reason = Some(Reason::Cancelled(CancelReason::DependencyFailed {
        root: task(3),
    }));
    cancelled.completed_at = Some(at(1_000));
    cancelled.error = Some("b1.3 (=1+1) failed".to_owned());

    let spec = Arc::new(TaskSpec::new("command"));
    let queued = TaskRecord::queued(BatchId::default(), task(5), spec, at(0));
    vec![printed, flaky, failed, cancelled, queued]
}

/// An output that is in a file.
pub(crate) fn in_file(folder: &Path, name: &str, bytes: &[u8]) -> Stream {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the folder is ours");
    Stream::File {
        path,
        len: bytes.len() as u64,
    }
}

/// What records become in a format: standard output and standard error.
pub(crate) fn render(options: &WriterOptions, records: &[TaskRecord]) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut summary = Summary::new(BatchId::default());
    summary.name = Some("samples".to_owned());
    summary.exported_at = at(60_000);
    let mut writer =
        result_writer(options, &mut out as &mut (dyn Write + Send), &mut err).expect("a vector");
    for record in records {
        summary.add(record);
        writer.task(record).expect("all outputs are there");
    }
    writer.finish(&summary).expect("all outputs are there");
    drop(writer);
    (out, err)
}

/// The same as text, without standard error.
pub(crate) fn text(format: Format, records: &[TaskRecord]) -> String {
    String::from_utf8(render(&WriterOptions::new(format), records).0).expect("UTF-8")
}
