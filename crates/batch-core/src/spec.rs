//! What a task is, as its author wants it: [`TaskSpec`] and the options on it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::json::Json;
use crate::retry::RetrySpec;
use crate::status::{Priority, UnknownName};

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
    /// The ids of tasks that must complete first.
    pub depends_on: Box<[Box<str>]>,
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
    /// Values may be filled into the code of an interpreter, as after `bash -c`.
    pub allow_code: bool,
}

/// What becomes of a task whose attempt was cut off by a shutdown or a crash of the executor.
///
/// For tasks that must not simply run twice: nobody knows how far the attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OnInterrupt {
    /// It goes back into the queue and runs again.
    #[default]
    Rerun,
    /// It waits until somebody has looked at it and releases it.
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
        let mut ids = self.depends_on.into_vec();
        ids.push(id.into());
        self.depends_on = ids.into();
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

    /// The name for people: the name, else the id, else the function.
    pub fn label(&self) -> &str {
        self.name
            .as_deref()
            .or(self.id.as_deref())
            .unwrap_or(&self.function)
    }
}
