//! Starting the program of a [`Spec`]: [`start`], and the process that came of it, [`Leader`].

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use batch_core::outcome::ProcessEnd;
use tokio::time::{Instant, sleep};

use crate::environment::{self, Variable};
use crate::platform::{self, AttemptMark, ExitWatch, Tree};
use crate::spawn_error::SpawnError;
use crate::spec::{MAX_ARGUMENT_BYTES, Spec};
use crate::sys::{self, Launch, Pid, Usage};
use crate::{leaders, limits, program};

/// How long killed processes may take to be gone: longer means that they hang in the kernel.
pub(crate) const KILL_WAIT: Duration = Duration::from_secs(5);

/// How long a process that has ended may take until its end can be taken.
const TRACER_WAIT: Duration = Duration::from_secs(1);

/// Between two tries to take an end: a process that is killed is gone in microseconds, unless it hangs in the
/// kernel.
const PAUSE: Duration = Duration::from_millis(1);

const LONG_PAUSE: Duration = Duration::from_millis(200);

/// Starts the program of a spec, with these as its standard input, output and error.
pub(crate) fn start(spec: &Spec, stdio: [BorrowedFd<'_>; 3]) -> Result<Leader, SpawnError> {
    let program = spec.argv.first().ok_or(SpawnError::NoProgram)?;
    platform::count_memory_kills();
    let argv = arguments(spec)?;
    let additions = additions(spec)?;
    let cwd = spec.cwd.as_deref();
    let path = program::locate(program, &additions, cwd)?;
    let mark = AttemptMark::next();
    // Kept free for the watch: where there are too few open files, it shows before the program begins.
    let reserved = stdio[0]
        .try_clone_to_owned()
        .map_err(|error| SpawnError::before_start(program, error))?;
    let pid = launch(&path, &argv, &additions, cwd, stdio, mark).map_err(|error| {
        if error.raw_os_error() == Some(libc::ENOENT) {
            program::forget();
        }
        SpawnError::of_start(program, &path, cwd, error)
    })?;
    drop(reserved);
    Leader::new(Tree::of_attempt(pid, &spec.task, mark), pid)
        .map_err(|error| SpawnError::before_start(program, error))
}

/// The process that was started, not waited for yet. Killed with its tree when dropped before that.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) pid: Pid,
    pub(crate) tree: Tree,
    pub(crate) watch: ExitWatch,
    end_taken: bool,
}

impl Leader {
    fn new(tree: Tree, pid: Pid) -> io::Result<Self> {
        match ExitWatch::new(pid) {
            Ok(watch) => Ok(Self {
                pid,
                tree,
                watch,
                end_taken: false,
            }),
            Err(error) => {
                tree.kill_now();
                reap_killed(pid);
                Err(error)
            }
        }
    }

    /// Takes the end of the process. If it still runs after a while, it hangs in the kernel after a kill or belongs
    /// to another user: it has neither code nor signal then, and is left to `drop`.
    pub(crate) async fn take_end(&mut self, leaking: bool) -> ProcessEnd {
        let Ok(Some(usage)) = self.end_in_time().await else {
            return ProcessEnd {
                leaking,
                ..ProcessEnd::default()
            };
        };
        self.end_taken = true;
        let status = ExitStatus::from_raw(usage.status);
        ProcessEnd {
            exit_code: status.code(),
            signal: status.signal(),
            cpu_time: usage.cpu_time,
            peak_memory: usage.peak_memory,
            leaking,
        }
    }
}

impl Leader {
    /// The end of the process. Of one that is traced the tracer hears first, as with `strace -f bex`; then it comes
    /// a moment after the process has ended.
    async fn end_in_time(&self) -> io::Result<Option<Usage>> {
        let until = Instant::now() + TRACER_WAIT;
        loop {
            match leaders::take_end(self.pid) {
                Ok(None) if Instant::now() < until => sleep(PAUSE).await,
                end => return end,
            }
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.end_taken {
            self.tree.kill_now();
            reap_killed(self.pid);
        }
    }
}

/// Takes the end of a killed leader without waiting for it here.
fn reap_killed(pid: Pid) {
    if !matches!(leaders::take_end(pid), Ok(None)) {
        return;
    }
    let reap = async move {
        let mut pause = PAUSE;
        while matches!(leaders::take_end(pid), Ok(None)) {
            sleep(pause).await;
            // One that belongs to another user may run for long.
            pause = (pause * 2).min(LONG_PAUSE);
        }
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(reap)),
        // The runtime is ending. What is not reaped goes with this process.
        Err(_) => std::thread::sleep(PAUSE),
    }
}

fn arguments(spec: &Spec) -> Result<Vec<CString>, SpawnError> {
    let arguments = spec.argv.iter().enumerate().map(|(index, argument)| {
        if argument.len() > MAX_ARGUMENT_BYTES {
            return Err(SpawnError::ArgumentTooLong {
                index,
                len: argument.len(),
            });
        }
        CString::new(argument.clone().into_vec()).map_err(|_| SpawnError::ZeroByte {
            what: format!("argument {index}"),
        })
    });
    arguments.collect()
}

/// The variables of the spec and the marks, which come last and so count.
fn additions(spec: &Spec) -> Result<Vec<Variable>, SpawnError> {
    let marks = [
        ("BEX_TASK_ID", spec.task.as_str()),
        ("BEX_RUN", platform::run_mark()),
    ];
    let given = spec
        .env
        .iter()
        .map(|(name, value)| Variable::new(name, value));
    given
        .chain(marks.map(|(name, value)| Variable::new(OsStr::new(name), OsStr::new(value))))
        .collect()
}

fn launch(
    path: &Path,
    argv: &[CString],
    additions: &[Variable],
    cwd: Option<&Path>,
    stdio: [BorrowedFd<'_>; 3],
    mark: AttemptMark,
) -> io::Result<Pid> {
    let as_c = |path: &Path| CString::new(path.as_os_str().to_owned().into_vec());
    let program = as_c(path)?;
    let cwd = cwd.map(as_c).transpose()?;
    let env = environment::with(additions);
    let launch = Launch {
        program: &program,
        argv,
        env: &env,
        cwd: cwd.as_deref(),
        stdio,
        open_files: limits::to_give_back(),
        file_locks: mark.limits(),
    };
    leaders::start(|| sys::spawn(&launch))
}
