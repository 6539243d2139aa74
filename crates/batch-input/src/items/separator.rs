//! What is between the columns of a line: [`ColumnSeparator`].

use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};

use super::row::Row;

/// What is between the columns of an item.
#[derive(Clone, Debug)]
pub enum ColumnSeparator {
    /// A table as spreadsheets write it: one byte between the cells, double quotes around a cell that holds it, and
    /// a carriage return before the line feed that counts for nothing.
    Table(u8),
    /// Whatever a regular expression finds; quotes mean nothing.
    Pattern(Regex),
}

impl FromStr for ColumnSeparator {
    type Err = String;

    /// `tab`, `comma` and `semicolon`, or such a character, are tables; all else is a regular expression.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tab" | "\t" => return Ok(Self::Table(b'\t')),
            "comma" | "," => return Ok(Self::Table(b',')),
            "semicolon" | ";" => return Ok(Self::Table(b';')),
            _ => {}
        }
        // A single character is meant as it is.
        let pattern = match text.chars().count() {
            1 => regex::escape(text),
            _ => text.to_owned(),
        };
        let pattern = RegexBuilder::new(&pattern).size_limit(1 << 20).build();
        let pattern = pattern.map_err(|error| {
            format!("it is tab, comma, semicolon or a regular expression: {error}")
        })?;
        match pattern.is_match(b"") {
            true => {
                Err("it matches nothing at all, which is between any two characters".to_owned())
            }
            false => Ok(Self::Pattern(pattern)),
        }
    }
}

impl ColumnSeparator {
    /// The byte between the cells of a table in a file.
    ///
    /// # Errors
    /// When it is a regular expression of more than one character.
    pub fn of_table(text: &str) -> Result<u8, String> {
        match (Self::from_str(text), text.as_bytes()) {
            (Ok(Self::Table(byte)), _) => Ok(byte),
            (_, [byte]) if !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
            _ => Err(format!(
                "{text:?} is no separator of a table: give tab, comma, semicolon or one character"
            )),
        }
    }

    /// Adds the columns of a record to a row. `false` when a quoted cell is still open at its end, and nothing was
    /// added.
    pub(crate) fn split(&self, record: &[u8], row: &mut Row) -> bool {
        match self {
            Self::Pattern(pattern) => {
                pattern.split(record).for_each(|column| row.push(column));
                true
            }
            Self::Table(separator) => {
                let before = row.len();
                let record = record.strip_suffix(b"\r").unwrap_or(record);
                let is_whole = split_table(record, *separator, row);
                if !is_whole {
                    row.truncate(before);
                }
                is_whole
            }
        }
    }
}

/// Where the quote that closes a cell is: one that is not doubled.
fn quoted_end(inner: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr(b'"', &inner[at..])?;
        match inner.get(at + 1) {
            Some(b'"') => at += 2,
            _ => return Some(at),
        }
    }
}

fn split_table(record: &[u8], separator: u8, row: &mut Row) -> bool {
    let mut rest = record;
    loop {
        let mut cell = Vec::new();
        if let Some(inner) = rest.strip_prefix(b"\"") {
            let Some(end) = quoted_end(inner) else {
                return false;
            };
            push_unquoted(&inner[..end], &mut cell);
            rest = &inner[end + 1..];
        }
        let end = memchr::memchr(separator, rest);
        let plain = &rest[..end.unwrap_or(rest.len())];
        match cell.is_empty() {
            true => row.push(plain),
            false => row.push(&[&cell, plain].concat()),
        }
        match end {
            Some(end) => rest = &rest[end + 1..],
            None => return true,
        }
    }
}

/// Appends the text between quotes, of which doubled ones mean one.
fn push_unquoted(mut inner: &[u8], cell: &mut Vec<u8>) {
    while let Some(quote) = memchr::memchr(b'"', inner) {
        cell.extend_from_slice(&inner[..=quote]);
        inner = &inner[quote + 2..];
    }
    cell.extend_from_slice(inner);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(separator: &str, record: &str) -> Option<Vec<String>> {
        let mut row = Row::default();
        let is_whole = ColumnSeparator::from_str(separator)
            .unwrap()
            .split(record.as_bytes(), &mut row);
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        is_whole.then(|| row.values().map(text).collect())
    }

    #[test]
    fn columns_are_split_by_a_table_or_a_pattern() {
        let is = |separator: &str, record: &str, expected: &[&str]| {
            let expected = expected.iter().map(ToString::to_string).collect();
            assert_eq!(
                split(separator, record),
                Some(expected),
                "{separator} {record}"
            );
        };
        is("tab", "a b\t\tc\r", &["a b", "", "c"]);
        is("comma", "", &[""]);
        is(";", "\"a;\"\"b\"\"\";c", &["a;\"b\"", "c"]);
        is(r"\t", "\"a\tb\"\r", &["\"a", "b\"\r"]);
        is(r"\s+", "a  b\t c", &["a", "b", "c"]);
        is("|", "a|b", &["a", "b"]);
        is("é", "aéb", &["a", "b"]);
        for open in ["a,\"b", "\"", "\"a\"\"", "\"a\"b,\"c"] {
            assert_eq!(split("comma", open), None, "{open}");
        }
    }

    #[test]
    fn what_separates_nothing_is_refused() {
        for wrong in ["", "x*", "(x", "a|"] {
            assert!(ColumnSeparator::from_str(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ColumnSeparator::of_table(";"), Ok(b';'));
        assert_eq!(ColumnSeparator::of_table("tab"), Ok(b'\t'));
        assert_eq!(ColumnSeparator::of_table("|"), Ok(b'|'));
        for wrong in ["ab", "\"", "", "é", r"\s"] {
            assert!(ColumnSeparator::of_table(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn tables_are_split_as_by_the_csv_reader(record in "[a\",;]{0,16}") {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
            let cells = reader.records().next().and_then(Result::ok);
            let cells = cells.map(|record| record.iter().map(str::to_owned).collect::<Vec<_>>());
            if let (Some(found), false) = (split("comma", &record), record.is_empty()) {
                proptest::prop_assert_eq!(Some(found), cells);
            }
        }
    }
}
