//! Whether the system killed a process because memory ran out: [`was_killed_for_memory`]. Linux only.
//!
//! A process does not learn who killed it. But the kernel counts what it kills because memory ran out, for the control
//! group that a process is in and for the whole system. The count is looked at when a process was killed that nobody
//! here killed, and from time to time ([`note_memory_kills`]): a kill that no end of a task goes with, as of a
//! grandchild, is not to explain an end much later.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a kill that was seen waits for the end of a process that it explains: of those that are killed together,
/// each has its own, and one with much memory takes a while to end.
const FRESH: Duration = Duration::from_secs(2);

/// The name of the count in all files that have it.
const COUNT: &str = "oom_kill";

static KILLS: OnceLock<Option<Mutex<Kills>>> = OnceLock::new();

/// What the kernel has counted so far.
#[derive(Debug)]
struct Kills {
    file: PathBuf,
    seen: u64,
    /// Those seen that explain no end yet.
    open: u64,
    last: Instant,
}

/// Counts from now on. To be called before a process is started.
pub(crate) fn count_memory_kills() {
    KILLS.get_or_init(|| {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut files = files(&groups).into_iter();
        let (file, seen) = files.find_map(|file| count(&file).map(|seen| (file, seen)))?;
        let (open, last) = (0, Instant::now());
        Some(Mutex::new(Kills {
            file,
            seen,
            open,
            last,
        }))
    });
}

/// Whether that is why a process, which ended just now, was killed.
pub(crate) fn was_killed_for_memory() -> bool {
    look().is_some_and(|mut kills| kills.explain())
}

/// Notes what the system has killed because memory ran out up to now, so that it explains no end much later. To be called
/// about once a second while processes run. Linux only: elsewhere it does nothing.
pub fn note_memory_kills() {
    look();
}

/// What was counted, with the count as it is now.
fn look() -> Option<MutexGuard<'static, Kills>> {
    let kills = KILLS.get()?.as_ref()?;
    let mut kills = kills.lock().unwrap_or_else(PoisonError::into_inner);
    let now = count(&kills.file).unwrap_or(kills.seen);
    kills.see(now, Instant::now());
    Some(kills)
}

impl Kills {
    fn see(&mut self, count: u64, now: Instant) {
        if now.duration_since(self.last) > FRESH {
            self.open = 0;
        }
        let further = count.saturating_sub(self.seen);
        if further > 0 {
            (self.seen, self.last) = (count, now);
            self.open += further;
        }
    }

    /// Whether there is a kill that explains an end, and takes it.
    fn explain(&mut self) -> bool {
        let explains = self.open > 0;
        self.open = self.open.saturating_sub(1);
        explains
    }
}

/// The files that may have the count, the best first: that of the control group of this process, in either version
/// and where a container sees its own group as the root, else that of the system.
fn files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (mounts, name): (&[&str], _) = match controllers {
            "" => (
                &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
                "memory.events",
            ),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (&["/sys/fs/cgroup/memory"], "memory.oom_control")
            }
            _ => continue,
        };
        for mount in mounts.iter().map(Path::new) {
            files.push(mount.join(path.trim_start_matches('/')).join(name));
            files.push(mount.join(name));
        }
    }
    files.push(PathBuf::from("/proc/vmstat"));
    files
}

fn count(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, count) = lines.find(|(name, _)| *name == COUNT)?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_this_process_comes_before_the_system() {
        let files = files("9:cpu,memory:/a/b\n1:name=systemd:/x\n0::/c\n");
        let expected = [
            "/sys/fs/cgroup/memory/a/b/memory.oom_control",
            "/sys/fs/cgroup/memory/memory.oom_control",
            "/sys/fs/cgroup/c/memory.events",
            "/sys/fs/cgroup/memory.events",
            "/sys/fs/cgroup/unified/c/memory.events",
            "/sys/fs/cgroup/unified/memory.events",
            "/proc/vmstat",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
        assert!(super::files("nonsense").len() == 1);
        assert!(count(Path::new("/proc/vmstat")).is_some());
    }

    fn kills(seen: u64, last: Instant) -> Kills {
        Kills {
            file: PathBuf::new(),
            seen,
            open: 0,
            last,
        }
    }

    fn explains(kills: &mut Kills, count: u64, now: Instant) -> bool {
        kills.see(count, now);
        kills.explain()
    }

    #[test]
    fn each_kill_explains_one_end_soon_after_it() {
        let begun = Instant::now();
        let mut kills = kills(5, begun);
        assert!(!explains(&mut kills, 5, begun));
        // Two ended together, and a third by another hand.
        let ends = [7, 7, 7].map(|count| explains(&mut kills, count, begun));
        assert_eq!(ends, [true, true, false]);
        // Three were killed, two of them in one task; what is killed by another hand later on is not explained.
        assert!(explains(&mut kills, 10, begun) && explains(&mut kills, 10, begun));
        assert!(!explains(&mut kills, 10, begun + 2 * FRESH));
        assert!(explains(&mut kills, 11, begun + 2 * FRESH));
    }

    #[test]
    fn a_kill_that_was_noted_explains_an_end_soon_after_it_and_none_later() {
        let begun = Instant::now();
        let mut kills = kills(5, begun);
        // A grandchild was killed, and its task went on.
        kills.see(6, begun + FRESH / 2);
        kills.see(6, begun + FRESH);
        let later = begun + 2 * FRESH;
        assert!(!explains(&mut kills, 6, later), "by another hand");
        // A process is killed, and ends a moment after the kill was noted.
        kills.see(7, later);
        assert!(explains(&mut kills, 7, later + FRESH / 2));
        assert!(!explains(&mut kills, 7, later + FRESH / 2));
    }
}
