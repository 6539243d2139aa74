//! Any record reads back from JSONL and CSV with the same content.

use std::sync::Arc;
use std::time::Duration;

use crate::common::text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::{
    BatchId, FailureKind, Json, Output, Priority, Reason, Status, TaskId, TaskSpec, Time,
    outcome::{ProcessEnd, Stream},
};
use batch_export::{AttemptEnd, AttemptRecord, Format, TaskRecord};
use batch_export::{Cause, CauseId};
use batch_template::short_label;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

const LAST: u64 = 253_402_300_799_999_999;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_bytes() -> impl Strategy<Value = Stream> {
    prop_oneof![
        any::<Vec<u8>>(),
        any::<String>().prop_map(String::into_bytes),
    ]
    .prop_map(Stream::from)
}

fn any_output() -> impl Strategy<Value = Output> {
    let process = (
        option::of(any::<i32>()),
        option::of(1..64_i32),
        0..10_u64.pow(12),
        any::<u64>(),
        any::<bool>(),
    );
    let process = process.prop_map(
        |(exit_code, signal, cpu, peak_memory, leaking)| ProcessEnd {
            exit_code,
            signal,
            cpu_time: Duration::from_micros(cpu),
            peak_memory,
            leaking,
        },
    );
    (
        option::of(any_json()),
        option::of(process),
        any_bytes(),
        any_bytes(),
    )
        .prop_map(|(value, process, stdout, stderr)| Output {
            value: value.map(Json::from),
            process,
            stdout,
            stderr,
        })
}

fn any_spec() -> impl Strategy<Value = TaskSpec> {
    let tags = proptest::collection::vec(any::<String>(), 0..3);
    let texts = (
        option::of(any::<String>()),
        option::of(any::<String>()),
        any::<String>(),
        any::<String>(),
    );
    (texts, any_json(), tags, 0..4_usize, any::<u32>()).prop_map(
        |((id, name, function, dependency), params, tags, priority, max_retries)| {
            let mut spec = TaskSpec::new(function)
                .with_priority(Priority::ALL[priority])
                .with_max_retries(max_retries)
                .after(&dependency);
            spec.id = id.map(Into::into);
            spec.item = name.as_deref().map(|name| format!("{name}.in").into());
            spec.name = name.map(Into::into);
            spec.params = Json::from(json!({ "value": params }));
            Arc::make_mut(&mut spec.options).tags = tags;
            spec
        },
    )
}

fn any_attempt() -> impl Strategy<Value = AttemptRecord> {
    let end = prop_oneof![
        Just(AttemptEnd::Completed),
        Just(AttemptEnd::Interrupted),
        any::<i32>().prop_map(|code| AttemptEnd::Failed(FailureKind::ExitCode(code))),
    ];
    (
        any::<u32>(),
        0..LAST,
        0..LAST,
        0..10_u64.pow(12),
        end,
        option::of(any::<String>()),
    )
        .prop_map(
            |(attempt, started, ended, took, end, error)| AttemptRecord {
                attempt,
                started_at: Time::from_micros(started),
                ended_at: Time::from_micros(ended),
                took: Duration::from_micros(took),
                end,
                error,
            },
        )
}

fn any_record() -> impl Strategy<Value = TaskRecord> {
    let ids = (1..u32::MAX, 1..u32::MAX);
    let times = (0..LAST, option::of(0..LAST), option::of(0..10_u64.pow(14)));
    let state = (
        0..5_usize,
        option::of(any::<i32>()),
        any::<u32>(),
        any::<bool>(),
        option::of(any::<String>()),
    );
    let attempts = proptest::collection::vec(any_attempt(), 0..3);
    let cause = option::of((0..0x100_0000_u32).prop_map(|id| {
        let id = CauseId::new(id).unwrap();
        Arc::new(Cause::from_parts(id, String::new(), String::new()))
    }));
    (
        ids,
        any_spec(),
        times,
        state,
        option::of(any_output()),
        (attempts, cause),
    )
        .prop_map(
            |((batch, task), spec, (created, started, took), state, output, (attempts, cause))| {
                let (status, code, retries, flaky, error) = state;
                let (batch, task) = (BatchId::new(batch).unwrap(), TaskId::new(task).unwrap());
                let created = Time::from_micros(created);
                let mut record = TaskRecord::queued(batch, task, Arc::new(spec), created);
                record.status = Status::ALL[status];
                record.reason = code.map(|code| Reason::Failed(FailureKind::ExitCode(code)));
                record.started_at = started.map(Time::from_micros);
                record.execution_time = took.map(Duration::from_micros);
                record.retry_count = retries;
                record.flaky = flaky;
                record.error = error;
                record.output = output.map(Arc::new);
                record.attempts = attempts;
                record.cause = cause;
                record
            },
        )
}

fn timestamp(time: Time) -> String {
    let millis = (time.as_micros() / 1_000).cast_signed();
    format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap())
}

fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// The bytes that text and base64 say.
fn bytes_of(object: &Value, name: &str) -> Vec<u8> {
    match &object[format!("{name}_base64")] {
        Value::String(base64) => STANDARD.decode(base64).unwrap(),
        _ => object[name].as_str().unwrap().as_bytes().to_vec(),
    }
}

fn inline(stream: &Stream) -> &[u8] {
    match stream {
        Stream::Inline(bytes) => bytes,
        Stream::File { .. } => unreachable!("records of this test have no files"),
    }
}

fn check_result(
    task: &Value,
    result: &Value,
    output: Option<&Output>,
) -> Result<(), TestCaseError> {
    let Some(output) = output else {
        prop_assert_eq!(result, &Value::Null);
        return Ok(());
    };
    if let Some(value) = &output.value {
        prop_assert_eq!(result, &value.to_value());
    }
    let of_process = (output.value.is_none() && !result.is_null()).then_some(result);
    let objects = [Some(task).filter(|task| !task.is_null()), of_process];
    for object in objects.into_iter().flatten() {
        for (name, stream) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            prop_assert_eq!(bytes_of(object, name), inline(stream));
            let lossy = String::from_utf8_lossy(inline(stream)).into_owned();
            prop_assert_eq!(object[name].as_str().unwrap(), lossy);
        }
    }
    if let (None, Some(process)) = (&output.value, &output.process) {
        prop_assert_eq!(&result["exit_code"], &json!(process.exit_code));
        prop_assert_eq!(&result["signal"], &json!(process.signal));
        prop_assert_eq!(result["leaking"] == true, process.leaking);
    }
    Ok(())
}

/// A row says what the object says, column by column: numbers and texts as they are, the rest as JSON.
fn same_facts(
    task: &Value,
    header: &csv::StringRecord,
    row: &csv::StringRecord,
) -> Result<(), TestCaseError> {
    for (name, cell) in header.iter().zip(row) {
        match &task[name] {
            Value::Null => prop_assert_eq!(cell, "", "{}", name),
            Value::String(text) if name != "result" => prop_assert_eq!(cell, text, "{}", name),
            value => {
                let cell: Value = serde_json::from_str(cell).unwrap();
                prop_assert_eq!(&cell, value, "{}", name);
            }
        }
    }
    let columns: Vec<&str> = header.iter().collect();
    for name in task.as_object().unwrap().keys() {
        prop_assert!(
            columns.contains(&name.as_str()) || name.ends_with("_base64"),
            "{}",
            name
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn jsonl_reads_back(record in any_record()) {
        let line = text(Format::Jsonl, std::slice::from_ref(&record));
        prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
        let task: Value = serde_json::from_str(&line).unwrap();
        let spec = &record.spec;
        let attempts: Vec<Value> = record.attempts.iter().map(|attempt| json!({
            "attempt": attempt.attempt,
            "started_at": timestamp(attempt.started_at),
            "ended_at": timestamp(attempt.ended_at),
            "execution_time": seconds(attempt.took),
            "outcome": attempt.end.name(),
            "reason": match attempt.end { AttemptEnd::Failed(kind) => Some(kind.name()), _ => None },
            "error": attempt.error,
        })).collect();
        let process = record.output.as_ref().and_then(|output| output.process);
        let expected = json!({
            "task_id": record.id().to_string(),
            "id": spec.id,
            "name": short_label(spec),
            "function": *spec.function,
            "params": spec.params.to_value(),
            "priority": spec.options.priority,
            "status": record.status,
            "reason": record.reason.map(Reason::name),
            "created_at": timestamp(record.created_at),
            "started_at": record.started_at.map(timestamp),
            "completed_at": null,
            "execution_time": record.execution_time.map(seconds),
            "wait_time": null,
            "retry_count": record.retry_count,
            "max_retries": spec.options.max_retries,
            "flaky": record.flaky,
            "error": record.error,
            "tags": spec.options.tags,
            "depends_on": spec.depends_on,
            "cpu_time": process.map(|process| seconds(process.cpu_time)),
            "peak_memory": process.map(|process| process.peak_memory),
            "attempts": attempts,
            "cause": record.cause.as_ref().map(|cause| cause.id().to_string()),
            "attempt_count": record.attempts.len(),
            "exit_code": record.exit_code(),
            "signal": record.signal(),
            "root_task": null,
            "item": spec.item,
            "command": batch_template::shell_command(&record.spec),
        });
        let fields = expected.as_object().unwrap();
        for (name, value) in fields {
            prop_assert_eq!(&task[name], value, "{}", name);
        }
        let further = ["result", "stdout", "stderr", "stdout_base64", "stderr_base64"];
        for name in task.as_object().unwrap().keys() {
            prop_assert!(fields.contains_key(name) || further.contains(&name.as_str()), "{}", name);
        }
        check_result(&task, &task["result"], record.output.as_deref())?;
    }

    #[test]
    fn csv_reads_back(records in proptest::collection::vec(any_record(), 1..4)) {
        let csv = text(Format::Csv, &records);
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let header = reader.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        prop_assert_eq!(rows.len(), records.len());
        for (row, record) in rows.iter().zip(&records) {
            let cell = |name: &str| {
                let column = header.iter().position(|column| column == name).unwrap();
                row.get(column).unwrap()
            };
            let spec = &record.spec;
            prop_assert_eq!(cell("task_id"), record.id().to_string());
            prop_assert_eq!(cell("name"), short_label(spec));
            prop_assert_eq!(cell("function"), &*spec.function);
            prop_assert_eq!(cell("status"), record.status.name());
            prop_assert_eq!(cell("priority"), spec.options.priority.name());
            prop_assert_eq!(cell("created_at"), timestamp(record.created_at));
            prop_assert_eq!(cell("started_at"), record.started_at.map(timestamp).unwrap_or_default());
            prop_assert_eq!(cell("execution_time").parse().ok(), record.execution_time.map(seconds));
            prop_assert_eq!(cell("retry_count"), record.retry_count.to_string());
            prop_assert_eq!(cell("error"), record.error.as_deref().unwrap_or_default());
            prop_assert_eq!(cell("id"), spec.id.as_deref().unwrap_or_default());
            prop_assert_eq!(cell("params"), spec.params.as_str());
            let cause = record.cause.as_ref().map(|cause| cause.id().to_string());
            prop_assert_eq!(cell("cause"), cause.unwrap_or_default());
            prop_assert_eq!(cell("exit_code").parse().ok(), record.exit_code());
            let line = text(Format::Jsonl, std::slice::from_ref(record));
            let task: Value = serde_json::from_str(&line).unwrap();
            same_facts(&task, &header, row)?;
            let result = match cell("result") {
                "" => Value::Null,
                text => serde_json::from_str(text).unwrap(),
            };
            let output = record.output.as_deref();
            if output.is_none_or(|output| output.value.is_none()) {
                check_result(&Value::Null, &result, output)?;
            } else {
                prop_assert_eq!(result, output.unwrap().value.as_ref().unwrap().to_value());
            }
        }
    }
}
