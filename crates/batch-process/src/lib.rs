//! Process trees on Unix: fast spawning, bounded capture, and endings that leave nothing behind.
//!
//! A [`Spec`] says what to run, [`Process::spawn`] starts it in a session and a process group of its own, and
//! [`Process::run`] reads its output, watches for its end and ends it when asked to, together with
//! everything it started. The handlers for commands, shell and code are on this crate; it knows
//! nothing of batches but the type of an output ([`batch_core::outcome::Stream`]).
//!
//! On Linux (5.3 and newer) a process is watched by a pidfd, and `/proc` finds what left its group.
//! Other Unix systems get `SIGCHLD` and the process group, no more.
//!
//! For a program that runs batches there are besides: [`guard`], a small parent that cleans up after a
//! killed executor; [`ControlSignals`], what the terminal and other programs ask for; [`signal_all`],
//! [`reap_orphans`] and [`sweep`] over everything that runs; [`raise_limits`].
//!
//! For stored batches, which outlive their executor: [`own_mark`] names an executor for later,
//! [`process_alive`], [`signal_process`] and [`end_run`] ask and act by that name; [`new_session`] and
//! [`close_stdio`] leave the terminal; [`network_file_system`] and [`is_mounted`] tell where not to store;
//! [`try_lock_file`] keeps a file for one executor, by whatever name it is opened. What a process needs only while it
//! runs is in its [`Scratch`].

#[cfg(not(unix))]
compile_error!("batch-process needs a Unix system: Linux, macOS or a BSD");

#[cfg(target_os = "linux")]
mod attempt_mark;
mod capture;
mod capture_limits;
mod command_line;
mod control;
mod detach;
mod environment;
mod file_lock;
mod file_system;
pub mod guard;
mod leaders;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
mod mark;
#[cfg(target_os = "linux")]
mod memory_kills;
mod output;
mod piped;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
mod other_unix;
#[cfg(not(target_os = "linux"))]
use other_unix as platform;
mod disk_space;
mod process;
#[cfg(target_os = "linux")]
mod process_limits;
#[cfg(target_os = "linux")]
mod procfs;
mod program;
#[cfg(target_os = "linux")]
mod scope;
mod scratch;
mod signal;
mod spawn_error;
mod spec;
mod spill;
mod start;
mod sweep;
mod sys;
mod tap;
#[cfg(target_os = "linux")]
mod tree;
mod written;

pub use capture_limits::CaptureLimits;
pub use command_line::command_line_room;
pub use control::{ControlSignal, ControlSignals, suspend};
pub use detach::{close_inherited, close_stdio, leave_task, new_session};
pub use disk_space::{DiskSpaceWatch, is_disk_full, until_space};
pub use file_lock::{is_file_locked, try_lock_file, unlock_file};
pub use file_system::{is_mounted, network_file_system};
pub use leaders::{reap_orphans, signal_all};
pub use limits::{Capacity, Limit, raise_limits};
pub use mark::{
    awake_time, boot_id, own_mark, process_alive, signal_process, stopped_processes, wake_guardian,
};
pub use piped::{PipedProcess, Pipes};
pub use platform::note_memory_kills;
pub use process::{Ended, Process};
pub use program::find_program;
pub use scratch::{Scratch, remove_dead_scratch};
pub use signal::{Signal, ignore_file_size_limit};
pub use spawn_error::{SpawnError, shortage};
pub use spec::{MAX_ARGUMENT_BYTES, Spec, Stdin};
pub use sweep::{Leftover, end_run, sweep};
pub use tap::{LiveOutput, OutputTap};
pub use written::when_written;
