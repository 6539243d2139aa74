//! `bex resume`: a paused batch goes on, an unfinished one is run to its end.

use batch_actions::{BatchStatus, Claim, Home, status_of};
use batch_export::Format;
use batch_process::ControlSignals;
use batch_store::{BatchFile, BatchInfo, Durability, Store};

use crate::args::ResumeArgs;
use crate::background::{Background, in_background, join, nothing_to_do_text};
use crate::capacity::{guarded, most_at_once};
use crate::exit::{CliError, Exit};
use crate::foreground::{Foreground, Onlooker};
use crate::output::OutputPlan;
use crate::progress::Screen;
use crate::reply::print;
use crate::request::output_plan;
use crate::runtime::runtime_within;
use crate::same_file::refuse_over_input;
use crate::whole_results::WholeResults;

pub(crate) fn run(args: ResumeArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    refuse_over_input("-o", args.results.output.as_deref(), [file.shown()])?;
    if let Some(joined) = join(&file, args.slots.max_concurrent)? {
        print(args.json, &joined.reply, || joined.to_string())?;
        return Ok(Exit::Completed);
    }
    if args.detach {
        let begun = in_background(
            &file,
            Background {
                max_concurrent: args.slots.max_concurrent,
                durability: args.durability,
                stay: false,
            },
        )?;
        return begun.tell(args.json);
    }
    in_foreground(file, args.durability.into(), &args)
}

/// Runs an unfinished batch to its end before someone's eyes.
fn in_foreground(
    file: BatchFile,
    durability: Durability,
    args: &ResumeArgs,
) -> Result<Exit, CliError> {
    // Closed again before the process splits in two: SQLite allows nothing else.
    let (info, status) = {
        let store = Store::open_read(file.clone())?;
        (store.info()?, status_of(&store)?)
    };
    let mut output = output_plan(&args.results, format_of(&info, args.json))?;
    let is_over = status.state.is_done();
    // A pause that lasts beyond the last task is taken away by a run.
    if is_over && info.paused.is_none() {
        return nothing_to_do(&status, &file, output, args);
    }
    // Before anything starts a thread.
    let guarded = guarded()?;
    output.beside.goes_on = true;
    output.open_file()?;
    let whole_at_end = WholeResults::of(&mut output);
    let max_concurrent = args.slots.max_concurrent;
    let slots = max_concurrent.unwrap_or(info.settings.max_concurrent);
    let left = status.total - status.finished();
    output.beside.alone = slots.get() == 1 || left == 1;
    let screen = Screen::of(&args.results, output.beside.alone);
    let most_at_once = most_at_once(slots, &screen)?;
    runtime_within(most_at_once)?.block_on(async {
        let signals = ControlSignals::new(guarded)
            .map_err(|error| CliError::System("listen to signals", error))?;
        let foreground = Foreground {
            claim: Claim::to_run(&file, durability).await?,
            max_concurrent,
            halt: info.settings.halt,
            whole_at_end,
        };
        let onlooker = Onlooker {
            output,
            signals,
            screen,
            most_at_once,
        };
        foreground.run(None, onlooker).await
    })
}

/// A batch in which everything is finished: gives the results that are asked for, and ends as its last run did.
fn nothing_to_do(
    status: &BatchStatus,
    file: &BatchFile,
    mut output: OutputPlan,
    args: &ResumeArgs,
) -> Result<Exit, CliError> {
    let asked = &args.results;
    if args.json || asked.format.is_some() || asked.output.is_some() {
        output.open_file()?;
        WholeResults::new(&mut output).write(file)?;
    }
    Screen::of(asked, false).say(&nothing_to_do_text(status));
    Ok(Exit::now(status))
}

/// The format of the results where none is given: that in which the batch was begun.
fn format_of(info: &BatchInfo, json: bool) -> Format {
    let before = info.origin.format.as_deref();
    let before = before.and_then(|name| name.parse().ok());
    match json {
        true => Format::Json,
        false => before.unwrap_or(Format::Text),
    }
}
