//! Why an action was not done: [`ActionError`].

use std::io;
use std::path::PathBuf;

use batch_core::{
    BatchId, ids::FullTaskId, plan::PlanProblem, settings::SettingDifference, text::Counted,
};
use batch_export::{ExportError, FilterError};
use batch_store::{BatchFile, BatchInfo, Holder, LeaseError, Obstacle, Store, StoreError};

use crate::state_reason::{MissingTasks, Silence};

/// Why an action was not done. Nothing has changed then, unless it says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// There is no batch at all.
    #[error("there is no batch yet")]
    NoBatch,
    /// There is no batch of this number.
    #[error("there is no batch {batch}{}", latest_text(*latest))]
    UnknownBatch {
        /// What was asked for.
        batch: BatchId,
        /// The latest there is.
        latest: Option<BatchId>,
    },
    /// There is no batch of this name.
    #[error("there is no batch named {name:?}{}", latest_text(*latest))]
    UnknownBatchName {
        /// What was asked for.
        name: String,
        /// The latest there is.
        latest: Option<BatchId>,
    },
    /// There is no task of this name.
    #[error("there is no task {task:?} in {batch}{}", hint(.help.as_ref()))]
    UnknownTask {
        /// The batch.
        batch: BatchId,
        /// What was asked for.
        task: String,
        /// What may have been meant.
        help: Option<String>,
    },
    /// A task of another batch was named.
    #[error("{task} is not a task of {batch}")]
    OtherBatch {
        /// The batch that the action is about.
        batch: BatchId,
        /// The task.
        task: FullTaskId,
    },
    /// A text is the id of one task and the number of another.
    #[error("{name:?} is the id of {id} and the number of {number}; say which, with its batch")]
    AmbiguousTask {
        /// The text.
        name: String,
        /// The task with this id.
        id: FullTaskId,
        /// The task with this number.
        number: FullTaskId,
    },
    /// No task failed for this cause.
    #[error("no task of {batch} failed for a cause {cause:?}; {help}")]
    UnknownCause {
        /// The batch.
        batch: BatchId,
        /// What was asked for.
        cause: String,
        /// Which causes there are.
        help: String,
    },
    /// The tasks cannot be added.
    #[error("{} with the tasks, first: {}", Counted(.0.len() as u64, "problem"), .0.first().map_or("", |p| p.message.as_str()))]
    Invalid(Vec<PlanProblem>),
    /// The key belongs to a batch with other tasks.
    #[error(
        "the key {key:?} belongs to {batch}, whose tasks differ: {difference}; use another key"
    )]
    KeyTaken {
        /// The key.
        key: String,
        /// The batch.
        batch: BatchId,
        /// How the tasks differ.
        difference: String,
    },
    /// Settings come with the tasks that the batch has otherwise.
    #[error("the settings differ from those of {batch}: {}", list(differences))]
    SettingsDiffer {
        /// The batch.
        batch: BatchId,
        /// All of them.
        differences: Vec<SettingDifference>,
    },
    /// An executor works on the batch.
    #[error("{batch} is being {}", holder_text(holder))]
    Running {
        /// The batch.
        batch: BatchId,
        /// The process.
        holder: Box<Holder>,
        /// The batch file, as it was named.
        file: PathBuf,
    },
    /// The filter is wrong.
    #[error("the filter: {0}")]
    Filter(#[from] FilterError),
    /// A request was refused by the process that works on the batch.
    #[error("{0}")]
    Refused(String),
    /// The process that works on the batch did not answer.
    #[error("process {} works on {batch} and did not answer within {seconds} s", holder.pid)]
    NoAnswer {
        /// The batch.
        batch: BatchId,
        /// The process.
        holder: Box<Holder>,
        /// How long it had.
        seconds: u64,
    },
    /// The process that works on the batch cannot be asked, as the file takes nothing in: the disk is full, or another program
    /// holds it.
    #[error(
        "process {} works on {batch} and waits, as {}: {} then, and it continues by itself",
        holder.pid,
        match .obstacle {
            Obstacle::DiskFull => "the disk is full, until there is free space",
            Obstacle::Busy => "another program holds the batch file, until it releases it",
        },
        if *.waits { "this is done" } else { "nothing can be asked of it before; try again" }
    )]
    NotNow {
        /// The batch.
        batch: BatchId,
        /// The process.
        holder: Box<Holder>,
        /// What is in the way.
        obstacle: Obstacle,
        /// The request is in the file already, and cannot be taken back.
        waits: bool,
        /// The batch file, as it was named.
        file: PathBuf,
    },
    /// The process that works on the batch gives no sign of life.
    #[error("{silence}")]
    Silent {
        /// The process, and for how long.
        silence: Silence,
        /// The batch.
        batch: BatchId,
        /// The batch file, as it was named.
        file: PathBuf,
    },
    /// The batch is not all there.
    #[error("{batch} is incomplete: {missing}")]
    Incomplete {
        /// The batch.
        batch: BatchId,
        /// The tasks that were to be written.
        missing: MissingTasks,
        /// The batch file, as it was named.
        file: PathBuf,
    },
    /// A background executor could not be started.
    #[error("the executor did not start: {0}")]
    Start(String),
    /// The batch is on a network file system.
    #[error(
        "{} is on a network file system ({kind}), where the batch file is not safe; set BEX_HOME to a local folder, or force it with BEX_ALLOW_NETWORK_FS=1",
        path.display()
    )]
    NetworkFileSystem {
        /// The folder.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// The batch file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Results cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The state folder cannot be made or used.
    #[error("cannot {what} {}: {error}", path.display())]
    StateFolder {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The system refused something.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl ActionError {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>, error: io::Error) -> Self {
        Self::Io {
            what,
            path: path.into(),
            error,
        }
    }

    pub(crate) fn state_folder(
        what: &'static str,
        path: impl Into<PathBuf>,
        error: io::Error,
    ) -> Self {
        Self::StateFolder {
            what,
            path: path.into(),
            error,
        }
    }

    /// Whether what was asked for is wrong, and not the state of the world.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoBatch
                | Self::UnknownBatch { .. }
                | Self::UnknownBatchName { .. }
                | Self::SettingsDiffer { .. }
                | Self::UnknownTask { .. }
                | Self::OtherBatch { .. }
                | Self::AmbiguousTask { .. }
                | Self::UnknownCause { .. }
                | Self::Invalid(_)
                | Self::KeyTaken { .. }
                | Self::Running { .. }
                | Self::Filter(_)
                | Self::Refused(_)
                | Self::NetworkFileSystem { .. }
                | Self::Store(
                    StoreError::Missing(_)
                        | StoreError::Exists(_)
                        | StoreError::Occupied(_)
                        | StoreError::NotABatch(_)
                        | StoreError::Linked { .. }
                        | StoreError::MountedAlone(_)
                        | StoreError::Foreign { .. }
                        | StoreError::Newer { .. }
                )
        )
    }

    /// A batch whose tasks are not all written is none that anything can be done with.
    pub(crate) fn refuse_incomplete(file: &BatchFile, info: &BatchInfo) -> Result<(), Self> {
        match info.origin.missing {
            None => Ok(()),
            Some(count) => Err(Self::Incomplete {
                batch: info.batch,
                missing: MissingTasks {
                    count,
                    file: info.origin.file.clone(),
                },
                file: file.shown().to_owned(),
            }),
        }
    }

    /// Whether the same can be done a while later: the disk is full, or another program holds the batch file.
    pub fn is_for_now(&self) -> bool {
        matches!(self, Self::Store(error) if error.obstacle().is_some())
    }

    /// The lease of a batch was not given.
    pub(crate) fn of_lease(file: &BatchFile, error: LeaseError) -> Self {
        match error {
            LeaseError::Held(holder) => {
                // One that cannot be read has no number, and someone works on it all the same.
                let batch = Store::open_read(file.clone())
                    .map_or_else(|_| BatchId::default(), |store| store.batch());
                let file = file.shown().to_owned();
                let holder = Box::new(holder);
                match Silence::of(&holder) {
                    Some(silence) => Self::Silent {
                        silence,
                        batch,
                        file,
                    },
                    None => Self::Running {
                        batch,
                        holder,
                        file,
                    },
                }
            }
            LeaseError::Store(error) => Self::Store(error),
        }
    }
}

fn holder_text(holder: &Holder) -> String {
    let pid = holder.pid;
    match holder.run {
        0 => format!("changed by process {pid}; try again"),
        run => format!("run by process {pid} (run {run})"),
    }
}

fn list(differences: &[SettingDifference]) -> String {
    let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

fn latest_text(latest: Option<BatchId>) -> String {
    latest.map_or_else(String::new, |latest| format!("; the latest is {latest}"))
}

fn hint(help: Option<&String>) -> String {
    help.map(|help| format!("; {help}")).unwrap_or_default()
}
