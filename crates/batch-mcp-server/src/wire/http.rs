//! Streamable HTTP: [`serve_http`], on loopback unless told otherwise, with a token, Host and Origin checked.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::Agent;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tower_service::Service;

use crate::wire::line::Closing;
use crate::wire::server::Server;

/// How the server is reached.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// What a client must give: `Authorization: Bearer TOKEN`.
    pub token: String,
    /// Further names by which clients may call this host.
    pub hosts: Vec<String>,
    /// Web pages that may call it, as `https://app.example.com:443`.
    pub origins: Vec<String>,
}

/// Why HTTP cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeHttpError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// A token that anybody could guess.
    #[error("the token has fewer than 16 characters; take a longer one")]
    ShortToken,
}

/// A token that nobody guesses: 32 hexadecimal digits from the system.
///
/// # Errors
/// When the system has no random numbers.
pub fn new_token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How long a session of the older revisions may be silent. It holds nothing; but a client that finds it gone fails,
/// and an agent may well think for longer than the five minutes of `rmcp`.
const SILENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The time until the next connection is tried when there are no handles for one.
const NO_HANDLES: Duration = Duration::from_millis(100);

type Body = BoxBody<bytes::Bytes, Infallible>;

/// Serves any number of clients, for as long as it is polled. `ready` is told the address once it listens.
///
/// # Errors
/// When it cannot listen, or the token is too short.
pub async fn serve_http(
    agent: Agent,
    options: HttpOptions,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeHttpError> {
    if options.token.len() < 16 {
        return Err(ServeHttpError::ShortToken);
    }
    let failed = |error| ServeHttpError::Listen(options.address, error);
    let listener = TcpListener::bind(options.address).await.map_err(failed)?;
    ready(listener.local_addr().map_err(failed)?);
    let service = Guard {
        inner: mcp(agent, &options),
        token: options.token.into(),
    };
    loop {
        // A connection that fails at once is no reason to end.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(NO_HANDLES).await;
            continue;
        };
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new());
            // With it, who connects and then says nothing is shut out after a while.
            builder.http1().timer(TokioTimer::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type Mcp = StreamableHttpService<Server, LocalSessionManager>;

fn mcp(agent: Agent, options: &HttpOptions) -> Mcp {
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
    sessions.session_config.keep_alive = Some(SILENCE);
    StreamableHttpService::new(
        move || Ok(Server::new(agent.clone(), Closing::unseen())),
        Arc::new(sessions),
        config,
    )
}

/// Lets only those in who know the token.
#[derive(Clone)]
struct Guard {
    inner: Mcp,
    token: Arc<str>,
}

impl Guard {
    fn admits<B>(&self, request: &Request<B>) -> bool {
        let given = request.headers().get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' '));
        given.is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case("bearer") && same(given.as_bytes(), self.token.as_bytes())
        })
    }
}

/// Compares in a time that does not tell how much is right.
fn same(a: &[u8], b: &[u8]) -> bool {
    let different = a
        .iter()
        .zip(b)
        .fold(0, |different, (a, b)| different | (a ^ b));
    a.len() == b.len() && different == 0
}

impl<B> Service<Request<B>> for Guard
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: std::fmt::Display + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !self.admits(&request) {
            return Box::pin(async { Ok(refused()) });
        }
        let inner = self.inner.clone();
        let is_json = is_json(&request);
        Box::pin(async move {
            let mut response = inner.handle(request).await;
            // The type of what was sent is right, so it is what was sent that cannot be read.
            if is_json && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
                *response.status_mut() = StatusCode::BAD_REQUEST;
            }
            Ok(response)
        })
    }
}

fn is_json<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}

fn refused() -> Response<Body> {
    let text = "give the token: Authorization: Bearer TOKEN\n";
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
