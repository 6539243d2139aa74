//! A mark that all processes of an attempt keep, whatever they do: [`AttemptMark`]. Linux only.
//!
//! A process can empty its environment, leave its group and its session, and lose its parents. What it passes on in
//! any case are its limits. That of file locks has had no effect since Linux 2.4.25, so its soft part is free to
//! carry a number: of the run in the upper 40 bits, of the attempt in the others. The hard part stays, so a `bex`
//! among the processes marks its own ones. Everybody may read the limits of a process, also of another user's.

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::platform::boot_id;
use crate::procfs::own_mark;
use crate::sys::{self, Pid};

/// The bits of the number of an attempt. When they have run out it begins again: what an attempt left sixteen
/// million attempts ago is then taken for one of the present one.
const ATTEMPT_BITS: u32 = 24;

/// The mark of an attempt in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttemptMark(u64);

impl AttemptMark {
    /// The mark of an attempt of this run that is about to begin.
    pub(crate) fn next() -> Self {
        static RUN: OnceLock<u64> = OnceLock::new();
        static LAST: AtomicU64 = AtomicU64::new(0);
        let run = *RUN.get_or_init(|| run_number(own_mark()));
        let attempt = LAST.fetch_add(1, Ordering::Relaxed) & ((1 << ATTEMPT_BITS) - 1);
        Self(run << ATTEMPT_BITS | attempt)
    }

    /// The mark that a process carries: some number, where it is in no attempt.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        match sys::file_locks(pid) {
            Ok((soft, _)) => Some(Self(soft)),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                parse_limits(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)
            }
            Err(_) => None,
        }
    }

    /// Whether it is of the run with this number; see [`run_number`].
    pub(crate) fn is_of(self, run: u64) -> bool {
        self.0 >> ATTEMPT_BITS == run
    }

    /// The limits, soft and hard, of a process that carries it; `None` where the hard one does not allow that.
    pub(crate) fn limits(self) -> Option<(u64, u64)> {
        static HARD: OnceLock<u64> = OnceLock::new();
        let hard = *HARD.get_or_init(|| sys::file_locks(0).map_or(0, |(_, hard)| hard));
        (self.0 <= hard).then_some((self.0, hard))
    }
}

/// Makes this process one of no attempt, if it is one of another executor's.
pub(crate) fn leave_attempt() {
    if let Ok((_, hard)) = sys::file_locks(0) {
        // A soft limit may always be raised so far.
        let _ = sys::set_file_locks(hard, hard);
    }
}

/// The number in the marks of a run, which its own mark and the start of the system decide. Never 0, and less than
/// what means no limit.
pub(crate) fn run_number(mark: &str) -> u64 {
    // FNV-1a: it must give the same number in every version, and there is nobody who would try for another one.
    let bytes = boot_id().into_bytes().into_iter().chain(mark.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> (ATTEMPT_BITS + 1) | 1
}

fn parse_limits(text: &str) -> Option<AttemptMark> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max file locks"))?;
    let soft = line.split_ascii_whitespace().next()?;
    Some(AttemptMark(soft.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_has_its_mark_and_all_are_of_this_run() {
        let (first, second) = (AttemptMark::next(), AttemptMark::next());
        assert_ne!(first, second);
        let (own, other) = (run_number(own_mark()), run_number("7-7"));
        for mark in [first, second] {
            assert!(mark.is_of(own) && !mark.is_of(other));
            assert!(mark.0 < u64::MAX >> 1);
        }
    }

    #[test]
    fn both_ways_to_read_a_mark_agree() {
        let text = fs::read_to_string("/proc/self/limits").unwrap();
        let pid = crate::procfs::own_pid();
        assert_eq!(AttemptMark::of(pid), parse_limits(&text));
        let marked = "Max cpu time  1  2  s\nMax file locks            77  unlimited  locks \n";
        assert_eq!(parse_limits(marked), Some(AttemptMark(77)));
        assert_eq!(parse_limits("Max cpu time  1  2  s\n"), None);
    }
}
