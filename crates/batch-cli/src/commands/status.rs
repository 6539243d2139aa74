//! `bex status`: how a batch is getting on.

use batch_actions::{Home, status_with_times};

use crate::args::StatusArgs;
use crate::exit::{CliError, Exit};
use crate::hints;
use crate::reply::print;
use crate::status_text::StatusText;

pub(crate) fn run(args: &StatusArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let status = status_with_times(&file, args.detailed)?;
    let json = hints::status_json(&status);
    print(args.json, &json, || StatusText(&status).to_string())?;
    Ok(Exit::Completed)
}
