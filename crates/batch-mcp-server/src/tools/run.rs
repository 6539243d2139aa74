//! `bex_run`: writes tasks to disk as a batch, starts an executor for it, and waits a while.

use std::time::{Duration, Instant};

use batch_actions::{AddReply, BatchRequest, Until, create, place_tasks};
use batch_core::{BatchSettings, Plan, SettingsRequest, settings::Halt};
use batch_store::{BatchFile, Origin};
use batch_template::shown_params;
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::args::Args;
use crate::call_error::CallError;
use crate::cursor::Cursor;
use crate::page::{DEFAULT_LIMIT, Page};
use crate::session::{CallContext, Session};
use crate::structured::fitting;
use crate::tools::change::Change;
use crate::tools::read_tasks::read_tasks;
use crate::tools::task_input::TaskInput;
use crate::tools::wait::{answer, limited, wait_for};
use crate::truncate::visible;

const DEFAULT_WAIT: Duration = Duration::from_secs(20);

pub(crate) fn run(
    session: &Session,
    arguments: &Map<String, Value>,
    context: &CallContext,
) -> Result<Answer, CallError> {
    let began = Instant::now();
    let args = Args::new(arguments, "bex_run")?;
    let mut notes = Vec::new();
    let default = context.default_wait.unwrap_or(DEFAULT_WAIT);
    let wait_s = limited(&args, "wait_s", default, &mut notes)?;
    let input = read_tasks(session, &args)?;
    let (settings, plan) = checked(session, &args, input, &mut notes)?;
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
    // On disk before anything else: from here on the connection may close.
    let added = create(&session.home, &request, &plan)?;
    if added.existing > 0 {
        notes.push(existing(&added));
    }
    let mut change = Change::new(session, BatchFile::new(added.file), began);
    change.start_if_needed()?;
    notes.append(&mut change.notes);
    let before = Cursor::default();
    // Reading and writing many tasks took its part of the time that a client waits.
    let left = wait_s.saturating_sub(began.elapsed());
    let waited = wait_for(&change.file, Until::Done, left, &before, context)?;
    Ok(answer(&waited, &before, &notes, None))
}

/// An empty list is done at once. It leaves no batch behind, which would be the latest one then.
fn nothing(notes: &[String]) -> Answer {
    let mut page = Page::new(
        DEFAULT_LIMIT,
        "Nothing to run: 0 tasks were given. No batch was created.",
    );
    page.notes(notes);
    page.next("bex_status", &json!({ "all": true }), "lists the batches");
    let structured = json!({ "state": "completed", "total": 0, "notes": notes });
    Answer::done(page.finish("there is no more"), structured)
}

fn existing(added: &AddReply) -> String {
    format!(
        "{} already has this key and these tasks; nothing was added",
        added.batch
    )
}

/// Checks the tasks together, within the operator's limits.
fn checked(
    session: &Session,
    args: &Args<'_>,
    mut input: TaskInput,
    notes: &mut Vec<String>,
) -> Result<(BatchSettings, Plan), CallError> {
    place_tasks(&mut input.file.tasks, &session.folder);
    // Broken tasks are placeholders for what was meant; the operator's limits are about what may run.
    if input.file.problems.is_empty() {
        let applied = session.limits.apply(&mut input.file.tasks, 0, notes);
        applied.map_err(|refused| input.refused(refused))?;
    }
    let given = SettingsRequest {
        name: args.text("name")?.map(str::to_owned),
        key: args.text("key")?.map(str::to_owned),
        max_concurrent: args.slots("max_concurrent")?,
        halt: args.flag("fail_fast")?.then_some(Halt::FAIL_FAST),
        ..SettingsRequest::default()
    };
    let settings = given.or(&input.file.settings);
    let settings = settings.settled(|asked| session.slots(asked, notes));
    let plan = input.plan(&session.registry, &settings.limits)?;
    Ok((settings, plan))
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
        DEFAULT_LIMIT,
        &format!("Plan: {count} tasks would run, {slots} at once. Nothing was run."),
    );
    let mut shown = Vec::new();
    for (spec, _) in plan.tasks().take(SHOWN) {
        let function = &*spec.function;
        let name = spec.name.as_deref().or(spec.id.as_deref());
        let name = visible(name.unwrap_or(function), 60);
        let params = visible(&shown_params(spec), 120);
        match name == function {
            true => page.line(&format!("  {function} {params}")),
            false => page.line(&format!("  {name}: {function} {params}")),
        }
        shown.push(json!({ "name": name, "function": function, "params": params }));
    }
    if count > SHOWN {
        page.line(&format!("  … and {} more", count - SHOWN));
    }
    page.notes(notes);
    let next = page.again("bex_run", arguments, &json!({ "plan": null }), "runs them");
    let structured = json!({
        "plan": true,
        "tasks": count,
        "max_concurrent": slots.get(),
        "first": fitting(shown.into_iter(), 4_000),
        "notes": notes,
        "next": next,
    });
    Answer::done(page.finish("the plan has more of the same"), structured)
}
