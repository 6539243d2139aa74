//! `bex start`: a batch in the background.

use batch_actions::Home;

use crate::args::StartArgs;
use crate::background::{Background, in_background};
use crate::exit::{CliError, Exit};

pub(crate) fn run(args: &StartArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let background = Background {
        max_concurrent: args.slots.max_concurrent,
        stay: args.stay,
        ..Background::default()
    };
    in_background(&file, background)?.tell(args.json)
}
