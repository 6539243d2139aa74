//! The files that bex itself writes beside a batch and in its state folder: [`open_own`] and [`own_folder`].
//!
//! Others may have put something in their place, where they can write to the folder. What is written goes to a plain
//! file of someone who is trusted, or nowhere.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use batch_export::files::open_plain;

/// Opens a file of ours to write, and makes it for its owner only where there is none. It belongs to `of`, a database or
/// a folder: the one who that is of may have made it, and so may this user and root.
///
/// # Errors
/// When the system refuses, when there is no plain file at that path, or when it is someone else's.
pub fn open_own(path: &Path, of: &Path, options: &OpenOptions) -> io::Result<File> {
    let mut options = options.clone();
    let file = open_plain(path, options.create(true).mode(0o600))?;
    check_owner(&file.metadata()?, of)?;
    Ok(file)
}

/// Makes a folder of ours, and those above it, for its owner only. One that exists stays as it is.
///
/// # Errors
/// When it cannot be made, when there is a link at that path, or when it is someone else's.
pub fn own_folder(path: &Path, of: &Path) -> io::Result<()> {
    private_folder(path)?;
    let found = path.symlink_metadata()?;
    if !found.is_dir() {
        let what = "it is a link, and none is followed here";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    check_owner(&found, of)
}

/// Makes a folder, and those above it, for its owner only; one that exists stays as it is.
///
/// # Errors
/// When it cannot be made.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn check_owner(found: &Metadata, of: &Path) -> io::Result<()> {
    let owner = found.uid();
    let me = rustix::process::geteuid().as_raw();
    let is_trusted = || Ok::<_, io::Error>(owner == of.metadata()?.uid());
    if [me, 0].contains(&owner) || is_trusted()? {
        return Ok(());
    }
    let what = format!(
        "user {owner} made it, who is not the owner of {}",
        of.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
}
