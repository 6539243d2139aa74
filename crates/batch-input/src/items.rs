//! The items of command mode: lines, NUL-separated records, or a list: [`Items`].

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead};

pub use batch_core::catalog::MAX_ARGUMENT;

/// Items, one after the other, in bounded memory.
///
/// An item is taken as it is: quotes, backslashes, white space and carriage returns mean nothing, and it need
/// not be UTF-8. The last line counts without a line end, too. An empty line is no item: `rm -rf dir/{}` with an empty
/// item would remove the folder. Empty records between NULs, and empty items of a list, were surely meant, and count.
pub struct Items {
    source: Source,
    buffer: Vec<u8>,
    read: u64,
}

enum Source {
    Stream {
        input: Box<dyn BufRead + Send>,
        separator: u8,
    },
    List(std::vec::IntoIter<OsString>),
}

/// An item that cannot become a task. The items after it can still be read.
#[derive(Debug, thiserror::Error)]
pub struct ItemError {
    /// Whether `number` counts lines, records or items.
    pub unit: &'static str,
    /// Which one, from 1.
    pub number: u64,
    /// What is wrong with it.
    #[source]
    pub problem: ItemProblem,
}

/// What is wrong with an item.
#[derive(Debug, thiserror::Error)]
pub enum ItemProblem {
    /// An argument of a process ends at a NUL byte.
    #[error("it holds a NUL byte, which no argument can; with NUL between the items, use -0")]
    Nul,
    /// Longer than [`MAX_ARGUMENT`].
    #[error(
        "it makes an argument of {length} bytes, and the system takes {MAX_ARGUMENT} at most; give large data in a file"
    )]
    TooLong {
        /// The bytes there are, or as many as were read before giving up.
        length: usize,
    },
    /// Parameters of functions are text.
    #[error("it is not UTF-8, and parameters of a function are text")]
    NotUtf8,
    /// It would be run as code.
    #[error("it becomes code that {0} runs; --allow-code lets it through")]
    Code(batch_template::Code),
    /// A value cannot be put where the placeholder is.
    #[error("{0}")]
    Params(String),
    /// Another task has its id.
    #[error("its id would be {id:?}, which task {other} has; write {{}} or {{#}} into the id")]
    IdTaken {
        /// The id.
        id: String,
        /// The task, from 1.
        other: u64,
    },
    /// The input could not be read on.
    #[error("cannot read the input: {0}")]
    Read(#[source] io::Error),
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.unit, self.number, self.problem)
    }
}

impl Items {
    /// The lines of an input.
    pub fn lines(input: impl BufRead + Send + 'static) -> Self {
        Self::stream(input, b'\n')
    }

    /// The records of an input with NUL bytes between them, as `find -print0` writes it.
    pub fn nul_separated(input: impl BufRead + Send + 'static) -> Self {
        Self::stream(input, 0)
    }

    /// Whether they are all there, so that nobody waits for the next one.
    pub(crate) const fn is_list(&self) -> bool {
        matches!(self.source, Source::List(_))
    }

    /// Whether there is one alone, as far as that is known.
    pub(crate) fn is_single(&self) -> bool {
        matches!(&self.source, Source::List(list) if list.len() == 1)
    }

    /// The items of a list, such as the command line's.
    pub fn list(items: Vec<OsString>) -> Self {
        Self {
            source: Source::List(items.into_iter()),
            buffer: Vec::new(),
            read: 0,
        }
    }

    fn stream(input: impl BufRead + Send + 'static, separator: u8) -> Self {
        let source = Source::Stream {
            input: Box::new(input),
            separator,
        };
        Self {
            source,
            buffer: Vec::new(),
            read: 0,
        }
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// When the item is too long for an argument or holds a NUL byte: the next call goes on after it. When the input
    /// cannot be read: the next call gives `None` or the error again.
    pub fn next_item(&mut self) -> Option<Result<&[u8], ItemError>> {
        let found = loop {
            self.buffer.clear();
            self.read += 1;
            match &mut self.source {
                Source::List(items) => {
                    self.buffer
                        .extend_from_slice(items.next()?.as_encoded_bytes());
                    break Ok(self.buffer.len());
                }
                Source::Stream { input, separator } => {
                    match read_record(input, *separator, &mut self.buffer) {
                        Ok(None) => return None,
                        Ok(Some(0)) if *separator == b'\n' => {}
                        Ok(Some(length)) => break Ok(length),
                        Err(error) => break Err(ItemProblem::Read(error)),
                    }
                }
            }
        };
        let checked = found.and_then(|length| match length {
            length if length > MAX_ARGUMENT => Err(ItemProblem::TooLong { length }),
            _ if memchr::memchr(0, &self.buffer).is_some() => Err(ItemProblem::Nul),
            _ => Ok(()),
        });
        Some(match checked {
            Ok(()) => Ok(&self.buffer),
            Err(problem) => Err(self.error(problem)),
        })
    }

    /// Tells a problem with the item read last.
    pub fn error(&self, problem: ItemProblem) -> ItemError {
        let unit = match &self.source {
            Source::Stream { separator: 0, .. } => "record",
            Source::Stream { .. } => "line",
            Source::List(_) => "item",
        };
        ItemError {
            unit,
            number: self.read,
            problem,
        }
    }
}

/// Reads up to the separator and past it; gives the length without it, or `None` at the end of the input.
///
/// Of a record that is too long the rest is counted and thrown away.
fn read_record(
    input: &mut dyn BufRead,
    separator: u8,
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
        if length + part.len() <= MAX_ARGUMENT {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor};

    /// Items and messages, read through a buffer of three bytes.
    fn read(mut items: Items) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(item) = items.next_item() {
            found.push(match item {
                Ok(item) => String::from_utf8_lossy(item).into_owned(),
                Err(error) => format!("! {error}"),
            });
        }
        found
    }

    fn bytes(text: impl Into<Vec<u8>>) -> impl BufRead + Send + 'static {
        BufReader::with_capacity(3, Cursor::new(text.into()))
    }

    #[test]
    fn lines_are_taken_as_they_are() {
        assert_eq!(
            read(Items::lines(bytes("a b\n\n 'q\\\n\r\nlast\r"))),
            ["a b", " 'q\\", "\r", "last\r"]
        );
        assert_eq!(read(Items::lines(bytes("x\n"))), ["x"]);
        assert_eq!(read(Items::lines(bytes(""))), [""; 0]);
    }

    #[test]
    fn records_and_lists_may_be_empty() {
        assert_eq!(
            read(Items::nul_separated(bytes("a\nb\0\0c"))),
            ["a\nb", "", "c"]
        );
        assert_eq!(read(Items::list(vec!["".into(), "b".into()])), ["", "b"]);
    }

    #[test]
    fn what_no_argument_can_hold_is_refused_with_its_line() {
        let mut text = b"ok\n\n".to_vec();
        text.extend(vec![b'x'; MAX_ARGUMENT]);
        text.push(b'\n');
        text.extend(vec![b'y'; MAX_ARGUMENT + 1]);
        text.extend(b"\na\0b\nend");
        let found = read(Items::lines(bytes(text)));
        assert_eq!(found.len(), 5);
        assert_eq!(found[1].len(), MAX_ARGUMENT);
        assert!(
            found[2].starts_with("! line 4: it makes an argument of 131072 bytes"),
            "{}",
            found[2]
        );
        assert!(
            found[3].starts_with("! line 5: it holds a NUL byte"),
            "{}",
            found[3]
        );
        assert_eq!(found[4], "end");
    }
}
