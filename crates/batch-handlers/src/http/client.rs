//! The connections: [`Clients`], and what is said of a request in messages.

use std::collections::HashSet;
use std::env;
use std::error::Error;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use batch_core::Failure;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::{CONTENT_LENGTH, HOST, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Request, Response, Url};

use super::request::{move_credentials, without_secrets};

/// How long making a connection may take. The answer may take as long as the task.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a request is sent once more after the server closed the connection that it kept. Others that it kept may be
/// closed as well.
const SENT_AGAIN: usize = 3;

/// Pools of connections, and who is reached through which proxy.
pub(super) struct Clients {
    any: Client,
    /// For requests with a `Host` of their own: in HTTP/2 that comes from the URL.
    http1: Client,
    proxies: Matcher,
    /// The hosts that have answered, so that connections to them may be kept.
    answered: Mutex<HashSet<String>>,
}

impl Clients {
    /// # Errors
    /// When a variable names a proxy that cannot be used.
    pub(super) fn new() -> Result<Self, Failure> {
        // Another part of the program may have chosen its cryptography already; that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        check_proxies()?;
        let builder = || {
            Client::builder()
                .user_agent(concat!("bex/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(Policy::none())
                .referer(false)
        };
        let bad = |error| Failure::error(format!("cannot set up HTTP: {error}"));
        Ok(Self {
            any: builder().build().map_err(bad)?,
            http1: builder().http1_only().build().map_err(bad)?,
            proxies: Matcher::from_env(),
            answered: Mutex::default(),
        })
    }

    /// Sends a request; once more where that can do no harm and a kept connection turned out to be closed.
    pub(super) async fn execute(
        &self,
        request: &Request,
        until: Option<Instant>,
    ) -> Result<Response, reqwest::Error> {
        let client = match request.headers().contains_key(HOST) {
            true => &self.http1,
            false => &self.any,
        };
        let host = host_of(request.url()).unwrap_or_default();
        let may_be_kept = self.lock().contains(&host) && request.method().is_idempotent();
        let mut again = if may_be_kept { SENT_AGAIN } else { 0 };
        loop {
            match client.execute(copy(request, until)).await {
                Err(error) if again > 0 && is_closed(&error) => again -= 1,
                Err(error) => return Err(error),
                Ok(response) => {
                    self.lock().insert(host);
                    return Ok(response);
                }
            }
        }
    }

    /// Moves a name and a password of the URL to where they are sent.
    pub(super) fn move_credentials(&self, request: &mut Request) {
        move_credentials(&self.any, request);
    }

    /// The request for messages: without the parts of the URL that may be secret, and with the proxy on its way.
    pub(super) fn described(&self, request: &Request) -> String {
        let url = without_secrets(request.url());
        let target = url.as_str().parse().ok();
        let proxy = target.and_then(|target| self.proxies.intercept(&target));
        let through = proxy.map(|proxy| {
            let proxy = proxy.uri().to_string();
            format!(" through the proxy {}", proxy.trim_end_matches('/'))
        });
        format!("{} {url}{}", request.method(), through.unwrap_or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host and port that a URL leads to.
pub(super) fn host_of(url: &Url) -> Option<String> {
    Some(format!(
        "{}:{}",
        url.host_str()?,
        url.port_or_known_default()?
    ))
}

fn copy(request: &Request, until: Option<Instant>) -> Request {
    let mut copy = request
        .try_clone()
        .expect("a body that is held in memory can be sent again");
    *copy.timeout_mut() = until.map(|until| until.saturating_duration_since(Instant::now()));
    let has_length = [Method::POST, Method::PUT, Method::PATCH].contains(copy.method());
    if has_length && copy.body().is_none() {
        // Servers wait for a body that is not announced, or refuse the request.
        let none = HeaderValue::from_static("0");
        copy.headers_mut().insert(CONTENT_LENGTH, none);
    }
    copy
}

/// Whether the server closed the connection before it answered.
fn is_closed(error: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    !error.is_connect()
        && causes.any(|cause| {
            let closed =
                |error: &hyper::Error| error.is_incomplete_message() || error.is_canceled();
            let reset = |error: &io::Error| {
                use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
                matches!(
                    error.kind(),
                    BrokenPipe | ConnectionAborted | ConnectionReset
                )
            };
            cause.downcast_ref().is_some_and(closed) || cause.downcast_ref().is_some_and(reset)
        })
}

/// Refuses variables that name a proxy which cannot be used: the request would go to the server directly.
fn check_proxies() -> Result<(), Failure> {
    // As for the client, the first one counts, and none does in a CGI script.
    let pairs = [
        ["ALL_PROXY", "all_proxy"],
        ["HTTP_PROXY", "http_proxy"],
        ["HTTPS_PROXY", "https_proxy"],
    ];
    if env::var_os("REQUEST_METHOD").is_some() {
        return Ok(());
    }
    for names in pairs {
        let given = names
            .into_iter()
            .find_map(|name| Some((name, env::var_os(name)?)));
        let Some((name, value)) = given else { continue };
        if !value.is_empty() && !value.to_str().is_some_and(is_proxy) {
            let message = format!(
                "the variable {name} is not the address of a proxy such as http://proxy:3128; fix or unset it"
            );
            return Err(Failure::error(message).permanent());
        }
    }
    Ok(())
}

fn is_proxy(address: &str) -> bool {
    let proxies = Matcher::builder().all(address).build();
    let any = "http://h/".parse().ok();
    let proxy = any.and_then(|any| proxies.intercept(&any));
    // Of other kinds, as SOCKS, there is no support.
    proxy.is_some_and(|proxy| matches!(proxy.uri().scheme_str(), Some("http" | "https")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies_are_told_from_others() {
        for address in ["http://p:3128", "https://me:pw@p", "p:3128", "p"] {
            assert!(is_proxy(address), "{address}");
        }
        for address in ["socks5://p:1080", "http://", "http:// p", "://", "ftp://p"] {
            assert!(!is_proxy(address), "{address}");
        }
    }
}
