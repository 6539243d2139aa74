//! One client on a pair of streams: [`serve_stream`], and [`serve_stdio`] on those of the process.
//!
//! `rmcp` ends a conversation that begins with anything but a request, and waits for calls when the client has
//! closed its side. A server for agents does neither: it skips what cannot begin a conversation, and at the end
//! tells each waiting call to answer with what it knows. A line that is no message is answered as well.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::service::{RoleServer, RxJsonRpcMessage, ServerInitializeError, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ErrorData, ServiceExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::dispatch::Dispatcher;
use crate::wire::line_filter::{BadLine, LineFilter, MAX_LINE};
use crate::wire::server::Server;
use crate::wire::stdio::stdio;

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
#[error("the server ended: {0}")]
pub struct ServeError(String);

/// Serves one client on standard input and output, until it closes them.
///
/// # Errors
/// When answers cannot be written while the conversation begins, or the streams cannot be opened.
pub async fn serve_stdio(dispatcher: Dispatcher) -> Result<(), ServeError> {
    let (input, output, writer) = stdio().map_err(|error| ServeError(error.to_string()))?;
    let served = serve_stream(dispatcher, input, output).await;
    writer.ended().await;
    served
}

/// Serves one client: a message a line from `input`, a message a line to `output`, until `input` ends.
///
/// # Errors
/// When answers cannot be written while the conversation begins.
pub async fn serve_stream<R, W>(
    dispatcher: Dispatcher,
    input: R,
    output: W,
) -> Result<(), ServeError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    serve(dispatcher, Box::new(input), Box::new(output)).await
}

type Input = Box<dyn AsyncRead + Send + Unpin>;
type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// Boxed, so that the protocol is compiled once, with this crate, and not again with each caller.
fn serve(
    dispatcher: Dispatcher,
    input: Input,
    output: Output,
) -> Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>> {
    Box::pin(async move {
        let closed = CancellationToken::new();
        let server = Server::new(dispatcher, closed.clone());
        let shelf = Arc::new(Mutex::new(Some(Streams::new(input, output))));
        loop {
            let conversation = Conversation::take(&shelf, closed.clone());
            match server.clone().serve(conversation).await {
                Ok(running) => {
                    let ended = running.waiting().await.map(drop);
                    return ended.map_err(|error| ServeError(error.to_string()));
                }
                // A client that leaves at once has asked nothing.
                Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
                // It cannot begin a conversation, and does not end one either.
                Err(ServerInitializeError::ExpectedInitializeRequest(_)) => {}
                Err(error) => return Err(ServeError(error.to_string())),
            }
        }
    })
}

/// The two streams of a client.
struct Streams {
    messages: AsyncRwTransport<RoleServer, LineFilter<Input>, Output>,
    bad_lines: mpsc::UnboundedReceiver<BadLine>,
    /// The answer to a line that is no message. It is kept here while it is written, as receiving may be cancelled at
    /// any moment.
    reply: Option<Reply>,
}

type Reply = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

impl Streams {
    fn new(input: Input, output: Output) -> Self {
        let (filter, bad_lines) = LineFilter::new(input);
        // Longer lines do not pass the filter.
        let messages = AsyncRwTransport::new_server(filter, output);
        Self {
            messages: messages.with_max_line_length(usize::MAX),
            bad_lines,
            reply: None,
        }
    }

    /// The next message; bad lines are answered meanwhile.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Some(reply) = &mut self.reply {
                // The client may be gone.
                let _ = reply.await;
                self.reply = None;
            }
            let bad = tokio::select! {
                biased;
                Some(bad) = self.bad_lines.recv() => bad,
                message = self.messages.receive() => match (message, self.bad_lines.try_recv()) {
                    // A bad last line is answered before the end.
                    (None, Ok(bad)) => bad,
                    (message, Err(_)) => return message,
                    (message, Ok(bad)) => {
                        self.reply = Some(Box::pin(self.messages.send(answer(bad))));
                        return message;
                    }
                },
            };
            self.reply = Some(Box::pin(self.messages.send(answer(bad))));
        }
    }
}

/// The answer to a line that is no message. Without an id it has none, as the protocol wants it, and not that of null.
fn answer(bad: BadLine) -> TxJsonRpcMessage<RoleServer> {
    match bad {
        BadLine::NotJson(why) => {
            let message = format!("the line is not JSON: {why}");
            TxJsonRpcMessage::<RoleServer>::error(ErrorData::parse_error(message, None), None)
        }
        BadLine::TooLong(id) => {
            let limit = MAX_LINE >> 20;
            let message = format!(
                "the message is longer than {limit} MiB; give many tasks to bex_run in a file, by its argument file"
            );
            let id = id.and_then(|id| serde_json::from_value(id).ok());
            TxJsonRpcMessage::<RoleServer>::error(ErrorData::invalid_request(message, None), id)
        }
    }
}

/// Where the streams are kept between conversations. What was read ahead belongs to the next one.
type Shelf = Arc<Mutex<Option<Streams>>>;

/// The streams of a client, lent to a conversation: they go back to the shelf if it is not established.
struct Conversation {
    streams: Option<Streams>,
    shelf: Shelf,
    closed: CancellationToken,
}

impl Conversation {
    fn take(shelf: &Shelf, closed: CancellationToken) -> Self {
        let streams = shelf.lock().unwrap_or_else(PoisonError::into_inner).take();
        Self {
            streams,
            shelf: shelf.clone(),
            closed,
        }
    }

    fn streams(&mut self) -> &mut Streams {
        self.streams
            .as_mut()
            .expect("the conversation before gave them back")
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        *shelf = self.streams.take();
    }
}

impl Transport<RoleServer> for Conversation {
    type Error = std::io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.streams().messages.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let message = self.streams().receive().await;
        if message.is_none() {
            self.closed.cancel();
        }
        message
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.streams().messages.close().await
    }
}
