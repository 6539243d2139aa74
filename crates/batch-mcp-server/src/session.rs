//! What the tools work with: a [`Session`], and for each call a [`CallContext`].

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use batch_actions::{ActionError, Home, default_slots};
use batch_core::BatchId;
use batch_runtime::{Registry, start_runtime};
use batch_store::BatchFile;
use tokio_util::sync::CancellationToken;

use crate::call_error::CallError;
use crate::limits::Limits;

/// Receives the progress of a call: finished tasks, all tasks, and a line for people.
pub type Progress = Arc<dyn Fn(u64, u64, &str) + Send + Sync>;

/// What goes on around a call.
#[derive(Clone, Default)]
pub struct CallContext {
    /// Ends the waiting of the call, never the batch. May be cancelled from any thread.
    pub cancel: CancellationToken,
    /// Called now and then while a call waits.
    pub progress: Option<Progress>,
    /// How long `bex_run` waits where the call does not say it.
    pub default_wait: Option<Duration>,
}

/// Where batches are kept, what tasks may do, and how a batch is run in the background.
///
/// Nothing of a batch is kept here: each call reads the batch's file, so every call may come to a new process.
#[derive(Clone)]
pub struct Session {
    /// The folder of the batches.
    pub home: Home,
    /// The functions that tasks may name.
    pub registry: Registry,
    /// Makes the command that works on a batch in the background, given its file.
    pub executor: Arc<dyn Fn(&Path) -> Command + Send + Sync>,
    /// The folder that tasks without one run in, and that relative paths are relative to.
    pub folder: PathBuf,
    /// What the operator allows.
    pub limits: Limits,
}

impl Session {
    /// A session in the current folder, without limits.
    pub fn new(
        home: Home,
        registry: Registry,
        executor: impl Fn(&Path) -> Command + Send + Sync + 'static,
    ) -> Self {
        Self {
            home,
            registry,
            executor: Arc::new(executor),
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            limits: Limits::default(),
        }
    }

    /// The file of a batch: the one named, else the latest.
    pub(crate) fn file(&self, batch: Option<BatchId>) -> Result<BatchFile, CallError> {
        self.home.find(batch).map_err(|error| match error {
            ActionError::UnknownBatch { batch, .. } => unknown_batch(&self.home, batch),
            other => other.into(),
        })
    }

    /// A path that a call gives, in the session's folder and below the operator's root.
    pub(crate) fn path(&self, path: &str) -> Result<PathBuf, String> {
        self.limits.below_root(&self.folder.join(path))
    }

    /// The slots asked for, else the default, within the operator's limit.
    pub(crate) fn slots(&self, asked: Option<NonZeroU32>, notes: &mut Vec<String>) -> NonZeroU32 {
        match asked {
            Some(asked) => self.limits.concurrency(asked, notes),
            // The call asked for nothing that is lowered here, so there is nothing to note.
            None => self.limits.concurrency(default_slots(), &mut Vec::new()),
        }
    }
}

fn unknown_batch(home: &Home, batch: BatchId) -> CallError {
    let known = home.batches_there().unwrap_or_default();
    let near = known
        .iter()
        .min_by_key(|known| known.get().abs_diff(batch.get()));
    let help = match near.zip(known.last()) {
        Some((near, latest)) if near == latest => format!("the nearest and latest is {near}"),
        Some((near, latest)) => format!("the nearest is {near}, the latest {latest}"),
        None => "there are no batches yet; create one with bex_run".to_owned(),
    };
    CallError::of("batch", format!("unknown batch {batch}; {help}"))
}

/// Runs one of the async actions to its end.
pub(crate) fn block_on<T>(action: impl Future<Output = T>) -> Result<T, CallError> {
    let runtime = start_runtime(tokio::runtime::Builder::new_current_thread().enable_time())
        .map_err(|error| CallError::new(format!("cannot start a runtime: {error}")))?;
    Ok(runtime.block_on(action))
}
