//! What exporting costs: a million results as JSONL and as CSV, beside the `serde_json` and `csv` crates
//! writing the same rows.
//!
//! The peers get their rows as finished values (times and ids are text already, the CSV result too); we
//! start from records, as an export does. Both write the same bytes, which is checked first.

use std::hint::black_box;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use batch_core::{
    BatchId, Output, TaskId, TaskSpec, Time,
    outcome::{ProcessEnd, Stream},
};
use batch_export::{
    AttemptEnd, AttemptRecord, Format, Summary, TaskRecord, WriterOptions, result_writer,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::Serialize;
use serde_json::value::RawValue;

/// How many different rows there are; they are written again and again.
const DISTINCT: u32 = 10_000;
/// How many rows are written.
const ROWS: u32 = 1_000_000;
/// 2026-01-02T03:04:05Z in milliseconds.
const START: u64 = 1_767_323_045_000;

/// The task object as a plain struct.
#[derive(Serialize)]
struct JsonRow {
    task_id: String,
    id: Option<String>,
    name: Option<String>,
    function: String,
    params: Box<RawValue>,
    priority: String,
    status: String,
    reason: Option<String>,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    execution_time: Option<f64>,
    wait_time: Option<f64>,
    retry_count: u32,
    max_retries: u32,
    flaky: bool,
    result: ResultRow,
    error: Option<String>,
    tags: Vec<String>,
    depends_on: Vec<String>,
    cpu_time: Option<f64>,
    peak_memory: Option<u64>,
    attempts: Vec<AttemptRow>,
    cause: Option<String>,
    attempt_count: u32,
    exit_code: Option<i32>,
    signal: Option<i32>,
    root_task: Option<String>,
    item: Option<String>,
    command: Option<String>,
    stdout: String,
    stderr: String,
}

#[derive(Serialize)]
struct ResultRow {
    exit_code: Option<i32>,
    stdout: String,
    stderr: String,
}

#[derive(Serialize)]
struct AttemptRow {
    attempt: u32,
    started_at: String,
    ended_at: String,
    execution_time: f64,
    outcome: String,
    reason: Option<String>,
    error: Option<String>,
}

/// The CSV row as a plain struct.
#[derive(Serialize)]
struct CsvRow {
    task_id: String,
    name: Option<String>,
    function: String,
    status: String,
    priority: String,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    execution_time: Option<f64>,
    wait_time: Option<f64>,
    retry_count: u32,
    result: String,
    error: Option<String>,
    id: Option<String>,
    reason: Option<String>,
    max_retries: u32,
    flaky: bool,
    attempts: String,
    exit_code: Option<i32>,
    signal: Option<i32>,
    tags: String,
    depends_on: String,
    params: String,
    cpu_time: Option<f64>,
    peak_memory: Option<u64>,
    cause: Option<String>,
    attempt_count: u32,
    root_task: Option<String>,
    item: Option<String>,
    command: Option<String>,
    stdout: String,
    stderr: String,
}

/// The same rows three times.
struct Rows {
    records: Vec<TaskRecord>,
    json: Vec<JsonRow>,
    csv: Vec<CsvRow>,
}

impl Rows {
    fn new() -> Self {
        let mut rows = Self {
            records: Vec::new(),
            json: Vec::new(),
            csv: Vec::new(),
        };
        for number in 1..=DISTINCT {
            let record = record(number);
            let json = json_row(&record);
            rows.csv.push(csv_row(&json));
            rows.json.push(json);
            rows.records.push(record);
        }
        rows
    }
}

/// A small command that printed a line.
fn record(number: u32) -> TaskRecord {
    let millis = u64::from(number) * 37;
    let at = |later: u64| Time::from_micros((START + millis + later) * 1_000);
    let spec = TaskSpec::new("command")
        .with_params(&serde_json::json!({"argv": ["gzip", "-k", format!("file-{number}.csv")]}))
        .expect("plain JSON")
        .with_name(&format!("Compress file {number}"))
        .with_max_retries(3);
    let task = TaskId::new(number).expect("counted from 1");
    let mut record = TaskRecord::queued(BatchId::default(), task, Arc::new(spec), at(0));
    record.status = batch_core::Status::Completed;
    record.started_at = Some(at(120));
    record.completed_at = Some(at(345));
    record.wait_time = Some(Duration::from_millis(120));
    record.execution_time = Some(Duration::from_micros(225_017));
    record.output = Some(Arc::new(Output {
        value: None,
        process: Some(ProcessEnd {
            exit_code: Some(0),
            signal: None,
            cpu_time: Duration::from_micros(1_934),
            peak_memory: 2_097_152,
            leaking: false,
        }),
        stdout: Stream::from(format!("file-{number}.csv:\t 62.1%\n").into_bytes()),
        stderr: Stream::default(),
    }));
    record.attempts.push(AttemptRecord {
        attempt: 1,
        started_at: at(120),
        ended_at: at(345),
        took: Duration::from_micros(225_017),
        end: AttemptEnd::Completed,
        error: None,
    });
    record
}

/// The row of a record: read back from our own JSON, so that the values are the same.
fn json_row(record: &TaskRecord) -> JsonRow {
    let line = jsonl(std::slice::from_ref(record), 1, Vec::new());
    let task: serde_json::Value = serde_json::from_slice(&line).expect("our own JSON");
    let text = |name: &str| task[name].as_str().map(str::to_owned);
    let result = |name: &str| task["result"][name].as_str().unwrap_or_default().to_owned();
    let attempt = &task["attempts"][0];
    JsonRow {
        task_id: record.id().to_string(),
        id: None,
        name: text("name"),
        function: record.spec.function.to_string(),
        params: RawValue::from_string(record.spec.params.to_string()).expect("valid JSON"),
        priority: record.priority.to_string(),
        status: record.status.to_string(),
        reason: None,
        created_at: text("created_at").expect("always there"),
        started_at: text("started_at"),
        completed_at: text("completed_at"),
        execution_time: task["execution_time"].as_f64(),
        wait_time: task["wait_time"].as_f64(),
        retry_count: record.retry_count,
        max_retries: record.spec.options.max_retries,
        flaky: record.flaky,
        result: ResultRow {
            exit_code: record.exit_code(),
            stdout: result("stdout"),
            stderr: result("stderr"),
        },
        error: None,
        tags: Vec::new(),
        depends_on: Vec::new(),
        cpu_time: task["cpu_time"].as_f64(),
        peak_memory: task["peak_memory"].as_u64(),
        attempts: vec![AttemptRow {
            attempt: 1,
            started_at: attempt["started_at"]
                .as_str()
                .expect("always there")
                .to_owned(),
            ended_at: attempt["ended_at"]
                .as_str()
                .expect("always there")
                .to_owned(),
            execution_time: attempt["execution_time"].as_f64().expect("always there"),
            outcome: record.attempts[0].end.name().to_owned(),
            reason: None,
            error: None,
        }],
        cause: None,
        attempt_count: 1,
        exit_code: record.exit_code(),
        signal: None,
        root_task: None,
        item: None,
        command: text("command"),
        stdout: result("stdout"),
        stderr: result("stderr"),
    }
}

fn csv_row(json: &JsonRow) -> CsvRow {
    CsvRow {
        task_id: json.task_id.clone(),
        name: json.name.clone(),
        function: json.function.clone(),
        status: json.status.clone(),
        priority: json.priority.clone(),
        created_at: json.created_at.clone(),
        started_at: json.started_at.clone(),
        completed_at: json.completed_at.clone(),
        execution_time: json.execution_time,
        wait_time: json.wait_time,
        retry_count: json.retry_count,
        result: serde_json::to_string(&json.result).expect("plain fields"),
        error: None,
        id: None,
        reason: None,
        max_retries: json.max_retries,
        flaky: json.flaky,
        attempts: serde_json::to_string(&json.attempts).expect("plain fields"),
        exit_code: json.result.exit_code,
        signal: None,
        tags: "[]".to_owned(),
        depends_on: "[]".to_owned(),
        params: json.params.get().to_owned(),
        cpu_time: json.cpu_time,
        peak_memory: json.peak_memory,
        cause: None,
        attempt_count: json.attempt_count,
        root_task: None,
        item: None,
        command: json.command.clone(),
        stdout: json.stdout.clone(),
        stderr: json.stderr.clone(),
    }
}

/// Ours, in a format. Gives back what it wrote to.
fn export<W: Write + Send>(format: Format, records: &[TaskRecord], rows: u32, mut out: W) -> W {
    let mut writer = result_writer(&WriterOptions::new(format), &mut out, io::sink())
        .expect("the head is written");
    for record in records.iter().cycle().take(rows as usize) {
        writer.task(record).expect("the row is written");
    }
    writer
        .finish(&Summary::new(BatchId::default()))
        .expect("the end is written");
    drop(writer);
    out
}

fn jsonl<W: Write + Send>(records: &[TaskRecord], rows: u32, out: W) -> W {
    export(Format::Jsonl, records, rows, out)
}

/// The peer: `serde_json` and a buffer of the same size.
fn serde_json_lines<W: Write>(json: &[JsonRow], rows: u32, out: W) -> W {
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    for row in json.iter().cycle().take(rows as usize) {
        serde_json::to_writer(&mut out, row).expect("the row is written");
        out.write_all(b"\n").expect("the row is written");
    }
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)
        .expect("the end is written")
}

/// The peer: the `csv` crate with a buffer of the same size.
fn csv_crate<W: Write>(csv: &[CsvRow], rows: u32, out: W) -> W {
    let mut writer = csv::WriterBuilder::new()
        .buffer_capacity(64 * 1024)
        .from_writer(out);
    for row in csv.iter().cycle().take(rows as usize) {
        writer.serialize(row).expect("the row is written");
    }
    writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)
        .expect("the end is written")
}

/// Takes bytes and forgets them.
struct Gone;

impl Write for Gone {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        black_box(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn exports(criterion: &mut Criterion) {
    let rows = Rows::new();
    let same = |ours: Vec<u8>, peers: Vec<u8>, what: &str| assert!(ours == peers, "{what} differs");
    same(
        jsonl(&rows.records, DISTINCT, Vec::new()),
        serde_json_lines(&rows.json, DISTINCT, Vec::new()),
        "JSONL",
    );
    same(
        export(Format::Csv, &rows.records, DISTINCT, Vec::new()),
        csv_crate(&rows.csv, DISTINCT, Vec::new()),
        "CSV",
    );
    let mut group = criterion.benchmark_group("export: a million results");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(u64::from(ROWS)));
    let mut bench = |name: &str, write: &dyn Fn()| {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let started = Instant::now();
                (0..rounds).for_each(|_| write());
                started.elapsed()
            });
        });
    };
    bench("JSONL, serde_json", &|| {
        serde_json_lines(&rows.json, ROWS, Gone);
    });
    bench("JSONL, ours", &|| {
        jsonl(&rows.records, ROWS, Gone);
    });
    bench("CSV, csv crate", &|| {
        csv_crate(&rows.csv, ROWS, Gone);
    });
    bench("CSV, ours", &|| {
        export(Format::Csv, &rows.records, ROWS, Gone);
    });
    group.finish();
}

criterion_group!(benches, exports);
criterion_main!(benches);
