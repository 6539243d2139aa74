//! Working on a stored batch: [`Engine`], one process with the lease of a batch.
//!
//! ```text
//!            added tasks, requests                     events
//! file ──► attend ─────────────────► RunHandle ─► driver ─► JournalSink ──► file
//!                                                   └─ StartLog ──► lease
//! ```
//!
//! - `take_up`: takes the lease, ends what a dead executor left, restores the batch
//! - `start`: starts the driver, and lays the work down in the end
//! - `attend`: sees what others write into the file, and notices when all is done
//! - `journal_sink`: the journal as a sink
//! - `room`: what is done while the disk is full or another program holds the file

mod attend;
mod journal_sink;
mod room;
mod start;
mod take_up;

pub(crate) use room::{DISK_FULL, FILE_BUSY, STOPPING, is_running};
pub use room::{Room, short_text};
pub use start::{Adder, Engine, EngineOptions, Finished, Mode, is_output_closed};
pub use take_up::Claim;
pub(crate) use take_up::{end_leftovers, me, take_lease_to_remove};
