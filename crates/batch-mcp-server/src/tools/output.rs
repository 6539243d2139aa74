//! The beginning and the end of an output of any length: [`Ends`].

use std::borrow::Cow;
use std::io;

use batch_core::outcome::Stream;
use batch_export::files::copy_stream;

use crate::call_error::CallError;
use crate::truncate::End;

/// The first and the last part of an output, as much as can be shown of it.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    len: u64,
    characters: u64,
}

impl Ends {
    const KEPT: usize = 64 * 1024;

    /// Reads an output.
    pub(crate) fn of(stream: &Stream) -> Result<Self, CallError> {
        let mut ends = Self::default();
        copy_stream(stream, &mut ends).map_err(|error| CallError::new(error.to_string()))?;
        Ok(ends)
    }

    /// The length of the whole output in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The number of characters of the whole output, as far as the bytes are text.
    pub(crate) fn characters(&self) -> u64 {
        self.characters
    }

    /// Whether the head is all there is.
    pub(crate) fn is_whole(&self) -> bool {
        self.tail.is_empty()
    }

    /// One end as text, bad bytes replaced.
    pub(crate) fn text(&self, end: End) -> Cow<'_, str> {
        match end {
            End::Tail if !self.is_whole() => {
                let kept = self.tail.len().saturating_sub(Self::KEPT);
                String::from_utf8_lossy(&self.tail[kept..])
            }
            _ => String::from_utf8_lossy(&self.head),
        }
    }
}

impl From<&str> for Ends {
    fn from(text: &str) -> Self {
        let mut ends = Self::default();
        ends.push(text.as_bytes());
        ends
    }
}

impl Ends {
    fn push(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        // Every byte starts a character, except for continuation bytes.
        let begins = bytes.iter().filter(|byte| **byte & 0xc0 != 0x80);
        self.characters += begins.count() as u64;
        let room = Self::KEPT.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend_from_slice(&bytes[room..]);
        // It may grow to twice as much, so that not every piece moves all of it.
        if self.tail.len() > 2 * Self::KEPT {
            self.tail.drain(..self.tail.len() - Self::KEPT);
        }
    }
}

impl io::Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_long_output_are_kept() {
        let bytes: String = (0..100_000).map(|n| format!("{n}\n")).collect();
        let mut ends = Ends::default();
        for piece in bytes.as_bytes().chunks(1_000) {
            ends.push(piece);
        }
        assert_eq!(ends.len(), bytes.len() as u64);
        assert_eq!(ends.characters(), bytes.len() as u64);
        assert!(!ends.is_whole());
        assert!(bytes.starts_with(&*ends.text(End::Head)));
        assert!(bytes.ends_with(&*ends.text(End::Tail)));
        assert_eq!(ends.text(End::Head).len(), Ends::KEPT);
        assert_eq!(ends.text(End::Tail).len(), Ends::KEPT);
    }

    #[test]
    fn a_short_one_is_whole_from_both_sides() {
        let ends = Ends::from("ä\nb");
        assert!(ends.is_whole());
        assert_eq!((ends.len(), ends.characters()), (4, 3));
        assert_eq!(
            (ends.text(End::Head), ends.text(End::Tail)),
            ("ä\nb".into(), "ä\nb".into())
        );
    }
}
