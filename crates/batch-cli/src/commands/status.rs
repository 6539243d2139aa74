//! `bex status`: how a batch is progressing.

use std::io;

use batch_actions::{Home, status_with_times};

use crate::args::StatusArgs;
use crate::exit::{CliError, Exit};
use crate::hints;
use crate::paint::paints;
use crate::reply::print_safe;
use crate::status_text::StatusText;

pub(crate) fn run(args: &StatusArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let status = status_with_times(&file, args.detailed)?;
    let json = hints::status_json(&status);
    let text = StatusText {
        status: &status,
        paints: paints(&io::stdout()),
    };
    print_safe(args.json, &json, || text.to_string())?;
    Ok(Exit::Completed)
}
