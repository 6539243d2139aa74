//! What a run does while the system is short of something, in virtual time.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batch_core::{BatchSettings, ClaimToken, Event, Output, Status, TaskSpec};
use batch_runtime::durable::StartLog;
use batch_runtime::{AttemptError, Registry, RunBuilder, RunEnd};
use tokio::time::Instant;

const WHAT: &str = "chairs: all are taken";

/// A room for this many: who finds no chair could not begin.
#[derive(Clone)]
struct Chairs {
    there: Arc<AtomicU32>,
    taken: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
    refused: Arc<AtomicU32>,
}

impl Chairs {
    fn new(there: u32) -> Self {
        let number = |number| Arc::new(AtomicU32::new(number));
        Self {
            there: number(there),
            taken: number(0),
            most: number(0),
            refused: number(0),
        }
    }

    /// `sit` takes a chair for ten seconds.
    fn registry(&self) -> Registry {
        let chairs = self.clone();
        Registry::new().with_fn("sit", move |_| {
            let chairs = chairs.clone();
            async move {
                if chairs.taken.load(Ordering::Relaxed) >= chairs.there.load(Ordering::Relaxed) {
                    chairs.refused.fetch_add(1, Ordering::Relaxed);
                    return Err(AttemptError::Busy(WHAT.into()));
                }
                let taken = chairs.taken.fetch_add(1, Ordering::Relaxed) + 1;
                chairs.most.fetch_max(taken, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(10)).await;
                chairs.taken.fetch_sub(1, Ordering::Relaxed);
                Ok(Output::default())
            }
        })
    }
}

fn slots(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn executor(chairs: &Chairs, at_once: u32) -> RunBuilder {
    RunBuilder::new(chairs.registry()).with_settings(BatchSettings::with_slots(slots(at_once)))
}

fn sitting(number: usize) -> Vec<TaskSpec> {
    vec![TaskSpec::new("sit"); number]
}

#[tokio::test(start_paused = true)]
async fn a_shortage_that_lasts_costs_few_tries_and_no_attempt() {
    let chairs = Chairs::new(3);
    let ended = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&ended);
    let sink = move |events: &[Event]| {
        let attempts = events.iter().filter_map(|event| match event {
            Event::AttemptEnded { attempt, at, .. } => Some((*attempt, *at)),
            _ => None,
        });
        keep.lock().unwrap().extend(attempts);
    };
    let run = executor(&chairs, 10).with_sink(sink).start();
    run.submit(sitting(60)).await.unwrap();
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Completed), 60);
    let ended = ended.lock().unwrap();
    assert_eq!(ended.len(), 60);
    assert!(ended.iter().all(|(attempt, _)| *attempt == 1));
    assert_eq!(report.stats.interrupted, 0);
    // What ends makes room at once. One that ends in the moment of a try in vain is missed until the next try.
    let (first, last) = (ended[0].1, ended[59].1);
    let took = last.since(first).as_secs();
    assert!((190..195).contains(&took), "{took}");
    // Seven at first, six while the delay grows, and then one in five seconds.
    let refused = chairs.refused.load(Ordering::Relaxed);
    assert!((13..=55).contains(&refused), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_shortage_is_told_at_its_begin_and_its_end() {
    let chairs = Chairs::new(3);
    let run = executor(&chairs, 10).start();
    let mut shortage = run.shortage();
    run.submit(sitting(600)).await.unwrap();
    shortage.changed().await.unwrap();
    let short = shortage.borrow_and_update().clone().unwrap();
    assert_eq!((&*short.what, short.slots, short.requested), (WHAT, 3, 10));
    assert_eq!(run.concurrency().await, Ok(10), "what was asked for stays");
    chairs.there.store(100, Ordering::Relaxed);
    shortage.wait_for(Option::is_none).await.unwrap();
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Completed), 600);
    assert_eq!(chairs.most.load(Ordering::Relaxed), 10);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_can_start_nothing_ends_and_its_tasks_stay() {
    let chairs = Chairs::new(0);
    let began = Instant::now();
    let run = executor(&chairs, 10).start();
    run.submit(sitting(20)).await.unwrap();
    let report = run.finish().await;
    assert_eq!(report.end, RunEnd::NothingStarts);
    assert_eq!(report.short_of.as_deref(), Some(WHAT));
    assert_eq!((report.open, report.stats.attempts), (20, 0));
    assert_eq!(report.stats.count(Status::Queued), 20);
    let took = began.elapsed().as_secs();
    assert!((30..=35).contains(&took), "{took}");
    let refused = chairs.refused.load(Ordering::Relaxed);
    assert!(refused < 30, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_run_without_hope_for_a_while_goes_on_when_there_is_some() {
    let chairs = Chairs::new(0);
    let run = executor(&chairs, 4).start();
    run.submit(sitting(8)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    chairs.there.store(1, Ordering::Relaxed);
    let report = run.finish().await;
    assert_eq!(report.end, RunEnd::Finished);
    assert_eq!(report.stats.count(Status::Completed), 8);
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_is_not_taken_for_one_that_can_start_nothing() {
    let chairs = Chairs::new(0);
    let run = executor(&chairs, 4).start();
    run.submit(sitting(8)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    run.pause();
    tokio::time::sleep(Duration::from_secs(600)).await;
    run.suspend_starts();
    run.resume();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(run.snapshot().await.is_ok(), "it goes on");
    chairs.there.store(4, Ordering::Relaxed);
    run.resume_starts();
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Completed), 8);
}

#[tokio::test(start_paused = true)]
async fn what_the_limits_of_the_system_allow_is_never_exceeded() {
    let chairs = Chairs::new(100);
    let run = executor(&chairs, 10)
        .with_slot_limit(Some(slots(3)))
        .start();
    run.submit(sitting(12)).await.unwrap();
    assert_eq!(run.concurrency().await, Ok(10));
    run.set_concurrency(slots(50));
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Completed), 12);
    assert_eq!(chairs.most.load(Ordering::Relaxed), 3);
    assert_eq!(chairs.refused.load(Ordering::Relaxed), 0);
}

/// What is noted of starts.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Vec<String>>>);

impl StartLog for Noted {
    fn starting(&mut self, slot: u32, claim: ClaimToken) {
        let note = format!("{}.{} in {slot}", claim.task, claim.attempt);
        self.0.lock().unwrap().push(note);
    }

    fn not_started(&mut self, slot: u32) {
        self.0.lock().unwrap().push(format!("none in {slot}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_did_not_happen_is_taken_off_the_log() {
    let chairs = Chairs::new(1);
    let noted = Noted::default();
    let run = executor(&chairs, 2).with_start_log(noted.clone()).start();
    run.submit(sitting(2)).await.unwrap();
    while noted.0.lock().unwrap().len() < 3 {
        tokio::task::yield_now().await;
    }
    let log = noted.0.lock().unwrap().clone();
    assert_eq!(log, ["1.1 in 0", "2.1 in 1", "none in 1"]);
    run.finish().await;
    let log = noted.0.lock().unwrap().clone();
    assert_eq!(log.last().unwrap(), "2.1 in 0");
}
