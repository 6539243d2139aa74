//! One client on a pair of streams: [`serve_stream`], and [`serve_stdio`] on those of the process.
//!
//! `rmcp` ends a conversation that begins with anything but a request, and waits for calls when the client has
//! closed its side. A server for agents does neither: it passes over what nothing can begin with, and at the end
//! tells each waiting call to answer with what it knows. A line that is no message is answered as well.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Agent;
use rmcp::service::{RoleServer, RxJsonRpcMessage, ServerInitializeError, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ErrorData, ServiceExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};

use crate::wire::server::Server;
use crate::wire::sieve::{LONGEST, Sieve, Wrong};

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
#[error("the server ended: {0}")]
pub struct ServeError(String);

/// Serves one client on standard input and output, until it closes them.
///
/// # Errors
/// When answers cannot be written while the conversation begins.
pub async fn serve_stdio(agent: Agent) -> Result<(), ServeError> {
    let (input, output) = rmcp::transport::io::stdio();
    serve_stream(agent, input, output).await
}

/// Serves one client: a message a line from `input`, a message a line to `output`, until `input` ends.
///
/// # Errors
/// When answers cannot be written while the conversation begins.
pub async fn serve_stream<R, W>(agent: Agent, input: R, output: W) -> Result<(), ServeError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (closed, closing) = watch::channel(false);
    let server = Server::new(agent, Closing(Some(closing)));
    let shelf = Arc::new(Mutex::new(Some(Streams::new(input, output))));
    loop {
        let line = Line::take(&shelf, closed.clone());
        match server.clone().serve(line).await {
            Ok(running) => {
                let ended = running.waiting().await.map(drop);
                return ended.map_err(|error| ServeError(error.to_string()));
            }
            // A client that leaves at once has asked nothing.
            Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            // Nothing begins with that, and nothing ends with it either.
            Err(ServerInitializeError::ExpectedInitializeRequest(_)) => {}
            Err(error) => return Err(ServeError(error.to_string())),
        }
    }
}

/// Tells calls that their client has closed its side. Resolves never for clients that cannot be seen to.
#[derive(Clone)]
pub(crate) struct Closing(Option<watch::Receiver<bool>>);

impl Closing {
    /// A client of which one sees requests only.
    pub(crate) fn unseen() -> Self {
        Self(None)
    }

    /// Waits until nothing more can come from the client.
    pub(crate) async fn wait(&mut self) {
        match &mut self.0 {
            // Who could tell is gone only when the streams are.
            Some(closed) => drop(closed.wait_for(|closed| *closed).await),
            None => std::future::pending().await,
        }
    }
}

/// The two streams of a client.
struct Streams<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite,
{
    messages: AsyncRwTransport<RoleServer, Sieve<R>, W>,
    wrong: mpsc::UnboundedReceiver<Wrong>,
    /// The answer to a line that is no message. It lies here while it is written, as whoever receives may be called
    /// off at any moment.
    reply: Option<Reply>,
}

type Reply = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

impl<R, W> Streams<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    fn new(input: R, output: W) -> Self {
        let (sieve, wrong) = Sieve::new(input);
        // Longer lines do not come through the sieve.
        let messages = AsyncRwTransport::new_server(sieve, output);
        Self {
            messages: messages.with_max_line_length(usize::MAX),
            wrong,
            reply: None,
        }
    }

    /// The next message; what is none is answered meanwhile.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Some(reply) = &mut self.reply {
                // Who does not listen any more needs no telling.
                let _ = reply.await;
                self.reply = None;
            }
            let wrong = tokio::select! {
                biased;
                Some(wrong) = self.wrong.recv() => wrong,
                message = self.messages.receive() => match (message, self.wrong.try_recv()) {
                    // The last line was none, and is answered before the end.
                    (None, Ok(wrong)) => wrong,
                    (message, Err(_)) => return message,
                    (message, Ok(wrong)) => {
                        self.reply = Some(Box::pin(self.messages.send(answer(wrong))));
                        return message;
                    }
                },
            };
            self.reply = Some(Box::pin(self.messages.send(answer(wrong))));
        }
    }
}

/// The answer to a line that is no message. Without an id it has none, as the protocol wants it, and not that of null.
fn answer(wrong: Wrong) -> TxJsonRpcMessage<RoleServer> {
    match wrong {
        Wrong::NoJson(why) => {
            let message = format!("the line is no JSON: {why}");
            TxJsonRpcMessage::<RoleServer>::error(ErrorData::parse_error(message, None), None)
        }
        Wrong::TooLong(id) => {
            let most = LONGEST >> 20;
            let message = format!(
                "the message is longer than {most} MiB; give many tasks to bex_run in a file, by its argument file"
            );
            let id = id.and_then(|id| serde_json::from_value(id).ok());
            TxJsonRpcMessage::<RoleServer>::error(ErrorData::invalid_request(message, None), id)
        }
    }
}

/// Where streams lie while no conversation has them. What was read ahead belongs to the next one.
type Shelf<R, W> = Arc<Mutex<Option<Streams<R, W>>>>;

/// The streams of one client, lent to a conversation: they go back to the shelf if it does not come about.
struct Line<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite,
{
    streams: Option<Streams<R, W>>,
    shelf: Shelf<R, W>,
    closed: watch::Sender<bool>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite> Line<R, W> {
    fn take(shelf: &Shelf<R, W>, closed: watch::Sender<bool>) -> Self {
        let streams = shelf.lock().unwrap_or_else(PoisonError::into_inner).take();
        Self {
            streams,
            shelf: shelf.clone(),
            closed,
        }
    }

    fn streams(&mut self) -> &mut Streams<R, W> {
        self.streams
            .as_mut()
            .expect("the conversation before gave them back")
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite> Drop for Line<R, W> {
    fn drop(&mut self) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        *shelf = self.streams.take();
    }
}

impl<R, W> Transport<RoleServer> for Line<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
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
            self.closed.send_replace(true);
        }
        message
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.streams().messages.close().await
    }
}
