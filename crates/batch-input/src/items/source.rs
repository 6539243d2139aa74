//! One source of items: lines, NUL-separated records, or a list: [`ItemSource`].

use std::ffi::OsString;
use std::io::{self, BufRead};

use super::MAX_ARGUMENT;
use super::error::{ItemError, ItemPlace, ItemProblem};
use super::row::Row;
use super::separator::ColumnSeparator;

/// The longest record that is split into columns.
const MAX_RECORD: usize = 8 << 20;

/// Items, one after the other, in bounded memory.
///
/// An item is taken as it is: quotes, backslashes, white space and carriage returns mean nothing, and it need
/// not be UTF-8. The last line counts without a line end, too. An empty line is no item: `rm -rf dir/{}` with an empty
/// item would remove the folder. Empty records between NULs, and empty items of a list, were surely meant, and count.
pub struct ItemSource {
    input: Input,
    name: Option<String>,
    /// How many records were read.
    read: u64,
    /// One that comes before what is still to be read.
    pending: Option<Vec<u8>>,
    record: Vec<u8>,
    /// How many columns each row has, once that is settled.
    pub(super) columns: Option<usize>,
}

enum Input {
    Stream {
        input: Box<dyn BufRead + Send>,
        separator: u8,
    },
    List(std::vec::IntoIter<OsString>),
}

/// How records become the columns of rows.
#[derive(Clone, Copy)]
pub(super) struct Reading<'r> {
    pub(super) separator: Option<&'r ColumnSeparator>,
    /// Rows must have as many columns as the first.
    pub(super) is_even: bool,
    /// They go with the items of another source, so that none may be left out.
    pub(super) is_zipped: bool,
}

impl ItemSource {
    /// The lines of an input.
    pub fn lines(input: impl BufRead + Send + 'static) -> Self {
        Self::stream(input, b'\n')
    }

    /// The records of an input with NUL bytes between them, as `find -print0` writes it.
    pub fn nul_separated(input: impl BufRead + Send + 'static) -> Self {
        Self::stream(input, 0)
    }

    /// The items of a list, such as the command line's.
    pub fn list(items: Vec<OsString>) -> Self {
        Self::new(Input::List(items.into_iter()))
    }

    /// The same, called so in messages.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    fn stream(input: impl BufRead + Send + 'static, separator: u8) -> Self {
        let input = Box::new(input);
        Self::new(Input::Stream { input, separator })
    }

    fn new(input: Input) -> Self {
        Self {
            input,
            name: None,
            read: 0,
            pending: None,
            record: Vec::new(),
            columns: None,
        }
    }

    /// Whether its items are all there, so that nobody waits for the next one.
    pub(super) const fn is_list(&self) -> bool {
        matches!(self.input, Input::List(_))
    }

    /// How many items are left, of a list.
    pub(super) fn left(&self) -> Option<usize> {
        match &self.input {
            Input::List(items) => Some(items.len() + usize::from(self.pending.is_some())),
            Input::Stream { .. } => None,
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The names that its first record gives its columns; `None` where there is no record. Of a list it may say
    /// `name=` or, with its first item, `name=item`.
    pub(super) fn header(
        &mut self,
        reading: Reading<'_>,
    ) -> Option<Result<Vec<String>, ItemError>> {
        let mut row = Row::default();
        if let Err(error) = self.next_row(reading, &mut row)? {
            return Some(Err(error));
        }
        if self.is_list()
            && reading.separator.is_none()
            && let Some(first) = row.get(0)
            && let Some(end) = memchr::memchr(b'=', first)
        {
            let (name, item) = (&first[..end], &first[end + 1..]);
            self.pending = (!item.is_empty()).then(|| item.to_vec());
            row = Row::of(0, [name]);
        }
        let names = row.values().map(|name| std::str::from_utf8(name));
        let names: Result<Vec<&str>, _> = names.collect();
        Some(match names {
            Ok(names) => Ok(names.into_iter().map(str::to_owned).collect()),
            Err(_) => Err(self.error(ItemProblem::NotUtf8("the names of columns are"))),
        })
    }

    /// Adds the columns of the next record to a row; `None` at the end.
    ///
    /// # Errors
    /// When the item is too long for an argument or holds a NUL byte: the next call goes on after it. When the input
    /// cannot be read: the next call gives `None` or the error again.
    pub(super) fn next_row(
        &mut self,
        reading: Reading<'_>,
        row: &mut Row,
    ) -> Option<Result<(), ItemError>> {
        let before = row.len();
        let added = match reading.separator {
            None => self.whole(reading, row)?,
            Some(separator) => self.columns(separator, reading, row)?,
        };
        let checked = added.and_then(|()| {
            (before..row.len()).try_for_each(|column| check(row.get(column).unwrap_or_default()))
        });
        let columns = row.len() - before;
        let checked = checked.and_then(|()| match *self.columns.get_or_insert(columns) {
            expected if reading.is_even && expected != columns => {
                Err(ItemProblem::Ragged { columns, expected })
            }
            _ => Ok(()),
        });
        Some(checked.map_err(|problem| self.error(problem)))
    }

    /// A record that is one value.
    fn whole(&mut self, reading: Reading<'_>, row: &mut Row) -> Option<Result<(), ItemProblem>> {
        let before = row.len();
        let found = row.push_with(|bytes| self.next_record(reading.is_zipped, MAX_ARGUMENT, bytes));
        if !matches!(found, Some(Ok(()))) {
            row.truncate(before);
        }
        found
    }

    /// A record in columns; a quoted cell may go on over several lines.
    fn columns(
        &mut self,
        separator: &ColumnSeparator,
        reading: Reading<'_>,
        row: &mut Row,
    ) -> Option<Result<(), ItemProblem>> {
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        let mut first = 0;
        let found = loop {
            let is_more = first > 0;
            match self.next_record(reading.is_zipped || is_more, MAX_RECORD, &mut record) {
                Some(Ok(())) => {}
                None if !is_more => break None,
                None => {
                    self.read = first;
                    break Some(Err(ItemProblem::OpenQuote));
                }
                Some(Err(ItemProblem::EmptyInZip)) if is_more => {}
                failed => break failed,
            }
            first = if is_more { first } else { self.read };
            let from = match (first, separator) {
                (1, ColumnSeparator::Table(_)) if record.starts_with(b"\xef\xbb\xbf") => 3,
                _ => 0,
            };
            if separator.split(&record[from..], row) {
                break Some(Ok(()));
            }
            if record.len() > MAX_RECORD || self.is_list() {
                self.read = first;
                break Some(Err(ItemProblem::OpenQuote));
            }
            record.push(b'\n');
        };
        self.record = record;
        found
    }

    /// Appends the next record; `None` at the end.
    fn next_record(
        &mut self,
        every: bool,
        most: usize,
        to: &mut Vec<u8>,
    ) -> Option<Result<(), ItemProblem>> {
        if let Some(pending) = self.pending.take() {
            to.extend_from_slice(&pending);
            return Some(Ok(()));
        }
        loop {
            self.read += 1;
            match &mut self.input {
                Input::List(items) => {
                    to.extend_from_slice(items.next()?.as_encoded_bytes());
                    return Some(Ok(()));
                }
                Input::Stream { input, separator } => {
                    match read_record(input, *separator, most, to) {
                        Ok(None) => return None,
                        Ok(Some(0)) if *separator == b'\n' && every => {
                            return Some(Err(ItemProblem::EmptyInZip));
                        }
                        Ok(Some(0)) if *separator == b'\n' => {}
                        Ok(Some(length)) if length > most => {
                            return Some(Err(ItemProblem::TooLong { length }));
                        }
                        Ok(Some(_)) => return Some(Ok(())),
                        Err(error) => return Some(Err(ItemProblem::Read(error))),
                    }
                }
            }
        }
    }

    /// Tells a problem with the record read last.
    pub(super) fn error(&self, problem: ItemProblem) -> ItemError {
        let unit = match &self.input {
            Input::Stream { separator: 0, .. } => "record",
            Input::Stream { .. } => "line",
            Input::List(_) => "item",
        };
        let place = ItemPlace {
            source: self.name.clone(),
            unit,
            number: self.read,
        };
        ItemError {
            place: Some(place),
            problem,
        }
    }
}

/// Refuses what no argument can hold.
fn check(value: &[u8]) -> Result<(), ItemProblem> {
    match value.len() {
        length if length > MAX_ARGUMENT => Err(ItemProblem::TooLong { length }),
        _ if memchr::memchr(0, value).is_some() => Err(ItemProblem::Nul),
        _ => Ok(()),
    }
}

/// Reads up to the separator and past it; gives the length without it, or `None` at the end of the input.
///
/// Of a record that is too long the rest is counted and thrown away.
fn read_record(
    input: &mut dyn BufRead,
    separator: u8,
    most: usize,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<usize>> {
    let mut length = 0;
    let mut any = false;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(any.then_some(length));
        }
        any = true;
        let end = memchr::memchr(separator, available);
        let part = &available[..end.unwrap_or(available.len())];
        if length + part.len() <= most {
            buffer.extend_from_slice(part);
        }
        length += part.len();
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(Some(length));
        }
    }
}
