//! Working on a stored batch: [`Engine`], one process with the lease of a batch.
//!
//! ```text
//!            added tasks, requests                     events
//! file ──► attend ─────────────────► RunHandle ─► driver ─► JournalSink ──► file
//!                                                   └─ StartLog ──► lease
//! ```
//!
//! - `start`: takes the lease, ends what a dead executor left, restores the batch, starts the driver
//! - `attend`: sees what others write into the file, and notices when all is done
//! - `journal_sink`: the journal as a sink
//! - `room`: what is done while the disk is full

mod attend;
mod journal_sink;
mod room;
mod start;

pub(crate) use room::{DISK_FULL, STOPPING};
pub(crate) use start::me;
pub use start::{Adder, Engine, EngineOptions, Finished, LeftoverProcess, Mode, is_output_closed};
