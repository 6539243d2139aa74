//! `bex wait`: until a batch is done, or has come as far as asked.

use batch_actions::{BatchStatus, Home, State, Until, Waited, wait};

use crate::args::WaitArgs;
use crate::exit::{CliError, Exit, Outcome};
use crate::hints;
use crate::reply::print;
use crate::runtime::runtime;

pub(crate) fn run(args: &WaitArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let until = until(&args.until)?;
    let (waited, status) = runtime()?.block_on(wait(&file, until, args.timeout))?;
    print(args.json, &hints::status_json(&status), || {
        sentence(waited, &status)
    })?;
    Ok(Exit::of(Outcome::Waited(waited, &status)))
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
            let why = hints::reason_text(status);
            format!("{batch} {}: {counts}; {why}", status.state.predicate())
        }
        Waited::Reached | Waited::Done => {
            format!("{batch} {}: {counts}", status.state.predicate())
        }
        Waited::TimedOut => format!("{batch} is still {}: {counts}", status.state),
        Waited::AtRest if status.state == State::Incomplete => {
            format!("{batch} is incomplete: {}", hints::reason_text(status))
        }
        Waited::AtRest => {
            format!("nothing runs {batch}, which is {}: {counts}", status.state)
        }
        Waited::Silent => {
            let why = hints::reason_text(status);
            format!("{batch} is still {}: {counts}; {why}", status.state)
        }
    }
}
