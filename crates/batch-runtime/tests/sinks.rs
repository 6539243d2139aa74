//! Sinks that are slow, full, or fail.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use batch_core::{BatchSettings, Event, Output, Status, StopMode, TaskSpec};
use batch_runtime::{Registry, RunBuilder, RunEnd, RunHandle, Sink, SinkError};
use tokio::sync::oneshot;

fn registry() -> Registry {
    Registry::new()
        .with_fn("quick", |_| async { Ok(Output::default()) })
        .with_fn("endless", |_| std::future::pending())
        .with_fn("slow", |_| async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(Output::default())
        })
}

fn two_slots() -> BatchSettings {
    BatchSettings::with_slots(NonZeroU32::new(2).unwrap())
}

/// Takes in nothing until the test says so.
struct Stuck(Option<mpsc::Receiver<()>>);

impl Sink for Stuck {
    fn on_events(&mut self, _: &[Event]) -> Result<(), SinkError> {
        if let Some(go) = self.0.take() {
            // The test is over when it says nothing.
            let _ = go.recv();
        }
        Ok(())
    }
}

/// Returns when no task completes any more: the sink has no room. Everything but the sink happens on this
/// thread, so that some turns without a change are enough.
async fn until_full(run: &RunHandle) -> u64 {
    let (mut before, mut same) = (0, 0);
    while same < 100 {
        let stats = run.snapshot().await.expect("it goes on").stats;
        let completed = stats.count(Status::Completed);
        same = if completed == before { same + 1 } else { 0 };
        before = completed;
        tokio::task::yield_now().await;
    }
    before
}

#[tokio::test]
async fn a_stop_reaches_what_runs_while_a_sink_has_no_room() {
    let (go, stuck) = mpsc::channel();
    let (gone, ended) = oneshot::channel::<()>();
    let gone = Arc::new(Mutex::new(Some(gone)));
    let registry = registry().with_fn("watched", move |_| {
        let gone = gone.lock().unwrap().take();
        async move {
            // Dropped with the attempt.
            let _gone = gone;
            std::future::pending().await
        }
    });
    let run = RunBuilder::new(registry)
        .with_settings(two_slots())
        .with_sink(Stuck(Some(stuck)))
        .start();
    run.submit(vec![TaskSpec::new("watched")]).await.unwrap();
    run.submit(vec![TaskSpec::new("quick"); 1000])
        .await
        .unwrap();
    let completed = until_full(&run).await;
    assert!((1..1000).contains(&completed), "{completed}");
    run.stop(StopMode::End);
    assert!(ended.await.is_err(), "it was dropped");
    go.send(()).unwrap();
    let report = run.finish().await;
    assert_eq!(report.end, RunEnd::Stopped);
    // What ran. What had been claimed when the room ran out never began, and is no attempt.
    assert_eq!(report.stats.interrupted, 1);
    assert_eq!(report.stats.count(Status::Completed), completed);
}

#[tokio::test]
async fn a_pause_while_a_sink_has_no_room_loses_nothing() {
    let (go, stuck) = mpsc::channel();
    let kept = Arc::new(Mutex::new(0));
    let count = Arc::clone(&kept);
    let counter = move |events: &[Event]| {
        let finished = events
            .iter()
            .filter(|event| matches!(event, Event::Finished { .. }));
        *count.lock().unwrap() += finished.count();
    };
    let run = RunBuilder::new(registry())
        .with_sink(Stuck(Some(stuck)))
        .with_sink(counter)
        .start();
    run.submit(vec![TaskSpec::new("quick"); 1000])
        .await
        .unwrap();
    until_full(&run).await;
    run.pause();
    let (synced, paused) = tokio::join!(run.sync(), async {
        let snapshot = run.snapshot().await.unwrap();
        go.send(()).unwrap();
        snapshot.paused
    });
    synced.unwrap();
    assert!(paused);
    let before = run.snapshot().await.unwrap().stats;
    assert_eq!(before.count(Status::Running), 0);
    assert!(before.count(Status::Queued) > 0);
    run.resume();
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Completed), 1000);
    assert_eq!(*kept.lock().unwrap(), 1000);
}

#[tokio::test]
async fn a_sync_requested_while_a_sink_has_no_room_is_answered() {
    let (go, stuck) = mpsc::channel();
    let run = RunBuilder::new(registry())
        .with_sink(Stuck(Some(stuck)))
        .start();
    // A group of one event each; far more than there is room for.
    for _ in 0..100 {
        run.pause();
        run.snapshot().await.unwrap();
        run.resume();
        run.snapshot().await.unwrap();
    }
    let (synced, ()) = tokio::join!(run.sync(), async {
        // The sync has been handled when this is answered.
        run.snapshot().await.unwrap();
        go.send(()).unwrap();
    });
    synced.unwrap();
}

/// Gathers events and writes them when it has rested, or must.
struct Gathering {
    rested: bool,
    gathered: usize,
    log: mpsc::Sender<(&'static str, usize)>,
}

impl Gathering {
    fn write(&mut self, why: &'static str) {
        if self.gathered > 0 {
            let _ = self.log.send((why, self.gathered));
            self.gathered = 0;
        }
    }
}

impl Sink for Gathering {
    fn on_events(&mut self, events: &[Event]) -> Result<(), SinkError> {
        self.gathered += events.len();
        Ok(())
    }

    fn rest(&mut self) -> Result<Option<Duration>, SinkError> {
        if !self.rested {
            return Ok(Some(Duration::from_secs(3600)));
        }
        self.write("rest");
        Ok(None)
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        self.write("sync");
        self.rested = true;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.write("finish");
        Err(SinkError("the end cannot be written".into()))
    }
}

#[tokio::test]
async fn a_resting_sink_is_woken_for_a_sync() {
    let (log, seen) = mpsc::channel();
    let sink = Gathering {
        rested: false,
        gathered: 0,
        log,
    };
    let run = RunBuilder::new(registry()).with_sink(sink).start();
    run.submit(vec![TaskSpec::new("quick")]).await.unwrap();
    run.idle().await.unwrap();
    run.sync().await.unwrap();
    assert_eq!(seen.try_recv(), Ok(("sync", 4)));
    run.pause();
    // Then the event has been passed on, and this thread may wait for the sink.
    run.idle().await.unwrap();
    assert_eq!(seen.recv(), Ok(("rest", 1)));
    let report = run.finish().await;
    assert_eq!(report.end, RunEnd::SinkFailed);
    let error = report.sink_error.as_ref().unwrap().to_string();
    assert_eq!(error, "the end cannot be written");
}

#[tokio::test]
async fn a_resting_sink_is_woken_at_the_end() {
    let (log, seen) = mpsc::channel();
    let sink = Gathering {
        rested: false,
        gathered: 0,
        log,
    };
    let run = RunBuilder::new(registry()).with_sink(sink).start();
    run.submit(vec![TaskSpec::new("quick"); 500]).await.unwrap();
    run.finish().await;
    assert_eq!(seen.recv(), Ok(("finish", 2000)));
}

#[tokio::test]
async fn a_sink_that_panics_stops_the_run_at_once() {
    let run = RunBuilder::new(registry())
        .with_sink(|_: &[Event]| panic!("at the disco"))
        .start();
    run.submit(vec![TaskSpec::new("endless")]).await.unwrap();
    let report = run.wait().await;
    assert_eq!(report.end, RunEnd::SinkFailed);
    let error = report.sink_error.as_ref().unwrap().to_string();
    assert_eq!(error, "a sink panicked");
}

#[tokio::test(start_paused = true)]
async fn a_run_without_handles_goes_on_to_its_end() {
    let (done, all_done) = oneshot::channel();
    let mut done = Some(done);
    let mut finished = 0;
    let sink = move |events: &[Event]| {
        let ended = |event: &&Event| matches!(event, Event::Finished { .. });
        finished += events.iter().filter(ended).count();
        if finished == 20 {
            let _ = done.take().expect("once").send(());
        }
    };
    let run = RunBuilder::new(registry()).with_sink(sink).start();
    // Time moves on only when the driver waits.
    run.submit(vec![TaskSpec::new("slow"); 20]).await.unwrap();
    drop(run);
    all_done.await.unwrap();
}
