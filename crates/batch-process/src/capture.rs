//! Keeping what a process writes, in bounded memory: [`Capture`], one for each of its two outputs.
//!
//! Few bytes stay in memory. Past the limit they go to a file in chunks, each written on the blocking
//! pool while the next one is read; when the disk is slower than the process, the pipe fills and the
//! process waits. It waits as well while the disk is full. No byte is lost: what cannot be kept is an error.
//!
//! A process that has run for a while can be read along: its output is *live* then, which means that all
//! of it goes to the file as it comes. What turns out small in the end comes back into memory.

use std::cell::RefCell;
use std::io::{self, PipeReader, Read};
use std::task::{Context, Poll, ready};

use batch_core::outcome::Stream;
use tokio::io::unix::AsyncFd;

use crate::capture_limits::CaptureTarget;
use crate::spill::Spill;
use crate::sys;

/// Bytes read at once, as many as a pipe usually holds.
const READ: usize = 64 * 1024;

/// The most that is read after the end of the process without asking whether the reader may.
const FINAL_READ: usize = 4 * 1024 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// What [`Capture::poll_fill`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// The other side has closed.
    Closed,
    /// The bytes could not be kept. Reading goes on, for nothing. Told once.
    Failed,
}

/// One output of a process.
#[derive(Debug)]
pub(crate) struct Capture {
    /// `None` once it is closed, on whichever side.
    pipe: Option<Pipe>,
    /// What is not on its way to the file.
    held: Vec<u8>,
    /// Whether everything goes to the file as it comes.
    live: bool,
    spill: Option<Spill>,
    limits: CaptureTarget,
    error: Option<io::Error>,
    error_told: bool,
}

/// The read end of a pipe, which does not block.
#[derive(Debug)]
enum Pipe {
    /// Nobody is told when there is something to read.
    Unwatched(PipeReader),
    Watched(AsyncFd<PipeReader>),
}

impl Pipe {
    fn reader(&self) -> &PipeReader {
        match self {
            Self::Unwatched(reader) => reader,
            Self::Watched(reader) => reader.get_ref(),
        }
    }
}

impl Capture {
    /// Takes a pipe to read, whose read end must not block.
    pub(crate) fn new(pipe: PipeReader, limits: CaptureTarget) -> Self {
        Self {
            pipe: Some(Pipe::Unwatched(pipe)),
            held: Vec::new(),
            live: false,
            spill: None,
            limits,
            error: None,
            error_told: false,
        }
    }

    /// Whether there is nothing more to read.
    pub(crate) fn is_closed(&self) -> bool {
        self.pipe.is_none()
    }

    /// Whether there are bytes that are in no file yet.
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether [`Capture::poll_fill`] has nothing more to do.
    pub(crate) fn is_done(&self) -> bool {
        self.is_closed() && !(self.live && self.holds())
    }

    /// From now on everything goes to the file as it comes, at the next [`Capture::poll_fill`] also
    /// what is held.
    pub(crate) fn go_live(&mut self) {
        self.live = true;
    }

    /// Reads what comes until the other side closes. Nothing is lost when it is polled no more.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Filled> {
        loop {
            if self.error.is_some() && !self.error_told {
                self.error_told = true;
                return Poll::Ready(Filled::Failed);
            }
            if self.must_write() {
                ready!(self.poll_write(cx));
                continue;
            }
            if self.live && self.holds() && self.poll_write(cx).is_ready() {
                continue;
            }
            if let Some(tap) = &self.limits.tap {
                ready!(tap.poll_room(cx));
            }
            self.watch();
            let Some(Pipe::Watched(pipe)) = &self.pipe else {
                // What is still held waits for the file, and wakes us.
                return if self.is_done() {
                    Poll::Ready(Filled::Closed)
                } else {
                    Poll::Pending
                };
            };
            let read = match ready!(pipe.poll_read_ready(cx)) {
                Ok(mut ready) => SCRATCH.with_borrow_mut(|scratch| {
                    let read = ready.try_io(|pipe| pipe.get_ref().read(scratch));
                    read.map(|read| {
                        read.map(|len| {
                            keep(
                                &mut self.held,
                                self.error.is_some(),
                                &self.limits,
                                &scratch[..len],
                            )
                        })
                    })
                }),
                Err(error) => Ok(Err(error)),
            };
            if let Ok(read) = read {
                self.took(read);
            }
        }
    }

    /// Reads what is there now, without waiting; then the pipe is closed or someone still holds it.
    pub(crate) fn read_rest(&mut self) {
        let mut total = 0;
        while let Some(pipe) = &self.pipe
            && total < FINAL_READ
        {
            let read = SCRATCH.with_borrow_mut(|scratch| {
                let len = pipe.reader().read(scratch)?;
                Ok(keep(
                    &mut self.held,
                    self.error.is_some(),
                    &self.limits,
                    &scratch[..len],
                ))
            });
            match read {
                Err(error) if is_for_later(&error) => return,
                read => {
                    total += read.as_ref().copied().unwrap_or(0);
                    self.took(read);
                }
            }
        }
    }

    /// Closes our end and waits until all is written that does not go back into memory.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pipe = None;
        while self.error.is_none() && self.holds() && !self.fits() {
            ready!(self.poll_write(cx));
        }
        match self.poll_idle(cx) {
            // What waits for room can be taken back as well.
            Poll::Pending if self.is_stalled() && self.fits() => Poll::Ready(()),
            idle => idle,
        }
    }

    /// Whether its file waits for room on the disk.
    pub(crate) fn is_stalled(&self) -> bool {
        self.spill.as_ref().is_some_and(Spill::is_stalled)
    }

    /// Waits for room no more.
    pub(crate) fn give_up(&mut self) {
        if self.is_stalled() {
            self.fail(io::ErrorKind::StorageFull.into());
        }
    }

    /// Whether it is short enough for the memory.
    fn fits(&self) -> bool {
        let spilled = self.spill.as_ref().map_or(0, Spill::len);
        spilled + self.held.len() as u64 <= self.limits.limits.in_memory as u64
    }

    /// Gives all of it, once it is [closed](Self::poll_close).
    ///
    /// # Errors
    /// What stood against keeping the bytes.
    pub(crate) async fn take(mut self) -> io::Result<Stream> {
        let fits = self.fits();
        match (self.error, self.spill) {
            (Some(error), _) => Err(error),
            (None, None) => Ok(Stream::from(self.held)),
            (None, Some(spill)) if fits => {
                let mut bytes = spill.read_back().await?;
                bytes.append(&mut self.held);
                Ok(Stream::from(bytes))
            }
            (None, Some(spill)) => spill.keep(),
        }
    }

    /// Has the runtime tell when there is something to read.
    fn watch(&mut self) {
        self.pipe = match self.pipe.take() {
            Some(Pipe::Unwatched(reader)) => match sys::watch_readable(reader) {
                Ok(watched) => Some(Pipe::Watched(watched)),
                Err(error) => {
                    self.fail(error);
                    None
                }
            },
            pipe => pipe,
        };
    }

    /// Whether so much is held that it must go before more is read.
    fn must_write(&self) -> bool {
        let limit = self.limits.limits.in_memory;
        let limit = if self.spill.is_some() {
            limit.max(READ)
        } else {
            limit
        };
        self.error.is_none() && self.held.len() > limit
    }

    /// Takes note of a read: this many bytes are held now, the end, or an error of the pipe.
    fn took(&mut self, read: io::Result<usize>) {
        match read {
            Ok(0) => self.pipe = None,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.pipe = None;
                self.fail(error);
            }
        }
    }

    /// Begins to write what is held, once the file is free.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_idle(cx));
        if self.error.is_none() {
            let spill = self.spill.get_or_insert_with(|| Spill::new(&self.limits));
            spill.write(&mut self.held);
        }
        Poll::Ready(())
    }

    /// Waits until nothing is being written.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(spill) = &mut self.spill
            && let Err(error) = ready!(spill.poll_idle(cx))
        {
            self.fail(error);
        }
        Poll::Ready(())
    }

    fn fail(&mut self, error: io::Error) {
        self.error.get_or_insert(error);
        self.held = Vec::new();
        self.spill = None;
    }
}

/// Adds what was read, unless it is to be thrown away; gives its length.
fn keep(held: &mut Vec<u8>, discard: bool, target: &CaptureTarget, bytes: &[u8]) -> usize {
    if !discard {
        held.extend_from_slice(bytes);
        if let (Some(tap), false) = (&target.tap, bytes.is_empty()) {
            tap.printed(target.stream, bytes);
        }
    }
    bytes.len()
}

fn is_for_later(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use batch_core::outcome::StreamKind;
    use proptest::prelude::*;

    use super::*;
    use crate::capture_limits::CaptureLimits;

    fn capture(folder: &Path, in_memory: usize) -> (Capture, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        sys::set_nonblocking(reader.as_fd()).unwrap();
        let limits = Arc::new(CaptureLimits {
            folder: folder.to_owned(),
            in_memory,
            ..CaptureLimits::default()
        });
        let target = CaptureTarget {
            limits,
            prefix: "b1.1-".into(),
            suffix: ".stdout",
            stream: StreamKind::Stdout,
            tap: None,
        };
        (Capture::new(reader, target), writer)
    }

    async fn finish(mut capture: Capture) -> io::Result<Stream> {
        std::future::poll_fn(|cx| capture.poll_close(cx)).await;
        capture.take().await
    }

    async fn fill(capture: &mut Capture) -> Filled {
        std::future::poll_fn(|cx| capture.poll_fill(cx)).await
    }

    fn write(mut pipe: io::PipeWriter, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || pipe.write_all(&bytes).unwrap())
    }

    #[tokio::test]
    async fn up_to_the_limit_bytes_stay_in_memory_and_one_more_goes_to_a_file() {
        for extra in [0, 1] {
            let folder = tempfile::tempdir().unwrap();
            let (mut capture, pipe) = capture(folder.path(), 1_000);
            let bytes: Vec<u8> = (0..1_000 + extra)
                .map(|n: u32| n.to_le_bytes()[0])
                .collect();
            let writer = write(pipe, bytes.clone());
            assert_eq!(fill(&mut capture).await, Filled::Closed);
            writer.join().unwrap();
            match finish(capture).await.unwrap() {
                Stream::Inline(kept) => assert_eq!((extra, &*kept), (0, &*bytes)),
                Stream::File { path, len } => {
                    assert_eq!((extra, len), (1, 1_001));
                    assert_eq!(std::fs::read(path).unwrap(), bytes);
                }
            }
        }
    }

    /// Reads what is there, and lets the runtime look for more.
    async fn fill_a_little(capture: &mut Capture) {
        let filled = std::future::poll_fn(|cx| Poll::Ready(capture.poll_fill(cx))).await;
        assert_eq!(filled, Poll::Pending);
        tokio::task::yield_now().await;
    }

    /// Fills until it is closed, or the files in the folder hold these bytes.
    async fn fill_until_written(capture: &mut Capture, folder: &Path, bytes: &[u8]) {
        let written = std::future::poll_fn(|cx| {
            let filled = capture.poll_fill(cx);
            if in_files(folder).concat() == bytes {
                return Poll::Ready(());
            }
            assert!(filled.is_pending(), "{filled:?} before all was written");
            // Nothing tells when a file grows.
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        // A hang becomes a failure.
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, written).await.unwrap();
    }

    fn in_files(folder: &Path) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(folder).unwrap();
        files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn live_output_is_written_as_it_comes_and_taken_back_when_small() {
        let folder = tempfile::tempdir().unwrap();
        let (mut capture, mut pipe) = capture(folder.path(), 1_000);
        pipe.write_all(b"held ").unwrap();
        while !capture.holds() {
            fill_a_little(&mut capture).await;
        }
        fill_a_little(&mut capture).await;
        assert!(in_files(folder.path()).is_empty());

        capture.go_live();
        fill_until_written(&mut capture, folder.path(), b"held ").await;
        pipe.write_all(b"more ").unwrap();
        fill_until_written(&mut capture, folder.path(), b"held more ").await;
        pipe.write_all(b"last").unwrap();
        capture.read_rest();
        let whole = finish(capture).await.unwrap();
        assert_eq!(whole, Stream::from(b"held more last".to_vec()));
        assert!(in_files(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn what_a_live_process_wrote_last_is_written_after_it_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut capture, mut pipe) = capture(folder.path(), 1_000);
        capture.go_live();
        pipe.write_all(b"first ").unwrap();
        // The file is being written when the rest comes.
        while capture.spill.is_none() {
            fill_a_little(&mut capture).await;
        }
        pipe.write_all(b"second").unwrap();
        drop(pipe);
        assert_eq!(fill(&mut capture).await, Filled::Closed);
        assert!(capture.is_done() && !capture.holds());
        let whole = finish(capture).await.unwrap();
        assert_eq!(whole, Stream::from(b"first second".to_vec()));
    }

    #[tokio::test]
    async fn a_live_file_that_was_changed_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (mut capture, mut pipe) = capture(folder.path(), 1_000);
        capture.go_live();
        pipe.write_all(b"written").unwrap();
        fill_until_written(&mut capture, folder.path(), b"written").await;
        for file in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::write(file.unwrap().path(), "").unwrap();
        }
        let error = finish(capture).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    /// What is written in pieces, live from one of them on.
    async fn in_pieces(pieces: &[Vec<u8>], live_from: usize, in_memory: usize) {
        let folder = tempfile::tempdir().unwrap();
        let (mut capture, mut pipe) = capture(folder.path(), in_memory);
        for (index, piece) in pieces.iter().enumerate() {
            if index == live_from {
                capture.go_live();
            }
            pipe.write_all(piece).unwrap();
            fill_a_little(&mut capture).await;
        }
        drop(pipe);
        assert_eq!(fill(&mut capture).await, Filled::Closed);
        let bytes = pieces.concat();
        match finish(capture).await.unwrap() {
            Stream::Inline(kept) => {
                assert!(bytes.len() <= in_memory);
                assert!(*kept == *bytes);
                assert!(in_files(folder.path()).is_empty());
            }
            Stream::File { path, len } => {
                assert!(bytes.len() > in_memory);
                assert_eq!(len, bytes.len() as u64);
                assert!(std::fs::read(path).unwrap() == bytes);
                assert_eq!(in_files(folder.path()).len(), 1);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_byte_is_lost_or_moved_whenever_output_becomes_live(
            // Less than a pipe holds, so that writing does not wait for reading.
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2_000), 0..12),
            live_from in 0..14_usize,
            in_memory in 0..16_000_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(in_pieces(&pieces, live_from, in_memory));
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_told_once_and_reading_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let (mut capture, pipe) = capture(&file, 10);
        let writer = write(pipe, vec![7; 1_000_000]);
        assert_eq!(fill(&mut capture).await, Filled::Failed);
        assert_eq!(fill(&mut capture).await, Filled::Closed);
        writer.join().unwrap();
        assert!(finish(capture).await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_capture_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (mut capture, pipe) = capture(folder.path(), 10);
        let writer = write(pipe, vec![7; 1_000_000]);
        assert_eq!(fill(&mut capture).await, Filled::Closed);
        writer.join().unwrap();
        assert!(capture.spill.is_some());
        drop(capture);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
