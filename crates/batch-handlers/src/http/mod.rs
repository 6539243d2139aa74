//! `http {method, url, headers, body, timeout, redirects}`: a request, and its answer as the result.
//!
//! - `request`: what the parameters ask for
//! - `client`: the connections, and the proxies on their way
//! - `pause`: for how long a server asks to be left alone
//! - `redirect`: where an answer sends it on, and what of it goes there
//! - `answer`: the result of what came back

mod answer;
mod client;
mod pause;
mod redirect;
mod request;

use std::collections::HashSet;
use std::error::Error as _;
use std::sync::OnceLock;
use std::time::Instant;

use async_trait::async_trait;
use batch_core::{Failure, FailureKind, Json, Output, catalog::ParamProblem};
use batch_process::shortage;
use batch_runtime::params::{Fields, is_placeholder};
use batch_runtime::{AttemptError, Handler, TaskContext};
use batch_template::{Encodings, Secrets, Segment, part};
use reqwest::header::AUTHORIZATION;
use reqwest::{Request, Response, StatusCode, Url};
use serde_json::Value;

use self::client::{Clients, host_of};
use self::request::{Asked, REDIRECTS_WANTED, check_header, parse_method, parse_url, redirects};

/// Sends requests over pools of connections, made at the first.
#[derive(Default)]
pub(crate) struct HttpHandler {
    clients: OnceLock<Clients>,
}

#[async_trait]
impl Handler for HttpHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let asked = Asked::of(&Fields::of(task).await?)?;
        let clients = self.clients()?;
        let what = clients.described(&asked.request);
        let host = host_of(asked.request.url());
        let takes_redirects = asked.redirects.is_none();
        let sent = send(clients, asked, &what, task.secrets()).await?;
        let Sent {
            url,
            response,
            secrets,
        } = sent;
        let (status, retry_after) = (response.status(), pause::retry_after(response.headers()));
        let output = Output::from_value(answer::read(&what, url, response, &secrets).await?);
        if status.is_success() || (takes_redirects && redirect::is_redirect(status)) {
            return Ok(output);
        }
        let kind = FailureKind::HttpStatus(status.as_u16());
        let mut failure = Failure::new(kind, format!("{what}: {status}")).with_output(output);
        failure.permanent = status.is_client_error() && !worth_a_retry(status);
        failure.retry_after = retry_after;
        failure.host = host.filter(|_| asks_for_pauses(status)).map(Into::into);
        let rules = &task.spec.options.retry;
        if rules.is_too_long(&failure) {
            let asked = retry_after.unwrap_or_default().as_secs();
            let most = rules.max_wait.as_secs_f64();
            failure.message += &format!(
                "; the server asks for a pause of {asked} s, longer than retry.max_wait ({most} s)"
            );
        }
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
        let mut seen: HashSet<String> = given_twice(params).into_iter().collect();
        for (name, value) in headers.into_iter().flatten() {
            if !seen.insert(name.to_ascii_lowercase()) {
                fields.problem(
                    format!("headers.{name}"),
                    format!("the header {name:?} is given twice; remove one of them"),
                );
            }
            if let Err(problem) = check_header(&name, &value) {
                fields.problem(format!("headers.{name}"), problem);
            }
        }
        fields.finish()
    }

    fn encodings(&self, params: &Json) -> Encodings {
        request::encodings(&params.to_value())
    }

    fn host(&self, params: &Json) -> Option<String> {
        let url = part(params, &[Segment::Field("url".to_owned())]).ok()?;
        let url: String = serde_json::from_str(url).ok()?;
        // What is filled in behind the host does not matter.
        let host = url.find("://").map_or(0, |at| at + 3);
        let end = url[host..].find(['/', '?', '#', '\\']);
        let end = end.map_or(url.len(), |at| host + at);
        host_of(&url[..end].parse().ok()?)
    }

    fn takes_variables(&self, path: &str) -> bool {
        let field = path.split(['.', '[']).next().unwrap_or_default();
        matches!(field, "url" | "headers" | "body")
    }
}

/// The header, in lower case, that the text of the parameters gives twice by the same name, if one is.
fn given_twice(params: &Json) -> Option<String> {
    let headers = part(params, &[Segment::Field("headers".to_owned())]).ok()?;
    let twice = Json::parse(headers).ok()?.given_twice()?;
    Some(twice.to_ascii_lowercase())
}

/// The answer to the last of the requests that were sent.
struct Sent {
    url: Url,
    response: Response,
    /// With what was made of the task's secrets on the way.
    secrets: Secrets,
}

impl HttpHandler {
    fn clients(&self) -> Result<&Clients, Failure> {
        if let Some(clients) = self.clients.get() {
            return Ok(clients);
        }
        let clients = Clients::new()?;
        Ok(self.clients.get_or_init(|| clients))
    }
}

/// Sends a request, and sends it on where the answers say so.
async fn send(
    clients: &Clients,
    asked: Asked,
    what: &str,
    secrets: &Secrets,
) -> Result<Sent, AttemptError> {
    let mut request = asked.request;
    clients.move_credentials(&mut request);
    let secrets = with_credentials(secrets, &request);
    // What is past the end of the clock is no limit.
    let until = asked
        .timeout
        .and_then(|timeout| Instant::now().checked_add(timeout));
    let lost = |why: String| Failure::error(format!("{what}: {why}")).permanent();
    let mut seen = vec![(request.method().clone(), request.url().clone())];
    loop {
        let response = clients.execute(&request, until).await;
        let response = response.map_err(|error| match shortage_of(&error) {
            // Only the first one has had no effect at any server.
            Some(what) if seen.len() == 1 => AttemptError::Busy(what),
            _ => failed(&clients.described(&request), &error).into(),
        })?;
        let next = match asked.redirects {
            None => None,
            Some(_) => redirect::next(&request, response.status(), response.headers(), &secrets)
                .map_err(lost)?,
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
            let help =
                "allow more with \"redirects\": N, or take the answer with \"redirects\": false";
            return Err(lost(format!("redirects more than {most} times; {help}")).into());
        }
        seen.push(place);
        request = next;
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

/// Of the client's errors, those that another attempt may fix.
fn worth_a_retry(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429)
}

/// Whether an answer of this status asks everybody to leave the host alone for the time that it names.
fn asks_for_pauses(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 503)
}

/// What the system is short of, where there is no connection for lack of it: the request has not even begun.
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
