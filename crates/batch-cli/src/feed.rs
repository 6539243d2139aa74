//! Tasks that come in while the batch runs: [`Feeder`], from input lines into the batch file, or into a run that
//! has none.

use std::sync::Arc;

use batch_actions::Engine;
use batch_core::TaskSpec;
use batch_input::TaskStream;
use batch_runtime::{Gone, RunHandle};
use tokio::sync::mpsc;

use crate::drive::{Input, room};
use crate::exit::CliError;

/// So many tasks of a stream are known at once, beside those that run.
const WINDOW: usize = 8_192;

/// So many tasks of a stream are handed over at once; fewer when no more wait.
const HANDFUL: usize = 256;

/// Reads items on threads of its own, as standard input may keep us waiting.
pub(crate) struct Feeder {
    tasks: mpsc::Receiver<Result<Read, CliError>>,
}

/// A task, and whether it is known to be the last.
struct Read {
    task: TaskSpec,
    last: bool,
}

impl Feeder {
    pub(crate) fn start(stream: Box<TaskStream>) -> Self {
        let (sender, tasks) = mpsc::channel(HANDFUL);
        std::thread::spawn(move || {
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
        });
        Self { tasks }
    }

    /// What waits, at least one task and at most a handful. `None` at the end.
    fn blocking_handful(&mut self) -> Option<Result<Vec<Read>, CliError>> {
        let mut handful = Vec::with_capacity(HANDFUL);
        match self.tasks.blocking_recv_many(&mut handful, HANDFUL) {
            0 => None,
            _ => Some(handful.into_iter().collect()),
        }
    }

    /// Writes tasks into the file of a batch, and has the run see them, until there are no more or the run takes
    /// no more.
    pub(crate) async fn feed(mut self, engine: &Engine) -> Result<Input, CliError> {
        let adder = engine.adder();
        let (written, mut handfuls) = mpsc::channel(1);
        std::thread::spawn(move || {
            while let Some(handful) = self.blocking_handful() {
                let done = handful.and_then(|handful| {
                    let is_last = handful.last().is_some_and(|read| read.last);
                    let tasks: Vec<_> = handful.into_iter().map(|read| read.task).collect();
                    Ok(adder.add(&tasks, is_last)?)
                });
                let last = done.is_err();
                if written.blocking_send(done).is_err() || last {
                    return;
                }
            }
        });
        while let Some(written) = handfuls.recv().await {
            written?;
            engine.look().await?;
            if room(engine.run(), WINDOW).await == Err(Gone) || engine.is_stopping() {
                return Ok(Input::Cut);
            }
        }
        Ok(Input::Whole)
    }

    /// Hands tasks to a run without a file.
    pub(crate) async fn feed_run(mut self, run: &RunHandle) -> Result<(), CliError> {
        loop {
            let mut handful = Vec::with_capacity(HANDFUL);
            if self.tasks.recv_many(&mut handful, HANDFUL).await == 0 {
                return Ok(());
            }
            let read: Result<Vec<Read>, CliError> = handful.into_iter().collect();
            let tasks = read?.into_iter().map(|read| Arc::new(read.task)).collect();
            if let Err(Gone) = run.feed(tasks, WINDOW).await {
                return Ok(());
            }
        }
    }
}
