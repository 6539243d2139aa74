//! Where an answer sends a request on: [`next`], and what of the request may go there.
//!
//! The client follows no redirects by itself: it would tell the next server the address of the last one, with its
//! query, and send headers and the body to the one who is named.

use batch_template::Secrets;
use reqwest::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, PRAGMA, RANGE,
    TRANSFER_ENCODING, USER_AGENT,
};
use reqwest::{Method, Request, StatusCode, Url};

use super::request::without_secrets;

/// What another server may see of a request: all other headers may hold something that is not for it.
const FOR_ANYONE: [HeaderName; 8] = [
    ACCEPT,
    ACCEPT_CHARSET,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    CACHE_CONTROL,
    PRAGMA,
    RANGE,
    USER_AGENT,
];

/// What goes away with the body.
const OF_BODY: [HeaderName; 5] = [
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    TRANSFER_ENCODING,
];

/// Whether an answer of this status is to be asked for elsewhere.
pub(super) const fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The request that an answer sends on to; `None` when it does not.
///
/// As browsers do it, 303, and 301 and 302 after a POST, ask for the new place with GET; other methods and their bodies stay.
/// At another origin (scheme, host and port) only headers that are for anyone arrive, and no body.
///
/// # Errors
/// In words, why the request does not go there.
pub(super) fn next(
    sent: &Request,
    status: StatusCode,
    headers: &HeaderMap,
    secrets: &Secrets,
) -> Result<Option<Request>, String> {
    let Some(location) = headers.get(LOCATION).filter(|_| is_redirect(status)) else {
        return Ok(None);
    };
    let becomes_get = match status {
        StatusCode::SEE_OTHER => *sent.method() != Method::HEAD,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
        _ => *sent.method() == Method::POST,
    };
    let url = place(sent.url(), location.as_bytes())?;
    let mut request = sent
        .try_clone()
        .expect("a body that is held in memory can be sent again");
    if becomes_get {
        *request.method_mut() = Method::GET;
        drop_body(&mut request);
    }
    if url.origin() != sent.url().origin() {
        drop_body(&mut request);
        keep_for_anyone(request.headers_mut(), secrets);
    }
    *request.url_mut() = url;
    Ok(Some(request))
}

/// The place that a `Location` names.
fn place(from: &Url, location: &[u8]) -> Result<Url, String> {
    let text = String::from_utf8_lossy(location);
    let mut url = from
        .join(&text)
        .map_err(|error| format!("redirects to what is not a URL ({error})"))?;
    match (from.scheme(), url.scheme()) {
        ("https", "http") => {
            let shown = without_secrets(&url);
            return Err(format!(
                "redirects from https to {shown}, where everybody could read along"
            ));
        }
        (_, "http" | "https") => {}
        (_, other) => {
            return Err(format!(
                "redirects to a URL with {other:?}, which is not supported"
            ));
        }
    }
    // The one who answers has no say in who we are.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    Ok(url)
}

fn drop_body(request: &mut Request) {
    *request.body_mut() = None;
    for name in OF_BODY {
        request.headers_mut().remove(name);
    }
}

fn keep_for_anyone(headers: &mut HeaderMap, secrets: &Secrets) {
    let mut kept = HeaderMap::new();
    for name in FOR_ANYONE {
        let value = headers.remove(&name);
        let holds_secret = |bytes: &[u8]| secrets.mask_bytes(bytes) != bytes;
        if let Some(value) = value.filter(|value| !holds_secret(value.as_bytes())) {
            kept.insert(name, value);
        }
    }
    *headers = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(method: Method, url: &str) -> Request {
        let mut request = Request::new(method, url.parse().unwrap());
        *request.body_mut() = Some("body".into());
        for (name, value) in [
            ("authorization", "a"),
            ("cookie", "c"),
            ("x-api-key", "k"),
            ("referer", "r"),
            ("accept", "text/html"),
            ("content-type", "x/y"),
            ("user-agent", "secret agent"),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    }

    fn next_of(request: &Request, status: u16, location: &str) -> Result<Option<Request>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        next(request, status, &headers, &Secrets::of(["secret"]))
    }

    #[test]
    fn the_method_and_the_body_stay_where_they_must() {
        for (method, status, expected) in [
            (Method::POST, 301, Method::GET),
            (Method::POST, 302, Method::GET),
            (Method::PUT, 302, Method::PUT),
            (Method::PUT, 303, Method::GET),
            (Method::POST, 307, Method::POST),
            (Method::DELETE, 308, Method::DELETE),
        ] {
            let request = next_of(&sent(method, "http://h/a?q"), status, "b")
                .unwrap()
                .unwrap();
            assert_eq!(request.url().as_str(), "http://h/b");
            assert_eq!(*request.method(), expected);
            let stays = expected != Method::GET;
            assert_eq!(request.body().is_some(), stays);
            assert_eq!(request.headers().contains_key("content-type"), stays);
            assert!(request.headers().contains_key("x-api-key"));
        }
        for status in [200, 300, 304, 401] {
            assert!(
                next_of(&sent(Method::GET, "http://h/"), status, "b")
                    .unwrap()
                    .is_none()
            );
        }
    }

    #[test]
    fn another_origin_gets_what_is_for_anyone() {
        for location in ["http://h:81/", "http://other/", "https://h/", "//me:pw@g/"] {
            let request = next_of(&sent(Method::POST, "http://h/"), 307, location)
                .unwrap()
                .unwrap();
            let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
            assert_eq!(names, ["accept"], "{location}");
            assert!(request.body().is_none() && request.url().username().is_empty());
        }
    }

    #[test]
    fn https_is_not_left_and_other_schemes_are_not_taken_up() {
        let refused = next_of(&sent(Method::GET, "https://h/"), 302, "http://h/?t=1").unwrap_err();
        assert!(
            refused.contains("http://h/") && !refused.contains("t=1"),
            "{refused}"
        );
        for location in ["ftp://h/", "file:///etc/passwd", "http://", "http://[x"] {
            assert!(
                next_of(&sent(Method::GET, "http://h/"), 302, location).is_err(),
                "{location}"
            );
        }
    }
}
