//! Reads what a task printed, from memory or from its file, in pieces: as bytes, as text, as base64.
//!
//! No more than one piece of [`PIECE`] bytes is in memory, however long the output is. A file that cannot be
//! read, or is shorter than it was, is an [`ExportError::Read`]: no output is silently short.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use batch_core::{Output, outcome::Stream};

use crate::error::ExportError;
use crate::plain_file::open_output;

/// How many bytes of a file are in memory at once. Three bytes become four in base64, so that pieces of a multiple of
/// three are encoded one by one.
pub(crate) const PIECE: usize = 63 * 1024;

/// Writes what a task printed, as it is, piece by piece.
///
/// # Errors
/// When `out` refuses it, or the output cannot be read back whole.
pub fn copy_stream<W: Write + ?Sized>(stream: &Stream, out: &mut W) -> Result<(), ExportError> {
    for_each_piece(stream, |piece| Ok(out.write_all(piece)?))
}

/// Writes the bytes in base64.
pub(crate) fn write_base64(
    out: &mut fmt::Formatter<'_>,
    stream: &Stream,
) -> Result<(), ExportError> {
    for_each_piece(stream, |piece| {
        write!(out, "{}", Base64Display::new(piece, &STANDARD)).map_err(refused)
    })
}

/// An error of a formatter, which does not say what went wrong.
pub(crate) fn refused(error: fmt::Error) -> ExportError {
    ExportError::Write(io::Error::other(error))
}

/// Gives the bytes as text, bad bytes replaced as `String::from_utf8_lossy` does; returns whether there were none.
pub(crate) fn for_each_text(
    stream: &Stream,
    mut give: impl FnMut(&str) -> Result<(), ExportError>,
) -> Result<bool, ExportError> {
    let mut text = Text::default();
    for_each_piece(stream, |piece| text.push(piece, &mut give))?;
    text.end(&mut give)?;
    Ok(text.is_valid)
}

/// Fails when an output of a task is kept in a file that is not there any more: before anything is written.
pub(crate) fn check(output: &Output) -> Result<(), ExportError> {
    [&output.stdout, &output.stderr]
        .into_iter()
        .try_for_each(|stream| match stream {
            Stream::Inline(_) => Ok(()),
            Stream::File { path, len } => open(path, *len).map(drop),
        })
}

/// The last bytes of an output, at most `limit`, and how many precede them.
///
/// # Errors
/// When a file of the output cannot be read.
pub fn tail(stream: &Stream, limit: usize) -> Result<(Vec<u8>, u64), ExportError> {
    let before = stream.len().saturating_sub(limit as u64);
    let bytes = match stream {
        Stream::Inline(bytes) => bytes[bytes.len().saturating_sub(limit)..].to_vec(),
        Stream::File { path, len } => {
            let mut file = open(path, *len)?;
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(before))
                .and_then(|_| file.take(len - before).read_to_end(&mut bytes))
                .map_err(|error| unreadable(path, error))?;
            bytes
        }
    };
    Ok((bytes, before))
}

/// Gives the bytes piece by piece.
pub(crate) fn for_each_piece(
    stream: &Stream,
    mut give: impl FnMut(&[u8]) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let (path, len) = match stream {
        Stream::Inline(bytes) => return give(bytes),
        Stream::File { path, len } => (path, *len),
    };
    let mut file = open(path, len)?;
    let mut buffer = vec![0; PIECE];
    let mut missing = len;
    while missing > 0 {
        let piece = &mut buffer[..missing.min(PIECE as u64) as usize];
        file.read_exact(piece)
            .map_err(|error| unreadable(path, error))?;
        give(piece)?;
        missing -= piece.len() as u64;
    }
    Ok(())
}

fn open(path: &Path, len: u64) -> Result<File, ExportError> {
    let open = || {
        let file = open_output(path)?;
        let found = file.metadata()?.len();
        if found < len {
            let what = format!("it holds {found} bytes where the task wrote {len}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        Ok(file)
    };
    open().map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: io::Error) -> ExportError {
    ExportError::Read {
        path: path.to_owned(),
        error,
    }
}

/// Decodes UTF-8 in pieces. A character that the end of a piece cuts is decoded with the next piece.
struct Text {
    /// The first bytes of that character, at most three.
    cut: Vec<u8>,
    /// Whether all bytes so far were UTF-8.
    is_valid: bool,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            cut: Vec::new(),
            is_valid: true,
        }
    }
}

impl Text {
    fn push(
        &mut self,
        piece: &[u8],
        give: &mut impl FnMut(&str) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let mut joined = std::mem::take(&mut self.cut);
        let bytes = if joined.is_empty() {
            piece
        } else {
            joined.extend_from_slice(piece);
            &joined
        };
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            if !chunk.valid().is_empty() {
                give(chunk.valid())?;
            }
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && is_cut(invalid) {
                self.cut = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.is_valid = false;
                give("\u{fffd}")?;
            }
        }
        Ok(())
    }

    fn end(
        &mut self,
        give: &mut impl FnMut(&str) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        if self.cut.is_empty() {
            return Ok(());
        }
        self.is_valid = false;
        give("\u{fffd}")
    }
}

/// Whether bytes are the beginning of a character that further bytes could complete.
fn is_cut(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes in which characters, halves of characters and junk meet often.
    fn tricky() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just("aé€😀".as_bytes().to_vec()),
            Just(vec![0xf0, 0x9f]),
            Just(vec![0xe2, 0x82]),
            Just(vec![0xed, 0xa0, 0x80]),
            any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn pieces_decode_as_the_whole(bytes in tricky(), piece in 1_usize..6) {
            let mut text = String::new();
            let mut decoder = Text::default();
            let mut give = |part: &str| { text.push_str(part); Ok(()) };
            for piece in bytes.chunks(piece) {
                decoder.push(piece, &mut give).unwrap();
            }
            decoder.end(&mut give).unwrap();
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
            prop_assert_eq!(decoder.is_valid, std::str::from_utf8(&bytes).is_ok());
        }
    }

    #[test]
    fn a_file_that_is_gone_or_short_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let stream = Stream::File {
            path: path.clone(),
            len: 3,
        };
        let error = copy_stream(&stream, &mut Vec::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains("out"), "{error}");
        std::fs::write(&path, "ab").unwrap();
        let output = Output {
            stderr: stream.clone(),
            ..Output::default()
        };
        let error = check(&output).unwrap_err().to_string();
        assert!(
            error.ends_with("it holds 2 bytes where the task wrote 3"),
            "{error}"
        );
        std::fs::write(&path, "abcdef").unwrap();
        let mut out = Vec::new();
        copy_stream(&stream, &mut out).unwrap();
        assert_eq!(out, b"abc", "what a process wrote later is not the task's");
        assert_eq!(tail(&stream, 2).unwrap(), (b"bc".to_vec(), 1));
    }
}
