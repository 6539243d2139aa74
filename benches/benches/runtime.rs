//! What running costs: no-op tasks through the executor, beside a bare `JoinSet` with a `Semaphore`.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use batch_core::{BatchSettings, Event, Output, Priority, Status, TaskSpec};
use batch_runtime::{Registry, RunBuilder};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const SLOTS: u32 = 64;

/// How many tasks are handed over at once, and how many may be open.
const HANDFUL: usize = 1_024;
const WINDOW: usize = 8_192;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .expect("a runtime starts")
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

/// Ours: four priorities, statistics, and every event counted by a sink.
async fn executor(tasks: u32) -> Duration {
    let specs: Vec<Arc<TaskSpec>> = Priority::ALL
        .into_iter()
        .map(|priority| Arc::new(TaskSpec::new("noop").with_priority(priority)))
        .collect();
    let finished = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&finished);
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
    let started = Instant::now();
    let run = RunBuilder::new(registry)
        .with_settings(BatchSettings::with_slots(
            NonZeroU32::new(SLOTS).expect("not zero"),
        ))
        .with_sink(sink)
        .start();
    // As a stream, which is how so many tasks come in.
    for first in (0..tasks as usize).step_by(HANDFUL) {
        let handful = (first..(first + HANDFUL).min(tasks as usize))
            .map(|number| Arc::clone(&specs[number % 4]))
            .collect();
        run.ingest(handful, WINDOW).await.expect("the run goes on");
    }
    let report = run.finish().await;
    let took = started.elapsed();
    assert_eq!(report.stats.count(Status::Completed), u64::from(tasks));
    assert_eq!(finished.load(Ordering::Relaxed), u64::from(tasks));
    took
}

fn no_ops(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("runtime: no-op tasks, 64 slots");
    group.sample_size(10);
    let tasks = 1_000_000;
    group.throughput(Throughput::Elements(u64::from(tasks)));
    group.bench_function("JoinSet + Semaphore", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    runtime
                        .block_on(async { tokio::spawn(join_set(tasks)).await.expect("no panic") })
                })
                .sum()
        });
    });
    group.bench_function("executor", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    runtime
                        .block_on(async { tokio::spawn(executor(tasks)).await.expect("no panic") })
                })
                .sum()
        });
    });
    group.finish();
}

criterion_group!(benches, no_ops);
criterion_main!(benches);
