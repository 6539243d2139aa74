//! Writes the results of a small batch to standard output: `cargo run -p batch-export --example formats -- csv`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use batch_core::{
    BatchId, Event, Failure, FailureKind, Outcome, Output, Reason, Status, TaskId, TaskSpec, Time,
    event::NextStep, outcome::Stream,
};
use batch_export::{Format, Records, Summary, WriterOptions, result_writer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let format = std::env::args().nth(1).unwrap_or_else(|| "text".to_owned());
    let options = WriterOptions::new(format.parse::<Format>()?);
    let batch = BatchId::default();
    let (mut records, mut summary) = (Records::new(batch), Summary::new(batch));
    let mut writer = result_writer(&options, io::stdout(), io::stderr())?;
    for event in events() {
        if let Some(record) = records.apply(&event) {
            summary.add(&record);
            writer.task(&record)?;
        }
    }
    writer.finish(&summary)?;
    Ok(())
}

/// Two tasks, of which one fails.
fn events() -> Vec<Event> {
    let printed = Output {
        stdout: Stream::from(b"12 pages\n".to_vec()),
        ..Output::default()
    };
    let kind = FailureKind::ExitCode(2);
    let failure = Failure::new(kind, "exit code 2: no such file");
    let ends = [
        ("count", Outcome::Completed(Some(Arc::new(printed))), None),
        (
            "print",
            Outcome::Failed(Arc::new(failure)),
            Some(Reason::Failed(kind)),
        ),
    ];
    let mut events = Vec::new();
    for (number, (name, outcome, reason)) in (1..).zip(ends) {
        let task = TaskId::new(number).expect("counted from 1");
        let at = |seconds| Time::ZERO.after(Duration::from_secs(seconds));
        let status = if reason.is_some() {
            Status::Failed
        } else {
            Status::Completed
        };
        events.extend([
            Event::Submitted {
                task,
                at: at(0),
                spec: Arc::new(TaskSpec::new("command").with_name(name)),
            },
            Event::Started {
                task,
                at: at(1),
                attempt: 1,
                slot: 0,
                waited: Duration::ZERO,
            },
            Event::AttemptEnded {
                task,
                at: at(3),
                attempt: 1,
                took: Duration::from_secs(2),
                outcome,
                then: NextStep::Final,
            },
            Event::Finished {
                task,
                at: at(3),
                status,
                reason,
                retries: 0,
            },
        ]);
    }
    events
}
