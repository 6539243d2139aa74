//! What keeping a batch in a file costs: adding, running, going on, looking.
//!
//! A program of its own and no criterion bench, as each figure takes seconds and needs a fresh file. Prints one row
//! of a table for each; `--test` runs everything once with few tasks.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::hint::black_box;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use batch_actions::{
    AddRequest, BatchRequest, Engine, EngineOptions, Home, Target, add, create, status,
};
use batch_core::{BatchSettings, Output, Plan, SettingsRequest, TaskSpec};
use batch_input::{ReadOptions, read_task_file};
use batch_runtime::Registry;
use batch_store::BatchFile;
use rusqlite::Connection;

fn main() {
    let test = std::env::args().any(|arg| arg == "--test");
    let tasks: u32 = if test { 2_000 } else { 1_000_000 };
    let folder = tempfile::Builder::new()
        .prefix("bex-bench-")
        .tempdir_in(".")
        .expect("a folder can be made here");
    println!("| work | figure |\n|---|---|");
    adding(folder.path(), tasks);
    let file = running(folder.path(), tasks);
    going_on(folder.path(), &file, tasks);
}

/// A task file with a million lines, and the same rows into a plain table.
fn adding(folder: &Path, tasks: u32) {
    let lines = folder.join("tasks.jsonl");
    write_lines(&lines, 0..tasks);
    let home = Home::new(folder.join("add"));
    let started = Instant::now();
    let added = add_file(&home, &lines, None);
    let ours = started.elapsed();
    let raw = raw_inserts(&folder.join("raw.db"), tasks);
    println!(
        "| add {tasks} tasks from JSONL | {:.0} ns a task, raw SQLite {:.0} ns a row: {:.2} x |",
        per(ours, tasks),
        per(raw, tasks),
        raw.as_secs_f64() / ours.as_secs_f64()
    );
    drop(added);
    slices(folder, tasks);
}

/// The same in ten parts: the last is to cost what the first did.
fn slices(folder: &Path, tasks: u32) {
    let home = Home::new(folder.join("slices"));
    let part = tasks / 10;
    let mut batch = None;
    let mut times = Vec::new();
    for slice in 0..10 {
        let lines = folder.join("slice.jsonl");
        write_lines(&lines, slice * part..(slice + 1) * part);
        let started = Instant::now();
        batch = Some(add_file(&home, &lines, batch.take()));
        times.push(started.elapsed());
    }
    println!(
        "| the first {part} and the last | {:.0} and {:.0} ns a task |",
        per(times[0], part),
        per(times[9], part)
    );
}

fn write_lines(path: &Path, numbers: std::ops::Range<u32>) {
    let file = std::fs::File::create(path).expect("the file can be made");
    let mut out = std::io::BufWriter::new(file);
    for number in numbers {
        writeln!(out, r#"{{"command":["true","{number}"]}}"#).expect("it can be written");
    }
    out.flush().expect("it can be written");
}

fn add_file(home: &Home, path: &Path, batch: Option<BatchFile>) -> BatchFile {
    let registry = batch_handlers::standard_registry(&batch_handlers::HandlerConfig::new(
        path.with_extension("spill"),
    ));
    let file = read_task_file(path, None, &ReadOptions::default()).expect("the file is right");
    assert!(file.problems.is_empty());
    let target = match batch {
        Some(batch) => Target::Batch(batch),
        None => Target::New(BatchRequest::default()),
    };
    let request = AddRequest {
        tasks: file.tasks,
        target,
        settings: SettingsRequest::default(),
        catalog: &registry,
    };
    BatchFile::new(add(home, request).expect("the tasks are right").file)
}

/// What a batch file holds of a task, into one table.
fn raw_inserts(path: &Path, tasks: u32) -> Duration {
    let mut connection = Connection::open(path).expect("the file can be made");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE specs (task INTEGER PRIMARY KEY, id TEXT, name TEXT, function TEXT, params TEXT,
                depends_on TEXT, needs TEXT, priority TEXT, options INTEGER, created_us INTEGER);",
        )
        .expect("the table can be made");
    let started = Instant::now();
    let transaction = connection.transaction().expect("a transaction begins");
    {
        let mut insert = transaction
            .prepare("INSERT INTO specs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")
            .expect("the statement is right");
        let none: Option<&str> = None;
        for number in 1..=tasks {
            let params = format!(r#"{{"argv":["true","{number}"]}}"#);
            insert
                .execute((
                    number,
                    none,
                    none,
                    "command",
                    params,
                    none,
                    none,
                    "medium",
                    1,
                    1_795_510_780_454_924_i64,
                ))
                .expect("a row can be written");
        }
    }
    transaction.commit().expect("it can be written");
    started.elapsed()
}

/// A batch of tasks that do nothing, run with everything kept.
fn running(folder: &Path, tasks: u32) -> BatchFile {
    let home = Home::new(folder.join("run"));
    let file = noop_batch(&home, tasks);
    let registry = Registry::new().with_fn("noop", |task| async move {
        black_box(task.id);
        Ok(Output::default())
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let started = Instant::now();
    let finished = runtime.block_on(run_to_end(&file, &registry, None));
    let took = started.elapsed();
    assert_eq!(finished, 0, "all tasks are finished");
    println!(
        "| {tasks} no-op tasks run durably | {:.0} a second ({:.0} ns a task) |",
        f64::from(tasks) / took.as_secs_f64(),
        per(took, tasks)
    );
    file
}

fn noop_batch(home: &Home, tasks: u32) -> BatchFile {
    let specs = (0..tasks).map(|_| TaskSpec::new("noop")).collect();
    let plan = Plan::check(specs, &["noop"][..]).expect("the function is known");
    let slots = NonZeroU32::new(64).expect("not zero");
    let request = BatchRequest {
        settings: BatchSettings::with_slots(slots),
        ..BatchRequest::default()
    };
    BatchFile::new(
        create(home, &request, &plan)
            .expect("the tasks are right")
            .file,
    )
}

/// Runs a batch to its end, or until `until` is set; gives the number of tasks left.
async fn run_to_end(file: &BatchFile, registry: &Registry, until: Option<&AtomicBool>) -> u64 {
    let engine = Engine::start(EngineOptions {
        unpause: false,
        ..EngineOptions::new(file.clone(), &|_, _| registry.clone())
    })
    .await
    .expect("the batch can be worked on");
    if let Some(until) = until {
        while !until.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        engine.stop(batch_core::StopMode::Kill);
    }
    engine
        .watch_requests()
        .await
        .expect("the batch can be worked on");
    engine.finish().await.expect("the run ends well").open
}

/// A thousand more tasks in a batch of a million finished ones.
fn going_on(folder: &Path, file: &BatchFile, tasks: u32) {
    let home = Home::new(folder.join("run"));
    let more = (0..1_000).map(|_| TaskSpec::new("noop")).collect();
    let catalog = Registry::new().with_fn("noop", |_| async { Ok(Output::default()) });
    let request = AddRequest {
        tasks: more,
        target: Target::Batch(file.clone()),
        settings: SettingsRequest::default(),
        catalog: &catalog,
    };
    add(&home, request).expect("the tasks are right");
    let first = Arc::new(AtomicBool::new(false));
    let at = Arc::new(Mutex::new(None));
    let (seen, note) = (Arc::clone(&first), Arc::clone(&at));
    let registry = Registry::new().with_fn("noop", move |_| {
        if !seen.swap(true, Ordering::AcqRel) {
            *note.lock().expect("nobody panics") = Some(Instant::now());
        }
        async move { Ok(Output::default()) }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let started = Instant::now();
    runtime.block_on(run_to_end(file, &registry, Some(&first)));
    let at = at
        .lock()
        .expect("nobody panics")
        .expect("a task has started");
    println!(
        "| resume of {tasks} finished and 1,000 open tasks | first task after {:.2} s |",
        (at - started).as_secs_f64()
    );
    let started = Instant::now();
    let found = status(file, false).expect("the batch can be read");
    println!(
        "| status of that batch | {:.1} ms ({} tasks) |",
        started.elapsed().as_secs_f64() * 1e3,
        found.total
    );
}

fn per(time: Duration, tasks: u32) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(tasks)
}
