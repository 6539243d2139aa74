//! Reads what a task printed, from memory or from its file, in pieces: as bytes, as text, as base64.
//!
//! No more than one piece of [`PIECE`] bytes is held, however long the output is. A file that cannot be
//! read, or is shorter than it was, is an [`ExportError::Read`]: nothing is silently short.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use batch_core::Stream;

use crate::error::ExportError;
use crate::plain_file::open_output;

/// How many bytes of a file are held at once.
const PIECE: usize = 64 * 1024;

/// Writes what a task printed, as it is, piece by piece.
///
/// # Errors
/// When `out` refuses it, or the output cannot be read back whole.
pub fn copy_stream(stream: &Stream, out: &mut dyn Write) -> Result<(), ExportError> {
    for_each_piece(stream, |piece| Ok(out.write_all(piece)?))
}

/// Writes the bytes as they are.
pub(crate) fn write_bytes<W: Write>(out: &mut W, stream: &Stream) -> Result<(), ExportError> {
    for_each_piece(stream, |piece| Ok(out.write_all(piece)?))
}

/// Writes the bytes in base64.
pub(crate) fn write_base64<W: Write>(out: &mut W, stream: &Stream) -> Result<(), ExportError> {
    let mut encoder = EncoderWriter::new(out, &STANDARD);
    for_each_piece(stream, |piece| Ok(encoder.write_all(piece)?))?;
    encoder.finish()?;
    Ok(())
}

/// Gives the bytes as text, bad bytes replaced as `String::from_utf8_lossy` does; says whether there were
/// none.
pub(crate) fn for_each_text(
    stream: &Stream,
    mut give: impl FnMut(&str) -> io::Result<()>,
) -> Result<bool, ExportError> {
    if let Stream::Inline(bytes) = stream
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        give(text)?;
        return Ok(true);
    }
    let mut decoder = Decoder::default();
    for_each_piece(stream, |piece| Ok(decoder.push(piece, &mut give)?))?;
    decoder.end(&mut give)?;
    Ok(decoder.clean)
}

/// Fails when an output that was kept in a file is not there any more, before anything is written.
pub(crate) fn check(stream: &Stream) -> Result<(), ExportError> {
    match stream {
        Stream::Inline(_) => Ok(()),
        Stream::File { path, len } => open(path, *len).map(drop),
    }
}

/// The last bytes of an output, at most `limit`, and how many lie before them.
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

fn for_each_piece(
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
        let room = missing.min(PIECE as u64) as usize;
        match file.read(&mut buffer[..room]) {
            Ok(0) => return Err(unreadable(path, shorter(len - missing, len))),
            Ok(count) => {
                give(&buffer[..count])?;
                missing -= count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(path, error)),
        }
    }
    Ok(())
}

fn open(path: &Path, len: u64) -> Result<File, ExportError> {
    let open = || {
        let file = open_output(path)?;
        let found = file.metadata()?.len();
        if found < len {
            return Err(shorter(found, len));
        }
        Ok(file)
    };
    open().map_err(|error| unreadable(path, error))
}

fn shorter(found: u64, len: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("it holds {found} bytes where the task wrote {len}"),
    )
}

fn unreadable(path: &Path, error: io::Error) -> ExportError {
    ExportError::Read {
        path: path.to_owned(),
        error,
    }
}

/// Decodes UTF-8 in pieces; a character cut by the end of a piece waits for the next.
struct Decoder {
    /// The begun character: at most three bytes of it.
    begun: Vec<u8>,
    /// Whether all bytes so far were UTF-8.
    clean: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            begun: Vec::new(),
            clean: true,
        }
    }
}

impl Decoder {
    fn push(
        &mut self,
        mut piece: &[u8],
        give: &mut impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        // One byte at a time until the begun character is whole or turns out bad.
        while !self.begun.is_empty() {
            let Some((first, rest)) = piece.split_first() else {
                return Ok(());
            };
            self.begun.push(*first);
            piece = rest;
            let begun = std::mem::take(&mut self.begun);
            self.decode(&begun, give)?;
        }
        self.decode(piece, give)
    }

    fn end(&mut self, give: &mut impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        if self.begun.is_empty() {
            return Ok(());
        }
        self.clean = false;
        self.begun.clear();
        give("\u{fffd}")
    }

    fn decode(
        &mut self,
        bytes: &[u8],
        give: &mut impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            if !chunk.valid().is_empty() {
                give(chunk.valid())?;
            }
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && is_begun(invalid) {
                self.begun.extend_from_slice(invalid);
            } else if !invalid.is_empty() {
                self.clean = false;
                give("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

/// Whether bytes are the beginning of a character that further bytes could complete.
fn is_begun(bytes: &[u8]) -> bool {
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
            let mut decoder = Decoder::default();
            let mut give = |part: &str| { text.push_str(part); Ok(()) };
            for piece in bytes.chunks(piece) {
                decoder.push(piece, &mut give).unwrap();
            }
            decoder.end(&mut give).unwrap();
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
            prop_assert_eq!(decoder.clean, std::str::from_utf8(&bytes).is_ok());
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
        let error = write_bytes(&mut Vec::new(), &stream)
            .unwrap_err()
            .to_string();
        assert!(error.contains("out"), "{error}");
        std::fs::write(&path, "ab").unwrap();
        let error = check(&stream).unwrap_err().to_string();
        assert!(
            error.ends_with("it holds 2 bytes where the task wrote 3"),
            "{error}"
        );
        std::fs::write(&path, "abcdef").unwrap();
        let mut out = Vec::new();
        write_bytes(&mut out, &stream).unwrap();
        assert_eq!(out, b"abc", "what a process wrote later is not the task's");
        assert_eq!(tail(&stream, 2).unwrap(), (b"bc".to_vec(), 1));
    }
}
