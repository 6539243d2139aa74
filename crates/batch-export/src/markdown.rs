//! Markdown for a summary of a CI job or a comment: [`MarkdownWriter`].
//!
//! The verdict, why tasks failed with samples of their output, the slowest tasks, those that needed a retry, and how long each
//! group took. It stays within a budget, as pages refuse longer ones: samples go first. What comes from tasks is written so that it
//! is neither Markdown nor HTML.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fmt::{self, Write as _};
use std::io::Write;
use std::time::Duration;

use batch_core::{Status, TaskId, duration::ShortDuration, text::Grouped};
use batch_template::short_label;

use crate::cause::{CauseId, without_escapes};
use crate::error::ExportError;
use crate::ordered::Blocks;
use crate::record::TaskRecord;
use crate::stream;
use crate::summary::Summary;
use crate::visible::{Visible, VisibleLines};
use crate::writer::ResultWriter;

/// The most bytes of a page. GitHub takes 1 MiB for all steps of a job together.
const BUDGET: usize = 200_000;

/// How many rows has a table at most.
const ROWS: usize = 20;

/// How many samples has a cause.
const SAMPLES: usize = 2;

/// How many causes have samples, and this many groups are told apart.
const MOST_KEPT: usize = 1_000;

/// So much of an output is in a sample.
const OUTPUT_BYTES: usize = 1_536;

/// How many characters of a text are in a cell.
const CELL: usize = 160;

/// The width of the bar, in characters.
const BAR: u64 = 40;

/// Writes what a batch came to as one page.
pub(crate) struct MarkdownWriter<'a> {
    out: Blocks<'a>,
    /// Of each cause those of the first tasks.
    samples: HashMap<CauseId, BTreeMap<TaskId, Sample>>,
    groups: BTreeMap<String, Group>,
    slowest: BinaryHeap<Reverse<(Duration, Reverse<u32>, String)>>,
    flaky: BTreeMap<TaskId, (String, usize, String)>,
}

struct Sample {
    task: String,
    title: String,
    output: String,
}

#[derive(Default)]
struct Group {
    tasks: u64,
    failed: u64,
    time: Duration,
}

impl<'a> MarkdownWriter<'a> {
    pub(crate) fn new(out: Blocks<'a>) -> Self {
        Self {
            out,
            samples: HashMap::new(),
            groups: BTreeMap::new(),
            slowest: BinaryHeap::new(),
            flaky: BTreeMap::new(),
        }
    }

    fn add_sample(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        let Some(cause) = &record.cause else {
            return Ok(());
        };
        if self.samples.len() >= MOST_KEPT && !self.samples.contains_key(&cause.id()) {
            return Ok(());
        }
        let samples = self.samples.entry(cause.id()).or_default();
        let is_first = samples
            .last_key_value()
            .is_none_or(|(last, _)| record.task < *last);
        if samples.len() < SAMPLES || is_first {
            let sample = Sample {
                task: record.id().to_string(),
                title: short_label(&record.spec).into_owned(),
                output: end_of_output(record)?,
            };
            samples.insert(record.task, sample);
            if samples.len() > SAMPLES {
                samples.pop_last();
            }
        }
        Ok(())
    }

    /// The page, with samples or without.
    fn page(&self, summary: &Summary, with_samples: bool) -> String {
        let mut page = String::new();
        write_verdict(&mut page, summary);
        self.write_causes(&mut page, summary, with_samples);
        self.write_slowest(&mut page);
        self.write_flaky(&mut page, summary);
        self.write_groups(&mut page);
        page
    }

    fn write_causes(&self, page: &mut String, summary: &Summary, with_samples: bool) {
        let causes = summary.causes().largest_first();
        if causes.is_empty() {
            return;
        }
        page.push_str("#### Why tasks failed\n\n| tasks | cause | e.g. | |\n|--:|---|---|---|\n");
        for group in causes.iter().take(ROWS) {
            let (tasks, id) = (Grouped(group.tasks), group.cause.id());
            let (label, sample) = (Cell(group.cause.label()), Cell(group.cause.sample()));
            let _ = writeln!(
                page,
                "| {tasks} | {label} | {} {sample} | `{id}` |",
                group.sample_task
            );
        }
        let rest: u64 = causes.iter().skip(ROWS).map(|group| group.tasks).sum();
        let rest = rest + summary.causes().other();
        if rest > 0 {
            let _ = writeln!(page, "| {} | of other causes | | |", Grouped(rest));
        }
        page.push('\n');
        let shown = causes.iter().take(if with_samples { ROWS } else { 0 });
        for group in shown {
            let samples = self.samples.get(&group.cause.id());
            for sample in samples.into_iter().flat_map(BTreeMap::values) {
                let (task, title) = (&sample.task, Cell(&sample.title));
                let _ = writeln!(page, "<details><summary>{task} {title}</summary>\n");
                write_fenced(page, &sample.output);
                page.push_str("\n</details>\n\n");
            }
        }
    }

    fn write_slowest(&self, page: &mut String) {
        let mut slowest: Vec<_> = self.slowest.iter().map(|Reverse(entry)| entry).collect();
        if slowest.len() < 2 {
            return;
        }
        slowest.sort_unstable_by(|one, other| other.cmp(one));
        page.push_str("#### Slowest tasks\n\n| time | task |\n|--:|---|\n");
        for (time, _, title) in slowest {
            let _ = writeln!(page, "| {} | {} |", ShortDuration(*time), Cell(title));
        }
        page.push('\n');
    }

    fn write_flaky(&self, page: &mut String, summary: &Summary) {
        if self.flaky.is_empty() {
            return;
        }
        let count = summary.totals().flaky.max(self.flaky.len() as u64);
        let _ = writeln!(
            page,
            "#### Completed, but not at first: {}\n",
            Grouped(count)
        );
        page.push_str("| task | attempts | first error |\n|---|--:|---|\n");
        for (title, attempts, error) in self.flaky.values() {
            let _ = writeln!(page, "| {} | {attempts} | {} |", Cell(title), Cell(error));
        }
        page.push('\n');
    }

    fn write_groups(&self, page: &mut String) {
        if self.groups.len() < 2 {
            return;
        }
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, group)| Reverse(group.time));
        page.push_str("#### Groups\n\n| time in all | tasks | failed | |\n|--:|--:|--:|---|\n");
        for (name, group) in groups.into_iter().take(ROWS) {
            let (time, tasks, failed) = (
                ShortDuration(group.time),
                Grouped(group.tasks),
                Grouped(group.failed),
            );
            let _ = writeln!(page, "| {time} | {tasks} | {failed} | {} |", Cell(name));
        }
        page.push('\n');
    }
}

impl ResultWriter for MarkdownWriter<'_> {
    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        self.add_sample(record)?;
        let group = record.group();
        let is_known = self.groups.len() < MOST_KEPT || self.groups.contains_key(&*group);
        let name = if is_known {
            group.into_owned()
        } else {
            "other".to_owned()
        };
        let group = self.groups.entry(name).or_default();
        group.tasks += 1;
        group.failed += u64::from(record.status == Status::Failed);
        group.time += record.execution_time.unwrap_or_default();
        if record.flaky {
            let first = record.attempts.first();
            let error = first.and_then(|attempt| attempt.error.clone());
            let title = format!("{} {}", record.id(), short_label(&record.spec));
            let entry = (title, record.attempts.len(), error.unwrap_or_default());
            self.flaky.insert(record.task, entry);
            if self.flaky.len() > ROWS {
                self.flaky.pop_last();
            }
        }
        if let Some(time) = record.execution_time {
            let place = Reverse(record.task.get());
            let is_slow = self.slowest.len() < ROWS / 2
                || self
                    .slowest
                    .peek()
                    .is_some_and(|Reverse((least, number, _))| (time, place) > (*least, *number));
            if is_slow {
                let title = format!("{} {}", record.id(), short_label(&record.spec));
                self.slowest.push(Reverse((time, place, title)));
                if self.slowest.len() > ROWS / 2 {
                    self.slowest.pop();
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> Result<(), ExportError> {
        let mut page = self.page(summary, true);
        if page.len() > BUDGET {
            page = self.page(summary, false);
        }
        self.out.head().write_all(page.as_bytes())?;
        self.out.flush()
    }
}

fn write_verdict(page: &mut String, summary: &Summary) {
    let totals = summary.totals();
    let bad = totals.count(Status::Failed) + totals.count(Status::Cancelled);
    let sign = match (bad, totals.open()) {
        (0, 0) => "✅",
        (0, _) => "⏳",
        _ => "❌",
    };
    let name = summary
        .name
        .as_deref()
        .map(|name| format!(" {}", Cell(name)));
    let _ = writeln!(
        page,
        "### {sign} {}{}: {}\n",
        summary.batch,
        name.unwrap_or_default(),
        summary.counts()
    );
    let tasks = totals.tasks();
    if tasks > 0 {
        let part = |count: u64| (count * BAR).div_ceil(tasks) as usize;
        let bad = part(bad).min(BAR as usize);
        let open = part(totals.open()).min(BAR as usize - bad);
        let good = BAR as usize - bad - open;
        let _ = writeln!(
            page,
            "`{}{}{}`\n",
            "█".repeat(good),
            "▓".repeat(bad),
            "░".repeat(open)
        );
    }
    let spread = summary.times.spread().to_string();
    if !spread.is_empty() && totals.count(Status::Completed) > 1 {
        let _ = writeln!(page, "Execution time: {spread}\n");
    }
}

/// The end of what a failed task printed, else its error.
fn end_of_output(record: &TaskRecord) -> Result<String, ExportError> {
    let error = record.error.as_deref().unwrap_or_default();
    let mut text: String = error.chars().take(OUTPUT_BYTES).collect();
    let output = record.output.as_deref();
    for stream in output
        .map(|output| [&output.stdout, &output.stderr])
        .into_iter()
        .flatten()
    {
        if stream.is_empty() {
            continue;
        }
        let (bytes, before) = stream::tail(stream, OUTPUT_BYTES)?;
        text.push_str("\n\n");
        if before > 0 {
            let _ = writeln!(text, "… ({} bytes before this)", Grouped(before));
        }
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    Ok(text)
}

/// Writes a text between fences that are longer than any in it.
fn write_fenced(page: &mut String, text: &str) {
    let clean = without_escapes(text);
    let (mut longest, mut run) = (0, 0);
    for c in clean.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat((longest + 1).max(3));
    let shown = VisibleLines(clean.trim_end());
    let _ = writeln!(page, "{fence}text\n{shown}\n{fence}");
}

/// A text in one line that means nothing in Markdown or HTML, also between the bars of a table.
struct Cell<'a>(&'a str);

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = without_escapes(self.0);
        for c in Visible(clean.trim()).cut(CELL).chars() {
            match c {
                // As a number, as Markdown takes no entity for a sign of its own.
                c if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | '/' | '-' | ' ') => {
                    write!(f, "&#{};", u32::from(c))?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_neither_markdown_nor_html() {
        let hostile =
            "a|b <script>alert(1)</script> `x` *y* @me [l](u) \u{1b}[31mred\u{1b}[0m\nnext";
        let shown = Cell(hostile).to_string();
        for sign in ['|', '<', '>', '`', '*', '@', '[', '\n', '\u{1b}'] {
            assert!(!shown.contains(sign), "{sign:?} in {shown}");
        }
        assert!(shown.contains("red"), "{shown}");
    }

    #[test]
    fn a_fence_is_longer_than_those_inside() {
        let mut page = String::new();
        write_fenced(&mut page, "before\n````\n</details>");
        assert_eq!(page, "`````text\nbefore\n````\n</details>\n`````\n");
    }
}
