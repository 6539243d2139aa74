//! Process trees on Unix: fast spawning, bounded capture, and endings that leave nothing behind.
//!
//! A [`Spec`] says what to run, [`Process::spawn`] starts it in a process group of its own, and
//! [`Process::run`] reads its output, watches for its end and ends it when asked to, together with
//! everything it started. The handlers for commands, shell and code stand on this crate; it knows
//! nothing of batches but the type of an output ([`batch_core::Stream`]).
//!
//! On Linux (5.3 and newer) a process is watched by a pidfd, and `/proc` finds what left its group.
//! Other Unix systems get `SIGCHLD` and the process group, no more.
//!
//! For a program that runs batches there are besides: [`guard`], a small parent that cleans up after a
//! killed executor; [`ControlSignals`], what the terminal and other programs ask for; [`signal_all`],
//! [`reap_orphans`] and [`sweep`] over everything that runs; [`raise_open_files`].

#[cfg(not(unix))]
compile_error!("batch-process needs a Unix system: Linux, macOS or a BSD");

mod capture;
mod control;
mod environment;
pub mod guard;
mod leaders;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
mod output;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
mod other_unix;
#[cfg(not(target_os = "linux"))]
use other_unix as platform;
mod process;
#[cfg(target_os = "linux")]
mod procfs;
mod program;
mod signal;
mod spawn_error;
mod spec;
mod sweep;
mod sys;

pub use capture::CaptureLimits;
pub use control::{ControlSignal, ControlSignals, suspend};
pub use leaders::{reap_orphans, signal_all};
pub use limits::{OpenFiles, raise_open_files};
pub use process::{Ended, Process};
pub use program::find_program;
pub use signal::{Signal, signal_name};
pub use spawn_error::SpawnError;
pub use spec::{MAX_ARGUMENT_BYTES, Spec};
pub use sweep::{Leftover, sweep};
