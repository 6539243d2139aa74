//! Standard input and output of this process as streams of the runtime: [`stdio`].

use std::io::{self, stdin, stdout};
use std::os::fd::OwnedFd;
use std::thread::{Builder, JoinHandle};

use batch_export::files::Blocking;
use tokio::net::unix::pipe::{Receiver, Sender};

/// Ends when all that was written has been handed on.
pub(super) struct Writer(JoinHandle<()>);

/// The two streams, which threads copy: those wait where another program has made the streams non-blocking, and what the
/// runtime has to read and to write are pipes of our own.
pub(super) fn stdio() -> io::Result<(Receiver, Sender, Writer)> {
    let (input, mut to_input) = io::pipe()?;
    let (mut from_output, output) = io::pipe()?;
    // Nobody waits for the one that reads: the client may never close its side. An error ends the stream.
    let read = move || drop(io::copy(&mut Blocking::new(stdin()), &mut to_input));
    let write = move || drop(io::copy(&mut from_output, &mut Blocking::new(stdout())));
    Builder::new().name("stdin".into()).spawn(read)?;
    let writer = Builder::new().name("stdout".into()).spawn(write)?;
    let input = Receiver::from_owned_fd(OwnedFd::from(input))?;
    let output = Sender::from_owned_fd(OwnedFd::from(output))?;
    Ok((input, output, Writer(writer)))
}

impl Writer {
    pub(super) async fn ended(self) {
        // It does not panic.
        let _ = tokio::task::spawn_blocking(|| self.0.join()).await;
    }
}
