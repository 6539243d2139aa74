//! `bex_status`: how a batch is getting on, all batches, or one task.

use batch_actions::{list, show, status as read_status, why};
use batch_export::Visible;
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::call::{Agent, Answer};
use crate::cursor::Cursor;
use crate::mistake::Mistake;
use crate::page::{Page, USUAL, add_causes, add_next, sentence, shorten};

const KNOWN: [&str; 3] = ["batch", "task", "all"];

pub(crate) fn status(agent: &Agent, arguments: &Map<String, Value>) -> Result<Answer, Mistake> {
    let args = Args::new(arguments, &KNOWN)?;
    if args.flag("all")? {
        return all(agent);
    }
    if let Some(task) = args.text("task")? {
        return one_task(agent, &args, task);
    }
    let file = agent.file(args.batch()?)?;
    let status = read_status(&file, true)?;
    let mut page = Page::new(USUAL, &sentence(&status));
    add_causes(&mut page, &status, 10);
    for task in status.running_tasks.iter().flatten().take(10) {
        let label = Visible(&task.label).to_string();
        page.line(&format!(
            "  running {} {} for {:.0} s",
            task.task,
            shorten(&label, 60),
            task.seconds
        ));
    }
    add_next(&mut page, &status, &Cursor::of(&status).text());
    Ok(Answer {
        text: page.finish("bex_results has the tasks"),
        structured: serde_json::to_value(&status).expect("a status is JSON"),
        is_error: false,
    })
}

fn all(agent: &Agent) -> Result<Answer, Mistake> {
    let batches = list(agent.home())?;
    let mut page = Page::new(
        USUAL,
        &format!("{} batches, the latest first.", batches.len()),
    );
    for batch in batches.iter().rev() {
        match batch {
            Ok(status) => page.line(&sentence(status)),
            Err(broken) => page.line(&format!(
                "{} cannot be read: {}",
                broken.batch, broken.error
            )),
        };
    }
    let structured: Vec<Value> = batches
        .iter()
        .rev()
        .take(100)
        .map(|batch| match batch {
            Ok(status) => json!({ "batch": status.batch, "state": status.state, "total": status.total, "finished": status.finished(), "failed": status.failed }),
            Err(broken) => json!({ "batch": broken.batch, "error": broken.error }),
        })
        .collect();
    Ok(Answer {
        text: page.finish("ask for one by its id"),
        structured: json!({ "batches": structured }),
        is_error: false,
    })
}

fn one_task(agent: &Agent, args: &Args<'_>, task: &str) -> Result<Answer, Mistake> {
    let named = task.parse::<batch_core::FullTaskId>().ok();
    let batch = args.batch()?.or(named.map(|full| full.batch));
    let details = show(&agent.file(batch)?, task)?;
    let record = &details.record;
    let mut page = Page::new(USUAL, &Visible(&why(&details)).to_string());
    page.line(&format!(
        "function {} {}",
        record.spec.function,
        Visible(&shorten(record.spec.params.as_str(), 600))
    ));
    for attempt in &record.attempts {
        let error = attempt.error.as_deref().unwrap_or_default();
        page.line(&format!(
            "attempt {}: {} after {:.2} s {}",
            attempt.attempt,
            attempt.end.name(),
            attempt.took.as_secs_f64(),
            Visible(&shorten(error, 200))
        ));
    }
    let id = record.id().to_string();
    let see = json!({ "batch": details.batch.batch, "tasks": [id], "output": "tail" });
    page.next("bex_results", &see, "shows what it printed");
    Ok(Answer {
        text: page.finish("bex_results has the rest"),
        structured: json!({
            "task": id,
            "status": record.status,
            "why": why(&details),
            "attempts": record.attempts.len(),
        }),
        is_error: false,
    })
}
