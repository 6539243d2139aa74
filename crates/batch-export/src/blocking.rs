//! Streams that other programs share: [`Blocking`].
//!
//! Whether reads and writes wait is a property of the open file, which all who share a pipe or a terminal have in common:
//! another program (`node` does it) may turn that off for us at any moment. Then the system says "not now" in place of
//! waiting, and a writer that takes this for an error loses what it wrote.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};

/// Reads and writes a descriptor, and waits where it is not ready, whether it is set to wait or not. Nothing is buffered.
#[derive(Clone, Copy, Debug)]
pub struct Blocking<S>(S);

impl<S: AsFd> Blocking<S> {
    /// For a stream whose own buffers, if it has any, nobody uses.
    pub const fn new(stream: S) -> Self {
        Self(stream)
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.as_fd().is_terminal()
    }
}

impl<S: AsFd> AsFd for Blocking<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<S: AsFd> Read for Blocking<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        when_ready(&self.0, PollFlags::IN, || {
            rustix::io::read(&self.0, &mut *bytes)
        })
    }
}

impl<S: AsFd> Write for Blocking<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        when_ready(&self.0, PollFlags::OUT, || {
            rustix::io::write(&self.0, bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A second handle on what a stream writes to.
///
/// # Errors
/// When the system has no handles left.
pub(crate) fn duplicate(stream: impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

fn when_ready<T>(
    stream: &impl AsFd,
    ready: PollFlags,
    mut call: impl FnMut() -> rustix::io::Result<T>,
) -> io::Result<T> {
    use rustix::io::Errno;
    loop {
        match call() {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(stream, ready)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            },
            done => return Ok(done?),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    /// Both ends say "not now", and the pipe is full or empty most of the time.
    #[test]
    fn nothing_is_lost_where_both_ends_do_not_wait() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let bytes = sent.clone();
        let write = std::thread::spawn(move || Blocking::new(writer).write_all(&bytes));
        let mut received = Vec::new();
        Blocking::new(reader).read_to_end(&mut received).unwrap();
        write.join().unwrap().unwrap();
        assert!(received == sent);
    }

    #[test]
    fn a_reader_that_has_gone_is_an_error() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        drop(reader);
        let error = Blocking::new(writer).write_all(&[0; 100_000]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
