//! Where a file is: [`network_file_system`] and [`is_mounted`], asked before a batch is stored.
//!
//! A file that several programs lock and share needs a file system that keeps these promises. Those of
//! the network often do not.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as imp;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as imp;

use std::io;
use std::path::Path;

/// The name of the network file system that a file or folder is on, such as `NFS`; `None` when it is
/// on a local one, or on one that is not known.
///
/// Linux only: on other systems always `None`.
///
/// # Errors
/// When there is nothing at that path, or the system does not tell. For a file that is yet to be made
/// ask about its folder.
pub fn network_file_system(path: &Path) -> io::Result<Option<&'static str>> {
    imp::network_file_system(path)
}

/// Whether a file is a mount of its own, as by `mount --bind` or a container's volume for a single file: what is
/// beside it by this name is not what is beside it by its other one.
///
/// Linux only: on other systems always `false`.
///
/// # Errors
/// When there is nothing at that path, or the system does not tell.
pub fn is_mounted(file: &Path) -> io::Result<bool> {
    imp::is_mounted(file)
}
