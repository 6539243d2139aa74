//! Separates lines that can be messages from those that cannot: [`LineFilter`].
//!
//! `rmcp` skips a line that is not JSON, and one that is too long, silently; its sender would wait for ever. Here such
//! lines are taken out before and reported, with their id: a line codec would have dropped that with the line.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};
use tokio::sync::mpsc;

/// The longest message in bytes; a longer one could fill the memory.
pub(crate) const MAX_LINE: usize = 16 << 20;

/// A line that is no message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BadLine {
    /// It is not JSON.
    NotJson(String),
    /// It is too long; its id, where it has one.
    TooLong(Option<Value>),
}

/// Reads lines and passes on those that are JSON, whole.
pub(crate) struct LineFilter<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    /// How much of the line was passed on; `None` while it is not whole.
    given: Option<usize>,
    /// The id of a line that is being skipped.
    skipped: Option<IdFinder>,
    bad_lines: mpsc::UnboundedSender<BadLine>,
    max_line: usize,
}

impl<R: AsyncRead + Unpin> LineFilter<R> {
    /// Filters the lines of an input, and reports the bad ones.
    pub(crate) fn new(input: R) -> (Self, mpsc::UnboundedReceiver<BadLine>) {
        let (sender, bad_lines) = mpsc::unbounded_channel();
        let filter = Self {
            input: BufReader::new(input),
            line: Vec::new(),
            given: None,
            skipped: None,
            bad_lines: sender,
            max_line: MAX_LINE,
        };
        (filter, bad_lines)
    }

    /// Takes more of a line, maybe its end.
    fn take(&mut self, part: &[u8], is_end: bool) {
        if let Some(id) = &mut self.skipped {
            id.look(part);
        } else if self.line.len() + part.len() > self.max_line {
            let mut id = IdFinder::default();
            id.look(&self.line);
            id.look(part);
            self.skipped = Some(id);
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
        if is_end {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        if let Some(id) = self.skipped.take() {
            self.report(BadLine::TooLong(id.found()));
            return;
        }
        if self.line.trim_ascii().is_empty() {
            self.line.clear();
            return;
        }
        // A byte order mark is no part of the JSON.
        let begin = if self.line.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        };
        match serde_json::from_slice::<Value>(&self.line[begin..]) {
            Ok(_) => self.given = Some(begin),
            Err(error) => {
                self.line.clear();
                self.report(BadLine::NotJson(error.to_string()));
            }
        }
    }

    fn report(&self, bad: BadLine) {
        // When nobody listens, nobody is left to be answered.
        let _ = self.bad_lines.send(bad);
    }

    /// Passes on as much of a whole line as there is room for; `false` without one.
    fn give(&mut self, room: &mut ReadBuf<'_>) -> bool {
        let Some(given) = self.given else {
            return false;
        };
        let rest = &self.line[given..];
        let most = rest.len().min(room.remaining());
        room.put_slice(&rest[..most]);
        self.given = Some(given + most);
        if given + most == self.line.len() {
            self.given = None;
            self.line.clear();
        }
        true
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for LineFilter<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filter = self.get_mut();
        loop {
            if filter.give(room) {
                return Poll::Ready(Ok(()));
            }
            let available = ready!(Pin::new(&mut filter.input).poll_fill_buf(context))?;
            if available.is_empty() {
                // A line without an end is no message; one that is too long is answered all the same.
                if filter.skipped.is_some() {
                    filter.end_line();
                }
                return Poll::Ready(Ok(()));
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = available[..end.map_or(available.len(), |end| end + 1)].to_vec();
            Pin::new(&mut filter.input).consume(part.len());
            filter.take(&part, end.is_some());
        }
    }
}

/// Finds the `id` of a JSON object that is not kept: clients write it first or last.
#[derive(Default)]
struct IdFinder {
    depth: u32,
    is_text: bool,
    is_escaped: bool,
    /// The last text of the object itself, and after its colon the value of `id`.
    piece: Vec<u8>,
    is_id: bool,
    found: Option<Value>,
}

impl IdFinder {
    /// No id is longer, in bytes.
    const MAX: usize = 200;

    fn look(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) {
        let is_own = self.depth == 1;
        if self.is_text {
            self.is_text = self.is_escaped || byte != b'"';
            self.is_escaped = !self.is_escaped && byte == b'\\';
            self.keep(byte, is_own);
            return;
        }
        match byte {
            b'"' => {
                self.is_text = true;
                if !self.is_id {
                    self.piece.clear();
                }
                self.keep(byte, is_own);
            }
            b'{' | b'[' => self.depth += 1,
            b':' if is_own => {
                self.is_id = self.piece == b"\"id\"";
                self.piece.clear();
            }
            b',' | b'}' | b']' => {
                if is_own && self.is_id {
                    self.found = serde_json::from_slice(&self.piece).ok();
                    self.is_id = false;
                }
                if byte != b',' {
                    self.depth = self.depth.saturating_sub(1);
                }
            }
            byte => self.keep(byte, is_own && self.is_id),
        }
    }

    fn keep(&mut self, byte: u8, is_own: bool) {
        if is_own && self.piece.len() < Self::MAX {
            self.piece.push(byte);
        }
    }

    fn found(self) -> Option<Value> {
        let is_id = |id: &Value| id.is_string() || id.is_i64() || id.is_u64();
        self.found.filter(is_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::AsyncReadExt;

    /// What passes and what is reported, where a line has at most 60 bytes.
    async fn filtered(input: &[u8]) -> (String, Vec<BadLine>) {
        let (mut filter, mut bad_lines) = LineFilter::new(input);
        filter.max_line = 60;
        let mut text = String::new();
        filter.read_to_string(&mut text).await.unwrap();
        let mut bad = Vec::new();
        while let Ok(found) = bad_lines.try_recv() {
            bad.push(found);
        }
        (text, bad)
    }

    #[tokio::test]
    async fn json_passes_and_the_rest_is_reported() {
        let (text, wrong) =
            filtered(b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\n[2]\n\"\xff\"\n{\"half\":").await;
        assert_eq!(text, "{\"a\":1}\r\n[2]\n");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(
            wrong
                .iter()
                .all(|wrong| matches!(wrong, BadLine::NotJson(_)))
        );
    }

    #[tokio::test]
    async fn what_is_too_long_is_reported_with_its_id() {
        let long = "x\\\"id\\\":3,".repeat(20);
        let params = format!("{{\"id\":5,\"text\":\"{long}\",\"list\":[{{\"id\":6}}]}}");
        for (line, id) in [
            (format!("{{\"id\":7,\"params\":{params}}}"), Some(json!(7))),
            (
                format!("{{\"params\":{params}, \"id\" : \"a:}}b\" }}"),
                Some(json!("a:}b")),
            ),
            (format!("{{\"method\":\"id\",\"params\":{params}}}"), None),
            (format!("{{\"id\":{{}},\"params\":{params}}}"), None),
            (long.clone(), None),
        ] {
            let input = format!("{line}\n{{}}\n");
            let told = vec![BadLine::TooLong(id)];
            assert_eq!(
                filtered(input.as_bytes()).await,
                ("{}\n".to_owned(), told.clone())
            );
            assert_eq!(filtered(line.as_bytes()).await, (String::new(), told));
        }
    }
}
