//! A batch that is run to its end before someone's eyes: [`Foreground`] from its file, [`run_in_memory`] without
//! one.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batch_actions::{
    ActionError, BatchRequest, Claim, DiskSpace, Engine, EngineOptions, is_output_closed, merge,
    summary_of,
};
use batch_core::{BatchId, BatchSettings, Event, Status, StopMode, settings::Halt};
use batch_export::Summary;
use batch_process::{ControlSignals, DiskSpaceWatch, remove_dead_scratch};
use batch_runtime::{RunBuilder, RunHandle, RunReport};
use batch_store::{BatchFile, Store, lock};

use crate::args::RunArgs;
use crate::blocks::remove_used_blocks;
use crate::drive::{Driven, drive, housekeeping, say_leftovers};
use crate::exit::{CliError, Exit, Outcome, is_halted};
use crate::feed::Feeder;
use crate::functions::Functions;
use crate::hints::Naming;
use crate::output::{OutputPlan, ResultSink, Results};
use crate::progress::Screen;
use crate::reply::tell;
use crate::request::Work;
use crate::signals;
use crate::step_summary;
use crate::terminal::hide;
use crate::whole_results::WholeResults;

/// What a run in the foreground is given: where results go, what is handled, what is shown, and what the system allows.
pub(crate) struct Onlooker {
    pub(crate) output: OutputPlan,
    pub(crate) signals: ControlSignals,
    pub(crate) screen: Screen,
    /// How many tasks the limits of the system allow at once, where they are fewer than are asked for.
    pub(crate) most_at_once: Option<NonZeroU32>,
}

/// A stored batch that is run to its end before someone's eyes.
pub(crate) struct Foreground {
    pub(crate) claim: Claim,
    pub(crate) max_concurrent: Option<NonZeroU32>,
    /// When the batch asks to be ended.
    pub(crate) halt: Halt,
    /// Write the results of the whole batch at the end, from the batch file.
    pub(crate) whole_at_end: Option<WholeResults>,
}

impl Foreground {
    pub(crate) async fn run(
        self,
        feeder: Option<Feeder>,
        onlooker: Onlooker,
    ) -> Result<Exit, CliError> {
        let Onlooker {
            mut output,
            signals,
            screen,
            most_at_once,
        } = onlooker;
        let store = self.claim.store();
        output.options.batch_file = Some(store.file().shown().to_owned());
        let step_summary = output.step_summary.take();
        let (sink, results) = output.open(store.batch())?;
        let functions = Functions::of_environment().heard_by(results.live());
        functions.check_batch(store)?;
        let Self {
            claim,
            max_concurrent,
            halt,
            whole_at_end,
        } = self;
        let slots = Slots {
            max_concurrent,
            most_at_once,
        };
        let engine = take_up(claim, &functions, sink, feeder.is_some(), slots).await?;
        results.set_disk_space(engine.disk_space());
        if let Some(whole) = &whole_at_end {
            whole.set_disk_space(engine.disk_space());
        }
        let name = engine.info().settings.name.clone();
        let store = Arc::clone(engine.store());
        let driven = drive(engine, &functions, feeder, signals, &screen).await?;
        remove_used_blocks(&lock(&store));
        let shown = conclude_stored(&driven, &lock(&store), results, name, &screen);
        if let Some(broken) = driven.broken {
            // What was asked to be written elsewhere has been, as far as it came.
            return Err(broken.into());
        }
        let end = End {
            driven,
            failed: shown?,
            halt,
            whole_at_end,
            step_summary,
        };
        end.tell(&lock(&store), &screen)
    }
}

/// How many tasks run at once: as is asked for, and as the system allows.
struct Slots {
    max_concurrent: Option<NonZeroU32>,
    most_at_once: Option<NonZeroU32>,
}

/// Takes up the work on a batch, with its results going to a sink.
async fn take_up(
    claim: Claim,
    functions: &Functions,
    sink: ResultSink,
    feeding: bool,
    slots: Slots,
) -> Result<Engine, ActionError> {
    let observer = sink.clone();
    let observe = &mut |store: &Store, events: &[Event]| observer.load(store, events);
    let registry = |folder: &Path, disk_space| functions.stored(folder, disk_space);
    let options = EngineOptions {
        observe: Some(observe),
        sinks: vec![Box::new(sink)],
        feeding,
        max_concurrent: slots.max_concurrent,
        most_at_once: slots.most_at_once,
        ..EngineOptions::new(claim.file().clone(), &registry)
    };
    Engine::start_claimed(claim, options).await
}

/// Closes the results of a stored batch and shows its summary; whether some tasks failed.
fn conclude_stored(
    driven: &Driven,
    store: &Store,
    results: Results,
    name: Option<String>,
    screen: &Screen,
) -> Result<bool, CliError> {
    let mut summary = summary_of(store)?;
    summary.times = store.execution_times()?;
    let counts = store.overview()?.totals;
    let failed = counts.count(Status::Failed) + counts.count(Status::Cancelled) > 0;
    let report = &driven.finished.report;
    conclude(report, results, name, Some(summary), failed, screen)?;
    Ok(failed)
}

/// A run that is over.
struct End {
    driven: Driven,
    failed: bool,
    halt: Halt,
    whole_at_end: Option<WholeResults>,
    step_summary: Option<PathBuf>,
}

impl End {
    /// Writes what is written at the end, and tells what is left to do.
    fn tell(self, store: &Store, screen: &Screen) -> Result<Exit, CliError> {
        let Self {
            driven,
            failed,
            halt,
            whole_at_end,
            step_summary,
        } = self;
        let Driven {
            finished,
            signal,
            fed,
            broken: _,
        } = driven;
        if let Some(whole) = whole_at_end {
            whole.write(store.file())?;
        }
        if let Some(page) = step_summary {
            step_summary::append(store.file(), &page)?;
        }
        if let (Some(error), None) = (&finished.unwritten, &finished.report.sink_error) {
            screen.say(&error.to_string());
        }
        let closed = is_output_closed(&finished.report);
        if closed && finished.open > 0 {
            screen.say("the output was closed, so the batch was stopped");
        }
        let tasks = store.overview()?.totals.tasks();
        let input_ended = end_of_input(fed, tasks, screen)?;
        let unread = store.info()?.origin.unread;
        if unread {
            screen.say("the input was not read to its end; what was not read is not in the batch");
        }
        if finished.open > 0 {
            let held = store.held()?;
            let naming = Naming::new(store.batch(), store.file().shown());
            tell_left(screen, &naming, held, finished.open);
        }
        let on_record = finished.unwritten.is_none();
        let exit = Exit::of(Outcome::Run {
            report: &finished.report,
            signal,
            open: finished.open,
            failed,
            halt,
        });
        Ok(match exit {
            Exit::Completed | Exit::SomeFailed | Exit::Stopped if !on_record => Exit::Broken,
            // There is more to do than the batch has tasks for.
            Exit::Completed | Exit::SomeFailed
                if unread && !is_halted(halt, &finished.report.stats) =>
            {
                Exit::Stopped
            }
            Exit::Completed | Exit::SomeFailed if !input_ended => Exit::Stopped,
            exit => exit,
        })
    }
}

/// `bex run --resume FILE`: the last batch of the file goes on, with what the file says now.
pub(crate) async fn run_file(
    file: BatchFile,
    args: &RunArgs,
    request: BatchRequest,
    work: Work,
    mut onlooker: Onlooker,
) -> Result<Exit, CliError> {
    let Work::Plan(plan) = work else {
        unreachable!("--resume goes with a task file");
    };
    let (merged, claim) = merge(&file, &plan, &request.settings, request.durability).await?;
    onlooker.screen.say(&merged.to_string());
    let foreground = Foreground {
        claim,
        max_concurrent: args.max_concurrent,
        halt: request.settings.halt,
        whole_at_end: WholeResults::of(&mut onlooker.output),
    };
    foreground.run(None, onlooker).await
}

/// Runs a batch that ends with this process.
pub(crate) async fn run_in_memory(
    settings: BatchSettings,
    mut work: Work,
    functions: Functions,
    onlooker: Onlooker,
) -> Result<Exit, CliError> {
    let Onlooker {
        output,
        signals,
        screen,
        most_at_once,
    } = onlooker;
    let batch = BatchId::default();
    let slots = settings.max_concurrent;
    let (name, halt) = (settings.name.clone(), settings.halt);
    let (sink, results) = output.open(batch)?;
    let functions = functions.heard_by(results.live());
    // What a killed run left there is nobody's.
    remove_dead_scratch();
    let disk_space = Arc::new(DiskSpace::new(None));
    let outputs = Arc::clone(&disk_space) as Arc<dyn DiskSpaceWatch>;
    let registry = functions
        .in_memory(outputs)
        .map_err(|error| CliError::System("make a temporary folder", error))?;
    keep_blocks(&mut work, &functions)?;
    let run = RunBuilder::new(registry)
        .with_settings(settings)
        .with_slot_limit(most_at_once)
        .with_sink(sink)
        .start();
    disk_space.set_run(run.clone());
    results.set_disk_space(&disk_space);
    let ended_by = std::cell::Cell::new(None);
    let work = feed(&run, work, slots);
    let stop = |mode| {
        disk_space.give_up(mode);
        run.stop(mode);
    };
    let die = || stop(StopMode::Kill);
    let follow = screen.follow(run.clone(), batch, |snapshot| snapshot.closed);
    let (report, fed) = tokio::select! {
        biased;
        ended = work => ended,
        () = signals::handle(signals, run.clone(), &stop, &die, screen, &ended_by) => unreachable!("it never returns"),
        () = housekeeping(&run, &screen, follow) => unreachable!("it never returns"),
    };
    hide();
    functions.close().await;
    say_leftovers(&screen).await;
    let stats = &report.stats;
    let failed = stats.count(Status::Failed) + stats.count(Status::Cancelled) > 0;
    conclude(&report, results, name, None, failed, &screen)?;
    match end_of_input(fed, stats.total(), &screen)? {
        true => Ok(Exit::of(Outcome::Run {
            report: &report,
            signal: ended_by.get(),
            open: 0,
            failed,
            halt,
        })),
        false => Ok(Exit::Stopped),
    }
}

/// Has the pieces of standard input kept in the folder of this process.
fn keep_blocks(work: &mut Work, functions: &Functions) -> Result<(), CliError> {
    if let Work::Stream(stream) = work
        && stream.has_blocks()
    {
        let folder = functions.scratch_folder();
        stream
            .keep_in(&folder.map_err(|error| CliError::System("make a temporary folder", error))?);
    }
    Ok(())
}

/// How reading the items ended; `false` when a wrong one came after others that are tasks already. Of input that is
/// wrong from its first item on nothing ran, and that is an error.
fn end_of_input<T>(
    fed: Result<T, CliError>,
    tasks: u64,
    screen: &Screen,
) -> Result<bool, CliError> {
    match fed {
        Ok(_) => Ok(true),
        Err(error) if error.exit() == Exit::Usage && tasks > 0 => {
            screen.say(&error.to_string());
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Hands the work to a run, and waits for its end.
async fn feed(
    run: &RunHandle,
    work: Work,
    slots: NonZeroU32,
) -> (Arc<RunReport>, Result<(), CliError>) {
    let fed = match work {
        Work::Plan(plan) => {
            // A run that is over already was stopped, and its report says so.
            let _ = run.submit_plan(plan).await;
            Ok(())
        }
        Work::Stream(stream) => match Feeder::start(stream, slots) {
            Ok(feeder) => feeder.feed_run(run).await,
            Err(error) => Err(error),
        },
    };
    if fed.is_err() {
        run.stop(StopMode::Graceful);
    }
    (run.finish().await, fed)
}

/// Closes the results and shows the summary.
fn conclude(
    report: &RunReport,
    results: Results,
    name: Option<String>,
    of_batch: Option<Summary>,
    failed: bool,
    screen: &Screen,
) -> Result<(), CliError> {
    say_nothing_starts(report, screen);
    let Some(error) = &report.sink_error else {
        let summary = results.finish(name, of_batch)?;
        if screen.shows_summary(failed) {
            tell(format_args!("{summary}"));
        }
        return Ok(());
    };
    if !is_output_closed(report) {
        screen.say(&error.to_string());
    }
    results.give_up();
    Ok(())
}

/// Says that a run was ended as it could start nothing, if it was.
pub(crate) fn say_nothing_starts(report: &RunReport, screen: &Screen) {
    if let Some(what) = &report.short_of {
        screen.say(&format!(
            "stopped, as for half a minute no task could be started: short of {what}"
        ));
    }
}

/// What becomes of the tasks that have not finished.
fn tell_left(screen: &Screen, naming: &Naming, held: u64, open: u64) {
    let tasks = |count: u64| match count {
        1 => "1 task is".to_owned(),
        _ => format!("{count} tasks are"),
    };
    if held > 0 {
        let held = tasks(held);
        screen.say(&format!(
            "{held} held (bex why TASK {naming}); let it run with: bex release --all {naming}"
        ));
    }
    if open > held {
        let left = tasks(open - held);
        screen.say(&format!("{left} left; continue with: bex resume {naming}"));
    }
}
