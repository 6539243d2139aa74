//! `http {method, url, headers, body, timeout}`: a request, and its answer as the result.

use std::error::Error as _;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use batch_core::{Failure, FailureKind, Json, Output, ParamProblem};
use batch_process::shortage;
use batch_runtime::{AttemptError, Handler, TaskContext};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, Response, StatusCode, Url};
use serde_json::{Map, Value, json};

use crate::check::{Fields, is_placeholder, kind};
use crate::params::{Params, bad_params, duration};

/// The longest body that is taken; it is held in memory.
const MAX_BODY: usize = 64 * 1024 * 1024;

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
        let mut request = request(&Params::of(task)?)?;
        let what = described(&request);
        let client = self.client()?;
        move_credentials(client, &mut request);
        let response = client.execute(request).await;
        let response = response.map_err(|error| not_sent(&what, &error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let output = Output::from_value(answer(&what, response).await?);
        if status.is_success() {
            return Ok(output);
        }
        let kind = FailureKind::HttpStatus(status.as_u16());
        let mut failure = Failure::new(kind, format!("{what}: {status}")).with_output(output);
        failure.permanent = status.is_client_error() && !worth_a_retry(status);
        failure.retry_after = retry_after;
        Err(failure.into())
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let mut fields = Fields::of(params, &["method", "url", "headers", "body", "timeout"]);
        fields.require("url", "a text", Value::is_string);
        fields.check("method", "a text", Value::is_string);
        fields.check("headers", "an object of texts", Value::is_object);
        let wanted = "seconds or a text such as \"1m30s\"";
        fields.check("timeout", wanted, |value| duration(value).is_some());
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
}

impl HttpHandler {
    fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Another part of the program may have chosen its cryptography already; that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("bex/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| Failure::error(format!("cannot set up HTTP: {error}")))?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Checks a text that is there and will not be filled in later.
fn check_text(fields: &mut Fields, name: &str, check: impl Fn(&str) -> Result<(), String>) {
    let value = fields.get(name).filter(|value| !is_placeholder(value));
    if let Some(Err(problem)) = value.and_then(Value::as_str).map(check) {
        fields.problem(name, problem);
    }
}

fn check_header(name: &str, value: &Value) -> Result<(), String> {
    match value {
        _ if is_placeholder(value) => parse_header(name, "").map(drop),
        Value::String(text) => parse_header(name, text).map(drop),
        other => Err(format!("must be a text, not {}", kind(other))),
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let help = "write it as https://example.org/path";
    let url =
        Url::parse(text).map_err(|error| format!("{text:?} is not a URL ({error}); {help}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("{other:?} is not supported; {help}")),
    }
}

fn parse_method(text: &str) -> Result<Method, String> {
    Method::from_bytes(text.to_uppercase().as_bytes())
        .map_err(|_| format!("{text:?} is not a method such as GET or POST"))
}

fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let bad_name = |_| format!("{name:?} cannot be the name of a header");
    // The value may be a secret, so it is not shown.
    let bad_value = |_| format!("the header {name:?} has a value that cannot be sent");
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(bad_value)?;
    Ok((
        HeaderName::from_bytes(name.as_bytes()).map_err(bad_name)?,
        value,
    ))
}

fn request(params: &Params) -> Result<Request, Failure> {
    let bad = |name: &str| {
        let name = name.to_owned();
        move |problem| bad_params(format!("params.{name}: {problem}"))
    };
    let url = parse_url(&params.required_text("url")?).map_err(bad("url"))?;
    let method = params.text("method")?.unwrap_or_else(|| "GET".to_owned());
    let method = parse_method(&method).map_err(bad("method"))?;
    let mut request = Request::new(method, url);
    for (name, value) in params.pairs("headers")? {
        let (name, value) = parse_header(&name, &value).map_err(bad("headers"))?;
        request.headers_mut().insert(name, value);
    }
    match params.get("body") {
        None => {}
        Some(Value::String(text)) => *request.body_mut() = Some(text.clone().into()),
        Some(body) => {
            *request.body_mut() = Some(body.to_string().into());
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().entry(CONTENT_TYPE).or_insert(json);
        }
    }
    *request.timeout_mut() = params.duration("timeout")?;
    Ok(request)
}

/// Sends a name and a password of the URL in the header that they are meant for, unless one is given.
fn move_credentials(client: &Client, request: &mut Request) {
    let url = request.url();
    if url.username().is_empty() && url.password().is_none() {
        return;
    }
    // A builder of requests does just that.
    if let Ok(built) = client.get(url.clone()).build() {
        *request.url_mut() = built.url().clone();
        for (name, value) in built.headers() {
            request
                .headers_mut()
                .entry(name)
                .or_insert_with(|| value.clone());
        }
    }
}

/// The request for messages: without the parts of the URL that may be secret.
fn described(request: &Request) -> String {
    let mut url = request.url().clone();
    url.set_query(None);
    url.set_fragment(None);
    // These fail on URLs without a host only, and `http` ones have one.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    format!("{} {url}", request.method())
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

/// A request that brought no answer. Where there is no connection for want of something, it has not even begun.
fn not_sent(what: &str, error: &reqwest::Error) -> AttemptError {
    let mut cause = error.source().filter(|_| error.is_connect());
    while let Some(error) = cause {
        if let Some(what) = error.downcast_ref().and_then(shortage) {
            return AttemptError::Busy(what);
        }
        cause = error.source();
    }
    failed(what, error).into()
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
    failure.permanent = error.is_redirect() || error.is_builder();
    failure
}

/// The answer as `{"status", "headers", "body"}`.
async fn answer(what: &str, mut response: Response) -> Result<Json, Failure> {
    let status = response.status().as_u16();
    let headers = headers(response.headers());
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(says_json);
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| failed(what, &error))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            let message = format!(
                "{what}: the answer is longer than {MAX_BODY} bytes; \
                 fetch it with a command into a file"
            );
            return Err(Failure::new(FailureKind::OutputError, message).permanent());
        }
    }
    let mut result = json!({"status": status, "headers": headers});
    match String::from_utf8(body) {
        Ok(text) => result["body"] = parsed(text, is_json),
        Err(error) => {
            result["body"] = String::from_utf8_lossy(error.as_bytes()).into();
            result["body_base64"] = BASE64.encode(error.as_bytes()).into();
        }
    }
    Ok(Json::from(result))
}

/// The headers by name; the values of one that comes several times are joined.
fn headers(map: &HeaderMap) -> Map<String, Value> {
    let mut headers = Map::new();
    for name in map.keys() {
        let values = map.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        headers.insert(name.to_string(), values.join(", ").into());
    }
    headers
}

/// A body that calls itself JSON, as a value; as text when it is none.
fn parsed(text: String, is_json: bool) -> Value {
    let value = is_json.then(|| serde_json::from_str(&text).ok());
    value.flatten().unwrap_or(Value::String(text))
}

fn says_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}
