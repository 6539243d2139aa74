//! Five tasks of which some fail at first: they are tried again, and a sink prints what happens.

use std::time::Duration;

use batch_core::{
    Event, Failure, Output, Status, TaskSpec,
    retry::{Backoff, RetrySpec},
};
use batch_runtime::{Registry, RunBuilder};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new().with_fn("fetch", |task| async move {
        let number: u32 = task.params()?;
        if task.attempt < number {
            return Err(Failure::error(format!("page {number} is not there yet")).into());
        }
        Ok(Output::default())
    });
    let run = RunBuilder::new(registry)
        .with_sink(|events: &[Event]| events.iter().for_each(print))
        .start();
    let retry = RetrySpec {
        backoff: Backoff::Fixed,
        initial: Duration::from_millis(20),
        ..RetrySpec::default()
    };
    let tasks = (1..=5).map(|number: u32| {
        let task = TaskSpec::new("fetch").with_params(&number)?;
        Ok(task.with_max_retries(3).with_retry(retry.clone()))
    });
    run.submit(tasks.collect::<Result<_, serde_json::Error>>()?)
        .await?;
    let report = run.finish().await;
    assert_eq!(report.stats.count(Status::Completed), 4);
    assert_eq!(report.stats.count(Status::Failed), 1);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn print(event: &Event) {
    if let Event::Finished {
        task,
        status,
        retries,
        ..
    } = event
    {
        println!("task {task}: {status} after {retries} retries");
    }
}
