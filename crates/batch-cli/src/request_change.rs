//! Having something done to a batch, and telling what was in the way: [`request_change`].

use batch_actions::{Control, ControlReply, request};
use batch_store::BatchFile;

use crate::exit::CliError;
use crate::leftovers::tell_outlived;
use crate::runtime::runtime;

/// Has the process that works on a batch do something to it.
pub(crate) fn request_change(file: &BatchFile, control: Control) -> Result<ControlReply, CliError> {
    let reply = runtime()?.block_on(request(file, control))?;
    tell_outlived(&reply.leftovers);
    Ok(reply)
}
