//! The code that performs a function: [`Handler`], what it is given ([`TaskContext`]) and gives back.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use batch_core::{
    Failure, FailureKind, Json, Output, TaskSpec,
    catalog::{Catalog, ParamProblem, References},
    ids::FullTaskId,
};
use batch_template::{
    Encodings, Functions, Placeholder, Secrets, VARIABLE_ROOT, check_variable, fill_root,
    may_have_placeholders, placeholders, references,
};
use serde::de::DeserializeOwned;

use crate::cancel::CancelToken;

/// The code that performs a function.
///
/// One handler serves many tasks at once; what belongs to one attempt is in its [`TaskContext`].
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Performs one attempt.
    ///
    /// # Errors
    /// What went wrong; the retry policy decides what follows. A panic fails the attempt only.
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError>;

    /// Checks the parameters of a task before anything runs.
    ///
    /// # Errors
    /// All problems found.
    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let _ = params;
        Ok(())
    }

    /// What becomes of an attempt that is cancelled or out of time.
    fn on_cancel(&self) -> OnCancel {
        OnCancel::Drop
    }

    /// How values from other tasks are written at the places of these parameters, such as `script`, so that data
    /// never becomes code.
    fn encodings(&self, params: &Json) -> Encodings {
        let _ = params;
        Encodings::text()
    }

    /// The host and port that a task with these parameters goes to, as [`Failure::host`] names it, where that is known
    /// before anything is filled in.
    fn host(&self, params: &Json) -> Option<String> {
        let _ = params;
        None
    }

    /// Whether a text of the parameters may name variables of the environment, `{{ env.NAME }}`. `path` is the
    /// place, such as `headers.Authorization`.
    fn takes_variables(&self, path: &str) -> bool {
        let _ = path;
        false
    }
}

/// What becomes of an attempt that is cancelled or out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCancel {
    /// Its future is dropped at once: right for whatever cleans up when dropped.
    Drop,
    /// The handler watches [`TaskContext::cancel`], ends what it started and returns.
    Cooperate,
}

/// Why an attempt did not give an output.
#[derive(Debug)]
pub enum AttemptError {
    /// It failed.
    Failed(Box<Failure>),
    /// It could not begin, as the system is short of this (processes, open files, memory): the task goes back to the
    /// queue, this is no attempt, and fewer tasks run at once for a while. When nothing runs and nothing can be
    /// started for half a minute, the run ends.
    Busy(String),
}

impl From<Failure> for AttemptError {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// One attempt at a task, as its handler sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskContext {
    /// The task and its batch.
    pub id: FullTaskId,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// The slot it runs in, from 0: no two tasks that run at once have the same.
    pub slot: u32,
    /// The task, with all placeholders filled in.
    pub spec: Arc<TaskSpec>,
    /// Tells when the attempt is to end early.
    pub cancel: CancelToken,
    pub(crate) secrets: Option<Secrets>,
}

impl TaskContext {
    /// The first attempt at a task, in slot 0: for calling a handler by hand.
    pub fn new(id: FullTaskId, spec: TaskSpec) -> Self {
        Self {
            id,
            attempt: 1,
            slot: 0,
            spec: Arc::new(spec),
            cancel: CancelToken::new(),
            secrets: None,
        }
    }

    /// Sets the values of variables that were filled in.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// The values of variables that were filled in. The runtime masks them in what the handler returns, but for
    /// outputs that are in files and for other encodings of them.
    pub fn secrets(&self) -> &Secrets {
        static NONE: LazyLock<Secrets> = LazyLock::new(Secrets::default);
        self.secrets.as_ref().unwrap_or(&NONE)
    }

    /// Reads the parameters into a type.
    ///
    /// # Errors
    /// A permanent failure that names the field, when they have another shape.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.spec.params.get().map_err(|error| {
            Failure::new(FailureKind::InputError, format!("params: {error}")).permanent()
        })
    }
}

/// The handlers by the name of their function.
#[derive(Clone, Default)]
pub struct Registry {
    handlers: BTreeMap<Arc<str>, Arc<dyn Handler>>,
    help: Option<Arc<str>>,
}

impl Registry {
    /// A registry without handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler, in place of an earlier one of that name.
    #[must_use]
    pub fn with(mut self, function: &str, handler: impl Handler) -> Self {
        self.handlers.insert(function.into(), Arc::new(handler));
        self
    }

    /// Adds an async function as a handler.
    ///
    /// ```
    /// use batch_core::{Json, Output};
    /// use batch_runtime::Registry;
    /// let registry = Registry::new().with_fn("double", |task| async move {
    ///     let n: i64 = task.params()?;
    ///     Ok(Output::from_value(Json::from(serde_json::json!(n * 2))))
    /// });
    /// ```
    #[must_use]
    pub fn with_fn<F, R>(self, function: &str, run: F) -> Self
    where
        F: Fn(TaskContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Output, AttemptError>> + Send + 'static,
    {
        self.with(function, FnHandler(run))
    }

    /// Sets how to come by a function that is not there, for the help of that mistake.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Arc<str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The handler of a function.
    pub fn get(&self, function: &str) -> Option<&Arc<dyn Handler>> {
        self.handlers.get(function)
    }

    /// The handler of a function, or one that fails: a checked plan needs none, a fed task may.
    pub(crate) fn get_or_missing(&self, function: &str) -> Arc<dyn Handler> {
        let missing = || Arc::new(Missing) as Arc<dyn Handler>;
        self.get(function).map_or_else(missing, Arc::clone)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

impl Functions for Registry {
    fn encodings(&self, function: &str, params: &Json) -> Encodings {
        let handler = self.get(function);
        handler.map_or_else(Encodings::text, |handler| handler.encodings(params))
    }
}

impl Catalog for Registry {
    fn functions(&self) -> Vec<&str> {
        self.handlers.keys().map(AsRef::as_ref).collect()
    }

    fn check(&self, task: &TaskSpec) -> Result<(), Vec<ParamProblem>> {
        let Some(handler) = self.get(&task.function) else {
            return Ok(());
        };
        handler.check(&task.params)?;
        check_places(handler.as_ref(), task)
    }

    fn references(&self, task: &TaskSpec) -> References {
        references(task)
    }

    fn check_variable(&self, value: &str) -> Result<(), ParamProblem> {
        check_variable(value)
    }

    fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// Refuses results of other tasks where they could not be put in, as inside the quotes of a script, and variables
/// where they are not taken. What is wrong with them otherwise is told elsewhere.
fn check_places(handler: &dyn Handler, task: &TaskSpec) -> Result<(), Vec<ParamProblem>> {
    let params = &task.params;
    if !may_have_placeholders(params) {
        return Ok(());
    }
    let Ok(found) = placeholders(params) else {
        return Ok(());
    };
    let misplaced = |placeholder: &Placeholder| {
        placeholder.root == VARIABLE_ROOT && !handler.takes_variables(&placeholder.place)
    };
    let misplaced: Vec<_> = found.into_iter().filter(misplaced).collect();
    if !misplaced.is_empty() {
        return Err(misplaced.into_iter().map(misplaced_variable).collect());
    }
    // No placeholder has this root: all are left as they are, and only their places are looked at.
    let nothing = |_: &Placeholder| Err(String::new());
    fill_root(params, &[], &nothing, &encodings_for(handler, task)).map(drop)
}

/// How the parameters of a task take values, as its handler and its author say.
pub(crate) fn encodings_for(handler: &dyn Handler, task: &TaskSpec) -> impl Fn(&Json) -> Encodings {
    let allow_code = task.options.allow_code;
    move |params| handler.encodings(params).allowing(allow_code)
}

fn misplaced_variable(placeholder: Placeholder) -> ParamProblem {
    let message = format!("{placeholder}: an environment variable is not allowed here");
    let help = "give it to the task with \"env\" and write $NAME; it is allowed in \"env\" and in the url, headers and body of http";
    ParamProblem::new(placeholder.place, message).with_help(help)
}

struct FnHandler<F>(F);

#[async_trait]
impl<F, R> Handler for FnHandler<F>
where
    F: Fn(TaskContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Output, AttemptError>> + Send + 'static,
{
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        (self.0)(task.clone()).await
    }
}

/// Stands in for a handler that is not there.
struct Missing;

#[async_trait]
impl Handler for Missing {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let message = format!(
            "there is no handler for the function {:?}",
            task.spec.function
        );
        Err(Failure::new(FailureKind::InputError, message)
            .permanent()
            .into())
    }
}
