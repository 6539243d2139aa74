//! What can be done with stored batches: add, start, stop, status, results and the rest, each a typed request
//! and a typed reply. The command line and the agent's tool only translate.
//!
//! A batch lies in a file of its own ([`Home`] knows where). There is no daemon: whoever works on a batch holds
//! the lease of its file, sees what others write into it, and obeys what they ask by it ([`ask`]). When nobody
//! works on a batch, a command takes the lease for a moment and does the same itself, by the same code.
//!
//! - [`add`], [`start`], [`status`], [`list`], [`wait`], [`results`], [`export`], [`show`], [`why`], [`logs`],
//!   [`remove`], [`prune`]
//! - [`ask`] with a [`Control`]: cancel, retry, pause, resume, set, stop, clear
//! - [`Engine`]: working on a batch, for an executor in the foreground or background

#![forbid(unsafe_code)]

mod add;
mod ask;
mod choice;
mod control;
mod engine;
mod error;
mod home;
mod logs;
mod merge;
mod naming;
mod place;
mod remove;
mod results;
mod retry;
mod show;
mod standing;
mod start;
mod status;
mod wait;
mod words;

pub use add::{AddReply, AddRequest, Target, ToRun, add, create, create_to_run};
pub use ask::{ask, ask_executor};
pub use choice::{Choice, Resolved, find_task};
pub use control::{Control, ControlReply, Refused, Removed, Stop};
pub use engine::{
    Adder, Claim, Engine, EngineOptions, Finished, Mode, Room, is_output_closed, short_text,
};
pub use error::ActionError;
pub use home::{BatchRequest, Home, Ids, default_slots, now};
pub use logs::{LogsRequest, logs};
pub use merge::{Merged, merge};
pub use naming::Naming;
pub use place::place_tasks;
pub use remove::{Pruned, prune, remove, remove_empty};
pub use results::{ResultsRequest, export, results, summary_of, summary_of_chosen};
pub use show::{TaskDetails, show, why};
pub use standing::Standing;
pub use start::{StartReply, start, tell_parent};
pub use status::{
    BatchStatus, CauseStatus, Listed, RunningStatus, State, Unreadable, list, status, status_of,
};
pub use wait::{Until, Waited, until_complete, wait, wait_for};
