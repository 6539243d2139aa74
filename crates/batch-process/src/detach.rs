//! Leaving the terminal, and the task it was started from: [`close_inherited`], [`leave_task`], [`new_session`] and
//! [`close_stdio`], for an executor in the background.
//!
//! It calls the first three first thing in `main`, before [`guard::enter`](crate::guard::enter), so that its guardian
//! is in the new session too.

use std::fs::OpenOptions;
use std::io;

use crate::platform;

/// Puts this process into a session and a group of its own, without a terminal: what ends with the
/// terminal, and what is typed there, does not reach it any more.
///
/// # Errors
/// When the process leads its group: it was started by a shell with job control, or with a group of its
/// own. Start it as a plain child of another process.
pub fn new_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Makes this process no part of the task that it was started from, if it was: what ends that task does not end it.
/// Linux only: on other systems it does nothing.
pub fn leave_task() {
    platform::leave_attempt();
}

/// Closes all that the one who started this process left open in it, but for the standard streams: a pipe that stays
/// open here keeps its reader waiting. To be called before anything is opened. Linux only: on other systems it
/// does nothing.
pub fn close_inherited() {
    platform::close_inherited();
}

/// Replaces standard input and output by `/dev/null`. Standard error stays: it is the log.
///
/// # Errors
/// When `/dev/null` cannot be opened.
pub fn close_stdio() -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}
