//! Handlers that block the thread they are on, among others that take no time.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use batch_core::{BatchSettings, Output, Status, TaskSpec};
use batch_runtime::{Registry, RunBuilder, RunHandle};

/// Long enough for the slowest machine: only a deadlock takes longer.
const DEADLOCK: Duration = Duration::from_secs(120);

/// `noop` does nothing, `block` waits for `unblock`.
fn start(slots: u32) -> RunHandle {
    let (sender, receiver) = mpsc::channel();
    let receiver = Mutex::new(receiver);
    let registry = Registry::new()
        .with_fn("noop", |_| async { Ok(Output::default()) })
        .with_fn("block", move |_| {
            let unblocked: Result<(), _> = receiver.lock().unwrap().recv();
            async move {
                unblocked.expect("the other handler lives as long");
                Ok(Output::default())
            }
        })
        .with_fn("unblock", move |_| {
            sender.send(()).expect("the other handler lives as long");
            async { Ok(Output::default()) }
        });
    let slots = NonZeroU32::new(slots).unwrap();
    RunBuilder::new(registry)
        .with_settings(BatchSettings::with_slots(slots))
        .start()
}

async fn ends(run: RunHandle, functions: impl Iterator<Item = &'static str>) {
    let tasks: Vec<_> = functions
        .map(|function| Arc::new(TaskSpec::new(function)))
        .collect();
    run.ingest(tasks, usize::MAX).await.unwrap();
    let report = tokio::time::timeout(DEADLOCK, run.finish()).await;
    let report = report.expect("no handler waits for the thread of another");
    assert_eq!(report.stats.count(Status::Completed), report.stats.total());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_blocks_holds_up_no_other() {
    ends(start(2), ["block", "unblock"].into_iter()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_blocks_after_many_short_ones_holds_up_no_other() {
    // By then it is known that jobs are short, and one worker does them all.
    let short = || std::iter::repeat_n("noop", 10_000);
    let functions = short().chain(["block", "unblock"]).chain(short());
    ends(start(64), functions).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_blocks_keeps_no_report_back() {
    // The one that unblocks depends on a short one that ended right before the one that blocks.
    let run = start(64);
    let short = std::iter::repeat_n("noop", 10_000);
    let tasks = short.map(|function| Arc::new(TaskSpec::new(function)));
    run.ingest(tasks.collect(), usize::MAX).await.unwrap();
    let tasks = vec![
        TaskSpec::new("noop").with_id("last"),
        TaskSpec::new("block"),
        TaskSpec::new("unblock").after("last"),
    ];
    run.submit(tasks).await.unwrap();
    ends(run, std::iter::empty()).await;
}
