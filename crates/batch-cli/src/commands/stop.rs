//! `bex stop`: the run of a batch ends; what is queued stays queued.

use std::time::Duration;

use batch_actions::{Control, Home, Stop, Until, Waited, status, wait};
use batch_core::text::Counted;

use crate::args::StopArgs;
use crate::exit::{CliError, Exit};
use crate::hints::{self, Naming};
use crate::reply::print;
use crate::request_change::request_change;
use crate::runtime::runtime;

/// How long an executor that was told to end at once may take, beyond the time of grace of its tasks.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// How long one that has nothing to wait for may take.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) fn run(args: &StopArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let how = match (args.now, args.kill) {
        (_, true) => Stop::Kill,
        (true, _) => Stop::Now,
        _ => Stop::Graceful,
    };
    request_change(&file, Control::Stop { how })?;
    let limit = match how {
        _ if args.wait => None,
        Stop::Graceful => Some(IDLE_TIMEOUT),
        Stop::Now | Stop::Kill => Some(END_TIMEOUT),
    };
    let (mut waited, mut status) = (None, status(&file, false)?);
    // It is over at once where nothing runs.
    if args.wait || how != Stop::Graceful || status.running == 0 {
        let (how_ended, then) = runtime()?.block_on(wait(&file, Until::AtRest, limit))?;
        let gave_up_soon = how == Stop::Graceful && how_ended == Waited::TimedOut;
        waited = (!gave_up_soon).then_some(how_ended);
        status = then;
    }
    let (batch, naming) = (&status.batch, Naming::of(&status));
    print(args.json, &hints::status_json(&status), || {
        match (waited, status.running) {
            (None, running) => {
                let tasks = match running {
                    0 => "its tasks first end by themselves".to_owned(),
                    1 => "1 running task finishes first".to_owned(),
                    n => format!("{n} running tasks finish first"),
                };
                format!("{batch} is stopping: {tasks} (to end it now: bex stop --now {naming})")
            }
            (Some(Waited::TimedOut), _) => format!("{batch} is still stopping"),
            (Some(Waited::Silent), _) => {
                let why = hints::reason_text(&status);
                format!("{batch} was asked to stop, but {why}")
            }
            _ if status.queued == 0 => format!("{batch} {}", status.state.predicate()),
            _ => {
                let left = Counted(status.queued, "task");
                format!(
                    "{batch} is {}; {left} left (bex resume {naming})",
                    status.state
                )
            }
        }
    })?;
    Ok(match waited {
        Some(Waited::TimedOut) => Exit::WaitLimit,
        // It was told by a signal, as it hangs in the middle of writing.
        Some(Waited::Silent) => Exit::Broken,
        _ => Exit::Completed,
    })
}
