//! How much of an output stays in memory, and where the rest goes: [`CaptureLimits`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use batch_core::outcome::StreamKind;

use crate::disk_space::DiskSpaceWatch;
use crate::tap::{LiveOutput, OutputTap};

/// Where output goes that does not stay in memory, and from which size on.
#[derive(Clone, Debug)]
pub struct CaptureLimits {
    /// The folder for the files; made when it is first needed.
    pub folder: PathBuf,
    /// The most bytes of one output that stay in memory.
    pub in_memory: usize,
    /// When a process has run for this long, what it has written and all that it writes from then on
    /// goes to its files at once, for others to read along. At its end an output of at most `in_memory`
    /// bytes is taken back and its file removed. `None`: there is nothing to read before the end.
    ///
    /// The files are called `TASK-RANDOM.stdout` and `TASK-RANDOM.stderr`, `TASK` being the task's id.
    /// There is none for an output that is still empty. An executor that is killed leaves them.
    pub live_after: Option<Duration>,
    /// Hears of outputs as they come.
    pub live: Option<Arc<dyn LiveOutput>>,
    /// Hears of outputs that wait, as the disk of the folder is full.
    pub disk_space: Option<Arc<dyn DiskSpaceWatch>>,
}

impl Default for CaptureLimits {
    /// 256 KiB, the system's folder for temporary files, and nothing to read before the end.
    fn default() -> Self {
        Self {
            folder: std::env::temp_dir(),
            in_memory: Self::DEFAULT_IN_MEMORY,
            live_after: None,
            live: None,
            disk_space: None,
        }
    }
}

impl CaptureLimits {
    /// 256 KiB.
    pub const DEFAULT_IN_MEMORY: usize = 256 * 1024;
}

/// Where one output may spill to.
#[derive(Clone, Debug)]
pub(crate) struct CaptureTarget {
    pub(crate) limits: Arc<CaptureLimits>,
    /// Before the random part of the file's name.
    pub(crate) prefix: String,
    /// After it.
    pub(crate) suffix: &'static str,
    pub(crate) stream: StreamKind,
    pub(crate) tap: Option<Arc<dyn OutputTap>>,
}
