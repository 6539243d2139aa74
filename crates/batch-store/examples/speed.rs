//! What the store alone costs: adding, the journal, loading. Prints one row of a table for each.
//!
//! `cargo run --release -p batch-store --example speed [TASKS]`

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use batch_core::{
    BatchId, BatchSettings, Event, Json, Outcome, RunId, Status, TaskId, TaskSpec, Time,
    event::NextStep, restore::Restorer,
};
use batch_store::{
    BatchFile, Durability, Holder, Journal, LeftBehind, NewBatch, Origin, Store, lock,
};
use rusqlite::Connection;

/// How many rows wait before the journal writes, as in the executor.
const MANY: usize = 16_384;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tasks: u32 = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 1_000_000,
    };
    let folder = tempfile::Builder::new()
        .prefix("bex-speed-")
        .tempdir_in(".")?;
    let raw = raw_inserts(&folder.path().join("raw.db"), tasks)?;
    let mut store = new_store(folder.path())?;
    println!("| work | figure |\n|---|---|");
    add(&mut store, tasks, raw)?;
    load(&store, "queued")?;
    let store = Arc::new(Mutex::new(store));
    journal(&store, tasks)?;
    let mut store = lock(&store);
    let mut adding = store.adding(Time::ZERO)?;
    adding.add(specs(0..1_000).iter().map(|spec| (spec, Vec::new())))?;
    adding.commit()?;
    load(&store, "finished and 1,000 open")
}

fn specs(numbers: std::ops::Range<u32>) -> Vec<TaskSpec> {
    let spec = |number| {
        let params = format!(r#"{{"argv":["true","{number}"]}}"#);
        let mut spec = TaskSpec::new("command");
        spec.params = Json::parse(&params).expect("this is JSON");
        spec
    };
    numbers.map(spec).collect()
}

fn new_store(folder: &Path) -> Result<Store, batch_store::StoreError> {
    let new = NewBatch {
        batch: BatchId::default(),
        settings: BatchSettings::default(),
        origin: Origin::default(),
        created_at: Time::ZERO,
    };
    Store::create(BatchFile::new(folder.join("b1.db")), &new, Durability::Full)
}

fn raw_inserts(path: &Path, tasks: u32) -> rusqlite::Result<Duration> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE specs (task INTEGER PRIMARY KEY, id TEXT, name TEXT, function TEXT, params TEXT,
            depends_on TEXT, needs TEXT, priority TEXT, options INTEGER, created_us INTEGER);",
    )?;
    let specs = specs(0..tasks);
    let started = Instant::now();
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction
            .prepare("INSERT INTO specs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
        let none: Option<&str> = None;
        for (number, spec) in (1_u32..).zip(&specs) {
            let params = spec.params.as_str();
            insert.execute((
                number, none, none, "command", params, none, none, "medium", 1, 1,
            ))?;
        }
    }
    transaction.commit()?;
    Ok(started.elapsed())
}

fn add(store: &mut Store, tasks: u32, raw: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let specs = specs(0..tasks);
    let part = (specs.len() / 10).max(1);
    let mut times = Vec::new();
    let started = Instant::now();
    let mut adding = store.adding(Time::from_micros(1))?;
    for slice in specs.chunks(part) {
        let begun = Instant::now();
        adding.add(slice.iter().map(|spec| (spec, Vec::new())))?;
        times.push(begun.elapsed());
    }
    adding.commit()?;
    let took = started.elapsed();
    println!(
        "| add {tasks} tasks | {:.0} ns a task, raw {:.0} ns: {:.2} x; the first tenth {:.0} ns, the last {:.0} ns |",
        per(took, tasks as usize),
        per(raw, tasks as usize),
        raw.as_secs_f64() / took.as_secs_f64(),
        per(times[0], part),
        per(times[times.len() - 1], part),
    );
    Ok(())
}

fn journal(store: &Arc<Mutex<Store>>, tasks: u32) -> Result<(), Box<dyn std::error::Error>> {
    let holder = Holder::default();
    let run = lock(store).begin_run(&holder, Time::ZERO)?;
    let mut journal = Journal::new(Arc::clone(store), run);
    let started = Instant::now();
    for number in 0..tasks {
        let at = Time::from_micros(u64::from(number) + 10);
        journal.take(&events(TaskId::from_index(number as usize), at));
        if journal.waiting() >= MANY {
            journal.flush()?;
        }
    }
    journal.flush_all()?;
    println!(
        "| journal of {tasks} tasks | {:.0} ns a task |",
        per(started.elapsed(), tasks as usize)
    );
    Ok(())
}

fn events(task: TaskId, at: Time) -> [Event; 3] {
    let took = Duration::from_micros(5);
    let started = Event::Started {
        task,
        at,
        attempt: 1,
        slot: 0,
        waited: Duration::ZERO,
    };
    let ended = Event::AttemptEnded {
        task,
        at: at.after(took),
        attempt: 1,
        took,
        outcome: Outcome::Completed(None),
        then: NextStep::Final,
    };
    let finished = Event::Finished {
        task,
        at: at.after(took),
        status: Status::Completed,
        reason: None,
        retries: 0,
    };
    [started, ended, finished]
}

fn load(store: &Store, what: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut batch = Restorer::new(BatchSettings::default(), RunId(9));
    let started = Instant::now();
    store.load(
        &mut batch,
        &LeftBehind::default(),
        Time::from_micros(9),
        |_| {},
    )?;
    let took = started.elapsed();
    println!(
        "| load of {} tasks, {what} | {:.2} s |",
        batch.next_id().index(),
        took.as_secs_f64()
    );
    Ok(())
}

fn per(time: Duration, tasks: usize) -> f64 {
    time.as_secs_f64() * 1e9 / tasks as f64
}
