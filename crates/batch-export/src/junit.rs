//! JUnit XML, which CI servers read: [`JunitWriter`].
//!
//! One suite for each [group](TaskRecord::group), one case for each task. A task that failed by what it did is a `failure`, one
//! that could not be done an `error`, one that did not run `skipped`. Attempts that failed before are `flakyFailure` where the
//! task completed and `rerunFailure` where it did not. The elements are those of the schema of Jenkins' xUnit plugin.
//!
//! The suites have their counts in front, so the cases go to a temporary file first. They come out in the order of the tasks.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use batch_core::{FailureKind, Reason, Status, TaskId, Time, outcome::Stream, text::Grouped};
use batch_template::short_label;

use crate::cause::without_escapes;
use crate::error::ExportError;
use crate::number::Timestamp;
use crate::ordered::{Blocks, copy, temporary_file};
use crate::record::{AttemptEnd, TaskRecord};
use crate::stream;
use crate::summary::Summary;
use crate::writer::ResultWriter;

/// Of more tasks, those that simply completed are left out: servers refuse larger files.
const MOST_CASES: u64 = 50_000;

/// How many groups have a suite of their own.
const MOST_SUITES: usize = 1_000;

/// How much of an output is in a case.
const OUTPUT_BYTES: usize = 1_536;

/// Writes tasks as cases of suites.
pub(crate) struct JunitWriter<'a> {
    out: Blocks<'a>,
    /// The cases, as they come.
    spool: BufWriter<File>,
    len: u64,
    suites: BTreeMap<String, Suite>,
    cases: u64,
    case: String,
}

#[derive(Default)]
struct Suite {
    cases: Vec<Case>,
    /// Of those that did not simply complete, but for the time.
    counts: Counts,
    /// How many simply completed.
    good: u64,
    first_start: Option<Time>,
}

/// Where a case is in the file.
struct Case {
    task: TaskId,
    place: Range<u64>,
    /// It simply completed.
    is_good: bool,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
    time: Duration,
}

impl<'a> JunitWriter<'a> {
    pub(crate) fn new(out: Blocks<'a>, spool_folder: Option<PathBuf>) -> Result<Self, ExportError> {
        let file = temporary_file(spool_folder.as_ref()).map_err(ExportError::Spool)?;
        Ok(Self {
            out,
            spool: BufWriter::new(file),
            len: 0,
            suites: BTreeMap::new(),
            cases: 0,
            case: String::new(),
        })
    }

    fn suite(&mut self, record: &TaskRecord) -> &mut Suite {
        let group = record.group().into_owned();
        let is_known = self.suites.len() < MOST_SUITES || self.suites.contains_key(&group);
        let name = if is_known { group } else { "other".to_owned() };
        self.suites.entry(name).or_default()
    }
}

impl ResultWriter for JunitWriter<'_> {
    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        self.cases += 1;
        let is_good = record.status == Status::Completed && !record.flaky;
        self.suite(record).add(record, is_good);
        if is_good && self.cases > MOST_CASES {
            // It will be left out.
            return Ok(());
        }
        let mut case = std::mem::take(&mut self.case);
        case.clear();
        write_case(&mut case, record)?;
        self.spool
            .write_all(case.as_bytes())
            .map_err(ExportError::Spool)?;
        let place = self.len..self.len + case.len() as u64;
        self.len = place.end;
        self.case = case;
        self.suite(record).cases.push(Case {
            task: record.task,
            place,
            is_good,
        });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> Result<(), ExportError> {
        self.spool.flush().map_err(ExportError::Spool)?;
        let all = self.cases <= MOST_CASES;
        let sum = |count: fn(Counts) -> u64| -> u64 {
            self.suites
                .values()
                .map(|suite| count(suite.written(all)))
                .sum()
        };
        let tests = sum(|counts| counts.tests);
        let failures = sum(|counts| counts.failures);
        let errors = sum(|counts| counts.errors);
        let time = Seconds(summary.wall_time().unwrap_or_default());
        let out = self.out.head();
        let batch = summary.batch.to_string();
        let name = summary.name.as_deref().unwrap_or(&batch);
        write!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\"",
            Xml(name)
        )?;
        writeln!(
            out,
            " tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{time}\">"
        )?;
        let file = self.spool.get_mut();
        let mut buffer = Vec::new();
        for (name, suite) in &mut self.suites {
            suite.write_head(out, name, all)?;
            suite.cases.sort_unstable_by_key(|case| case.task);
            let written = suite.cases.iter().filter(|case| all || !case.is_good);
            for Range { start, end } in written.map(|case| case.place.clone()) {
                file.seek(SeekFrom::Start(start))
                    .map_err(ExportError::Spool)?;
                copy(file, end - start, &mut buffer, out)?;
            }
            out.write_all(b"</testsuite>\n")?;
        }
        out.write_all(b"</testsuites>\n")?;
        self.out.flush()
    }
}

impl Suite {
    fn add(&mut self, record: &TaskRecord, is_good: bool) {
        self.good += u64::from(is_good);
        self.counts.tests += u64::from(!is_good);
        self.counts.time += record.execution_time.unwrap_or_default();
        match verdict(record) {
            Verdict::Passed => {}
            Verdict::Failure => self.counts.failures += 1,
            Verdict::Error => self.counts.errors += 1,
            Verdict::Skipped => self.counts.skipped += 1,
        }
        self.first_start = match (self.first_start, record.started_at) {
            (Some(first), Some(start)) => Some(first.min(start)),
            (first, start) => first.or(start),
        };
    }

    /// The counts of what is written: all cases, or those that did not simply complete.
    const fn written(&self, all: bool) -> Counts {
        let good = if all { self.good } else { 0 };
        Counts {
            tests: self.counts.tests + good,
            ..self.counts
        }
    }

    fn write_head(&self, out: &mut impl Write, name: &str, all: bool) -> Result<(), ExportError> {
        let Counts {
            tests,
            failures,
            errors,
            skipped,
            time,
        } = self.written(all);
        write!(
            out,
            "<testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\"",
            Xml(name)
        )?;
        write!(
            out,
            " errors=\"{errors}\" skipped=\"{skipped}\" time=\"{}\"",
            Seconds(time)
        )?;
        if let Some(start) = self.first_start {
            write!(out, " timestamp=\"{}\"", Timestamp(start))?;
        }
        out.write_all(b">\n")?;
        if !all && self.good > 0 {
            let left_out = Grouped(self.good);
            writeln!(
                out,
                "<properties><property name=\"left out\" value=\"{left_out} tasks that completed\"/></properties>"
            )?;
        }
        Ok(())
    }
}

enum Verdict {
    Passed,
    Failure,
    Error,
    Skipped,
}

fn verdict(record: &TaskRecord) -> Verdict {
    match (record.status, record.reason) {
        (Status::Completed, _) => Verdict::Passed,
        (Status::Failed, Some(Reason::Failed(kind))) if is_failure(kind) => Verdict::Failure,
        (Status::Failed, _) => Verdict::Error,
        _ => Verdict::Skipped,
    }
}

/// Whether a task did run and said by itself that it failed.
const fn is_failure(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::ExitCode(_)
            | FailureKind::Signal(_)
            | FailureKind::HttpStatus(_)
            | FailureKind::Error
    )
}

#[expect(clippy::too_many_lines, reason = "one element after the other")]
fn write_case(out: &mut String, record: &TaskRecord) -> Result<(), ExportError> {
    let time = Seconds(record.execution_time.unwrap_or_default());
    let (group, title) = (record.group(), short_label(&record.spec));
    let _ = write!(
        out,
        "<testcase classname=\"{}\" name=\"{}\" time=\"{time}\"",
        Xml(&group),
        Xml(&title)
    );
    let verdict = verdict(record);
    if matches!(verdict, Verdict::Passed) && !record.flaky {
        out.push_str("/>\n");
        return Ok(());
    }
    out.push_str(">\n");
    let error = record.error.as_deref().unwrap_or_default();
    let output = record.output.as_deref();
    match verdict {
        Verdict::Skipped => {
            let why = if error.is_empty() {
                record.status.name()
            } else {
                error
            };
            let _ = writeln!(out, "<skipped message=\"{}\"/>", Xml(first_line(why)));
        }
        Verdict::Failure | Verdict::Error => {
            let name = if matches!(verdict, Verdict::Failure) {
                "failure"
            } else {
                "error"
            };
            let stderr = tail(output.map(|output| &output.stderr))?;
            let kind = record.cause.as_ref().map(|cause| cause.id().to_string());
            let message = record.cause.as_ref().map_or(error, |cause| cause.label());
            let kind = kind.as_deref().unwrap_or("failed");
            let _ = write!(
                out,
                "<{name} type=\"{}\" message=\"{}\">{}",
                Xml(kind),
                Xml(message),
                Text(error)
            );
            if !stderr.is_empty() {
                let _ = write!(out, "\n\n{}", Text(&stderr));
            }
            let _ = writeln!(out, "</{name}>");
        }
        Verdict::Passed => {}
    }
    write_earlier(out, record);
    for (name, stream) in [
        ("system-out", output.map(|output| &output.stdout)),
        ("system-err", output.map(|output| &output.stderr)),
    ] {
        let text = tail(stream)?;
        if !text.is_empty() {
            let _ = writeln!(out, "<{name}>{}</{name}>", Text(&text));
        }
    }
    out.push_str("</testcase>\n");
    Ok(())
}

/// The failed attempts before the last one.
fn write_earlier(out: &mut String, record: &TaskRecord) {
    let name = if record.status == Status::Completed {
        "flakyFailure"
    } else {
        "rerunFailure"
    };
    let earlier = record.attempts.len().saturating_sub(1);
    for attempt in &record.attempts[..earlier] {
        let AttemptEnd::Failed(kind) = attempt.end else {
            continue;
        };
        let error = attempt.error.as_deref().unwrap_or_default();
        let message = Xml(first_line(error));
        let _ = write!(
            out,
            "<{name} type=\"{}\" message=\"{message}\">",
            Xml(kind.name())
        );
        let number = attempt.attempt;
        let _ = writeln!(
            out,
            "<stackTrace>attempt {number}: {}</stackTrace></{name}>",
            Text(error)
        );
    }
}

/// The end of an output, from a line's beginning on where more precedes it.
fn tail(stream: Option<&Stream>) -> Result<String, ExportError> {
    let Some(stream) = stream else {
        return Ok(String::new());
    };
    let (bytes, before) = stream::tail(stream, OUTPUT_BYTES)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match (before, text.split_once('\n')) {
        (0, _) => text,
        (_, Some((_, rest))) => format!("… ({} bytes before this)\n{rest}", Grouped(before)),
        (_, None) => text,
    })
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Seconds with three places, the most that the schema takes.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// A text as the value of an attribute.
struct Xml<'a>(&'a str);

impl fmt::Display for Xml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(self.0, true, f)
    }
}

/// A text as the content of an element.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(self.0, false, f)
    }
}

/// Writes a text without the sequences of terminals and the characters that XML does not allow, even escaped.
fn write_escaped(text: &str, is_attribute: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for c in without_escapes(text).chars() {
        match c {
            '&' => f.write_str("&amp;")?,
            '<' => f.write_str("&lt;")?,
            '>' => f.write_str("&gt;")?,
            '"' => f.write_str("&quot;")?,
            '\r' => f.write_str("&#13;")?,
            '\n' | '\t' if is_attribute => write!(f, "&#{};", u32::from(c))?,
            '\n' | '\t' => f.write_char(c)?,
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
            c => f.write_char(c)?,
        }
    }
    Ok(())
}
