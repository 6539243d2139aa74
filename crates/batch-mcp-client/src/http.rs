//! A server that is reached over HTTP: [`transport`].

use std::collections::HashMap;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

use crate::config::{MissingVariable, Template, parse_header, parse_url};

/// The longest message in bytes; it is held in memory, as a tree that can take eighty times as much.
pub(crate) const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// How long making a connection may take. The answer may take as long as the call.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that moves its endpoint does so once, by a slash at the end.
const MAX_REDIRECTS: usize = 3;

/// Why there is no transport.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error(transparent)]
    Variable(#[from] MissingVariable),
    #[error("{0}")]
    Wrong(String),
    #[error("cannot set up HTTP: {0}")]
    Client(reqwest::Error),
}

/// The way to a server, over a client of its own. Nothing is sent yet.
pub(crate) fn transport(
    url: &Template,
    headers: &[(String, Template)],
    max_concurrent: usize,
) -> Result<StreamableHttpClientTransport<Client>, HttpError> {
    let variable = |name: &str| std::env::var(name).ok();
    let url = url.fill(variable)?;
    parse_url(&url).map_err(|problem| HttpError::Wrong(format!("its url {problem}")))?;
    let mut filled = HashMap::new();
    for (name, value) in headers {
        let value = value.fill(variable)?;
        let (name, value) = parse_header(name, &value)
            .map_err(|problem| HttpError::Wrong(format!("the header {name:?} {problem}")))?;
        filled.insert(name, value);
    }
    // Another part of the program may have chosen its cryptography already; that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .user_agent(concat!("bex/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(Policy::custom(|attempt| {
            if stays(&attempt) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }))
        .build()
        .map_err(HttpError::Client)?;
    let config = StreamableHttpClientTransportConfig::with_uri(url)
        .custom_headers(filled)
        .max_concurrent_requests(max_concurrent)
        .max_sse_event_size(MAX_MESSAGE)
        .max_json_response_size(MAX_MESSAGE);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// Whether a redirect leads to the same server: the headers may hold secrets that are not for others.
fn stays(attempt: &Attempt<'_>) -> bool {
    let origin = |url: &Url| url.origin();
    attempt.previous().len() <= MAX_REDIRECTS
        && attempt
            .previous()
            .iter()
            .all(|from| origin(from) == origin(attempt.url()))
}
