//! Whose processes are to be ended: [`Scope`]. Linux only.

use std::collections::HashSet;

use crate::attempt_mark::{AttemptMark, run_number};
use crate::leaders;
use crate::procfs::{Entry, Identity, Table, own_mark, own_pid};
use crate::sys::{self, Pid};

/// Whose processes are to be ended.
#[derive(Debug)]
pub(crate) enum Scope {
    /// Those of an attempt: its leader and the group of that, orphans with its mark or with the task and the run in
    /// their environment, and everything below any of them.
    Attempt {
        /// Not waited for, so that its number is still its own.
        leader: Pid,
        task: String,
        mark: AttemptMark,
    },
    /// Those of a run whose executor is dead: what carries its mark, the groups of these, and everything below any
    /// of them.
    Run {
        mark: String,
        /// As in the marks of its attempts.
        number: u64,
    },
    /// All below this process.
    Below,
}

impl Scope {
    /// The processes of a run by the mark of its executor.
    pub(crate) fn run(mark: &str) -> Self {
        Self::Run {
            mark: mark.to_owned(),
            number: run_number(mark),
        }
    }

    /// Its processes, running or ended, with those `known` from before and what is below them.
    pub(crate) fn members<'t>(
        &self,
        table: &'t Table,
        known: &HashSet<Identity>,
    ) -> Vec<&'t Entry> {
        match self {
            Self::Attempt { leader, task, mark } => of_attempt(table, known, *leader, task, *mark),
            Self::Run { mark, number } => of_run(table, known, mark, *number),
            Self::Below => table.descendants([own_pid()]),
        }
    }

    /// The processes whose children the orphans among its processes become.
    pub(crate) fn adopters(&self, table: &Table) -> HashSet<Pid> {
        match self {
            Self::Run { .. } => table.ancestors(own_pid()),
            Self::Below => HashSet::from([own_pid()]),
            Self::Attempt { .. } if sys::is_subreaper() => HashSet::from([own_pid()]),
            Self::Attempt { .. } => table.ancestors(own_pid()),
        }
    }

    /// Whether an orphan is one of its processes, by what can be told in a microsecond.
    pub(crate) fn claims(&self, orphan: Pid) -> bool {
        match self {
            Self::Attempt { mark, .. } => AttemptMark::of(orphan) == Some(*mark),
            Self::Run { number, .. } => {
                AttemptMark::of(orphan).is_some_and(|mark| mark.is_of(*number))
            }
            Self::Below => true,
        }
    }
}

fn of_attempt<'t>(
    table: &'t Table,
    known: &HashSet<Identity>,
    leader: Pid,
    task: &str,
    mark: AttemptMark,
) -> Vec<&'t Entry> {
    let adopters = table.ancestors(own_pid());
    let is_marked = |entry: &Entry| {
        entry.attempt() == Some(mark)
            || (entry.task() == Some(task) && entry.run() == Some(own_mark()))
    };
    let tops = table.processes().filter(|entry| {
        entry.group == leader
            || entry.pid == leader
            || known.contains(&entry.identity())
            || (adopters.contains(&entry.parent)
                && !adopters.contains(&entry.pid)
                && !leaders::is_leader(entry.pid)
                && is_marked(entry))
    });
    table.with_descendants(tops)
}

/// Never this process and those above it, with their groups, nor what is of the run of this one: a task may have
/// been what called us.
fn of_run<'t>(
    table: &'t Table,
    known: &HashSet<Identity>,
    mark: &str,
    number: u64,
) -> Vec<&'t Entry> {
    let above = table.ancestors(own_pid());
    let own_number = run_number(own_mark());
    let carries = |entry: &Entry, mark: &str, number: u64| {
        entry.run() == Some(mark) || entry.attempt().is_some_and(|mark| mark.is_of(number))
    };
    let (spared, others): (Vec<&Entry>, Vec<&Entry>) = table
        .processes()
        .partition(|entry| above.contains(&entry.pid) || carries(entry, own_mark(), own_number));
    let marked = others.iter().filter(|entry| carries(entry, mark, number));
    let mut groups: HashSet<Pid> = marked.map(|entry| entry.group).collect();
    for entry in &spared {
        groups.remove(&entry.group);
    }
    // In a container this means all groups that began outside of it.
    groups.remove(&0);
    let spared: HashSet<Pid> = spared.iter().map(|entry| entry.pid).collect();
    let tops = others.into_iter().filter(|entry| {
        carries(entry, mark, number)
            || groups.contains(&entry.group)
            || known.contains(&entry.identity())
    });
    let mut members = table.with_descendants(tops);
    members.retain(|entry| !spared.contains(&entry.pid));
    members
}
