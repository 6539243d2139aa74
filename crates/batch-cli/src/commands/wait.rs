//! `bex wait`: until a batch is done, or has come as far as asked.

use batch_actions::{BatchStatus, Home, State, Until, Waited, wait};

use crate::args::WaitArgs;
use crate::commands::run::runtime;
use crate::exit::{CliError, Exit};
use crate::reply::print;

pub(crate) fn run(args: &WaitArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let until = until(&args.until)?;
    let (waited, status) = runtime()?.block_on(wait(&file, until, args.timeout))?;
    print(args.json, &status, || sentence(waited, &status))?;
    Ok(exit(waited, &status))
}

fn until(text: &str) -> Result<Until<'static>, CliError> {
    Ok(match text {
        "done" => Until::Done,
        "first-failure" | "first_failure" => Until::FailedOver(0),
        number => Until::Finished(number.parse().map_err(|_| {
            let message =
                format!("--until {text}: it is done, first-failure, or a number of finished tasks");
            CliError::Usage(message)
        })?),
    })
}

fn sentence(waited: Waited, status: &BatchStatus) -> String {
    let (batch, counts) = (&status.batch, status.counts());
    match waited {
        Waited::Reached | Waited::Done if status.timed_out => {
            let why = status.reason.as_deref().unwrap_or_default();
            format!("{batch} is {}: {counts}; {why}", status.state.in_words())
        }
        Waited::Reached | Waited::Done => {
            format!("{batch} is {}: {counts}", status.state.in_words())
        }
        Waited::TimedOut => format!("{batch} is still {}: {counts}", status.state),
        Waited::AtRest if status.state == State::Incomplete => {
            format!(
                "{batch} is incomplete: {}",
                status.reason.as_deref().unwrap_or_default()
            )
        }
        Waited::AtRest => {
            format!("nothing runs {batch}, which is {}: {counts}", status.state)
        }
        Waited::Silent => {
            let why = status.reason.as_deref().unwrap_or_default();
            format!("{batch} is still {}: {counts}; {why}", status.state)
        }
    }
}

/// The exit code for a batch as it stands, with no time to wait.
pub(crate) fn exit_now(status: &BatchStatus) -> Exit {
    let waited = match (status.state, status.pid) {
        (State::Completed | State::Failed, _) => Waited::Reached,
        (_, Some(_)) => Waited::TimedOut,
        (_, None) => Waited::AtRest,
    };
    exit(waited, status)
}

/// The exit code for a batch as it stands after waiting.
pub(crate) fn exit(waited: Waited, status: &BatchStatus) -> Exit {
    match (waited, status.state) {
        (Waited::TimedOut | Waited::Silent, _) => Exit::WaitLimit,
        (_, State::Completed) => Exit::Completed,
        (_, State::Failed) if status.timed_out => Exit::Stopped,
        (_, State::Failed) => Exit::SomeFailed,
        (Waited::Reached, _) if status.failed > 0 => Exit::SomeFailed,
        (Waited::Reached, _) => Exit::Completed,
        (Waited::Done | Waited::AtRest, _) => Exit::Stopped,
    }
}
