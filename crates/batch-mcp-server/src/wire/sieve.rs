//! Lines that can be messages, apart from those that cannot: [`Sieve`].
//!
//! `rmcp` passes over a line that is no JSON, and one that is too long, without a word; whoever sent it would wait for
//! ever. Here such lines are taken out before, and told to who can answer them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};
use tokio::sync::mpsc;

/// A message is no longer, in bytes: what is longer fills the memory.
pub(crate) const LONGEST: usize = 16 << 20;

/// A line that is no message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wrong {
    /// It is no JSON.
    NoJson(String),
    /// It is too long. It has this id, where it has one.
    TooLong(Option<Value>),
}

/// Reads lines and gives those that are JSON, whole.
pub(crate) struct Sieve<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    /// So much of the line was given; `None` while it is not whole.
    given: Option<usize>,
    /// The id of a line that is being passed over.
    passed_over: Option<IdFinder>,
    wrong: mpsc::UnboundedSender<Wrong>,
    longest: usize,
}

impl<R: AsyncRead + Unpin> Sieve<R> {
    /// Gives the lines of an input, and tells apart what is wrong.
    pub(crate) fn new(input: R) -> (Self, mpsc::UnboundedReceiver<Wrong>) {
        let (wrong, told) = mpsc::unbounded_channel();
        let sieve = Self {
            input: BufReader::new(input),
            line: Vec::new(),
            given: None,
            passed_over: None,
            wrong,
            longest: LONGEST,
        };
        (sieve, told)
    }

    /// Takes more of a line, of which this may be the end.
    fn take(&mut self, part: &[u8], is_end: bool) {
        if let Some(id) = &mut self.passed_over {
            id.look(part);
        } else if self.line.len() + part.len() > self.longest {
            let mut id = IdFinder::default();
            id.look(&self.line);
            id.look(part);
            self.passed_over = Some(id);
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
        if is_end {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        if let Some(id) = self.passed_over.take() {
            self.tell(Wrong::TooLong(id.found()));
            return;
        }
        if self.line.trim_ascii().is_empty() {
            self.line.clear();
            return;
        }
        match serde_json::from_slice::<Value>(&self.line) {
            Ok(_) => self.given = Some(0),
            Err(error) => {
                self.line.clear();
                self.tell(Wrong::NoJson(error.to_string()));
            }
        }
    }

    fn tell(&self, wrong: Wrong) {
        // Nobody is left to be answered when nobody listens.
        let _ = self.wrong.send(wrong);
    }

    /// Gives as much of a whole line as there is room for; `false` without one.
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

impl<R: AsyncRead + Unpin> AsyncRead for Sieve<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let sieve = self.get_mut();
        loop {
            if sieve.give(room) {
                return Poll::Ready(Ok(()));
            }
            let there = ready!(Pin::new(&mut sieve.input).poll_fill_buf(context))?;
            if there.is_empty() {
                // A line without an end is no message; one that was too long is answered all the same.
                if sieve.passed_over.is_some() {
                    sieve.end_line();
                }
                return Poll::Ready(Ok(()));
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let part = there[..end.map_or(there.len(), |end| end + 1)].to_vec();
            Pin::new(&mut sieve.input).consume(part.len());
            sieve.take(&part, end.is_some());
        }
    }
}

/// Finds the `id` of an object of JSON that is not kept: clients write it first or last.
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
    const LONGEST: usize = 200;

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
        if is_own && self.piece.len() < Self::LONGEST {
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

    /// What comes through, and what is told, where a line has at most 60 bytes.
    async fn sieved(input: &[u8]) -> (String, Vec<Wrong>) {
        let (mut sieve, mut told) = Sieve::new(input);
        sieve.longest = 60;
        let mut text = String::new();
        sieve.read_to_string(&mut text).await.unwrap();
        let mut wrong = Vec::new();
        while let Ok(found) = told.try_recv() {
            wrong.push(found);
        }
        (text, wrong)
    }

    #[tokio::test]
    async fn json_comes_through_and_the_rest_is_told() {
        let (text, wrong) = sieved(b"{\"a\":1}\r\n\n  \n{\n[2]\n\"\xff\"\n{\"half\":").await;
        assert_eq!(text, "{\"a\":1}\r\n[2]\n");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong.iter().all(|wrong| matches!(wrong, Wrong::NoJson(_))));
    }

    #[tokio::test]
    async fn what_is_too_long_is_told_with_its_id() {
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
            let told = vec![Wrong::TooLong(id)];
            assert_eq!(
                sieved(input.as_bytes()).await,
                ("{}\n".to_owned(), told.clone())
            );
            assert_eq!(sieved(line.as_bytes()).await, (String::new(), told));
        }
    }
}
