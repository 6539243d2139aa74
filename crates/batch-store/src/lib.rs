//! One batch, one SQLite file: the journal of what happened, recovery, queries and the lease.
//!
//! Everything that is known of a batch is in its file and survives the end of every process. This crate
//! writes what the core's events say, reads it back, and decides nothing: what becomes of a task that was
//! running when its executor died is the business of `batch_core::Batch`, into which [`Store::load`] puts all
//! tasks again.
//!
//! ```text
//! tasks ── Adding ──►┐                    ┌──► Store::load ──► Batch
//! events ─ Journal ─►│ b7.db (one SQLite) │──► for_each_task ─► TaskRecord ─► results, exports
//! requests ─ ask ───►└────────────────────┘──► overview ──────► status
//!                      b7.db.lease: who works on it, and what it has started
//! ```
//!
//! - [`Store`] is an open file; any number of processes may have it open.
//! - [`Adding`] adds tasks, all or none.
//! - [`Journal`] folds events into rows and writes them in groups.
//! - [`Lease`] is the right to change the state of tasks: an OS lock, so a crash needs no timeout to be noticed.
//!
//! ```
//! use batch_core::{BatchId, BatchSettings, Status, TaskSpec, Time};
//! use batch_store::{BatchFile, Durability, NewBatch, Origin, Store};
//!
//! let folder = tempfile::tempdir()?;
//! let new = NewBatch {
//!     batch: BatchId::default(),
//!     settings: BatchSettings::default(),
//!     origin: Origin::default(),
//!     created_at: Time::ZERO,
//! };
//! let file = BatchFile::new(folder.path().join("b1.db"));
//! let mut store = Store::create(file, &new, Durability::Full)?;
//! let mut adding = store.adding(Time::ZERO)?;
//! adding.add([(&TaskSpec::new("simulate"), Vec::new())])?;
//! assert_eq!(adding.commit()?.count, 1);
//! assert_eq!(store.overview()?.totals.count(Status::Queued), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod add;
mod content;
mod create;
mod ended;
mod error;
mod explain;
mod file;
mod first_content;
pub mod holder;
mod inode;
mod journal;
mod kept;
pub mod lease;
mod load;
mod open;
mod overview;
mod own_file;
mod query;
mod record_rows;
mod remove;
pub mod requests;
mod rows;
pub mod runs;
pub mod schema;
mod selection;
mod settings;
mod shape;
mod since;
mod spec_rows;
mod store;
mod task_rows;
mod times;
mod totals;
pub mod watch;

/// What makes two tasks the same work, in the files of all versions.
pub mod identity {
    pub use crate::content::{ContentHash, Identity};
    pub use crate::first_content::{first_fingerprint, first_key_name};
}

/// The files and folders that are written beside batches.
pub mod files {
    pub use crate::file::remove_dead_files;
    pub use crate::own_file::{open_own, own_folder, private_folder};
}

pub use add::{Added, Adding};
pub use error::{Loss, Obstacle, StoreError};
pub use file::BatchFile;
pub use holder::{Holder, LeaseNote};
pub use journal::{Journal, lock};
pub use lease::{Lease, LeaseError};
pub use load::LeftBehind;
pub use overview::Overview;
pub use remove::Cleared;
pub use runs::{EndCause, Run};
pub use schema::Durability;
pub use selection::Selection;
pub use settings::{BatchInfo, NewBatch, Origin};
pub use since::Since;
pub use store::Store;
