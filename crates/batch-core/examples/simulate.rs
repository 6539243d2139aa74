//! Plays a batch through in virtual time: three slots, priorities, a dependency, and one failure with a retry.

#![expect(clippy::print_stdout, reason = "the schedule is what it is for")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use batch_core::{Batch, BatchSettings, Failure, Outcome, Plan, Priority, Status, TaskSpec, Time};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut tasks: Vec<TaskSpec> = (1..=6)
        .map(|number| TaskSpec::new("step").with_id(&format!("part {number}")))
        .collect();
    tasks[4] = tasks[4].clone().with_priority(Priority::High);
    tasks[1] = tasks[1].clone().with_max_retries(1);
    tasks.push(
        TaskSpec::new("step")
            .with_id("sum")
            .after("part 2")
            .after("part 6"),
    );
    let plan = Plan::check(tasks, &["step"][..]).map_err(|problems| format!("{problems:?}"))?;

    let slots = NonZeroU32::new(3).ok_or("no slot")?;
    let mut batch = Batch::new(BatchSettings::with_slots(slots));
    let mut now = Time::ZERO;
    batch.submit(plan, now);
    let mut running = Vec::new();
    let mut policy = |_: &TaskSpec, _: &Failure, _: u32| Some(Duration::from_secs(2));
    while batch.open() > 0 {
        batch.handle_timers(now);
        while let Some(claim) = batch.claim(now) {
            let label = claim
                .spec
                .id
                .as_deref()
                .unwrap_or(&claim.spec.function)
                .to_owned();
            println!("{:>4.1} s  slot {}  {label}", seconds(now), claim.slot);
            running.push((now.after(Duration::from_secs(1)), claim.token, label));
        }
        running.sort_by_key(|(end, ..)| std::cmp::Reverse(*end));
        let Some((end, token, label)) = running.pop() else {
            now = batch.next_wakeup().ok_or("nothing is left to wait for")?;
            continue;
        };
        now = end;
        let outcome = match (label.as_str(), token.attempt) {
            ("part 2", 1) => Outcome::Failed(Arc::new(Failure::error("the first try fails"))),
            _ => Outcome::Completed(None),
        };
        batch.report(token, outcome, &mut policy, now)?;
    }
    println!(
        "{} completed after {} s",
        batch.stats().count(Status::Completed),
        seconds(now)
    );
    Ok(())
}

fn seconds(time: Time) -> f64 {
    time.since(Time::ZERO).as_secs_f64()
}
