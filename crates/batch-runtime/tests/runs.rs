//! Whole runs, in virtual time: no test waits for a real second.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batch_core::{
    BatchSettings, Event, Failure, FailureKind, Json, Output, Priority, Reason, Stats, Status,
    StopMode, TaskSpec, Time,
    retry::{Backoff, RetrySpec},
};
use batch_runtime::{
    AttemptError, Registry, RunBuilder, RunEnd, RunHandle, SinkError, SubmitError,
};

fn slots(number: u32) -> BatchSettings {
    BatchSettings::with_slots(NonZeroU32::new(number).unwrap())
}

/// What a sink kept.
type Kept = Arc<Mutex<Vec<Event>>>;

/// A sink that keeps everything, and what it kept.
fn recorder() -> (impl FnMut(&[Event]) + Send + 'static, Kept) {
    let kept = Kept::default();
    let sink = Arc::clone(&kept);
    let keep = move |events: &[Event]| sink.lock().unwrap().extend_from_slice(events);
    (keep, kept)
}

/// `sleep` takes the seconds of its parameters; `fail` fails; `echo` returns its parameters.
fn registry() -> Registry {
    Registry::new()
        .with_fn("sleep", |task| async move {
            tokio::time::sleep(Duration::from_secs_f64(task.params()?)).await;
            Ok(Output::default())
        })
        .with_fn("fail", |_| async {
            Err(Failure::new(FailureKind::ExitCode(1), "no").into())
        })
        .with_fn("panic", |_| async { panic!("at the disco") })
        .with_fn("echo", |task| async move {
            Ok(Output::from_value(task.spec.params.clone()))
        })
}

/// Returns when the numbers of the run are as expected; no time passes meanwhile.
async fn until(run: &RunHandle, expected: impl Fn(&Stats) -> bool) {
    while !expected(&run.snapshot().await.expect("it goes on").stats) {
        tokio::task::yield_now().await;
    }
}

fn sleep(seconds: f64) -> TaskSpec {
    TaskSpec::new("sleep").with_params(&seconds).unwrap()
}

fn steady(seconds: u64) -> RetrySpec {
    RetrySpec {
        backoff: Backoff::Exponential,
        initial: Duration::from_secs(seconds),
        jitter: false,
        ..RetrySpec::default()
    }
}

fn starts(events: &[Event], wanted: u32) -> Vec<Time> {
    let start = |event: &Event| match event {
        Event::Started { task, at, .. } if task.get() == wanted => Some(*at),
        _ => None,
    };
    events.iter().filter_map(start).collect()
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_longer_each_time_and_leaves_its_slot_to_others() {
    let (sink, events) = recorder();
    let run = RunBuilder::new(registry()).with_sink(sink).start();
    let failing = TaskSpec::new("fail")
        .with_max_retries(3)
        .with_retry(steady(10));
    run.submit(vec![failing, sleep(5.0), sleep(5.0)])
        .await
        .unwrap();
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Completed), 2);
    assert_eq!(report.stats.count(Status::Failed), 1);
    let events = events.lock().unwrap();
    let began = starts(&events, 1);
    let gaps: Vec<u64> = began
        .windows(2)
        .map(|pair| pair[1].since(pair[0]).as_secs())
        .collect();
    assert_eq!(gaps, [10, 20, 40]);
    assert!(
        starts(&events, 3)[0] < began[1],
        "the one slot was used while the retry waited"
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_the_attempt_and_is_retried_as_one() {
    let run = RunBuilder::new(registry()).start();
    let slow = sleep(100.0)
        .with_timeout(Duration::from_secs(2))
        .with_max_retries(1)
        .with_retry(steady(1));
    run.submit(vec![slow]).await.unwrap();
    let began = tokio::time::Instant::now();
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Failed), 1);
    assert_eq!(report.stats.attempts, 2);
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_task_only() {
    let (sink, events) = recorder();
    let run = RunBuilder::new(registry())
        .with_settings(slots(2))
        .with_sink(sink)
        .start();
    run.submit(vec![TaskSpec::new("panic"), sleep(1.0)])
        .await
        .unwrap();
    let report = run.finish().await;
    assert_eq!(
        (
            report.stats.count(Status::Failed),
            report.stats.count(Status::Completed)
        ),
        (1, 1)
    );
    let events = events.lock().unwrap();
    let panicked = |event: &Event| {
        matches!(
            event,
            Event::Finished {
                reason: Some(Reason::Failed(FailureKind::Panic)),
                ..
            }
        )
    };
    assert!(events.iter().any(panicked));
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_lets_running_tasks_end_and_starts_no_more() {
    let run = RunBuilder::new(registry()).start();
    run.submit(vec![sleep(10.0), sleep(10.0)]).await.unwrap();
    until(&run, |stats| stats.count(Status::Running) == 1).await;
    run.stop(StopMode::Graceful);
    let report = run.finish().await;
    assert_eq!(report.end, RunEnd::Stopped);
    assert_eq!(
        (
            report.stats.count(Status::Completed),
            report.stats.count(Status::Queued)
        ),
        (1, 1)
    );
    assert_eq!(report.unfinished.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_immediate_stop_interrupts_and_uses_up_no_retry() {
    let run = RunBuilder::new(registry()).start();
    run.submit(vec![sleep(1000.0)]).await.unwrap();
    until(&run, |stats| stats.count(Status::Running) == 1).await;
    let began = tokio::time::Instant::now();
    run.stop(StopMode::End);
    let report = run.finish().await;
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(report.stats.count(Status::Queued), 1);
    assert_eq!((report.stats.interrupted, report.stats.attempts), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_batch_ends_it() {
    let settings = BatchSettings {
        batch_timeout: Some(Duration::from_secs(3)),
        ..slots(1)
    };
    let run = RunBuilder::new(registry()).with_settings(settings).start();
    run.submit(vec![sleep(2.0), sleep(2.0), sleep(2.0)])
        .await
        .unwrap();
    let report = run.finish().await;
    assert_eq!(report.end, RunEnd::CutShort);
    assert_eq!(
        (
            report.stats.count(Status::Completed),
            report.stats.count(Status::Cancelled)
        ),
        (1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_running_batch_can_be_steered() {
    let run = RunBuilder::new(registry()).start();
    let ids = run
        .submit(vec![sleep(10.0), sleep(10.0), sleep(10.0), sleep(10.0)])
        .await
        .unwrap();
    run.pause();
    run.cancel(ids[1]).await.unwrap();
    run.cancel(ids[0]).await.unwrap();
    run.set_priority(ids[3], Priority::Critical).await.unwrap();
    let paused = run.snapshot().await.unwrap();
    assert!(paused.paused);
    tokio::time::sleep(Duration::from_secs(60)).await;
    run.set_concurrency(NonZeroU32::new(2).unwrap());
    run.resume();
    let report = run.finish().await;
    assert_eq!(
        (
            report.stats.count(Status::Completed),
            report.stats.count(Status::Cancelled)
        ),
        (2, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn results_are_passed_on_with_their_types() {
    let (sink, events) = recorder();
    let run = RunBuilder::new(registry())
        .with_settings(slots(4))
        .with_sink(sink)
        .start();
    let first = TaskSpec::new("echo")
        .with_id("first")
        .with_params(&serde_json::json!({"n": [1, 2]}))
        .unwrap();
    let params = serde_json::json!({"whole": "{{ tasks.first.result.n }}", "part": "n is {{ tasks.first.result.n[1] }}"});
    let second = TaskSpec::new("echo").with_params(&params).unwrap();
    run.submit(vec![second, first]).await.unwrap();
    assert_eq!(run.finish().await.stats.count(Status::Completed), 2);
    let events = events.lock().unwrap();
    let result = events.iter().find_map(|event| match event {
        Event::AttemptEnded { task, outcome, .. } if task.get() == 1 => {
            outcome.output()?.value.clone()
        }
        _ => None,
    });
    assert_eq!(
        result,
        Some(Json::from(
            serde_json::json!({"part": "n is 2", "whole": [1, 2]})
        ))
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_tasks_is_told_all_at_once() {
    let run = RunBuilder::new(registry()).start();
    let tasks = vec![TaskSpec::new("slep"), TaskSpec::new("echo").after("nobody")];
    let Err(SubmitError::Invalid(problems)) = run.submit(tasks).await else {
        panic!("the tasks are wrong");
    };
    assert_eq!(problems.len(), 2);
    assert_eq!(run.finish().await.stats.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_without_room_holds_its_task_back() {
    let tries = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tries);
    let registry = Registry::new().with_fn("crowded", move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            if number < 5 {
                Err(AttemptError::Busy("no room".into()))
            } else {
                Ok(Output::default())
            }
        }
    });
    let run = RunBuilder::new(registry).with_settings(slots(4)).start();
    run.submit(vec![TaskSpec::new("crowded"); 6]).await.unwrap();
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Completed), 6);
    assert_eq!(report.stats.retries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_taken_no_faster_than_it_is_worked_off() {
    let run = RunBuilder::new(registry()).with_settings(slots(4)).start();
    for _ in 0..100 {
        let tasks = (0..10).map(|_| Arc::new(sleep(1.0))).collect();
        run.ingest(tasks, 40).await.unwrap();
        let snapshot = run.snapshot().await.unwrap();
        assert!(snapshot.stats.total() - snapshot.stats.finished() < 40);
    }
    assert_eq!(run.finish().await.stats.count(Status::Completed), 1000);
}

struct Broken;

impl batch_runtime::Sink for Broken {
    fn on_events(&mut self, _: &[Event]) -> Result<(), SinkError> {
        Err(SinkError("the disk is full".into()))
    }
}

#[tokio::test]
async fn a_sink_that_fails_stops_the_run_and_says_why() {
    let run = RunBuilder::new(registry()).with_sink(Broken).start();
    run.submit(vec![sleep(1000.0), sleep(1000.0)])
        .await
        .unwrap();
    let report = run.finish().await;
    assert_eq!(report.end, RunEnd::SinkFailed);
    assert_eq!(
        report.sink_error.as_ref().unwrap().to_string(),
        "the disk is full"
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_ends_the_run_when_its_tasks_are_done() {
    let (sink, events) = recorder();
    let run = RunBuilder::new(registry()).with_sink(sink).start();
    run.submit(vec![sleep(1.0)]).await.unwrap();
    let other = run.clone();
    drop(run);
    assert_eq!(other.finish().await.end, RunEnd::Finished);
    assert_eq!(events.lock().unwrap().len(), 4);
}
