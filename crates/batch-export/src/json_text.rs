//! JSON strings and small values, byte for byte as `serde_json` writes them.
//!
//! Written here and not by `serde_json` because a string must also be written in pieces, as a large
//! output is read from its file, and because parameters that are JSON text already are just copied.

use std::io::{self, Write};
use std::time::Duration;

use batch_core::{Stream, Time};

use crate::error::ExportError;
use crate::scalar::{Stamps, write_i64, write_seconds};
use crate::stream;

/// Writes a string.
pub(crate) fn write_str<W: Write>(out: &mut W, text: &str) -> io::Result<()> {
    out.write_all(b"\"")?;
    write_escaped(out, text)?;
    out.write_all(b"\"")
}

/// Writes a string, or `null`.
pub(crate) fn write_opt_str<W: Write>(out: &mut W, text: Option<&str>) -> io::Result<()> {
    match text {
        Some(text) => write_str(out, text),
        None => out.write_all(b"null"),
    }
}

/// Writes a list of strings.
pub(crate) fn write_list<W: Write>(
    out: &mut W,
    texts: impl IntoIterator<Item = impl AsRef<str>>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (index, text) in texts.into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        write_str(out, text.as_ref())?;
    }
    out.write_all(b"]")
}

/// Writes a number, or `null`.
pub(crate) fn write_opt_i64<W: Write>(out: &mut W, number: Option<i64>) -> io::Result<()> {
    match number {
        Some(number) => write_i64(out, number),
        None => out.write_all(b"null"),
    }
}

/// Writes `true` or `false`.
pub(crate) fn write_bool<W: Write>(out: &mut W, value: bool) -> io::Result<()> {
    out.write_all(if value { b"true" } else { b"false" })
}

/// Writes seconds, or `null`.
pub(crate) fn write_opt_seconds<W: Write>(out: &mut W, time: Option<Duration>) -> io::Result<()> {
    match time {
        Some(time) => write_seconds(out, time),
        None => out.write_all(b"null"),
    }
}

/// Writes a time as a string, or `null`.
pub(crate) fn write_opt_time<W: Write>(
    out: &mut W,
    stamps: &mut Stamps,
    time: Option<Time>,
) -> io::Result<()> {
    match time {
        Some(time) => {
            out.write_all(b"\"")?;
            out.write_all(stamps.text(time))?;
            out.write_all(b"\"")
        }
        None => out.write_all(b"null"),
    }
}

/// Writes `,"name":"…"` with an output as lossy text, and `,"name_base64":"…"` after it when its bytes are
/// not UTF-8. Streams: nothing is held whole.
pub(crate) fn write_stream<W: Write>(
    out: &mut W,
    name: &str,
    stream: &Stream,
) -> Result<(), ExportError> {
    begin_text_field(out, name, "")?;
    let is_text = stream::for_each_text(stream, |text| write_escaped(out, text))?;
    out.write_all(b"\"")?;
    if !is_text {
        begin_text_field(out, name, "_base64")?;
        stream::write_base64(out, stream)?;
        out.write_all(b"\"")?;
    }
    Ok(())
}

fn begin_text_field<W: Write>(out: &mut W, name: &str, suffix: &str) -> io::Result<()> {
    out.write_all(b",\"")?;
    out.write_all(name.as_bytes())?;
    out.write_all(suffix.as_bytes())?;
    out.write_all(b"\":\"")
}

/// Writes what stands between the quotes of a string.
pub(crate) fn write_escaped<W: Write>(out: &mut W, text: &str) -> io::Result<()> {
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[byte as usize];
        if escape == 0 {
            continue;
        }
        out.write_all(&bytes[written..at])?;
        written = at + 1;
        if escape == b'u' {
            let [high, low] = [byte >> 4, byte & 15].map(|half| b"0123456789abcdef"[half as usize]);
            out.write_all(&[b'\\', b'u', b'0', b'0', high, low])?;
        } else {
            out.write_all(&[b'\\', escape])?;
        }
    }
    out.write_all(&bytes[written..])
}

/// For each byte what follows the backslash: 0 for none, `u` for a code in hexadecimal.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[b'\t' as usize] = b't';
    table[b'\n' as usize] = b'n';
    table[0x0c] = b'f';
    table[b'\r' as usize] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_str(&mut out, text).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_byte_is_escaped_as_serde_json_does() {
        for c in (0..0x250).filter_map(char::from_u32) {
            let text = format!("a{c}{c}b");
            assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_escaped_as_serde_json_does(text: String) {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
