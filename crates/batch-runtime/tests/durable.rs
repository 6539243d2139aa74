//! Runs whose batch is kept somewhere: restored batches, what must be on disk first, results of earlier
//! tasks. In virtual time: no test waits for a real second.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use batch_core::{
    Batch, BatchSettings, ClaimToken, Event, Failure, Json, OnInterrupt, Outcome, Output, Priority,
    RunId, Stats, Status, StopMode, TaskId, TaskSpec, Time,
    control::CancelError,
    restore::{Reopen, ReopenError, RestoredState, RestoredTask, Restorer},
    status::QueuedReason,
};
use batch_runtime::durable::{ResultSource, SourceError, StartLog};
use batch_runtime::{
    AttemptError, Handler, OnCancel, Registry, RequestError, RunBuilder, RunEnd, RunHandle, Sink,
    SinkError, TaskContext,
};
use serde_json::json;

fn slots(number: u32) -> BatchSettings {
    BatchSettings::with_slots(NonZeroU32::new(number).unwrap())
}

fn id(number: u32) -> TaskId {
    TaskId::new(number).unwrap()
}

/// `sleep` takes the seconds of its parameters; `echo` returns its parameters; `fail` fails.
fn registry() -> Registry {
    Registry::new()
        .with_fn("sleep", |task| async move {
            tokio::time::sleep(Duration::from_secs_f64(task.params()?)).await;
            Ok(Output::default())
        })
        .with_fn("echo", |task| async move {
            Ok(Output::from_value(task.spec.params.clone()))
        })
        .with_fn("fail", |_| async { Err(Failure::error("no").into()) })
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

fn echo(params: &serde_json::Value) -> TaskSpec {
    TaskSpec::new("echo").with_params(params).unwrap()
}

fn queued(spec: TaskSpec, after: &[TaskId]) -> RestoredTask {
    RestoredTask {
        priority: spec.options.priority,
        spec: Arc::new(spec),
        after: after.iter().copied().map(Into::into).collect(),
        created_at: Time::ZERO,
        attempts: 0,
        retries: 0,
        state: RestoredState::Queued,
    }
}

fn reopened(task: TaskId, spec: TaskSpec, after: &[TaskId]) -> Reopen {
    Reopen {
        task,
        priority: spec.options.priority,
        spec: Arc::new(spec),
        after: after.iter().copied().map(Into::into).collect(),
        attempts: 1,
    }
}

/// Stands in for a file: what a sink was given comes in when it syncs, and results come out.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    /// Taken in, and lost if the process ended now.
    taken: Vec<Event>,
    kept: Vec<Event>,
    /// What the sink and the handlers did, in order.
    log: Vec<String>,
    /// Results and ids of an earlier run.
    earlier: HashMap<String, (TaskId, Arc<Output>)>,
    /// Results cannot be read.
    is_broken: bool,
}

impl Disk {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().log.push(what.into());
    }

    fn log(&self) -> Vec<String> {
        self.0.lock().unwrap().log.clone()
    }

    /// The results of attempts that are kept, by their tasks.
    fn result(&self, wanted: TaskId) -> Option<Arc<Output>> {
        let content = self.0.lock().unwrap();
        let here = content.kept.iter().rev().find_map(|event| match event {
            Event::AttemptEnded { task, outcome, .. } if *task == wanted => {
                Some(outcome.output()?.clone())
            }
            _ => None,
        });
        let mut earlier = content.earlier.values();
        here.or_else(|| Some(earlier.find(|(task, _)| *task == wanted)?.1.clone()))
    }

    fn value(&self, task: TaskId) -> Option<serde_json::Value> {
        Some(self.result(task)?.value.as_ref()?.to_value())
    }
}

impl Sink for Disk {
    fn on_events(&mut self, events: &[Event]) -> Result<(), SinkError> {
        self.0.lock().unwrap().taken.extend_from_slice(events);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        let content = &mut *self.0.lock().unwrap();
        content.kept.append(&mut content.taken);
        content.log.push("sync".to_owned());
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let content = &mut *self.0.lock().unwrap();
        content.kept.append(&mut content.taken);
        content.log.push("finish".to_owned());
        Ok(())
    }
}

impl ResultSource for Disk {
    fn result(&mut self, task: TaskId) -> Result<Option<Arc<Output>>, SourceError> {
        if self.0.lock().unwrap().is_broken {
            return Err(SourceError("the disk is broken".into()));
        }
        Ok(Self::result(self, task))
    }

    fn find(&mut self, id: &str) -> Result<Option<TaskId>, SourceError> {
        let content = self.0.lock().unwrap();
        Ok(content.earlier.get(id).map(|(task, _)| *task))
    }
}

impl StartLog for Disk {
    fn starting(&mut self, slot: u32, claim: ClaimToken) {
        self.note(format!(
            "starting {}.{} in {slot}",
            claim.task, claim.attempt
        ));
    }

    fn not_started(&mut self, slot: u32) {
        self.note(format!("nothing in {slot}"));
    }
}

/// `note` writes its parameters into the log.
fn noting(disk: &Disk) -> Registry {
    let disk = disk.clone();
    registry().with_fn("note", move |task| {
        disk.note(format!("ran {}", task.spec.params.as_str()));
        async { Ok(Output::default()) }
    })
}

fn note(number: u32) -> TaskSpec {
    TaskSpec::new("note").with_params(&number).unwrap()
}

#[tokio::test(start_paused = true)]
async fn tasks_are_admitted_while_others_run() {
    let disk = Disk::default();
    let run = RunBuilder::new(noting(&disk))
        .with_sink(disk.clone())
        .start();
    run.submit(vec![sleep(10.0)]).await.unwrap();
    until(&run, |stats| stats.count(Status::Running) == 1).await;
    let mut urgent = queued(note(3), &[]);
    urgent.priority = Priority::Critical;
    urgent.attempts = 4;
    let mut late = queued(note(4), &[]);
    late.state = RestoredState::Held;
    // Task 2 waits for one that is admitted with the next handful.
    run.admit(vec![queued(note(2), &[id(5)]), urgent, late])
        .await
        .unwrap();
    run.admit(vec![queued(note(5), &[id(1)])]).await.unwrap();
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Completed), 4);
    assert_eq!((report.end, report.open), (RunEnd::Stopped, 1));
    assert_eq!(report.unfinished[0].reason, Some(QueuedReason::Held));
    assert_eq!(disk.log(), ["ran 3", "ran 5", "ran 2", "finish"]);
    let content = disk.0.lock().unwrap();
    let attempts = content.kept.iter().find_map(|event| match event {
        Event::Started { task, attempt, .. } if task.get() == 3 => Some(*attempt),
        _ => None,
    });
    assert_eq!(attempts, Some(5), "earlier attempts are counted on");
}

#[tokio::test(start_paused = true)]
async fn a_restored_batch_goes_on_and_finds_the_results_of_its_past() {
    let disk = Disk::default();
    let output = Arc::new(Output::from_value(Json::from(json!("from before"))));
    let earlier = HashMap::from([("first".to_owned(), (id(1), output))]);
    disk.0.lock().unwrap().earlier = earlier;
    let mut batch = Restorer::new(slots(1), RunId(7));
    batch.restore_finished(Status::Completed);
    let user = echo(&json!({"given": "{{ tasks.first.result }}"}));
    let mut interrupted = queued(user, &[id(1)]);
    interrupted.attempts = 1;
    interrupted.state = RestoredState::Running {
        started: Time::ZERO,
        last_seen: Time::ZERO,
        deaths: 1,
    };
    batch.restore(interrupted, Time::ZERO);
    let run = RunBuilder::new(registry())
        .with_batch(batch.into_batch())
        .with_sink(disk.clone())
        .with_results(disk.clone())
        .start();
    let another = echo(&json!("{{ tasks.first.result }}")).after("first");
    run.submit(vec![another]).await.unwrap();
    let report = run.finish().await;
    assert_eq!(report.end, RunEnd::Finished);
    assert_eq!(disk.value(id(2)), Some(json!({"given": "from before"})));
    assert_eq!(disk.value(id(3)), Some(json!("from before")));
    let content = disk.0.lock().unwrap();
    assert!(
        content.kept.iter().take(3).any(|event| matches!(
            event,
            Event::AttemptEnded {
                outcome: Outcome::Interrupted(_),
                attempt: 1,
                ..
            }
        )),
        "what became of the past is recorded first"
    );
}

#[tokio::test(start_paused = true)]
async fn a_result_that_cannot_be_read_fails_the_attempt_and_not_the_task_that_left_it() {
    let disk = Disk::default();
    let output = Arc::new(Output::from_value(Json::from(json!("from before"))));
    {
        let mut content = disk.0.lock().unwrap();
        content.earlier = HashMap::from([("first".to_owned(), (id(1), output))]);
        content.is_broken = true;
    }
    let mut batch = Restorer::new(slots(1), RunId(7));
    batch.restore_finished(Status::Completed);
    let user = echo(&json!("{{ tasks.first.result }}")).with_max_retries(1);
    batch.restore(queued(user, &[id(1)]), Time::ZERO);
    let run = RunBuilder::new(registry())
        .with_batch(batch.into_batch())
        .with_sink(disk.clone())
        .with_results(disk.clone())
        .start();
    let mut events = run.subscribe();
    let message = loop {
        let group = events.recv().await.unwrap();
        let failed = group.iter().find_map(|event| match event {
            Event::AttemptEnded {
                outcome: Outcome::Failed(failure),
                ..
            } => Some(failure.message.clone()),
            _ => None,
        });
        if let Some(message) = failed {
            break message;
        }
    };
    assert_eq!(
        message,
        "the result of task \"first\" cannot be read: the disk is broken"
    );
    disk.0.lock().unwrap().is_broken = false;
    assert_eq!(run.finish().await.stats.flaky, 1);
    assert_eq!(disk.value(id(2)), Some(json!("from before")));
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_attempt_left_is_kept() {
    let disk = Disk::default();
    let started = Arc::new(tokio::sync::Notify::new());
    let signal = Arc::clone(&started);
    let registry = Registry::new().with("chatty", Chatty(signal));
    let run = RunBuilder::new(registry).with_sink(disk.clone()).start();
    run.submit(vec![TaskSpec::new("chatty")]).await.unwrap();
    started.notified().await;
    run.stop(StopMode::End);
    assert_eq!(run.wait().await.end, RunEnd::Stopped);
    assert_eq!(disk.value(id(1)), Some(json!("so far")));
}

/// Says that it has begun, and when it is told to end, what it has done so far.
struct Chatty(Arc<tokio::sync::Notify>);

#[async_trait::async_trait]
impl Handler for Chatty {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        self.0.notify_one();
        task.cancel.cancelled().await;
        let so_far = Output::from_value(Json::from(json!("so far")));
        Err(Failure::error("ended").with_output(so_far).into())
    }

    fn on_cancel(&self) -> OnCancel {
        OnCancel::Cooperate
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_of_a_moment_ago_is_found_by_a_later_task() {
    let disk = Disk::default();
    let run = RunBuilder::new(registry())
        .with_sink(disk.clone())
        .with_results(disk.clone())
        .start();
    run.submit(vec![echo(&json!([7])).with_id("first")])
        .await
        .unwrap();
    run.idle().await.unwrap();
    let user = || echo(&json!("{{ tasks.first.result[0] }}"));
    run.submit(vec![user().after("first")]).await.unwrap();
    run.admit(vec![queued(user(), &[id(1)])]).await.unwrap();
    assert_eq!(run.finish().await.stats.count(Status::Completed), 3);
    assert_eq!(disk.value(id(2)), Some(json!(7)));
    assert_eq!(disk.value(id(3)), Some(json!(7)));
}

#[tokio::test(start_paused = true)]
async fn without_a_source_the_result_is_not_at_hand() {
    let disk = Disk::default();
    let run = RunBuilder::new(registry()).with_sink(disk.clone()).start();
    let first = echo(&json!([7])).with_id("first");
    run.submit(vec![first]).await.unwrap();
    run.idle().await.unwrap();
    run.submit(vec![echo(&json!("{{ tasks.first.result[0] }}"))])
        .await
        .unwrap();
    assert_eq!(run.finish().await.stats.count(Status::Failed), 1);
    let content = disk.0.lock().unwrap();
    let message = content.kept.iter().find_map(|event| match event {
        Event::AttemptEnded {
            outcome: Outcome::Failed(failure),
            ..
        } => Some(failure.message.clone()),
        _ => None,
    });
    assert_eq!(
        message.as_deref(),
        Some("params: {{ tasks.first.result[0] }}: the result of task \"first\" is not at hand")
    );
}

#[tokio::test(start_paused = true)]
async fn a_reopened_task_gives_its_users_the_new_result() {
    let disk = Disk::default();
    let run = RunBuilder::new(registry())
        .with_settings(slots(2))
        .with_sink(disk.clone())
        .start();
    let first = |value| echo(&json!(value)).with_id("first");
    let slow = sleep(60.0).with_id("slow");
    let user = echo(&json!("{{ tasks.first.result }}")).after("slow");
    run.submit(vec![first("old"), slow, user]).await.unwrap();
    until(&run, |stats| stats.count(Status::Completed) == 1).await;
    run.reopen(vec![reopened(id(1), first("new"), &[])])
        .await
        .unwrap();
    assert_eq!(run.finish().await.stats.count(Status::Completed), 3);
    assert_eq!(disk.value(id(3)), Some(json!("new")));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_must_not_run_twice_is_on_disk_before_it_starts() {
    for on_interrupt in [OnInterrupt::Hold, OnInterrupt::Fail] {
        let disk = Disk::default();
        let seen = disk.clone();
        let registry = registry().with_fn("look", move |task| {
            let content = seen.0.lock().unwrap();
            let started = |event: &Event| matches!(event, Event::Started { task: id, .. } if *id == task.id.task);
            let known = content.kept.iter().any(started);
            drop(content);
            seen.note(format!("known: {known}"));
            async { Ok(Output::default()) }
        });
        let run = RunBuilder::new(registry).with_sink(disk.clone()).start();
        run.submit(vec![TaskSpec::new("look").with_on_interrupt(on_interrupt)])
            .await
            .unwrap();
        run.finish().await;
        assert_eq!(disk.log(), ["sync", "known: true", "finish"]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_other_task_waits_for_the_disk() {
    let disk = Disk::default();
    let run = RunBuilder::new(noting(&disk))
        .with_sink(disk.clone())
        .start();
    run.submit(vec![note(1), note(2)]).await.unwrap();
    run.finish().await;
    assert_eq!(disk.log(), ["ran 1", "ran 2", "finish"]);
}

/// A sink whose sync waits until the test answers it.
struct Slow(mpsc::Receiver<Result<(), SinkError>>);

impl Slow {
    fn new() -> (Self, mpsc::Sender<Result<(), SinkError>>) {
        let (answers, sink) = mpsc::channel();
        (Self(sink), answers)
    }
}

impl Sink for Slow {
    fn on_events(&mut self, _: &[Event]) -> Result<(), SinkError> {
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        self.0.recv().unwrap_or(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn while_one_task_waits_for_the_disk_others_run() {
    let disk = Disk::default();
    let (sink, answers) = Slow::new();
    let run = RunBuilder::new(noting(&disk))
        .with_settings(slots(2))
        .with_sink(sink)
        .start();
    run.submit(vec![
        note(1).with_on_interrupt(OnInterrupt::Hold),
        note(2),
        note(3),
    ])
    .await
    .unwrap();
    until(&run, |stats| stats.count(Status::Completed) == 2).await;
    assert_eq!(disk.log(), ["ran 2", "ran 3"]);
    answers.send(Ok(())).unwrap();
    run.finish().await;
    assert_eq!(disk.log(), ["ran 2", "ran 3", "ran 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_disk_can_be_cancelled_and_stopped() {
    let disk = Disk::default();
    let (sink, answers) = Slow::new();
    let run = RunBuilder::new(noting(&disk))
        .with_settings(slots(2))
        .with_sink(sink)
        .start();
    let careful = |number| note(number).with_on_interrupt(OnInterrupt::Hold);
    let ids = run.submit(vec![careful(1), careful(2)]).await.unwrap();
    run.cancel(ids[0]).await.unwrap();
    run.stop(StopMode::End);
    run.idle().await.unwrap();
    drop(answers);
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Cancelled), 1);
    assert_eq!(
        report.unfinished[0].reason,
        Some(QueuedReason::Ready),
        "it did not begin, so nobody has to look at it"
    );
    assert_eq!(disk.log(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_first_does_not_start() {
    let disk = Disk::default();
    let (sink, answers) = Slow::new();
    let run = RunBuilder::new(noting(&disk)).with_sink(sink).start();
    answers
        .send(Err(SinkError("the disk is gone".into())))
        .unwrap();
    run.submit(vec![note(1).with_on_interrupt(OnInterrupt::Fail)])
        .await
        .unwrap();
    let report = run.finish().await;
    assert_eq!(report.end, RunEnd::SinkFailed);
    assert_eq!(report.stats.count(Status::Queued), 1);
    assert_eq!(disk.log(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn sync_returns_when_everything_is_kept() {
    let disk = Disk::default();
    let run = RunBuilder::new(registry()).with_sink(disk.clone()).start();
    run.submit(vec![echo(&json!(1))]).await.unwrap();
    run.idle().await.unwrap();
    run.sync().await.unwrap();
    assert_eq!(disk.value(id(1)), Some(json!(1)));
    run.pause();
    run.sync().await.unwrap();
    let last = disk.0.lock().unwrap().kept.pop();
    assert!(matches!(last, Some(Event::Paused { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_run_is_idle_when_nothing_will_start_by_itself() {
    let run = RunBuilder::new(registry()).start();
    run.idle().await.unwrap();
    let began = tokio::time::Instant::now();
    let retried =
        TaskSpec::new("fail")
            .with_max_retries(1)
            .with_retry(batch_core::retry::RetrySpec {
                jitter: false,
                initial: Duration::from_secs(20),
                ..Default::default()
            });
    run.submit(vec![retried, sleep(5.0)]).await.unwrap();
    run.idle().await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 20, "a retry starts by itself");
    run.pause();
    run.submit(vec![sleep(1.0)]).await.unwrap();
    let paused = tokio::time::timeout(Duration::from_secs(60), run.idle()).await;
    assert!(paused.is_err(), "it would start when resumed");
    run.resume();
    let mut held = queued(sleep(1.0), &[]);
    held.state = RestoredState::Held;
    run.admit(vec![held]).await.unwrap();
    run.idle().await.unwrap();
    let snapshot = run.snapshot().await.unwrap();
    assert_eq!(snapshot.stats.count(Status::Queued), 1);
    run.release(id(4)).await.unwrap();
    let again = run.release(id(4)).await;
    assert!(matches!(again, Err(RequestError::Refused(_))), "{again:?}");
    assert_eq!(run.finish().await.end, RunEnd::Finished);
    assert!(run.idle().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_control_run_obeys_and_starts_nothing() {
    let disk = Disk::default();
    let mut batch = Batch::for_run(slots(4), RunId(1));
    for number in 1..=3 {
        batch.restore(queued(note(number), &[]), Time::ZERO);
    }
    let run = RunBuilder::new(noting(&disk))
        .with_batch(batch)
        .with_sink(disk.clone())
        .control_only()
        .start();
    run.idle().await.unwrap();
    run.cancel(id(2)).await.unwrap();
    run.set_concurrency(NonZeroU32::new(9).unwrap());
    assert_eq!(run.concurrency().await, Ok(9));
    let report = run.finish().await;
    assert_eq!((report.end, report.open), (RunEnd::Stopped, 2));
    assert_eq!(report.stats.count(Status::Cancelled), 1);
    assert_eq!(disk.log(), ["finish"]);
}

#[tokio::test(start_paused = true)]
async fn many_tasks_are_changed_at_once() {
    let run = RunBuilder::new(registry()).start();
    let ids = run
        .submit(vec![
            sleep(1.0),
            sleep(50.0),
            sleep(1.0).with_id("a"),
            sleep(1.0).with_id("b").after("a"),
            sleep(1.0),
        ])
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let refused = run.set_priorities(ids.clone(), Priority::Low).await;
    assert_eq!(
        refused.unwrap(),
        [
            (ids[0], CancelError::Finished(ids[0], Status::Completed)),
            (ids[1], CancelError::Running(ids[1])),
        ]
    );
    let mut chosen = ids[..4].to_vec();
    chosen.push(id(77));
    let refused = run.cancel_many(chosen).await.unwrap();
    assert_eq!(
        refused,
        [
            (ids[0], CancelError::Finished(ids[0], Status::Completed)),
            (id(77), CancelError::Unknown(id(77))),
        ],
        "one that is cancelled with another is not refused"
    );
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Cancelled), 3);
    assert_eq!(report.stats.count(Status::Completed), 2);
}

#[tokio::test(start_paused = true)]
async fn failed_tasks_are_opened_again_while_others_run() {
    let tries = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tries);
    let registry = registry().with_fn("moody", move |task| {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            match first {
                true => Err(Failure::error("not today").into()),
                false => Ok(Output::from_value(Json::from(json!(task.attempt)))),
            }
        }
    });
    let disk = Disk::default();
    let run = RunBuilder::new(registry)
        .with_settings(slots(2))
        .with_sink(disk.clone())
        .start();
    let moody = TaskSpec::new("moody").with_id("moody");
    let user = echo(&json!("{{ tasks.moody.result }}")).after("moody");
    run.submit(vec![sleep(60.0), moody.clone(), user.clone()])
        .await
        .unwrap();
    until(&run, |stats| stats.finished() == 2).await;
    let again = |task| run.reopen(vec![reopened(task, user.clone(), &[])]);
    assert_eq!(
        again(id(1)).await,
        Err(RequestError::Refused(ReopenError::Unfinished(
            id(1),
            Status::Running
        )))
    );
    run.reopen(vec![
        reopened(id(2), moody, &[]),
        reopened(id(3), user.clone(), &[id(2)]),
    ])
    .await
    .unwrap();
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Completed), 3);
    assert_eq!(disk.value(id(3)), Some(json!(2)), "the second attempt");
}

#[tokio::test(start_paused = true)]
async fn a_task_cancelled_and_opened_again_in_one_breath_keeps_its_inputs() {
    let disk = Disk::default();
    let run = RunBuilder::new(registry()).with_sink(disk.clone()).start();
    run.pause();
    let first = echo(&json!(5)).with_id("first");
    let user = echo(&json!("{{ tasks.first.result }}"));
    run.submit(vec![first, user.clone()]).await.unwrap();
    let cancel = run.cancel(id(2));
    let reopen = run.reopen(vec![reopened(id(2), user, &[id(1)])]);
    let (cancelled, opened) = tokio::join!(cancel, reopen);
    cancelled.unwrap();
    opened.unwrap();
    run.resume();
    assert_eq!(run.finish().await.stats.count(Status::Completed), 2);
    assert_eq!(disk.value(id(2)), Some(json!(5)));
}

#[tokio::test(start_paused = true)]
async fn attempts_are_noted_before_they_start() {
    let disk = Disk::default();
    let run = RunBuilder::new(noting(&disk))
        .with_start_log(disk.clone())
        .start();
    run.submit(vec![note(1), note(2)]).await.unwrap();
    run.finish().await;
    assert_eq!(
        disk.log(),
        ["starting 1.1 in 0", "ran 1", "starting 2.1 in 0", "ran 2"]
    );
}
