//! What running costs: no-op tasks through a run, beside a bare `JoinSet` with a `Semaphore`; and how long one task
//! takes through a run that has nothing else to do.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use batch_core::{BatchSettings, Event, Output, Priority, Status, TaskSpec};
use batch_runtime::{Registry, RunBuilder, RunHandle};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const SLOTS: u32 = 64;
const TASKS: u32 = 1_000_000;

/// How many tasks are handed over at once, and how many may be open.
const CHUNK: usize = 1_024;
const WINDOW: usize = 8_192;

/// The runtimes by name, each ready to run a future to its end on one of its own threads.
fn runtimes() -> [(&'static str, Runtime); 2] {
    [
        ("multi-thread", Builder::new_multi_thread()),
        ("current-thread", Builder::new_current_thread()),
    ]
    .map(|(name, mut builder)| {
        let runtime = builder.enable_time().build().expect("a runtime starts");
        (name, runtime)
    })
}

/// The peer: no priorities, no statistics, no events.
async fn join_set(tasks: u32) -> Duration {
    let started = Instant::now();
    let slots = Arc::new(Semaphore::new(SLOTS as usize));
    let mut set = JoinSet::new();
    for number in 0..tasks {
        let slot = Arc::clone(&slots)
            .acquire_owned()
            .await
            .expect("the semaphore is open");
        set.spawn(async move {
            black_box(number);
            drop(slot);
        });
        while set.try_join_next().is_some() {}
    }
    while set.join_next().await.is_some() {}
    started.elapsed()
}

/// A run of no-op tasks whose events a sink counts.
fn start(finished: &Arc<AtomicU64>) -> RunHandle {
    let count = Arc::clone(finished);
    let sink = move |events: &[Event]| {
        let ended = events
            .iter()
            .filter(|event| matches!(event, Event::Finished { .. }))
            .count();
        count.fetch_add(ended as u64, Ordering::Relaxed);
    };
    let registry = Registry::new().with_fn("noop", |task| async move {
        black_box(task.id);
        Ok(Output::default())
    });
    let slots = NonZeroU32::new(SLOTS).expect("not zero");
    RunBuilder::new(registry)
        .with_settings(BatchSettings::with_slots(slots))
        .with_sink(sink)
        .start()
}

/// Ours: four priorities, statistics, and every event counted by a sink.
async fn run(tasks: u32) -> Duration {
    let specs = Priority::ALL.map(|priority| {
        let spec = TaskSpec::new("noop").with_priority(priority);
        Arc::new(spec)
    });
    let finished = Arc::default();
    let started = Instant::now();
    let run = start(&finished);
    // As a stream, which is how so many tasks come in.
    for first in (0..tasks as usize).step_by(CHUNK) {
        let chunk = (first..(first + CHUNK).min(tasks as usize))
            .map(|number| Arc::clone(&specs[number % specs.len()]))
            .collect();
        run.ingest(chunk, WINDOW).await.expect("the run goes on");
    }
    let report = run.finish().await;
    let took = started.elapsed();
    assert_eq!(report.stats.count(Status::Completed), u64::from(tasks));
    assert_eq!(finished.load(Ordering::Relaxed), u64::from(tasks));
    took
}

/// The time from handing over one task to knowing that it ended, each after a pause in which the run is idle.
async fn one_by_one(tasks: u64) -> Duration {
    let run = start(&Arc::default());
    let spec = Arc::new(TaskSpec::new("noop"));
    let mut took = Duration::ZERO;
    for _ in 0..tasks {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let started = Instant::now();
        let task = vec![Arc::clone(&spec)];
        run.ingest(task, 1).await.expect("the run goes on");
        took += started.elapsed();
    }
    run.finish().await;
    took
}

fn on<F>(runtime: &Runtime, work: F) -> Duration
where
    F: Future<Output = Duration> + Send + 'static,
{
    runtime.block_on(async { tokio::spawn(work).await.expect("no panic") })
}

fn no_ops(criterion: &mut Criterion) {
    for (name, runtime) in runtimes() {
        let mut group = criterion.benchmark_group(format!("runtime: no-op tasks, {name}"));
        group
            .sample_size(10)
            .sampling_mode(SamplingMode::Flat)
            .throughput(Throughput::Elements(u64::from(TASKS)));
        group.bench_function("JoinSet + Semaphore", |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| on(&runtime, join_set(TASKS))).sum());
        });
        group.bench_function("run", |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| on(&runtime, run(TASKS))).sum());
        });
        group.finish();
    }
}

/// The mean of each sample; criterion shows how the samples are spread.
fn latency(criterion: &mut Criterion) {
    for (name, runtime) in runtimes() {
        criterion.bench_function(&format!("runtime: one task, {name}"), |bencher| {
            bencher.iter_custom(|rounds| on(&runtime, one_by_one(rounds)));
        });
    }
}

criterion_group!(benches, no_ops, latency);
criterion_main!(benches);
