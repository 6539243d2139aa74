//! Paths that mean something that is open already: [`open_descriptor`].
//!
//! `/dev/stdout`, `/dev/fd/3` and the like lead to what a shell has redirected. To follow the link and put a new file in
//! that place would take away what the redirected file holds, and what others write to it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::blocking::duplicate;
use crate::plain_file::MOST_LINKS;

/// What a path names that means a descriptor, of this process or of another one, to be written to; `None` for all
/// other paths.
pub(crate) fn open_descriptor(path: &Path) -> Option<io::Result<File>> {
    let place = place_of(path)?;
    let number = place.file_name()?.to_str()?.parse().ok()?;
    Some(match is_own(place.parent()?) {
        true => own(number, &place),
        false => appended(&place),
    })
}

/// The path itself in a folder of descriptors, whatever links lead there.
fn place_of(path: &Path) -> Option<PathBuf> {
    let mut path = std::path::absolute(path).ok()?;
    for _ in 0..MOST_LINKS {
        let folder = path.parent()?.canonicalize().ok()?;
        path = folder.join(path.file_name()?);
        let is_of_process = folder.starts_with("/proc") && folder.ends_with("fd");
        if is_of_process || folder == Path::new("/dev/fd") {
            return Some(path);
        }
        path = folder.join(path.read_link().ok()?);
    }
    None
}

fn is_own(folder: &Path) -> bool {
    let own = ["/proc/self/fd", "/proc/thread-self/fd", "/dev/fd"].map(Path::new);
    let is_same = |own: &Path| own.canonicalize().is_ok_and(|own| own == folder);
    own.into_iter().any(is_same)
}

/// A second handle on a descriptor of this process, which shares its position in the file.
fn own(number: i32, place: &Path) -> io::Result<File> {
    match number {
        0 => duplicate(io::stdin()),
        1 => duplicate(io::stdout()),
        2 => duplicate(io::stderr()),
        number => given(number, place),
    }
}

/// The same for one beyond the standard streams: only what the one who started us left open for us, and nothing of ours.
#[cfg(target_os = "linux")]
fn given(number: i32, place: &Path) -> io::Result<File> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let is_given = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"))
        .is_ok_and(|info| !closes_on_exec(&info));
    if !is_given {
        let what = "no file was open there when bex began; open it in the shell, as with 3>>FILE";
        return Err(io::Error::new(io::ErrorKind::NotFound, what));
    }
    let handle = pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|process| pidfd_getfd(process, number, PidfdGetfdFlags::empty()));
    // A kernel that does not know the call, or a container that forbids it.
    handle.map(File::from).or_else(|_| appended(place))
}

/// Whether `/proc/self/fdinfo/N` tells of a file that is closed on exec, so that none was given to us so.
#[cfg(target_os = "linux")]
fn closes_on_exec(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i64::from_str_radix(flags.trim(), 8).ok());
    let on_exec = i64::from(rustix::fs::OFlags::CLOEXEC.bits());
    flags.is_none_or(|flags| flags & on_exec != 0)
}

/// Where the folder of descriptors is none of files, opening there is a second handle.
#[cfg(not(target_os = "linux"))]
fn given(_number: i32, place: &Path) -> io::Result<File> {
    appended(place)
}

fn appended(place: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(place)
}
