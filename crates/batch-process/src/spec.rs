//! What to run and how: [`Spec`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::capture_limits::CaptureLimits;
use crate::tap::OutputTap;

pub use batch_core::catalog::MAX_ARGUMENT as MAX_ARGUMENT_BYTES;

/// What a process reads on its standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file, from its beginning.
    File(PathBuf),
}

/// A program to run, and how.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The program, by name (looked up in the `PATH` the process gets) or by path (from `cwd`), and its
    /// arguments.
    pub argv: Vec<OsString>,
    /// The working folder; the caller's own when `None`.
    pub cwd: Option<PathBuf>,
    /// Environment on top of the caller's; of two values for a name the later one counts.
    ///
    /// The caller's environment is read once, at the first spawn.
    pub env: Vec<(OsString, OsString)>,
    /// What the process reads on standard input; `/dev/null` when `None`.
    pub stdin: Option<Stdin>,
    /// The id of the task. The process gets it as `BEX_TASK_ID`, and is found by it when it left its
    /// group and its parents; files of its output are named by it.
    pub task: String,
    /// The time between asking the process to end and killing it.
    pub grace: Duration,
    /// Where and from which size on its output goes to files.
    pub capture: Arc<CaptureLimits>,
    /// Hears what it prints, as it prints it.
    pub tap: Option<Arc<dyn OutputTap>>,
}

impl Spec {
    /// Runs a program with arguments, in the caller's folder, with five seconds of grace, and with
    /// output past 256 KiB in the system's folder for temporary files.
    pub fn new<A: Into<OsString>>(argv: impl IntoIterator<Item = A>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: None,
            env: Vec::new(),
            stdin: None,
            task: String::from("b1.1"),
            grace: Duration::from_secs(5),
            capture: Arc::default(),
            tap: None,
        }
    }
}
