//! Opens files in whose place there may be something else: [`open_plain`] and [`open_output`].
//!
//! A folder that others can write, and one that came from elsewhere, may hold a link to a file that is none of the
//! batch's, or a named pipe that never ends. Links are not followed here, and nothing waits for the other end of a pipe.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens a plain file, as `options` say.
///
/// # Errors
/// When the system refuses, and when there is a link, a folder, a pipe or a device at that path.
pub fn open_plain(path: &Path, options: &OpenOptions) -> io::Result<File> {
    plain(imp::open(path, options)?)
}

/// Opens the file of an output to read it. Its folder must not be a link either, so that the file is where its batch is.
///
/// # Errors
/// As [`open_plain`].
pub fn open_output(path: &Path) -> io::Result<File> {
    plain(imp::open_in_folder(path)?)
}

/// Refuses a path on which another user decides where it leads: a link of theirs, in a folder that they can write. Links
/// of our own and of root are followed.
///
/// # Errors
/// When there is such a link, or the present folder cannot be told.
pub fn refuse_links_of_others(path: &Path) -> io::Result<()> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..MOST_LINKS {
        for part in path.ancestors() {
            if imp::is_link_of_another(part) {
                let what = format!("{} is a link that another user made", part.display());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
            }
        }
        let Ok(target) = path.read_link() else {
            break;
        };
        path.pop();
        path.push(target);
    }
    Ok(())
}

/// The system follows no more, either.
pub(crate) const MOST_LINKS: usize = 40;

fn plain(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(not_plain("it is not a plain file")),
    }
}

fn not_plain(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(unix)]
mod imp {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    use std::path::Path;

    use rustix::fs::{CWD, Mode, OFlags, openat};
    use rustix::io::Errno;

    /// Do not wait for the other end, and take no terminal as the controlling one.
    const CAREFUL: OFlags = OFlags::NOFOLLOW
        .union(OFlags::NONBLOCK)
        .union(OFlags::NOCTTY);

    pub(super) fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
        let mut options = options.clone();
        options.custom_flags(CAREFUL.bits().cast_signed());
        options.open(path).map_err(explained)
    }

    pub(super) fn open_in_folder(path: &Path) -> io::Result<File> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(super::not_plain("it is not the name of a file"));
        };
        let flags = CAREFUL | OFlags::CLOEXEC;
        let here = Path::new(".");
        let folder = if folder == Path::new("") {
            here
        } else {
            folder
        };
        let open = || {
            let folder = openat(CWD, folder, flags | OFlags::DIRECTORY, Mode::empty())?;
            openat(folder, name, flags, Mode::empty())
        };
        match open() {
            Ok(file) => Ok(file.into()),
            Err(error) => Err(explained(error.into())),
        }
    }

    /// Whether there is a link that belongs to another user, in a folder where others can make one.
    pub(super) fn is_link_of_another(path: &Path) -> bool {
        let trusted = [0, rustix::process::geteuid().as_raw()];
        let (Ok(link), Some(folder)) = (path.symlink_metadata(), path.parent()) else {
            return false;
        };
        let is_open = || {
            // What cannot be told is taken for a folder of others.
            folder.metadata().map_or(true, |folder| {
                let others = if trusted.contains(&folder.uid()) {
                    0o022
                } else {
                    0o222
                };
                folder.mode() & others != 0
            })
        };
        link.is_symlink() && !trusted.contains(&link.uid()) && is_open()
    }

    /// Explains what the system says about a link and about a pipe without a reader.
    fn explained(error: io::Error) -> io::Error {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::LOOP | Errno::MLINK) => {
                super::not_plain("it is a link, and none is followed here")
            }
            Some(Errno::NOTDIR) => super::not_plain("its folder is a link or no folder"),
            Some(Errno::NXIO) => super::not_plain("it is not a plain file"),
            _ => error,
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::path::Path;

    pub(super) fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
        options.open(path)
    }

    pub(super) fn open_in_folder(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(super) fn is_link_of_another(_path: &Path) -> bool {
        false
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_of_another_user_is_refused_where_they_can_make_one() {
        use std::os::unix::fs::{PermissionsExt, lchown};
        if !rustix::process::geteuid().is_root() {
            // Nobody else can give a link away.
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("victim"), "ours").unwrap();
        for folder in ["shared", "theirs", "ours"] {
            fs::create_dir(path(folder)).unwrap();
            symlink("../victim", path(folder).join("own")).unwrap();
            symlink("../victim", path(folder).join("link")).unwrap();
            lchown(path(folder).join("link"), Some(65534), None).unwrap();
        }
        fs::set_permissions(path("shared"), fs::Permissions::from_mode(0o1777)).unwrap();
        lchown(path("theirs"), Some(65534), None).unwrap();
        symlink("shared/link", path("hop")).unwrap();
        symlink("../ours", path("shared/folder")).unwrap();
        lchown(path("shared/folder"), Some(65534), None).unwrap();
        for name in ["shared/link", "theirs/link", "hop", "shared/folder/own"] {
            let error = refuse_links_of_others(&path(name)).expect_err(name);
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{name}");
            assert!(
                crate::files::AtomicFile::create(path(name)).is_err(),
                "{name}"
            );
        }
        for name in [
            "shared/own",
            "theirs/own",
            "ours/link",
            "ours/own",
            "shared/new",
        ] {
            refuse_links_of_others(&path(name)).expect(name);
        }
        for device in ["/dev/stdout", "/dev/null", "/dev/fd/1"] {
            refuse_links_of_others(device.as_ref()).expect(device);
        }
        assert_eq!(fs::read(path("victim")).unwrap(), b"ours");
    }

    #[test]
    fn what_is_no_plain_file_here_is_refused_without_waiting() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir(path("files")).unwrap();
        fs::write(path("files/plain"), "ours").unwrap();
        fs::write(path("secret"), "theirs").unwrap();
        symlink(path("secret"), path("files/link")).unwrap();
        symlink(path("files"), path("linked")).unwrap();
        let pipe = path("files/pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let mut read = OpenOptions::new();
        read.read(true);
        let mut append = OpenOptions::new();
        append.append(true).create(true);
        for name in ["files/link", "files/pipe", "files"] {
            for options in [&read, &append] {
                open_plain(&path(name), options).expect_err(name);
            }
        }
        for name in [
            "files/link",
            "files/pipe",
            "linked/plain",
            "linked",
            "files/..",
        ] {
            let error = open_output(&path(name)).expect_err(name);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}: {error}");
        }
        assert_eq!(fs::read(path("secret")).unwrap(), b"theirs");
        for file in [
            open_plain(&path("files/plain"), &read),
            open_output(&path("files/plain")),
        ] {
            assert_eq!(io::read_to_string(file.unwrap()).unwrap(), "ours");
        }
    }
}
