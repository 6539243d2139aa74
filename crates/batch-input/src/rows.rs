//! Tables: a task of each row of a CSV file, by a template: [`RowTemplate`], [`read_csv`].
//!
//! The template is one task, in which `{{ row.COLUMN }}` means a cell. For each row its fields are filled in,
//! and the result is read like any other task. Where a cell goes into code, it is written as a word or
//! literal of that language; braces in a cell never become a placeholder.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use csv::StringRecord;

use crate::file::{ReadError, ReadOptions, TaskFile};
use crate::row_template::{Row, RowTemplate};
use crate::scope::Report;
use crate::settings::overridden;
use crate::source::Lines;
use crate::task::TaskReader;
use crate::task_template::add_unfilled;

/// Reads a table with a header: each row is a task, made with the template.
///
/// A template that has a `function` and no `params` takes the whole row as the parameters. `name` means the table
/// in problems.
///
/// # Errors
/// When it cannot be read at all. What is wrong in the table or the template is told by [`TaskFile::problems`].
pub fn read_csv(
    mut rows: impl Read,
    name: &str,
    template: &RowTemplate,
    options: &ReadOptions,
) -> Result<TaskFile, ReadError> {
    let mut file = TaskFile::new(name);
    file.settings = template.settings.clone();
    let mut report = Report::new(name);
    report.problems.clone_from(&template.problems);
    let bytes = read_table(&mut rows, name)?;
    let mut table = Table::new(&bytes, options.separator.unwrap_or(b','));
    let (header, _) = table.header(&mut report);
    // A file with nothing in it is no table with a wrong header, but an empty input.
    if !bytes.is_empty() {
        template.check_columns(&header, &mut report);
    }
    if report.problems.is_empty() {
        let mut reader = RowReader {
            template,
            columns: header
                .iter()
                .enumerate()
                .map(|(index, name)| (name, index))
                .collect(),
            reader: TaskReader::new(overridden(template.defaults.clone(), options)),
            told: HashSet::new(),
        };
        while let Some((record, line)) = table.next(&mut report) {
            reader.read(&record, line, &header, &mut report, &mut file);
        }
    }
    file.problems = report.problems;
    Ok(file)
}

struct RowReader<'t> {
    template: &'t RowTemplate,
    columns: HashMap<&'t str, usize>,
    reader: TaskReader,
    /// What was said of the template, which is the same for each row.
    told: HashSet<(String, String)>,
}

impl RowReader<'_> {
    fn read(
        &mut self,
        record: &StringRecord,
        line: u32,
        header: &StringRecord,
        report: &mut Report,
        file: &mut TaskFile,
    ) {
        let row = Row {
            header,
            record,
            columns: &self.columns,
        };
        let first = report.problems.len();
        match self.template.fill(&row, self.reader.allows_code()) {
            Ok(text) => {
                let read = self.reader.read_made(&text, Lines::Fixed(line), report);
                file.lines.extend(read.is_some().then_some(line));
                file.tasks.extend(read);
            }
            Err(problems) => {
                for problem in problems {
                    // Quotes around a placeholder are a mistake of the template, and those are told once.
                    let in_template = problem.help.is_some();
                    let told = (problem.path.clone(), problem.message.clone());
                    if !in_template {
                        let file = report.file.clone();
                        add_unfilled(report, &file, line, problem);
                    } else if self.told.insert(told) {
                        let line = self.template.line_of(&problem.path);
                        add_unfilled(report, &self.template.name, line, problem);
                    }
                }
            }
        }
        let new = report.problems.split_off(first);
        for mut problem in new {
            if problem.task.is_none() || self.template.depends_on_row(&problem.field) {
                report.problems.push(problem);
            } else if self
                .told
                .insert((problem.field.clone(), problem.message.clone()))
            {
                problem.file = self.template.name.as_str().into();
                problem.line = self.template.line_of(&problem.field);
                problem.task = None;
                report.problems.push(problem);
            }
        }
    }
}

/// The bytes of a table.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn read_table(rows: &mut impl Read, name: &str) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    match rows.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(source) => Err(ReadError::Io {
            file: name.to_owned(),
            source,
        }),
    }
}

/// The rows of a table with their lines.
pub(crate) struct Table<'b> {
    reader: csv::Reader<&'b [u8]>,
    bytes: &'b [u8],
    separator: u8,
    /// A place and its line, from which others are counted. The reader's own lines are wrong after blank lines, and
    /// where lines end in CRLF.
    known: (usize, u32),
}

impl<'b> Table<'b> {
    pub(crate) fn new(bytes: &'b [u8], separator: u8) -> Self {
        Self {
            reader: csv::ReaderBuilder::new()
                .delimiter(separator)
                .from_reader(bytes),
            bytes,
            separator,
            known: (0, 1),
        }
    }

    /// The names of the columns, and their line. Reports those that are there twice, and a quote in the table that
    /// is never closed.
    pub(crate) fn header(&mut self, report: &mut Report) -> (StringRecord, u32) {
        self.check_quotes(report);
        let header = match self.reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => {
                self.add_problem(error, report);
                StringRecord::new()
            }
        };
        let line = self.line(header.position());
        let mut seen = HashSet::new();
        for name in &header {
            if !name.is_empty() && !seen.insert(name) {
                let message = format!("the column {name:?} is there twice");
                report.add(line, message, Some("rename one of them"));
            }
        }
        (header, line)
    }

    /// The next sound row and its line. Reports those that are none; ends when there are too many problems.
    pub(crate) fn next(&mut self, report: &mut Report) -> Option<(StringRecord, u32)> {
        let mut record = StringRecord::new();
        while !report.is_full() {
            match self.reader.read_record(&mut record) {
                Ok(true) => {
                    let line = self.line(record.position());
                    return Some((record, line));
                }
                Ok(false) => return None,
                Err(error) => self.add_problem(error, report),
            }
        }
        None
    }

    /// Reports a quote that is never closed: the reader takes all that follows for one cell.
    fn check_quotes(&self, report: &mut Report) {
        let Some(quote) = unclosed_quote(self.bytes, self.separator) else {
            return;
        };
        let before = memchr::memchr_iter(b'\n', &self.bytes[..quote]).count();
        let line = u32::try_from(before + 1).unwrap_or(u32::MAX);
        let help = "close it; a quote inside a quoted cell is written twice";
        report.add(
            line,
            "the double quote that begins here is never closed",
            Some(help),
        );
    }

    /// The line of a row, past the line ends before it.
    fn line(&mut self, position: Option<&csv::Position>) -> u32 {
        let byte = position.and_then(|position| usize::try_from(position.byte()).ok());
        let byte = byte.unwrap_or(0).min(self.bytes.len());
        let ends = self.bytes[byte..].iter();
        let ends = ends.take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let begin = byte + ends.count();
        let (from, line) = if self.known.0 <= begin {
            self.known
        } else {
            (0, 1)
        };
        let count = memchr::memchr_iter(b'\n', &self.bytes[from..begin]).count();
        let line = line.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        self.known = (begin, line);
        line
    }

    fn add_problem(&mut self, error: csv::Error, report: &mut Report) {
        match error.into_kind() {
            csv::ErrorKind::UnequalLengths {
                pos,
                expected_len,
                len,
            } => {
                let message = format!("the row has {len} cells, the header {expected_len}");
                let help = "a cell with a comma goes in double quotes";
                report.add(self.line(pos.as_ref()), message, Some(help));
            }
            csv::ErrorKind::Utf8 { pos, .. } => {
                report.add(self.line(pos.as_ref()), "the row is not UTF-8", None);
            }
            other => report.add(0, format!("not well-formed CSV: {other:?}"), None),
        }
    }
}

/// Where a cell begins with a quote that is never closed, as the reader takes quotes: only the first byte of a cell
/// opens one, and a doubled one is literal.
fn unclosed_quote(bytes: &[u8], separator: u8) -> Option<usize> {
    let bom = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut at = bom;
    while at < bytes.len() {
        if bytes[at] == b'"' {
            let open = at;
            at += 1;
            loop {
                at += memchr::memchr(b'"', &bytes[at..]).unwrap_or(bytes.len() - at);
                match bytes.get(at..) {
                    None | Some([]) => return Some(open),
                    Some([_, b'"', ..]) => at += 2,
                    Some(_) => break,
                }
            }
        }
        // On to the next cell.
        match memchr::memchr3(separator, b'\n', b'\r', &bytes[at..]) {
            Some(end) => at += end + 1,
            None => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_quote_that_begins_a_cell_can_stay_open() {
        for sound in [
            "",
            "a,b",
            "a\"b,c",
            "\"a,\n\",b\n",
            "\"a\"\"b\"",
            "\"a\"b\",c",
            "\"\"",
            "\u{feff}\"a\"",
        ] {
            assert_eq!(unclosed_quote(sound.as_bytes(), b','), None, "{sound:?}");
        }
        for (open, at) in [
            ("\"", 0),
            ("a,\"b", 2),
            ("a\n\"b\"\"", 2),
            ("\"a\",\"", 4),
            ("\"\"\"", 0),
            ("\u{feff}\"a", 3),
        ] {
            assert_eq!(unclosed_quote(open.as_bytes(), b','), Some(at), "{open:?}");
        }
    }
}
