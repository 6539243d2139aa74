//! `bex_run`: tasks become a batch on disk, an executor is started for it, and one waits a while.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use batch_actions::{AddReply, BatchRequest, create, default_slots, place_tasks};
use batch_core::{BatchSettings, Plan, Surroundings};
use batch_store::{BatchFile, Origin};
use batch_template::shown_params;
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::call::{Agent, Answer, CallContext};
use crate::cursor::Cursor;
use crate::cut::visible;
use crate::facts::within;
use crate::mistake::Mistake;
use crate::page::{Page, USUAL};
use crate::tools::change::Change;
use crate::tools::problems::Wanted;
use crate::tools::wait::{Until, Waiting, answer, limited, wait_for};
use crate::tools::wanted::wanted;

const KNOWN: [&str; 14] = [
    "tasks",
    "shell",
    "command",
    "template",
    "items",
    "file",
    "key",
    "name",
    "max_concurrent",
    "max_retries",
    "timeout",
    "fail_fast",
    "wait_s",
    "plan",
];

const USUAL_WAIT: Duration = Duration::from_secs(20);

pub(crate) fn run(
    agent: &Agent,
    arguments: &Map<String, Value>,
    context: &CallContext,
) -> Result<Answer, Mistake> {
    let began = Instant::now();
    let args = Args::new(arguments, &KNOWN)?;
    let mut notes = Vec::new();
    let usual = context.usual_wait.unwrap_or(USUAL_WAIT);
    let wait_s = limited(&args, "wait_s", usual, &mut notes)?;
    let wanted = wanted(agent, &args)?;
    let (settings, plan) = checked(agent, &args, wanted, &mut notes)?;
    if args.flag("plan")? {
        return Ok(show_plan(&settings, &plan, &notes, arguments));
    }
    if plan.is_empty() {
        return Ok(nothing(&notes));
    }
    let request = BatchRequest {
        settings,
        origin: Origin {
            way: "agent".to_owned(),
            file: args.text("file")?.map(str::to_owned),
            format: Some("text".to_owned()),
            ..Origin::default()
        },
        ..BatchRequest::default()
    };
    // On disk before anything else: from here on the connection may go.
    let added = create(agent.home(), &request, &plan)?;
    if added.existing > 0 {
        notes.push(existing(&added));
    }
    let mut change = Change::new(agent, BatchFile::new(added.file), began);
    change.start_if_needed()?;
    notes.append(&mut change.notes);
    let before = Cursor::default();
    let waiting = Waiting {
        until: Until::Done,
        before: &before,
        // Reading and writing many tasks took its part of the time that a client waits.
        timeout: wait_s.saturating_sub(began.elapsed()),
    };
    let waited = wait_for(&change.file, &waiting, context)?;
    Ok(answer(&waited, &before, &notes, None))
}

/// An empty list is done as soon as it is given. It leaves no batch behind, which would be the latest one then.
fn nothing(notes: &[String]) -> Answer {
    let mut page = Page::new(
        USUAL,
        "Nothing to run: 0 tasks were given. No batch was made.",
    );
    for note in notes {
        page.note(note);
    }
    page.next("bex_status", &json!({ "all": true }), "lists the batches");
    Answer {
        text: page.finish("there is no more"),
        structured: json!({ "state": "completed", "total": 0, "notes": notes }),
        is_error: false,
    }
}

fn existing(added: &AddReply) -> String {
    format!(
        "{} has this key and these tasks already; nothing was added",
        added.batch
    )
}

/// Checks the tasks together, within the operator's limits.
fn checked(
    agent: &Agent,
    args: &Args<'_>,
    mut wanted: Wanted,
    notes: &mut Vec<String>,
) -> Result<(BatchSettings, Plan), Mistake> {
    place_tasks(&mut wanted.file.tasks, agent.folder());
    // Broken tasks stand in for what was meant; the operator's limits are about what may run.
    if wanted.file.problems.is_empty() {
        let applied = agent.limits().apply(&mut wanted.file.tasks, 0, notes);
        applied.map_err(|refused| wanted.refused(refused))?;
    }
    let from = &wanted.file.settings;
    let asked = args.slots("max_concurrent")?.or(from.max_concurrent);
    let settings = BatchSettings {
        name: args
            .text("name")?
            .map(str::to_owned)
            .or_else(|| from.name.clone()),
        key: args
            .text("key")?
            .map(str::to_owned)
            .or_else(|| from.key.clone()),
        max_concurrent: slots(agent, asked, notes),
        batch_timeout: from.batch_timeout,
        limits: from.limits.clone(),
        fail_fast: args.flag("fail_fast")? || from.fail_fast.unwrap_or(false),
    };
    let surroundings = Surroundings {
        catalog: agent.registry(),
        limits: &settings.limits,
        submitted: &|_| None,
    };
    let plan = wanted.plan(&surroundings)?;
    Ok((settings, plan))
}

/// The slots asked for, else the usual ones, within the operator's limit.
pub(crate) fn slots(
    agent: &Agent,
    asked: Option<NonZeroU32>,
    notes: &mut Vec<String>,
) -> NonZeroU32 {
    match asked {
        Some(asked) => agent.limits().concurrency(asked, notes),
        // Nobody asked for what is lowered here, so nobody needs to be told.
        None => agent.limits().concurrency(default_slots(), &mut Vec::new()),
    }
}

fn show_plan(
    settings: &BatchSettings,
    plan: &Plan,
    notes: &[String],
    arguments: &Map<String, Value>,
) -> Answer {
    const SHOWN: usize = 20;
    let count = plan.len();
    let slots = settings.max_concurrent;
    let mut page = Page::new(
        USUAL,
        &format!("Plan: {count} tasks would run, {slots} at once. Nothing was run."),
    );
    let mut shown = Vec::new();
    for (spec, _) in plan.tasks().take(SHOWN) {
        let (name, params) = (visible(spec.label(), 60), visible(&shown_params(spec), 120));
        let function = &*spec.function;
        match name == function {
            true => page.line(&format!("  {function} {params}")),
            false => page.line(&format!("  {name}: {function} {params}")),
        }
        shown.push(json!({ "name": name, "function": function, "params": params }));
    }
    if count > SHOWN {
        page.line(&format!("  … and {} more", count - SHOWN));
    }
    for note in notes {
        page.note(note);
    }
    let next = page.again("bex_run", arguments, &json!({ "plan": null }), "runs them");
    Answer {
        text: page.finish("the plan has more of the same"),
        structured: json!({
            "plan": true,
            "tasks": count,
            "max_concurrent": slots.get(),
            "first": within(shown.into_iter(), 4_000),
            "notes": notes,
            "next": next,
        }),
        is_error: false,
    }
}

/// The folder that paths of an agent are meant in.
pub(crate) fn in_folder(agent: &Agent, path: &str) -> Result<PathBuf, String> {
    agent
        .limits()
        .below_root(&agent.folder().join(Path::new(path)))
}
