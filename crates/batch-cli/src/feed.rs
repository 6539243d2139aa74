//! Tasks that come in while the batch runs: [`Feeder`], from input lines into the batch file, or into a run that
//! has none.

use std::sync::Arc;
use std::time::Duration;

use batch_actions::Engine;
use batch_core::TaskSpec;
use batch_input::TaskStream;
use batch_runtime::{RunEnded, RunHandle};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::drive::{Input, room};
use crate::exit::CliError;

/// So many tasks of a stream are known at once, beside those that run.
const WINDOW: usize = 8_192;

/// So many tasks of a stream are handed over at once; fewer when no more wait.
const HANDFUL: usize = 256;

/// What follows the first item within this time is looked at together with it.
const AT_ONCE: Duration = Duration::from_millis(5);

/// Reads items on threads of its own, as standard input may keep us waiting.
pub(crate) struct Feeder {
    tasks: mpsc::Receiver<Result<Read, CliError>>,
}

/// A task, and whether it is known to be the last.
struct Read {
    task: TaskSpec,
    last: bool,
}

/// Tasks in a row, and what is wrong with the item behind them.
type Handful = (Vec<Read>, Option<CliError>);

fn on_a_thread(work: impl FnOnce() + Send + 'static) -> Result<(), CliError> {
    let started = std::thread::Builder::new().spawn(work);
    started
        .map(drop)
        .map_err(|error| CliError::System("start a thread to read the input", error))
}

/// Splits what was read at the error that ends it.
fn up_to_error(read: Vec<Result<Read, CliError>>) -> Handful {
    let mut handful = Vec::with_capacity(read.len());
    for item in read {
        match item {
            Ok(read) => handful.push(read),
            Err(error) => return (handful, Some(error)),
        }
    }
    (handful, None)
}

impl Feeder {
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(stream: Box<TaskStream>) -> Result<Self, CliError> {
        let (sender, tasks) = mpsc::channel(HANDFUL);
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
        Ok(Self { tasks })
    }

    /// What comes at once in the beginning. A wrong item among it is found before anything runs, and nothing does then.
    async fn first_handful(&mut self) -> Result<Vec<Read>, CliError> {
        let until = Instant::now() + AT_ONCE;
        let mut handful = Vec::new();
        while handful.len() < HANDFUL
            && let Ok(Some(read)) = timeout_at(until, self.tasks.recv()).await
        {
            handful.push(read?);
        }
        Ok(handful)
    }

    /// What waits, at most a handful, and the error behind it that ends the input. `None` at the end.
    fn blocking_handful(&mut self) -> Option<Handful> {
        let mut handful = Vec::with_capacity(HANDFUL);
        match self.tasks.blocking_recv_many(&mut handful, HANDFUL) {
            0 => None,
            _ => Some(up_to_error(handful)),
        }
    }

    /// Writes tasks into the file of a batch, and has the run see them, until there are no more or the run takes
    /// no more.
    pub(crate) async fn feed(mut self, engine: &Engine) -> Result<Input, CliError> {
        let mut first = Some((self.first_handful().await?, None));
        let adder = engine.adder();
        let (written, mut handfuls) = mpsc::channel(1);
        on_a_thread(move || {
            while let Some((handful, error)) = first.take().or_else(|| self.blocking_handful()) {
                let is_last = handful.last().is_some_and(|read| read.last);
                let tasks: Vec<_> = handful.into_iter().map(|read| read.task).collect();
                let added = match tasks.is_empty() {
                    true => Ok(()),
                    false => adder.add(&tasks, is_last).map_err(CliError::from),
                };
                let done = added.and(error.map_or(Ok(()), Err));
                let last = done.is_err();
                if written.blocking_send(done).is_err() || last {
                    return;
                }
            }
        })?;
        while let Some(written) = handfuls.recv().await {
            written?;
            engine.look().await?;
            if room(engine.run(), WINDOW).await == Err(RunEnded) || engine.is_stopping() {
                return Ok(Input::Cut);
            }
        }
        Ok(Input::Whole)
    }

    /// Hands tasks to a run without a file.
    pub(crate) async fn feed_run(mut self, run: &RunHandle) -> Result<(), CliError> {
        let mut first = Some((self.first_handful().await?, None));
        loop {
            let (handful, error) = match first.take() {
                Some(handful) => handful,
                None => {
                    let mut handful = Vec::with_capacity(HANDFUL);
                    if self.tasks.recv_many(&mut handful, HANDFUL).await == 0 {
                        return Ok(());
                    }
                    up_to_error(handful)
                }
            };
            let tasks = handful.into_iter().map(|read| Arc::new(read.task));
            let fed = run.ingest(tasks.collect(), WINDOW).await;
            match (error, fed) {
                (Some(error), _) => return Err(error),
                (None, Err(RunEnded)) => return Ok(()),
                (None, Ok(())) => {}
            }
        }
    }
}
