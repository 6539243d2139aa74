//! JSON lines: one task a line, read as a stream.

use std::io::{self, BufRead};

use serde_json::value::RawValue;

use crate::fields::kind;
use crate::file::{ReadOptions, TaskFile};
use crate::matrix::read_tasks_of;
use crate::scope::Report;
use crate::settings::{base_options, overridden};
use crate::source::{Lines, Source};
use crate::task::TaskReader;

/// Reads to the end. Lines of white space are skipped.
pub(crate) fn read(
    mut input: impl BufRead,
    name: &str,
    options: &ReadOptions,
) -> io::Result<TaskFile> {
    let mut report = Report::new(name);
    let mut file = TaskFile::new(name);
    let mut reader = TaskReader::new(overridden(base_options(), options));
    let mut buffer = Vec::new();
    let mut number = 0_u32;
    loop {
        buffer.clear();
        if input.read_until(b'\n', &mut buffer)? == 0 || report.is_full() {
            break;
        }
        number = number.saturating_add(1);
        let bytes = match number {
            1 => buffer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&buffer),
            _ => &buffer,
        };
        let Ok(line) = std::str::from_utf8(bytes) else {
            report.add(number, "the line is not UTF-8", None);
            continue;
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        match serde_json::from_str::<&RawValue>(line) {
            Ok(raw) if kind(raw) == "an array" && file.tasks.is_empty() => {
                let message = "here each line is a task, and this one is a list";
                report.add(
                    number,
                    message,
                    Some("a file with a list of tasks is named .json"),
                );
                break;
            }
            Ok(raw) => {
                let source = Source::new(line, Lines::Fixed(number));
                let functions = options.functions.as_ref();
                read_tasks_of(raw, &source, functions, &mut reader, &mut report, &mut file);
            }
            Err(error) => {
                report.add_syntax(line, &error, number);
                if let (true, Some(problem)) = (
                    file.tasks.is_empty() && error.is_eof(),
                    report.problems.last_mut(),
                ) {
                    let help =
                        "here each line is a whole task; a document of many lines is named .json";
                    problem.help = Some(help.to_owned());
                }
                // The first line of such a document: none of the others is a task either.
                if matches!(line, "{" | "[" | "[{") {
                    break;
                }
            }
        }
    }
    file.problems = report.problems;
    Ok(file)
}
