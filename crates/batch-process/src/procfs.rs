//! The process table of Linux, read from `/proc`: [`Table`].
//!
//! Reading it costs about ten microseconds a process, so it is done when something is to be ended,
//! never on the way of a task that ends by itself.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::attempt_mark::AttemptMark;
use crate::sys::{self, Pid};

/// The variable that names the task a process belongs to.
pub(crate) const TASK_VARIABLE: &str = "BEX_TASK_ID";

/// The variable that names the run a process belongs to.
pub(crate) const RUN_VARIABLE: &str = "BEX_RUN";

/// All processes, as they were at a moment.
#[derive(Debug)]
pub(crate) struct Table {
    /// Reading began after this.
    begun: Instant,
    processes: Vec<Entry>,
    /// The positions of the children of a process.
    children: HashMap<Pid, Vec<usize>>,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) pid: Pid,
    pub(crate) parent: Pid,
    pub(crate) group: Pid,
    /// In clock ticks since the system began; with the pid this names the process for good.
    start: u64,
    pub(crate) ended: bool,
    /// It was stopped by a signal.
    pub(crate) stopped: bool,
    marks: OnceLock<Marks>,
    attempt: OnceLock<Option<AttemptMark>>,
}

/// The marks in the environment a process was started with.
#[derive(Debug, Default)]
struct Marks {
    task: Option<String>,
    run: Option<String>,
}

/// A process named beyond doubt: a number alone may belong to another one by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) pid: Pid,
    start: u64,
}

impl Table {
    /// The processes at a moment not before `moment`.
    ///
    /// The last table is kept: when a thousand tasks are ended at once, they share it.
    pub(crate) fn since(moment: Instant) -> Arc<Self> {
        static LAST: Mutex<Option<Arc<Table>>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(table) if table.begun >= moment => table.clone(),
            _ => last.insert(Arc::new(Self::read())).clone(),
        }
    }

    fn read() -> Self {
        let begun = Instant::now();
        let processes: Vec<Entry> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Entry::read)
            .collect();
        let mut children: HashMap<Pid, Vec<usize>> = HashMap::new();
        for (index, process) in processes.iter().enumerate() {
            children.entry(process.parent).or_default().push(index);
        }
        Self {
            begun,
            processes,
            children,
        }
    }

    /// The children of a process.
    pub(crate) fn children(&self, pid: Pid) -> impl Iterator<Item = &Entry> {
        let indexes = self.children.get(&pid).into_iter().flatten();
        indexes.map(|index| &self.processes[*index])
    }

    /// All of them.
    pub(crate) fn processes(&self) -> impl Iterator<Item = &Entry> {
        self.processes.iter()
    }

    /// The processes below some, running or ended, without these themselves.
    pub(crate) fn descendants(&self, roots: impl IntoIterator<Item = Pid>) -> Vec<&Entry> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut open: Vec<Pid> = roots.into_iter().collect();
        while let Some(pid) = open.pop() {
            if !seen.insert(pid) {
                continue;
            }
            for child in self.children(pid) {
                open.push(child.pid);
                found.push(child);
            }
        }
        found
    }

    /// Processes with all that are below them, each once.
    pub(crate) fn with_descendants<'t>(
        &'t self,
        tops: impl Iterator<Item = &'t Entry>,
    ) -> Vec<&'t Entry> {
        let mut found: Vec<&Entry> = tops.collect();
        let mut seen: HashSet<Pid> = found.iter().map(|entry| entry.pid).collect();
        let below = self.descendants(found.iter().map(|entry| entry.pid));
        found.extend(below.into_iter().filter(|entry| seen.insert(entry.pid)));
        found
    }

    /// A process and those above it: the one who adopts orphans is among them.
    pub(crate) fn ancestors(&self, pid: Pid) -> HashSet<Pid> {
        let parents: HashMap<Pid, Pid> = self
            .processes
            .iter()
            .map(|entry| (entry.pid, entry.parent))
            .collect();
        let mut found = HashSet::from([pid]);
        let mut next = pid;
        while let Some(parent) = parents.get(&next) {
            // Seen before only if a number was given anew while the table was read.
            if *parent == 0 || !found.insert(*parent) {
                break;
            }
            next = *parent;
        }
        found
    }
}

impl Entry {
    /// Reads `/proc/PID/stat`; `None` when the process is gone.
    pub(crate) fn read(pid: Pid) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        parse_stat(pid, &text)
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            pid: self.pid,
            start: self.start,
        }
    }

    /// The task that its environment names.
    pub(crate) fn task(&self) -> Option<&str> {
        self.marks().task.as_deref()
    }

    /// The run that its environment names.
    pub(crate) fn run(&self) -> Option<&str> {
        self.marks().run.as_deref()
    }

    /// The mark among its limits.
    pub(crate) fn attempt(&self) -> Option<AttemptMark> {
        *self.attempt.get_or_init(|| AttemptMark::of(self.pid))
    }

    /// The user it belongs to; `None` when it is gone.
    pub(crate) fn user(&self) -> Option<u32> {
        let folder = fs::metadata(format!("/proc/{}", self.pid));
        folder.ok().map(|folder| folder.uid())
    }

    /// The name of its program, for people.
    pub(crate) fn program(&self) -> String {
        let name = fs::read(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&name).trim_end().to_owned()
    }

    fn marks(&self) -> &Marks {
        self.marks.get_or_init(|| {
            let environment = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
            let find = |name: &str| {
                let mut variables = environment.split(|byte| *byte == 0);
                variables.find_map(|variable| {
                    let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
                    String::from_utf8(value.to_vec()).ok()
                })
            };
            Marks {
                task: find(TASK_VARIABLE),
                run: find(RUN_VARIABLE),
            }
        })
    }
}

impl Identity {
    /// The process a mark names; see [`own_mark`].
    pub(crate) fn from_mark(mark: &str) -> Option<Self> {
        let (pid, start) = mark.split_once('-')?;
        let identity = Self {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        };
        (identity.pid > 0).then_some(identity)
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(self) -> bool {
        Entry::read(self.pid).is_some_and(|now| now.start == self.start && !now.ended)
    }

    /// A descriptor of the process; `None` when it has ended.
    pub(crate) fn open(self) -> Option<OwnedFd> {
        self.find().ok().flatten()
    }

    /// As [`Identity::open`], but tells what is against it.
    pub(crate) fn find(self) -> io::Result<Option<OwnedFd>> {
        match sys::pidfd_open(self.pid) {
            // The descriptor may be of a later process of this number; it cannot change any more.
            Ok(fd) => Ok(self.is_alive().then_some(fd)),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The children of a process that came to it as orphans, and those its main thread started. Quick to read, but one
/// that ends meanwhile may hide another one.
pub(crate) fn orphans_of(adopter: Pid) -> Vec<Pid> {
    let path = format!("/proc/{adopter}/task/{adopter}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    let pids = text.split_ascii_whitespace();
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

/// The pid of this process.
pub(crate) fn own_pid() -> Pid {
    Pid::try_from(std::process::id()).expect("a pid fits a pid_t")
}

/// What this process and no other is called: `PID-STARTTIME`.
pub(crate) fn own_mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| {
        let pid = own_pid();
        let start = Entry::read(pid).map_or(0, |entry| entry.start);
        format!("{pid}-{start}")
    })
}

/// Reads the fields after the name, which is in parentheses and may contain anything.
fn parse_stat(pid: Pid, text: &[u8]) -> Option<Entry> {
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&text[name_end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // `starttime` is field 22 of the line, and the group was field 5.
    let start = fields.nth(16)?.parse().ok()?;
    let ended = matches!(state, "Z" | "X" | "x");
    Some(Entry {
        pid,
        parent,
        group,
        start,
        ended,
        stopped: state == "T",
        marks: OnceLock::new(),
        attempt: OnceLock::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_is_no_trap() {
        let line = b"42 (a ) Z 7 (b) S 7 41 40 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 9 9";
        let entry = parse_stat(42, line).unwrap();
        assert_eq!(
            (entry.parent, entry.group, entry.start, entry.ended),
            (7, 41, 987_654, false)
        );
        assert!(parse_stat(42, b"42 (x) Z 7").is_none());
    }

    #[test]
    fn this_process_is_in_the_table_with_its_parents() {
        let table = Table::since(Instant::now());
        let own = table
            .processes
            .iter()
            .find(|entry| entry.pid == own_pid())
            .unwrap();
        assert!(table.ancestors(own.pid).contains(&own.parent));
        assert!(own.identity().open().is_some());
        let stale = Identity {
            start: own.start + 1,
            ..own.identity()
        };
        assert!(stale.open().is_none());
    }

    #[test]
    fn a_mark_names_one_process() {
        let own = Identity::from_mark(own_mark()).unwrap();
        assert_eq!(own.pid, own_pid());
        assert!(own.is_alive());
        for bad in ["", "7", "7-", "-7-1", "0-1", "x-1", "7-1-1", "7-x"] {
            assert_eq!(Identity::from_mark(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_table_is_shared_until_a_newer_one_is_asked_for() {
        let first = Table::since(Instant::now());
        assert!(Table::since(first.begun).begun >= first.begun);
        assert!(Table::since(Instant::now()).begun > first.begun);
    }
}
