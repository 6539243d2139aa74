//! `bex execute`, hidden: the background executor that `bex start` starts.

use batch_actions::{ActionError, Engine, EngineOptions, Mode, StartReply, tell_parent};
use batch_core::Status;
use batch_process::{
    ControlSignals, close_inherited, close_stdio, guard, new_session, raise_open_files,
};
use batch_store::{BatchFile, Durability, lock};

use crate::args::{ExecuteArgs, Progress};
use crate::commands::run::runtime;
use crate::drive::drive;
use crate::exit::{CliError, Exit};
use crate::functions::Functions;
use crate::progress::Screen;

pub(crate) fn run(args: ExecuteArgs) -> Result<Exit, CliError> {
    close_inherited();
    // A session of its own: the terminal it was started from may go.
    let _ = new_session();
    let guarded = guard::enter().unwrap_or_else(|_| guard::Guarded::alone());
    runtime()?.block_on(async {
        let signals = ControlSignals::new(guarded)
            .map_err(|error| CliError::System("listen to signals", error))?;
        let (engine, functions) = match begin(args).await {
            Ok(begun) => begun,
            Err(error) => {
                tell_parent(Err(&error));
                return Err(error.into());
            }
        };
        let batch = engine.info().batch;
        let screen = Screen::new(Progress::None);
        let driven = drive(engine, &functions, None, signals, &screen).await?;
        let stats = &driven.finished.report.stats;
        let failed = stats.count(Status::Failed) + stats.count(Status::Cancelled);
        let finished = &driven.finished;
        let error = finished.report.sink_error.as_ref().map(ToString::to_string);
        if let Some(error) = error.or_else(|| finished.unwritten.as_ref().map(ToString::to_string))
        {
            screen.say(&format!("{batch}: {error}"));
            return Ok(Exit::Broken);
        }
        Ok(match (driven.signal, driven.finished.open, failed) {
            (Some(signal), ..) => Exit::Signal(signal),
            (None, 1.., _) => Exit::Stopped,
            (None, 0, 1..) => Exit::SomeFailed,
            (None, 0, 0) => Exit::Completed,
        })
    })
}

/// Takes up the work, and tells the parent.
async fn begin(args: ExecuteArgs) -> Result<(Engine, Functions), ActionError> {
    let functions = Functions::of_environment();
    let functions = functions.map_err(|error| ActionError::Refused(error.to_string()))?;
    let engine = Engine::start(EngineOptions {
        file: BatchFile::new(args.file),
        durability: args.durability.of_store().unwrap_or(Durability::Fast),
        mode: Mode::Execute,
        registry: &|folder, room| functions.stored(folder, room),
        observe: &mut |_, _| {},
        sinks: Vec::new(),
        feeding: false,
        max_concurrent: args.slots.max_concurrent,
        unpause: true,
    })
    .await?;
    let slots = engine.info().settings.max_concurrent;
    let _ = raise_open_files(slots.get().into());
    let open = lock(engine.store()).overview()?.open();
    tell_parent(Ok(&StartReply {
        batch: engine.info().batch.to_string(),
        pid: std::process::id(),
        run: engine.run_number(),
        open,
        interrupted: engine.interrupted(),
    }));
    let _ = close_stdio();
    Ok((engine, functions))
}
