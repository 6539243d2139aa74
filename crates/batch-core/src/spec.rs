//! What a task is, as its author wants it: [`TaskSpec`] and the options on it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::json::Json;
use crate::retry::RetrySpec;
use crate::status::{Priority, Status, UnknownName};
use crate::time::Time;

/// One task: a function, its parameters, and how it is to be treated.
///
/// ```
/// use batch_core::{Priority, TaskSpec};
/// let task = TaskSpec::new("simulate")
///     .with_id("warm-up")
///     .with_params(&serde_json::json!({"duration": 0.1})).unwrap()
///     .with_priority(Priority::High)
///     .with_max_retries(2);
/// assert_eq!(task.options.max_retries, 2);
/// ```
#[derive(Clone, Debug)]
pub struct TaskSpec {
    /// The author's id, unique in the batch; other tasks name it in `depends_on`.
    pub id: Option<Box<str>>,
    /// A name for people.
    pub name: Option<Box<str>>,
    /// The item that it was made of, for people, where it was made of one.
    pub item: Option<Box<str>>,
    /// The function that performs it.
    pub function: Arc<str>,
    /// The parameters of the function: a JSON object.
    pub params: Json,
    /// The tasks that must end first.
    pub depends_on: Box<[DependsOn]>,
    /// The rest, shared by tasks that are treated alike.
    pub options: Arc<TaskOptions>,
}

/// How a task is to be treated.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskOptions {
    /// How urgent it is.
    pub priority: Priority,
    /// How often it is tried again after a failure.
    pub max_retries: u32,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// Which failures are retried, and after which delays.
    pub retry: RetrySpec,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// The working folder of its process as its author wrote it; the parameters' own `cwd` wins. It is part of
    /// what the task is; `folder` is not.
    pub cwd: Option<PathBuf>,
    /// The folder it runs in, once that is known: where it was added, or `cwd` as meant from there.
    pub folder: Option<PathBuf>,
    /// Environment of its process on top of the executor's; the parameters' own `env` wins.
    pub env: BTreeMap<String, String>,
    /// The named limit it counts against (see `BatchSettings::limits`).
    pub limit: Option<String>,
    /// The time between asking its process to end and killing it.
    pub grace: Duration,
    /// What becomes of it when a shutdown or a crash cuts it off.
    pub on_interrupt: OnInterrupt,
    /// It waits to be released before its first attempt.
    pub hold: bool,
    /// It runs when all others have ended, however they did.
    pub finally: bool,
    /// It does not start before this time on the wall clock.
    pub not_before: Option<Time>,
    /// Values may be filled into the code of an interpreter, as after `bash -c`.
    pub allow_code: bool,
}

/// A task that must end first, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DependsOn {
    /// Its id.
    pub task: Box<str>,
    /// What it must end as.
    pub on: RunOn,
}

/// What a dependency must end as for the task that depends on it to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum RunOn {
    /// Completed. Else the dependent is cancelled.
    #[default]
    Success,
    /// Failed or cancelled. Else the dependent is not needed.
    Failure,
    /// Completed, failed or cancelled.
    Finished,
}

impl Serialize for DependsOn {
    /// The id alone, unless it must end otherwise than completed.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.on == RunOn::Success {
            return serializer.serialize_str(&self.task);
        }
        let mut object = serializer.serialize_struct("DependsOn", 2)?;
        object.serialize_field("task", &self.task)?;
        object.serialize_field("on", self.on.name())?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for DependsOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Id(Box<str>),
            Object { task: Box<str>, on: Box<str> },
        }
        match Form::deserialize(deserializer)? {
            Form::Id(task) => Ok(Self {
                task,
                on: RunOn::Success,
            }),
            Form::Object { task, on } => {
                let on = on.parse().map_err(de::Error::custom)?;
                Ok(Self { task, on })
            }
        }
    }
}

impl DependsOn {
    /// Whether it means the task with an id: that one, or one of the group that it names.
    pub fn means(&self, id: &str) -> bool {
        *self.task == *id || crate::group::is_member(id, &self.task)
    }
}

impl From<&str> for DependsOn {
    fn from(task: &str) -> Self {
        Self {
            task: task.into(),
            on: RunOn::default(),
        }
    }
}

impl RunOn {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Finished];

    /// The name in task files: `success`, `failure`, `finished`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Finished => "finished",
        }
    }

    /// Whether a dependency that ended so lets the dependent run.
    pub const fn fits(self, status: Status) -> bool {
        match self {
            Self::Success => matches!(status, Status::Completed),
            Self::Failure => matches!(status, Status::Failed | Status::Cancelled),
            Self::Finished => status.is_final(),
        }
    }
}

impl FromStr for RunOn {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|on| on.name() == text)
            .ok_or_else(|| UnknownName::new("on", text, &Self::ALL.map(Self::name)))
    }
}

/// What becomes of a task whose attempt was cut off by a shutdown or a crash of the executor.
///
/// For tasks that must not simply run twice: nobody knows how far the attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OnInterrupt {
    /// It goes back into the queue and runs again.
    #[default]
    Rerun,
    /// It waits until someone has looked at it and releases it.
    Hold,
    /// It has failed.
    Fail,
}

impl Default for TaskOptions {
    /// Medium priority, no retries, no timeout, five seconds of grace, run again when cut off.
    fn default() -> Self {
        Self {
            priority: Priority::default(),
            max_retries: 0,
            timeout: None,
            retry: RetrySpec::default(),
            tags: Vec::new(),
            cwd: None,
            folder: None,
            env: BTreeMap::new(),
            limit: None,
            grace: Self::DEFAULT_GRACE,
            on_interrupt: OnInterrupt::default(),
            hold: false,
            finally: false,
            not_before: None,
            allow_code: false,
        }
    }
}

impl TaskOptions {
    /// Between asking a process to end and killing it.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

    /// The working folder of its process, as far as the options say one.
    pub fn working_folder(&self) -> Option<&Path> {
        self.folder.as_deref().or(self.cwd.as_deref())
    }
}

impl OnInterrupt {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Rerun, Self::Hold, Self::Fail];

    /// The name in task files: `rerun`, `hold`, `fail`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rerun => "rerun",
            Self::Hold => "hold",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for OnInterrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for OnInterrupt {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|what| what.name() == text)
            .ok_or_else(|| UnknownName::new("on_interrupt", text, &Self::ALL.map(Self::name)))
    }
}

impl TaskSpec {
    /// A task of a function, with no parameters (`{}`) and the default options.
    pub fn new(function: impl Into<Arc<str>>) -> Self {
        Self {
            id: None,
            name: None,
            item: None,
            function: function.into(),
            params: Json::from(serde_json::json!({})),
            depends_on: Box::default(),
            options: Arc::default(),
        }
    }

    /// Sets the parameters to what the value serializes to.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn with_params<T: serde::Serialize + ?Sized>(
        mut self,
        params: &T,
    ) -> Result<Self, serde_json::Error> {
        self.params = Json::new(params)?;
        Ok(self)
    }

    /// Sets the id by which other tasks name this one.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the name for people.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a task that must complete first.
    #[must_use]
    pub fn after(mut self, id: &str) -> Self {
        let mut needed = self.depends_on.into_vec();
        needed.push(id.into());
        self.depends_on = needed.into();
        self
    }

    /// Sets the priority.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        Arc::make_mut(&mut self.options).priority = priority;
        self
    }

    /// Sets how often it is tried again after a failure.
    #[must_use]
    pub fn with_max_retries(mut self, max_retries: u32) -> Self {
        Arc::make_mut(&mut self.options).max_retries = max_retries;
        self
    }

    /// Sets how long one attempt may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.options).timeout = Some(timeout);
        self
    }

    /// Sets which failures are retried, and after which delays.
    #[must_use]
    pub fn with_retry(mut self, retry: RetrySpec) -> Self {
        Arc::make_mut(&mut self.options).retry = retry;
        self
    }

    /// Sets what becomes of it when a shutdown or a crash cuts it off.
    #[must_use]
    pub fn with_on_interrupt(mut self, on_interrupt: OnInterrupt) -> Self {
        Arc::make_mut(&mut self.options).on_interrupt = on_interrupt;
        self
    }
}
