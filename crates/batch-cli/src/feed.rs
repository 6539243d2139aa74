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
    tasks: mpsc::Receiver<Result<TaskSpec, CliError>>,
}

impl Feeder {
    pub(crate) fn start(stream: Box<TaskStream>) -> Self {
        let (sender, tasks) = mpsc::channel(HANDFUL);
        std::thread::spawn(move || {
            for task in *stream {
                let task = task.map_err(|error| CliError::Usage(error.to_string()));
                let last = task.is_err();
                if sender.blocking_send(task).is_err() || last {
                    return;
                }
            }
        });
        Self { tasks }
    }

    /// What waits, at least one task and at most a handful. `None` at the end.
    fn blocking_handful(&mut self) -> Option<Result<Vec<TaskSpec>, CliError>> {
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
                let done = handful.and_then(|tasks| Ok(adder.add(&tasks)?));
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
            let tasks: Result<Vec<TaskSpec>, CliError> = handful.into_iter().collect();
            let tasks = tasks?.into_iter().map(Arc::new).collect();
            if let Err(Gone) = run.feed(tasks, WINDOW).await {
                return Ok(());
            }
        }
    }
}
