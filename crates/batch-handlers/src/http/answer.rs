//! What came back: [`Answer`] and the result made of it.
//!
//! The result is put together as text. A body that is JSON is checked and put in as it came, and never made into a
//! tree: that would take up to ninety times as much memory.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use batch_core::{Failure, FailureKind, Json};
use batch_runtime::offload;
use batch_template::{Secrets, shown_url};
use encoding_rs::{Encoding, UTF_8};
use reqwest::header::{CONTENT_TYPE, HeaderMap, SET_COOKIE};
use reqwest::{Response, StatusCode, Url};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::failed;

/// The longest body that is taken; it is held in memory.
pub(super) const MAX_BODY: usize = 64 * 1024 * 1024;

/// An answer that has arrived.
struct Answer {
    status: StatusCode,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Reads an answer to its end: `{"status", "url", "headers", "body"}`.
pub(super) async fn read(
    what: &str,
    url: Url,
    mut response: Response,
    secrets: &Secrets,
) -> Result<Json, Failure> {
    let told = response.content_length().unwrap_or_default();
    let mut body = Vec::with_capacity(usize::try_from(told).unwrap_or(MAX_BODY).min(MAX_BODY));
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
    let answer = Answer {
        status: response.status(),
        url,
        headers: std::mem::take(response.headers_mut()),
        body,
    };
    let secrets = secrets.clone();
    Ok(offload(answer.body.len(), move || answer.into_result(&secrets)).await)
}

impl Answer {
    /// The result. Secrets are masked in the body here, before it is encoded in any way.
    fn into_result(self, secrets: &Secrets) -> Json {
        let head = format!(
            "{{\"status\":{},\"url\":{},\"headers\":{},\"body\":",
            self.status.as_u16(),
            Value::from(shown_url(self.url.as_str())),
            Value::from(headers(&self.headers)),
        );
        match decoded(&self.headers, &self.body) {
            Some(text) if says_json(&self.headers) => {
                with_document(head, &secrets.mask_json(&text))
            }
            Some(text) => with_text(head, &secrets.mask(&text), ""),
            None => {
                let bytes = secrets.mask_bytes(&self.body);
                let encoded = format!(",\"body_base64\":\"{}\"", BASE64.encode(&bytes));
                with_text(head, &String::from_utf8_lossy(&bytes), &encoded)
            }
        }
    }
}

/// A body that calls itself JSON, as it came; as text when it is none. It is looked at by itself first: together with
/// the head, `1,"status":200` would pass for a document as well.
fn with_document(head: String, body: &str) -> Json {
    if serde_json::from_str::<IgnoredAny>(body).is_err() {
        return with_text(head, body, "");
    }
    let mut text = String::with_capacity(head.len() + body.len() + 1);
    text.push_str(&head);
    text.push_str(body);
    text.push('}');
    Json::compact(text).unwrap_or_else(|_| with_text(head, body, ""))
}

fn with_text(head: String, body: &str, rest: &str) -> Json {
    let body = serde_json::to_string(body).expect("a text is JSON");
    let text = head + &body + rest + "}";
    Json::compact(text).expect("its parts are JSON")
}

/// The body as text, in the encoding that the answer names or the body begins with, else as UTF-8; without a byte order
/// mark.
fn decoded<'b>(headers: &HeaderMap, body: &'b [u8]) -> Option<Cow<'b, str>> {
    let named = charset(headers).and_then(|label| Encoding::for_label(label.as_bytes()));
    let marked = Encoding::for_bom(body).map(|(encoding, _)| encoding);
    let (text, _, has_errors) = named.or(marked).unwrap_or(UTF_8).decode(body);
    (!has_errors).then_some(text)
}

/// The `charset` of the type of an answer.
fn charset(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    kind.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"'))
    })
}

/// The headers by name; the values of one that comes several times are joined, but those of `Set-Cookie`, which hold
/// commas.
fn headers(map: &HeaderMap) -> Map<String, Value> {
    let mut headers = Map::new();
    for name in map.keys() {
        let values = map.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let value = match *name == SET_COOKIE && values.len() > 1 {
            true => values.into_iter().map(Cow::into_owned).collect(),
            false => Value::from(values.join(", ")),
        };
        headers.insert(name.to_string(), value);
    }
    headers
}

fn says_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}
