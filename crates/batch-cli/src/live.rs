//! What tasks print, on its way from their pipes to the results while they run: [`LiveQueue`].

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;

use batch_actions::now;
use batch_core::ids::FullTaskId;
use batch_core::{Time, outcome::StreamKind};
use batch_export::Printed;
use batch_process::{LiveOutput, OutputTap};

/// How many bytes may wait to be shown; then the tasks wait.
const MOST: usize = 1 << 20;

/// What was printed and not shown yet.
#[derive(Debug, Default)]
pub(crate) struct LiveQueue {
    waiting: Mutex<Waiting>,
    /// Who shows it, to be woken when there is something.
    reader: OnceLock<Thread>,
}

#[derive(Debug, Default)]
struct Waiting {
    pieces: Vec<Piece>,
    bytes: usize,
    /// Of outputs that wait for room.
    wakers: Vec<Waker>,
}

/// What came of one output at a moment.
#[derive(Debug)]
pub(crate) struct Piece {
    task: FullTaskId,
    attempt: u32,
    stream: StreamKind,
    bytes: Vec<u8>,
    at: Time,
}

impl Piece {
    pub(crate) fn printed(&self) -> Printed<'_> {
        Printed {
            task: self.task,
            attempt: self.attempt,
            stream: self.stream,
            bytes: &self.bytes,
            at: self.at,
        }
    }
}

impl LiveQueue {
    /// Takes all that has come. The thread that takes first is woken from then on.
    pub(crate) fn take(&self) -> Vec<Piece> {
        self.reader.get_or_init(std::thread::current);
        let mut waiting = self.waiting();
        waiting.bytes = 0;
        waiting.wakers.drain(..).for_each(Waker::wake);
        take(&mut waiting.pieces)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, piece: Piece) {
        let mut waiting = self.waiting();
        waiting.bytes += piece.bytes.len();
        waiting.pieces.push(piece);
        if let Some(reader) = self.reader.get() {
            reader.unpark();
        }
    }
}

/// One attempt's way into the queue.
#[derive(Debug)]
struct Tap {
    queue: Arc<LiveQueue>,
    task: FullTaskId,
    attempt: u32,
}

/// As a run is given it.
#[derive(Debug)]
pub(crate) struct Taps(pub(crate) Arc<LiveQueue>);

impl LiveOutput for Taps {
    fn attempt(&self, task: &str, attempt: u32) -> Arc<dyn OutputTap> {
        Arc::new(Tap {
            queue: Arc::clone(&self.0),
            task: task.parse().expect("the id of a task of this run"),
            attempt,
        })
    }
}

impl OutputTap for Tap {
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.queue.waiting();
        if waiting.bytes < MOST {
            return Poll::Ready(());
        }
        waiting.wakers.push(cx.waker().clone());
        Poll::Pending
    }

    fn printed(&self, stream: StreamKind, bytes: &[u8]) {
        self.queue.push(Piece {
            task: self.task,
            attempt: self.attempt,
            stream,
            bytes: bytes.to_vec(),
            at: now(),
        });
    }
}
