//! Nothing is known of file systems here.

use std::io;
use std::path::Path;

pub(super) fn network_file_system(path: &Path) -> io::Result<Option<&'static str>> {
    path.metadata()?;
    Ok(None)
}

pub(super) fn is_mounted(file: &Path) -> io::Result<bool> {
    file.metadata()?;
    Ok(false)
}
