//! `bex execute`, hidden: the background executor that `bex start` starts.

use std::num::NonZeroU32;
use std::path::Path;

use batch_actions::{ActionError, Engine, EngineOptions, StartFailure, StartReply, tell_parent};
use batch_core::Status;
use batch_process::{ControlSignals, close_inherited, close_stdio, leave_task, new_session};
use batch_store::{BatchFile, Store};

use crate::args::{ExecuteArgs, Progress};
use crate::capacity::{fewer, guarded, limited_to};
use crate::drive::drive;
use crate::exit::{CliError, Exit, Outcome};
use crate::foreground::say_nothing_starts;
use crate::functions::Functions;
use crate::hints;
use crate::progress::Screen;
use crate::reply::tell;
use crate::runtime::runtime_within;

pub(crate) fn run(args: ExecuteArgs) -> Result<Exit, CliError> {
    close_inherited();
    leave_task();
    // A session of its own: the terminal it was started from may go.
    let _ = new_session();
    let guarded = guarded()?;
    let file = BatchFile::new(&args.file);
    let most_at_once = most_at_once(&file, args.slots.max_concurrent)
        .inspect_err(|error| tell_parent(Err(failure(error))))?;
    runtime_within(most_at_once)?.block_on(async {
        let signals = ControlSignals::new(guarded)
            .map_err(|error| CliError::System("listen to signals", error))?;
        let (engine, functions) = match begin(args, most_at_once).await {
            Ok(begun) => begun,
            Err(error) => {
                tell_parent(Err(failure(&error)));
                return Err(error.into());
            }
        };
        let (batch, halt) = (engine.info().batch, engine.info().settings.halt);
        let screen = Screen::new(Progress::None);
        let driven = drive(engine, &functions, None, signals, &screen).await?;
        if let Some(broken) = driven.broken {
            return Err(broken.into());
        }
        let stats = &driven.finished.report.stats;
        let failed = stats.count(Status::Failed) + stats.count(Status::Cancelled) > 0;
        let finished = &driven.finished;
        let error = finished.report.sink_error.as_ref().map(ToString::to_string);
        if let Some(error) = error.or_else(|| finished.unwritten.as_ref().map(ToString::to_string))
        {
            screen.say(&format!("{batch}: {error}"));
            return Ok(Exit::Broken);
        }
        say_nothing_starts(&finished.report, &screen);
        Ok(Exit::of(Outcome::Run {
            report: &finished.report,
            signal: driven.signal,
            open: finished.open,
            failed,
            halt,
        }))
    })
}

/// Why it did not begin, as the parent says it.
fn failure(error: &ActionError) -> StartFailure {
    StartFailure {
        message: hints::with_hint_for(error),
        ..error.into()
    }
}

/// Takes up the work, and tells the parent.
async fn begin(
    args: ExecuteArgs,
    most_at_once: Option<NonZeroU32>,
) -> Result<(Engine, Functions), ActionError> {
    let functions = Functions::of_environment();
    let file = BatchFile::new(args.file);
    functions.check_batch(&Store::open_read(file.clone())?)?;
    let registry = |folder: &Path, disk_space| functions.stored(folder, disk_space);
    let engine = Engine::start(EngineOptions {
        durability: args.durability.into(),
        max_concurrent: args.slots.max_concurrent,
        stay: args.stay,
        most_at_once,
        ..EngineOptions::new(file, &registry)
    })
    .await?;
    tell_parent(Ok(StartReply::of(&engine)?));
    let _ = close_stdio();
    Ok((engine, functions))
}

/// How many tasks the limits of the system allow at once, where they are fewer than are asked for. That is a matter for
/// the log.
fn most_at_once(
    file: &BatchFile,
    asked_for: Option<NonZeroU32>,
) -> Result<Option<NonZeroU32>, ActionError> {
    let wanted = match asked_for {
        Some(slots) => slots,
        None => {
            Store::open_read(file.clone())?
                .info()?
                .settings
                .max_concurrent
        }
    };
    let limited = limited_to(wanted)
        .map_err(|limit| ActionError::Start(CliError::Limit(limit).to_string()))?;
    Ok(limited.map(|(most, limit)| {
        tell(format_args!("bex: {}", fewer(most, wanted, &limit)));
        most
    }))
}
