//! How a batch is getting on: [`status`] and [`list`].

use std::path::PathBuf;
use std::time::Duration;

use batch_core::{BatchId, Status, Time};
use batch_export::{CauseGroup, TimeSpread};
use batch_store::{BatchFile, Holder, Overview, Selection, Store};
use serde::Serialize;

use crate::engine::{STOPPING, is_running};
use crate::error::{ActionError, incomplete, silent};
use crate::home::{Home, now};
use crate::naming::Naming;
use crate::standing::Standing;

/// What a batch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has tasks, and nobody has run it yet.
    New,
    /// The tasks that it was made for are not in it.
    Incomplete,
    /// An executor works on it.
    Running,
    /// Nothing more starts until it is resumed.
    Paused,
    /// Its executor was stopped before the end.
    Stopped,
    /// Its executor died.
    Interrupted,
    /// Every task has completed, or there is none.
    Completed,
    /// All tasks are finished; some failed or were cancelled.
    Failed,
}

/// How a batch is getting on.
#[derive(Clone, Debug, Serialize)]
pub struct BatchStatus {
    /// The batch: `b7`.
    pub batch: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is doing.
    pub state: State,
    /// Why, where there is something to say.
    pub reason: Option<String>,
    /// Its time was up before its end. One that a failure ended, as it asked for, ran to its end.
    #[serde(skip)]
    pub timed_out: bool,
    /// How long its executor has given no sign of life, where that is too long.
    #[serde(skip)]
    pub silence: Option<Duration>,
    /// How many tasks there are.
    pub total: u64,
    /// Tasks of each status.
    pub queued: u64,
    /// Running ones.
    pub running: u64,
    /// Those of the queued ones that were running when the executor died. The file says so only when it is taken up
    /// again.
    pub interrupted: u64,
    /// Completed ones.
    pub completed: u64,
    /// Failed ones.
    pub failed: u64,
    /// Cancelled ones.
    pub cancelled: u64,
    /// Finished tasks in per cent.
    pub progress: f64,
    /// Tasks that completed on a later attempt.
    pub flaky: u64,
    /// Retries that finished tasks used.
    pub retries: u64,
    /// How long completed tasks took, where it was asked for.
    #[serde(flatten)]
    pub execution_times: Option<TimeSpread>,
    /// Why tasks failed, the most frequent cause first.
    pub causes: Vec<CauseGroup>,
    /// The process that works on it.
    pub pid: Option<u32>,
    /// How many tasks run at once.
    pub max_concurrent: u32,
    /// Finished tasks a second, while it runs.
    pub rate: Option<f64>,
    /// How long it will still take, in seconds, once that can be told.
    pub seconds_left: Option<f64>,
    /// When it was made.
    #[serde(skip)]
    pub created: Time,
    /// The same as text.
    pub created_at: String,
    /// When the last task finished.
    #[serde(skip)]
    pub last_end: Option<Time>,
    /// When its last run began.
    pub started_at: Option<String>,
    /// When its last run ended.
    pub ended_at: Option<String>,
    /// Its file.
    pub file: PathBuf,
    /// Running tasks, where the details were asked for: the first of them. Where the executor has died, those that
    /// it was running.
    pub running_tasks: Option<Vec<RunningStatus>>,
}

/// A task that runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunningStatus {
    /// The task.
    pub task: String,
    /// Its name for people.
    pub label: String,
    /// The number of its attempt.
    pub attempt: u32,
    /// How long it has run, in seconds.
    pub seconds: f64,
}

/// The most completed tasks whose execution times are read unasked.
const TIMES_READ: u64 = 100_000;

/// How many running tasks are named.
const RUNNING_NAMED: usize = 50;

/// How a batch is getting on; with `detailed`, which tasks run.
///
/// # Errors
/// When its file cannot be read.
pub fn status(file: &BatchFile, detailed: bool) -> Result<BatchStatus, ActionError> {
    let store = Store::open_read(file.clone())?;
    let mut status = status_of(&store)?;
    if detailed {
        status.running_tasks = Some(running_tasks(&store)?);
    }
    Ok(status)
}

/// As [`status`], with the execution times of the tasks. They take a look at every task: without `detailed` they are
/// left out where very many have completed.
///
/// # Errors
/// When its file cannot be read.
pub fn status_with_times(file: &BatchFile, detailed: bool) -> Result<BatchStatus, ActionError> {
    let mut status = status(file, detailed)?;
    if detailed || status.completed <= TIMES_READ {
        let times = Store::open_read(file.clone())?.execution_times()?;
        status.execution_times = Some(times.spread());
    }
    Ok(status)
}

/// A batch in a list.
pub type Listed = Result<BatchStatus, Unreadable>;

/// A batch whose file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The batch: `b7`.
    pub batch: String,
    /// Why.
    pub error: String,
}

/// All batches, the latest last.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(home: &Home) -> Result<Vec<Listed>, ActionError> {
    let of = |batch: BatchId| {
        let found = status(&home.file(batch), false);
        found.map_err(|error| Unreadable {
            batch: batch.to_string(),
            error: error.to_string(),
        })
    };
    Ok(home.batches_there()?.into_iter().map(of).collect())
}

/// How a batch is getting on, read from an open file.
///
/// # Errors
/// When it cannot be read.
pub fn status_of(store: &Store) -> Result<BatchStatus, ActionError> {
    let standing = Standing::of(store)?;
    let holder = standing.executor();
    let overview = store.overview()?;
    let batch = store.batch();
    let naming = Naming::new(batch, store.file().shown());
    let (state, reason) = state(&overview, standing.holder(), &naming);
    let (total, open) = (overview.totals.tasks(), overview.totals.open());
    let live = overview.run.as_ref().filter(|_| holder.is_some());
    let info = &overview.info;
    Ok(BatchStatus {
        batch: batch.to_string(),
        name: info.settings.name.clone(),
        state,
        reason,
        silence: holder.and_then(Holder::silence),
        timed_out: state == State::Failed && cut_short(&overview) == Some(CutShort::Time),
        total,
        queued: standing.count(&overview, Status::Queued),
        running: standing.count(&overview, Status::Running),
        interrupted: standing.interrupted(&overview),
        completed: overview.totals.count(Status::Completed),
        failed: overview.totals.count(Status::Failed),
        cancelled: overview.totals.count(Status::Cancelled),
        progress: match total {
            0 if state == State::Incomplete => 0.0,
            0 => 100.0,
            total => (total - open) as f64 * 100.0 / total as f64,
        },
        flaky: overview.totals.flaky,
        retries: overview.totals.retries,
        execution_times: None,
        causes: overview.causes.clone(),
        pid: holder.map(|holder| holder.pid),
        max_concurrent: live
            .and_then(|run| run.concurrency)
            .unwrap_or(info.settings.max_concurrent.get()),
        rate: live.and_then(|run| run.rate),
        seconds_left: live.and_then(|run| {
            let since = now().since(run.seen_at);
            Some(run.left?.saturating_sub(since).as_secs_f64())
        }),
        created: info.created_at,
        created_at: text(info.created_at),
        last_end: overview.totals.last_end,
        started_at: overview.run.as_ref().map(|run| text(run.started_at)),
        ended_at: overview.run.as_ref().and_then(|run| run.ended_at).map(text),
        file: store.file().shown().to_owned(),
        running_tasks: None,
    })
}

/// How a batch stands, and why.
type StateAndWhy = (State, Option<String>);

fn state(overview: &Overview, holder: Option<&Holder>, naming: &Naming) -> StateAndWhy {
    if let Some(missing) = overview.info.origin.missing {
        return (
            State::Incomplete,
            Some(missing_text(overview, missing, holder, naming)),
        );
    }
    if let Some(holder) = holder.filter(|holder| holder.run > 0) {
        return state_with(overview, holder, naming);
    }
    let paused = overview.info.paused.clone();
    let died_text = || format!("its executor died; go on with: bex resume {naming}");
    let died = overview.totals.count(Status::Running) > 0
        || overview
            .run
            .as_ref()
            .is_some_and(|run| run.ended_at.is_none());
    if died {
        return (State::Interrupted, Some(died_text()));
    }
    if overview.totals.open() == 0 && overview.info.origin.unread {
        let why = "its input was not read to its end; what was not read is not in the batch";
        return (State::Stopped, Some(why.to_owned()));
    }
    if overview.totals.open() == 0 {
        let all = overview.totals.count(Status::Completed) == overview.totals.tasks();
        return match all {
            true => (State::Completed, None),
            false => {
                let why = cut_short(overview).map(|how| how.in_words().to_owned());
                (State::Failed, why)
            }
        };
    }
    match (&overview.run, paused) {
        (_, Some(why)) => (State::Paused, Some(format!("paused {why}"))),
        (None, None) => (State::New, Some("not started yet".to_owned())),
        (Some(run), None) if run.end.as_deref() == Some("died") => {
            (State::Interrupted, Some(died_text()))
        }
        (Some(run), None) => {
            let how = run.end.as_deref().unwrap_or_default();
            let why = match how {
                "finished" => "tasks were added or held after its last run".to_owned(),
                "output closed" => {
                    format!("nobody read its output any more; go on with: bex resume {naming}")
                }
                "broken" => "its executor could not write".to_owned(),
                "nothing starts" => {
                    format!("its executor could start no task; go on with: bex resume {naming}")
                }
                other => format!("its last run was {other}"),
            };
            (State::Stopped, Some(why))
        }
    }
}

/// How a batch stands that an executor works on.
fn state_with(overview: &Overview, holder: &Holder, naming: &Naming) -> StateAndWhy {
    if let Some(silence) = holder.silence() {
        let silent = silent(holder, silence);
        let why = format!("{silent}; end it with: bex stop --kill {naming}");
        return (State::Running, Some(why));
    }
    match (
        holder.note.as_deref().map(str::to_owned),
        &overview.info.paused,
    ) {
        (Some(note), _) if note == STOPPING => (State::Running, Some(note)),
        (Some(note), _) if !is_running(&note) => (State::Paused, Some(note)),
        (_, Some(why)) => (State::Paused, Some(format!("paused {why}"))),
        (note, None) => (State::Running, note),
    }
}

/// What is said of a batch whose tasks are not in it.
fn missing_text(
    overview: &Overview,
    missing: u32,
    writer: Option<&Holder>,
    naming: &Naming,
) -> String {
    if let Some(Holder { pid, .. }) = writer {
        return format!("process {pid} is writing its {missing} tasks");
    }
    incomplete(missing, overview.info.origin.file.as_deref(), naming)
}

/// What ended the last run of a batch before all of its tasks had run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CutShort {
    Time,
    Failure,
}

impl CutShort {
    const fn in_words(self) -> &'static str {
        match self {
            Self::Time => "its time was up (batch_timeout)",
            Self::Failure => "a failure ended it (fail_fast)",
        }
    }
}

fn cut_short(overview: &Overview) -> Option<CutShort> {
    let run = overview.run.as_ref()?;
    let cut =
        run.end.as_deref() == Some("cut short") && overview.totals.count(Status::Cancelled) > 0;
    let failed = overview.info.settings.fail_fast && overview.totals.count(Status::Failed) > 0;
    cut.then_some(match failed {
        true => CutShort::Failure,
        false => CutShort::Time,
    })
}

fn running_tasks(store: &Store) -> Result<Vec<RunningStatus>, ActionError> {
    let selection = Selection {
        statuses: vec![Status::Running],
        without_outputs: true,
        ..Selection::default()
    };
    let mut running = Vec::new();
    store.for_each_task::<ActionError>(&selection, |record| {
        if let Some((attempt, started)) = store.under_way(record.task)? {
            running.push(RunningStatus {
                task: record.id().to_string(),
                label: record.spec.label().to_owned(),
                attempt,
                seconds: now().since(started).as_secs_f64(),
            });
        }
        Ok(running.len() < RUNNING_NAMED)
    })?;
    Ok(running)
}

pub(crate) fn text(time: Time) -> String {
    batch_export::rfc3339(time)
}
