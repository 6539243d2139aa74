//! Keeping what a process writes, in bounded memory: [`Capture`], one for each of its two outputs.
//!
//! Few bytes stay in memory. Past the limit they go to a file in chunks, each written on the blocking
//! pool while the next one is read; when the disk is slower than the process, the pipe fills and the
//! process waits. No byte is lost: what cannot be kept is an error.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use batch_core::Stream;
use tempfile::TempPath;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::sys;

/// Bytes read at once, as many as a pipe usually holds.
const READ: usize = 64 * 1024;

/// The most that is read after the end of the process without asking whether the reader may.
const FINAL_READ: usize = 4 * 1024 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// Where output goes that does not stay in memory, and from which size on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureLimits {
    /// The folder for the files; made when it is first needed.
    pub folder: PathBuf,
    /// The most bytes of one output that stay in memory.
    pub in_memory: usize,
}

impl Default for CaptureLimits {
    /// 256 KiB, and the system's folder for temporary files.
    fn default() -> Self {
        Self {
            folder: std::env::temp_dir(),
            in_memory: Self::DEFAULT_IN_MEMORY,
        }
    }
}

impl CaptureLimits {
    /// 256 KiB.
    pub const DEFAULT_IN_MEMORY: usize = 256 * 1024;
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
    pipe: Option<AsyncFd<PipeReader>>,
    /// What is not on its way to the file.
    held: Vec<u8>,
    spill: Option<Spill>,
    limits: CaptureTarget,
    error: Option<io::Error>,
    error_told: bool,
}

/// Where one output may spill to.
#[derive(Clone, Debug)]
pub(crate) struct CaptureTarget {
    pub(crate) limits: std::sync::Arc<CaptureLimits>,
    /// Before the random part of the file's name.
    pub(crate) prefix: String,
    /// After it.
    pub(crate) suffix: &'static str,
}

/// The file of an output. Removed when dropped.
#[derive(Debug)]
struct Spill {
    path: TempPath,
    writer: Writer,
    len: u64,
}

#[derive(Debug)]
enum Writer {
    Idle(File, Vec<u8>),
    Busy(JoinHandle<Written>),
    /// After an error, or while changing from one to the other.
    Gone,
}

type Written = (File, Vec<u8>, io::Result<()>);

impl Capture {
    /// Begins to read a pipe, whose read end must not block.
    pub(crate) fn new(pipe: PipeReader, limits: CaptureTarget) -> io::Result<Self> {
        Ok(Self {
            pipe: Some(sys::watch_readable(pipe)?),
            held: Vec::new(),
            spill: None,
            limits,
            error: None,
            error_told: false,
        })
    }

    /// Whether there is nothing more to read.
    pub(crate) fn is_closed(&self) -> bool {
        self.pipe.is_none()
    }

    /// Reads what comes until the other side closes. Nothing is lost when it is polled no more.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Filled> {
        loop {
            if self.error.is_some() && !self.error_told {
                self.error_told = true;
                return Poll::Ready(Filled::Failed);
            }
            if self.wants_to_write() {
                ready!(self.poll_write(cx));
                continue;
            }
            let Some(pipe) = &self.pipe else {
                return Poll::Ready(Filled::Closed);
            };
            let read = match ready!(pipe.poll_read_ready(cx)) {
                Ok(mut ready) => SCRATCH.with_borrow_mut(|scratch| {
                    let read = ready.try_io(|pipe| pipe.get_ref().read(scratch));
                    read.map(|read| {
                        read.map(|len| keep(&mut self.held, self.error.is_some(), &scratch[..len]))
                    })
                }),
                Err(error) => Ok(Err(error)),
            };
            if let Ok(read) = read {
                self.took(read);
            }
        }
    }

    /// Reads what is there now, without waiting; then the pipe is closed or somebody still holds it.
    pub(crate) fn read_rest(&mut self) {
        let mut total = 0;
        while let Some(pipe) = &self.pipe
            && total < FINAL_READ
        {
            let read = SCRATCH.with_borrow_mut(|scratch| {
                let len = pipe.get_ref().read(scratch)?;
                Ok(keep(&mut self.held, self.error.is_some(), &scratch[..len]))
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

    /// Closes our end, writes what is still held, and gives it all.
    ///
    /// # Errors
    /// What stood against keeping the bytes.
    pub(crate) async fn finish(mut self) -> io::Result<Stream> {
        self.pipe = None;
        if self.spill.is_some() || self.held.len() > self.limits.limits.in_memory {
            while self.error.is_none() && !self.held.is_empty() {
                std::future::poll_fn(|cx| self.poll_write(cx)).await;
            }
            if self.error.is_none() {
                std::future::poll_fn(|cx| self.poll_idle(cx)).await;
            }
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        match self.spill {
            Some(spill) => {
                let len = spill.len;
                let path = spill.path.keep().map_err(|error| error.error)?;
                Ok(Stream::File { path, len })
            }
            None => Ok(Stream::from(self.held)),
        }
    }

    fn wants_to_write(&self) -> bool {
        let limit = self.limits.limits.in_memory;
        let limit = if self.spill.is_some() {
            limit.max(READ)
        } else {
            limit
        };
        self.error.is_none() && self.held.len() > limit
    }

    /// Takes note of a read: so many bytes are held now, the end, or an error of the pipe.
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
        if self.spill.is_none() {
            match Spill::create(&self.limits) {
                Ok(spill) => self.spill = Some(spill),
                Err(error) => self.fail(error),
            }
        }
        if let Some(spill) = &mut self.spill {
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

impl Spill {
    fn create(target: &CaptureTarget) -> io::Result<Self> {
        std::fs::create_dir_all(&target.limits.folder)?;
        let file = tempfile::Builder::new()
            .prefix(&target.prefix)
            .suffix(target.suffix)
            .tempfile_in(&target.limits.folder)?;
        let (file, path) = file.into_parts();
        Ok(Self {
            path,
            writer: Writer::Idle(file, Vec::new()),
            len: 0,
        })
    }

    /// Begins to write these bytes and leaves an empty buffer for them. Only while idle.
    fn write(&mut self, bytes: &mut Vec<u8>) {
        let Writer::Idle(mut file, mut empty) = std::mem::replace(&mut self.writer, Writer::Gone)
        else {
            return;
        };
        self.len += bytes.len() as u64;
        std::mem::swap(&mut empty, bytes);
        let mut full = empty;
        self.writer = Writer::Busy(tokio::task::spawn_blocking(move || {
            let result = file.write_all(&full);
            full.clear();
            (file, full, result)
        }));
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Writer::Busy(job) = &mut self.writer {
            let ended = ready!(Pin::new(job).poll(cx));
            self.writer = Writer::Gone;
            let (file, buffer, result) = ended.map_err(io::Error::other)?;
            result?;
            self.writer = Writer::Idle(file, buffer);
        }
        Poll::Ready(Ok(()))
    }
}

/// Adds what was read, unless it is to be thrown away; gives its length.
fn keep(held: &mut Vec<u8>, discard: bool, bytes: &[u8]) -> usize {
    if !discard {
        held.extend_from_slice(bytes);
    }
    bytes.len()
}

fn is_for_later(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::Arc;

    use super::*;

    fn capture(folder: &std::path::Path, in_memory: usize) -> (Capture, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        sys::set_nonblocking(reader.as_fd()).unwrap();
        let limits = Arc::new(CaptureLimits {
            folder: folder.to_owned(),
            in_memory,
        });
        let target = CaptureTarget {
            limits,
            prefix: "b1.1-".into(),
            suffix: ".stdout",
        };
        (Capture::new(reader, target).unwrap(), writer)
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
            match capture.finish().await.unwrap() {
                Stream::Inline(kept) => assert_eq!((extra, &*kept), (0, &*bytes)),
                Stream::File { path, len } => {
                    assert_eq!((extra, len), (1, 1_001));
                    assert_eq!(std::fs::read(path).unwrap(), bytes);
                }
            }
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
        assert!(capture.finish().await.is_err());
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
