//! Tasks that come in while the batch runs: [`Feeder`], from input lines into the batch file, or into a run that
//! has none.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use batch_actions::Engine;
use batch_core::TaskSpec;
use batch_input::TaskStream;
use batch_runtime::{RunEnded, RunHandle};
use batch_store::lock;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::blocks::remove_used_blocks;
use crate::exit::CliError;

/// How many tasks of a stream are known at once, beside those that run.
const WINDOW: usize = 8_192;

/// How many tasks of a stream are handed over together; fewer when no more wait.
const CHUNK: usize = 256;

/// A stream of large tasks hands over one at a time, so that little of it is kept.
const LARGE_CHUNK: usize = 1;

/// What follows the first item within this time is looked at together with it.
const FIRST_TIMEOUT: Duration = Duration::from_millis(5);

/// Reads items on threads of its own, as standard input may keep us waiting.
pub(crate) struct Feeder {
    tasks: mpsc::Receiver<Result<Read, CliError>>,
    /// How many tasks are known at once.
    window: usize,
    /// Tasks read pieces of the input, which are removed when they are done.
    has_blocks: bool,
}

/// How far the input was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// All of it is in the batch.
    Whole,
    /// The run was stopped before its end.
    Cut,
}

/// A task, and whether it is known to be the last.
struct Read {
    task: TaskSpec,
    last: bool,
}

/// Tasks in a row, and what is wrong with the item behind them.
type Chunk = (Vec<Read>, Option<CliError>);

/// The first tasks of the input.
#[derive(Default)]
pub(crate) struct First {
    pub(crate) tasks: Vec<TaskSpec>,
    /// They are known to be all.
    pub(crate) is_all: bool,
}

fn on_a_thread(work: impl FnOnce() + Send + 'static) -> Result<(), CliError> {
    let started = std::thread::Builder::new().spawn(work);
    started
        .map(drop)
        .map_err(|error| CliError::System("start a thread to read the input", error))
}

/// Splits what was read at the error that ends it.
fn up_to_error(read: Vec<Result<Read, CliError>>) -> Chunk {
    let mut chunk = Vec::with_capacity(read.len());
    for item in read {
        match item {
            Ok(read) => chunk.push(read),
            Err(error) => return (chunk, Some(error)),
        }
    }
    (chunk, None)
}

impl Feeder {
    /// Begins to read. `slots` is how many tasks run at once.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(mut stream: Box<TaskStream>, slots: NonZeroU32) -> Result<Self, CliError> {
        let has_blocks = stream.has_blocks();
        let (chunk, window) = match stream.are_large() {
            true => (LARGE_CHUNK, (2 * slots.get() as usize + 1).min(WINDOW)),
            false => (CHUNK, WINDOW),
        };
        let (sender, tasks) = mpsc::channel(chunk);
        on_a_thread(move || {
            let mut stream = *stream;
            while let Some(task) = stream.next() {
                let last = task.is_err();
                let read = task
                    .map_err(|error| CliError::Usage(error.to_string()))
                    .map(|task| Read {
                        task,
                        last: stream.is_over(),
                    });
                if sender.blocking_send(read).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(Self {
            tasks,
            window,
            has_blocks,
        })
    }

    /// What comes in the very beginning. A wrong item among it is found before anything runs, and nothing does then.
    ///
    /// # Errors
    /// When an item is wrong.
    pub(crate) async fn first(&mut self) -> Result<First, CliError> {
        let until = Instant::now() + FIRST_TIMEOUT;
        let mut first = First::default();
        while first.tasks.len() < CHUNK {
            match timeout_at(until, self.tasks.recv()).await {
                Ok(Some(read)) => {
                    let read = read?;
                    first.tasks.push(read.task);
                    if read.last {
                        first.is_all = true;
                        break;
                    }
                }
                Ok(None) => {
                    first.is_all = true;
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(first)
    }

    /// What waits, at most a chunk, and the error behind it that ends the input. `None` at the end.
    fn blocking_chunk(&mut self) -> Option<Chunk> {
        let mut chunk = Vec::with_capacity(CHUNK);
        match self.tasks.blocking_recv_many(&mut chunk, CHUNK) {
            0 => None,
            _ => Some(up_to_error(chunk)),
        }
    }

    /// Writes the tasks after the first into the file of a batch, and has the run see them, until there are no more or
    /// the run takes no more.
    pub(crate) async fn feed(mut self, engine: &Engine) -> Result<Input, CliError> {
        let (adder, window) = (engine.adder(), self.window);
        let store = self.has_blocks.then(|| Arc::clone(engine.store()));
        let (written, mut chunks) = mpsc::channel(1);
        on_a_thread(move || {
            while let Some((chunk, error)) = self.blocking_chunk() {
                let is_last = chunk.last().is_some_and(|read| read.last);
                let tasks: Vec<_> = chunk.into_iter().map(|read| read.task).collect();
                let added = match tasks.is_empty() {
                    true => Ok(()),
                    false => adder.add(&tasks, is_last).map_err(CliError::from),
                };
                if let Some(store) = &store {
                    remove_used_blocks(&lock(store));
                }
                let done = added.and(error.map_or(Ok(()), Err));
                let last = done.is_err();
                if written.blocking_send(done).is_err() || last {
                    return;
                }
            }
        })?;
        let ended = engine.run().takes_no_more();
        tokio::pin!(ended);
        loop {
            let written = tokio::select! {
                biased;
                written = chunks.recv() => written,
                // Nothing more may ever come, and the batch is not to wait for it.
                () = &mut ended => return Ok(Input::Cut),
            };
            let Some(written) = written else {
                return Ok(Input::Whole);
            };
            written?;
            engine.look().await?;
            if engine.run().ingest(Vec::new(), window).await == Err(RunEnded)
                || engine.is_stopping()
            {
                return Ok(Input::Cut);
            }
        }
    }

    /// Hands tasks to a run without a file.
    pub(crate) async fn feed_run(mut self, run: &RunHandle) -> Result<(), CliError> {
        let mut tasks = self.first().await?.tasks;
        let mut error = None;
        let ended = run.takes_no_more();
        tokio::pin!(ended);
        loop {
            let fed = run
                .ingest(tasks.into_iter().map(Arc::new).collect(), self.window)
                .await;
            match (error, fed) {
                (Some(error), _) => return Err(error),
                (None, Err(RunEnded)) => return Ok(()),
                (None, Ok(())) => {}
            }
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = tokio::select! {
                biased;
                read = self.tasks.recv_many(&mut chunk, CHUNK) => read,
                () = &mut ended => 0,
            };
            if read == 0 {
                return Ok(());
            }
            let read;
            (read, error) = up_to_error(chunk);
            tasks = read.into_iter().map(|read| read.task).collect();
        }
    }
}
