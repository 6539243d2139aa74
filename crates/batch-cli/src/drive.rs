//! Working on a stored batch until its run is over: [`drive`], with signals handled and the screen kept up to
//! date.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use batch_actions::{ActionError, Engine, Finished};
use batch_core::StopMode;
use batch_process::{ControlSignals, note_memory_kills, reap_orphans, sweep};
use batch_runtime::RunHandle;

use crate::capacity::follow_shortage;
use crate::exit::CliError;
use crate::feed::{Feeder, Input};
use crate::functions::Functions;
use crate::leftovers::{left_behind, outlived};
use crate::progress::Screen;
use crate::signals;
use crate::terminal::hide;

/// What tasks left behind gets this long to end at the end of the run.
const SWEEP_GRACE: Duration = Duration::from_secs(1);

/// Between two looks at what the system has done.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How the work on a batch ended.
pub(crate) struct Driven {
    pub(crate) finished: Finished,
    /// The signal that ended it.
    pub(crate) signal: Option<u8>,
    /// The file could not be read or written, or was taken away.
    pub(crate) broken: Option<ActionError>,
    /// How the input ended.
    pub(crate) fed: Result<Input, CliError>,
}

/// Works on a batch until its run is over.
pub(crate) async fn drive(
    engine: Engine,
    functions: &Functions,
    feeder: Option<Feeder>,
    signals: ControlSignals,
    screen: &Screen,
) -> Result<Driven, CliError> {
    for line in outlived(engine.leftovers()) {
        screen.say(&line);
    }
    let engine = Arc::new(engine);
    let run = engine.run().clone();
    let batch = engine.info().batch;
    let ended_by = Cell::new(None);
    let stop = |mode: StopMode| engine.stop(mode);
    let die = || engine.die();
    let all_known = Cell::new(feeder.is_none());
    let follow = screen.follow(run.clone(), batch, |_| all_known.get());
    let work = work(&engine, feeder, &all_known);
    let (attended, fed) = tokio::select! {
        biased;
        ended = work => ended,
        () = signals::handle(signals, run.clone(), &stop, &die, *screen, &ended_by) => unreachable!("it never returns"),
        () = housekeeping(&run, screen, follow) => unreachable!("it never returns"),
    };
    hide();
    functions.close().await;
    say_leftovers(screen).await;
    let engine = Arc::into_inner(engine).expect("nobody else has the engine any more");
    let mut finished = engine.finish().await?;
    let lost = finished.lost.take().map(ActionError::from);
    Ok(Driven {
        broken: attended.err().or(lost),
        finished,
        signal: ended_by.get(),
        fed,
    })
}

/// Looks after the batch and feeds it, until the run is over.
async fn work(
    engine: &Engine,
    feeder: Option<Feeder>,
    all_known: &Cell<bool>,
) -> (Result<(), ActionError>, Result<Input, CliError>) {
    let is_fed = feeder.is_some();
    let feed = async {
        let fed = match feeder {
            Some(feeder) => unless_stopped(engine, feeder.feed(engine).await),
            None => Ok(Input::Whole),
        };
        if fed.is_err() {
            // What has run is to be kept, however long that takes.
            engine.run().stop(StopMode::Graceful);
        }
        let all_read = is_fed && fed.as_ref().is_ok_and(|fed| *fed == Input::Whole);
        let added = engine.all_added(all_read).await;
        unless_stopped(engine, added.map(|()| Input::Whole).map_err(CliError::from))?;
        all_known.set(true);
        fed
    };
    let attend = async {
        let attended = engine.watch_requests().await;
        if attended.is_err() {
            engine.stop(StopMode::End);
            engine.run().wait().await;
        }
        attended
    };
    tokio::pin!(feed, attend);
    tokio::select! {
        fed = &mut feed => (attend.await, fed),
        // Stopped before the input ended.
        attended = &mut attend => (attended, Ok(Input::Cut)),
    }
}

/// Takes what could not be written for now, as a run that was stopped gives that up, for the end of the input.
fn unless_stopped(engine: &Engine, fed: Result<Input, CliError>) -> Result<Input, CliError> {
    match fed {
        Err(CliError::Action(error)) if error.is_for_now() && engine.is_stopping() => {
            Ok(Input::Cut)
        }
        fed => fed,
    }
}

/// Ends what the tasks left behind, and tells of it.
pub(crate) async fn say_leftovers(screen: &Screen) {
    for line in left_behind(&sweep(SWEEP_GRACE).await) {
        screen.say(&line);
    }
}

/// Keeps the screen up to date with `follow`, tells of what is short, buries orphans, and notes what the
/// system kills because memory ran out, for ever.
pub(crate) async fn housekeeping(
    run: &RunHandle,
    screen: &Screen,
    follow: impl Future<Output = ()>,
) {
    let look = async {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            reap_orphans();
            note_memory_kills();
        }
    };
    tokio::join!(follow, follow_shortage(run, screen), look);
}
