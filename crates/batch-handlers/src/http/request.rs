//! The request that the parameters ask for: [`Asked`], and the checks of its parts.

use std::time::Duration;

use batch_core::{Json, catalog::ParamProblem};
use batch_runtime::params::{Fields, is_placeholder};
use batch_template::{Datum, Encoding, Encodings, Filter, Segment, shown_url};
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
    if ["content-length", "transfer-encoding"].contains(&&*name.to_ascii_lowercase()) {
        return Err(format!(
            "the header {name:?} follows from the body; leave it out"
        ));
    }
    // The value may be a secret, so it is not shown.
    let bad_value = |_| match value.trim_end().contains(char::is_control) {
        false if value.ends_with(char::is_control) => {
            format!(
                "the header {name:?} has a line break at its end; add | trim to the placeholder"
            )
        }
        _ => format!("the header {name:?} has a value that cannot be sent"),
    };
    Ok((
        HeaderName::from_bytes(name.as_bytes()).map_err(bad_name)?,
        HeaderValue::from_bytes(value.as_bytes()).map_err(bad_value)?,
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
        Some(_) => {
            let body = params.json("body").unwrap_or_else(Json::null);
            let is_form = content_type(&request).is_some_and(|kind| kind == FORM);
            let text = match is_form {
                true => form(body).map_err(bad("body"))?,
                false => body.as_str().to_owned(),
            };
            *request.body_mut() = Some(text.into());
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().entry(CONTENT_TYPE).or_insert(json);
        }
    }
    Ok(request)
}

/// How values are written at the places of the parameters.
pub(super) fn encodings(params: &Value) -> Encodings {
    let headers = params.get("headers").and_then(Value::as_object);
    let mut found = Encodings::text()
        .with("url", Encoding::Url)
        .with("headers", Encoding::Header);
    let mut kind = None;
    for (name, value) in headers.into_iter().flatten() {
        if name.eq_ignore_ascii_case("cookie") {
            let place = format!("headers{}", Segment::Field(name.clone()));
            found = found.with(place, Encoding::Cookie);
        }
        if name.eq_ignore_ascii_case("content-type") {
            kind = value.as_str();
        }
    }
    found.with_body("body", kind, params)
}

/// The type of a body whose fields are sent as `a=1&b=2`.
const FORM: &str = "application/x-www-form-urlencoded";

/// The type of the body without its parameters, in lower case.
fn content_type(request: &Request) -> Option<String> {
    let kind = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default();
    Some(kind.trim().to_ascii_lowercase())
}

/// The fields of an object as a form; those of a list one by one.
fn form(body: Json) -> Result<String, String> {
    let wanted = "a form takes an object of texts, numbers, and lists of these";
    let fields = Datum::Json(body).fields().ok_or(wanted)?;
    let escape = |value: Datum| {
        Filter::Url
            .apply(value)
            .map(|text| text.plain_text().to_owned())
    };
    let mut pairs = Vec::new();
    for (name, value) in fields {
        let name = escape(name.into())?;
        for value in value.elements().unwrap_or_else(|| vec![value]) {
            if value.elements().is_some() || value.fields().is_some() {
                return Err(wanted.to_owned());
            }
            pairs.push(format!("{name}={}", escape(value)?));
        }
    }
    Ok(pairs.join("&"))
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

pub(super) fn without_secrets(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // These fail on URLs without a host only, and `http` ones have one.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}
