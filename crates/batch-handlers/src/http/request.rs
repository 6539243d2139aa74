//! The request that the parameters ask for: [`Asked`], and the checks of its parts.

use std::time::Duration;

use batch_core::{Json, catalog::ParamProblem};
use batch_runtime::params::{Fields, is_placeholder};
use batch_template::shown_url;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Url};
use serde_json::Value;

/// How many redirects are followed where the parameters do not say.
const REDIRECTS: u32 = 10;

/// The most that they may say.
const MOST_REDIRECTS: u32 = 50;

/// What is to be sent, and how long an answer is waited for.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) timeout: Option<Duration>,
    /// How many redirects are followed; `None` where a redirect is itself the answer.
    pub(super) redirects: Option<u32>,
}

impl Asked {
    pub(super) fn of(params: &Fields) -> Result<Self, ParamProblem> {
        let redirects = params.read("redirects", REDIRECTS_WANTED, redirects)?;
        Ok(Self {
            request: request(params)?,
            timeout: params.duration("timeout")?,
            redirects: redirects.unwrap_or(Some(REDIRECTS)),
        })
    }
}

/// What `redirects` takes.
pub(super) const REDIRECTS_WANTED: &str = "false or a whole number up to 50";

/// A number of redirects that are followed, `Some(None)` for those that follow none.
pub(super) fn redirects(value: &Value) -> Option<Option<u32>> {
    match value {
        Value::Bool(false) => Some(None),
        value => {
            let number = u32::try_from(value.as_u64()?).ok()?;
            (number <= MOST_REDIRECTS).then_some((number > 0).then_some(number))
        }
    }
}

pub(super) fn check_header(name: &str, value: &Value) -> Result<(), String> {
    match value {
        _ if is_placeholder(value) => parse_header(name, "").map(drop),
        Value::String(text) => parse_header(name, text).map(drop),
        other => Err(format!("must be a text, not {}", Json::type_name(other))),
    }
}

pub(super) fn parse_url(text: &str) -> Result<Url, String> {
    let help = "write it as https://example.org/path";
    // What was filled in may be a secret, and a line break in it is left out in silence.
    if text.contains(char::is_control) {
        return Err(format!(
            "it holds a line break or another control character; {help}"
        ));
    }
    let shown = shown_url(text);
    let url =
        Url::parse(text).map_err(|error| format!("{shown:?} is not a URL ({error}); {help}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("{other:?} is not supported; {help}")),
    }
}

pub(super) fn parse_method(text: &str) -> Result<Method, String> {
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

fn request(params: &Fields) -> Result<Request, ParamProblem> {
    let bad = |name: &'static str| move |problem: String| ParamProblem::new(name, problem);
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
    Ok(request)
}

/// Sends a name and a password of the URL in the header that they are meant for, unless one is given.
pub(super) fn move_credentials(client: &Client, request: &mut Request) {
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
pub(super) fn described(request: &Request) -> String {
    format!("{} {}", request.method(), without_secrets(request.url()))
}

pub(super) fn without_secrets(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // These fail on URLs without a host only, and `http` ones have one.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}
