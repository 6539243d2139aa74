//! `http {method, url, headers, body, timeout}`: a request, and its answer as the result.

use std::error::Error as _;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use batch_core::{
    Failure, FailureKind, Json, Output, ParamProblem, duration_from_seconds, parse_duration,
};
use batch_runtime::{AttemptError, Handler, TaskContext};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, Response, StatusCode, Url};
use serde_json::{Map, Value, json};

use crate::check::Fields;

/// The longest body that is taken; it is held in memory.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Sends requests over one pool of connections, made at the first.
#[derive(Default)]
pub(crate) struct HttpHandler {
    client: OnceLock<Client>,
}

#[async_trait]
impl Handler for HttpHandler {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let params: Value = task.params()?;
        let request = request(&params)
            .map_err(|problem| Failure::new(FailureKind::InputError, problem).permanent())?;
        let response = self
            .client()?
            .execute(request)
            .await
            .map_err(|error| failed(&error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let output = Output::from_value(answer(response).await?);
        if status.is_success() {
            return Ok(output);
        }
        let mut failure = Failure::new(
            FailureKind::HttpStatus(status.as_u16()),
            format!("http status {status}"),
        )
        .with_output(output);
        failure.permanent = status.is_client_error() && !worth_a_retry(status);
        failure.retry_after = retry_after;
        Err(failure.into())
    }

    fn check(&self, params: &Json) -> Result<(), Vec<ParamProblem>> {
        let mut fields = Fields::of(params, &["method", "url", "headers", "body", "timeout"]);
        fields.require("url", "a text", Value::is_string);
        fields.check("method", "a text", Value::is_string);
        fields.check("headers", "an object of texts", Value::is_object);
        fields.check("timeout", "seconds or a text such as \"1m30s\"", |value| {
            duration(value).is_some()
        });
        let url = fields
            .get("url")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if !url.is_empty()
            && !url.contains("{{")
            && let Err(problem) = parse_url(&url)
        {
            fields.problem("url", problem);
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
            .connect_timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| Failure::error(format!("cannot set up HTTP: {error}")))?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!(
            "{other:?} is not supported; write http:// or https://"
        )),
    }
}

fn request(params: &Value) -> Result<Request, String> {
    let url = parse_url(
        params
            .get("url")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    )?;
    let method = params
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or("GET")
        .to_uppercase();
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| format!("{method:?} is not a method"))?;
    let mut request = Request::new(method, url);
    for (name, value) in params
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{name:?} is not a header name"))?;
        // The value may be a secret, so it is not shown.
        let value = HeaderValue::from_str(&text)
            .map_err(|_| format!("the header {name} has a value that cannot be sent"))?;
        request.headers_mut().insert(name, value);
    }
    match params.get("body").filter(|body| !body.is_null()) {
        None => {}
        Some(Value::String(text)) => *request.body_mut() = Some(text.clone().into()),
        Some(body) => {
            *request.body_mut() = Some(body.to_string().into());
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().entry(CONTENT_TYPE).or_insert(json);
        }
    }
    *request.timeout_mut() = params.get("timeout").and_then(duration);
    Ok(request)
}

fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => parse_duration(text).ok(),
        value => duration_from_seconds(value.as_f64()?),
    }
}

/// Of the client's errors, those that another attempt may mend.
fn worth_a_retry(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429)
}

/// The pause the server asks for, where it says so in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

fn failed(error: &reqwest::Error) -> Failure {
    let kind = if error.is_timeout() {
        FailureKind::Timeout
    } else {
        FailureKind::Error
    };
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    Failure::new(kind, message)
}

/// The answer as `{"status", "headers", "body"}`.
async fn answer(mut response: Response) -> Result<Json, Failure> {
    let status = response.status().as_u16();
    let mut headers = Map::new();
    for (name, value) in response.headers() {
        headers.insert(
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into(),
        );
    }
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(says_json);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            let message = format!(
                "the answer is longer than {MAX_BODY} bytes; fetch it with a command into a file"
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

fn parsed(text: String, is_json: bool) -> Value {
    let value = is_json.then(|| Json::parse(&text).ok()).flatten();
    value.map_or(Value::String(text), |json| json.to_value())
}

fn says_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}
