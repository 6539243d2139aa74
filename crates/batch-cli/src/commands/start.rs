//! `bex start`: a batch in the background.

use batch_actions::Home;

use crate::args::{KeptDurability, StartArgs};
use crate::background::in_background;
use crate::exit::{CliError, Exit};

pub(crate) fn run(args: &StartArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    in_background(
        &file,
        args.slots.max_concurrent,
        KeptDurability::Full,
        args.json,
    )
}
