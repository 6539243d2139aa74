//! The limits of processes on Linux, and how many there are: [`process_limits`].

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::getuid;

use crate::limits::Limit;
use crate::sys;

/// A limit of a user so far above what is wanted is not looked at more closely: counting takes a look at every process.
const FAR: u64 = 8_192;

/// The limits of processes that could matter to someone who wants to start this many.
pub(crate) fn process_limits(wanted: u64) -> Vec<Limit> {
    of_user(wanted).into_iter().chain(of_cgroups()).collect()
}

/// How many files this process has open.
pub(crate) fn open_now() -> Option<u64> {
    // The folder itself is one of them.
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    Some((open as u64).saturating_sub(1))
}

fn of_user(wanted: u64) -> Option<Limit> {
    let limit = sys::most_processes().ok()?;
    // It does not hold for root.
    if limit > wanted.saturating_add(FAR) || getuid().is_root() {
        return None;
    }
    Some(Limit::Processes {
        cgroup: None,
        limit,
        used: threads_of(getuid().as_raw()),
    })
}

/// How many threads a user has, in all processes.
fn threads_of(user: u32) -> u64 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let threads = entries.filter_map(|entry| {
        // The folder has a link for itself, one from above, and one for each thread.
        let tasks = fs::metadata(entry.path().join("task")).ok()?;
        (tasks.uid() == user).then(|| tasks.nlink().saturating_sub(2))
    });
    threads.sum()
}

/// The limits of the cgroup we are in and of those above it.
fn of_cgroups() -> Vec<Limit> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let folders = cgroup_folders(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
    folders.into_iter().filter_map(of_cgroup).collect()
}

fn of_cgroup(folder: PathBuf) -> Option<Limit> {
    let number = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    // Without a limit it says `max`.
    let (limit, used) = (number("pids.max")?, number("pids.current")?);
    Some(Limit::Processes {
        cgroup: Some(folder),
        limit,
        used,
    })
}

/// The folders of the cgroups that count our processes, as far as they can be seen: of `/proc/self/cgroup` and
/// `/proc/self/mountinfo`.
fn cgroup_folders(cgroups: &str, mounts: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in cgroups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let is_first_version = controllers.split(',').any(|name| name == "pids");
        if !is_first_version && !controllers.is_empty() {
            continue;
        }
        let Some((root, mount)) = mounts
            .lines()
            .find_map(|line| mount_of(line, is_first_version))
        else {
            continue;
        };
        // In a container the path may be one outside of what is mounted; then that is all of ours there is to be seen.
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        let lowest: PathBuf = Path::new(mount)
            .components()
            .chain(below.components())
            .collect();
        let up = lowest
            .ancestors()
            .take_while(|folder| folder.starts_with(mount));
        folders.extend(up.map(Path::to_owned));
    }
    folders
}

/// The root and the place of a mount of cgroups, if a line tells of one.
fn mount_of(line: &str, is_first_version: bool) -> Option<(&str, &str)> {
    let (mount, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let (name, options) = (kind.next()?, kind.nth(1).unwrap_or_default());
    let is_it = match is_first_version {
        true => name == "cgroup" && options.split(',').any(|option| option == "pids"),
        false => name == "cgroup2",
    };
    let mut fields = mount.split(' ').skip(3);
    let place = (fields.next()?, fields.next()?);
    is_it.then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "\
25 20 0:20 / /sys/fs/cgroup ro - tmpfs tmpfs ro
33 25 0:28 / /sys/fs/cgroup/pids rw,nosuid - cgroup cgroup rw,pids
34 25 0:29 / /sys/fs/cgroup/cpu rw,nosuid - cgroup cgroup rw,cpu,cpuacct";

    fn folders(cgroups: &str, mounts: &str) -> Vec<String> {
        let folders = cgroup_folders(cgroups, mounts);
        folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect()
    }

    #[test]
    fn the_cgroups_of_both_versions_are_found_with_those_above() {
        let cgroups = "5:cpu,cpuacct:/other\n4:pids:/a/b\n0::/none";
        assert_eq!(
            folders(cgroups, FIRST),
            [
                "/sys/fs/cgroup/pids/a/b",
                "/sys/fs/cgroup/pids/a",
                "/sys/fs/cgroup/pids"
            ]
        );
        let second = "30 20 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(
            folders("0::/user.slice", second),
            ["/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"]
        );
    }

    #[test]
    fn a_container_that_sees_only_its_own_cgroup_finds_it() {
        let mounts = "33 25 0:28 /docker/x /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids";
        assert_eq!(folders("4:pids:/docker/x", mounts), ["/sys/fs/cgroup/pids"]);
        assert_eq!(
            folders("4:pids:/docker/x/y", mounts),
            ["/sys/fs/cgroup/pids/y", "/sys/fs/cgroup/pids"]
        );
        assert_eq!(
            folders("4:pids:/elsewhere", mounts),
            ["/sys/fs/cgroup/pids"]
        );
        assert_eq!(folders("junk\n4:pids", "junk - cgroup"), [""; 0]);
    }
}
