//! Working on a stored batch: [`Engine`], one process with the lease of a batch.
//!
//! ```text
//!            added tasks, requests                     events
//! file ──► watch_requests ─────────► RunHandle ─► driver ─► JournalSink ──► file
//!                                                   └─ StartLog ──► lease
//! ```
//!
//! - `acquire`: takes the lease, ends what a dead executor left, restores the batch
//! - `start`: starts the driver, and ends the work
//! - `watch_requests`: sees what others write into the file, and notices when all is done
//! - `journal_sink`: the journal as a sink
//! - `room`: what is done while the disk is full or another program holds the file

mod acquire;
mod disk_space;
mod journal_sink;
mod options;
mod reader;
mod seen;
mod start;
mod watch_requests;

pub use acquire::Claim;
pub(crate) use acquire::{end_leftovers, end_of, me, refuse_network, take_lease_to_remove};
pub use disk_space::DiskSpace;
pub use options::{EngineOptions, Mode, Observer};
pub(crate) use start::obstacle_of;
pub use start::{Adder, Engine, Finished, is_output_closed};
