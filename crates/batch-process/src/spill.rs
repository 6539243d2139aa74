//! The file of an output that does not stay in memory: [`Spill`], the lower half of a capture.
//!
//! Bytes are written in pieces on the blocking pool, one piece at a time, so that the executor never
//! waits for the disk.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use batch_core::Stream;
use tempfile::TempPath;
use tokio::task::JoinHandle;

use crate::capture::CaptureTarget;

/// The file of an output. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Spill {
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

impl Spill {
    pub(crate) fn create(target: &CaptureTarget) -> io::Result<Self> {
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

    /// How many bytes it was given.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Begins to write these bytes and leaves an empty buffer for them. Only while idle.
    pub(crate) fn write(&mut self, bytes: &mut Vec<u8>) {
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

    /// Waits until nothing is being written.
    pub(crate) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Writer::Busy(job) = &mut self.writer {
            let ended = ready!(Pin::new(job).poll(cx));
            self.writer = Writer::Gone;
            let (file, buffer, result) = ended.map_err(io::Error::other)?;
            result?;
            self.writer = Writer::Idle(file, buffer);
        }
        Poll::Ready(Ok(()))
    }

    /// Leaves the file for whoever takes the output.
    pub(crate) fn keep(self) -> io::Result<Stream> {
        let path = self.path.keep().map_err(|error| error.error)?;
        Ok(Stream::File {
            path,
            len: self.len,
        })
    }

    /// Takes the bytes back into memory and removes the file. Only while idle.
    pub(crate) async fn read_back(self) -> io::Result<Vec<u8>> {
        let Self { path, writer, len } = self;
        let Writer::Idle(mut file, mut bytes) = writer else {
            return Err(io::Error::other("the file of the output is in use"));
        };
        let job = tokio::task::spawn_blocking(move || {
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            drop(path);
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
