//! What scheduling costs: submit, claim and report of a task, and the memory of a queued one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use batch_core::{Batch, BatchSettings, Event, Outcome, Priority, TaskSpec, Time, no_retries};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Counts the bytes that are allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as this function's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as this function's own contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn specs() -> Vec<Arc<TaskSpec>> {
    let spec = |priority| Arc::new(TaskSpec::new("noop").with_priority(priority));
    Priority::ALL.into_iter().map(spec).collect()
}

fn batch(slots: u32) -> Batch {
    Batch::new(BatchSettings::with_slots(
        NonZeroU32::new(slots).expect("not zero"),
    ))
}

/// Submits all, then claims and reports in waves of 64, taking the events as a driver does.
fn all_at_once(tasks: u32, specs: &[Arc<TaskSpec>]) -> Duration {
    let mut batch = batch(64);
    let mut events: Vec<Event> = Vec::new();
    let mut claims = Vec::new();
    let started = Instant::now();
    let mut now = 0;
    for number in 0..tasks {
        batch.submit_one(
            Arc::clone(&specs[number as usize % 4]),
            &[],
            Time::from_micros(now),
        );
        if number % 256 == 0 {
            take(&mut batch, &mut events);
        }
    }
    while batch.open() > 0 {
        now += 10;
        claims.extend(std::iter::from_fn(|| batch.claim(Time::from_micros(now))));
        for claim in claims.drain(..) {
            let done = Outcome::Completed(None);
            batch
                .report(
                    claim.token,
                    done,
                    &mut no_retries,
                    Time::from_micros(now + 5),
                )
                .expect("the claim is out");
        }
        take(&mut batch, &mut events);
    }
    started.elapsed()
}

fn take(batch: &mut Batch, events: &mut Vec<Event>) {
    batch.take_events(events);
    black_box(&events);
    events.clear();
}

fn scheduling(criterion: &mut Criterion) {
    let specs = specs();
    let mut group = criterion.benchmark_group("core: submit + claim + report");
    group.sample_size(10);
    for tasks in [1_000, 1_000_000, 10_000_000] {
        group.throughput(Throughput::Elements(u64::from(tasks)));
        group.bench_function(format!("{tasks} tasks"), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| all_at_once(tasks, &specs)).sum());
        });
    }
    group.finish();
}

/// Not a timing: the bytes a queued task takes in the batch, its spec left out.
fn bookkeeping(_: &mut Criterion) {
    let spec = Arc::new(TaskSpec::new("noop"));
    let tasks = 1_000_000;
    let mut events = Vec::new();
    let mut batch = batch(1);
    let before = ALLOCATED.load(Ordering::Relaxed);
    for _ in 0..tasks {
        batch.submit_one(Arc::clone(&spec), &[], Time::ZERO);
        take(&mut batch, &mut events);
    }
    let after = ALLOCATED.load(Ordering::Relaxed);
    eprintln!(
        "core: {:.1} bytes of bookkeeping per queued task",
        (after - before) as f64 / f64::from(tasks)
    );
}

criterion_group!(benches, scheduling, bookkeeping);
criterion_main!(benches);
