//! Failed tasks, grouped by why they failed: [`Causes`], a fold over records.
//!
//! The summary, the status, the JSON export and the answers for agents show them, each by a `Display` here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use crate::cause::{Cause, CauseId};
use batch_core::{
    FailureKind, Status,
    ids::FullTaskId,
    outcome::Stream,
    text::{Counted, Grouped},
};
use batch_template::short_label;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::record::TaskRecord;
use crate::stream;
use crate::visible::Visible;

/// How many bytes of standard error are looked at for the cause.
const ERROR_BYTES: usize = 4 * 1024;
/// The most characters of the name of a sample task.
const LONGEST_NAME: usize = 80;
/// The most characters of a sample that are shown.
const LONGEST_SAMPLE: usize = 200;

/// Failed tasks, grouped by their causes.
///
/// Memory is bounded: tasks of more than [`Causes::MOST`] causes are counted together.
#[derive(Clone, Debug, Default)]
pub struct Causes {
    groups: HashMap<CauseId, CauseGroup>,
    other: u64,
}

/// The tasks that failed for one cause.
///
/// As JSON: `{"cause", "count", "label", "sample", "sample_task"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseGroup {
    /// Why they failed. Its sample is of the sample task.
    pub cause: Arc<Cause>,
    /// How many they are.
    pub tasks: u64,
    /// One of them: the first that was seen.
    pub sample_task: FullTaskId,
    /// What people know that one by ([`short_label`]).
    pub sample_name: String,
}

/// The cause of a failed attempt of a function: what [`Cause::of`] makes of the end of its standard error.
///
/// An output in a file that cannot be read counts as empty.
pub fn cause_of(function: &str, kind: FailureKind, message: &str, stderr: &Stream) -> Cause {
    let stderr = stream::tail(stderr, ERROR_BYTES).map(|(bytes, _)| bytes);
    Cause::of(function, kind, message, &stderr.unwrap_or_default())
}

impl Causes {
    /// The most causes that are counted one by one.
    pub const MOST: usize = 1_000;
    /// How many causes are shown.
    pub const SHOWN: usize = 5;

    /// No failures.
    pub fn new() -> Self {
        Self::default()
    }

    /// Failures that were counted elsewhere: the groups, and how many failed tasks are in none of them.
    /// Groups after the first [`Causes::MOST`] count to those.
    pub fn from_groups(groups: impl IntoIterator<Item = CauseGroup>, other: u64) -> Self {
        let mut causes = Self {
            groups: HashMap::new(),
            other,
        };
        for group in groups {
            let (id, tasks) = (group.cause.id(), group.tasks);
            causes.count(id, tasks, || group);
        }
        causes
    }

    /// Adds a task. One that did not fail changes nothing.
    pub fn add(&mut self, record: &TaskRecord) {
        if record.status != Status::Failed {
            return;
        }
        let Some(cause) = &record.cause else {
            self.other += 1;
            return;
        };
        self.count(cause.id(), 1, || CauseGroup {
            cause: Arc::clone(cause),
            tasks: 1,
            sample_task: record.id(),
            sample_name: short_label(&record.spec)
                .chars()
                .take(LONGEST_NAME)
                .collect(),
        });
    }

    /// How many causes there are, without those beyond [`Causes::MOST`].
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether no task failed.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.other == 0
    }

    /// How many tasks failed.
    pub fn tasks(&self) -> u64 {
        self.groups.values().map(|group| group.tasks).sum::<u64>() + self.other
    }

    /// How many failed tasks are in no group.
    pub const fn other(&self) -> u64 {
        self.other
    }

    /// The group of a cause.
    pub fn get(&self, cause: CauseId) -> Option<&CauseGroup> {
        self.groups.get(&cause)
    }

    /// The groups, the largest first; of those of one size in the order of their ids.
    pub fn largest_first(&self) -> Vec<&CauseGroup> {
        let mut groups: Vec<&CauseGroup> = self.groups.values().collect();
        groups.sort_unstable_by_key(|group| (u64::MAX - group.tasks, group.cause.id()));
        groups
    }

    fn count(&mut self, cause: CauseId, tasks: u64, group: impl FnOnce() -> CauseGroup) {
        let is_full = self.groups.len() >= Self::MOST;
        match self.groups.entry(cause) {
            Entry::Occupied(mut known) => known.get_mut().tasks += tasks,
            Entry::Vacant(_) if is_full => self.other += tasks,
            Entry::Vacant(new) => {
                new.insert(group());
            }
        }
    }
}

impl fmt::Display for Causes {
    /// How many tasks failed for how many causes, then the largest groups. Ends without a line break; of
    /// no failures, nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.largest_first();
        match (&*groups, self.tasks()) {
            (_, 0) => Ok(()),
            ([], failed) => write!(f, "{} failed", Grouped(failed)),
            (groups, failed) => {
                let more = if self.other > 0 { "more than " } else { "" };
                let causes = Counted(groups.len() as u64, "cause");
                write!(f, "{} failed, {more}{causes:#}:", Grouped(failed))?;
                self.fmt_groups(f, groups)
            }
        }
    }
}

impl Causes {
    fn fmt_groups(&self, f: &mut fmt::Formatter<'_>, groups: &[&CauseGroup]) -> fmt::Result {
        let (shown, hidden) = groups.split_at(groups.len().min(Self::SHOWN));
        let count = |group: &CauseGroup| Grouped(group.tasks).to_string();
        let width = shown.first().map_or(0, |group| count(group).len());
        for group in shown {
            let (id, label) = (group.cause.id(), Visible(group.cause.label()));
            let example = if group.tasks > 1 { "e.g. " } else { "" };
            write!(f, "\n  {id}  {:>width$} x {label}", count(group))?;
            write!(f, "\n           {example}")?;
            group.fmt_sample(f)?;
        }
        let hidden_tasks = hidden.iter().map(|group| group.tasks).sum::<u64>() + self.other;
        let tasks = Counted(hidden_tasks, "task");
        match hidden.len() as u64 {
            0 if self.other == 0 => Ok(()),
            0 => write!(f, "\n  … and {tasks:#} for other causes"),
            causes => {
                let causes = Counted(causes, "more cause");
                write!(f, "\n  … and {causes:#} ({tasks:#})")
            }
        }
    }
}

impl fmt::Display for CauseGroup {
    /// In one line: `c3fa21b 12 x command: exit code 2 (e.g. b7.3: no such file)`. A precision, as in `{:.160}`, is
    /// the most characters of the label and of the sample.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = f.precision().unwrap_or(usize::MAX);
        let [label, sample] =
            [self.cause.label(), self.cause.sample()].map(|text| Visible(text).cut(most));
        let (id, tasks, task) = (self.cause.id(), self.tasks, self.sample_task);
        write!(f, "{id} {tasks} x {label} (e.g. {task}: {sample})")
    }
}

impl CauseGroup {
    /// The sample task, and what it said where the label does not say it already.
    fn fmt_sample(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sample_task, Visible(&self.sample_name))?;
        let sample = self.cause.sample();
        if self.cause.label().ends_with(sample) {
            return Ok(());
        }
        match sample.char_indices().nth(LONGEST_SAMPLE) {
            Some((end, _)) => write!(f, ": {}…", Visible(&sample[..end])),
            None => write!(f, ": {}", Visible(sample)),
        }
    }
}

impl Serialize for CauseGroup {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("CauseGroup", 5)?;
        object.serialize_field("cause", &self.cause.id().to_string())?;
        object.serialize_field("count", &self.tasks)?;
        object.serialize_field("label", self.cause.label())?;
        object.serialize_field("sample", self.cause.sample())?;
        object.serialize_field("sample_task", &self.sample_task.to_string())?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_core::{BatchId, TaskId, TaskSpec, Time};

    fn failed(number: u32, line: &str) -> TaskRecord {
        let spec = Arc::new(TaskSpec::new("command").with_name(&format!("Page {number}")));
        let task = TaskId::new(number).unwrap();
        let mut record = TaskRecord::queued(BatchId::default(), task, spec, Time::ZERO);
        record.status = Status::Failed;
        let stderr = Stream::from(format!("{line}\n").into_bytes());
        let cause = cause_of("command", FailureKind::ExitCode(2), "exit code 2", &stderr);
        record.cause = Some(Arc::new(cause));
        record
    }

    /// Letters, because numbers do not tell causes apart.
    fn name(number: u32) -> String {
        let letter = |digit: u32| char::from(b'g' + u8::try_from(digit % 20).unwrap());
        [number / 8_000, number / 400, number / 20, number]
            .map(letter)
            .iter()
            .collect()
    }

    fn causes(lines: impl IntoIterator<Item = String>) -> Causes {
        let mut causes = Causes::new();
        for (number, line) in (1..).zip(lines) {
            causes.add(&failed(number, &line));
        }
        causes
    }

    #[test]
    fn the_largest_causes_come_first() {
        let files = (0..1_200).map(|file| format!("grep: /tmp/{file}: No such file or directory"));
        let others =
            (0..8).flat_map(|kind| vec![format!("Error: {}", name(kind)); 1 + kind as usize / 4]);
        let causes = causes(files.chain(others));
        assert_eq!(
            (causes.len(), causes.tasks(), causes.other()),
            (9, 1_212, 0)
        );
        insta::assert_snapshot!(causes, @"
        1,212 failed, 9 causes:
          c7d87d8  1,200 x command: exit code 2: grep: P: No such file or directory
                   e.g. b1.1 Page 1: grep: /tmp/0: No such file or directory
          c80cbac      2 x command: exit code 2: Error: gggn
                   e.g. b1.1211 Page 1211
          c86f752      2 x command: exit code 2: Error: gggl
                   e.g. b1.1207 Page 1207
          c87f485      2 x command: exit code 2: Error: gggm
                   e.g. b1.1209 Page 1209
          c9dced3      2 x command: exit code 2: Error: gggk
                   e.g. b1.1205 Page 1205
          … and 4 more causes (4 tasks)
        ");
    }

    #[test]
    fn one_failure_takes_two_lines() {
        insta::assert_snapshot!(causes(["grep: /tmp/a: No such file or directory".to_owned()]), @"
        1 failed, 1 cause:
          c7d87d8  1 x command: exit code 2: grep: P: No such file or directory
                   b1.1 Page 1: grep: /tmp/a: No such file or directory
        ");
        insta::assert_snapshot!(causes(["Error: no".to_owned(), "Error: no".to_owned()]), @"
        2 failed, 1 cause:
          c742060  2 x command: exit code 2: Error: no
                   e.g. b1.1 Page 1
        ");
        insta::assert_snapshot!(causes([]), @"");
        let failures = ["a", "b", "c", "d", "e", "f"];
        let shown = causes(failures.map(|name| format!("Error: {name}"))).to_string();
        assert!(
            shown.ends_with("\n  … and 1 more cause (1 task)"),
            "{shown}"
        );
        let of_nobody = Causes::from_groups([], 2);
        assert_eq!(of_nobody.to_string(), "2 failed");
        let mut hostile = failed(1, "Error: a\u{9b}31m 7");
        hostile.spec = Arc::new(TaskSpec::new("command").with_name(&"\u{1b}".repeat(300)));
        let mut causes = Causes::new();
        causes.add(&hostile);
        let shown = causes.to_string();
        assert!(!shown.contains(['\u{1b}', '\u{9b}']), "{shown}");
        assert!(shown.chars().count() < 800, "{shown}");
    }

    #[test]
    fn so_many_causes_are_told_apart_and_no_more() {
        let most = u32::try_from(Causes::MOST).unwrap();
        let mut causes = causes((0..most + 7).map(|number| format!("Error: {}", name(number))));
        causes.add(&failed(9_999, &format!("Error: {}", name(0))));
        let mut without = failed(10_000, "");
        without.cause = None;
        causes.add(&without);
        assert_eq!((causes.len(), causes.other()), (Causes::MOST, 8));
        assert_eq!(causes.tasks(), 1_009);
        let text = causes.to_string();
        assert!(
            text.starts_with("1,009 failed, more than 1,000 causes:\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\n  … and 995 more causes (1,003 tasks)"),
            "{text}"
        );
        assert_eq!(causes.largest_first()[0].tasks, 2);
    }

    #[test]
    fn groups_that_were_stored_are_shown_as_those_that_were_counted() {
        let lines = ["Error: a", "Error: b", "Error: b"].map(str::to_owned);
        let counted = causes(lines);
        let groups = counted.largest_first().into_iter().rev().cloned();
        let stored = Causes::from_groups(groups, 0);
        assert_eq!(stored.to_string(), counted.to_string());
        let largest = counted.largest_first()[0];
        assert_eq!(stored.get(largest.cause.id()), Some(largest));
        let id = largest.cause.id();
        let line = format!("{id} 2 x command: exit code 2: Error: b (e.g. b1.2: Error: b)");
        assert_eq!(largest.to_string(), line);
        let short = format!("{id} 2 x command… (e.g. b1.2: Error: b)");
        assert_eq!(format!("{largest:.8}"), short);
        let json = serde_json::to_value(largest).unwrap();
        let expected = serde_json::json!({
            "cause": largest.cause.id().to_string(), "count": 2,
            "label": "command: exit code 2: Error: b", "sample": "Error: b", "sample_task": "b1.2",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn an_output_that_is_gone_counts_as_empty() {
        let gone = Stream::File {
            path: "/does/not/exist".into(),
            len: 7,
        };
        let cause = cause_of("command", FailureKind::ExitCode(2), "exit code 2", &gone);
        assert_eq!(cause.label(), "command: exit code 2");
    }
}
