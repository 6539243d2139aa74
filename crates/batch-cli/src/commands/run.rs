//! `bex run`: a batch from its first task to its exit code.

use batch_actions::{AddReply, BatchRequest, Claim, Home, State, ToRun, create_to_run, status};
use batch_core::{BatchSettings, TaskSpec};
use batch_export::Format;
use batch_input::TaskStream;
use batch_process::{ControlSignal, ControlSignals, suspend};
use batch_store::{BatchFile, Durability, Origin};
use batch_template::{task_label, variables};
use tokio::sync::oneshot;

use crate::args::{RunArgs, SourceWords};
use crate::capacity::{guarded, most_at_once};
use crate::dry_run;
use crate::exit::{CliError, Exit};
use crate::feed::Feeder;
use crate::foreground::{Foreground, Onlooker, run_file, run_in_memory};
use crate::functions::Functions;
use crate::hints::Naming;
use crate::progress::Screen;
use crate::request::{Source, Work, command_text, output_plan, same_everywhere};
use crate::runtime::runtime_within;
use crate::whole_results::WholeResults;

pub(crate) fn run(args: RunArgs, sources: Vec<SourceWords>) -> Result<Exit, CliError> {
    let functions = Functions::of_environment();
    let registry = functions.registry();
    let source = Source::of(&args, sources, &registry)?;
    let format = default_format(&args);
    let mut output = output_plan(&args.results, format)?;
    if args.dry_run {
        let (_, work) = source.load(&args, &registry)?;
        return dry_run::show(work);
    }
    // Before anything starts a thread.
    let guarded = guarded()?;
    let (settings, work) = source.load(&args, &registry)?;
    if let Work::Plan(plan) = &work {
        check_variables(plan.tasks().map(|(spec, _)| &**spec))?;
    }
    // Before there is a batch: one whose results cannot be written is not begun.
    output.beside.goes_on = args.resume;
    output.open_file()?;
    output.beside.alone = settings.max_concurrent.get() == 1 || work.is_single();
    let screen = Screen::of(&args.results, output.beside.alone);
    let most_at_once = most_at_once(settings.max_concurrent, &screen)?;
    runtime_within(most_at_once)?.block_on(async {
        let signals = ControlSignals::new(guarded)
            .map_err(|error| CliError::System("listen to signals", error))?;
        let onlooker = Onlooker {
            output,
            signals,
            screen,
            most_at_once,
        };
        let Some(durability) = args.durability.of_store() else {
            return run_in_memory(settings, work, functions, onlooker).await;
        };
        let request = request(&args, settings, durability, format);
        run_kept(&args, request, work, functions, onlooker).await
    })
}

/// Runs what is kept in a file, in the batch it goes on with or in a new one; where there is nothing to do, no
/// batch is left behind.
async fn run_kept(
    args: &RunArgs,
    request: BatchRequest,
    work: Work,
    functions: Functions,
    mut onlooker: Onlooker,
) -> Result<Exit, CliError> {
    let (work, is_empty) = match look_ahead(work, &mut onlooker.signals).await? {
        Ahead::Work(work) => (work, false),
        Ahead::Nothing(work) => (work, true),
        Ahead::Ended(signal) => return Ok(Exit::Signal(signal)),
    };
    if args.resume {
        if let Some(file) = Home::of_environment().last_of(&request)? {
            return run_file(file, args, request, work, onlooker).await;
        }
        onlooker
            .screen
            .say("no batch of this file yet; all of its tasks are new");
    }
    if is_empty {
        return run_in_memory(request.settings, work, functions, onlooker).await;
    }
    run_stored(args, request, work, onlooker).await
}

/// Refuses tasks that name variables which are not set: they run in this environment.
fn check_variables<'t>(tasks: impl IntoIterator<Item = &'t TaskSpec>) -> Result<(), CliError> {
    let missing = tasks.into_iter().find_map(|task| {
        let mut names = variables(task).into_iter();
        let name = names.find(|name| std::env::var_os(name).is_none())?;
        Some((task_label(task).into_owned(), name))
    });
    match missing {
        None => Ok(()),
        Some((task, name)) => Err(CliError::Usage(format!(
            "{task}: {{{{ env.{name} }}}}: the variable {name} is not set; set it in the environment of bex run"
        ))),
    }
}

fn request(
    args: &RunArgs,
    settings: BatchSettings,
    durability: Durability,
    format: Format,
) -> BatchRequest {
    BatchRequest {
        settings,
        origin: Origin {
            way: "run".to_owned(),
            file: args.file.as_deref().and_then(same_everywhere),
            command: command_text(args),
            format: Some(format.name().to_owned()),
            ..Origin::default()
        },
        durability,
        file: args.store.clone(),
    }
}

/// What there is to do, seen before there is a batch.
enum Ahead {
    Work(Work),
    /// No task at all.
    Nothing(Work),
    /// A signal came before the first item.
    Ended(u8),
}

/// Waits for the first item.
async fn look_ahead(work: Work, signals: &mut ControlSignals) -> Result<Ahead, CliError> {
    let mut stream = match work {
        Work::Plan(plan) if plan.is_empty() => return Ok(Ahead::Nothing(Work::Plan(plan))),
        Work::Plan(plan) => return Ok(Ahead::Work(Work::Plan(plan))),
        Work::Stream(stream) => stream,
    };
    let (sender, first) = oneshot::channel();
    // Not one of the runtime's threads: nobody waits for it when it reads in vain.
    let read = move || {
        let has_task = stream.has_task();
        let _ = sender.send((stream, has_task));
    };
    std::thread::Builder::new()
        .spawn(read)
        .map_err(|error| CliError::System("start a thread to read the input", error))?;
    let (mut stream, has_task) = match unless_ended(signals, first).await {
        Ok(seen) => seen.expect("it reads, and does not panic"),
        Err(signal) => return Ok(Ahead::Ended(signal)),
    };
    if stream.has_blocks() {
        // They are read when there is a place for them.
        return Ok(match has_task {
            true => Ahead::Work(Work::Stream(stream)),
            false => Ahead::Nothing(Work::Stream(stream)),
        });
    }
    match stream.peek() {
        None => Ok(Ahead::Nothing(Work::Stream(stream))),
        Some(Err(error)) => Err(CliError::Usage(error.to_string())),
        Some(Ok(first)) => {
            check_variables([first])?;
            Ok(Ahead::Work(Work::Stream(stream)))
        }
    }
}

/// Waits for something, unless a signal that ends the run comes before it: then gives that one's number.
async fn unless_ended<T>(
    signals: &mut ControlSignals,
    wanted: impl Future<Output = T>,
) -> Result<T, u8> {
    let mut wanted = std::pin::pin!(wanted);
    loop {
        let signal = tokio::select! {
            found = &mut wanted => return Ok(found),
            signal = signals.next() => signal,
        };
        match signal {
            ControlSignal::Interrupt => return Err(2),
            ControlSignal::Terminate => return Err(15),
            ControlSignal::Hangup => return Err(1),
            ControlSignal::Quit => return Err(3),
            ControlSignal::ParentDied => return Err(9),
            ControlSignal::Suspend => drop(suspend()),
            ControlSignal::Continue => {}
        }
    }
}

/// Text for tasks that someone wrote down, what they print for commands.
fn default_format(args: &RunArgs) -> Format {
    match args.file.is_some() || args.template.is_some() {
        true => Format::Text,
        false => Format::Raw,
    }
}

/// Writes the batch into a file and runs it from there.
async fn run_stored(
    args: &RunArgs,
    request: BatchRequest,
    work: Work,
    mut onlooker: Onlooker,
) -> Result<Exit, CliError> {
    let home = Home::of_environment();
    let (claim, feeder) = match work {
        Work::Plan(plan) => {
            let ids = match unless_ended(&mut onlooker.signals, home.ids()).await {
                Ok(ids) => ids?,
                Err(signal) => return Ok(Exit::Signal(signal)),
            };
            match create_to_run(&home, ids, &request, &plan, args.resume)? {
                ToRun::New(claim) => (*claim, None),
                ToRun::Known(known) => return existing(&known, args, onlooker),
                // Another one with the same file was faster by a moment.
                ToRun::OfFile(file) => {
                    return run_file(file, args, request, Work::Plan(plan), onlooker).await;
                }
            }
        }
        Work::Stream(stream) => match create_fed(&home, &request, stream, &mut onlooker).await? {
            Ok(created) => created,
            Err(signal) => return Ok(Exit::Signal(signal)),
        },
    };
    let halt = request.settings.halt;
    let foreground = Foreground {
        claim,
        max_concurrent: args.max_concurrent,
        halt,
        whole_at_end: None,
    };
    foreground.run(feeder, onlooker).await
}

/// Makes a batch with the first tasks of a stream, and what gives it the others; or gives the signal that came before.
async fn create_fed(
    home: &Home,
    request: &BatchRequest,
    mut stream: Box<TaskStream>,
    onlooker: &mut Onlooker,
) -> Result<Result<(Claim, Option<Feeder>), u8>, CliError> {
    let mut request = request.clone();
    let slots = request.settings.max_concurrent;
    if stream.has_blocks() {
        request.origin.unread = true;
        return Ok(
            match unless_ended(&mut onlooker.signals, home.ids()).await {
                Ok(ids) => {
                    let claim = home.create_claimed(ids?, &request, &[])?;
                    stream.keep_in(&claim.file().folder());
                    Ok((claim, Some(Feeder::start(stream, slots)?)))
                }
                Err(signal) => Err(signal),
            },
        );
    }
    let mut feeder = Feeder::start(stream, slots)?;
    // A wrong item among the first is found before there is a batch.
    let first = feeder.first().await?;
    request.origin.unread = !first.is_all;
    Ok(
        match unless_ended(&mut onlooker.signals, home.ids()).await {
            Ok(ids) => {
                let claim = home.create_claimed(ids?, &request, &first.tasks)?;
                Ok((claim, (!first.is_all).then_some(feeder)))
            }
            Err(signal) => Err(signal),
        },
    )
}

/// The batch of this key is there already: says how it is, writes its results where they were asked for and are
/// all there, and ends as waiting for it would end now.
fn existing(added: &AddReply, args: &RunArgs, mut onlooker: Onlooker) -> Result<Exit, CliError> {
    let file = BatchFile::new(&added.file);
    let status = status(&file, false)?;
    let is_wanted = args.results.format.is_some() || args.results.output.is_some();
    if is_wanted && status.state.is_done() {
        WholeResults::new(&mut onlooker.output).write(&file)?;
    }
    let (batch, naming) = (&status.batch, Naming::of(&status));
    let next = match (status.state, status.pid) {
        (State::Completed, _) => format!("see: bex results {naming}"),
        (State::Failed, _) => {
            format!("see: bex results {naming}; queue what failed again with: bex retry {naming}")
        }
        (_, Some(_)) => format!("wait for it with: bex wait {naming}"),
        (_, None) => format!("continue with: bex resume {naming}"),
    };
    onlooker.screen.say(&format!(
        "{batch} has this key and these tasks already and {}: {}; {next}",
        status.state.predicate(),
        status.counts()
    ));
    Ok(Exit::now(&status))
}
