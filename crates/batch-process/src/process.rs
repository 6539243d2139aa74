//! One running process with its tree: [`Process`], and what is left when it has ended: [`Ended`].

use std::fs::File;
use std::future::Future;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::time::Duration;

use batch_core::outcome::{ProcessEnd, Stream};
use tokio::time::{sleep, timeout};

use crate::capture::Filled;
use crate::output::{Outputs, output_pipe};
use crate::platform;
use crate::spawn_error::SpawnError;
use crate::spec::{Spec, Stdin};
use crate::start::{Leader, start};
use crate::sweep::Leftover;

/// How long the outputs are read on when the process has ended and another one holds them.
const LEAK_WAIT: Duration = Duration::from_millis(200);

/// A process that is gone before this leaves what it wrote in its pipes, from where it is read at once: to be told
/// of each write would cost more. One that fills a pipe sooner waits until then.
const MOMENT: Duration = Duration::from_millis(5);

/// A started process. Call [`Process::run`]; dropping it kills everything the process started.
#[derive(Debug)]
pub struct Process {
    leader: Leader,
    outputs: Outputs,
    grace: Duration,
}

/// A process that has ended, and what it left.
#[derive(Debug)]
pub struct Ended {
    /// How it ended and what it used.
    pub end: ProcessEnd,
    /// Its standard output.
    pub stdout: Stream,
    /// Its standard error.
    pub stderr: Stream,
    /// It was still running when it was asked to end.
    pub cancelled: bool,
    /// Its output could not be kept, and it was killed for that; the stream is empty then.
    pub output_error: Option<io::Error>,
    /// Processes of it that could not be ended, as they belong to another user or hang in the kernel.
    pub leftovers: Vec<Leftover>,
    /// The system killed it, or a process whose end it passed on as exit code 137, because memory ran out. Linux only.
    pub out_of_memory: bool,
}

impl Process {
    /// Starts a process. Must be called inside a tokio runtime with I/O and time enabled.
    ///
    /// Returns when the program has been loaded, which takes some tenths of a millisecond.
    ///
    /// # Errors
    /// Whatever keeps it from starting, made out as exactly as the system allows.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(spec: &Spec) -> Result<Self, SpawnError> {
        let program = spec.argv.first().ok_or(SpawnError::NoProgram)?;
        let early = |error| SpawnError::before_start(program, error);
        let (stdout, stdout_end) = output_pipe().map_err(early)?;
        let (stderr, stderr_end) = output_pipe().map_err(early)?;
        let given = match &spec.stdin {
            None => None,
            Some(Stdin::Bytes(bytes)) => Some(stdin_with(bytes).map_err(early)?),
            Some(Stdin::File(path)) => {
                Some(File::open(path).map_err(|error| SpawnError::input(path, program, error))?)
            }
        };
        let stdin = match &given {
            Some(file) => file.as_fd(),
            None => dev_null().map_err(early)?,
        };
        let outputs = Outputs::new(stdout, stderr, &spec.task, &spec.capture, spec.tap.as_ref());
        let leader = start(spec, [stdin, stdout_end.as_fd(), stderr_end.as_fd()])?;
        Ok(Self {
            leader,
            outputs,
            grace: spec.grace,
        })
    }

    /// The number of the process, which is that of its group too.
    pub fn id(&self) -> u32 {
        self.leader.pid.unsigned_abs()
    }

    /// Runs the process to its end, or ends it.
    ///
    /// When `end` becomes ready, everything the process started is asked to end (SIGTERM) and after
    /// the time of grace killed; when `kill` becomes ready, killed at once. Output is read all the
    /// while. A process that ends by itself may leave others in the background: they live on, and if
    /// they hold the outputs, reading stops after about 200 ms and [`ProcessEnd::leaking`] is set.
    ///
    /// Dropping the future kills everything at once.
    pub async fn run(
        mut self,
        end: impl Future<Output = ()>,
        kill: impl Future<Output = ()>,
    ) -> Ended {
        let (mut end, mut kill) = (pin!(end), pin!(kill));
        let stop = self.until_ended_or(end.as_mut(), kill.as_mut()).await;
        match stop {
            None => {}
            Some(Stop::Ask) => self.end(kill.as_mut()).await,
            Some(Stop::Kill | Stop::OutputFailed) => self.kill().await,
        }
        self.outputs.read_rest();
        while !self.outputs.are_closed() {
            // A failure comes out in `finish`.
            if timeout(LEAK_WAIT, self.outputs.fill()).await.is_err() {
                break;
            }
        }
        let cancelled = matches!(stop, Some(Stop::Ask | Stop::Kill));
        // One that was ended is not waited for until there is room for its output.
        let give_up = async {
            if stop.is_none() {
                tokio::select! {
                    () = end => {}
                    () = kill => {}
                }
            }
        };
        self.collect(cancelled, stop.is_some(), give_up).await
    }

    /// Reads output until the process has ended (`None`) or is to be ended.
    async fn until_ended_or(
        &mut self,
        mut end: Pin<&mut impl Future<Output = ()>>,
        mut kill: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<Stop> {
        tokio::select! {
            biased;
            _ = self.leader.watch.exited() => return None,
            () = kill.as_mut() => return Some(Stop::Kill),
            () = end.as_mut() => return Some(Stop::Ask),
            () = sleep(MOMENT) => {}
        }
        loop {
            let open = self.outputs.have_work();
            tokio::select! {
                biased;
                filled = self.outputs.fill(), if open => if filled == Filled::Failed {
                    return Some(Stop::OutputFailed);
                },
                _ = self.leader.watch.exited() => return None,
                () = &mut kill => return Some(Stop::Kill),
                () = &mut end => return Some(Stop::Ask),
            }
        }
    }

    /// Asks everything to end and waits for it; kills what is left after the time of grace.
    async fn end(&mut self, kill: Pin<&mut impl Future<Output = ()>>) {
        self.leader.tree.ask_to_end().await;
        self.grace(kill).await;
        self.kill().await;
    }

    /// Waits, reading on, until everything seems to be gone or the time of grace is over, or there is a reason not to
    /// wait.
    async fn grace(&mut self, mut kill: Pin<&mut impl Future<Output = ()>>) {
        let mut gone = pin!(timeout(self.grace, self.leader.tree.ended()));
        loop {
            let open = self.outputs.have_work();
            tokio::select! {
                _ = &mut gone => return,
                () = &mut kill => return,
                filled = self.outputs.fill(), if open => if filled == Filled::Failed {
                    return;
                },
            }
        }
    }

    /// Kills everything and waits until it is gone as far as that can be, reading on.
    async fn kill(&mut self) {
        let mut gone = pin!(self.leader.tree.kill());
        loop {
            let open = self.outputs.have_work();
            tokio::select! {
                () = &mut gone => return,
                _ = self.outputs.fill(), if open => {}
            }
        }
    }

    async fn collect(
        mut self,
        cancelled: bool,
        ended_by_us: bool,
        give_up: impl Future<Output = ()>,
    ) -> Ended {
        let leaking = !self.outputs.are_closed();
        let leftovers = if ended_by_us {
            self.leader.tree.left()
        } else {
            Vec::new()
        };
        let end = self.leader.take_end(leaking).await;
        let out_of_memory = !ended_by_us && is_killed(&end) && platform::was_killed_for_memory();
        let (stdout, stderr) = self.outputs.finish(give_up).await;
        let mut output_error = None;
        let mut keep = |stream: io::Result<Stream>| {
            stream.unwrap_or_else(|error| {
                output_error.get_or_insert(error);
                Stream::default()
            })
        };
        let (stdout, stderr) = (keep(stdout), keep(stderr));
        Ended {
            end,
            stdout,
            stderr,
            cancelled,
            output_error,
            leftovers,
            out_of_memory,
        }
    }
}

/// Why a process is ended.
#[derive(Clone, Copy)]
enum Stop {
    Ask,
    Kill,
    OutputFailed,
}

/// Whether it, or what a shell ran last in it, was ended by SIGKILL.
fn is_killed(end: &ProcessEnd) -> bool {
    end.signal == Some(libc::SIGKILL) || end.exit_code == Some(128 + libc::SIGKILL)
}

/// `/dev/null`, opened once for all.
fn dev_null() -> io::Result<BorrowedFd<'static>> {
    static NULL: OnceLock<File> = OnceLock::new();
    if let Some(file) = NULL.get() {
        return Ok(file.as_fd());
    }
    let file = File::open("/dev/null")?;
    Ok(NULL.get_or_init(|| file).as_fd())
}

/// A file with these bytes, at its beginning. A pipe would have to be fed while the process runs.
fn stdin_with(bytes: &[u8]) -> io::Result<File> {
    let mut file = platform::stdin_file()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
