//! Pieces of the input of `bex run --pipe` that are no longer needed: [`remove_used_blocks`].

use batch_core::Status;
use batch_input::{Blocks, TaskStream};
use batch_store::Store;

/// Removes the files of the blocks whose tasks have completed, as the batch file says. Those of others stay, for a
/// retry, and go with the batch.
pub(crate) fn remove_used_blocks(store: &Store) {
    let files = std::fs::read_dir(store.file().folder());
    for file in files.into_iter().flatten().flatten() {
        let name = file.file_name();
        let Some(block) = name.to_str().and_then(Blocks::number_of) else {
            continue;
        };
        // Whatever cannot be found out now is tried again.
        let task = store.find(&TaskStream::block_id(block)).ok().flatten();
        let record = task.and_then(|task| store.task(task).ok().flatten());
        if record.is_some_and(|record| record.status == Status::Completed) {
            let _ = std::fs::remove_file(file.path());
        }
    }
}
