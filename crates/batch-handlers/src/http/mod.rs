//! `http {method, url, headers, body, timeout, redirects}`: a request, and its answer as the result.
//!
//! - `request`: what the parameters ask for
//! - `redirect`: where an answer sends it on, and what of it goes there
//! - `answer`: the result of what came back

mod answer;
mod redirect;
mod request;

use std::error::Error as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use batch_core::{Failure, FailureKind, Json, Output, catalog::ParamProblem};
use batch_process::shortage;
use batch_runtime::params::{Fields, is_placeholder};
use batch_runtime::{AttemptError, Handler, TaskContext};
use batch_template::Secrets;
use reqwest::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Request, Response, StatusCode, Url};
use serde_json::Value;

use self::request::{
    Asked, REDIRECTS_WANTED, check_header, described, move_credentials, parse_method, parse_url,
    redirects,
};

/// How long making a connection may take. The answer may take as long as the task.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends requests over one pool of connections, made at the first.
#[derive(Default)]
pub(crate) struct HttpHandler {
    client: OnceLock<Client>,
}

#[async_trait]
impl Handler for HttpHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let asked = Asked::of(&Fields::of(task).await?)?;
        let what = described(&asked.request);
        let takes_redirects = asked.redirects.is_none();
        let sent = self.send(asked, &what, task.secrets()).await?;
        let Sent {
            url,
            response,
            secrets,
        } = sent;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let output = Output::from_value(answer::read(&what, url, response, &secrets).await?);
        if status.is_success() || (takes_redirects && redirect::is_redirect(status)) {
            return Ok(output);
        }
        let kind = FailureKind::HttpStatus(status.as_u16());
        let mut failure = Failure::new(kind, format!("{what}: {status}")).with_output(output);
        failure.permanent = status.is_client_error() && !worth_a_retry(status);
        failure.retry_after = retry_after;
        Err(failure.into())
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let known = ["method", "url", "headers", "body", "timeout", "redirects"];
        let mut fields = Fields::unfilled(params, &known);
        fields.require("url", "a text", Value::is_string);
        fields.check("method", "a text", Value::is_string);
        fields.check("headers", "an object of texts", Value::is_object);
        fields.check_duration("timeout");
        fields.check("redirects", REDIRECTS_WANTED, |value| {
            redirects(value).is_some()
        });
        check_text(&mut fields, "url", |url| parse_url(url).map(drop));
        check_text(&mut fields, "method", |method| {
            parse_method(method).map(drop)
        });
        let headers = fields.get("headers").and_then(Value::as_object).cloned();
        for (name, value) in headers.into_iter().flatten() {
            if let Err(problem) = check_header(&name, &value) {
                fields.problem(format!("headers.{name}"), problem);
            }
        }
        fields.finish()
    }

    fn takes_variables(&self, path: &str) -> bool {
        let field = path.split(['.', '[']).next().unwrap_or_default();
        matches!(field, "url" | "headers" | "body")
    }
}

/// The answer to the last of the requests that were sent.
struct Sent {
    url: Url,
    response: Response,
    /// With what was made of the task's secrets on the way.
    secrets: Secrets,
}

impl HttpHandler {
    /// Sends a request, and sends it on where the answers say so.
    async fn send(
        &self,
        asked: Asked,
        what: &str,
        secrets: &Secrets,
    ) -> Result<Sent, AttemptError> {
        let client = self.client()?;
        let mut request = asked.request;
        move_credentials(client, &mut request);
        let secrets = with_credentials(secrets, &request);
        // What is past the end of the clock is no limit.
        let until = asked
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let lost = |why: String| Failure::error(format!("{what}: {why}")).permanent();
        let mut seen = vec![(request.method().clone(), request.url().clone())];
        loop {
            *request.timeout_mut() =
                until.map(|until| until.saturating_duration_since(Instant::now()));
            let again = request
                .try_clone()
                .expect("a body that is held in memory can be sent again");
            let response = client.execute(again).await;
            let response = response.map_err(|error| match shortage_of(&error) {
                // Only the first one has had no effect at any server.
                Some(what) if seen.len() == 1 => AttemptError::Busy(what),
                _ => failed(&described(&request), &error).into(),
            })?;
            let next = match asked.redirects {
                None => None,
                Some(_) => {
                    redirect::next(&request, response.status(), response.headers(), &secrets)
                        .map_err(lost)?
                }
            };
            let Some(next) = next else {
                return Ok(Sent {
                    url: request.url().clone(),
                    response,
                    secrets,
                });
            };
            let place = (next.method().clone(), next.url().clone());
            if seen.contains(&place) {
                return Err(lost("redirects in a circle".to_owned()).into());
            }
            if seen.len() > asked.redirects.unwrap_or_default() as usize {
                let most = seen.len() - 1;
                let help = "allow more with \"redirects\": N, or take the answer with \"redirects\": false";
                return Err(lost(format!("redirects more than {most} times; {help}")).into());
            }
            seen.push(place);
            request = next;
        }
    }

    fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Another part of the program may have chosen its cryptography already; that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("bex/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .referer(false)
            .build()
            .map_err(|error| Failure::error(format!("cannot set up HTTP: {error}")))?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Secrets that are sent as name and password look different: they are encoded together.
fn with_credentials(secrets: &Secrets, request: &Request) -> Secrets {
    let sent = request.headers().get(AUTHORIZATION);
    let sent = sent.and_then(|value| value.to_str().ok());
    match sent.and_then(|value| value.strip_prefix("Basic ")) {
        Some(encoded) if !secrets.is_empty() => secrets.with(encoded),
        _ => secrets.clone(),
    }
}

/// Checks a text that is there and will not be filled in later.
fn check_text(fields: &mut Fields, name: &str, check: impl Fn(&str) -> Result<(), String>) {
    let value = fields.get(name).filter(|value| !is_placeholder(value));
    if let Some(Err(problem)) = value.and_then(Value::as_str).map(check) {
        fields.problem(name, problem);
    }
}

/// Of the client's errors, those that another attempt may mend.
fn worth_a_retry(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429)
}

/// The pause the server asks for, as seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    // A date that has passed asks for no pause.
    Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

/// What the system is short of, where there is no connection for want of it: the request has not even begun.
fn shortage_of(error: &reqwest::Error) -> Option<String> {
    let first = error.source().filter(|_| error.is_connect());
    let mut causes = std::iter::successors(first, |cause| (*cause).source());
    causes.find_map(|cause| cause.downcast_ref().and_then(shortage))
}

fn failed(what: &str, error: &reqwest::Error) -> Failure {
    let kind = if error.is_timeout() {
        FailureKind::Timeout
    } else {
        FailureKind::Error
    };
    // The error's own text repeats the whole URL; what happened is told by its causes.
    let mut message = what.to_owned();
    let mut cause = error.source();
    if cause.is_none() {
        message = format!("{message}: {error}");
    }
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    let mut failure = Failure::new(kind, message);
    failure.permanent = error.is_builder();
    failure
}
