//! What processes print, heard without secrets: [`MaskedTap`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use batch_core::outcome::StreamKind;
use batch_process::OutputTap;
use batch_template::Secrets;

/// Passes on what comes with secrets masked. What may be the beginning of one is held back until more has come, and the
/// rest when this is dropped, which is after the end of the process.
pub(crate) struct MaskedTap {
    tap: Arc<dyn OutputTap>,
    secrets: Secrets,
    held: Mutex<[Vec<u8>; 2]>,
}

impl MaskedTap {
    pub(crate) fn new(tap: Arc<dyn OutputTap>, secrets: Secrets) -> Self {
        Self {
            tap,
            secrets,
            held: Mutex::default(),
        }
    }

    fn pass_on(&self, stream: StreamKind, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.tap.printed(stream, &self.secrets.mask_bytes(bytes));
        }
    }
}

impl OutputTap for MaskedTap {
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.tap.poll_room(cx)
    }

    fn printed(&self, stream: StreamKind, bytes: &[u8]) {
        /// Secrets that overlap all the way have no border: of these this many bytes are held at most.
        const MOST: usize = 1 << 20;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = &mut held[stream as usize];
        held.extend_from_slice(bytes);
        let last = held.len().saturating_sub(self.secrets.longest());
        let end = match self.secrets.border(held, last) {
            0 if held.len() > MOST + 2 * self.secrets.longest() => last,
            border => border,
        };
        self.pass_on(stream, &held[..end]);
        held.drain(..end);
    }
}

impl Drop for MaskedTap {
    fn drop(&mut self) {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        let held = std::mem::take(held);
        for stream in [StreamKind::Stdout, StreamKind::Stderr] {
            self.pass_on(stream, &held[stream as usize]);
        }
    }
}

impl fmt::Debug for MaskedTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tap.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<u8>>);

    impl OutputTap for Heard {
        fn poll_room(&self, _cx: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }

        fn printed(&self, _stream: StreamKind, bytes: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(bytes);
        }
    }

    #[test]
    fn a_secret_is_masked_however_it_comes() {
        let text = "one s3cr3t, two s3cr3ts3cr3t\nand the s3cr3";
        let secrets = Secrets::of(["s3cr3t"]);
        for piece in 1..text.len() {
            let heard = Arc::new(Heard::default());
            let tap = MaskedTap::new(Arc::clone(&heard) as Arc<dyn OutputTap>, secrets.clone());
            for piece in text.as_bytes().chunks(piece) {
                tap.printed(StreamKind::Stdout, piece);
            }
            drop(tap);
            let heard = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
            assert_eq!(heard, secrets.mask(text), "{piece}");
        }
    }
}
