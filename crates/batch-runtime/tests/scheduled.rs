//! Tasks with a time on the wall clock, which is set and hangs, in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use batch_core::{Event, Output, TaskSpec, Time};
use batch_runtime::{Registry, RunBuilder, wall_clock};
use tokio::time::Instant;

/// A wall clock that goes with the virtual time, and can be set.
#[derive(Clone)]
struct WallClock {
    began: Time,
    origin: Instant,
    ahead_s: Arc<AtomicU64>,
}

impl WallClock {
    fn new() -> Self {
        Self {
            began: wall_clock(),
            origin: Instant::now(),
            ahead_s: Arc::default(),
        }
    }

    fn now(&self) -> Time {
        let ahead = Duration::from_secs(self.ahead_s.load(Ordering::Relaxed));
        self.began.after(self.origin.elapsed()).after(ahead)
    }

    fn set_ahead(&self, seconds: u64) {
        self.ahead_s.store(seconds, Ordering::Relaxed);
    }
}

/// Runs a task that may start an hour from now; `meanwhile` is given the clock. The seconds until it started.
async fn started_after<F: Future<Output = ()>>(meanwhile: impl FnOnce(WallClock) -> F) -> u64 {
    let clock = WallClock::new();
    let told = clock.clone();
    let registry = Registry::new().with_fn("noop", |_| async { Ok(Output::default()) });
    let run = RunBuilder::new(registry)
        .with_wall_clock(move || told.now())
        .start();
    let mut events = run.subscribe();
    let mut task = TaskSpec::new("noop");
    Arc::make_mut(&mut task.options).not_before =
        Some(clock.now().after(Duration::from_secs(3_600)));
    run.submit(vec![task]).await.unwrap();
    meanwhile(clock.clone()).await;
    let begun = loop {
        let happened = events.recv().await.unwrap();
        let has_begun = |event: &Event| matches!(event, Event::Started { .. });
        if happened.iter().any(has_begun) {
            break clock.origin.elapsed();
        }
    };
    run.finish().await;
    begun.as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_task_starts_at_its_time() {
    assert_eq!(started_after(|_| async {}).await, 3_600);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_forward_starts_it_at_once() {
    // As after the machine slept: no time of the run has passed.
    let set = |clock: WallClock| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        clock.set_ahead(7_200);
    };
    let began = started_after(set).await;
    assert!((60..=61).contains(&began), "{began}");
}
