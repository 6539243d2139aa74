//! What can be done with stored batches: add, start, stop, status, results and the rest, each a typed request
//! and a typed reply. The command line and the agent's tool only translate.
//!
//! A batch is in a file of its own ([`Home`] knows where). There is no daemon: the process that works on a batch holds
//! the lease of its file, sees what others write into it, and handles what they ask through it ([`request`]). When nobody
//! works on a batch, a command takes the lease for a moment and does the same itself, by the same code.
//!
//! - [`add`], [`start`], [`status`], [`list`], [`wait`], [`results`], [`export`], [`show`], [`why`], [`logs`],
//!   [`remove`], [`prune`]
//! - [`request`] with a [`Control`]: cancel, retry, pause, resume, set, stop, clear
//! - [`Engine`]: working on a batch, for an executor in the foreground or background

#![forbid(unsafe_code)]

mod add;
mod affected;
mod blocking;
mod choice;
mod clock;
mod control;
mod engine;
mod error;
mod follow;
mod handle_command;
mod home;
mod live_view;
mod logs;
mod merge;
mod outlived;
mod place;
mod remove;
mod request;
mod results;
mod retry;
mod show;
mod start;
mod state_reason;
mod status;
mod wait;

pub use add::{AddReply, AddRequest, Target, ToRun, add, create, create_to_run};
pub use affected::affected;
pub use choice::{Choice, Resolved, find_task};
pub use clock::now;
pub use control::{Control, ControlReply, Refused, Removed, Stop};
pub use engine::{
    Adder, Claim, DiskSpace, Engine, EngineOptions, Finished, Mode, Observer, is_output_closed,
};
pub use error::ActionError;
pub use follow::follow;
pub use home::{BatchRequest, Home, Ids, default_slots};
pub use live_view::LiveView;
pub use logs::{LogsRequest, logs};
pub use merge::{Merged, merge};
pub use outlived::end_outlived;
pub use place::place_tasks;
pub use remove::{Pruned, prune, remove};
pub use request::{request, request_executor};
pub use results::{ResultsRequest, export, results, summary_of, summary_of_chosen};
pub use show::{Explanation, TaskDetails, show, why};
pub use start::{StartFailure, StartReply, start, tell_parent};
pub use state_reason::{Advice, MissingTasks, Silence, StateReason};
pub use status::{
    BatchStatus, Listed, RunningStatus, State, Unreadable, list, status, status_of,
    status_with_times,
};
pub use wait::{Condition, Until, Waited, until_complete, wait, wait_while};
