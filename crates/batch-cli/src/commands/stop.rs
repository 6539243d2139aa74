//! `bex stop`: the run of a batch ends; what is queued stays queued.

use std::time::Duration;

use batch_actions::{Control, Home, Naming, Stop, Until, Waited, status, wait};

use crate::args::StopArgs;
use crate::commands::change::done;
use crate::commands::run::runtime;
use crate::exit::{CliError, Exit};
use crate::reply::{count, print};

/// How long an executor that was told to end at once may take, beyond the time of grace of its tasks.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &StopArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let how = match (args.now, args.kill) {
        (_, true) => Stop::Kill,
        (true, _) => Stop::Now,
        _ => Stop::Graceful,
    };
    done(&file, Control::Stop { how })?;
    let mut waited = None;
    if args.wait || how != Stop::Graceful {
        let limit = (!args.wait).then_some(PATIENCE);
        waited = Some(runtime()?.block_on(wait(&file, Until::AtRest, limit))?.0);
    }
    let status = status(&file, false)?;
    let (batch, naming) = (&status.batch, Naming::new(&status.batch, &status.file));
    print(args.json, &status, || match (waited, status.running) {
        (None, running @ 1..) => {
            let tasks = match running {
                1 => "1 running task first ends by itself".to_owned(),
                n => format!("{n} running tasks first end by themselves"),
            };
            format!("{batch} is stopping: {tasks} (at once with: bex stop --now {naming})")
        }
        (Some(Waited::TimedOut), _) => format!("{batch} is stopping still"),
        _ => {
            let left = count(status.queued, "task");
            format!(
                "{batch} is {}; {left} left (bex resume {naming})",
                status.state
            )
        }
    })?;
    Ok(match waited {
        Some(Waited::TimedOut) => Exit::WaitLimit,
        _ => Exit::Completed,
    })
}
