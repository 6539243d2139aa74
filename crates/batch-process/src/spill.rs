//! The file of an output that does not stay in memory: [`Spill`], the lower half of a capture.
//!
//! Bytes are written in pieces on the blocking pool, one piece at a time, so that the executor never
//! waits for the disk. A piece that finds no room on the disk is tried again until there is some.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use batch_core::outcome::Stream;
use tempfile::TempPath;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep};

use crate::capture_limits::CaptureTarget;
use crate::disk_space::{PAUSE, Waiting, is_disk_full};

/// The file of an output. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Spill {
    target: CaptureTarget,
    /// `None` until there is a file.
    path: Option<TempPath>,
    writer: Writer,
    len: u64,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
enum Writer {
    Idle(Option<File>, Vec<u8>),
    Busy(JoinHandle<(Piece, io::Result<()>)>),
    /// There is no room; to be tried again then.
    Stalled(Piece, Pin<Box<Sleep>>),
    Failed(io::Error),
    /// After an error, or while changing from one to the other.
    Gone,
}

/// Bytes on their way into the file.
#[derive(Debug)]
struct Piece {
    file: Option<File>,
    bytes: Vec<u8>,
    /// How many of them are in the file.
    written: usize,
}

impl Piece {
    fn write(mut self) -> (Self, io::Result<()>) {
        let result = self.try_write();
        (self, result)
    }

    /// Not `write_all`, which does not tell how far it came.
    fn try_write(&mut self) -> io::Result<()> {
        let file = self
            .file
            .as_mut()
            .expect("a piece is written once it has a file");
        while self.written < self.bytes.len() {
            match file.write(&self.bytes[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Spill {
    /// The file is made when the first bytes come.
    pub(crate) fn new(target: &CaptureTarget) -> Self {
        Self {
            target: target.clone(),
            path: None,
            writer: Writer::Idle(None, Vec::new()),
            len: 0,
            waiting: None,
        }
    }

    /// How many bytes it was given.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether it waits for room on the disk.
    pub(crate) fn is_stalled(&self) -> bool {
        matches!(self.writer, Writer::Stalled(..))
    }

    /// Begins to write these bytes and leaves an empty buffer for them. Only while idle.
    pub(crate) fn write(&mut self, bytes: &mut Vec<u8>) {
        let Writer::Idle(file, mut empty) = std::mem::replace(&mut self.writer, Writer::Gone)
        else {
            return;
        };
        self.len += bytes.len() as u64;
        std::mem::swap(&mut empty, bytes);
        self.go_on(Piece {
            file,
            bytes: empty,
            written: 0,
        });
    }

    /// Writes a piece, or what is left of it.
    fn go_on(&mut self, mut piece: Piece) {
        if piece.file.is_none() {
            match create(&self.target) {
                Ok((file, path)) => {
                    piece.file = Some(file);
                    self.path = Some(path);
                }
                Err(error) => return self.stopped(piece, error),
            }
        }
        self.writer = Writer::Busy(tokio::task::spawn_blocking(move || piece.write()));
    }

    fn stopped(&mut self, piece: Piece, error: io::Error) {
        if !is_disk_full(&error) {
            self.writer = Writer::Failed(error);
            return;
        }
        if self.waiting.is_none() {
            self.waiting = self.target.limits.disk_space.clone().map(Waiting::new);
        }
        self.writer = Writer::Stalled(piece, Box::pin(sleep(PAUSE)));
    }

    /// Waits until nothing is being written, however long there is no room.
    pub(crate) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.writer {
                Writer::Idle(..) | Writer::Gone => return Poll::Ready(Ok(())),
                Writer::Busy(job) => {
                    let ended = ready!(Pin::new(job).poll(cx));
                    self.writer = Writer::Gone;
                    let (mut piece, result) = ended.map_err(io::Error::other)?;
                    match result {
                        Ok(()) => {
                            self.waiting = None;
                            piece.bytes.clear();
                            self.writer = Writer::Idle(piece.file, piece.bytes);
                        }
                        Err(error) => self.stopped(piece, error),
                    }
                }
                Writer::Stalled(_, timer) => {
                    ready!(timer.as_mut().poll(cx));
                    if let Writer::Stalled(piece, _) =
                        std::mem::replace(&mut self.writer, Writer::Gone)
                    {
                        self.go_on(piece);
                    }
                }
                Writer::Failed(_) => {
                    if let Writer::Failed(error) = std::mem::replace(&mut self.writer, Writer::Gone)
                    {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }

    /// Leaves the file for the one who takes the output. Only while idle.
    pub(crate) fn keep(self) -> io::Result<Stream> {
        let path = self.path.ok_or_else(in_use)?;
        let path = path.keep().map_err(|error| error.error)?;
        Ok(Stream::File {
            path,
            len: self.len,
        })
    }

    /// Takes the bytes back into memory and removes the file. Only while idle or stalled.
    pub(crate) async fn read_back(self) -> io::Result<Vec<u8>> {
        let Self {
            path, writer, len, ..
        } = self;
        let (file, rest) = match writer {
            Writer::Idle(file, _) => (file, Vec::new()),
            Writer::Stalled(mut piece, _) => (piece.file, piece.bytes.split_off(piece.written)),
            _ => return Err(in_use()),
        };
        let job = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            if let Some(mut file) = file {
                file.rewind()?;
                file.read_to_end(&mut bytes)?;
            }
            drop(path);
            bytes.extend(rest);
            if bytes.len() as u64 == len {
                Ok(bytes)
            } else {
                let problem = "another program changed the file of the output";
                Err(io::Error::new(io::ErrorKind::InvalidData, problem))
            }
        });
        job.await.map_err(io::Error::other)?
    }
}

fn create(target: &CaptureTarget) -> io::Result<(File, TempPath)> {
    std::fs::create_dir_all(&target.limits.folder)?;
    let file = tempfile::Builder::new()
        .prefix(&target.prefix)
        .suffix(target.suffix)
        .tempfile_in(&target.limits.folder)?;
    Ok(file.into_parts())
}

fn in_use() -> io::Error {
    io::Error::other("the file of the output is in use")
}
