//! `bex status`: how a batch is getting on.

use batch_actions::{Home, status_with_times};

use crate::args::StatusArgs;
use crate::exit::{CliError, Exit};
use crate::reply::print;

pub(crate) fn run(args: &StatusArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let status = status_with_times(&file, args.detailed)?;
    print(args.json, &status, || status.to_string())?;
    Ok(Exit::Completed)
}
