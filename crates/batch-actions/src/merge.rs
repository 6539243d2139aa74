//! Going on with a task file that may have changed: [`merge`], by content.
//!
//! What makes a task the same work as before is told by `batch_store::identity::Identity`. Its place in the file does not
//! count. So a line put in at the front of a file makes one new task, and not all of them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use batch_core::{BatchId, BatchSettings, Plan, Status, TaskId, TaskSpec, plan::Needed};
use batch_store::identity::{ContentHash, Identity};
use batch_store::{Adding, BatchFile, Durability, Selection, Store};
use batch_template::may_have_placeholders;
use serde::Serialize;

use crate::choice::Choice;
use crate::clock::now;
use crate::control::Control;
use crate::engine::{Claim, Mode};
use crate::error::ActionError;
use crate::request::handle_claimed;

/// What became of the tasks of a file that was run before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// The batch.
    pub batch: String,
    /// Completed before; they are not run again.
    pub kept: u64,
    /// Not run before.
    pub new: u64,
    /// Failed or cancelled before; they run again.
    pub failed_before: u64,
    /// Not finished before; they go on.
    pub unfinished: u64,
    /// In the batch and no longer in the file. What of them has not completed is removed; results stay.
    pub gone: u64,
}

/// A task of the batch as it is.
struct Old {
    task: TaskId,
    status: Status,
    /// Its author's id.
    id: Option<Box<str>>,
    /// Another task has that id now.
    is_renamed: bool,
    hash: ContentHash,
}

/// The id of a task that the file does not ask for any more, while another one has its own.
fn id_when_gone(id: &str, task: TaskId) -> String {
    format!("{id} (gone {task})")
}

/// The spec of a task with the id that its author gave it, and whether it has another one in the batch.
fn as_given(task: TaskId, spec: Arc<TaskSpec>) -> (Arc<TaskSpec>, bool) {
    let ending = id_when_gone("", task);
    let id = spec.id.as_deref().and_then(|id| id.strip_suffix(&ending));
    match id {
        None => (spec, false),
        Some(id) => {
            let given = TaskSpec::clone(&spec).with_id(id);
            (Arc::new(given), true)
        }
    }
}

/// Brings the tasks and the settings of a batch into line with a plan, and says the result. The key stays.
/// Nothing is started; the batch is claimed for that, so that nobody else runs it in between.
///
/// # Errors
/// When someone works on the batch, or its file cannot be used.
pub async fn merge(
    file: &BatchFile,
    plan: &Plan,
    settings: &BatchSettings,
    durability: Durability,
) -> Result<(Merged, Claim), ActionError> {
    // Held until the run: another one who does the same would add and run them as well.
    let mut claim = Claim::take(file, durability, Mode::Execute).await?;
    let store = &mut claim.store;
    let batch = store.batch();
    store.change_settings(|old| {
        let key = old.key.take();
        old.clone_from(settings);
        old.key = key;
    })?;
    let identity = store.info()?.identity;
    let old = old_tasks(store, identity)?;
    let matched = match_up(&old, plan, identity);
    let used: HashSet<TaskId> = matched.iter().flatten().map(|old| old.task).collect();
    let gone: Vec<&Old> = old.iter().filter(|old| !used.contains(&old.task)).collect();
    let new = add_new(store, plan, &matched, &gone)?;
    let kept = || matched.iter().flatten().copied();
    let again = kept().filter(|old| matches!(old.status, Status::Failed | Status::Cancelled));
    let [cancel, clear] = take_away(batch, &gone);
    let retry = about(batch, again, |tasks| Control::Retry { tasks });
    let claim = handle_claimed(claim, [cancel, clear, retry].into_iter().flatten()).await?;
    let merged = Merged {
        new,
        gone: gone.len() as u64,
        ..Merged::of(batch, kept())
    };
    Ok((merged, claim))
}

impl Merged {
    /// What becomes of tasks that are in the file still.
    fn of<'o>(batch: BatchId, tasks: impl Iterator<Item = &'o Old>) -> Self {
        let mut merged = Self {
            batch: batch.to_string(),
            ..Self::default()
        };
        for task in tasks {
            match task.status {
                Status::Completed => merged.kept += 1,
                Status::Failed | Status::Cancelled => merged.failed_before += 1,
                Status::Queued | Status::Running => merged.unfinished += 1,
            }
        }
        merged
    }
}

/// Removes the tasks that the file does not ask for any more, but for those that completed: results stay.
fn take_away(batch: BatchId, gone: &[&Old]) -> [Option<Control>; 2] {
    let gone = || gone.iter().copied();
    let open = gone().filter(|old| !old.status.is_final());
    // A failure of what the file does not ask for any more is none.
    let unwanted = gone().filter(|old| old.status != Status::Completed);
    [
        about(batch, open, |tasks| Control::Cancel { tasks }),
        about(batch, unwanted, |tasks| Control::Clear { tasks }),
    ]
}

/// What is to be done to tasks, where there are any.
fn about<'o>(
    batch: BatchId,
    tasks: impl Iterator<Item = &'o Old>,
    what: impl FnOnce(Choice) -> Control,
) -> Option<Control> {
    let names: Vec<String> = tasks.map(|old| batch.task(old.task).to_string()).collect();
    (!names.is_empty()).then(|| what(Choice::of(names)))
}

fn old_tasks(store: &Store, identity: Identity) -> Result<Vec<Old>, ActionError> {
    let selection = Selection::states(&[]);
    let mut found = Vec::new();
    store.for_each_task::<ActionError>(&selection, |record| {
        let (spec, is_renamed) = as_given(record.task, record.spec);
        found.push((record.task, record.status, spec, is_renamed));
        Ok(true)
    })?;
    let places: HashMap<TaskId, usize> = found
        .iter()
        .enumerate()
        .map(|(place, (task, ..))| (*task, place))
        .collect();
    let mut needs = Vec::with_capacity(found.len());
    for (task, _, spec, _) in &found {
        // Only who names others, or uses their results, needs any.
        let may_need = !spec.depends_on.is_empty() || may_have_placeholders(&spec.params);
        let of_task = match may_need {
            true => store.needs_of(*task)?,
            false => Vec::new(),
        };
        let known = of_task.iter().filter_map(|need| places.get(need).copied());
        needs.push(known.collect());
    }
    let specs: Vec<&TaskSpec> = found.iter().map(|(_, _, spec, _)| &**spec).collect();
    let hashes = hashes(&specs, &needs, identity);
    Ok(found
        .iter()
        .zip(hashes)
        .map(|((task, status, spec, is_renamed), hash)| Old {
            task: *task,
            status: *status,
            id: spec.id.clone(),
            is_renamed: *is_renamed,
            hash,
        })
        .collect())
}

/// For each task of a plan the task of the batch that is the same work.
fn match_up<'o>(old: &'o [Old], plan: &Plan, identity: Identity) -> Vec<Option<&'o Old>> {
    let (specs, needs): (Vec<&TaskSpec>, Vec<Vec<usize>>) = plan
        .resolved(0)
        .map(|(spec, needs)| {
            (
                &**spec,
                needs.into_iter().map(|need| need.task.index()).collect(),
            )
        })
        .unzip();
    let mut by_hash: HashMap<ContentHash, Vec<&Old>> = HashMap::new();
    // The last one is taken first: of several like ones, those that came first are to be.
    for old in old.iter().rev() {
        by_hash.entry(old.hash).or_default().push(old);
    }
    hashes(&specs, &needs, identity)
        .into_iter()
        .map(|hash| by_hash.get_mut(&hash)?.pop())
        .collect()
}

/// The fingerprints of tasks, each with those of what it needs, by their places.
fn hashes(specs: &[&TaskSpec], needs: &[Vec<usize>], identity: Identity) -> Vec<ContentHash> {
    let mut done: Vec<Option<ContentHash>> = vec![None; specs.len()];
    for start in 0..specs.len() {
        // A stack, as chains can be long; no cycle ever gets into a batch.
        let mut open = vec![start];
        while let Some(place) = open.last().copied() {
            let before = open.len();
            if done[place].is_none() {
                open.extend(needs[place].iter().filter(|need| done[**need].is_none()));
            }
            if open.len() == before {
                open.pop();
                let of_needs = needs[place].iter().filter_map(|need| done[*need]);
                done[place] = Some(ContentHash::of_task(specs[place], of_needs, identity));
            }
        }
    }
    done.into_iter().flatten().collect()
}

/// Gives the ids of the file to the tasks that are in it now. Those that are gone keep theirs unless it is wanted.
fn hand_over_ids(
    adding: &mut Adding<'_>,
    plan: &Plan,
    matched: &[Option<&Old>],
    gone: &[&Old],
) -> Result<(), ActionError> {
    let tasks = || plan.tasks().zip(matched);
    let wanted: HashSet<&str> = tasks()
        .filter(|(_, old)| old.is_none_or(|old| old.is_renamed))
        .filter_map(|((spec, _), _)| spec.id.as_deref())
        .collect();
    for old in gone.iter().filter(|old| !old.is_renamed) {
        if let Some(id) = old.id.as_deref().filter(|id| wanted.contains(id)) {
            adding.rename(old.task, &id_when_gone(id, old.task))?;
        }
    }
    for ((spec, _), old) in tasks() {
        if let (Some(id), Some(old)) = (&spec.id, old.filter(|old| old.is_renamed)) {
            adding.rename(old.task, id)?;
        }
    }
    Ok(())
}

/// Adds the tasks that are new, and treats those that are not finished as the file says now.
fn add_new(
    store: &mut Store,
    plan: &Plan,
    matched: &[Option<&Old>],
    gone: &[&Old],
) -> Result<u64, ActionError> {
    let mut adding = store.adding(now())?;
    hand_over_ids(&mut adding, plan, matched, gone)?;
    let mut next = adding.first_index();
    let places: Vec<TaskId> = matched
        .iter()
        .map(|old| {
            old.map_or_else(
                || {
                    next += 1;
                    TaskId::from_index(next - 1)
                },
                |old| old.task,
            )
        })
        .collect();
    for ((spec, _), old) in plan.tasks().zip(matched) {
        if let Some(old) = old.filter(|old| old.status != Status::Completed) {
            adding.treat_as(old.task, spec)?;
        }
    }
    let tasks = plan.resolved(0).zip(matched);
    adding.add(
        tasks
            .filter(|(_, old)| old.is_none())
            .map(|((spec, needs), _)| {
                let needs = needs.iter().map(|need| Needed {
                    task: places[need.task.index()],
                    on: need.on,
                });
                let needs = needs.collect();
                (&**spec, needs)
            }),
    )?;
    adding.note_complete()?;
    Ok(adding.commit()?.count.into())
}

impl fmt::Display for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            batch,
            kept,
            new,
            failed_before,
            unfinished,
            gone,
        } = self;
        write!(
            f,
            "continuing {batch}: {kept} kept, {new} new, {failed_before} failed before, {unfinished} unfinished, {gone} gone"
        )
    }
}
