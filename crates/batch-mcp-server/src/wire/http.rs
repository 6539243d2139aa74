//! Streamable HTTP: [`serve_http`], which checks token, Host and Origin.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::dispatch::Dispatcher;
use crate::wire::server::Server;

/// Where and for whom HTTP is served.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// The address to listen on; port 0 takes a free one.
    pub address: SocketAddr,
    /// The token that clients must send: `Authorization: Bearer TOKEN`.
    pub token: String,
    /// Further names of this host, for the check of Host.
    pub hosts: Vec<String>,
    /// Web pages that may call, such as `https://app.example.com:443`.
    pub origins: Vec<String>,
}

/// Why HTTP cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeHttpError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// A token that is easy to guess.
    #[error("the token has fewer than 16 characters; use a longer one")]
    ShortToken,
}

/// A new random token: 32 hexadecimal digits from the system.
///
/// # Errors
/// When the system has no random numbers.
pub fn new_token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How long a session of the older protocol revisions may be idle. It holds nothing; but a client that finds it gone
/// fails, and a model may think for longer than the five minutes of `rmcp`.
const KEEP_ALIVE: Duration = Duration::from_secs(24 * 60 * 60);

/// The pause before the next connection is accepted when accepting one failed, as for lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Body = BoxBody<bytes::Bytes, Infallible>;

/// Serves any number of clients, for as long as it is polled. `ready` is given the address once it listens.
///
/// # Errors
/// When it cannot listen, or the token is too short.
pub async fn serve_http(
    dispatcher: Dispatcher,
    options: HttpOptions,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeHttpError> {
    if options.token.len() < 16 {
        return Err(ServeHttpError::ShortToken);
    }
    let failed = |error| ServeHttpError::Listen(options.address, error);
    let listener = TcpListener::bind(options.address).await.map_err(failed)?;
    ready(listener.local_addr().map_err(failed)?);
    let guard = Guard {
        inner: mcp(dispatcher, &options),
        token: options.token.into(),
    };
    match accept(listener, guard).await {}
}

/// Boxed, so that the protocol is compiled with this crate and not again with each caller.
fn accept(listener: TcpListener, guard: Guard) -> Pin<Box<dyn Future<Output = Infallible> + Send>> {
    Box::pin(async move {
        loop {
            // A connection that fails early is no reason to end.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let guard = guard.clone();
            let service = service_fn(move |request| guard.clone().answer(request));
            tokio::spawn(async move {
                let mut builder = auto::Builder::new(TokioExecutor::new());
                // With it, idle connections are closed after a while.
                builder.http1().timer(TokioTimer::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}

type Mcp = StreamableHttpService<Server, LocalSessionManager>;

fn mcp(dispatcher: Dispatcher, options: &HttpOptions) -> Mcp {
    let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let own = options.address.ip().to_string();
    let hosts = loopback
        .into_iter()
        .chain([own])
        .chain(options.hosts.clone());
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(hosts)
        .with_allowed_origins(options.origins.clone())
        .enforce_origin_validation();
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.keep_alive = Some(KEEP_ALIVE);
    // Whether an HTTP client still waits is not known, so its calls are never told to stop waiting.
    let server = Server::new(dispatcher, CancellationToken::new());
    StreamableHttpService::new(move || Ok(server.clone()), Arc::new(sessions), config)
}

/// Admits requests with the token only.
#[derive(Clone)]
struct Guard {
    inner: Mcp,
    token: Arc<str>,
}

impl Guard {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if !self.admits(&request) {
            return Ok(refused());
        }
        let is_json = is_json(&request);
        let mut response = self.inner.handle(request).await;
        // The content type is right, so it is the content that cannot be read.
        if is_json && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        Ok(response)
    }

    fn admits(&self, request: &Request<Incoming>) -> bool {
        let given = request.headers().get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' '));
        given.is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case("bearer") && same(given.as_bytes(), self.token.as_bytes())
        })
    }
}

/// Compares in a time that does not depend on where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    let different = a
        .iter()
        .zip(b)
        .fold(0, |different, (a, b)| different | (a ^ b));
    a.len() == b.len() && different == 0
}

fn is_json(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}

fn refused() -> Response<Body> {
    let text = "missing or wrong token; send Authorization: Bearer TOKEN\n";
    let mut response = Response::new(Full::from(text).boxed());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let scheme = header::HeaderValue::from_static("Bearer");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, scheme);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_right() {
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"ab", b"abc") && !same(b"abcd", b"abc") && !same(b"abd", b"abc"));
        let token = new_token().unwrap();
        assert_eq!(token.len(), 32);
        assert_ne!(token, new_token().unwrap());
    }
}
