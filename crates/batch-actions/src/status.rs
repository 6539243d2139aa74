//! How a batch is progressing: [`status`] and [`list`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use batch_core::{BatchId, Status, Time};
use batch_export::{CauseGroup, TimeSpread, rfc3339};
use batch_store::{BatchFile, EndCause, Holder, Lease, LeaseNote, Overview, Selection, Store};
use batch_template::short_label;
use serde::{Serialize, Serializer};

use crate::clock::now;
use crate::engine::end_of;
use crate::error::ActionError;
use crate::home::Home;
use crate::live_view::LiveView;
use crate::state_reason::{MissingTasks, Silence, StateReason};

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
    /// All tasks are finished, and its executor waits for more.
    Idle,
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

/// How a batch is progressing.
#[derive(Clone, Debug, Serialize)]
pub struct BatchStatus {
    /// The batch: `b7`.
    pub batch: String,
    /// Its name.
    pub name: Option<String>,
    /// What people know it by without a name: the command of its tasks, its file, or what its first task does.
    pub command: Option<String>,
    /// What it is doing.
    pub state: State,
    /// Why, where there is something to say.
    pub reason: Option<StateReason>,
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
    #[serde(serialize_with = "as_text")]
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

/// A path as far as it is a text, as all of JSON is.
pub(crate) fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// The most completed tasks whose execution times are read unasked.
const TIMES_READ: u64 = 100_000;

/// How many running tasks are named.
const RUNNING_NAMED: usize = 50;

impl State {
    /// The name: `new`, `running`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Incomplete => "incomplete",
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The state in a sentence, after the name of the batch: `is running`, `finished with failures`.
    pub const fn predicate(self) -> &'static str {
        match self {
            Self::New => "is new",
            Self::Incomplete => "is incomplete",
            Self::Running => "is running",
            Self::Idle => "is idle",
            Self::Paused => "is paused",
            Self::Stopped => "is stopped",
            Self::Interrupted => "is interrupted",
            Self::Completed => "is completed",
            Self::Failed => "finished with failures",
        }
    }

    /// Whether every task is finished.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Idle)
    }

    /// Whether nothing more will happen by itself.
    pub const fn is_at_rest(self) -> bool {
        !matches!(
            self,
            Self::Running | Self::Idle | Self::Paused | Self::Incomplete
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl BatchStatus {
    /// Whether an executor works on it that has been told to stop.
    pub fn is_stopping(&self) -> bool {
        self.reason == Some(StateReason::Noted(LeaseNote::Stopping))
    }

    /// How many tasks are completed, failed or cancelled.
    pub const fn finished(&self) -> u64 {
        self.completed + self.failed + self.cancelled
    }

    /// The counts in one line.
    pub fn counts(&self) -> String {
        let mut parts = Vec::new();
        for (count, what) in [
            (self.completed, "completed"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
            (self.running, "running"),
            (self.interrupted, "interrupted"),
            (self.queued - self.interrupted, "queued"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        match parts.is_empty() {
            true => "no tasks".to_owned(),
            false => parts.join(", "),
        }
    }
}

/// How a batch is progressing; with `detailed`, which tasks run.
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

/// How a batch is progressing, read from an open file.
///
/// # Errors
/// When it cannot be read, or was taken away meanwhile.
pub fn status_of(store: &Store) -> Result<BatchStatus, ActionError> {
    let view = LiveView::of(store)?;
    // Afterwards: the process that works on it is not found by a path that leads elsewhere.
    store.check_there()?;
    let holder = view.executor();
    let overview = store.overview()?;
    let batch = store.batch();
    let (state, reason) = state(&overview, view.holder(), store.file());
    // While nothing starts, nobody can tell.
    let starts = match &reason {
        None | Some(StateReason::Noted(LeaseNote::Short { .. })) => state == State::Running,
        _ => false,
    };
    let (total, open) = (overview.totals.tasks(), overview.totals.open());
    let live = overview.run.as_ref().filter(|_| holder.is_some());
    let info = &overview.info;
    Ok(BatchStatus {
        batch: batch.to_string(),
        name: info.settings.name.clone(),
        command: command(store, &overview)?,
        state,
        silence: holder.and_then(Holder::silence),
        timed_out: reason == Some(StateReason::TimeLimit),
        reason,
        total,
        queued: view.count(&overview, Status::Queued),
        running: view.count(&overview, Status::Running),
        interrupted: view.interrupted(&overview),
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
        seconds_left: live.filter(|_| starts).and_then(|run| {
            let since = now().since(run.seen_at);
            // What should be over by now is not about to end.
            let left = run.left?.checked_sub(since)?;
            Some(left.as_secs_f64())
        }),
        created: info.created_at,
        created_at: rfc3339(info.created_at),
        last_end: overview.totals.last_end,
        started_at: overview.run.as_ref().map(|run| rfc3339(run.started_at)),
        ended_at: overview
            .run
            .as_ref()
            .and_then(|run| run.ended_at)
            .map(rfc3339),
        file: store.file().shown().to_owned(),
        running_tasks: None,
    })
}

/// What people know a batch by that has no name.
fn command(store: &Store, overview: &Overview) -> Result<Option<String>, ActionError> {
    let origin = &overview.info.origin;
    let file = || {
        let name = Path::new(origin.file.as_ref()?).file_name()?;
        Some(name.to_string_lossy().into_owned())
    };
    if let Some(known) = origin.command.clone().or_else(file) {
        return Ok(Some(known));
    }
    let mut selection = Selection::states(&[]);
    selection.without_outputs = true;
    let mut first = None;
    store.for_each_task::<ActionError>(&selection, |record| {
        first = Some(short_label(&record.spec).into_owned());
        Ok(false)
    })?;
    Ok(first)
}

/// The state of a batch, and why.
type StateAndReason = (State, Option<StateReason>);

fn state(overview: &Overview, holder: Option<&Holder>, file: &BatchFile) -> StateAndReason {
    let info = &overview.info;
    if let Some(missing) = info.origin.missing {
        let reason = match holder {
            Some(Holder { pid, .. }) => StateReason::BeingWritten { pid: *pid, missing },
            None => StateReason::TasksMissing(MissingTasks {
                count: missing,
                file: info.origin.file.clone(),
            }),
        };
        return (State::Incomplete, Some(reason));
    }
    if let Some(holder) = holder.filter(|holder| holder.run > 0) {
        return state_with(overview, holder);
    }
    let last_run = overview.run.as_ref();
    let unended = overview.totals.count(Status::Running) > 0
        || last_run.is_some_and(|run| run.ended_at.is_none());
    if unended {
        let last = Lease::last_holder(file);
        match last_run.and_then(|run| end_of(run, last.as_ref())) {
            None => return (State::Interrupted, Some(StateReason::ExecutorDied)),
            Some(end) if overview.totals.open() > 0 => {
                return (State::Stopped, Some(StateReason::EndUnwritten(end)));
            }
            Some(_) => {}
        }
    }
    if overview.totals.open() == 0 && info.origin.unread {
        return (State::Stopped, Some(StateReason::InputUnread));
    }
    if overview.totals.open() == 0 {
        return match overview.totals.count(Status::Completed) == overview.totals.tasks() {
            true => (State::Completed, None),
            false => (State::Failed, cut_short(overview)),
        };
    }
    match (last_run, info.paused.clone()) {
        (_, Some(how)) => (State::Paused, Some(StateReason::Paused(how))),
        (None, None) => (State::New, Some(StateReason::NotStarted)),
        (Some(run), None) => match run.end.clone() {
            Some(EndCause::Died) => (State::Interrupted, Some(StateReason::ExecutorDied)),
            end => (State::Stopped, end.map(StateReason::LastRun)),
        },
    }
}

/// The state of a batch that an executor works on.
fn state_with(overview: &Overview, holder: &Holder) -> StateAndReason {
    if let Some(silence) = Silence::of(holder) {
        return (State::Running, Some(StateReason::Silent(silence)));
    }
    let note = holder.note.clone();
    let paused = overview.info.paused.clone().map(StateReason::Paused);
    match note {
        Some(LeaseNote::Stopping) => (State::Running, note.map(StateReason::Noted)),
        Some(note) if !note.is_running() => (State::Paused, Some(StateReason::Noted(note))),
        _ if paused.is_some() => (State::Paused, paused),
        Some(LeaseNote::Staying) if overview.totals.open() == 0 => {
            (State::Idle, note.map(StateReason::Noted))
        }
        Some(LeaseNote::Staying) => (State::Running, None),
        note => (State::Running, note.map(StateReason::Noted)),
    }
}

/// What ended the last run of a batch before all of its tasks had run.
fn cut_short(overview: &Overview) -> Option<StateReason> {
    let run = overview.run.as_ref()?;
    let cut = run.end == Some(EndCause::CutShort) && overview.totals.count(Status::Cancelled) > 0;
    let (halt, totals) = (overview.info.settings.halt, &overview.totals);
    let halted = halt.is_reached(&|status| totals.count(status), totals.tasks());
    cut.then_some(match halted {
        true => StateReason::Halted(halt),
        false => StateReason::TimeLimit,
    })
}

fn running_tasks(store: &Store) -> Result<Vec<RunningStatus>, ActionError> {
    let selection = Selection::states(&[Status::Running]);
    let mut running = Vec::new();
    store.for_each_task::<ActionError>(&selection, |record| {
        if let Some((attempt, started)) = store.under_way(record.task)? {
            running.push(RunningStatus {
                task: record.id().to_string(),
                label: short_label(&record.spec).into_owned(),
                attempt,
                seconds: now().since(started).as_secs_f64(),
            });
        }
        Ok(running.len() < RUNNING_NAMED)
    })?;
    Ok(running)
}
