//! `bex run`: a batch from its first task to its exit code.

use std::cell::Cell;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use batch_core::{BatchId, BatchSettings, Status, TaskSpec};
use batch_export::{ExportError, Summary};
use batch_handlers::{HandlerConfig, standard_registry};
use batch_input::TaskStream;
use batch_process::{ControlSignals, guard, raise_open_files, reap_orphans, sweep};
use batch_runtime::{Executor, Gone, Registry, RunEnd, RunHandle, RunReport};

use crate::args::RunArgs;
use crate::commands::dry_run;
use crate::exit::{CliError, Exit};
use crate::output::{OutputPlan, Results};
use crate::progress::Screen;
use crate::request::{Source, Work, output_plan};
use crate::signals;

/// So many tasks of a stream are known at once, beside those that run.
const WINDOW: usize = 8_192;

/// So many tasks of a stream are handed over at once.
const HANDFUL: usize = 256;

/// What tasks left behind gets so long to end at the end of the run.
const SWEEP_GRACE: Duration = Duration::from_secs(1);

const REAP_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn run(args: RunArgs, items: Option<Vec<OsString>>) -> Result<Exit, CliError> {
    let spill = tempfile::Builder::new().prefix("bex-").tempdir();
    let spill = spill.map_err(|error| CliError::System("make a temporary folder", error))?;
    let registry = standard_registry(&HandlerConfig::new(spill.path().to_owned()));
    let source = Source::of(&args, items, &registry)?;
    let output = output_plan(&args)?;
    if args.dry_run {
        let (_, work) = source.load(&args, &registry)?;
        return dry_run::show(work);
    }
    // Before anything starts a thread.
    let guarded = guard::enter().unwrap_or_else(|_| guard::Guarded::alone());
    let (settings, work) = source.load(&args, &registry)?;
    let _ = raise_open_files(settings.max_concurrent.get().into());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::System("start the runtime", error))?;
    runtime.block_on(async {
        let signals = ControlSignals::new(guarded)
            .map_err(|error| CliError::System("listen to signals", error))?;
        let screen = Screen::new(args.progress);
        execute(settings, work, registry, output, signals, screen).await
    })
}

async fn execute(
    settings: BatchSettings,
    work: Work,
    registry: Registry,
    output: OutputPlan,
    signals: ControlSignals,
    screen: Screen,
) -> Result<Exit, CliError> {
    let batch = BatchId::default();
    let (name, fail_fast) = (settings.name.clone(), settings.fail_fast);
    let (sink, results) = output.open(batch, &screen)?;
    let run = Executor::new(registry)
        .with_settings(settings)
        .with_sink(sink)
        .start();
    let ended_by = Cell::new(None);
    let work = async {
        let fed = feed(work, &run).await;
        if fed.is_err() {
            run.stop(batch_core::StopMode::Graceful);
        }
        (run.finish().await, fed)
    };
    let (report, fed) = tokio::select! {
        biased;
        ended = work => ended,
        () = signals::obey(signals, run.clone(), screen.clone(), &ended_by) => unreachable!("it never returns"),
        () = housekeeping(screen.clone().follow(run.clone(), batch)) => unreachable!("it never returns"),
    };
    screen.clear();
    let leftovers = sweep(SWEEP_GRACE).await;
    for left in &leftovers {
        let task = left.task.as_deref().unwrap_or("a task");
        screen.say(&format!(
            "{task} left process {} behind ({}); ended",
            left.pid, left.command
        ));
    }
    let failed = conclude(&report, results, name, &screen)?;
    fed?;
    Ok(exit(&report, fail_fast, failed, ended_by.get()))
}

/// Keeps the screen up to date and buries orphans, for ever.
async fn housekeeping(screen: impl Future<Output = ()>) {
    let reap = async {
        loop {
            tokio::time::sleep(REAP_INTERVAL).await;
            reap_orphans();
        }
    };
    tokio::join!(screen, reap);
}

/// Hands the tasks to the run.
async fn feed(work: Work, run: &RunHandle) -> Result<(), CliError> {
    match work {
        Work::Plan(plan) => {
            // A run that is over already was stopped, and its report says so.
            let _ = run.submit_plan(plan).await;
            Ok(())
        }
        Work::Stream(stream) => feed_stream(stream, run).await,
    }
}

/// Reads items on a thread of their own, as standard input may keep us waiting.
async fn feed_stream(mut stream: Box<TaskStream>, run: &RunHandle) -> Result<(), CliError> {
    let (sender, mut handfuls) = tokio::sync::mpsc::channel(4);
    std::thread::spawn(move || {
        loop {
            let handful: Result<Vec<TaskSpec>, _> = stream.by_ref().take(HANDFUL).collect();
            let last = !matches!(&handful, Ok(tasks) if tasks.len() == HANDFUL);
            if sender.blocking_send(handful).is_err() || last {
                return;
            }
        }
    });
    while let Some(handful) = handfuls.recv().await {
        let tasks = handful.map_err(|error| CliError::Usage(error.to_string()))?;
        let tasks = tasks.into_iter().map(Arc::new).collect();
        if let Err(Gone) = run.feed(tasks, WINDOW).await {
            return Ok(());
        }
    }
    Ok(())
}

/// Closes the results and shows the summary; whether some task failed or was cancelled.
fn conclude(
    report: &RunReport,
    results: Results,
    name: Option<String>,
    screen: &Screen,
) -> Result<bool, CliError> {
    let summary = match &report.sink_error {
        None => results.finish(name)?,
        Some(error) => {
            let broken_pipe = error
                .0
                .downcast_ref::<ExportError>()
                .is_some_and(ExportError::is_broken_pipe);
            if !broken_pipe {
                screen.say(&error.to_string());
            }
            return Ok(results
                .give_up()
                .is_none_or(|summary| not_all_completed(&summary, report)));
        }
    };
    let failed = not_all_completed(&summary, report);
    if failed || !screen.is_quiet() {
        eprintln!("{summary}");
    }
    Ok(failed)
}

fn not_all_completed(_: &Summary, report: &RunReport) -> bool {
    report.stats.count(Status::Failed) + report.stats.count(Status::Cancelled) > 0
}

fn exit(report: &RunReport, fail_fast: bool, failed: bool, signal: Option<u8>) -> Exit {
    let broken_pipe = |error: &batch_runtime::SinkError| {
        error
            .0
            .downcast_ref::<ExportError>()
            .is_some_and(ExportError::is_broken_pipe)
    };
    match (report.end, signal) {
        (RunEnd::Finished, None) if failed => Exit::SomeFailed,
        (RunEnd::Finished, None) => Exit::Completed,
        (_, Some(signal)) => Exit::Signal(signal),
        // A failure ended it, as was asked for.
        (RunEnd::CutShort, None) if fail_fast && report.stats.count(Status::Failed) > 0 => {
            Exit::SomeFailed
        }
        (RunEnd::CutShort | RunEnd::Stopped, None) => Exit::Stopped,
        (RunEnd::SinkFailed, None) if report.sink_error.as_ref().is_some_and(broken_pipe) => {
            Exit::Stopped
        }
        (RunEnd::SinkFailed, None) => Exit::Broken,
    }
}
