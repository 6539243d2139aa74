//! Standard input in pieces: [`Blocks`], each of which becomes the standard input of a task.
//!
//! A block ends where a record ends. It is written to a file as it is read, so that one of any size takes little memory
//! and is still there for a retry.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::items::{ItemError, ItemPlace, ItemProblem};

/// How large a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockSize {
    /// At most this many bytes, but for a record that is longer.
    Bytes(u64),
    /// How many records.
    Records(u64),
}

/// An input, cut at the ends of records.
pub struct Blocks {
    input: Box<dyn BufRead + Send>,
    end: u8,
    size: BlockSize,
    /// Where they are kept; nowhere where they are only counted.
    folder: Option<PathBuf>,
    number: u64,
    /// What was read of the record that does not fit into the block before.
    rest: Vec<u8>,
}

/// A record without an end is held back so far before it is written.
const LONGEST_HELD: usize = 1 << 20;

impl Blocks {
    /// The blocks of an input, whose records end with a byte.
    pub fn new(input: impl BufRead + Send + 'static, end: u8, size: BlockSize) -> Self {
        Self {
            input: Box::new(input),
            end,
            size,
            folder: None,
            number: 0,
            rest: Vec::new(),
        }
    }

    /// The name of the file of a block in its folder.
    pub fn file_name(number: u64) -> String {
        format!("in-{number}")
    }

    /// The number of the block in a file with a name.
    pub fn number_of(file_name: &str) -> Option<u64> {
        file_name.strip_prefix("in-")?.parse().ok()
    }

    pub(crate) fn set_folder(&mut self, folder: &Path) {
        self.folder = Some(folder.to_owned());
    }

    /// Waits for the first byte of what is left; whether there is any.
    pub(crate) fn has_more(&mut self) -> bool {
        !self.rest.is_empty() || self.input.fill_buf().is_ok_and(|read| !read.is_empty())
    }

    /// Writes the next block to its file; `None` at the end.
    pub(crate) fn next_block(&mut self) -> Option<Result<(), ItemError>> {
        if !self.has_more() {
            return None;
        }
        self.number += 1;
        let written = match &self.folder {
            Some(folder) => {
                let path = folder.join(Self::file_name(self.number));
                let file = std::fs::create_dir_all(folder).and_then(|()| {
                    let mut options = OpenOptions::new();
                    options.write(true).create(true).truncate(true).mode(0o600);
                    options.open(path)
                });
                file.and_then(|mut file| self.write_block(&mut file))
            }
            None => self.write_block(&mut io::sink()),
        };
        Some(written.map_err(|error| ItemError {
            place: Some(ItemPlace {
                source: None,
                unit: "block",
                number: self.number,
            }),
            problem: ItemProblem::Read(error),
        }))
    }

    /// Moves a block from the input to a writer.
    fn write_block(&mut self, to: &mut impl Write) -> io::Result<()> {
        let mut block = Block {
            end: self.end,
            size: self.size,
            written: 0,
            records: 0,
            held: std::mem::take(&mut self.rest),
            in_record: false,
        };
        // What is left of the record before may be whole already.
        let mut is_done = block.drain(to)?;
        while !is_done {
            let read = match self.input.fill_buf() {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if read.is_empty() {
                // The last record need not end.
                if block.in_record || block.written == 0 || block.fits(block.held.len()) {
                    to.write_all(&std::mem::take(&mut block.held))?;
                }
                break;
            }
            let used = read.len();
            block.held.extend_from_slice(read);
            self.input.consume(used);
            is_done = block.drain(to)?;
        }
        self.rest = block.held;
        Ok(())
    }
}

/// A block that is being written.
struct Block {
    end: u8,
    size: BlockSize,
    written: u64,
    records: u64,
    /// What was read and is not written.
    held: Vec<u8>,
    /// A part of a record was written, and all of it goes in.
    in_record: bool,
}

impl Block {
    /// Whether this many bytes more of the next record fit in.
    fn fits(&self, bytes: usize) -> bool {
        match self.size {
            BlockSize::Bytes(most) => self.written + bytes as u64 <= most,
            BlockSize::Records(most) => self.records < most,
        }
    }

    /// Writes of what is held as much as belongs in; whether the block is done, and the rest is of the next.
    fn drain(&mut self, to: &mut impl Write) -> io::Result<bool> {
        if self.in_record {
            let end = memchr::memchr(self.end, &self.held);
            self.write(end.map_or(self.held.len(), |end| end + 1), to)?;
            self.records += u64::from(end.is_some());
            self.in_record = end.is_none();
            if self.in_record {
                return Ok(false);
            }
        }
        let (whole, is_done) = match self.size {
            BlockSize::Bytes(most) => self.whole_bytes(most),
            BlockSize::Records(most) => self.whole_records(most),
        };
        self.write(whole, to)?;
        let held = self.held.len();
        let is_long = held > LONGEST_HELD || self.written == 0 && !self.fits(held);
        if is_done || !is_long {
            return Ok(is_done);
        }
        // A record without an end so far begins the next block, where that is told by its bytes.
        if self.written > 0 && matches!(self.size, BlockSize::Bytes(_)) {
            return Ok(true);
        }
        self.in_record = true;
        self.write(held, to)?;
        Ok(false)
    }

    /// How much of what is held are whole records that belong in, and whether there is no room for another.
    fn whole_bytes(&self, most: u64) -> (usize, bool) {
        let room = usize::try_from(most.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let room = &self.held[..room.min(self.held.len())];
        let fitting = memchr::memrchr(self.end, room).map_or(0, |at| at + 1);
        if fitting == 0 && self.written == 0 {
            // One that is longer has a block for itself.
            let end = memchr::memchr(self.end, &self.held);
            return end.map_or((0, false), |end| (end + 1, true));
        }
        let is_full = self.written + fitting as u64 >= most;
        (fitting, is_full || !self.fits(self.held.len()))
    }

    fn whole_records(&mut self, most: u64) -> (usize, bool) {
        let mut whole = 0;
        for at in memchr::memchr_iter(self.end, &self.held) {
            if self.records == most {
                break;
            }
            self.records += 1;
            whole = at + 1;
        }
        (whole, self.records == most)
    }

    fn write(&mut self, bytes: usize, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.held[..bytes])?;
        self.written += bytes as u64;
        self.held.drain(..bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    /// The blocks of a text, read through a buffer of some bytes.
    fn cut(text: &[u8], buffer: usize, size: BlockSize) -> Vec<Vec<u8>> {
        let input = BufReader::with_capacity(buffer, Cursor::new(text.to_vec()));
        let mut blocks = Blocks::new(input, b'\n', size);
        let mut all = Vec::new();
        while blocks.has_more() {
            let mut block = Vec::new();
            blocks.write_block(&mut block).unwrap();
            all.push(block);
        }
        all
    }

    #[test]
    fn blocks_end_with_records() {
        let texts = |blocks: Vec<Vec<u8>>| {
            let text = |block| String::from_utf8(block).unwrap();
            blocks.into_iter().map(text).collect::<Vec<_>>()
        };
        let text = b"1\n22\n333\n4444444\n5\n6";
        let by_bytes = ["1\n22\n", "333\n", "4444444\n", "5\n6"];
        let by_records = ["1\n22\n", "333\n4444444\n", "5\n6"];
        for buffer in 1..30 {
            assert_eq!(
                texts(cut(text, buffer, BlockSize::Bytes(6))),
                by_bytes,
                "{buffer}"
            );
            assert_eq!(
                texts(cut(text, buffer, BlockSize::Records(2))),
                by_records,
                "{buffer}"
            );
        }
        assert_eq!(cut(b"", 4, BlockSize::Bytes(6)), [b""; 0]);
    }

    #[test]
    fn a_record_without_end_passes_through() {
        let long = vec![b'x'; 3 * LONGEST_HELD];
        let text = [b"a\n".as_slice(), &long, b"\nb\nc\n"].concat();
        let blocks = cut(&text, 1 << 16, BlockSize::Bytes(10));
        assert_eq!(blocks.len(), 3);
        assert_eq!(blocks[0], b"a\n");
        assert_eq!(blocks[1].len(), long.len() + 1);
        assert_eq!(blocks[2], b"b\nc\n");
        assert_eq!(cut(&long, 1 << 16, BlockSize::Records(2)), [long]);
    }

    proptest::proptest! {
        #[test]
        fn blocks_come_to_the_whole_and_are_no_larger_than_they_need_be(
            text in "[ab\n]{0,60}", buffer in 1..20_usize, most in 1..12_u64,
        ) {
            let blocks = cut(text.as_bytes(), buffer, BlockSize::Bytes(most));
            proptest::prop_assert_eq!(blocks.concat(), text.as_bytes());
            let (last, others) = blocks.split_last().map_or((None, &[][..]), |(last, others)| (Some(last), others));
            for block in others {
                proptest::prop_assert_eq!(block.last(), Some(&b'\n'));
            }
            for block in others.iter().chain(last) {
                let records = block.split_inclusive(|byte| *byte == b'\n').count();
                proptest::prop_assert!(records <= 1 || block.len() as u64 <= most, "{:?}", block);
            }
            // Two that follow each other would not have fitted into one.
            for pair in blocks.windows(2) {
                let first = pair[1].split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
                proptest::prop_assert!((pair[0].len() + first.len()) as u64 > most, "{:?}", blocks);
            }
        }
    }
}
