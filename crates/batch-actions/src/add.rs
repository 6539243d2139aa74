//! Adding tasks: [`add`], to a batch or as a new one, once however often it is asked.

use std::ops::Range;
use std::sync::Arc;

use batch_core::{
    BatchId, Plan, SettingsRequest, TaskId, TaskSpec,
    catalog::Catalog,
    ids::FullTaskId,
    plan::{PlanContext, PlanProblem},
};
use batch_store::identity::{ContentHash, Identity, first_fingerprint};
use batch_store::{Adding, BatchFile, Durability, Lease, LeaseNote, Selection, Store};
use serde::Serialize;

use crate::clock::now;
use crate::engine::Claim;
use crate::error::ActionError;
use crate::home::{BatchRequest, Home, Ids};
use crate::live_view::executor_of;

/// Tasks to be added.
pub struct AddRequest<'a> {
    /// The tasks, as their author wants them.
    pub tasks: Vec<TaskSpec>,
    /// Where to.
    pub target: Target,
    /// What their author asks of a batch that exists.
    pub settings: SettingsRequest,
    /// The functions that tasks may name.
    pub catalog: &'a dyn Catalog,
}

/// Which batch tasks are added to.
pub enum Target {
    /// One that exists.
    Batch(BatchFile),
    /// The latest that was made by adding tasks and is not finished; else this new one.
    Queue(BatchRequest),
    /// A new one. With a key in its settings there is one batch of that key: asking again for the same tasks
    /// gives the batch there is.
    New(BatchRequest),
}

/// What was added.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AddReply {
    /// The batch.
    pub batch: String,
    /// The first task asked for, and the last: `b7.1`.
    pub first: Option<String>,
    /// The last.
    pub last: Option<String>,
    /// How many were added.
    pub added: u32,
    /// How many were there already, with the same id and content.
    pub existing: u32,
    /// Whether an executor works on the batch and takes them up.
    pub running: bool,
    /// The batch file.
    #[serde(serialize_with = "crate::status::as_text")]
    pub file: std::path::PathBuf,
}

/// Adds tasks, all or none.
///
/// # Errors
/// All that is wrong with the tasks, or why they cannot be written.
pub fn add(home: &Home, request: AddRequest<'_>) -> Result<AddReply, ActionError> {
    let AddRequest {
        tasks,
        target,
        settings,
        catalog,
    } = request;
    let there = match &target {
        Target::Batch(file) => Some(file.clone()),
        Target::Queue(_) => home.queue()?,
        Target::New(_) => None,
    };
    let (new, is_queue) = match (there, target) {
        (Some(file), _) | (None, Target::Batch(file)) => {
            return add_to(&file, tasks, &settings, catalog);
        }
        (None, Target::Queue(new)) => (new, true),
        (None, Target::New(new)) => (new, false),
    };
    // Checked before the batch is made, so that wrong tasks leave nothing behind.
    let context = PlanContext {
        catalog,
        limits: &new.settings.limits,
        submitted: &|_| None,
    };
    let plan = Plan::check_in(tasks, &context).map_err(ActionError::Invalid)?;
    let ids = home.lock_ids()?;
    if is_queue && let Some(file) = home.queue()? {
        // Another one has made it meanwhile.
        drop(ids);
        let tasks = plan
            .tasks()
            .map(|(spec, _)| TaskSpec::clone(spec))
            .collect();
        return add_to(&file, tasks, &settings, catalog);
    }
    create_in(home, ids, &new, &plan)
}

/// Makes a batch of checked tasks, or gives the one that has its key and the same tasks.
///
/// # Errors
/// When the key belongs to other tasks, or the batch cannot be written; there is none then.
pub fn create(home: &Home, new: &BatchRequest, plan: &Plan) -> Result<AddReply, ActionError> {
    create_in(home, home.lock_ids()?, new, plan)
}

fn create_in(
    home: &Home,
    mut ids: Ids,
    new: &BatchRequest,
    plan: &Plan,
) -> Result<AddReply, ActionError> {
    if let Some(known) = known(home, new, plan)? {
        return Ok(known);
    }
    let (added, claim) = create_locked(home, &mut ids, new, plan, 0)?;
    claim.release()?;
    Ok(added)
}

/// A batch to run.
#[derive(Debug)]
pub enum ToRun {
    /// A new one, that nobody else works on before this process does.
    New(Box<Claim>),
    /// One with the same key and tasks.
    Known(AddReply),
    /// The last one of the same task file, where that was asked for.
    OfFile(BatchFile),
}

/// Makes a batch of checked tasks to run them, or finds the one there is: by its key, or with `of_file` by its task
/// file. Two that ask at one moment get one batch, as each has the numbers of `home` for itself ([`Home::ids`]).
///
/// # Errors
/// As [`create`].
pub fn create_to_run(
    home: &Home,
    mut ids: Ids,
    new: &BatchRequest,
    plan: &Plan,
    of_file: bool,
) -> Result<ToRun, ActionError> {
    if of_file && let Some(file) = home.last_of(new)? {
        return Ok(ToRun::OfFile(file));
    }
    if let Some(known) = known(home, new, plan)? {
        return Ok(ToRun::Known(known));
    }
    let (_, claim) = create_locked(home, &mut ids, new, plan, 1)?;
    Ok(ToRun::New(Box::new(claim)))
}

/// The batch that has the key of another one and the same tasks.
fn known(home: &Home, new: &BatchRequest, plan: &Plan) -> Result<Option<AddReply>, ActionError> {
    let Some(key) = &new.settings.key else {
        return Ok(None);
    };
    let Some(store) = batch_of_key(home, key)? else {
        return Ok(None);
    };
    let specs: Vec<&TaskSpec> = plan.tasks().map(|(spec, _)| &**spec).collect();
    existing(&store, key, &specs).map(Some)
}

fn create_locked(
    home: &Home,
    ids: &mut Ids,
    new: &BatchRequest,
    plan: &Plan,
    run: u32,
) -> Result<(AddReply, Claim), ActionError> {
    let mut new = new.clone();
    new.origin.missing = Some(u32::try_from(plan.len()).unwrap_or(u32::MAX));
    let mut claim = home.create_locked(ids, &new, &[], run)?;
    match write_new(home, &mut claim.store, plan, &new) {
        Ok(added) => Ok((added, claim)),
        Err(error) => {
            // Nothing half done: a batch whose tasks cannot be written is none.
            let _ = claim.file().remove();
            Err(error)
        }
    }
}

/// The batch with a key. One whose maker died before its tasks were in it was never told of to anybody: it is
/// removed.
fn batch_of_key(home: &Home, key: &str) -> Result<Option<Store>, ActionError> {
    let Some(file) = home.of_key(key)? else {
        return Ok(None);
    };
    let store = Store::open_read(file)?;
    let info = store.info()?;
    if info.settings.key.as_deref() != Some(key) {
        // Another batch is there now.
        return Ok(None);
    }
    if store.extra("content")?.is_some() {
        return Ok(Some(store));
    }
    if info.next_task > 1 {
        return Ok(None);
    }
    // Held until the batch is gone.
    let _lease = Lease::take_unsigned(store.file())
        .map_err(|error| ActionError::of_lease(store.file(), error))?;
    store.file().remove()?;
    Ok(None)
}

fn write_new(
    home: &Home,
    store: &mut Store,
    plan: &Plan,
    new: &BatchRequest,
) -> Result<AddReply, ActionError> {
    if let Some(key) = &new.settings.key {
        // Before the tasks: from their commit on the batch is there, and must be found by its key.
        home.set_key(key, store)?;
    }
    let mut adding = store.adding(now())?;
    add_plan(&mut adding, plan)?;
    if new.settings.key.is_some() {
        let content = ContentHash::of_all(plan.tasks().map(|(spec, _)| &**spec));
        adding.set_extra("content", &content.to_string())?;
    }
    adding.note_complete()?;
    let added = adding.commit()?;
    let first = added.first.index();
    Ok(AddReply {
        added: added.count,
        ..AddReply::of(store, first..first + added.count as usize)
    })
}

impl AddReply {
    /// That tasks are in a batch, by their places in it.
    fn of(store: &Store, places: Range<usize>) -> Self {
        let name = |place: usize| store.batch().task(TaskId::from_index(place)).to_string();
        Self {
            batch: store.batch().to_string(),
            first: places.clone().next().map(name),
            last: places.last().map(name),
            added: 0,
            existing: 0,
            running: false,
            file: store.file().shown().to_owned(),
        }
    }
}

fn add_plan(adding: &mut Adding<'_>, plan: &Plan) -> Result<(), ActionError> {
    let first = adding.first_index();
    Ok(adding.add(plan.resolved(first).map(|(spec, needs)| (&**spec, needs)))?)
}

/// Adds tasks to a batch that exists. A task whose id and content are there already is not added again.
fn add_to(
    file: &BatchFile,
    tasks: Vec<TaskSpec>,
    settings: &SettingsRequest,
    catalog: &dyn Catalog,
) -> Result<AddReply, ActionError> {
    let mut store = Store::open(file.clone(), Durability::Full)?;
    let batch = store.batch();
    let mut adding = store.adding(now())?;
    let info = adding.info()?;
    ActionError::refuse_incomplete(file, &info)?;
    let settings = settings
        .applied_to(&info.settings)
        .map_err(|differences| ActionError::SettingsDiffer { batch, differences })?;
    if settings != info.settings {
        adding.set_settings(&settings)?;
    }
    let Sorted { places, new } = sort(&adding, batch, info.identity, tasks)?;
    let plan = {
        let submitted = |name: &str| {
            let by_id = adding.find(name).ok().flatten();
            by_id.or_else(|| by_full_name(&adding, batch, name))
        };
        let context = PlanContext {
            catalog,
            limits: &settings.limits,
            submitted: &submitted,
        };
        Plan::check_in(new, &context).map_err(ActionError::Invalid)?
    };
    add_plan(&mut adding, &plan)?;
    let added = adding.commit()?;
    let mut next = added.first.index();
    let mut names = places.iter().map(|place| {
        let task = place.unwrap_or_else(|| {
            next += 1;
            TaskId::from_index(next - 1)
        });
        batch.task(task).to_string()
    });
    let first = names.next();
    let last = names.last().or_else(|| first.clone());
    Ok(AddReply {
        batch: batch.to_string(),
        first,
        last,
        added: added.count,
        existing: u32::try_from(places.iter().flatten().count()).unwrap_or(u32::MAX),
        running: added.live && is_executed(file)?,
        file: file.shown().to_owned(),
    })
}

/// The task that a text names in full, as in `b7.42`.
fn by_full_name(adding: &Adding<'_>, batch: BatchId, name: &str) -> Option<TaskId> {
    let full: FullTaskId = name.parse().ok()?;
    let is_there = full.batch == batch && adding.spec(full.task).ok()?.is_some();
    is_there.then_some(full.task)
}

/// Tasks to be added, those that are there already apart.
struct Sorted {
    /// For each task the one that is there already.
    places: Vec<Option<TaskId>>,
    new: Vec<TaskSpec>,
}

/// Finds the tasks that are there already, by id and content. An id with other content is an error.
fn sort(
    adding: &Adding<'_>,
    batch: BatchId,
    identity: Identity,
    tasks: Vec<TaskSpec>,
) -> Result<Sorted, ActionError> {
    let mut sorted = Sorted {
        places: Vec::with_capacity(tasks.len()),
        new: Vec::with_capacity(tasks.len()),
    };
    let mut problems = Vec::new();
    for (index, task) in tasks.into_iter().enumerate() {
        let Some((found, old)) = known_task(adding, &task)? else {
            sorted.places.push(None);
            sorted.new.push(task);
            continue;
        };
        sorted.places.push(Some(found));
        if let Some(difference) = identity.difference(&old, &task) {
            let found = batch.task(found);
            problems.push(PlanProblem {
                index,
                field: "id".to_owned(),
                message: format!("{found} has this id and other content: {difference}"),
                help: Some("give the new task another id".to_owned()),
            });
        }
    }
    match problems.is_empty() {
        true => Ok(sorted),
        false => Err(ActionError::Invalid(problems)),
    }
}

/// The task of the batch that has the id of another.
fn known_task(
    adding: &Adding<'_>,
    task: &TaskSpec,
) -> Result<Option<(TaskId, Arc<TaskSpec>)>, ActionError> {
    let Some(id) = task.id.as_deref() else {
        return Ok(None);
    };
    let Some(found) = adding.find(id)? else {
        return Ok(None);
    };
    Ok(adding.spec(found)?.map(|spec| (found, spec)))
}

/// The batch that a key has already, if its tasks are these.
fn existing(store: &Store, key: &str, tasks: &[&TaskSpec]) -> Result<AddReply, ActionError> {
    let batch = store.batch();
    if let Some(difference) = difference_of_batches(store, tasks)? {
        return Err(ActionError::KeyTaken {
            key: key.to_owned(),
            batch,
            difference,
        });
    }
    Ok(AddReply {
        existing: u32::try_from(tasks.len()).unwrap_or(u32::MAX),
        running: is_executed(store.file())?,
        ..AddReply::of(store, 0..tasks.len())
    })
}

/// Whether an executor works on a batch and takes up what comes.
fn is_executed(file: &BatchFile) -> Result<bool, ActionError> {
    Ok(executor_of(file)?.is_some_and(|executor| executor.note != Some(LeaseNote::Stopping)))
}

/// How the tasks of a batch differ from those given for its key, in a few words; `None` when they do not.
fn difference_of_batches(
    store: &Store,
    tasks: &[&TaskSpec],
) -> Result<Option<String>, ActionError> {
    let info = store.info()?;
    let identity = info.identity;
    let content = store.extra("content")?.unwrap_or_default();
    if identity == Identity::Second
        && content == ContentHash::of_all(tasks.iter().copied()).to_string()
    {
        return Ok(None);
    }
    let selection = Selection::states(&[]);
    let mut different = None;
    store.for_each_task::<ActionError>(&selection, |record| {
        let index = record.task.index();
        let given = tasks.get(index);
        let difference = given.and_then(|task| identity.difference(&record.spec, task));
        different = difference.map(|how| format!("task {} differs: {how}", index + 1));
        Ok(given.is_some() && different.is_none())
    })?;
    if different.is_some() {
        return Ok(different);
    }
    let there = info.next_task as usize - 1;
    Ok(match identity {
        // Its fingerprint is of the text: the same text, or the same tasks however they are written.
        Identity::First if there == tasks.len() => None,
        Identity::First if content == first_fingerprint(tasks.iter().copied()) => None,
        _ if there != tasks.len() => Some(format!(
            "it has {there} tasks, and {} were given",
            tasks.len()
        )),
        _ => Some("some of them were changed or removed since".to_owned()),
    })
}
