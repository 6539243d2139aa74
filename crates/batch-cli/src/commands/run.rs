//! `bex run`: a batch from its first task to its exit code.

use std::ffi::OsString;
use std::path::PathBuf;

use batch_actions::{
    ActionError, AddReply, BatchRequest, Engine, EngineOptions, Home, Mode, Naming, State, create,
    status, summary_of,
};
use batch_core::{BatchId, BatchSettings, Status};
use batch_export::{ExportError, Format, Summary};
use batch_process::{ControlSignals, guard, raise_open_files};
use batch_runtime::{Executor, RunEnd, RunReport, Sink as _};
use batch_store::{BatchFile, Origin, Store, lock};

use crate::args::RunArgs;
use crate::commands::{dry_run, resume, wait};
use crate::drive::{Driven, Input, drive, housekeeping, say_leftovers};
use crate::exit::{CliError, Exit};
use crate::feed::Feeder;
use crate::functions::Functions;
use crate::output::{OutputPlan, Results};
use crate::progress::Screen;
use crate::request::{Source, Work, output_plan};
use crate::signals;

pub(crate) fn run(args: RunArgs, items: Option<Vec<OsString>>) -> Result<Exit, CliError> {
    let spill = tempfile::Builder::new().prefix("bex-").tempdir();
    let spill = spill.map_err(|error| CliError::System("make a temporary folder", error))?;
    let functions = Functions::in_folder(spill.path().to_owned())?;
    let registry = functions.registry();
    let source = Source::of(&args, items, &registry)?;
    let format = default_format(&args);
    let output = output_plan(&args.results, format)?;
    if args.dry_run {
        let (_, work) = source.load(&args, &registry)?;
        return dry_run::show(work);
    }
    // Before anything starts a thread.
    let guarded = guard::enter().unwrap_or_else(|_| guard::Guarded::alone());
    let (settings, work) = source.load(&args, &registry)?;
    let _ = raise_open_files(settings.max_concurrent.get().into());
    let screen = Screen::new(args.results.progress);
    runtime()?.block_on(async {
        let signals = ControlSignals::new(guarded)
            .map_err(|error| CliError::System("listen to signals", error))?;
        let Some(durability) = args.durability.of_store() else {
            return run_in_memory(settings, work, &functions, output, signals, screen).await;
        };
        let request = BatchRequest {
            settings,
            origin: Origin {
                way: "run".to_owned(),
                file: source_file(&args),
                format: Some(format.name().to_owned()),
            },
            durability,
            file: args.store.clone(),
        };
        if args.resume {
            return resume::run_file(&args, request, work, output, signals, screen).await;
        }
        run_stored(&args, request, work, output, signals, screen).await
    })
}

/// Text for tasks that somebody wrote down, what they print for commands.
fn default_format(args: &RunArgs) -> Format {
    match args.file.is_some() || args.template.is_some() {
        true => Format::Text,
        false => Format::Raw,
    }
}

/// The task file, by a name that is the same from everywhere.
fn source_file(args: &RunArgs) -> Option<String> {
    let file = args.file.as_ref().filter(|file| file.as_os_str() != "-")?;
    let whole = std::fs::canonicalize(file).unwrap_or_else(|_| file.clone());
    Some(whole.to_string_lossy().into_owned())
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::System("start the runtime", error))
}

/// Writes the batch into a file and runs it from there.
async fn run_stored(
    args: &RunArgs,
    request: BatchRequest,
    work: Work,
    output: OutputPlan,
    signals: ControlSignals,
    screen: Screen,
) -> Result<Exit, CliError> {
    let home = Home::of_environment();
    let (file, feeder) = match work {
        Work::Plan(plan) => {
            let added = create(&home, &request, &plan)?;
            if added.existing > 0 {
                return existing(&added, &screen);
            }
            (BatchFile::new(added.file), None)
        }
        Work::Stream(stream) => {
            let store = home.create(&request)?;
            (store.file().clone(), Some(Feeder::start(stream)))
        }
    };
    let fail_fast = request.settings.fail_fast;
    let foreground = Foreground {
        file,
        durability: request.durability,
        max_concurrent: args.max_concurrent,
        fail_fast,
        whole_at_end: None,
    };
    foreground.run(feeder, output, signals, screen).await
}

/// The batch of this key is there already: says how it stands, and ends as waiting for it would end now.
fn existing(added: &AddReply, screen: &Screen) -> Result<Exit, CliError> {
    let status = status(&BatchFile::new(&added.file), false)?;
    let (batch, naming) = (&status.batch, Naming::new(&status.batch, &status.file));
    let next = match (status.state, status.pid) {
        (State::Completed, _) => format!("see: bex results {naming}"),
        (State::Failed, _) => {
            format!("see: bex results {naming}; queue what failed again with: bex retry {naming}")
        }
        (_, Some(_)) => format!("wait for it with: bex wait {naming}"),
        (_, None) => format!("go on with: bex resume {naming}"),
    };
    screen.say(&format!(
        "{batch} has this key and these tasks already and is {}: {}; {next}",
        status.state.in_words(),
        status.counts()
    ));
    Ok(wait::exit_now(&status))
}

/// A stored batch that is run to its end before somebody's eyes.
pub(crate) struct Foreground {
    pub(crate) file: BatchFile,
    pub(crate) durability: batch_store::Durability,
    pub(crate) max_concurrent: Option<std::num::NonZeroU32>,
    pub(crate) fail_fast: bool,
    /// Write the results of the whole batch to this file at the end, from the batch file.
    pub(crate) whole_at_end: Option<resume::WholeResults>,
}

impl Foreground {
    pub(crate) async fn run(
        self,
        feeder: Option<Feeder>,
        output: OutputPlan,
        signals: ControlSignals,
        screen: Screen,
    ) -> Result<Exit, CliError> {
        let batch = Store::open_read(self.file.clone())
            .map_err(ActionError::from)?
            .batch();
        let (sink, results) = output.open(batch, &screen)?;
        let mut observer = sink.clone();
        let functions = Functions::of_environment()?;
        let engine = Engine::start(EngineOptions {
            file: self.file.clone(),
            durability: self.durability,
            mode: Mode::Execute,
            registry: &|_, folder| functions.stored(folder),
            observe: &mut |_, events| {
                // A writer that fails says so again at the end.
                let _ = observer.on_events(events);
            },
            sinks: vec![Box::new(sink)],
            feeding: feeder.is_some(),
            max_concurrent: self.max_concurrent,
            unpause: true,
        })
        .await?;
        let name = engine.info().settings.name.clone();
        let store = std::sync::Arc::clone(engine.store());
        let driven = drive(engine, &functions, feeder, signals, &screen).await?;
        let overview = lock(&store).overview().map_err(ActionError::from)?;
        let Driven {
            finished,
            signal,
            fed,
        } = driven;
        let summary = summary_of(&lock(&store))?;
        let report = &finished.report;
        let failed = overview.count(Status::Failed) + overview.count(Status::Cancelled) > 0;
        conclude(report, results, name, Some(summary), failed, &screen)?;
        if let Some(whole) = &self.whole_at_end {
            whole.write(&self.file)?;
        }
        if fed? == Input::Cut {
            screen.say("the input was not read to its end; what was not read is not in the batch");
        }
        if finished.open > 0 {
            let held = lock(&store).held().map_err(ActionError::from)?;
            tell_left(
                &screen,
                &Naming::new(batch, self.file.path()),
                held,
                finished.open,
            );
        }
        Ok(exit(report, self.fail_fast, failed, signal, finished.open))
    }
}

/// Runs a batch that ends with this process.
async fn run_in_memory(
    settings: BatchSettings,
    work: Work,
    functions: &Functions,
    output: OutputPlan,
    signals: ControlSignals,
    screen: Screen,
) -> Result<Exit, CliError> {
    let batch = BatchId::default();
    let (name, fail_fast) = (settings.name.clone(), settings.fail_fast);
    let (sink, results) = output.open(batch, &screen)?;
    let run = Executor::new(functions.registry())
        .with_settings(settings)
        .with_sink(sink)
        .start();
    let ended_by = std::cell::Cell::new(None);
    let work = async {
        let fed = match work {
            Work::Plan(plan) => {
                // A run that is over already was stopped, and its report says so.
                let _ = run.submit_plan(plan).await;
                Ok(())
            }
            Work::Stream(stream) => Feeder::start(stream).feed_run(&run).await,
        };
        if fed.is_err() {
            run.stop(batch_core::StopMode::Graceful);
        }
        (run.finish().await, fed)
    };
    let stop = |mode| run.stop(mode);
    let (report, fed) = tokio::select! {
        biased;
        ended = work => ended,
        () = signals::obey(signals, run.clone(), &stop, screen.clone(), &ended_by) => unreachable!("it never returns"),
        () = housekeeping(screen.clone().follow(run.clone(), batch)) => unreachable!("it never returns"),
    };
    screen.clear();
    functions.close().await;
    say_leftovers(&screen).await;
    let stats = &report.stats;
    let failed = stats.count(Status::Failed) + stats.count(Status::Cancelled) > 0;
    conclude(&report, results, name, None, failed, &screen)?;
    fed?;
    Ok(exit(&report, fail_fast, failed, ended_by.get(), 0))
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
    let Some(error) = &report.sink_error else {
        let summary = results.finish(name, of_batch)?;
        if failed || !screen.is_quiet() {
            eprintln!("{summary}");
        }
        return Ok(());
    };
    if !is_broken_pipe(error) {
        screen.say(&error.to_string());
    }
    results.give_up();
    Ok(())
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
            "{held} held until somebody has looked (bex why TASK); let go with: bex retry {naming}"
        ));
    }
    if open > held {
        let left = tasks(open - held);
        screen.say(&format!("{left} left; go on with: bex resume {naming}"));
    }
}

fn is_broken_pipe(error: &batch_runtime::SinkError) -> bool {
    error
        .0
        .downcast_ref::<ExportError>()
        .is_some_and(ExportError::is_broken_pipe)
}

fn exit(report: &RunReport, fail_fast: bool, failed: bool, signal: Option<u8>, open: u64) -> Exit {
    match (report.end, signal) {
        (_, Some(signal)) => Exit::Signal(signal),
        // What is left is held, and waits for somebody.
        (RunEnd::Finished | RunEnd::Stopped, None) if open > 0 => Exit::Stopped,
        (RunEnd::Finished, None) if failed => Exit::SomeFailed,
        (RunEnd::Finished, None) => Exit::Completed,
        // A failure ended it, as was asked for.
        (RunEnd::CutShort, None) if fail_fast && report.stats.count(Status::Failed) > 0 => {
            Exit::SomeFailed
        }
        (RunEnd::CutShort | RunEnd::Stopped, None) => Exit::Stopped,
        (RunEnd::SinkFailed, None) if report.sink_error.as_ref().is_some_and(is_broken_pipe) => {
            Exit::Stopped
        }
        (RunEnd::SinkFailed, None) => Exit::Broken,
    }
}

/// A path as an absolute one.
pub(crate) fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
